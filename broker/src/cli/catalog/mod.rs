//! `emote catalog`: the vendors that Emote knows, and how each is set up.

mod page;

use page::{Kind, Page, inputs, noted, pages, reference, remark};

use std::collections::BTreeSet;

use super::{Exit, Output, print_line, render, table};
use crate::config::nearest;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
  emote catalog ls
  emote catalog ls --kind source -o json | jq -r .name
  emote catalog show jamf-pro                 what to set, at the vendor's side and here, and what it can do")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the presets
    Ls {
        /// Only sources, or only targets
        #[arg(long)]
        kind: Option<Kind>,
        /// What to print: table, or json, one value a line
        #[arg(long, short, value_enum, hide_possible_values = true, default_value_t)]
        output: Output,
    },
    /// Show a preset: what it is for, its settings, a file to begin with
    Show {
        /// Its name, as `emote catalog ls` shows it
        name: String,
        /// What to print: table, or json
        #[arg(long, short, value_enum, hide_possible_values = true, default_value_t)]
        output: Output,
    },
    /// Print all of it as Markdown
    Reference,
}

pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Ls { kind, output } => list(kind, output),
        Command::Show { name, output } => show(&name, output),
        Command::Reference => {
            print_line(reference().trim_end())?;
            Ok(Exit::Ok)
        }
    }
}

fn list(kind: Option<Kind>, output: Output) -> anyhow::Result<Exit> {
    let pages: Vec<Page> = pages().into_iter().filter(|page| kind.is_none_or(|kind| page.kind == kind)).collect();
    match output {
        Output::Json => {
            for page in &pages {
                print_line(serde_json::to_string(page)?)?;
            }
        }
        Output::Table => {
            let mut table = table::table(&["preset", "kind", "for", "needs"]);
            for page in &pages {
                table.add_row([page.name, page.kind.word(), &page.card.title, &page.needs.join(", ")]);
            }
            print_line(table::lines(&mut table))?;
        }
    }
    Ok(Exit::Ok)
}

fn show(name: &str, output: Output) -> anyhow::Result<Exit> {
    let found: Vec<Page> = pages().into_iter().filter(|page| page.name == name).collect();
    if found.is_empty() {
        let names: BTreeSet<&str> = pages().iter().map(|page| page.name).collect();
        anstream::eprintln!(
            "There is no preset {name}: {}; `emote catalog ls` says what they are",
            nearest::one_of(name, names)
        );
        return Ok(Exit::NotFound);
    }
    for (at, page) in found.iter().enumerate() {
        match output {
            Output::Json => print_line(serde_json::to_string(page)?)?,
            Output::Table if at > 0 => print_line(format!("\n{}", shown(page)))?,
            Output::Table => print_line(shown(page))?,
        };
    }
    Ok(Exit::Ok)
}

fn shown(page: &Page) -> String {
    let (bold, dim) = (render::BOLD, render::DIM);
    let mut text = vec![
        format!("{bold}{}{bold:#}  {dim}{} {}{dim:#}", page.card.title, page.kind.word(), page.name),
        page.card.docs.clone(),
        String::new(),
        page.card.about.trim().to_owned(),
        String::new(),
        format!("{dim}{}{dim:#}", page.file()),
        page.example(),
    ];
    if !page.card.settings.is_empty() {
        text.push(format!("{bold}Settings{bold:#}"));
    }
    for (name, setting) in &page.card.settings {
        text.push(format!("  {name:<20} {}{}", setting.about, remark(setting)));
    }
    if !page.actions.is_empty() {
        text.push(format!("{bold}Actions{bold:#}"));
    }
    for (name, action) in &page.actions {
        text.push(format!("  {name:<20} {}{}", action.about, noted(action)));
        text.extend(action.input.iter().map(|(key, about)| format!("  {dim}{:<20} input {key}: {about}{dim:#}", "")));
    }
    if !page.input.is_empty() {
        text.push(format!("{bold}Input of the rule{bold:#}\n  {}", inputs(&page.input, "")));
    }
    text.join("\n")
}

//! `emote plan`: what `emote apply` would change.

use std::path::PathBuf;

use super::{Exit, Output, connect::Asking, print_line, render};
use crate::{
    bus::InForce,
    config::Set,
    console::view::in_force::{short, stored},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The folder is checked as `emote apply` does. What is compared is what is in force, file by file, line by line.
Exit code 0 whether something would change or not; -o json tells it to programs.")]
pub(super) struct Args {
    /// The configuration folder
    #[arg(default_value_os_t = super::folder::begun())]
    folder: PathBuf,
    #[command(flatten)]
    ask: Asking,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let new = super::apply::checked(&args.folder)?;
    let bus = args.ask.connect_by(&args.folder).await?;
    let in_force = bus.in_force().await?;
    let old = match &in_force {
        Some(now) => stored(&bus, &now.hash).await?,
        None => Set::default(),
    };
    match args.ask.output {
        Output::Json => print_line(serde_json::json!({
            "in_force": in_force.map(|now| now.hash), "folder": new.hash(), "difference": old.difference(&new),
        }))?,
        Output::Table => print_line(shown(&old, &new, in_force.as_ref()))?,
    };
    Ok(Exit::Ok)
}

fn shown(old: &Set, new: &Set, in_force: Option<&InForce>) -> String {
    let difference = old.difference(new);
    let before = in_force.map_or("nothing".to_owned(), |now| short(&now.hash).to_owned());
    if difference.is_empty() {
        return format!("Nothing would change: {before} is in force.");
    }
    let text = super::diff::of_sets(old, new);
    let count = |files: &[String], what: &str| (!files.is_empty()).then(|| format!("{} {what}", files.len()));
    let counts: Vec<String> = [
        count(&difference.added, "added"),
        count(&difference.changed, "changed"),
        count(&difference.removed, "removed"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut text = format!("{text}\n{before} → {}: {}.", short(&new.hash()), counts.join(", "));
    let gone: Vec<&str> =
        difference.removed.iter().filter_map(|file| file.strip_prefix("targets/")?.strip_suffix(".yaml")).collect();
    if !gone.is_empty() {
        let dim = render::DIM;
        text.push_str(&format!(
            "\n{dim}Jobs that wait for {} become dead letters; they can be redriven once the target is back.{dim:#}",
            gone.join(", ")
        ));
    }
    text
}

//! `emote config`: which rules were in force when, what they were, and back to them.

use emote_proto::Event;
use serde_json::{Value, json};

use super::{
    Exit, Output,
    applying::{self, Signed, short},
    connect::Asking,
    print_line, render, table,
};
use crate::{
    bus::{Bus, InForce},
    console::view::{
        history::{History, before_now, find, json_of},
        in_force::stored,
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List what was in force since when, who applied it and why
    History {
        #[command(flatten)]
        ask: Asking,
    },
    /// Show the files of a set of rules
    Show {
        /// The beginning of its hash (default: what is in force)
        hash: Option<String>,
        /// Only this file, such as rules/lock-leavers.yaml
        #[arg(long, value_name = "PATH")]
        file: Option<String>,
        #[command(flatten)]
        ask: Asking,
    },
    /// Put an earlier set of rules in force again
    Rollback {
        /// The beginning of its hash (default: what was in force before)
        hash: Option<String>,
        #[command(flatten)]
        signed: Signed,
        #[command(flatten)]
        ask: Asking,
    },
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::History { ask } => history(&ask.connect().await?, ask.output).await,
        Command::Show { hash, file, ask } => {
            show(&ask.connect().await?, hash.as_deref(), file.as_deref(), ask.output).await
        }
        Command::Rollback { hash, signed, ask } => {
            rollback(&ask.connect().await?, hash.as_deref(), &signed, ask.output).await
        }
    }
}

async fn history(bus: &Bus, output: Output) -> anyhow::Result<Exit> {
    let history = History::ask(bus).await?;
    let said = |set: &InForce| history.order(set);
    let sets = &history.sets;
    match output {
        Output::Json => {
            for set in sets {
                print_line(json_of(set, said(set)))?;
            }
        }
        Output::Table if sets.is_empty() => drop(print_line("Nothing was ever applied.")?),
        Output::Table => {
            let mut rows = table::table(&["set", "in force since", "behind", "by", "why"]);
            for (at, set) in sets.iter().enumerate().rev() {
                let text = |key: &str| {
                    let event = said(set);
                    let text = event.and_then(|event| event.info_at(&[key])).and_then(Value::as_str);
                    render::clip(text.unwrap_or("-"), 60)
                };
                let now = if at + 1 == sets.len() { " (now)" } else { "" };
                let why = if set.sequence == 0 { "the first broker's folder".to_owned() } else { text("reason") };
                rows.add_row([
                    short(&set.hash).to_owned(),
                    format!("{}{now}", set.since),
                    format!("#{}", set.sequence),
                    render::clip(said(set).and_then(Event::user_id).unwrap_or("-"), 60),
                    why,
                ]);
            }
            print_line(table::lines(&mut rows))?;
        }
    }
    Ok(Exit::Ok)
}

async fn show(bus: &Bus, hash: Option<&str>, file: Option<&str>, output: Output) -> anyhow::Result<Exit> {
    let Some(set) = find(bus, hash).await? else {
        anstream::eprintln!("Nothing was ever applied.");
        return Ok(Exit::NotFound);
    };
    let files = stored(bus, &set.hash).await?;
    if let Some(path) = file {
        let Some(text) = files.text(path) else {
            anstream::eprintln!("{} has no file {path}", short(&set.hash));
            return Ok(Exit::NotFound);
        };
        print_line(text.trim_end())?;
        return Ok(Exit::Ok);
    }
    match output {
        Output::Json => {
            let map: serde_json::Map<String, Value> =
                files.files().map(|(path, text)| (path.to_owned(), json!(text))).collect();
            print_line(json!({"hash": set.hash, "files": map}))?;
        }
        Output::Table => {
            let (bold, dim) = (render::BOLD, render::DIM);
            print_line(format!("{dim}{}{dim:#}", set.hash))?;
            for (path, text) in files.files() {
                if !print_line(format!("{bold}{path}{bold:#}\n{}", indented(text)))? {
                    break;
                }
            }
        }
    }
    Ok(Exit::Ok)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

async fn rollback(bus: &Bus, hash: Option<&str>, signed: &Signed, output: Output) -> anyhow::Result<Exit> {
    let wanted = match hash {
        Some(_) => find(bus, hash).await?,
        None => before_now(&bus.sets_over_time().await?).cloned(),
    };
    let Some(wanted) = wanted else {
        anstream::eprintln!("There is nothing to go back to: `emote config history` lists what was in force.");
        return Ok(Exit::NotFound);
    };
    let files = stored(bus, &wanted.hash).await?.files().count();
    super::apply::tell(
        applying::apply_stored(bus, &wanted.hash, files, &signed.signature(bus)?).await?,
        &wanted.hash,
        output,
    )
}

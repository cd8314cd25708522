//! `emote apply`

use std::path::PathBuf;

use serde_json::json;

use super::{
    Exit, Output,
    applying::{self, Applied, Signed, short},
    connect::Asking,
    print_line, render,
};
use crate::config::{Folder, Set};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The folder is checked and its tests are played; then it is stored under its hash and an event puts it in force. Every
broker changes over at that place in the log, and each job names the set of rules that made it. emote.yaml and secrets
are each machine's own and are not part of it.

It speaks to a NATS on which a broker has run (`emote serve`, `emote dev`). A broker that finds no rules applied yet begins with
those of its own folder, and `emote dev` applies whatever is saved: both need no `emote apply`.

  emote plan my-emote        what would change
  emote apply my-emote -m 'lock leavers at once'
  emote config rollback      back to what was in force before

Exit code 3: the folder has problems, or the broker refused it; what was in force stays.")]
pub(super) struct Args {
    /// The configuration folder
    #[arg(default_value_os_t = super::folder::begun())]
    folder: PathBuf,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    ask: Asking,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let set = checked(&args.folder)?;
    let bus = args.ask.connect_by(&args.folder).await?;
    let hash = set.hash();
    if bus.in_force().await?.is_some_and(|now| now.hash == hash) {
        print(args.ask.output, "unchanged", &hash, &format!("{} is in force already.", short(&hash)))?;
        return Ok(Exit::Ok);
    }
    tell(applying::apply(&bus, &set, &args.signed.signature(&bus)?).await?, &hash, args.ask.output)
}

/// The set of a folder in which nothing is wrong.
pub(super) fn checked(folder: &std::path::Path) -> anyhow::Result<Set> {
    let loaded = Folder::load(folder)?;
    let failed = loaded.run_cases();
    if !failed.problems.is_empty() {
        return Err(failed.into());
    }
    Ok(Set::read(folder)?)
}

/// Says what became of the order to put a set in force.
pub(super) fn tell(applied: Applied, hash: &str, output: Output) -> anyhow::Result<Exit> {
    let (bold, plain) = (render::BOLD, render::BOLD.render_reset());
    match applied {
        Applied::InForce(now) => {
            let text = format!("{bold}{}{plain} is in force since entry #{}.", short(hash), now.sequence);
            print(output, "in_force", hash, &text)?;
            Ok(Exit::Ok)
        }
        Applied::Waiting => {
            let text = format!(
                "{} is ordered; no broker has come to it yet. It will be in force when one does: `emote config history`.",
                short(hash)
            );
            print(output, "ordered", hash, &text)?;
            Ok(Exit::Ok)
        }
        Applied::Refused(reason) => {
            print(
                output,
                "refused",
                hash,
                &format!("{}: the broker refused it, and what was in force stays.\n{reason}", short(hash)),
            )?;
            Ok(Exit::Config)
        }
    }
}

fn print(output: Output, state: &str, hash: &str, text: &str) -> anyhow::Result<()> {
    match output {
        Output::Table => print_line(text)?,
        Output::Json => print_line(json!({"hash": hash, "state": state}))?,
    };
    Ok(())
}

//! `emote held`: jobs that wait for somebody's word.

use emote_proto::Time;
use serde_json::json;

use super::{
    Exit, Output,
    applying::Signed,
    connect::{Asking, ServerArgs},
    print_line, render, table,
};
use crate::{
    bus::{Bus, HeldJob},
    console::order::held::{self, Outcome},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A target that says destructive: true has a budget: so many jobs in a window of time, of each rule and of all together. What
goes beyond it is held until somebody approves or denies it; both are events that say who and why. What is denied is
never done.

  emote held ls
  emote held approve --rule lock-leavers -m 'the whole team left, HR-4711'
  emote held deny lock-leavers -m 'the HR export was wrong'")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List what is held
    Ls {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        ask: Asking,
    },
    /// Let held jobs through
    Approve {
        /// Ids of jobs, as `emote held ls` shows them
        jobs: Vec<String>,
        #[command(flatten)]
        which: Which,
        /// Everything that is held
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        signed: Signed,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Cancel everything that is held of a rule
    Deny {
        /// The rule's name
        rule: String,
        #[command(flatten)]
        signed: Signed,
        #[command(flatten)]
        server: ServerArgs,
    },
}

#[derive(Debug, Clone, Default, clap::Args)]
struct Which {
    /// Only of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only for this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Only about this node: serial number or UDID
    #[arg(long, value_name = "KEY")]
    node: Option<String>,
}

impl Which {
    fn is_any(&self) -> bool {
        self.rule.is_none() && self.target.is_none() && self.node.is_none()
    }

    async fn find(&self, bus: &Bus) -> anyhow::Result<Vec<HeldJob>> {
        let mut held = bus.all_held(self.rule.as_deref()).await?;
        held.retain(|held| {
            self.target.as_deref().is_none_or(|target| held.job.target.as_str() == target)
                && self.node.as_deref().is_none_or(|node| held.job.node_key().as_deref() == Some(node))
        });
        Ok(held)
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Ls { which, ask } => ls(&ask.connect().await?, &which, ask.output).await,
        Command::Approve { jobs, which, all, signed, server } => {
            approve(&server.connect().await?, jobs, &which, all, &signed).await
        }
        Command::Deny { rule, signed, server } => deny(&server.connect().await?, &rule, &signed).await,
    }
}

async fn ls(bus: &Bus, which: &Which, output: Output) -> anyhow::Result<Exit> {
    let held = which.find(bus).await?;
    match output {
        Output::Json => {
            for held in held {
                print_line(json!({"since": held.since, "job": held.job}))?;
            }
        }
        Output::Table if held.is_empty() => drop(print_line("Nothing is held.")?),
        Output::Table => drop(print_line(rows(&held, jiff::Timestamp::now().into()))?),
    }
    Ok(Exit::Ok)
}

fn rows(held: &[HeldJob], now: Time) -> String {
    let mut table = table::table(&["held for", "rule", "target", "node", "why", "job"]);
    for HeldJob { job, since } in held {
        table.add_row([
            render::ago(*since, now),
            job.rule.to_string(),
            job.target.to_string(),
            render::clip(job.node_key().as_deref().unwrap_or("-"), 24),
            render::clip(job.held.as_deref().unwrap_or_default(), 60),
            job.id.to_string(),
        ]);
    }
    table::lines(&mut table)
}

async fn approve(bus: &Bus, jobs: Vec<String>, which: &Which, all: bool, signed: &Signed) -> anyhow::Result<Exit> {
    let chosen = if !jobs.is_empty() {
        jobs
    } else if all || !which.is_any() {
        which.find(bus).await?.into_iter().map(|held| held.job.id.to_string()).collect()
    } else {
        anyhow::bail!("say which: ids of jobs, --rule, --target, --node, or --all (`emote held ls` lists what is held)")
    };
    if chosen.is_empty() {
        anstream::eprintln!("Nothing of the kind is held.");
        return Ok(Exit::NotFound);
    }
    ended("approved", held::approve(bus, chosen, &signed.signature(bus)?).await?)
}

async fn deny(bus: &Bus, rule: &str, signed: &Signed) -> anyhow::Result<Exit> {
    let outcome = held::deny(bus, rule, &signed.signature(bus)?).await?;
    if outcome.named == 0 {
        anstream::eprintln!("Nothing is held of a rule {rule}.");
        return Ok(Exit::NotFound);
    }
    ended("denied", outcome)
}

/// Says what became of the order.
fn ended(what: &str, outcome: Outcome) -> anyhow::Result<Exit> {
    match outcome.refused {
        None => {
            print_line(format!("{} {what}.", outcome.named))?;
            Ok(Exit::Ok)
        }
        Some(reason) => anyhow::bail!("{reason}"),
    }
}

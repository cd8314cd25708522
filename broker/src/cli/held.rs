//! `emote held`: jobs that wait for somebody's word.

use emote_proto::{EventId, Time, source};
use serde_json::{Value, json};

use super::{
    Exit, Output,
    applying::Signed,
    connect::{Asking, ServerArgs},
    print_line, render, table,
};
use crate::{
    bus::{Bus, HeldJob, TailStart},
    core::MAX_NAMED,
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
        let held = bus.all_held(None).await?;
        if let Some(unknown) = jobs.iter().find(|id| !held.iter().any(|held| held.job.id.as_str() == *id)) {
            anyhow::bail!("{unknown} is not held: `emote held ls` lists what is");
        }
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
    let mut refused = None;
    for some in chosen.chunks(MAX_NAMED) {
        let waited = Waited::begin(bus).await?;
        let id = signed.order(bus, "guard.approved", json!({"jobs": some})).await?;
        refused = waited.outcome(bus, id, some.to_vec()).await?.or(refused);
    }
    ended(chosen.len(), "approved", refused)
}

async fn deny(bus: &Bus, rule: &str, signed: &Signed) -> anyhow::Result<Exit> {
    let held = bus.all_held(Some(rule)).await?;
    if held.is_empty() {
        anstream::eprintln!("Nothing is held of a rule {rule}.");
        return Ok(Exit::NotFound);
    }
    let waited = Waited::begin(bus).await?;
    let id = signed.order(bus, "guard.denied", json!({"rule": rule})).await?;
    let ids = held.iter().map(|held| held.job.id.to_string()).collect();
    let refused = waited.outcome(bus, id, ids).await?;
    ended(held.len(), "denied", refused)
}

/// What is said in the end; `Some` where it did not come to all of them.
fn ended(count: usize, what: &str, refused: Option<String>) -> anyhow::Result<Exit> {
    match refused {
        None => {
            print_line(format!("{count} {what}."))?;
            Ok(Exit::Ok)
        }
        Some(reason) => anyhow::bail!("{reason}"),
    }
}

/// Waits until the core has carried out an order about held jobs.
struct Waited {
    refusals: crate::bus::Tail,
}

impl Waited {
    const WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

    async fn begin(bus: &Bus) -> anyhow::Result<Self> {
        let filter = format!("events.{}.*.order.refused", source::BROKER);
        Ok(Self { refusals: bus.tail(vec![filter], TailStart::New).await? })
    }

    /// Nothing where none of `jobs` is held any longer, else what was said, or that nothing was.
    async fn outcome(mut self, bus: &Bus, order: EventId, jobs: Vec<String>) -> anyhow::Result<Option<String>> {
        let gone = async {
            loop {
                let held = bus.all_held(None).await?;
                if !held.iter().any(|held| jobs.iter().any(|id| held.job.id.as_str() == id)) {
                    return Ok::<_, crate::bus::BusError>(None);
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        let refused = async {
            while let Ok(message) = self.refusals.read().await {
                let event: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
                if event["info"]["event"] == json!(order) {
                    return event["info"]["reason"].as_str().map(str::to_owned);
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            biased;
            reason = refused => Ok(reason),
            gone = gone => Ok(gone?),
            () = tokio::time::sleep(Self::WITHIN) => {
                Ok(Some("it is ordered, but no broker has come to it yet: does one run? (`emote held ls`)".to_owned()))
            }
        }
    }
}

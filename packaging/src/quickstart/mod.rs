//! The quickstart: everything on this machine, a story played on it, an account of what came of it.
//!
//! `main_of` is the program, [`run`] what it does; the scenario and the stand-ins are modules of their own.

mod account;
mod children;
mod guard;
mod observe;
mod place;
mod programs;
mod stay;
mod tell;

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use emote_proto::{EventId, Time};
use tokio::time::Instant;

use crate::scenario::{Outcome, Story, Webhooks, run_id};
use children::{Agent, Broker};
use observe::Observer;
use place::{Place, Stage};
use programs::{Program, Programs};
use stay::Stop;
use tell::{ERROR, show, tell};

pub use guard::GUARD_COMMAND;

/// The whole of `--once`, from start to account.
const WITHIN: Duration = Duration::from_secs(60);

const AFTER_HELP: &str = "\
Everything listens on this machine only. packaging/quickstart builds this program and those that it runs, and starts it.

Exit codes: 0 everything was observed, each thing exactly once · 1 it was not, or something failed · 2 wrong usage";

/// Runs Emote on this machine with stand-ins for Slack and an MDM, plays a story, and shows what came of it.
#[derive(Debug, clap::Parser)]
#[command(name = "emote-quickstart", version, after_help = AFTER_HELP, max_term_width = 120, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    hidden: Option<Hidden>,
}

#[derive(Debug, clap::Subcommand)]
enum Hidden {
    /// Run a program for as long as standard input is open
    #[command(name = GUARD_COMMAND, hide = true)]
    Guard {
        program: PathBuf,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// What can be chosen.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Options {
    /// End by itself: 0 only if everything was observed, each thing exactly once
    #[arg(long)]
    pub once: bool,
    /// Where it keeps what it keeps; a later run goes on where the last one stopped
    /// [default: ~/.local/state/emote/quickstart; with --once a temporary folder]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Port of NATS [default: 4222, or any where that is taken]
    #[arg(long, value_name = "PORT")]
    pub nats_port: Option<u16>,
    /// Address of the webhooks [default: 127.0.0.1:8480, or any port where that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Serial number that the agent speaks under [default: this machine's own]
    #[arg(long)]
    pub serial: Option<String>,
    /// Folder of emote, emote-agent and emote-quickstart [default: this program's own]
    #[arg(long, value_name = "DIR", hide = true)]
    pub programs: Option<PathBuf>,
}

/// The program.
pub async fn main_of(cli: Cli) -> ExitCode {
    let ended = match cli.hidden {
        Some(Hidden::Guard { program, arguments }) => {
            let code = guard::guard(&program, &arguments).await;
            return code.map_or(ExitCode::FAILURE, ExitCode::from);
        }
        None => run(cli.options).await,
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            anstream::eprintln!("{ERROR}error:{ERROR:#} {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Sets everything up, plays, tells, and stays or not. Gives whether everything was as expected.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    let programs = Programs::find(options.programs.as_deref())?;
    let place = Place::choose(&options)?;
    let mut stop = Stop::listen()?;
    let mut running = Running::default();
    let ended = tokio::select! {
        ended = running.perform(&options, &programs, place.dir()) => Some(ended),
        () = stop.asked() => None,
        () = too_late(options.once) => Some(Err(anyhow::anyhow!("not done within {} seconds", WITHIN.as_secs()))),
    };
    let ended = ended.unwrap_or_else(|| running.verdict.context("stopped before everything was played"));
    running.stop(&mut stop).await;
    match ended {
        Ok(true) => {
            place.leave();
            Ok(true)
        }
        Ok(false) => {
            tell(&format!("What the programs said is in {}", place.keep()));
            Ok(false)
        }
        Err(error) if !place.has_logs() => {
            place.leave();
            Err(error)
        }
        Err(error) => Err(anyhow::anyhow!("{error:#}\nWhat the programs said is in {}", place.keep())),
    }
}

async fn too_late(once: bool) {
    if once { tokio::time::sleep(WITHIN).await } else { std::future::pending().await }
}

/// What runs. It is stopped in the opposite order of starting.
#[derive(Default)]
struct Running {
    stage: Option<Stage>,
    broker: Option<Broker>,
    agent: Option<Agent>,
    /// Whether everything was as expected, once that is known.
    verdict: Option<bool>,
}

impl Running {
    async fn perform(&mut self, options: &Options, programs: &Programs, dir: &Path) -> anyhow::Result<bool> {
        let stage = self.stage.insert(Stage::set(programs, dir).await?);
        let broker = self.broker.insert(Broker::start(programs, stage, options).await?);
        broker.wait_until_ready(programs).await?;
        let agent = Agent::start(programs, stage, &broker.nats, options.serial.as_deref()).await?;
        let agent = self.agent.insert(agent);
        let began = Instant::now();
        let serial = agent.wait_until_ready(programs, &broker.nats).await?;

        let story = Story::new(&serial, &run_id(), Time::from(jiff::Timestamp::now()));
        let webhooks = Webhooks::new(broker.webhooks.clone(), stage.secrets.clone())?;
        tell("Playing: asset records, enrolments, a forged webhook, an event of the agent's, a user who leaves");
        let steps = story.play(&webhooks, async || emit(programs, agent).await).await?;
        let expectations = story.expectations(&steps);
        let mut observer = Observer { programs, broker, stage, began, steps: &steps };
        let (seen, outcomes) = observer.watch(&expectations).await?;
        let account = account::account(&steps, &expectations, &outcomes, &seen);
        show(&format!("\n{account}"));
        let verdict = outcomes.iter().all(Outcome::is_met);
        self.verdict = Some(verdict);
        if !options.once {
            let last = steps.last().and_then(|step| seen.numbers.get(&step.event?)).copied().unwrap_or(1);
            show(&stay::look_around(programs, stage, broker, agent, last));
            return Err(stay::show_what_comes(stage, broker, agent).await);
        }
        Ok(verdict)
    }

    /// Stops everything; told to stop once more, at once.
    async fn stop(self, again: &mut Stop) {
        if self.broker.is_some() {
            tell("Stopping");
        }
        let stopping = async {
            if let Some(agent) = self.agent {
                agent.stop().await;
            }
            if let Some(broker) = self.broker {
                broker.stop().await;
            }
        };
        tokio::select! {
            () = stopping => {}
            () = again.asked() => {}
        }
    }
}

/// Has the agent say something about its Mac, as any script on it may.
async fn emit(programs: &Programs, agent: &Agent) -> anyhow::Result<EventId> {
    let mut command = programs.command(Program::Agent);
    command.args(["emit", "security", "changed", "--info", "firewall=off", "--communicate", "--log", "--state-dir"]);
    let id = programs::output(command.arg(&agent.state), "emote-agent emit").await?;
    id.trim().parse().with_context(|| format!("emote-agent emit gave {id:?}, which is no event id"))
}

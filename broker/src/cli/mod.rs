//! The command line: one file a subcommand, one line a subcommand in [`Command`].

mod agents;
mod apply;
mod applying;
mod archive;
mod catalog;
mod check;
mod completions;
mod config;
mod connect;
mod dead;
mod deploy;
mod dev;
mod diff;
mod events;
mod explain;
mod folder;
mod given;
mod held;
mod help;
mod init;
mod json_stream;
mod language;
mod match_;
mod mtls_config;
mod node;
mod nodes;
mod pattern_arg;
mod pin;
mod plan;
mod program_launch;
mod render;
mod replay;
mod rules;
mod schema;
mod serve;
mod source;
mod sources;
mod ssf;
mod table;
mod target;
mod targets;
mod trace;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::console::ask;

/// How a command ended, for scripts. `--help` says so too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Ok,
    /// It failed.
    Failed,
    /// The configuration has problems, or a pattern has.
    Config,
    /// NATS or the broker is away.
    Unreachable,
    /// What was asked for is not there.
    NotFound,
    /// A program that a target runs could not be started.
    NotLaunched,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Config => 3,
            Exit::Unreachable => 4,
            Exit::NotFound => 5,
            Exit::NotLaunched => crate::targets::NOT_LAUNCHED,
        })
    }
}

const AFTER_HELP: &str = "\
To begin:
  emote init my-emote      write a configuration folder, commented
  emote dev my-emote       run everything on this machine, NATS included
  emote events -f          watch what happens

Exit codes: 0 done · 1 failed · 2 wrong usage · 3 the configuration or a pattern has problems · 4 NATS or the broker cannot be reached · 5 not found.
Logs go to standard error; EMOTE_LOG sets their level (error, warn, info, debug, or per module as in emote::deliver=debug).";

/// Event-driven client management: Macs, MDM and identity provider in one stream of events, and rules on top.
#[derive(Debug, Parser)]
#[command(name = "emote", version, after_help = AFTER_HELP, max_term_width = 120, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a commented configuration folder to start from
    Init(init::Args),
    /// Validate a configuration folder and run its tests
    Check(check::Args),
    /// Show what `emote apply` would change
    Plan(plan::Args),
    /// Put a folder's rules, sources and targets in force
    Apply(apply::Args),
    /// Rules over time: history, show, rollback
    Config(config::Args),
    /// Run everything on this machine: NATS, ingest, core and delivery
    Dev(dev::Args),
    /// Run ingest, core and delivery against a NATS of yours
    Serve(serve::Args),
    /// Show events: the latest, or live with --follow
    Events(events::Args),
    /// List the nodes and what is known of them
    Nodes(nodes::Args),
    /// Show one node: what each source says of it, and its timeline
    Node(node::Args),
    /// Show what an event set off: rules, jobs, results
    Trace(trace::Args),
    /// Print the events that a pattern matches: grep for events
    Match(match_::Args),
    /// Say why a rule matches an event or does not, and how near it came
    Explain(explain::Args),
    /// The vendors that Emote knows as presets: list, show
    Catalog(catalog::Args),
    /// Try out a source: what a payload becomes
    Source(source::Args),
    /// Try out a target: the requests that it makes of a job
    Target(target::Args),
    /// Show what comes from each source: last heard, counts, polls, last error
    Sources(sources::Args),
    /// Show what each target is doing: state, backlog, last error
    Targets(targets::Args),
    /// How often rules matched, and what became of that: stats
    Rules(rules::Args),
    /// JSON Schemas of events and of configuration files: list, show, validate, infer, compare
    Schema(schema::Args),
    /// Jobs that wait for somebody's word: list, approve, deny
    Held(held::Args),
    /// Events that are kept for longer: list, verify, get
    Archive(archive::Args),
    /// Play events again, for rules that came later or targets that were away
    Replay(replay::Args),
    /// Jobs that were given up: list, show, redrive, drop
    Dead(dead::Args),
    /// The agent's package: keep, serve, have it installed, follow until the agent speaks
    Deploy(deploy::Args),
    /// Macs' credentials: list, approve, revoke; enrolment tokens
    Agents(agents::Args),
    /// Show the PIN of a Mac that was locked
    Pin(pin::Args),
    /// Print NATS users for Macs that come with client certificates
    MtlsConfig(mtls_config::Args),
    /// Print a shell completion script
    Completions(completions::Args),
    /// Run nats-server for as long as standard input is open
    #[command(name = crate::localnats::GUARD_COMMAND, hide = true)]
    NatsGuard(dev::GuardArgs),
    /// Become a program that a target runs
    #[command(name = crate::targets::LAUNCH_COMMAND, hide = true)]
    ProgramLaunch(program_launch::Args),
}

/// What a command prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs: JSON, one value a line where there are several.
    Json,
}

impl Cli {
    /// Where the command is to become another program, does that; gives how it ended where it could not. It is for a process
    /// that has no other threads yet.
    pub fn becomes_another(&self) -> Option<Exit> {
        match &self.command {
            Command::ProgramLaunch(args) => Some(program_launch::run(args)),
            _ => None,
        }
    }
}

/// Runs the command; what went wrong is printed here, once.
pub async fn run(cli: Cli) -> Exit {
    let ended = match cli.command {
        Command::Init(args) => init::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Plan(args) => plan::run(args).await,
        Command::Apply(args) => apply::run(args).await,
        Command::Config(args) => config::run(args).await,
        Command::Sources(args) => sources::run(args).await,
        Command::Targets(args) => targets::run(args).await,
        Command::Rules(args) => rules::run(args).await,
        Command::Schema(args) => schema::run(args).await,
        Command::Held(args) => held::run(args).await,
        Command::Dead(args) => dead::run(args).await,
        Command::Deploy(args) => deploy::run(args).await,
        Command::Archive(args) => archive::run(args).await,
        Command::Replay(args) => replay::run(args).await,
        Command::Dev(args) => dev::run(args).await,
        Command::Serve(args) => serve::run(args).await,
        Command::Events(args) => events::run(args).await,
        Command::Nodes(args) => nodes::run(args).await,
        Command::Node(args) => node::run(args).await,
        Command::Trace(args) => trace::run(args).await,
        Command::Match(args) => match_::run(&args),
        Command::Explain(args) => explain::run(args).await,
        Command::Agents(args) => agents::run(args).await,
        Command::Pin(args) => pin::run(&args),
        Command::MtlsConfig(args) => mtls_config::run(args),
        Command::Catalog(args) => catalog::run(args),
        Command::Source(args) => source::run(args).await,
        Command::Target(args) => target::run(args).await,
        Command::Completions(args) => completions::run(&args),
        Command::NatsGuard(args) => dev::guard(args).await,
        Command::ProgramLaunch(args) => Ok(program_launch::run(&args)),
    };
    match ended {
        Ok(exit) => exit,
        Err(error) => {
            anstream::eprintln!("{}error:{} {error:#}", render::ERROR, render::ERROR.render_reset());
            exit_of(&error)
        }
    }
}

fn exit_of(error: &anyhow::Error) -> Exit {
    use crate::bus::{BusError, ReadError};
    let unreachable = |error: &BusError| {
        matches!(
            error,
            BusError::Unreachable { .. }
                | BusError::Unsafe { .. }
                | BusError::NoAnswer { .. }
                | BusError::NoBroker
                | BusError::NotBegun
        )
    };
    if let Some(file) = error.downcast_ref::<pattern_arg::BadFile>() {
        if file.is_not_found() { Exit::NotFound } else { Exit::Config }
    } else if error.is::<crate::config::Report>() || error.is::<pattern_arg::BadPattern>() {
        Exit::Config
    } else if error.downcast_ref::<BusError>().is_some_and(unreachable) || error.downcast_ref::<ReadError>().is_some() {
        Exit::Unreachable
    } else {
        Exit::Failed
    }
}

/// Standard output that may be closed on us, as by `head`: that is a reason to stop, not an error.
pub(crate) fn print_line(line: impl std::fmt::Display) -> anyhow::Result<bool> {
    use std::io::Write;
    is_read(writeln!(anstream::stdout(), "{line}"))
}

/// Whether what was written to standard output is still read by somebody.
fn is_read(written: std::io::Result<()>) -> anyhow::Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(anyhow::Error::from(error).context("writing to standard output")),
    }
}

/// Says that there is none of this name, and which there are.
pub(crate) fn none_of<'n>(kind: &str, name: &emote_proto::Name, names: impl Iterator<Item = &'n str>) -> Exit {
    anstream::eprintln!("There is no {kind} {name}; there is: {}", names.collect::<Vec<_>>().join(", "));
    Exit::NotFound
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        super::Cli::command().debug_assert();
    }
}

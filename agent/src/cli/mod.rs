//! The command line: one file a subcommand.

mod doctor;
mod emit;
mod run;
mod sources;
mod status;
mod tail;
mod version;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::health::Status;
use crate::log;
use crate::settings::Raw;
use crate::socket::{self, Answer, Ask, CallError};

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  failure
  2  wrong usage, settings or event: trying again will not help
  3  the agent is not running (emit, status, tail)
  4  another agent is already running on this state folder (run)

`run` logs to agent.log in the state folder, and on macOS to the unified log (subsystem io.emote.agent). To standard error
goes what is logged only on a terminal, with --log-stderr or with EMOTE_LOG, which chooses what (error, warn, info, debug).";

/// Tells Emote what happens on this machine.
#[derive(Debug, Parser)]
#[command(name = "emote-agent", version, after_help = AFTER_HELP, arg_required_else_help = true)]
pub struct Cli {
    /// Log to standard error, terminal or not
    #[arg(long, global = true)]
    log_stderr: bool,
    #[command(subcommand)]
    command: Command,
}

impl Cli {
    /// Begins to log.
    pub fn begin_log(&self) {
        log::begin(self.log_stderr);
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::RunArgs>),
    Emit(emit::EmitArgs),
    Status(status::StatusArgs),
    Sources(sources::SourcesArgs),
    Tail(tail::TailArgs),
    Version(version::VersionArgs),
    Doctor(doctor::DoctorArgs),
}

/// Where the running agent is found.
#[derive(Debug, Clone, Args)]
struct Place {
    /// TOML file with settings; flags and EMOTE_AGENT_ variables go before it
    #[arg(long, value_name = "FILE", env = "EMOTE_AGENT_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of spool and socket [default: /var/db/io.emote.agent on macOS, else /var/lib/emote-agent]
    #[arg(long, value_name = "DIR", env = "EMOTE_AGENT_STATE_DIR")]
    state_dir: Option<PathBuf>,
    /// The local socket [default: agent.sock in the state folder]
    #[arg(long, value_name = "PATH", env = "EMOTE_AGENT_SOCKET")]
    socket: Option<PathBuf>,
}

/// How to print it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// It may work another time.
    Failure = 1,
    /// It never will, as it was asked.
    Usage = 2,
    /// No agent answers.
    NotRunning = 3,
    /// Another agent holds the state folder.
    AlreadyRunning = 4,
}

/// An end that is not [`Exit::Ok`], and why.
pub type Failure = (Exit, anyhow::Error);

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Does what the command line says.
pub fn start(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| (Exit::Failure, error.into()))?;
    runtime.block_on(async {
        match cli.command {
            Command::Run(arguments) => run::run(*arguments).await,
            Command::Emit(arguments) => emit::run(arguments).await,
            Command::Status(arguments) => status::run(arguments).await,
            Command::Sources(arguments) => sources::run(arguments).await,
            Command::Tail(arguments) => tail::run(arguments).await,
            Command::Doctor(arguments) => doctor::run(arguments).await,
            Command::Version(arguments) => version::run(arguments).await,
        }
    })
}

/// Whether standard output takes colours.
fn has_colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Says why the program ends with a failure.
pub fn end(error: &anyhow::Error) {
    log::end(error);
}

/// To standard output; a reader that has seen enough is no failure.
fn print(text: &str) -> Result<(), Failure> {
    print_or_end(text).map(|_| ())
}

/// To standard output at once; `false` when the reader has seen enough.
fn print_or_end(text: &str) -> Result<bool, Failure> {
    let mut stdout = std::io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err((Exit::Failure, error.into())),
    }
}

impl Place {
    /// Flags over the file.
    fn raw(&self) -> Result<Raw, Failure> {
        let file = match &self.config {
            Some(path) => Raw::from_file(path).map_err(|error| (Exit::Usage, error.into()))?,
            None => Raw::default(),
        };
        let flags = Raw { state_dir: self.state_dir.clone(), socket: self.socket.clone(), ..Raw::default() };
        Ok(flags.over(file))
    }

    /// What the running agent says of itself.
    async fn status(&self) -> Result<Status, Failure> {
        match self.call(&Ask::Status {}).await? {
            Answer::Status(status) => Ok(*status),
            other => Err((Exit::Failure, anyhow::anyhow!("not an answer to status: {other:?}"))),
        }
    }

    /// Asks the running agent.
    async fn call(&self, ask: &Ask) -> Result<Answer, Failure> {
        let answer = socket::call(&self.raw()?.socket_path(), ask).await.map_err(unanswered)?;
        match answer {
            Answer::Refused(problem) => Err((Exit::Usage, anyhow::anyhow!(problem))),
            Answer::Failed(problem) => Err((Exit::Failure, anyhow::anyhow!(problem))),
            answer => Ok(answer),
        }
    }
}

fn unanswered(error: CallError) -> Failure {
    match error {
        CallError::NotRunning(_) => (Exit::NotRunning, error.into()),
        _ => (Exit::Failure, error.into()),
    }
}

/// As JSON for people who read it, too.
fn pretty(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| (Exit::Failure, error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}

//! The command line: one file a subcommand.

mod completions;
mod config;
mod doctor;
mod emit;
mod identity;
mod keys;
mod run;
mod simulate;
mod sources;
mod status;
mod tail;
mod version;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tracing::Level;

use crate::health::Status;
use crate::log;
use crate::settings::{DEFAULT_FILE, Places};
use crate::socket::{self, Answer, Ask, CallError};

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  failure
  2  wrong usage, flags, variables or event, or settings that are wrong: trying again will not help
  3  the agent is not running, or has stopped (emit, status, tail)
  4  another agent is already running on this state folder (run)

`run` logs to agent.log in the state folder, and on macOS to the unified log (subsystem io.emote.agent). To \
standard error goes what is logged only on a terminal, with --log-stderr or with EMOTE_LOG, which chooses what \
(error, warn, info, debug).";

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
        // Thousands of connections are not told one by one.
        let level = if matches!(self.command, Command::Simulate(_)) { Level::ERROR } else { Level::INFO };
        log::begin(self.log_stderr, level);
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
    Completions(completions::CompletionsArgs),
    Config(config::ConfigArgs),
    Doctor(Box<doctor::DoctorArgs>),
    Identity(identity::IdentityArgs),
    Simulate(Box<simulate::SimulateArgs>),
}

/// Between two tries to reach an agent that may be back in a moment.
const RETRY: Duration = Duration::from_millis(50);

/// Where the running agent is found.
#[derive(Debug, Clone, Args)]
struct Place {
    #[arg(long, value_name = "FILE", env = "EMOTE_AGENT_CONFIG", help = format!("TOML file with settings; what is \
        managed goes before it, flags and EMOTE_AGENT_ variables before both [default: {DEFAULT_FILE}]"))]
    config: Option<PathBuf>,
    /// Property list to read instead of the managed preferences of this machine, for trying out
    #[arg(long, value_name = "FILE", hide = true)]
    managed: Option<PathBuf>,
    #[command(flatten)]
    keys: keys::Keys<true>,
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
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Run(arguments) => run::run(*arguments).await,
            Command::Emit(arguments) => emit::run(arguments).await,
            Command::Status(arguments) => status::run(arguments).await,
            Command::Sources(arguments) => sources::run(arguments).await,
            Command::Tail(arguments) => tail::run(arguments).await,
            Command::Config(arguments) => config::run(arguments).await,
            Command::Doctor(arguments) => doctor::run(*arguments).await,
            Command::Identity(arguments) => identity::run(arguments).await,
            Command::Version(arguments) => version::run(arguments).await,
            Command::Completions(arguments) => completions::run(&arguments),
            Command::Simulate(arguments) => simulate::run(*arguments).await,
        }
    });
    // Dropped, it would wait for a look that never comes back.
    runtime.shutdown_background();
    ended
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
    /// Where settings are read.
    fn places(&self) -> Places {
        let keys::Keys { flags, environment } = self.keys.clone();
        Places { file: self.config.clone(), managed: self.managed.clone(), environment, flags }
    }

    /// Where the running agent listens.
    fn socket(&self) -> PathBuf {
        self.places().load().settings.socket
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
        self.call_within(Duration::ZERO, ask).await
    }

    /// Asks the running agent. One that puts itself together anew does not listen for a moment: so long it is asked again.
    async fn call_within(&self, patience: Duration, ask: &Ask) -> Result<Answer, Failure> {
        let socket = self.socket();
        let deadline = tokio::time::Instant::now() + patience;
        let answer = loop {
            match socket::call(&socket, ask).await {
                Err(CallError::NotRunning(_)) if tokio::time::Instant::now() < deadline => {}
                answer => break answer.map_err(unanswered)?,
            }
            tokio::time::sleep(RETRY).await;
        };
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
    use crate::settings::keys as registry;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_paragraph_of_the_help_is_one_line_that_is_wrapped_as_wide_as_the_terminal_is() {
        let mut commands = vec![Cli::command()];
        while let Some(command) = commands.pop() {
            commands.extend(command.get_subcommands().cloned());
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines().filter(|line| !line.starts_with("  ") && !line.is_empty()) {
                assert!(line.ends_with(['.', ':']), "{}: {line}", command.get_name());
            }
            let examples = help.lines().filter(|line| line.starts_with("  "));
            for line in examples {
                assert!(line.len() <= 100, "{}: {line}", command.get_name());
            }
        }
    }

    #[test]
    fn every_key_is_a_flag_and_a_variable_of_run_and_no_other_flag_is_one() {
        let command = Cli::command();
        let run = command.find_subcommand("run").unwrap();
        for key in registry::general() {
            let argument = run.get_arguments().find(|argument| argument.get_id() == &*key.name).unwrap();
            assert_eq!(argument.get_long().map(str::to_owned), key.flag(), "{}", key.name);
            assert_eq!(argument.get_env().unwrap().to_str(), Some(&*key.variable()));
        }
        let others = ["config", "managed", "disable"];
        let all = run.get_arguments().filter(|argument| !others.contains(&argument.get_id().as_str())).count();
        assert_eq!(all, registry::general().len());
    }

    #[test]
    fn what_the_command_line_says_of_keys_is_read_as_in_a_file() {
        let line = "emote-agent run --server tls://a --server tls://b,tls://c --insecure --heartbeat 1m --disable disk";
        let Command::Run(arguments) = Cli::parse_from(line.split(' ')).command else { panic!() };
        let loaded = arguments.layers.places().load();
        let shown = |key: &str| loaded.values.get(key).unwrap().shown.clone();
        assert_eq!(shown("server"), "tls://a:4222, tls://b:4222, tls://c:4222");
        assert_eq!((shown("insecure"), shown("heartbeat")), ("true".into(), "1m".into()));
        assert_eq!(shown("sources.disk.enabled"), "false");
        let Command::Run(arguments) = Cli::parse_from(["emote-agent", "run", "--insecure=false"]).command else {
            panic!()
        };
        assert!(!arguments.layers.places().load().settings.insecure);
    }
}

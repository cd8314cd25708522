//! `emote-packaging`'s command line: one file a subcommand.

mod dev_identity;
mod info;
mod pkg;
mod profile;
mod verify;

use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use jiff::Timestamp;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const AFTER_HELP: &str = "\
Exit codes: 0 done, and all is well · 1 it failed, or a package is not what it should be · 2 wrong usage";

/// Builds, signs and proves the packages of Emote, and writes what an MDM deploys them with.
#[derive(Debug, clap::Parser)]
#[command(name = "emote-packaging", version, after_help = AFTER_HELP, max_term_width = 120)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Pkg(Box<pkg::PkgArgs>),
    Verify(verify::VerifyArgs),
    Info(info::InfoArgs),
    DevIdentity(dev_identity::DevIdentityArgs),
    Profile(profile::ProfileArgs),
}

/// How something is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// A package that is looked at.
#[derive(Debug, clap::Args)]
struct Package {
    /// The package
    #[arg(value_name = "PKG")]
    path: PathBuf,
}

impl Package {
    fn read(&self) -> anyhow::Result<Vec<u8>> {
        crate::pkg::tree::read(&self.path)
    }
}

/// When nothing else is said: 1 January 2026. Its being fixed is what makes what is written the same.
const TIME: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// The time that is written into files.
#[derive(Debug, clap::Args)]
struct Time {
    /// Of everything in it, in seconds since 1970 [default: 2026-01-01]
    #[arg(long = "time", env = "SOURCE_DATE_EPOCH", value_name = "SECONDS")]
    seconds: Option<i64>,
}

impl Time {
    fn get(&self) -> anyhow::Result<Timestamp> {
        self.seconds.map_or(Ok(TIME), Timestamp::from_second).context("--time")
    }
}

/// The program.
pub fn main_of(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Pkg(arguments) => pkg::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Info(arguments) => info::run(&arguments),
        Command::DevIdentity(arguments) => dev_identity::run(&arguments),
        Command::Profile(arguments) => profile::run(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("{ERROR}error:{ERROR:#} {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// To standard output; a reader that has seen enough, such as `head`, is no failure.
fn print(text: impl std::fmt::Display) -> anyhow::Result<()> {
    let mut stdout = anstream::stdout();
    match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("writing to standard output"),
    }
}

/// Now, in seconds since 1970.
fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or_default()
}

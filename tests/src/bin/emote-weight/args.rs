//! The command line.

use std::path::PathBuf;

use clap::Parser;

const AFTER: &str = "\
Example:
  cargo build --profile agent -p emote-agent
  cargo run -p emote-tests --bin emote-weight -- --agent target/agent/emote-agent --seconds 600

The peers are taken from Debian's archive into a folder that is removed again (apt-get download, dpkg -x; nothing is
installed) and run as their packages configure them, bound to loopback. Where that is not possible they are left out.
CPU time, switches and bytes are counted by the system for each process alone, so other load hardly changes them; the
time to the first event is that of the whole machine. Wakeups are voluntary context switches.

Exit code: 0 the agent is within its goals, 1 it is not, 2 it could not be measured.";

/// Measure what an idle agent costs, beside others
#[derive(Debug, Parser)]
#[command(name = "emote-weight", version, after_help = AFTER)]
pub(crate) struct Options {
    /// The agent's program, built with the profile `agent`
    #[arg(long, value_name = "FILE", default_value = "target/agent/emote-agent")]
    pub(crate) agent: PathBuf,
    /// How long everything is watched while it idles
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(5..=86_400))]
    pub(crate) seconds: u64,
    /// How long it may settle before
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub(crate) settle: u64,
    /// Starts of which the time to the first stored event is the median
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) starts: u32,
    /// Beside what; repeat or separate by commas, `none` for nothing
    #[arg(long, value_name = "PACKAGE", value_delimiter = ',', default_values_t = crate::peers::names())]
    pub(crate) peers: Vec<String>,
    /// Write the figures as JSON, too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Where state is kept while it runs; a memory file system counts no writes [default: the system's for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// More arguments for the agent, such as `--poll=10s`
    #[arg(last = true)]
    pub(crate) more: Vec<String>,
}

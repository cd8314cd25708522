//! `emote-agent version`.

use clap::Args;
use serde::Serialize;

use super::{Exit, Failure, Output, Place};
use crate::VERSION;

/// Show this program's version, and the running agent's
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  emote-agent version\n  emote-agent version -o json")]
pub(super) struct VersionArgs {
    #[command(flatten)]
    place: Place,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Serialize)]
struct Versions {
    version: &'static str,
    system: &'static str,
    architecture: &'static str,
    /// The running agent's, which may be older until it is restarted.
    running: Option<String>,
}

pub(super) async fn run(arguments: VersionArgs) -> Result<(), Failure> {
    let running = match arguments.place.status().await {
        Ok(status) => Some(status.version),
        Err((Exit::Usage, error)) => return Err((Exit::Usage, error)),
        // None runs, or it is another user's: this program's own version is known all the same.
        Err(_) => None,
    };
    let (system, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    let versions = Versions { version: VERSION, system, architecture, running };
    super::print(&match arguments.output {
        Output::Json => super::pretty(&versions)?,
        Output::Table => table(&versions),
    })
}

fn table(versions: &Versions) -> String {
    let running = match &versions.running {
        None => "none answers here".into(),
        Some(running) if running == versions.version => running.clone(),
        Some(running) => format!("{running}: restart it to run {}", versions.version),
    };
    format!("emote-agent {} ({} {})\nrunning     {running}\n", versions.version, versions.system, versions.architecture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_still_runs_the_old_version_is_told() {
        let versions = |running: Option<&str>| Versions {
            version: "2.0",
            system: "macos",
            architecture: "aarch64",
            running: running.map(str::to_owned),
        };
        assert_eq!(table(&versions(Some("2.0"))), "emote-agent 2.0 (macos aarch64)\nrunning     2.0\n");
        assert!(table(&versions(Some("1.9"))).ends_with("running     1.9: restart it to run 2.0\n"));
        assert!(table(&versions(None)).ends_with("none answers here\n"));
    }
}

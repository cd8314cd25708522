//! `emote-packaging dev-identity`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::print;
use crate::pkg::development;

/// Make a pair of certificates that sign packages for development, and for nothing else
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  emote-packaging dev-identity --out target/dev-identity")]
pub(super) struct DevIdentityArgs {
    /// Folder to write application.pem and installer.pem into; nothing is overwritten
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run(arguments: &DevIdentityArgs) -> anyhow::Result<ExitCode> {
    for path in development::make(&arguments.out, jiff::Timestamp::now())? {
        print(format!("{}\n", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

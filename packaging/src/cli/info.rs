//! `emote-packaging info`.

use std::process::ExitCode;

use anyhow::{Context, anyhow};

use super::{Output, Package, print};
use crate::pkg::inspect::Info;

/// Show what is in a package; `verify` proves it
#[derive(Debug, clap::Args)]
pub(super) struct InfoArgs {
    #[command(flatten)]
    package: Package,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub(super) fn run(arguments: &InfoArgs) -> anyhow::Result<ExitCode> {
    let bytes = arguments.package.read()?;
    let info = Info::of(&bytes).map_err(|problem| anyhow!(problem));
    let info = info.with_context(|| arguments.package.path.display().to_string())?;
    match arguments.output {
        Output::Table => print(info.table())?,
        Output::Json => print(serde_json::to_string_pretty(&info)? + "\n")?,
    }
    Ok(ExitCode::SUCCESS)
}

//! `emote-packaging verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::{ERROR, Output, Package, WARNING, now, print};
use crate::pkg::verify::{Demands, Report, Trust, verify};

/// Prove a package from its bytes: signatures, notarization, and that all of its parts say the same
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  emote-packaging verify EmoteAgent.pkg
  emote-packaging verify --development target/EmoteAgent-dev.pkg")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    package: Package,
    /// Take a package that a pair of `dev-identity` signed: proves that nothing was changed, not who made it
    #[arg(long, group = "whose")]
    development: bool,
    /// Trust these certificates (PEM) in place of Apple's root
    #[arg(long, value_name = "FILE", group = "whose")]
    trust: Option<PathBuf>,
    /// Look at what is in a package that nobody signed
    #[arg(long, group = "whose")]
    unsigned: bool,
    /// Take one without a ticket of Apple's
    #[arg(long)]
    not_notarized: bool,
    /// How to print what was found
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub(super) fn run(arguments: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let mut demands = match &arguments.trust {
        _ if arguments.development => Demands::development(now()),
        _ if arguments.unsigned => Demands::unsigned(now()),
        None => Demands::release(now()),
        Some(path) => {
            let pem = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            let trust = Trust::anchors(&pem).with_context(|| path.display().to_string())?;
            Demands { trust: Some(trust), secure_time: false, ..Demands::development(now()) }
        }
    };
    demands.ticket &= !arguments.not_notarized;
    let report = verify(&arguments.package.read()?, &demands);
    match arguments.output {
        Output::Table => tell(&report)?,
        Output::Json => print(serde_json::to_string_pretty(&report)? + "\n")?,
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints what was found.
pub(super) fn tell(report: &Report) -> anyhow::Result<()> {
    for proven in &report.proven {
        print(format!("ok     {proven}\n"))?;
    }
    for warning in &report.warnings {
        print(format!("{WARNING}WARN{WARNING:#}   {warning}\n"))?;
    }
    for problem in &report.problems {
        print(format!("{ERROR}WRONG{ERROR:#}  {problem}\n"))?;
    }
    Ok(())
}

//! `emote schema show`

use super::{Named, none_known, record, version_of};
use crate::{
    cli::{Exit, Output, connect::Asking, print_line, render},
    schema::{
        discover::{Record, Version},
        events::Vocabulary,
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// SCOPE, SCOPE.ACTION, event; or a discovered SOURCE.SCOPE.ACTION, with @VERSION for an older one
    name: String,
    /// Of a discovered one: each version with what changed, instead of the schema
    #[arg(long)]
    versions: bool,
    #[command(flatten)]
    ask: Asking,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let (name, version) = match Named::read(&args.name)? {
        Named::Known(name) => return known(name, &args),
        Named::Discovered(name, version) => (name, version),
    };
    let record = record(&args.ask.connect().await?, name).await?;
    let version = match (version_of(record.as_ref(), name, version), &record) {
        (Ok(_), Some(record)) if args.versions => return versions(record, args.ask.output),
        (Ok(version), _) => version,
        (Err(said), _) => {
            anstream::eprintln!("{said}");
            return Ok(Exit::NotFound);
        }
    };
    print_line(serde_json::to_string_pretty(&version.schema)?)?;
    Ok(Exit::Ok)
}

fn known(name: &str, args: &Args) -> anyhow::Result<Exit> {
    let own = args.ask.server.folder.vocabulary()?;
    let Some(schema) = own.as_deref().unwrap_or_else(|| Vocabulary::built_in()).schema(name) else {
        return Ok(none_known(name));
    };
    print_line(serde_json::to_string_pretty(&schema)?)?;
    Ok(Exit::Ok)
}

fn versions(record: &Record, output: Output) -> anyhow::Result<Exit> {
    for version in &record.versions {
        match output {
            Output::Json => print_line(serde_json::to_string(version)?)?,
            Output::Table => print_line(shown(version))?,
        };
    }
    Ok(Exit::Ok)
}

fn shown(version: &Version) -> String {
    let (bold, dim) = (render::BOLD, render::DIM);
    let mut lines = vec![format!(
        "{bold}version {}{bold:#}  {dim}{} after {} events:{dim:#} {}",
        version.version,
        version.since,
        version.events,
        if version.version == 1 { "the first" } else { version.compatibility.word() },
    )];
    lines.extend(version.changes.iter().map(|change| format!("  {}", super::compare::line(change))));
    lines.join("\n")
}

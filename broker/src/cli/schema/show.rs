//! `emote schema show`

use super::{discovered_name, record};
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
    let Some((name, version)) = discovered_name(&args.name) else { return built_in(&args) };
    let bus = args.ask.connect().await?;
    let Some(record) = record(&bus, name).await? else {
        anstream::eprintln!("No schema of {name} was discovered: `emote schema ls --discovered` lists them");
        return Ok(Exit::NotFound);
    };
    if args.versions {
        return versions(&record, args.ask.output);
    }
    let Some(version) = record.version(version) else {
        let known: Vec<String> = record.versions.iter().map(|version| version.version.to_string()).collect();
        anstream::eprintln!("There is no such version of {name}: there are {}", known.join(", "));
        return Ok(Exit::NotFound);
    };
    print_line(serde_json::to_string_pretty(&version.schema)?)?;
    Ok(Exit::Ok)
}

fn built_in(args: &Args) -> anyhow::Result<Exit> {
    let Some(schema) = Vocabulary::built_in().schema(&args.name) else {
        anstream::eprintln!("There is no schema {}: `emote schema ls` lists them", args.name);
        return Ok(Exit::NotFound);
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

//! `emote archive`: what is archived, whether all of it is whole, and the events in it. Needs the folder, and no broker.

mod get;
mod ls;
mod verify;

use std::path::Path;

use anyhow::Context;
use emote_proto::{Name, Time};

use super::{Exit, Output, folder::FolderArgs};
use crate::{
    archive::{Archive, ArchiveSpec, Wanted},
    config::{Folder, fields::duration},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Where the archive is, emote.yaml says (archive: {to: s3://bucket/emote}); broker/docs/archive.md is all of it.

  emote archive ls --from 2026-11-01
  emote archive verify
  emote archive get --from 2026-11-20 --to 2026-11-21 --node C02XL0GTJGH5 -o json

Times are days (2026-11-26), moments (2026-11-26T09:00:00Z) or how long ago (24h), all of when an event was received, in UTC.")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the days and sources that are archived, with counts; --segments for each object
    Ls(ls::Args),
    /// Read all of it through: manifests, checksums, sequences. Exit code 1 where something is wrong
    Verify(verify::Args),
    /// Print events
    Get(get::Args),
}

/// Which archive, and how to print.
#[derive(Debug, Clone, clap::Args)]
struct Common {
    #[command(flatten)]
    folder: FolderArgs,
    /// What to print: table, or json, one value a line where there are several
    #[arg(long, short, value_enum, hide_possible_values = true, default_value_t)]
    output: Output,
}

/// Of what time and source.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Range {
    /// Only what was received then or later
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<Time>,
    /// Only what was received before
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<Time>,
    /// Only this source, such as agent, nanomdm, okta
    #[arg(long)]
    source: Option<Name>,
}

impl Range {
    pub(super) fn wanted(&self) -> Wanted {
        Wanted { source: self.source.as_ref().map(Name::to_string), from: self.from, to: self.to, up_to: None }
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Ls(args) => ls::run(args).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Get(args) => get::run(args).await,
    }
}

impl Common {
    fn open(&self) -> anyhow::Result<Archive> {
        let folder = self.folder.found()?;
        let (archive, _) = open(folder)?.with_context(|| {
            format!(
                "{}: there is no archive in it: archive: {{to: …}} says where it is",
                folder.join("emote.yaml").display()
            )
        })?;
        Ok(archive)
    }
}

/// The archive of a folder, where it has one.
pub(super) fn open(folder: &Path) -> anyhow::Result<Option<(Archive, ArchiveSpec)>> {
    let Some(spec) = Folder::settings(folder)?.archive else { return Ok(None) };
    let depot = spec.open(folder).context("emote.yaml: archive")?;
    Ok(Some((Archive::new(depot), spec)))
}

/// A day, a moment, or how long ago.
pub(super) fn parse_time(text: &str) -> Result<Time, String> {
    let day = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.into());
    }
    if let Some(day) = day() {
        return Ok(day.timestamp().into());
    }
    let ago = duration(text)
        .map_err(|_| "expected a day (2026-11-26), a moment (2026-11-26T09:00:00Z) or how long ago (24h)")?;
    Ok(super::events::before_now(ago))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_days_moments_or_how_long_ago() {
        let shown = |text| parse_time(text).map(|time| time.to_string());
        assert_eq!(shown("2026-11-26").unwrap(), "2026-11-26T00:00:00.000Z");
        assert_eq!(shown("2026-11-26T10:00:00+01:00").unwrap(), "2026-11-26T09:00:00.000Z");
        let then = parse_time("2h").unwrap();
        let ago = jiff::Timestamp::now().as_millisecond() - then.as_millis();
        assert!((7_200_000..7_260_000).contains(&ago));
        for text in ["", "yesterday", "2026-13-01", "-2h"] {
            assert!(shown(text).is_err(), "{text}");
        }
    }
}

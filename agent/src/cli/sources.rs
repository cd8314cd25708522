//! `emote-agent sources`.

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::Args;
use emote_proto::Time;
use serde::Serialize;
use serde_json::Value;

use super::{Exit, Failure, Output, Place};
use crate::health::SourceStatus;
use crate::platform::{Real, System};
use crate::sources::{self, About, Timing};

/// Show what the agent observes, or what one source sees now
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  emote-agent sources
  emote-agent sources disk          what that source sees on this machine, now
  emote-agent sources -o json | jq '.[] | select(.error)'")]
pub(super) struct SourcesArgs {
    #[command(flatten)]
    place: Place,
    /// Let this source look, and show what it sees
    #[arg(value_name = "SOURCE")]
    name: Option<String>,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// One source: what it is, and how the running agent says it does.
#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    about: &'static str,
    /// Whether it can look on this system.
    here: bool,
    /// Whether the running agent lets it look; unknown without one.
    enabled: Option<bool>,
    interval_seconds: f64,
    debounce_seconds: f64,
    observed: Option<Time>,
    error: Option<String>,
}

pub(super) async fn run(arguments: SourcesArgs) -> Result<(), Failure> {
    if let Some(name) = &arguments.name {
        return look(name);
    }
    let running = match arguments.place.status().await {
        Ok(status) => Some(status.sources),
        Err((Exit::Usage, error)) => return Err((Exit::Usage, error)),
        Err((_, error)) => {
            eprintln!("{error:#}; the defaults follow");
            None
        }
    };
    let rows: Vec<Row> = sources::list().iter().map(|about| row(about, running.as_ref())).collect();
    super::print(&match arguments.output {
        Output::Json => super::pretty(&rows)?,
        Output::Table => table(&rows, jiff::Timestamp::now().into()),
    })
}

fn look(name: &str) -> Result<(), Failure> {
    let seen = sources::look(name, &Real).map_err(|error| (Exit::Usage, anyhow::anyhow!(error)))?;
    let seen: Value = seen.map_err(|error| (Exit::Failure, anyhow::Error::from(error).context(name.to_owned())))?;
    super::print(&super::pretty(&seen)?)
}

fn row(about: &About, running: Option<&BTreeMap<String, SourceStatus>>) -> Row {
    let status = running.and_then(|sources| sources.get(about.name));
    let Timing { interval, debounce } = status.and_then(|status| status.timing).unwrap_or(about.timing);
    Row {
        name: about.name,
        about: about.about,
        here: about.on.contains(&System::HERE),
        enabled: running.map(|_| status.is_some()),
        interval_seconds: interval.as_secs_f64(),
        debounce_seconds: debounce.as_secs_f64(),
        observed: status.and_then(|status| status.observed),
        error: status.and_then(|status| status.error.clone()),
    }
}

fn table(rows: &[Row], now: Time) -> String {
    let mut text = format!("{:<15}{:<9}{:<9}{:<13}{}\n", "SOURCE", "EVERY", "DEBOUNCE", "LOOKED", "WHAT");
    for row in rows {
        let looked = match (row.here, row.enabled, row.observed) {
            (false, ..) => "not here".into(),
            (_, Some(false), _) => "disabled".into(),
            (_, None, _) => "-".into(),
            (_, Some(true), observed) => observed.map_or("never".into(), |time| super::status::ago(time, now)),
        };
        let (every, debounce) = (seconds(row.interval_seconds), seconds(row.debounce_seconds));
        // Writing to a string cannot fail.
        writeln!(text, "{:<15}{every:<9}{debounce:<9}{looked:<13}{}", row.name, row.about).ok();
        if let Some(error) = &row.error {
            writeln!(text, "{:<15}cannot look: {error}", "").ok();
        }
    }
    text
}

fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s * 1_000.0),
        s if s < 120.0 => format!("{s} s"),
        s if s < 7_200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h", s / 3_600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_table_says_how_each_source_does() {
        let about = |name, on| About {
            name,
            about: "things",
            on,
            timing: Timing { interval: Duration::from_secs(3_600), debounce: Duration::from_millis(500) },
        };
        let status = |error: Option<&str>| SourceStatus {
            observed: Time::from_millis(0),
            error: error.map(str::to_owned),
            timing: Some(Timing { interval: Duration::from_secs(60), debounce: Duration::from_secs(2) }),
        };
        let running = BTreeMap::from([("a".to_owned(), status(None)), ("b".to_owned(), status(Some("no disk")))]);
        let rows: Vec<Row> =
            [about("a", System::ALL), about("b", System::ALL), about("c", System::ALL), about("d", &[])]
                .iter()
                .map(|about| row(about, Some(&running)))
                .collect();
        let expected = "\
SOURCE         EVERY    DEBOUNCE LOOKED       WHAT
a              60 s     2 s      10 s ago     things
b              60 s     2 s      10 s ago     things
               cannot look: no disk
c              60 min   500 ms   disabled     things
d              60 min   500 ms   not here     things
";
        assert_eq!(table(&rows, Time::from_millis(10_000).unwrap()), expected);
    }
}

//! `emote-agent status`.

use std::fmt::Write;

use clap::Args;
use emote_proto::Time;

use super::identity::{ahead, left, words};
use super::{Failure, Output, Place};
use crate::health::{IdentityStatus, Standing, Status};

/// Show how the running agent is doing
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  emote-agent status\n  emote-agent status -o json | jq .uplink.connected")]
pub(super) struct StatusArgs {
    #[command(flatten)]
    place: Place,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub(super) async fn run(arguments: StatusArgs) -> Result<(), Failure> {
    let status = arguments.place.status().await?;
    let text = match arguments.output {
        Output::Table => table(&status, jiff::Timestamp::now().into()),
        Output::Json => super::pretty(&status)?,
    };
    super::print(&text)
}

fn table(status: &Status, now: Time) -> String {
    let uplink = &status.uplink;
    let when = |time: Option<Time>| time.map_or_else(|| "never".into(), |time| ago(time, now));
    let mut rows = vec![
        (
            "agent",
            format!(
                "{}, serial {}, pid {}, up {}",
                status.version,
                status.serial,
                status.pid,
                since(status.started, now)
            ),
        ),
        ("server", if uplink.servers.is_empty() { "none known: set server".into() } else { uplink.servers.join(", ") }),
        (
            "connected",
            match &uplink.server {
                Some(server) if uplink.connected => format!("yes, to {server}"),
                _ => "no".into(),
            },
        ),
        (
            "last stored",
            match uplink.last_sequence {
                Some(sequence) => format!("{}, stream sequence {sequence}", when(uplink.last_ack)),
                None => when(uplink.last_ack),
            },
        ),
        (
            "waiting",
            match status.spool.oldest {
                Some(oldest) => format!(
                    "{} events, {} of {} bytes, oldest {}",
                    status.spool.count,
                    status.spool.bytes,
                    status.spool.quota,
                    ago(oldest, now)
                ),
                None => "nothing".into(),
            },
        ),
    ];
    if let Some(clock) = uplink.clock {
        rows.push(("clock", format!("{} ms from the broker's, ±{}", clock.offset_ms, clock.uncertainty_ms)));
    }
    rows.extend(identity(&status.identity, now).map(|said| ("identity", said)));
    if let Some(conflict) = uplink.conflict {
        let (count, at) = (conflict.count, ago(conflict.at, now));
        rows.push(("conflict", format!("somebody else wrote under this serial number {count} times, last {at}")));
    }
    if let Some(error) = &uplink.last_error {
        rows.push(("trouble", error.clone()));
    }
    if !status.problems.is_empty() {
        rows.push(("settings", format!("{} problems: see emote-agent config show", status.problems.len())));
    }
    let mut text = String::new();
    for (key, value) in rows {
        // Writing to a string cannot fail.
        writeln!(text, "{key:<12}{value}").ok();
    }
    let failing = status.sources.iter().filter_map(|(name, source)| Some((name, source.error.as_ref()?)));
    let looking = status.sources.values().filter(|source| source.error.is_none()).count();
    writeln!(text, "{:<12}{looking} of {} look (see emote-agent sources)", "sources", status.sources.len()).ok();
    for (name, error) in failing {
        writeln!(text, "{:<12}{name} cannot: {error}", "").ok();
    }
    text
}

/// `None` when there is nothing to be said of it.
fn identity(identity: &IdentityStatus, now: Time) -> Option<String> {
    if matches!(identity.standing, Standing::None | Standing::Settings) {
        return None;
    }
    let key = identity.fingerprint.as_ref().map(|key| format!(", key {key}"));
    let until = identity.expires.map(|at| format!(", {}", left(at, now)));
    // Of one that holds, the time of its renewal concerns nobody.
    let next = identity.asks_next.filter(|_| identity.standing != Standing::Enrolled);
    let next = next.map(|at| format!(", next try {}", ahead(at, now)));
    Some([words(identity, now)].into_iter().chain(key).chain(until).chain(next).collect())
}

fn since(time: Option<Time>, now: Time) -> String {
    span(time.map_or(0, |time| now.millis_since(time).max(0) / 1000))
}

/// How long, for people.
pub(super) fn span(seconds: i64) -> String {
    match seconds {
        ..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

pub(super) fn ago(time: Time, now: Time) -> String {
    format!("{} ago", since(Some(time), now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{SourceStatus, SpoolStatus, UplinkStatus};

    #[test]
    fn a_credential_of_its_own_is_a_row_and_none_is_none() {
        let now = Time::from_millis(0).unwrap();
        assert_eq!(identity(&IdentityStatus::default(), now), None);
        let status = IdentityStatus {
            standing: Standing::Enrolled,
            fingerprint: Some("ABCD".into()),
            expires: Time::from_millis(7_200_000),
            ..IdentityStatus::default()
        };
        assert_eq!(identity(&status, now).unwrap(), "enrolled, key ABCD, 2 h left");
        let denied = IdentityStatus { standing: Standing::Denied, expires: None, ..status };
        let denied = IdentityStatus { asks_next: Time::from_millis(900_000), ..denied };
        assert_eq!(identity(&denied, now).unwrap(), "denied, key ABCD, next try in 15 min");
    }

    #[test]
    fn the_table_says_what_matters() {
        let at = |millis| Time::from_millis(millis);
        let mut status = Status {
            version: "1.0".into(),
            pid: 7,
            serial: "C02".into(),
            started: at(0),
            uplink: UplinkStatus { servers: vec!["tls://a:4222".into()], ..UplinkStatus::default() },
            spool: SpoolStatus { count: 2, bytes: 600, quota: 1000, oldest: at(60_000) },
            ..Status::default()
        };
        let source = |error: Option<&str>| SourceStatus { error: error.map(str::to_owned), ..SourceStatus::default() };
        status.sources = [("disk".into(), source(None)), ("os".into(), source(Some("no answer")))].into();
        let expected = "\
agent       1.0, serial C02, pid 7, up 60 min
server      tls://a:4222
connected   no
last stored never
waiting     2 events, 600 of 1000 bytes, oldest 59 min ago
sources     1 of 2 look (see emote-agent sources)
            os cannot: no answer
";
        assert_eq!(table(&status, at(3_610_000).unwrap()), expected);
    }
}

//! `emote-agent identity`.

use std::fmt::Write;

use clap::{Args, Subcommand};
use emote_proto::Time;
use serde::Serialize;

use super::run::LayerArgs;
use super::status::span;
use super::{Exit, Failure, Output};
use crate::credential::look;
use crate::health::{IdentityStatus, Standing};
use crate::platform::{self, Real};

const EXAMPLES: &str = "\
Examples:
  sudo emote-agent identity show
  sudo emote-agent identity show -o json | jq -r .fingerprint

The fingerprint is the one that `emote agents pending` shows: compare the two before you approve. A machine that waits or \
is denied asks again at the time that is shown, and at once after SIGHUP.";

/// Show the credential of this machine's own
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(super) struct IdentityArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show serial number, key, and how long the credential holds; asks the running agent if there is one
    #[command(after_help = EXAMPLES)]
    Show(Box<ShowArgs>),
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    layers: LayerArgs,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Serialize)]
struct Shown {
    /// Whether the running agent said so; else it is what is in the state folder.
    running: bool,
    serial: Option<String>,
    #[serde(flatten)]
    identity: IdentityStatus,
    /// Where the key's seed rests.
    seed: Option<&'static str>,
}

pub(super) async fn run(arguments: IdentityArgs) -> Result<(), Failure> {
    let Command::Show(arguments) = arguments.command;
    let settings = arguments.layers.places().load().settings;
    let found = look(&settings.state_dir);
    let seed = found.as_ref().ok().and_then(|found| found.as_ref()?.seed);
    let shown = match arguments.layers.place.status().await {
        Ok(status) => Shown { running: true, serial: Some(status.serial), identity: status.identity, seed },
        Err((Exit::NotRunning, _)) => {
            let found =
                found.map_err(|error| (Exit::Failure, anyhow::Error::from(error).context("the state folder")))?;
            let own = settings.serial.clone().or_else(|| platform::hardware(&Real).serial);
            let serial = found.as_ref().map(|found| found.machine.serial.clone()).or(own);
            let none = if settings.say_who() { Standing::Settings } else { Standing::None };
            let none = IdentityStatus { standing: none, ..IdentityStatus::default() };
            let identity = found.map_or(none, |found| found.status);
            Shown { running: false, serial: serial.map(|serial| serial.to_string()), identity, seed }
        }
        Err(failure) => return Err(failure),
    };
    super::print(&match arguments.output {
        Output::Json => super::pretty(&shown)?,
        Output::Table => table(&shown, jiff::Timestamp::now().into()),
    })
}

fn table(shown: &Shown, now: Time) -> String {
    let Shown { running, serial, identity, seed } = shown;
    let expires = identity.expires.map(|at| format!("{at}, {}", left(at, now)));
    let next = identity.asks_next.map(|at| format!("{at}, {}", ahead(at, now)));
    let rows = [
        ("serial", serial.clone()),
        ("state", Some(words(identity, now))),
        ("fingerprint", identity.fingerprint.clone()),
        ("public key", identity.public_key.clone()),
        ("kept in", seed.map(str::to_owned)),
        ("until", expires),
        ("said", identity.said.clone()),
        (if identity.standing == Standing::Refused { "tries next" } else { "asks next" }, next),
    ];
    let mut text = String::new();
    for (key, value) in rows.into_iter().filter_map(|(key, value)| Some((key, value?))) {
        // Writing to a string cannot fail.
        writeln!(text, "{key:<12}{value}").ok();
    }
    if !running {
        text += "\nNo agent answers: this is what the state folder holds.\n";
    }
    text
}

/// How it stands, for people.
pub(super) fn words(identity: &IdentityStatus, now: Time) -> String {
    let mut words = match identity.standing {
        Standing::Enrolled if identity.expires.is_some_and(|at| at <= now) => "enrolled once, and that is over".into(),
        standing => standing.words().to_owned(),
    };
    if identity.changing_keys {
        words += ", another key is under way";
    }
    words
}

/// How long it holds, for people.
pub(super) fn left(at: Time, now: Time) -> String {
    if at <= now { "over".into() } else { format!("{} left", span(at.millis_since(now) / 1_000)) }
}

/// In how long, for people.
pub(super) fn ahead(at: Time, now: Time) -> String {
    if at <= now { "any moment".into() } else { format!("in {}", span(at.millis_since(now) / 1_000)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_an_administrator_compares() {
        let at = |hours: i64| Time::from_millis(hours * 3_600_000).unwrap();
        let identity = IdentityStatus {
            standing: Standing::Enrolled,
            public_key: Some("UABC".into()),
            fingerprint: Some("ABCD-EFGH".into()),
            expires: Some(at(96)),
            ..IdentityStatus::default()
        };
        let mut shown = Shown { running: true, serial: Some("C02".into()), identity, seed: Some("a file") };
        let expected = "\
serial      C02
state       enrolled
fingerprint ABCD-EFGH
public key  UABC
kept in     a file
until       1970-01-05T00:00:00.000Z, 4 d left
";
        assert_eq!(table(&shown, at(0)), expected);
        (shown.running, shown.seed) = (false, None);
        let expected = "\
serial      C02
state       enrolled once, and that is over
fingerprint ABCD-EFGH
public key  UABC
until       1970-01-05T00:00:00.000Z, over

No agent answers: this is what the state folder holds.
";
        assert_eq!(table(&shown, at(96)), expected);
    }

    #[test]
    fn each_state_says_what_is_so_and_when_it_asks_next() {
        let minutes = |count: i64| Time::from_millis(count * 60_000);
        for (standing, expected) in [
            (
                Standing::Asking,
                "state       asking to be enrolled\nsaid        s\nasks next   1970-01-01T00:20:00.000Z",
            ),
            (Standing::Pending, "state       waiting to be approved\nsaid        s\nasks next   1970-01-01T00:20"),
            (Standing::Denied, "state       denied\nsaid        s\nasks next   1970-01-01T00:20:00.000Z, in 15 min\n"),
            (Standing::Refused, "state       refused: no server takes it\nsaid        s\ntries next  1970-01-01T00:20"),
        ] {
            let identity =
                IdentityStatus { standing, said: Some("s".into()), asks_next: minutes(20), ..Default::default() };
            let shown = Shown { running: true, serial: None, identity, seed: None };
            let table = table(&shown, minutes(5).unwrap());
            assert!(table.contains(expected) && !table.contains("left"), "{table}");
        }
    }

    #[test]
    fn what_is_left_is_told_as_people_do() {
        let at = |seconds: i64| Time::from_millis(seconds * 1_000).unwrap();
        for (seconds, expected) in [
            (-1, ["over", "any moment"]),
            (0, ["over", "any moment"]),
            (90, ["90 s left", "in 90 s"]),
            (1_800, ["30 min left", "in 30 min"]),
            (108_000, ["30 h left", "in 30 h"]),
            (345_600, ["4 d left", "in 4 d"]),
        ] {
            assert_eq!([left(at(seconds), at(0)), ahead(at(seconds), at(0))], expected, "{seconds}");
        }
    }
}

//! The agent's own life as events: started, upgraded, heartbeat, stopped. Pure: what is written, not when.

use std::collections::BTreeMap;

use emote_proto::Time;
use serde_json::json;

use crate::identity::Describe;
use crate::journal::Entry;
use crate::spool::{Class, Previous, RunState, Totals};
use crate::vocabulary::Kind;

/// This agent's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

macro_rules! version_mark {
    () => {
        "@(#)PROGRAM:emote-agent VERSION:"
    };
}

/// What stands before this version in the program's bytes; behind it comes a NUL. `what`(1) prints it.
pub const VERSION_MARK: &str = version_mark!();

/// By this a package is held to its program's version without running it; nothing in the program reads it.
#[used]
static MARKED: &str = concat!(version_mark!(), env!("CARGO_PKG_VERSION"), "\0");

/// When each source looked last, in milliseconds since 1970.
type Observed = BTreeMap<String, i64>;

/// What is written first.
pub(crate) fn started(previous: &Previous, now: Time) -> Entry {
    let (word, run) = match previous {
        Previous::First => ("first", None),
        Previous::Clean(run) => ("clean", Some(run)),
        Previous::Crashed(run) => ("crashed", Some(run)),
        Previous::Lost => ("lost", None),
    };
    let mut info = json!({"version": VERSION, "previous": word});
    if let Some(alive) = run.and_then(|run| Time::from_millis(run.alive)) {
        info["alive"] = alive.to_string().into();
    }
    let mut entry = Entry::event(Kind::AgentStarted.draft(info));
    if let Some(from) = run.map(|run| run.version.as_str()).filter(|from| *from != VERSION) {
        let upgraded = Kind::AgentUpgraded.draft(json!({"from": from, "to": VERSION}));
        entry.drafts.push((upgraded, Class::Lifecycle, Describe::Whole));
    }
    entry.run = Some(state(false, now, run.map(|run| run.observed.clone()).unwrap_or_default()));
    entry
}

/// What is written from time to time.
pub(crate) fn heartbeat(started: Time, now: Time, totals: Totals, observed: Observed) -> Entry {
    let info = json!({"version": VERSION, "uptime_seconds": seconds(started, now), "spooled": totals.count});
    Entry {
        drafts: vec![(Kind::AgentHeartbeat.draft(info), Class::Heartbeat, Describe::Serial)],
        run: Some(state(false, now, observed)),
        ..Entry::default()
    }
}

/// What is written last; `system` is what the machine itself is about to do.
pub(crate) fn stopped(started: Time, now: Time, observed: Observed, system: Option<&str>) -> Entry {
    let mut info = json!({"version": VERSION, "uptime_seconds": seconds(started, now)});
    if let Some(system) = system {
        info["system"] = system.into();
    }
    Entry { run: Some(state(true, now, observed)), ..Entry::event(Kind::AgentStopped.draft(info)) }
}

/// A run that goes on, or has ended as it should.
pub(crate) fn state(clean: bool, now: Time, observed: Observed) -> RunState {
    RunState { version: VERSION.into(), clean, alive: now.as_millis(), observed }
}

fn seconds(started: Time, now: Time) -> i64 {
    now.millis_since(started).max(0) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed() -> Observed {
        [("disk".to_owned(), 900)].into()
    }

    /// Until a source looks again, the last run's word holds.
    fn entry_observed(previous: &Previous) -> Observed {
        if matches!(previous, Previous::First | Previous::Lost) { Observed::new() } else { observed() }
    }

    fn check(previous: &Previous, events: &[(Kind, serde_json::Value)]) {
        let entry = started(previous, Time::from_millis(5_000).unwrap());
        let written: Vec<_> = entry.drafts.into_iter().map(|(draft, ..)| draft).collect();
        let expected: Vec<_> = events.iter().map(|(kind, info)| kind.draft(info.clone())).collect();
        assert_eq!(written, expected);
        assert_eq!(
            entry.run,
            Some(RunState { version: VERSION.into(), clean: false, alive: 5_000, observed: entry_observed(previous) })
        );
    }

    #[test]
    fn a_start_says_how_the_last_run_ended() {
        let run = |version: &str| RunState { version: version.into(), clean: true, alive: 1_000, observed: observed() };
        let info = |previous: &str| json!({"version": VERSION, "previous": previous});
        let mut alive = info("crashed");
        alive["alive"] = "1970-01-01T00:00:01.000Z".into();
        check(&Previous::First, &[(Kind::AgentStarted, info("first"))]);
        check(&Previous::Lost, &[(Kind::AgentStarted, info("lost"))]);
        check(&Previous::Crashed(run(VERSION)), &[(Kind::AgentStarted, alive.clone())]);
        alive["previous"] = "clean".into();
        let upgraded = json!({"from": "0.0.1", "to": VERSION});
        check(&Previous::Clean(run("0.0.1")), &[(Kind::AgentStarted, alive), (Kind::AgentUpgraded, upgraded)]);
    }

    #[test]
    fn the_last_event_says_whether_the_machine_stops_too() {
        let now = Time::from_millis(5_000).unwrap();
        for (system, expected) in [(None, serde_json::Value::Null), (Some("restart"), "restart".into())] {
            let info = stopped(now, now, observed(), system).drafts[0].0.info.clone().unwrap().into_value();
            assert_eq!(info["system"], expected);
        }
    }

    #[test]
    fn a_clock_set_back_gives_no_negative_uptime() {
        assert_eq!(seconds(Time::from_millis(9_000).unwrap(), Time::from_millis(1_000).unwrap()), 0);
    }
}

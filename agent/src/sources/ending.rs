//! Shutdowns, restarts and logouts that somebody chose, as moments: there is nothing to look at. What the machine does in
//! the end is another thing; anything may still hold it up.

use std::time::Duration;

use emote_proto::{Draft, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ObserveError, Source};
use crate::platform::{Happening, Host, System};
use crate::spool::Spool;
use crate::vocabulary::Kind;

/// The same notification within this is the same moment.
const AGAIN_MS: i64 = 10_000;
/// For so long it goes on after it has begun: it may be called off, and whoever is asked to stop is stopped by it.
const UNDER_WAY_MS: i64 = 600_000;

/// The last moment.
pub(crate) type Snapshot = Option<Moment>;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Moment {
    pub(crate) what: What,
    pub(crate) cancelled: bool,
    /// Milliseconds since 1970.
    pub(crate) at: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum What {
    Shutdown,
    Restart,
    Logout,
}

pub(crate) struct Ending;

impl Source for Ending {
    const NAME: &'static str = "ending";
    const ABOUT: &'static str = "shutdown, restart and logout begun or called off";
    const VERSION: u8 = 1;
    const ON: &'static [System] = &[System::Mac];
    const INTERVAL: Duration = Duration::from_secs(86_400);
    type Snapshot = Snapshot;

    fn observe(_host: &dyn Host, old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        Ok(old.copied().flatten())
    }

    fn blank() -> Option<Snapshot> {
        Some(None)
    }

    fn told(old: Option<&Snapshot>, what: Happening, at: Time) -> Option<Snapshot> {
        let last = old.copied().flatten();
        let at = at.as_millis();
        let begun = |what| Moment { what, cancelled: false, at };
        let moment = match what {
            Happening::ShutdownBegun => begun(What::Shutdown),
            Happening::RestartBegun => begun(What::Restart),
            Happening::LogoutBegun => begun(What::Logout),
            Happening::Cancelled => Moment { cancelled: true, at, ..last.filter(|last| last.may_go_on(at))? },
            Happening::WillSleep | Happening::Woke => return None,
        };
        let is_again = |last: Moment| Moment { at, ..last } == moment && at.abs_diff(last.at) < AGAIN_MS.unsigned_abs();
        Some(Some(moment)).filter(|_| !last.is_some_and(is_again))
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        new.filter(|_| old != new).map(Moment::draft).into_iter().collect()
    }

    fn inventory(_snapshot: &Snapshot) -> Value {
        json!({})
    }
}

impl Moment {
    fn draft(self) -> Draft {
        let (kind, info) = match (self.what, self.cancelled) {
            (What::Logout, false) => (Kind::SessionLogoutBegun, json!({})),
            (What::Logout, true) => (Kind::SessionLogoutCancelled, json!({})),
            (what, false) => (Kind::DeviceShutdown, json!({"kind": what.word()})),
            (what, true) => (Kind::DeviceShutdownCancelled, json!({"kind": what.word()})),
        };
        let mut draft = kind.draft(info);
        draft.time = Time::from_millis(self.at);
        draft
    }
}

impl What {
    fn word(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Restart => "restart",
            Self::Logout => "logout",
        }
    }
}

/// What the machine is about to do, if somebody chose that lately: for the last event of the agent.
pub(crate) fn under_way(spool: &Spool, now: Time) -> Option<&'static str> {
    let bytes = spool.snapshot(Ending::NAME).ok().flatten()?;
    let moment = super::decode::<Ending>(&bytes).flatten()?;
    moment.under_way(now)
}

impl Moment {
    pub(crate) fn under_way(self, now: Time) -> Option<&'static str> {
        let is_under_way = self.what != What::Logout && self.may_go_on(now.as_millis());
        is_under_way.then(|| self.what.word())
    }

    fn may_go_on(self, now: i64) -> bool {
        !self.cancelled && (0..UNDER_WAY_MS).contains(&now.saturating_sub(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::{Look, Watch};
    use proptest::prelude::*;

    fn at(seconds: i64) -> Time {
        Time::from_millis(1_795_416_060_000 + seconds * 1000).unwrap()
    }

    /// Tells of moments and returns the words of the events, beginning with no snapshot.
    fn events(moments: &[(Happening, i64)]) -> Vec<String> {
        let (mut snapshot, mut events) = (None, Vec::new());
        for (what, seconds) in moments {
            match Watch::told(&Ending, snapshot.as_deref(), *what, at(*seconds)).unwrap() {
                Look::Changed { snapshot: new, drafts } => {
                    snapshot = Some(new);
                    assert!(drafts.iter().all(|draft| draft.time == Some(at(*seconds))));
                    events.extend(drafts.iter().map(|draft| {
                        let info = draft.info.clone().unwrap().into_value();
                        let words = [draft.scope.as_str(), draft.action.as_str(), info["kind"].as_str().unwrap_or("")];
                        words.join(" ").trim().to_owned()
                    }));
                }
                Look::Same => {}
                other => panic!("{other:?}"),
            }
        }
        events
    }

    #[test]
    fn each_moment_is_told_once_and_what_was_called_off_is_named() {
        use Happening::{Cancelled, LogoutBegun, RestartBegun, ShutdownBegun, WillSleep, Woke};
        for (moments, expected) in [
            (&[(ShutdownBegun, 0), (ShutdownBegun, 3)][..], &["device shutdown shutdown"][..]),
            (&[(RestartBegun, 0), (RestartBegun, 60)], &["device shutdown restart", "device shutdown restart"]),
            (
                &[(RestartBegun, 0), (Cancelled, 5), (Cancelled, 6), (RestartBegun, 8)],
                &["device shutdown restart", "device shutdown_cancelled restart", "device shutdown restart"],
            ),
            (&[(LogoutBegun, 0), (Cancelled, 1)], &["session logout_begun", "session logout_cancelled"]),
            (&[(Cancelled, 0), (WillSleep, 1), (Woke, 2)], &[]),
            (&[(ShutdownBegun, 0), (Cancelled, 900)], &["device shutdown shutdown"]),
            (&[(LogoutBegun, 0), (ShutdownBegun, 1)], &["session logout_begun", "device shutdown shutdown"]),
        ] {
            assert_eq!(events(moments), expected, "{moments:?}");
        }
    }

    #[test]
    fn a_shutdown_is_under_way_until_it_is_called_off_or_long_ago() {
        let moment = |what, cancelled| Moment { what, cancelled, at: at(0).as_millis() };
        for (moment, seconds, expected) in [
            (moment(What::Shutdown, false), 30, Some("shutdown")),
            (moment(What::Restart, false), 599, Some("restart")),
            (moment(What::Restart, false), 600, None),
            (moment(What::Shutdown, true), 30, None),
            (moment(What::Logout, false), 30, None),
            (moment(What::Shutdown, false), -5, None),
        ] {
            assert_eq!(moment.under_way(at(seconds)), expected, "{moment:?} {seconds}");
        }
    }

    fn replay(draft: &Draft) -> Snapshot {
        let info = draft.info.clone().unwrap().into_value();
        let what = match info["kind"].as_str() {
            Some("shutdown") => What::Shutdown,
            Some("restart") => What::Restart,
            _ => What::Logout,
        };
        let cancelled = Kind::SessionLogoutCancelled.is(draft) || Kind::DeviceShutdownCancelled.is(draft);
        Some(Moment { what, cancelled, at: draft.time.unwrap().as_millis() })
    }

    proptest! {
        #[test]
        fn replaying_the_events_over_the_old_snapshot_gives_the_new(steps in prop::collection::vec((0_usize..6, 0_i64..30), 0..20)) {
            const ALL: [Happening; 6] = [Happening::ShutdownBegun, Happening::RestartBegun, Happening::LogoutBegun,
                Happening::Cancelled, Happening::WillSleep, Happening::Woke];
            let (mut old, mut now): (Snapshot, i64) = (None, 0);
            for (what, pause) in steps {
                now += pause;
                let new = <Ending as Source>::told(Some(&old), ALL[what], at(now)).unwrap_or(old);
                let drafts = Ending::diff(&old, &new);
                prop_assert_eq!(drafts.is_empty(), old == new);
                prop_assert_eq!(drafts.first().map_or(old, replay), new);
                old = new;
            }
        }
    }
}

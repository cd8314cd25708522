//! The wall clock: set by hand or by the network, and its time zone.
//!
//! The wall clock is held against the one that is never set. A clock that is corrected by running faster or slower (at most
//! 500 parts in a million, adjtime(2)) is not set: so much is allowed for, and what was compared with moves along from look to
//! look, in memory only. After a start it is what was written last, so a jump while the agent was down must be larger than
//! what the correction could have done since. How far the clock is from the server's, the uplink finds out.

use std::path::Path;
use std::time::Duration;

use emote_proto::{Draft, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ObserveError, Source, boot};
use crate::platform::{Clocks, Host, HostError, System};
use crate::vocabulary::Kind;

const LOCALTIME: &str = "/etc/localtime";
const LONGEST_ZONE: usize = 64;
/// Further than this within no time is a jump.
const JUMP_MS: u64 = 2_000;
/// A millisecond of correction takes so many.
const SLEW: u64 = 2_000;
/// Less than this is the reading itself.
const NOISE_MS: u64 = 500;
/// What is compared with is not let grow older.
const STALE_MS: u64 = 600_000;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// Such as `Europe/Berlin`, when known.
    zone: Option<String>,
    /// When the clock was last set.
    jump: Option<Jump>,
    /// What is compared with: no part of what is seen.
    reference: Reference,
}

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Jump {
    from: i64,
    to: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Reference {
    boot: String,
    /// The wall clock less the running one, in milliseconds.
    offset: i64,
    /// The running clock, in milliseconds.
    at: i64,
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        (&self.zone, self.jump) == (&other.zone, other.jump)
    }
}

pub(crate) struct Clock;

impl Source for Clock {
    const NAME: &'static str = "clock";
    const ABOUT: &'static str = "when the clock or its time zone is set";
    const INTERVAL: Duration = Duration::from_secs(300);
    const DEBOUNCE: Duration = Duration::from_secs(1);
    const VERSION: u8 = 1;
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let boot = boot::boot_id(host)?;
        // The clocks are read one after the other; of a few readings the largest difference is the least delayed.
        let clocks = (0..3).map(|_| host.clocks()).max_by_key(offset).unwrap_or_else(|| host.clocks());
        let now = Reference { boot, offset: offset(&clocks), at: clocks.running_ms };
        let zone = zone(host)?.or_else(|| old.and_then(|old| old.zone.clone()));
        let Some(old) = old else { return Ok(Snapshot { zone, jump: None, reference: now }) };
        let (jump, reference) = compare(old, now, &clocks);
        Ok(Snapshot { zone, jump, reference })
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        let mut drafts = Vec::new();
        if let Some(Jump { from, to }) = new.jump.filter(|_| old.jump != new.jump) {
            let time = |millis| Time::from_millis(millis).map(|time| time.to_string());
            let seconds = seconds(to.saturating_sub(from));
            drafts.push(Kind::ClockJumped.draft(json!({"seconds": seconds, "from": time(from), "to": time(to)})));
        }
        if old.zone != new.zone {
            drafts.push(Kind::ClockZoneChanged.draft(json!({"from": old.zone, "to": new.zone})));
        }
        drafts
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        json!({"zone": snapshot.zone})
    }
}

/// Seconds with their thousandths.
pub(crate) fn seconds(millis: i64) -> Value {
    let (sign, millis) = (if millis < 0 { "-" } else { "" }, millis.unsigned_abs());
    let text = format!("{sign}{}.{:03}", millis / 1_000, millis % 1_000);
    text.parse::<f64>().map_or(Value::Null, Value::from)
}

fn offset(clocks: &Clocks) -> i64 {
    clocks.wall_ms.saturating_sub(clocks.running_ms)
}

/// The last jump, and what is compared with next time.
fn compare(old: &Snapshot, now: Reference, clocks: &Clocks) -> (Option<Jump>, Reference) {
    let before = &old.reference;
    // A machine that does not say which boot this is has none in common with the last look.
    if now.boot.is_empty() || before.boot != now.boot {
        return (old.jump, now);
    }
    let moved = now.offset.abs_diff(before.offset);
    let elapsed = u64::try_from(now.at.saturating_sub(before.at)).unwrap_or(0);
    if moved > JUMP_MS.saturating_add(elapsed / SLEW) {
        let from = before.offset.saturating_add(clocks.running_ms);
        return (Some(Jump { from, to: clocks.wall_ms }), now);
    }
    let reference = if moved > NOISE_MS || elapsed > STALE_MS { now } else { before.clone() };
    (old.jump, reference)
}

/// `None` where the zone has no name: a file in place of the link.
fn zone(host: &dyn Host) -> Result<Option<String>, ObserveError> {
    let target = match host.link(Path::new(LOCALTIME)) {
        Ok(target) => target.to_string_lossy().into_owned(),
        // localtime(5): without the file it is UTC.
        Err(HostError::Missing(_)) if host.system() == System::Linux => return Ok(Some("UTC".into())),
        Err(HostError::Missing(_) | HostError::Failed { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let name = target.split_once("zoneinfo/").map(|(_, name)| name);
    let plain = |name: &&str| {
        (1..=LONGEST_ZONE).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(&b))
    };
    match name.filter(plain) {
        Some(name) => Ok(Some(name.to_owned())),
        None => Err(ObserveError::Answer(format!("{LOCALTIME}: it does not point to a time zone"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use crate::platform::tools;
    use crate::sources::{Look, Watch};
    use proptest::prelude::*;

    fn mac(wall_ms: i64, running_ms: i64) -> Recorded {
        let mut mac = Recorded::mac().tool(&tools::SYSCTL_BOOT, "A\n");
        mac.links.insert(LOCALTIME.into(), "/var/db/timezone/zoneinfo/Europe/Berlin".into());
        mac.clocks = Clocks { wall_ms, running_ms };
        mac
    }

    fn observe(host: &Recorded, old: Option<&Snapshot>) -> Snapshot {
        Clock::observe(host, old).unwrap()
    }

    #[test]
    fn only_a_clock_that_is_set_has_jumped() {
        let old = observe(&mac(1_000_000, 0), None);
        for (wall, running, jump) in [
            (1_060_000, 60_000, None),
            (1_062_000, 60_000, None),
            (1_062_040, 60_000, Some((1_060_000, 1_062_040))),
            (1_000_000, 60_000, Some((1_060_000, 1_000_000))),
            // A night's sleep, in which the running clock goes on.
            (37_000_000, 36_000_000, None),
        ] {
            let new = observe(&mac(wall, running), Some(&old));
            assert_eq!(new.jump.map(|jump| (jump.from, jump.to)), jump, "{wall} {running}");
            assert_eq!(Clock::diff(&old, &new).len(), usize::from(jump.is_some()));
        }
        let restarted = mac(9_000_000, 5_000).tool(&tools::SYSCTL_BOOT, "B");
        assert_eq!(observe(&restarted, Some(&old)).jump, None);
        let info = Clock::diff(&old, &observe(&mac(57_500, 60_000), Some(&old))).remove(0).info.unwrap();
        assert_eq!(info["seconds"], json!(-1_002.5));
        assert_eq!(info["to"], "1970-01-01T00:00:57.500Z");
    }

    #[test]
    fn a_clock_that_is_corrected_slowly_never_jumps() {
        let mut snapshot = observe(&mac(0, 0), None);
        for minute in 1..100_000_i64 {
            // 480 parts in a million: 28 ms a minute, 48 minutes in all.
            let new = observe(&mac(minute * 60_000 + minute * 28, minute * 60_000), Some(&snapshot));
            assert_eq!(new, snapshot);
            snapshot = new;
        }
        let jumped = observe(&mac(100_000 * 60_028 + 3_000, 100_000 * 60_000), Some(&snapshot));
        assert!(jumped.jump.is_some(), "and a jump is still noticed");
    }

    #[test]
    fn what_is_compared_with_moves_along_without_an_event() {
        let Look::First { snapshot, .. } = Watch::look(&Clock, &mac(0, 0), None).unwrap() else { panic!("first") };
        assert_eq!(Watch::look(&Clock, &mac(60_100, 60_000), Some(&snapshot)).unwrap(), Look::Same);
        let moved = Watch::look(&Clock, &mac(700_000, 700_000), Some(&snapshot)).unwrap();
        assert!(matches!(moved, Look::Moved { .. }), "{moved:?}");
    }

    #[test]
    fn a_zone_is_the_name_behind_the_link_and_what_is_not_known_changes_nothing() {
        let link = |to: &str| {
            let mut host = mac(0, 0);
            host.links.insert(LOCALTIME.into(), to.into());
            host
        };
        let old = observe(&mac(0, 0), None);
        assert_eq!(old.zone.as_deref(), Some("Europe/Berlin"));
        let new = observe(&link("../usr/share/zoneinfo/America/Argentina/Buenos_Aires"), Some(&old));
        let draft = Clock::diff(&old, &new).remove(0);
        assert!(Kind::ClockZoneChanged.is(&draft));
        assert_eq!(
            draft.info,
            Some(json!({"from": "Europe/Berlin", "to": "America/Argentina/Buenos_Aires"})).map(Into::into)
        );
        let mut gone = mac(0, 0);
        gone.links.clear();
        assert_eq!(observe(&gone, Some(&old)), old);
        assert!(Clock::observe(&link("/tmp/x"), Some(&old)).is_err());
    }

    fn any_snapshot() -> impl Strategy<Value = Snapshot> {
        let millis = 0..4_000_000_000_000_i64;
        let zone = prop_oneof![Just(None), Just(Some("UTC".to_owned())), "[A-Z][a-z]{1,5}".prop_map(Some)];
        (zone, prop::option::of((millis.clone(), millis.clone())), millis.clone(), millis).prop_map(
            |(zone, jump, offset, at)| Snapshot {
                zone,
                jump: jump.map(|(from, to)| Jump { from, to }),
                reference: Reference { boot: "A".into(), offset, at },
            },
        )
    }

    proptest! {
        #[test]
        fn the_events_over_the_old_snapshot_give_the_new(old in any_snapshot(), mut new in any_snapshot()) {
            // What once was seen is not forgotten.
            new.jump = new.jump.or(old.jump);
            let drafts = Clock::diff(&old, &new);
            prop_assert_eq!(drafts.is_empty(), old == new);
            let mut replayed = old;
            for draft in drafts {
                let info = Value::from(draft.info.clone().unwrap());
                if Kind::ClockZoneChanged.is(&draft) {
                    replayed.zone = serde_json::from_value(info["to"].clone()).unwrap();
                } else {
                    let time = |key: &str| info[key].as_str().unwrap().parse::<Time>().unwrap().as_millis();
                    replayed.jump = Some(Jump { from: time("from"), to: time("to") });
                }
            }
            prop_assert_eq!(replayed, new);
        }

        #[test]
        fn no_clock_panics(wall: i64, running: i64, other_wall: i64, other_running: i64) {
            let old = observe(&mac(wall, running), None);
            Clock::diff(&old, &observe(&mac(other_wall, other_running), Some(&old)));
        }
    }
}

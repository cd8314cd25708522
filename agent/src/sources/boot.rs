//! Boots. The system's boot id tells one from the next; where there is none, the boot time does, with room for a clock
//! that was set.

use std::time::Duration;

use emote_proto::{Draft, EventId, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ObserveError, Source};
use crate::platform::{Host, HostError, System, tools};
use crate::vocabulary::Kind;

const TOLERANCE_SECONDS: u64 = 120;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) id: Option<String>,
    pub(crate) booted_at: u64,
}

pub(crate) struct Boot;

impl Source for Boot {
    const NAME: &'static str = "boot";
    const ABOUT: &'static str = "when the machine was started";
    const INTERVAL: Duration = Duration::from_secs(3_600);
    const VERSION: u8 = 1;
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let id = Some(boot_id(host)?).filter(|id| !id.is_empty());
        let new = Snapshot { id, booted_at: host.booted_at()? };
        // A clock that is adjusted moves the boot time: the first answer for a boot is kept.
        Ok(old.filter(|old| same(old, &new)).cloned().unwrap_or(new))
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        if same(old, new) {
            return Vec::new();
        }
        let mut draft = Kind::DeviceBoot.draft(Self::inventory(new));
        // One boot is one event, whatever becomes of the snapshot.
        draft.id = new.id.as_deref().map(|id| EventId::derived(&["boot", id]));
        vec![draft]
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        let mut info = json!({});
        let millis = i64::try_from(snapshot.booted_at).ok().and_then(|seconds| seconds.checked_mul(1000));
        if let Some(time) = millis.and_then(Time::from_millis) {
            info["booted_at"] = time.to_string().into();
        }
        if let Some(id) = &snapshot.id {
            info["boot_id"] = id.as_str().into();
        }
        info
    }
}

/// What tells this boot from others.
pub(super) fn boot_id(host: &dyn Host) -> Result<String, HostError> {
    match host.system() {
        System::Mac => Ok(host.run(&tools::SYSCTL_BOOT)?.text.trim().to_owned()),
        System::Linux => host.read_text("/proc/sys/kernel/random/boot_id"),
    }
}

fn same(old: &Snapshot, new: &Snapshot) -> bool {
    match (&old.id, &new.id) {
        (Some(old), Some(new)) => old == new,
        _ => old.booted_at.abs_diff(new.booted_at) <= TOLERANCE_SECONDS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;

    #[test]
    fn one_boot_is_one_event_whatever_the_clock_does() {
        let boot = |id: Option<&str>, booted_at| Snapshot { id: id.map(str::to_owned), booted_at };
        for (old, new, events) in [
            (boot(Some("a"), 1_000), boot(Some("b"), 1_000), 1),
            (boot(Some("a"), 1_000), boot(Some("a"), 90_000), 0),
            (boot(None, 1_000), boot(None, 1_120), 0),
            (boot(None, 1_000), boot(None, 1_121), 1),
            (boot(None, 1_000), boot(Some("a"), 999), 0),
        ] {
            assert_eq!(Boot::diff(&old, &new).len(), events, "{old:?} {new:?}");
        }
    }

    #[test]
    fn each_system_tells_its_boots_apart() {
        let id = "4B2E6C10-6C5E-4B63-9A6E-2F0B6D0A7E11";
        let mac = Recorded::mac().tool(&tools::SYSCTL_BOOT, &format!("{id}\n"));
        let first = Boot::observe(&mac, None).unwrap();
        assert_eq!(first, Snapshot { id: Some(id.into()), booted_at: 1_795_400_000 });
        let set = Recorded { booted_at: 1_795_400_900, ..mac };
        assert_eq!(Boot::observe(&set, Some(&first)).unwrap(), first, "a clock that was set is no boot");
        let linux = Recorded::linux().file("/proc/sys/kernel/random/boot_id", "abc\n");
        assert_eq!(Boot::observe(&linux, Some(&first)).unwrap().id.as_deref(), Some("abc"));
    }

    #[test]
    fn a_boot_says_when_and_which() {
        let old = Snapshot { id: Some("a".into()), booted_at: 0 };
        let drafts = Boot::diff(&old, &Snapshot { id: Some("b".into()), booted_at: 1_795_416_060 });
        assert_eq!(drafts[0].id, Some(EventId::derived(&["boot", "b"])));
        assert_eq!(
            drafts[0].info,
            Some(json!({"boot_id": "b", "booted_at": "2026-11-23T06:41:00.000Z"})).map(Into::into)
        );
    }
}

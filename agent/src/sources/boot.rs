//! Boots. The system's boot id tells one from the next; where there is none, the boot time does, with room for a clock
//! that was set.

use emote_proto::{Draft, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ObserveError, Source};
use crate::{platform, vocabulary::Kind};

const TOLERANCE_SECONDS: u64 = 120;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    id: Option<String>,
    booted_at: u64,
}

pub(crate) struct Boot;

impl Source for Boot {
    const NAME: &'static str = "boot";
    const VERSION: u8 = 1;
    type Snapshot = Snapshot;

    fn observe(&mut self, old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let new = Snapshot { id: platform::boot_id(), booted_at: sysinfo::System::boot_time()? };
        // A clock that is adjusted moves the boot time: the first answer for a boot is kept.
        Ok(old.filter(|old| same(old, &new)).cloned().unwrap_or(new))
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        if same(old, new) { Vec::new() } else { vec![Kind::DeviceBoot.draft(Self::inventory(new))] }
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

fn same(old: &Snapshot, new: &Snapshot) -> bool {
    match (&old.id, &new.id) {
        (Some(old), Some(new)) => old == new,
        _ => old.booted_at.abs_diff(new.booted_at) <= TOLERANCE_SECONDS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_boot_says_when_and_which() {
        let old = Snapshot { id: Some("a".into()), booted_at: 0 };
        let drafts = Boot::diff(&old, &Snapshot { id: Some("b".into()), booted_at: 1_795_416_060 });
        assert_eq!(
            drafts[0].info,
            Some(json!({"boot_id": "b", "booted_at": "2026-11-23T06:41:00.000Z"})).map(Into::into)
        );
    }
}

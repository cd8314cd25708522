//! Mounted disks, and which of them are nearly full. Low below 5 % free, and low until more than 8 % is free again, so
//! that one around the threshold does not flicker.

use std::collections::BTreeMap;
use std::path::Path;

use emote_proto::Draft;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ObserveError, Source};
use crate::gather::Gather;
use crate::platform::{Host, System};
use crate::vocabulary::Kind;

const LOW_PERCENT: u128 = 5;
const RECOVERED_PERCENT: u128 = 8;

/// By mount point.
pub(crate) type Snapshot = BTreeMap<String, Disk>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Disk {
    pub(crate) name: String,
    pub(crate) file_system: String,
    pub(crate) total_bytes: u64,
    pub(crate) removable: bool,
    /// `Some(available bytes when that was noticed)` while low.
    pub(crate) low: Option<u64>,
}

pub(crate) struct Disks;

impl Source for Disks {
    const NAME: &'static str = "disk";
    const ABOUT: &'static str = "disks mounted, unmounted and nearly full";
    const VERSION: u8 = 1;
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let mounts = host.mounts()?;
        // Where the system does not tell, the list is empty or has gaps. A Mac's own disk is always in it.
        if host.system() == System::Mac && !mounts.iter().any(|mount| mount.path == Path::new("/")) {
            return Err(ObserveError::Answer("the machine's own disk is not among those that are mounted".into()));
        }
        let disks = mounts.into_iter().map(|mount| {
            let path = mount.path.to_string_lossy().into_owned();
            let was_low = old.and_then(|old| old.get(&path)).and_then(|disk| disk.low);
            let disk = Disk {
                name: mount.name,
                file_system: mount.file_system,
                total_bytes: mount.total_bytes,
                removable: mount.removable,
                low: low(was_low, mount.available_bytes, mount.total_bytes),
            };
            (path, disk)
        });
        Ok(disks.gather())
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for (mount, disk) in old {
            if new.get(mount).is_none_or(|now| !disk.is_same(now)) {
                drafts.push(Kind::DiskUnmounted.draft(disk.info(mount)));
            }
        }
        for (mount, disk) in new {
            let before = old.get(mount).filter(|before| before.is_same(disk));
            if before.is_none() {
                drafts.push(Kind::DiskMounted.draft(disk.info(mount)));
            }
            match (before.and_then(|before| before.low), disk.low) {
                (was, Some(available)) if was != Some(available) => {
                    let mut info = disk.info(mount);
                    info["available_bytes"] = available.into();
                    drafts.push(Kind::DiskLow.draft(info));
                }
                (Some(_), None) => drafts.push(Kind::DiskRecovered.draft(disk.info(mount))),
                _ => {}
            }
        }
        drafts
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        let disks: Vec<Value> = snapshot
            .iter()
            .map(|(mount, disk)| {
                let mut info = disk.info(mount);
                info["low"] = disk.low.is_some().into();
                info
            })
            .collect();
        json!({"mounts": disks})
    }
}

impl Disk {
    fn is_same(&self, other: &Self) -> bool {
        Self { low: None, ..self.clone() } == Self { low: None, ..other.clone() }
    }

    fn info(&self, mount: &str) -> Value {
        json!({"mount": mount, "name": self.name, "file_system": self.file_system, "total_bytes": self.total_bytes,
            "removable": self.removable})
    }
}

fn low(was: Option<u64>, available: u64, total: u64) -> Option<u64> {
    let percent = if was.is_some() { RECOVERED_PERCENT } else { LOW_PERCENT };
    let is_low = total > 0 && u128::from(available) * 100 < u128::from(total) * percent;
    is_low.then(|| was.unwrap_or(available))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Mount;
    use crate::platform::recorded::Recorded;
    use proptest::prelude::*;

    #[test]
    fn a_machine_without_its_own_disk_did_not_answer() {
        let mount = |path: &str| Mount {
            path: path.into(),
            name: "Macintosh HD".into(),
            file_system: "apfs".into(),
            total_bytes: 1_000,
            available_bytes: 500,
            removable: false,
        };
        for (mounts, is_answer) in [(vec![], false), (vec![mount("/Volumes/x")], false), (vec![mount("/")], true)] {
            let mac = Recorded { mounts: mounts.clone(), ..Recorded::mac() };
            assert_eq!(Disks::observe(&mac, None).is_ok(), is_answer, "{mounts:?}");
        }
        assert!(Disks::observe(&Recorded::linux(), None).unwrap().is_empty(), "a container may have none of its own");
    }

    #[test]
    fn a_disk_is_low_once_until_it_has_clearly_recovered() {
        for (was, available, is) in [
            (None, 50, None),
            (None, 49, Some(49)),
            (Some(49), 20, Some(49)),
            (Some(49), 79, Some(49)),
            (Some(49), 80, None),
        ] {
            assert_eq!(low(was, available, 1000), is, "{was:?} {available}");
        }
        assert_eq!(low(None, 0, 0), None, "no size, no share of it");
    }

    fn any_snapshot() -> impl Strategy<Value = Snapshot> {
        let disk = ("[ab]", 1_u64..3, any::<bool>(), prop::option::of(1_u64..3)).prop_map(
            |(name, total_bytes, removable, low)| Disk {
                name,
                file_system: "apfs".into(),
                total_bytes,
                removable,
                low,
            },
        );
        prop::collection::btree_map("/[a-c]", disk, 0..4)
    }

    fn replay(mut snapshot: Snapshot, drafts: &[Draft]) -> Snapshot {
        for draft in drafts {
            let info = draft.info.clone().unwrap().into_value();
            let text = |key: &str| info[key].as_str().unwrap().to_owned();
            let disk = Disk {
                name: text("name"),
                file_system: text("file_system"),
                total_bytes: info["total_bytes"].as_u64().unwrap(),
                removable: info["removable"].as_bool().unwrap(),
                low: info.get("available_bytes").and_then(Value::as_u64),
            };
            if Kind::DiskUnmounted.is(draft) {
                snapshot.remove(&text("mount"));
            } else {
                snapshot.insert(text("mount"), disk);
            }
        }
        snapshot
    }

    proptest! {
        #[test]
        fn replaying_the_events_over_the_old_snapshot_gives_the_new(old in any_snapshot(), new in any_snapshot()) {
            let drafts = Disks::diff(&old, &new);
            prop_assert_eq!(drafts.is_empty(), old == new);
            prop_assert_eq!(replay(old, &drafts), new);
        }
    }
}

//! What launchd starts that is not the system's: the property lists of daemons and agents for everybody, and of agents in
//! the homes below `/Users`.
//!
//! A list that cannot be read as one is told all the same, as an item without a label: launchd may be as little pleased
//! with it, but somebody put it there. A folder that cannot be listed keeps the items it had.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use emote_proto::Draft;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::facts::{below, bound, change, fingerprint, info};
use super::{ObserveError, Source};
use crate::platform::{Host, HostError, System, plist};
use crate::vocabulary::Kind;

const FOLDERS: [&str; 2] = ["/Library/LaunchDaemons", "/Library/LaunchAgents"];
const HOMES: &str = "/Users";
/// Homes at most.
const MOST_HOMES: usize = 500;
/// Items at most.
const ITEMS: usize = 2_000;
const LIST: usize = 256 << 10;

/// By path.
pub(crate) type Snapshot = BTreeMap<String, Item>;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) label: Option<String>,
    pub(crate) program: Option<String>,
    pub(crate) run_at_load: bool,
    /// The first 16 hexadecimal digits of the file's SHA-256; `None` while it cannot be read.
    pub(crate) hash: Option<String>,
}

pub(crate) struct LaunchItems;

impl Source for LaunchItems {
    const NAME: &'static str = "launch_items";
    const ABOUT: &'static str = "launch daemons and agents added, changed and removed";
    const ON: &'static [System] = &[System::Mac];
    const INTERVAL: Duration = Duration::from_secs(900);
    const VERSION: u8 = 1;
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let (mut snapshot, mut paths) = (Snapshot::new(), Vec::new());
        for folder in FOLDERS.map(str::to_owned).into_iter().chain(homes(host)?) {
            match host.list(Path::new(&folder)) {
                Ok(entries) => {
                    let lists = entries.into_iter().filter(|entry| !entry.is_dir && entry.name.ends_with(".plist"));
                    paths.extend(lists.map(|entry| format!("{folder}/{}", entry.name)));
                }
                Err(error) if error.is_missing() => {}
                Err(error) => {
                    tracing::debug!(%error, "launch items");
                    snapshot.extend(below(old, &folder));
                }
            }
        }
        let before = |path: &str| old.and_then(|old| old.get(path));
        bound(&mut paths, ITEMS, |path| before(path).is_some());
        for path in paths {
            if let Some(item) = item(host, &path, before(&path)) {
                snapshot.insert(path, item);
            }
        }
        Ok(snapshot)
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for (path, item) in old.iter().filter(|(path, _)| !new.contains_key(*path)) {
            drafts.push(Kind::LaunchItemRemoved.draft(info(("path", path), item)));
        }
        for (path, item) in new {
            match old.get(path) {
                None => drafts.push(Kind::LaunchItemAdded.draft(info(("path", path), item))),
                Some(before) if before == item => {}
                Some(before) => drafts.push(Kind::LaunchItemChanged.draft(change(("path", path), before, item))),
            }
        }
        drafts
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        let items: Vec<Value> = snapshot.iter().map(|(path, item)| info(("path", path), item)).collect();
        json!({"items": items})
    }
}

/// The folders for agents in the homes of people.
fn homes(host: &dyn Host) -> Result<impl Iterator<Item = String> + use<>, HostError> {
    let entries = match host.list(Path::new(HOMES)) {
        Err(error) if error.is_missing() => Vec::new(),
        entries => entries?,
    };
    let homes = entries.into_iter().filter(|home| home.is_dir && !home.name.starts_with('.') && home.name != "Shared");
    Ok(homes.take(MOST_HOMES).map(|home| format!("{HOMES}/{}/Library/LaunchAgents", home.name)))
}

/// The item at `path`; `None` when there is none any more.
fn item(host: &dyn Host, path: &str, before: Option<&Item>) -> Option<Item> {
    match host.read(Path::new(path), LIST) {
        Ok(bytes) => Some(parse(&bytes)),
        Err(error) if error.is_missing() => None,
        Err(error) => {
            tracing::debug!(%error, "launch item");
            Some(before.cloned().unwrap_or_default())
        }
    }
}

/// launchd.plist(5).
fn parse(bytes: &[u8]) -> Item {
    let hash = Some(format!("{:016x}", fingerprint(bytes)));
    let list = plist::parse(bytes).ok().and_then(::plist::Value::into_dictionary);
    let Some(list) = list else { return Item { hash, ..Item::default() } };
    let first = || {
        let program = list.get("ProgramArguments")?.as_array()?.first()?.as_string()?;
        Some(program.chars().take(1_024).collect())
    };
    let run_at_load = list.get("RunAtLoad").and_then(::plist::Value::as_boolean).unwrap_or(false);
    Item {
        label: plist::text(&list, "Label"),
        program: plist::text(&list, "Program").or_else(first),
        run_at_load,
        hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use crate::platform::{Addresses, Clocks, FolderEntry, Mount, Output, Tool};
    use proptest::prelude::*;
    use std::path::PathBuf;

    const UPDATER: &str = "<plist><dict><key>Label</key><string>com.example.updater</string>\
        <key>ProgramArguments</key><array><string>/opt/example/updater</string><string>--quiet</string></array>\
        <key>RunAtLoad</key><true/></dict></plist>";

    fn observe(host: &dyn Host, old: Option<&Snapshot>) -> Snapshot {
        LaunchItems::observe(host, old).unwrap()
    }

    #[test]
    fn items_are_found_for_everybody_and_in_each_home() {
        let host = Recorded::mac()
            .file("/Library/LaunchDaemons/com.example.updater.plist", UPDATER)
            .file("/Library/LaunchAgents/broken.plist", "<plist><dict>")
            .file("/Library/LaunchAgents/notes.txt", "")
            .file("/Users/ada/Library/LaunchAgents/a.plist", UPDATER.replace("ProgramArguments", "Other"))
            .file("/Users/grace/Documents/x", "")
            .file("/Users/Shared/Library/LaunchAgents/s.plist", UPDATER)
            .file("/Users/.old/Library/LaunchAgents/o.plist", UPDATER);
        let snapshot = observe(&host, None);
        let updater = Item {
            label: Some("com.example.updater".into()),
            program: Some("/opt/example/updater".into()),
            run_at_load: true,
            hash: Some(format!("{:016x}", fingerprint(UPDATER.as_bytes()))),
        };
        assert_eq!(snapshot["/Library/LaunchDaemons/com.example.updater.plist"], updater);
        let broken = &snapshot["/Library/LaunchAgents/broken.plist"];
        assert!(broken.label.is_none() && broken.hash.is_some());
        assert_eq!(snapshot["/Users/ada/Library/LaunchAgents/a.plist"].program, None);
        assert_eq!(snapshot.len(), 3);
        assert_eq!(observe(&Recorded::mac(), None), Snapshot::new());
    }

    #[test]
    fn a_file_that_says_something_else_has_changed() {
        let path = "/Library/LaunchDaemons/a.plist";
        let at = |text: &str| observe(&Recorded::mac().file(path, text), None);
        let drafts = LaunchItems::diff(&at(UPDATER), &at(&UPDATER.replace("--quiet", "--verbose")));
        assert!(drafts.len() == 1 && Kind::LaunchItemChanged.is(&drafts[0]));
        let info = drafts[0].info.clone().unwrap().into_value();
        assert_eq!((&info["path"], &info["label"]), (&json!(path), &json!("com.example.updater")));
        assert_ne!(info["from"]["hash"], info["to"]["hash"]);
    }

    /// A system that denies some paths.
    struct Denying(Recorded, &'static str);

    impl Denying {
        fn check(&self, path: &Path) -> Result<(), HostError> {
            if path.to_string_lossy().starts_with(self.1) { Err(HostError::Denied(self.1.into())) } else { Ok(()) }
        }
    }

    impl Host for Denying {
        fn read(&self, path: &Path, most: usize) -> Result<Vec<u8>, HostError> {
            self.check(path).and_then(|()| self.0.read(path, most))
        }
        fn list(&self, path: &Path) -> Result<Vec<FolderEntry>, HostError> {
            self.check(path).and_then(|()| self.0.list(path))
        }
        fn system(&self) -> System {
            self.0.system()
        }
        fn run(&self, tool: &'static Tool) -> Result<Output, HostError> {
            self.0.run(tool)
        }
        fn read_at(&self, path: &Path, offset: u64, most: usize) -> Result<Vec<u8>, HostError> {
            self.0.read_at(path, offset, most)
        }
        fn link(&self, path: &Path) -> Result<PathBuf, HostError> {
            self.0.link(path)
        }
        fn mounts(&self) -> Result<Vec<Mount>, HostError> {
            self.0.mounts()
        }
        fn addresses(&self) -> Result<Addresses, HostError> {
            self.0.addresses()
        }
        fn hostname(&self) -> Result<String, HostError> {
            self.0.hostname()
        }
        fn booted_at(&self) -> Result<u64, HostError> {
            self.0.booted_at()
        }
        fn clocks(&self) -> Clocks {
            self.0.clocks()
        }
    }

    #[test]
    fn what_may_not_be_looked_at_is_not_removed() {
        let host = Recorded::mac()
            .file("/Library/LaunchDaemons/a.plist", UPDATER)
            .file("/Users/ada/Library/LaunchAgents/b.plist", UPDATER);
        let first = observe(&host, None);
        for path in ["/Library/LaunchDaemons", "/Library/LaunchDaemons/a", "/Users/ada/"] {
            assert_eq!(observe(&Denying(host.clone(), path), Some(&first)), first, "{path}");
        }
        assert!(LaunchItems::observe(&Denying(host.clone(), "/Users"), Some(&first)).is_err());
        let denied = observe(&Denying(host, "/Library/LaunchDaemons/a"), None);
        assert_eq!(denied["/Library/LaunchDaemons/a.plist"], Item::default(), "it is there all the same");
    }

    #[test]
    fn a_home_that_is_taken_away_takes_its_items_along() {
        let first = observe(&Recorded::mac().file("/Users/ada/Library/LaunchAgents/b.plist", UPDATER), None);
        let drafts = LaunchItems::diff(&first, &observe(&Recorded::mac().file("/Users/grace/x", ""), Some(&first)));
        assert!(drafts.len() == 1 && Kind::LaunchItemRemoved.is(&drafts[0]));
    }

    fn any_snapshot() -> impl Strategy<Value = Snapshot> {
        let text = || prop::option::of("[ab]");
        let item = (text(), text(), any::<bool>(), text()).prop_map(|(label, program, run_at_load, hash)| Item {
            label,
            program,
            run_at_load,
            hash,
        });
        prop::collection::btree_map("/Library/[a-c]", item, 0..4)
    }

    fn replay(mut snapshot: Snapshot, drafts: &[Draft]) -> Snapshot {
        for draft in drafts {
            let info = draft.info.clone().unwrap().into_value();
            let path = info["path"].as_str().unwrap().to_owned();
            let to = if Kind::LaunchItemChanged.is(draft) { info["to"].clone() } else { info };
            if Kind::LaunchItemRemoved.is(draft) {
                snapshot.remove(&path);
            } else {
                snapshot.insert(path, serde_json::from_value(to).unwrap());
            }
        }
        snapshot
    }

    proptest! {
        #[test]
        fn replaying_the_events_over_the_old_snapshot_gives_the_new(old in any_snapshot(), new in any_snapshot()) {
            let drafts = LaunchItems::diff(&old, &new);
            prop_assert_eq!(drafts.is_empty(), old == new);
            prop_assert_eq!(replay(old, &drafts), new);
        }

        #[test]
        fn no_list_panics(text in ".{0,100}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            parse(&bytes);
            parse(UPDATER.replace("/opt/example/updater", &text).as_bytes());
        }
    }
}

//! Packages installed, from the system's own list of them, `/Library/Receipts/InstallHistory.plist`.
//!
//! An entry is new when none like it was seen before, whatever its date and wherever it stands: two may share a date, and
//! cleaning tools shorten the file or take it away. So every entry ever seen is remembered by a fingerprint. The list is
//! read only when it was changed.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::time::{Duration, SystemTime};

use ::plist::{Dictionary, Value as Plist};
use emote_proto::{Draft, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::facts::{fingerprint, info, read_plist};
use super::{ObserveError, Source};
use crate::gather::Gather;
use crate::platform::{Host, System, plist};
use crate::vocabulary::Kind;

const FOLDER: &str = "/Library/Receipts";
const FILE: &str = "InstallHistory.plist";
/// Bytes of the list at most. An entry has about 500, and a Mac gets some hundred a year; of about 12,000 on there are
/// more values than are read, which is an error.
const LIST: usize = 8 << 20;
/// Entries that are kept whole, and told by one look; more wait for the next.
const NEWEST: usize = 200;
/// Fingerprints at most. Beyond it only those of entries still in the list stay.
const KNOWN: usize = 20_000;
/// Package ids of one entry at most.
const IDENTIFIERS: usize = 20;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// Of the list that was read, in milliseconds since 1970; `None`: it is to be read again. No event is about it.
    pub(crate) modified: Option<i64>,
    /// Fingerprints of all entries that were told, or there when the first look was made.
    pub(crate) known: BTreeSet<u64>,
    /// The last of them, in the order of their dates or of their telling.
    pub(crate) newest: VecDeque<Entry>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Milliseconds since 1970.
    pub(crate) date: i64,
    pub(crate) facts: Facts,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) identifiers: Vec<String>,
    /// That installed it, such as `installer`, `softwareupdated`, `appstoreagent`.
    pub(crate) process: Option<String>,
}

pub(crate) struct Packages;

impl Source for Packages {
    const NAME: &'static str = "packages";
    const ABOUT: &'static str = "packages installed";
    const ON: &'static [System] = &[System::Mac];
    const INTERVAL: Duration = Duration::from_secs(1_800);
    const DEBOUNCE: Duration = Duration::from_secs(10);
    const VERSION: u8 = 1;
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let modified = modified(host)?;
        if let Some(old) = old.filter(|old| modified.is_some() && old.modified == modified) {
            return Ok(old.clone());
        }
        // A new Mac has none.
        let entries = match read_plist(host, &format!("{FOLDER}/{FILE}"), LIST)? {
            Some(list) => entries(list)?,
            None => Vec::new(),
        };
        Ok(after(old, entries, modified))
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        let told = new.newest.iter().filter(|entry| !old.known.contains(&entry.fingerprint()));
        told.map(|entry| {
            let mut draft = Kind::PackageInstalled.draft(entry.info());
            draft.time = Time::from_millis(entry.date);
            draft
        })
        .collect()
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        let packages: Vec<Value> = snapshot.newest.iter().map(Entry::info).collect();
        json!({"packages": packages})
    }
}

impl Entry {
    fn info(&self) -> Value {
        let at = Time::from_millis(self.date).map(|time| time.to_string());
        info(("installed_at", &at.unwrap_or_default()), &self.facts)
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        fingerprint(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// When the list was changed; `None` where there is none.
fn modified(host: &dyn Host) -> Result<Option<i64>, ObserveError> {
    match host.list(Path::new(FOLDER)) {
        Err(error) if error.is_missing() => Ok(None),
        entries => Ok(entries?.into_iter().find(|entry| entry.name == FILE).and_then(|entry| entry.modified)),
    }
}

/// What there is to know after `old`, the list having these entries.
fn after(old: Option<&Snapshot>, entries: Vec<Entry>, modified: Option<i64>) -> Snapshot {
    let listed: BTreeSet<u64> = entries.iter().map(Entry::fingerprint).gather();
    let Some(old) = old else {
        let skip = entries.len().saturating_sub(NEWEST);
        return Snapshot { modified, known: listed, newest: entries.into_iter().skip(skip).collect() };
    };
    let mut new = old.clone();
    let mut fresh = entries.into_iter().map(|entry| (entry.fingerprint(), entry));
    let mut told = 0;
    new.modified = loop {
        let Some((fingerprint, entry)) = fresh.next() else { break modified };
        if new.known.contains(&fingerprint) {
            continue;
        }
        if told == NEWEST {
            break None;
        }
        told += 1;
        new.known.insert(fingerprint);
        new.newest.push_back(entry);
    };
    let surplus = new.newest.len().saturating_sub(NEWEST);
    new.newest.drain(..surplus);
    if new.known.len() > KNOWN {
        new.known.retain(|known| listed.contains(known));
    }
    new
}

/// The entries of the list by date, as `installer` and `softwareupdate` write them. One without a date says nothing.
fn entries(list: Plist) -> Result<Vec<Entry>, ObserveError> {
    let list = list.into_array().ok_or_else(|| ObserveError::Answer(format!("{FILE}: it is no array")))?;
    let mut entries: Vec<Entry> = list.iter().filter_map(|entry| self::entry(entry.as_dictionary()?)).collect();
    entries.sort_by_key(|entry| entry.date);
    Ok(entries)
}

fn entry(entry: &Dictionary) -> Option<Entry> {
    let date = jiff::Timestamp::try_from(SystemTime::from(entry.get("date")?.as_date()?)).ok()?;
    let identifiers = entry.get("packageIdentifiers").and_then(Plist::as_array).map_or(&[][..], Vec::as_slice);
    let identifiers = identifiers.iter().filter_map(Plist::as_string).take(IDENTIFIERS);
    let facts = Facts {
        name: plist::text(entry, "displayName").unwrap_or_default(),
        version: plist::text(entry, "displayVersion"),
        identifiers: identifiers.map(|id| id.chars().take(256).collect()).collect(),
        process: plist::text(entry, "processName"),
    };
    Some(Entry { date: date.as_millisecond(), facts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use proptest::prelude::*;

    fn listed(date: &str, name: &str, version: &str, process: &str) -> String {
        format!(
            "<dict><key>date</key><date>{date}</date><key>displayName</key><string>{name}</string>\
             <key>displayVersion</key><string>{version}</string><key>packageIdentifiers</key><array>\
             <string>com.example.{name}</string></array><key>processName</key><string>{process}</string></dict>"
        )
    }

    /// A Mac with this list, changed `modified` milliseconds later than any.
    fn mac(modified: i64, entries: &[String]) -> Recorded {
        let list = format!("<plist><array>{}</array></plist>", entries.concat());
        let mac = Recorded::mac().file("/Library/Receipts/InstallHistory.plist", list);
        Recorded { modified: mac.modified + modified, ..mac }
    }

    fn observe(host: &Recorded, old: Option<&Snapshot>) -> Snapshot {
        Packages::observe(host, old).unwrap()
    }

    fn told(old: &Snapshot, new: &Snapshot) -> Vec<(String, String)> {
        let drafts = Packages::diff(old, new).into_iter();
        drafts
            .map(|draft| (draft.info.unwrap()["name"].as_str().unwrap().to_owned(), draft.time.unwrap().to_string()))
            .collect()
    }

    #[test]
    fn a_new_entry_is_told_with_its_own_date_also_when_it_shares_it() {
        let old = [listed("2026-11-01T08:00:00Z", "A", "1", "installer")];
        let first = observe(&mac(0, &old), None);
        let one = listed("2026-11-01T08:00:00Z", "macOS 26.2", "26.2", "softwareupdated");
        let two = listed("2026-10-01T08:00:00Z", "B", "", "installer");
        // Written anew, in another order, with one before the others.
        let new = observe(&mac(1, &[two, one, old[0].clone()]), Some(&first));
        let expected = [("B", "2026-10-01T08:00:00.000Z"), ("macOS 26.2", "2026-11-01T08:00:00.000Z")]
            .map(|(name, time)| (name.to_owned(), time.to_owned()));
        assert_eq!(told(&first, &new), expected);
        let info = Packages::diff(&first, &new)[1].info.clone().unwrap().into_value();
        assert_eq!(
            info,
            json!({"name": "macOS 26.2", "version": "26.2", "identifiers": ["com.example.macOS 26.2"],
                "process": "softwareupdated", "installed_at": "2026-11-01T08:00:00.000Z"})
        );
        assert!(told(&new, &observe(&mac(2, &old), Some(&new))).is_empty());
    }

    #[test]
    fn a_list_that_is_taken_away_and_comes_back_tells_nothing_twice() {
        let entries = [listed("2026-11-01T08:00:00Z", "A", "1", "installer")];
        let first = observe(&mac(0, &entries), None);
        let gone = observe(&Recorded::mac(), Some(&first));
        assert!(told(&first, &gone).is_empty());
        assert!(told(&gone, &observe(&mac(5, &entries), Some(&gone))).is_empty());
        assert_eq!(observe(&Recorded::mac(), None), Snapshot::default(), "a new Mac");
        let after = observe(&mac(1, &entries), Some(&Snapshot::default()));
        assert_eq!(told(&Snapshot::default(), &after).len(), 1);
    }

    #[test]
    fn the_list_is_read_only_when_it_was_changed_and_an_answer_not_understood_is_an_error() {
        let first = observe(&mac(0, &[listed("2026-11-01T08:00:00Z", "A", "1", "installer")]), None);
        let path = "/Library/Receipts/InstallHistory.plist";
        assert_eq!(observe(&mac(0, &[]), Some(&first)), first);
        for text in ["", "<plist><dict></dict></plist>", "<plist><array>"] {
            assert!(Packages::observe(&mac(1, &[]).file(path, text), Some(&first)).is_err(), "{text}");
        }
        let odd = "<string>x</string><dict><key>displayName</key><string>x</string></dict>".to_owned();
        assert_eq!(observe(&mac(0, &[odd]), None).newest.len(), 0);
    }

    #[test]
    fn thousands_of_entries_are_bounded_and_none_is_lost() {
        let entry = |n: i64| {
            let date = Time::from_millis(1_700_000_000_000 + n * 1_000).unwrap().to_string();
            listed(&date.replace(".000", ""), &format!("P{n}"), "1", "installer")
        };
        let all: Vec<String> = (0..3_000).map(entry).collect();
        let first = observe(&mac(0, &all[..2_500]), None);
        assert_eq!((first.known.len(), first.newest.len()), (2_500, NEWEST));
        assert_eq!(first.newest[0].facts.name, "P2300");
        let (mut old, mut names) = (first, Vec::new());
        for _ in 0..4 {
            let new = observe(&mac(1, &all), Some(&old));
            names.extend(told(&old, &new).into_iter().map(|(name, _)| name));
            old = new;
        }
        assert_eq!(names, (2_500..3_000).map(|n| format!("P{n}")).collect::<Vec<_>>());
    }

    fn any_entry() -> impl Strategy<Value = Entry> {
        let facts = ("[ab]", prop::option::of("[ab]"), prop::collection::vec("[ab]", 0..2), prop::option::of("[ab]"));
        (0_i64..3, facts).prop_map(|(date, (name, version, identifiers, process))| Entry {
            date,
            facts: Facts { name, version, identifiers, process },
        })
    }

    proptest! {
        #[test]
        fn replaying_the_events_over_what_was_known_gives_what_is_known(
            old in prop::collection::vec(any_entry(), 0..40), new in prop::collection::vec(any_entry(), 0..40),
            times in prop::array::uniform2(prop::option::of(0_i64..2)),
        ) {
            let old = after(None, old, times[0]);
            let new = after(Some(&old), new, times[1]);
            let drafts = Packages::diff(&old, &new);
            prop_assert_eq!(drafts.is_empty(), old.known == new.known);
            let mut known = old.known;
            for draft in drafts {
                let facts = serde_json::from_value(draft.info.unwrap().into_value()).unwrap();
                known.insert(Entry { date: draft.time.unwrap().as_millis(), facts }.fingerprint());
            }
            prop_assert_eq!(known, new.known);
        }

        #[test]
        fn no_list_panics(text in ".{0,100}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let path = "/Library/Receipts/InstallHistory.plist";
            let _ = Packages::observe(&Recorded::mac().file(path, bytes), None);
            for list in [&text, &listed(&text, &text, &text, &text)] {
                let _ = Packages::observe(&mac(0, std::slice::from_ref(list)), None);
            }
        }
    }
}

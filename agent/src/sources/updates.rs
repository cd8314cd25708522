//! Updates of the system that wait, as its own last check found them: `com.apple.SoftwareUpdate.plist`. Nothing is
//! checked anew, so they are as old as `checked_at` says.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use ::plist::{Dictionary, Value as Plist};
use emote_proto::{Draft, Time};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::facts::{info, read_dictionary};
use super::{ObserveError, Source};
use crate::platform::{Host, System, plist};
use crate::vocabulary::Kind;

const FILE: &str = "/Library/Preferences/com.apple.SoftwareUpdate.plist";
const LIST: usize = 1 << 20;
/// Updates at most; real lists have less than ten.
const UPDATES: usize = 200;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// Milliseconds since 1970. No event is about it.
    pub(crate) checked_at: Option<i64>,
    /// By product key.
    pub(crate) pending: BTreeMap<String, Update>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Update {
    pub(crate) identifier: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
    /// Of macOS itself: to install it means to restart.
    pub(crate) system: bool,
}

pub(crate) struct Updates;

impl Source for Updates {
    const NAME: &'static str = "updates";
    const ABOUT: &'static str = "updates of the system that wait to be installed";
    const ON: &'static [System] = &[System::Mac];
    const INTERVAL: Duration = Duration::from_secs(1_800);
    const VERSION: u8 = 1;
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, _old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        match read_dictionary(host, FILE, LIST)? {
            // Never checked.
            None => Ok(Snapshot::default()),
            Some(list) => snapshot(&list),
        }
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for (key, update) in old.pending.iter().filter(|(key, _)| !new.pending.contains_key(*key)) {
            drafts.push(Kind::OsUpdateCleared.draft(info(("product_key", key), update)));
        }
        for (key, update) in new.pending.iter().filter(|(key, update)| old.pending.get(*key) != Some(update)) {
            drafts.push(Kind::OsUpdatePending.draft(info(("product_key", key), update)));
        }
        drafts
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        let pending: Vec<Value> =
            snapshot.pending.iter().map(|(key, update)| info(("product_key", key), update)).collect();
        let mut inventory = json!({"pending": pending});
        if let Some(time) = snapshot.checked_at.and_then(Time::from_millis) {
            inventory["checked_at"] = time.to_string().into();
        }
        inventory
    }
}

/// `RecommendedUpdates`: dictionaries with `Product Key`, `Identifier`, `Display Name`, `Display Version`, and
/// `MobileSoftwareUpdate` true for macOS itself. `LastRecommendedUpdatesAvailable` is not asked: it may count what is
/// installed by now.
fn snapshot(list: &Dictionary) -> Result<Snapshot, ObserveError> {
    let checked_at = list.get("LastSuccessfulDate").and_then(Plist::as_date).map(SystemTime::from);
    let checked_at = checked_at.and_then(|date| jiff::Timestamp::try_from(date).ok());
    let mut snapshot =
        Snapshot { checked_at: checked_at.map(jiff::Timestamp::as_millisecond), pending: BTreeMap::new() };
    let updates = match list.get("RecommendedUpdates") {
        None => return Ok(snapshot),
        Some(updates) => updates.as_array().ok_or_else(|| not_understood("RecommendedUpdates is no array"))?,
    };
    if updates.len() > UPDATES {
        return Err(not_understood("there are too many updates"));
    }
    for update in updates {
        let (key, update) = self::update(update).ok_or_else(|| not_understood("an update has no product key"))?;
        snapshot.pending.insert(key, update);
    }
    Ok(snapshot)
}

fn update(update: &Plist) -> Option<(String, Update)> {
    let update = update.as_dictionary()?;
    let text = |key| plist::text(update, key);
    let identifier = text("Identifier");
    let key = text("Product Key").or_else(|| identifier.clone())?;
    let system = update.get("MobileSoftwareUpdate").is_some_and(is_true);
    Some((key, Update { identifier, name: text("Display Name"), version: text("Display Version"), system }))
}

/// `defaults` writes numbers where a program would write booleans.
fn is_true(value: &Plist) -> bool {
    value.as_boolean().unwrap_or_else(|| value.as_signed_integer().is_some_and(|number| number != 0))
}

fn not_understood(what: &str) -> ObserveError {
    ObserveError::Answer(format!("{FILE}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use proptest::prelude::*;

    /// As macOS 12.6 was announced; shapes from public reports.
    const PENDING: &str = "<key>RecommendedUpdates</key><array>
        <dict><key>Display Name</key><string>Safari</string><key>Display Version</key><string>16.0</string>
          <key>Identifier</key><string>Safari16.0MontereyAuto</string><key>Product Key</key><string>012-49737</string></dict>
        <dict><key>Display Name</key><string>macOS Monterey 12.6</string><key>Display Version</key><string>12.6</string>
          <key>Identifier</key><string>MSU_UPDATE_21G115_patch_12.6</string><key>MobileSoftwareUpdate</key><true/>
          <key>Product Key</key><string>MSU_UPDATE_21G115_patch_12.6</string></dict></array>";

    fn mac(checked: &str, updates: &str) -> Recorded {
        let date = format!("<key>LastSuccessfulDate</key><date>{checked}</date>");
        let rest = "<key>AutomaticDownload</key><true/><key>LastRecommendedUpdatesAvailable</key><integer>3</integer>";
        Recorded::mac().file(FILE, format!("<plist><dict>{date}{rest}{updates}</dict></plist>"))
    }

    fn observe(host: &Recorded) -> Snapshot {
        Updates::observe(host, None).unwrap()
    }

    #[test]
    fn updates_that_wait_are_found_and_told() {
        let none = observe(&mac("2026-11-23T07:00:00Z", "<key>RecommendedUpdates</key><array/>"));
        let two = observe(&mac("2026-11-24T07:00:00Z", PENDING));
        let safari = json!({"product_key": "012-49737", "identifier": "Safari16.0MontereyAuto", "name": "Safari",
            "version": "16.0", "system": false});
        let system = json!({"product_key": "MSU_UPDATE_21G115_patch_12.6", "name": "macOS Monterey 12.6",
            "identifier": "MSU_UPDATE_21G115_patch_12.6", "version": "12.6", "system": true});
        assert_eq!(
            Updates::inventory(&two),
            json!({"pending": [safari, system], "checked_at": "2026-11-24T07:00:00.000Z"})
        );
        let drafts = |old, new| Updates::diff(old, new).into_iter().map(|draft| draft.info.unwrap().into_value());
        assert_eq!(drafts(&none, &two).collect::<Vec<_>>(), [safari.clone(), system.clone()]);
        assert_eq!(drafts(&two, &none).collect::<Vec<_>>(), [safari, system]);
        assert!(Updates::diff(&two, &none).iter().all(|draft| Kind::OsUpdateCleared.is(draft)));
    }

    #[test]
    fn another_check_is_no_event() {
        let (old, new) =
            (observe(&mac("2026-11-23T07:00:00Z", PENDING)), observe(&mac("2026-11-24T07:00:00Z", PENDING)));
        assert!(old != new && Updates::diff(&old, &new).is_empty());
    }

    #[test]
    fn a_mac_that_never_checked_has_none_and_what_is_not_understood_is_an_error() {
        assert_eq!(observe(&Recorded::mac()), Snapshot::default());
        assert!(observe(&mac("2026-11-23T07:00:00Z", "")).pending.is_empty());
        for list in [
            "",
            "<plist><array/></plist>",
            "<plist><dict><key>RecommendedUpdates</key><string>none</string></dict></plist>",
            "<plist><dict><key>RecommendedUpdates</key><array><string>macOS</string></array></dict></plist>",
            "<plist><dict><key>RecommendedUpdates</key><array><dict/></array></dict></plist>",
        ] {
            assert!(Updates::observe(&Recorded::mac().file(FILE, list), None).is_err(), "{list}");
        }
    }

    fn any_snapshot() -> impl Strategy<Value = Snapshot> {
        let text = || prop::option::of("[ab]");
        let update = (text(), text(), text(), any::<bool>()).prop_map(|(identifier, name, version, system)| Update {
            identifier,
            name,
            version,
            system,
        });
        (prop::option::of(0_i64..2), prop::collection::btree_map("[a-c]", update, 0..4))
            .prop_map(|(checked_at, pending)| Snapshot { checked_at, pending })
    }

    fn replay(mut pending: BTreeMap<String, Update>, drafts: &[Draft]) -> BTreeMap<String, Update> {
        for draft in drafts {
            let info = draft.info.clone().unwrap().into_value();
            let key = info["product_key"].as_str().unwrap().to_owned();
            if Kind::OsUpdateCleared.is(draft) {
                pending.remove(&key);
            } else {
                pending.insert(key, serde_json::from_value(info).unwrap());
            }
        }
        pending
    }

    proptest! {
        #[test]
        fn replaying_the_events_over_what_waited_gives_what_waits(old in any_snapshot(), new in any_snapshot()) {
            let drafts = Updates::diff(&old, &new);
            prop_assert_eq!(drafts.is_empty(), old.pending == new.pending);
            prop_assert_eq!(replay(old.pending, &drafts), new.pending);
        }

        #[test]
        fn no_list_panics(text in ".{0,100}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Updates::observe(&Recorded::mac().file(FILE, bytes), None);
            let _ = Updates::observe(&mac(&text, PENDING), None);
            let _ = Updates::observe(&mac("2026-11-23T07:00:00Z", &PENDING.replace("12.6", &text)), None);
        }
    }
}

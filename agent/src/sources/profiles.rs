//! Configuration profiles, of the machine and of its users.
//!
//! Read from `profiles show`, whose property list has an array of profiles at `_computerlevel` and one at the name of
//! each user who has any. What is in a payload is never looked at, but for its type (and see [`super::mdm`]). An MDM may
//! install a changed profile under the same UUID and version, so any difference counts as an update, the date too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ::plist::{Dictionary, Value as Plist};
use emote_proto::Draft;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::facts::known;
use super::{ObserveError, Source};
use crate::gather::Gather;
use crate::platform::{Host, System, plist, tools};
use crate::vocabulary::Kind;

/// More are an error: cut off, what is left out would seem to be removed.
const MOST: usize = 500;
/// Payload types of one profile at most.
const MOST_PAYLOADS: usize = 32;

/// By scope (`computer` or a user) and identifier.
pub(crate) type Snapshot = BTreeMap<(String, String), Profile>;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) uuid: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) organization: Option<String>,
    pub(crate) version: Option<u64>,
    /// As macOS writes it: `2026-11-23 07:00:00 +0000`.
    pub(crate) installed: Option<String>,
    /// Such as `verified`.
    pub(crate) verification: Option<String>,
    pub(crate) removal_disallowed: bool,
    /// Their types.
    pub(crate) payloads: BTreeSet<String>,
}

pub(crate) struct Profiles;

impl Source for Profiles {
    const NAME: &'static str = "profiles";
    const ABOUT: &'static str = "configuration profiles installed, updated and removed";
    const VERSION: u8 = 1;
    const ON: &'static [System] = &[System::Mac];
    const INTERVAL: Duration = Duration::from_secs(900);
    const DEBOUNCE: Duration = Duration::from_secs(5);
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, _old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let mut snapshot = Snapshot::new();
        for (scope, profile) in installed(host)? {
            let identifier =
                plist::text(&profile, "ProfileIdentifier").ok_or_else(|| not_understood("no identifier"))?;
            snapshot.insert((scope, identifier), Profile::from(&profile));
        }
        if snapshot.len() > MOST {
            return Err(not_understood(&format!("more than {MOST} profiles")));
        }
        Ok(snapshot)
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        let removed = old.iter().filter(|(key, _)| !new.contains_key(key));
        let removed = removed.map(|(key, profile)| Kind::ProfileRemoved.draft(Value::Object(profile.info(key))));
        let changed = new.iter().filter_map(|(key, profile)| {
            let mut info = profile.info(key);
            let kind = match old.get(key) {
                None => Kind::ProfileInstalled,
                Some(before) if before == profile => return None,
                Some(before) => {
                    info.insert("from".into(), before.changed(profile, key));
                    Kind::ProfileUpdated
                }
            };
            Some(kind.draft(Value::Object(info)))
        });
        removed.chain(changed).collect()
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        let profiles: Vec<_> = snapshot.iter().map(|(key, profile)| profile.info(key)).collect();
        json!({"profiles": profiles})
    }
}

impl Profile {
    fn from(profile: &Dictionary) -> Self {
        let text = |key: &str| plist::text(profile, key);
        let installed = profile.get("ProfileInstallDate").and_then(Plist::as_date).map(|date| date.to_xml_format());
        // Written as a word, and by some versions as what it is.
        let removal_disallowed = profile.get("ProfileRemovalDisallowed").and_then(Plist::as_boolean);
        Self {
            uuid: text("ProfileUUID"),
            name: text("ProfileDisplayName"),
            organization: text("ProfileOrganization"),
            version: profile.get("ProfileVersion").and_then(Plist::as_unsigned_integer),
            installed: text("ProfileInstallDate").or(installed),
            verification: text("ProfileVerificationState"),
            removal_disallowed: removal_disallowed
                .unwrap_or_else(|| text("ProfileRemovalDisallowed").is_some_and(|word| word == "true")),
            payloads: items(profile).filter_map(|item| plist::text(item, "PayloadType")).take(MOST_PAYLOADS).gather(),
        }
    }

    fn info(&self, (scope, identifier): &(String, String)) -> Map<String, Value> {
        let mut info = known(self);
        info.insert("scope".into(), json!(scope));
        info.insert("identifier".into(), json!(identifier));
        info
    }

    /// The fields that are otherwise in `now`, as they are here.
    fn changed(&self, now: &Self, key: &(String, String)) -> Value {
        let (mut before, after) = (self.info(key), now.info(key));
        for field in after.keys() {
            before.entry(field.as_str()).or_insert(Value::Null);
        }
        before.retain(|field, value| after.get(field) != Some(value));
        Value::Object(before)
    }
}

/// Every profile with its scope, as `profiles show` has it.
pub(super) fn installed(host: &dyn Host) -> Result<Vec<(String, Dictionary)>, ObserveError> {
    let output = host.run(&tools::PROFILES_SHOW)?;
    // In place of a property list, or as an empty one.
    if output.text.trim_start().starts_with("There are no configuration profiles installed") {
        return Ok(Vec::new());
    }
    let text = output.successful(&tools::PROFILES_SHOW)?;
    let list = plist::parse(text.trim_start().as_bytes()).map_err(|error| not_understood(&error.to_string()))?;
    let scopes = list.into_dictionary().ok_or_else(|| not_understood("no dictionary"))?;
    let mut found = Vec::new();
    for (scope, profiles) in scopes {
        let scope = if scope == "_computerlevel" { "computer".to_owned() } else { scope.chars().take(64).collect() };
        for profile in profiles.into_array().ok_or_else(|| not_understood("a scope that is no list"))? {
            let profile = profile.into_dictionary().ok_or_else(|| not_understood("a profile that is none"))?;
            found.push((scope.clone(), profile));
        }
    }
    Ok(found)
}

/// The payloads of a profile.
pub(super) fn items(profile: &Dictionary) -> impl Iterator<Item = &Dictionary> {
    let items = profile.get("ProfileItems").and_then(Plist::as_array);
    items.into_iter().flatten().filter_map(Plist::as_dictionary)
}

fn not_understood(what: &str) -> ObserveError {
    ObserveError::Answer(format!("{}: {what}", tools::PROFILES_SHOW.path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use proptest::prelude::*;

    const SHOWN: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
  <key>_computerlevel</key><array><dict>
    <key>ProfileDisplayName</key><string>Firewall</string>
    <key>ProfileIdentifier</key><string>com.example.firewall</string>
    <key>ProfileInstallDate</key><string>2026-11-20 07:00:00 +0000</string>
    <key>ProfileItems</key><array>
      <dict><key>PayloadType</key><string>com.apple.security.firewall</string>
        <key>PayloadContent</key><dict><key>Password</key><string>hunter2</string></dict></dict>
      <dict><key>PayloadType</key><string>com.apple.MCX.FileVault2</string></dict>
    </array>
    <key>ProfileOrganization</key><string>Example</string>
    <key>ProfileRemovalDisallowed</key><string>true</string>
    <key>ProfileUUID</key><string>A-1</string>
    <key>ProfileVerificationState</key><string>verified</string>
    <key>ProfileVersion</key><integer>1</integer>
  </dict></array>
  <key>ada</key><array><dict>
    <key>ProfileIdentifier</key><string>com.example.wifi</string>
    <key>ProfileRemovalDisallowed</key><false/>
    <key>ProfileItems</key><array/>
  </dict></array>
</dict></plist>
"#;

    #[test]
    fn profiles_of_the_machine_and_of_users_are_told_without_what_is_in_them() {
        let snapshot = Profiles::observe(&Recorded::mac().tool(&tools::PROFILES_SHOW, SHOWN), None).unwrap();
        let firewall = json!({"scope": "computer", "identifier": "com.example.firewall", "uuid": "A-1", "name": "Firewall",
            "organization": "Example", "version": 1, "installed": "2026-11-20 07:00:00 +0000", "verification": "verified",
            "removal_disallowed": true, "payloads": ["com.apple.MCX.FileVault2", "com.apple.security.firewall"]});
        let wifi =
            json!({"scope": "ada", "identifier": "com.example.wifi", "removal_disallowed": false, "payloads": []});
        assert_eq!(Profiles::inventory(&snapshot), json!({"profiles": [wifi, firewall]}));
    }

    #[test]
    fn no_profiles_are_said_in_two_ways_and_a_failure_in_none() {
        let sentence = "There are no configuration profiles installed in the system domain\n";
        for (text, code) in [("<plist><dict/></plist>", 0), (sentence, 0), (sentence, 1)] {
            let mac = Recorded::mac().tool_code(&tools::PROFILES_SHOW, text, code);
            assert_eq!(Profiles::observe(&mac, None), Ok(Snapshot::new()), "{text}");
        }
        let nameless = SHOWN.replace("ProfileIdentifier", "Other");
        let cut = SHOWN.split_at(900).0;
        for (text, code) in
            [("", 0), ("<plist><dict/></plist>", 1), ("<plist><array/></plist>", 0), (cut, 0), (&nameless, 0)]
        {
            let mac = Recorded::mac().tool_code(&tools::PROFILES_SHOW, text, code);
            assert!(Profiles::observe(&mac, None).is_err(), "{text}");
        }
    }

    #[test]
    fn an_update_says_what_was_otherwise() {
        let key = ("computer".to_owned(), "a".to_owned());
        let before = Profile { uuid: Some("1".into()), verification: Some("verified".into()), ..Profile::default() };
        let after = Profile { uuid: Some("2".into()), version: Some(2), verification: None, ..before.clone() };
        let drafts = Profiles::diff(&[(key.clone(), before)].into(), &[(key, after)].into());
        let info = json!({"scope": "computer", "identifier": "a", "uuid": "2", "version": 2, "removal_disallowed": false,
            "payloads": [], "from": {"uuid": "1", "version": null, "verification": "verified"}});
        assert_eq!(drafts, [Kind::ProfileUpdated.draft(info)]);
    }

    #[test]
    fn too_many_are_an_error_and_too_long_a_text_is_cut() {
        let profile = |n: usize| {
            let name = "x".repeat(5_000);
            format!(
                "<dict><key>ProfileIdentifier</key><string>{n}</string><key>ProfileUUID</key><string>{name}</string></dict>"
            )
        };
        let of = |count: usize| {
            let profiles: String = (0..count).map(profile).collect();
            let list = format!("<plist><dict><key>_computerlevel</key><array>{profiles}</array></dict></plist>");
            Profiles::observe(&Recorded::mac().tool(&tools::PROFILES_SHOW, &list), None)
        };
        assert!(of(2).unwrap().values().all(|profile| profile.uuid.as_ref().is_some_and(|uuid| uuid.len() == 256)));
        assert!(of(MOST + 1).is_err());
    }

    fn any_snapshot() -> impl Strategy<Value = Snapshot> {
        let text = || prop::option::of("[ab]");
        let payloads = prop::collection::btree_set("[a-c]", 0..3);
        let profile = (text(), text(), prop::option::of(1_u64..3), text(), any::<bool>(), payloads).prop_map(
            |(uuid, name, version, installed, removal_disallowed, payloads)| Profile {
                uuid,
                name,
                version,
                installed,
                removal_disallowed,
                payloads,
                ..Profile::default()
            },
        );
        prop::collection::btree_map(("computer|ada", "[ab]"), profile, 0..4)
    }

    fn replay(mut snapshot: Snapshot, drafts: &[Draft]) -> Snapshot {
        for draft in drafts {
            let info = draft.info.clone().unwrap().into_value();
            let key = ["scope", "identifier"].map(|key| info[key].as_str().unwrap().to_owned());
            let key: (String, String) = key.into();
            if Kind::ProfileRemoved.is(draft) {
                snapshot.remove(&key);
            } else {
                snapshot.insert(key, serde_json::from_value(info).unwrap());
            }
        }
        snapshot
    }

    proptest! {
        #[test]
        fn replaying_the_events_over_the_old_snapshot_gives_the_new(old in any_snapshot(), new in any_snapshot()) {
            let drafts = Profiles::diff(&old, &new);
            prop_assert_eq!(drafts.is_empty(), old == new);
            prop_assert_eq!(replay(old, &drafts), new);
        }

        #[test]
        fn no_text_panics(text in any::<String>(), at in 0_usize..SHOWN.len(), with in "[<>/&a-z]{0,9}") {
            let broken = format!("{}{with}{}", SHOWN.split_at(at).0, SHOWN.split_at(at).1);
            for text in [text, broken] {
                let _ = Profiles::observe(&Recorded::mac().tool(&tools::PROFILES_SHOW, &text), None);
            }
        }
    }
}

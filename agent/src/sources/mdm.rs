//! What the Mac itself says of its enrolment, to be held against what the MDM says.
//!
//! `profiles status` tells whether, `profiles show` has the payload `com.apple.mdm` with the topic and the addresses. Of
//! that payload nothing else is taken, and of an address neither who signs in nor what is asked, and no part of the path
//! that looks like a token: some servers hide one there.

use std::time::Duration;

use emote_proto::Draft;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::facts::known;
use super::{ObserveError, Source, profiles};
use crate::gather::Gather;
use crate::platform::{Host, System, plist, tools};
use crate::vocabulary::Kind;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) enrolled: bool,
    /// Through Automated Device Enrollment. May be so of a Mac that is not enrolled any more.
    pub(crate) dep: bool,
    pub(crate) user_approved: bool,
    pub(crate) server: Option<String>,
    /// What the MDM's push notifications are for.
    pub(crate) topic: Option<String>,
    pub(crate) check_in: Option<String>,
}

pub(crate) struct Mdm;

impl Source for Mdm {
    const NAME: &'static str = "mdm";
    const ABOUT: &'static str = "whether an MDM manages the Mac, which one, and how it came to that";
    const VERSION: u8 = 1;
    const ON: &'static [System] = &[System::Mac];
    const INTERVAL: Duration = Duration::from_secs(600);
    const DEBOUNCE: Duration = Duration::from_secs(5);
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let seen = status(&host.run(&tools::PROFILES_ENROLLMENT)?.text)?;
        if !seen.enrolled {
            return Ok(seen);
        }
        let same = |old: &&Snapshot| old.enrolled && (seen.server.is_none() || old.server == seen.server);
        let payload = match (payload(host), old.filter(same)) {
            (Ok(Some(payload)), _) => payload,
            // It is enrolled where it was: a payload that is not told of is still there.
            (_, Some(old)) => old.clone(),
            (payload, None) => payload?.unwrap_or_default(),
        };
        let server = seen.server.or(payload.server);
        Ok(Snapshot { server, topic: payload.topic, check_in: payload.check_in, ..seen })
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        if old.enrolled != new.enrolled {
            let mut after = known(new);
            let kind = if new.enrolled { Kind::DeviceEnroll } else { Kind::DeviceUnenroll };
            if let (false, Some(server)) = (new.enrolled, &old.server) {
                after.insert("left".into(), json!(server));
            }
            return vec![kind.draft(Value::Object(after))];
        }
        let (before, after) = (json!(old), json!(new));
        let changed = after.as_object().into_iter().flatten().filter_map(|(field, to)| {
            let from = before.get(field).filter(|from| *from != to)?;
            Some((field.clone(), json!({"from": from, "to": to})))
        });
        let changed: Map<String, Value> = changed.gather();
        if changed.is_empty() { Vec::new() } else { vec![Kind::MdmChanged.draft(Value::Object(changed))] }
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        Value::Object(known(snapshot))
    }
}

/// What `profiles status -type enrollment` prints: `Enrolled via DEP: Yes`, `MDM enrollment: Yes (User Approved)` and, on
/// a Mac that is enrolled, `MDM server: https://mdm.example.com/mdm`.
fn status(text: &str) -> Result<Snapshot, ObserveError> {
    let line = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let answer = |name: &str| match line(name).map(|answer| answer.split_once(' ').unwrap_or((answer, ""))) {
        Some(("Yes", how)) => Ok((true, how)),
        Some(("No", how)) => Ok((false, how)),
        _ => Err(ObserveError::Answer(format!("{}: no answer to {name:?}", tools::PROFILES_ENROLLMENT.path))),
    };
    let (dep, _) = answer("Enrolled via DEP")?;
    let (enrolled, how) = answer("MDM enrollment")?;
    let server = line("MDM server").filter(|_| enrolled).and_then(address);
    Ok(Snapshot { enrolled, dep, user_approved: how.contains("User Approved"), server, ..Snapshot::default() })
}

/// What the payload `com.apple.mdm` has.
fn payload(host: &dyn Host) -> Result<Option<Snapshot>, ObserveError> {
    let installed = profiles::installed(host)?;
    let mut items = installed.iter().flat_map(|(_, profile)| profiles::items(profile));
    let mdm = items.find(|item| plist::text(item, "PayloadType").as_deref() == Some("com.apple.mdm"));
    let content = mdm.and_then(|item| item.get("PayloadContent")?.as_dictionary());
    Ok(content.map(|content| {
        let at = |key: &str| plist::text(content, key).as_deref().and_then(address);
        let topic = plist::text(content, "Topic");
        Snapshot { server: at("ServerURL"), topic, check_in: at("CheckInURL"), ..Snapshot::default() }
    }))
}

/// Scheme, host and path of a URL, at most 256 bytes; `…` in place of what looks like a token.
fn address(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let rest = rest.split(['?', '#']).next()?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().filter(|host| !host.is_empty())?;
    let path: Vec<&str> = path.split('/').map(|part| if looks_secret(part) { "…" } else { part }).collect();
    let mut address = format!("{scheme}://{host}{}", path.join("/"));
    address.truncate(address.floor_char_boundary(256));
    Some(address)
}

/// Whether a part of a path is longer than words are.
fn looks_secret(part: &str) -> bool {
    part.len() >= 32 || part.len() >= 16 && part.contains(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use proptest::prelude::*;

    const ENROLLED: &str = "Enrolled via DEP: Yes\nMDM enrollment: Yes (User Approved)\nMDM server: https://mdm.example.com/mdm?id=secret\n";
    const NOT_ENROLLED: &str = "Enrolled via DEP: No\nMDM enrollment: No\n";
    const SHOWN: &str = "<plist><dict><key>_computerlevel</key><array><dict>\
        <key>ProfileIdentifier</key><string>com.example.mdm</string><key>ProfileItems</key><array>\
        <dict><key>PayloadType</key><string>com.apple.security.scep</string>\
        <key>PayloadContent</key><dict><key>Challenge</key><string>secret</string></dict></dict>\
        <dict><key>PayloadType</key><string>com.apple.mdm</string><key>PayloadContent</key><dict>\
        <key>CheckInURL</key><string>https://ada:secret@mdm.example.com/checkin</string>\
        <key>IdentityCertificateUUID</key><string>secret</string>\
        <key>ServerURL</key><string>https://mdm.example.com/mdm?id=secret</string>\
        <key>Topic</key><string>com.apple.mgmt.External.1</string></dict></dict></array></dict></array></dict></plist>";

    fn mac(status: &str, shown: &str) -> Recorded {
        Recorded::mac().tool(&tools::PROFILES_ENROLLMENT, status).tool(&tools::PROFILES_SHOW, shown)
    }

    fn enrolled() -> Snapshot {
        Snapshot {
            enrolled: true,
            dep: true,
            user_approved: true,
            server: Some("https://mdm.example.com/mdm".into()),
            topic: Some("com.apple.mgmt.External.1".into()),
            check_in: Some("https://mdm.example.com/checkin".into()),
        }
    }

    #[test]
    fn an_enrolled_mac_says_where_and_nothing_secret() {
        let seen = Mdm::observe(&mac(ENROLLED, SHOWN), None).unwrap();
        assert_eq!(seen, enrolled());
        assert!(!Mdm::inventory(&seen).to_string().contains("secret"));
        assert_eq!(Mdm::observe(&mac(NOT_ENROLLED, "broken"), Some(&seen)), Ok(Snapshot::default()));
    }

    #[test]
    fn the_status_is_read_in_its_variants() {
        for (text, enrolled, dep, user_approved) in [
            (NOT_ENROLLED, false, false, false),
            ("Enrolled via DEP: Yes\nMDM enrollment: No\n", false, true, false),
            ("\nenrolled via DEP: No\n  MDM Enrollment: Yes\n", true, false, false),
            ("Enrolled via DEP: No\nMDM enrollment: Yes (Something New)\n", true, false, false),
        ] {
            assert_eq!(status(text), Ok(Snapshot { enrolled, dep, user_approved, ..Snapshot::default() }), "{text}");
        }
        for text in ["", "Enrolled via DEP: No\n", "MDM enrollment: No\n", "Enrolled via DEP: No\nMDM enrollment: ?\n"]
        {
            assert!(status(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_has_no_secrets() {
        for (url, expected) in [
            ("https://a.example/mdm/1?token=x#y", Some("https://a.example/mdm/1")),
            ("https://u:p@a.example:8443", Some("https://a.example:8443")),
            ("https://a.example/u@b?x", Some("https://a.example/u@b")),
            ("https://a.example//mdm/0af3c2d19b7e48f6a1d5/check-in", Some("https://a.example//mdm/…/check-in")),
            ("https://a.example/devicemanagement/v1", Some("https://a.example/devicemanagement/v1")),
            ("https://?x", None),
            ("(null)", None),
        ] {
            assert_eq!(address(url).as_deref(), expected, "{url}");
        }
        assert_eq!(address(&format!("https://a{}", "/ä".repeat(500))).unwrap().len(), 256);
    }

    #[test]
    fn a_payload_that_is_not_told_of_stays_while_the_server_does() {
        for shown in ["broken", "<plist><dict/></plist>"] {
            assert_eq!(Mdm::observe(&mac(ENROLLED, shown), Some(&enrolled())), Ok(enrolled()), "{shown}");
        }
        let moved = ENROLLED.replace("mdm.example.com", "mdm2.example.com");
        assert!(Mdm::observe(&mac(&moved, "broken"), Some(&enrolled())).is_err());
        let other = Mdm::observe(&mac(&moved, "<plist><dict/></plist>"), Some(&enrolled())).unwrap();
        assert_eq!((other.server.as_deref(), other.topic), (Some("https://mdm2.example.com/mdm"), None));
        assert!(Mdm::observe(&mac(ENROLLED, "broken"), None).is_err());
    }

    #[test]
    fn leaving_says_which_server_was_left() {
        let info =
            json!({"enrolled": false, "dep": false, "user_approved": false, "left": "https://mdm.example.com/mdm"});
        assert_eq!(Mdm::diff(&enrolled(), &Snapshot::default()), [Kind::DeviceUnenroll.draft(info)]);
        let unapproved = Snapshot { user_approved: false, topic: None, ..enrolled() };
        let info = json!({"user_approved": {"from": true, "to": false},
            "topic": {"from": "com.apple.mgmt.External.1", "to": null}});
        assert_eq!(Mdm::diff(&enrolled(), &unapproved), [Kind::MdmChanged.draft(info)]);
    }

    fn any_snapshot() -> impl Strategy<Value = Snapshot> {
        let text = || prop::option::of("[ab]");
        (any::<[bool; 3]>(), text(), text(), text()).prop_map(
            |([enrolled, dep, user_approved], server, topic, check_in)| Snapshot {
                enrolled,
                dep,
                user_approved,
                server,
                topic,
                check_in,
            },
        )
    }

    fn replay(snapshot: Snapshot, drafts: &[Draft]) -> Snapshot {
        let Some(draft) = drafts.first() else { return snapshot };
        let info = draft.info.clone().unwrap().into_value();
        if !Kind::MdmChanged.is(draft) {
            return serde_json::from_value(info).unwrap();
        }
        let mut fields = json!(snapshot);
        for (field, change) in info.as_object().unwrap() {
            assert_eq!(fields[field], change["from"]);
            fields[field] = change["to"].clone();
        }
        serde_json::from_value(fields).unwrap()
    }

    proptest! {
        #[test]
        fn replaying_the_events_over_the_old_snapshot_gives_the_new(old in any_snapshot(), new in any_snapshot()) {
            let drafts = Mdm::diff(&old, &new);
            prop_assert_eq!(drafts.is_empty(), old == new);
            prop_assert_eq!(replay(old, &drafts), new);
        }

        #[test]
        fn no_text_panics(text in any::<String>(), shown in any::<String>()) {
            let _ = Mdm::observe(&mac(&text, &shown), None);
            let _ = Mdm::observe(&mac(&format!("{ENROLLED}{text}"), &shown), Some(&enrolled()));
            let _ = address(&format!("https://{text}"));
        }
    }
}

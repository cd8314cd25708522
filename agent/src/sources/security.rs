//! What protects a Mac: FileVault, SIP, Gatekeeper, the firewall, and the versions of XProtect.
//!
//! Each part is asked by itself. One that gives no answer keeps the word it had; one that never gave any is not in the
//! snapshot. When it answers for the first time, nobody changed anything: that goes into a `device.inventory` of its own,
//! as whatever is seen first does. It is an error only when no part answers. The exit codes of these tools are documented
//! nowhere (`spctl` has 1 for "disabled"), so what counts is what they print.

use std::collections::BTreeMap;
use std::time::Duration;

use emote_proto::Draft;
use serde_json::{Map, Value, json};

use super::facts::read_dictionary;
use super::{ObserveError, Source};
use crate::platform::{Host, HostError, System, Tool, plist, tools};
use crate::vocabulary::Kind;

/// What is known, by part.
pub(crate) type Snapshot = BTreeMap<String, String>;

type Ask = fn(&dyn Host) -> Result<String, ObserveError>;

/// The parts, each with who knows.
const PARTS: [(&str, Ask); 6] = [
    ("filevault", |host| said(host, &tools::FDESETUP_STATUS, filevault)),
    ("sip", |host| said(host, &tools::CSRUTIL_STATUS, sip)),
    ("gatekeeper", |host| said(host, &tools::SPCTL_STATUS, gatekeeper)),
    ("firewall", |host| said(host, &tools::FIREWALL_STATE, firewall)),
    ("xprotect", |host| version(host, &XPROTECT)),
    ("xprotect_remediator", |host| version(host, &REMEDIATOR)),
];

/// Since macOS 15 the first is used, before it there was only the second.
const XPROTECT: [&str; 2] = [
    "/var/protected/xprotect/XProtect.bundle/Contents/Info.plist",
    "/Library/Apple/System/Library/CoreServices/XProtect.bundle/Contents/Info.plist",
];
const REMEDIATOR: [&str; 1] = ["/Library/Apple/System/Library/CoreServices/XProtect.app/Contents/Info.plist"];

pub(crate) struct Security;

impl Source for Security {
    const NAME: &'static str = "security";
    const ABOUT: &'static str = "FileVault, SIP, Gatekeeper, firewall, and XProtect's versions";
    const VERSION: u8 = 1;
    const ON: &'static [System] = &[System::Mac];
    const INTERVAL: Duration = Duration::from_secs(900);
    const DEBOUNCE: Duration = Duration::from_secs(5);
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let mut snapshot = old.cloned().unwrap_or_default();
        let (mut answers, mut failure) = (0, None);
        for (part, ask) in PARTS {
            match ask(host) {
                Ok(state) => {
                    snapshot.insert(part.to_owned(), state);
                    answers += 1;
                }
                Err(error) => {
                    tracing::debug!(part, %error, "security");
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            Some(error) if answers == 0 => Err(error),
            _ => Ok(snapshot),
        }
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        let (mut learned, mut changed) = (Map::new(), Map::new());
        for (part, to) in new {
            match old.get(part) {
                None => drop(learned.insert(part.clone(), json!(to))),
                Some(from) if from != to => drop(changed.insert(part.clone(), json!({"from": from, "to": to}))),
                Some(_) => {}
            }
        }
        let learned = (!learned.is_empty()).then(|| Kind::DeviceInventory.draft(json!({Self::NAME: learned})));
        let changed = (!changed.is_empty()).then(|| Kind::SecurityChanged.draft(Value::Object(changed)));
        learned.into_iter().chain(changed).collect()
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        json!(snapshot)
    }
}

fn said(host: &dyn Host, tool: &'static Tool, parse: fn(&str) -> Option<&'static str>) -> Result<String, ObserveError> {
    let text = host.run(tool)?.text;
    parse(&text).map(str::to_owned).ok_or_else(|| {
        let start: String = text.trim().chars().take(100).collect();
        ObserveError::Answer(format!("{}: not understood: {start:?}", tool.path))
    })
}

/// `on`, `off`, `pending` (off until the next restart or login), `encrypting` or `decrypting`, as `fdesetup status` has
/// it: `FileVault is On.`, `FileVault is Off, but will be enabled after the next restart.`, and on a line of their own
/// `Encryption in progress: Percent completed = 12` or `Deferred enablement appears to be active for user 'ada'.` How far
/// it has come is left out: it would be an event at each look.
fn filevault(text: &str) -> Option<&'static str> {
    let states = [
        ("Encryption in progress", "encrypting"),
        ("Decryption in progress", "decrypting"),
        ("FileVault is On", "on"),
        ("FileVault is Off, but will be enabled", "pending"),
        ("Deferred enablement appears to be active", "pending"),
        ("FileVault is Off", "off"),
    ];
    states.into_iter().find(|(words, _)| text.contains(words)).map(|(_, state)| state)
}

/// `on`, `off` or `custom`, from the first line of `csrutil status`: `System Integrity Protection status: enabled.`, or
/// `unknown (Custom Configuration).`, which older systems call `enabled (Custom Configuration).` The lines below it say
/// `enabled` and `disabled` of each protection.
fn sip(text: &str) -> Option<&'static str> {
    let status = "System Integrity Protection status: ";
    let state = text.lines().find_map(|line| line.trim().strip_prefix(status))?;
    match state.trim_end_matches('.') {
        "enabled" => Some("on"),
        state if state.starts_with("disabled") => Some("off"),
        state if state.contains('(') => Some("custom"),
        _ => None,
    }
}

/// `on` or `off`, from `assessments enabled` or `assessments disabled`.
fn gatekeeper(text: &str) -> Option<&'static str> {
    text.lines().find_map(|line| match line.trim() {
        "assessments enabled" => Some("on"),
        "assessments disabled" => Some("off"),
        _ => None,
    })
}

/// `on`, `off` or `block_all`, from the number in `Firewall is enabled. (State = 1)`; the sentence differs by version.
fn firewall(text: &str) -> Option<&'static str> {
    let (_, state) = text.split_once("(State = ")?;
    match state.split_once(')')?.0 {
        "0" => Some("off"),
        "1" => Some("on"),
        "2" => Some("block_all"),
        _ => None,
    }
}

/// The version of the first of these bundles that can be read.
fn version(host: &dyn Host, infos: &[&str]) -> Result<String, ObserveError> {
    let mut missing = HostError::Missing("XProtect".into());
    for path in infos {
        match read_dictionary(host, path, 1 << 18) {
            Ok(Some(info)) => {
                let version = plist::text(&info, "CFBundleShortVersionString");
                return version.ok_or_else(|| ObserveError::Answer(format!("{path}: it has no version")));
            }
            Ok(None) => {}
            Err(ObserveError::Host(denied @ HostError::Denied(_))) => missing = denied,
            Err(error) => return Err(error),
        }
    }
    Err(missing.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use proptest::prelude::*;

    const CUSTOM: &str = "System Integrity Protection status: unknown (Custom Configuration).\n\nConfiguration:\n\
        \tApple Internal: disabled\n\tKext Signing: enabled\n\tFilesystem Protections: disabled\n\n\
        This is an unsupported configuration, likely to break in the future.\n";

    fn check(parse: fn(&str) -> Option<&'static str>, cases: &[(&str, Option<&str>)]) {
        for (text, state) in cases {
            assert_eq!(parse(text), *state, "{text:?}");
        }
    }

    #[test]
    fn filevault_is_a_state_without_its_percentage() {
        check(
            filevault,
            &[
                ("FileVault is On.\n", Some("on")),
                ("FileVault is Off.\n", Some("off")),
                ("FileVault is Off, but will be enabled after the next restart.\n", Some("pending")),
                ("FileVault is Off.\nDeferred enablement appears to be active for user 'ada'.\n", Some("pending")),
                ("Encryption in progress: Percent completed = 12\n", Some("encrypting")),
                ("FileVault is On.\nEncryption in progress: Percent completed = 99.5\n", Some("encrypting")),
                ("FileVault is On.\nDecryption in progress: Percent completed = 40\n", Some("decrypting")),
                ("FileVault is Off, but needs to be restarted to finish.\n", Some("off")),
                ("", None),
                ("Error: this is not the startup disk.\n", None),
            ],
        );
    }

    #[test]
    fn the_other_tools_are_read_by_their_words() {
        check(
            sip,
            &[
                ("System Integrity Protection status: enabled.\n", Some("on")),
                ("System Integrity Protection status: disabled.\n", Some("off")),
                ("System Integrity Protection status: disabled (Apple Internal).\n", Some("off")),
                (CUSTOM, Some("custom")),
                ("System Integrity Protection status: enabled (Custom Configuration).\n", Some("custom")),
                ("System Integrity Protection status: unknown.\n", None),
                ("Configuration:\n\tKext Signing: enabled\n", None),
            ],
        );
        check(
            gatekeeper,
            &[
                ("assessments enabled\n", Some("on")),
                ("assessments disabled\n", Some("off")),
                ("developer id enabled\n", None),
                ("", None),
            ],
        );
        check(
            firewall,
            &[
                ("Firewall is disabled. (State = 0)\n", Some("off")),
                ("Firewall is enabled. (State = 1) \n", Some("on")),
                ("Firewall is blocking all non-essential incoming connections. (State = 2)\n", Some("block_all")),
                ("Firewall is enabled. (State = 3)\n", None),
                ("Firewall is enabled.", None),
            ],
        );
    }

    fn info(version: &str) -> String {
        format!("<plist><dict><key>CFBundleShortVersionString</key><string>{version}</string></dict></plist>")
    }

    fn snapshot(parts: &[(&str, &str)]) -> Snapshot {
        parts.iter().map(|(part, state)| ((*part).to_owned(), (*state).to_owned())).collect()
    }

    #[test]
    fn a_macs_answers_become_one_word_each() {
        let mac = Recorded::mac()
            .tool(&tools::FDESETUP_STATUS, "FileVault is On.\n")
            .tool(&tools::CSRUTIL_STATUS, CUSTOM)
            .tool_code(&tools::SPCTL_STATUS, "assessments disabled\n", 1)
            .tool(&tools::FIREWALL_STATE, "Firewall is enabled. (State = 1)\n")
            .file(XPROTECT[1], info("5300"))
            .file(REMEDIATOR[0], info("156"));
        let parts = [("filevault", "on"), ("sip", "custom"), ("gatekeeper", "off"), ("firewall", "on")];
        let mut expected = snapshot(&parts);
        expected.extend(snapshot(&[("xprotect", "5300"), ("xprotect_remediator", "156")]));
        assert_eq!(Security::observe(&mac, None).unwrap(), expected);
        let newer = Security::observe(&mac.file(XPROTECT[0], info("5322")), None).unwrap();
        assert_eq!(newer["xprotect"], "5322");
    }

    #[test]
    fn a_part_without_an_answer_keeps_its_word_and_all_of_them_are_an_error() {
        let some =
            Recorded::mac().tool(&tools::FDESETUP_STATUS, "FileVault is Off.\n").tool(&tools::CSRUTIL_STATUS, "?");
        let first = Security::observe(&some, None).unwrap();
        assert_eq!(first, snapshot(&[("filevault", "off")]));
        let known = snapshot(&[("filevault", "on"), ("sip", "on")]);
        let next = Security::observe(&some, Some(&known)).unwrap();
        assert_eq!(next, snapshot(&[("filevault", "off"), ("sip", "on")]));
        let none = Recorded::mac().tool(&tools::CSRUTIL_STATUS, "?").file(XPROTECT[1], "no plist");
        assert!(Security::observe(&none, Some(&known)).is_err());
    }

    #[test]
    fn what_answers_for_the_first_time_has_not_changed() {
        let (old, new) = (snapshot(&[("sip", "on")]), snapshot(&[("sip", "off"), ("filevault", "on")]));
        let drafts = Security::diff(&old, &new);
        let learned = Kind::DeviceInventory.draft(json!({"security": {"filevault": "on"}}));
        let changed = Kind::SecurityChanged.draft(json!({"sip": {"from": "on", "to": "off"}}));
        assert_eq!(drafts, [learned, changed]);
    }

    fn any_snapshot() -> impl Strategy<Value = Snapshot> {
        prop::collection::btree_map(prop::sample::select(vec!["filevault", "sip", "xprotect"]), "on|off", 0..4)
            .prop_map(|parts| parts.into_iter().map(|(part, state)| (part.to_owned(), state)).collect())
    }

    fn replay(mut snapshot: Snapshot, drafts: &[Draft]) -> Snapshot {
        for draft in drafts {
            let info = draft.info.clone().unwrap().into_value();
            let parts = info.get("security").unwrap_or(&info).as_object().unwrap();
            for (part, state) in parts {
                let state = state.get("to").unwrap_or(state).as_str().unwrap();
                snapshot.insert(part.clone(), state.to_owned());
            }
        }
        snapshot
    }

    proptest! {
        /// `observe` only adds to the old snapshot.
        #[test]
        fn replaying_the_events_over_the_old_snapshot_gives_the_new(old in any_snapshot(), seen in any_snapshot()) {
            let mut new = old.clone();
            new.extend(seen);
            let drafts = Security::diff(&old, &new);
            prop_assert_eq!(drafts.is_empty(), old == new);
            prop_assert_eq!(replay(old, &drafts), new);
        }

        #[test]
        fn no_text_panics_a_parser(text in any::<String>(), tail in any::<String>()) {
            for parse in [filevault, sip, gatekeeper, firewall] {
                parse(&text);
                parse(&format!("System Integrity Protection status: {text}(State = {tail}"));
            }
        }
    }
}

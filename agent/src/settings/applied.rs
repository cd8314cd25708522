//! What was told of the settings last, kept in the spool beside the snapshots of the sources: a version byte and postcard
//! of [`Applied`]. So a change is told once, even when the agent was killed between applying it and telling, or was not
//! running when it was made. Values are kept as checksums only.

use std::collections::{BTreeMap, BTreeSet};

use emote_proto::Draft;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::keys::UNIFIED_LOG;
use super::places::Loaded;
use crate::gather::Gather;
use crate::vocabulary::Kind;

/// Its name among the snapshots: no source can have it.
pub(crate) const SNAPSHOT: &str = "agent.settings";
const VERSION: u8 = 1;
/// Problems in one event.
const MOST_PROBLEMS: usize = 32;

/// What was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Applied {
    values: BTreeMap<String, u64>,
    problems: BTreeSet<u64>,
}

impl Applied {
    /// Of what was loaded.
    pub(crate) fn of(loaded: &Loaded) -> Self {
        let value = |value: &super::Value| checksum(&value.canonical());
        let values = loaded.values.iter();
        Self {
            values: values.map(|(key, effective)| (key.to_owned(), effective.value.as_ref().map_or(0, value))).gather(),
            problems: loaded.problems.iter().map(|problem| checksum(&problem.to_string())).gather(),
        }
    }

    /// From the bytes of the spool.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        if *version == VERSION { postcard::from_bytes(rest).ok() } else { None }
    }

    /// The bytes for the spool.
    pub(crate) fn encode(&self) -> Vec<u8> {
        // Maps of text and numbers into a growing vector: nothing here can fail to serialise.
        postcard::to_extend(self, vec![VERSION]).unwrap_or_default()
    }

    /// What must be told now. The first time, values are what they are; a key that another version brings is no change.
    pub(crate) fn drafts(&self, old: Option<&Self>, loaded: &Loaded) -> Vec<Draft> {
        let changed = old.map(|old| self.changed(old)).unwrap_or_default();
        let mut drafts = Vec::new();
        if !changed.is_empty() {
            drafts.push(Kind::AgentReconfigured.draft(json!({"changed": changed})));
        }
        if self.problems != old.map(|old| old.problems.clone()).unwrap_or_default() {
            let mut info = json!({"problems": loaded.problems.get(..MOST_PROBLEMS).unwrap_or(&loaded.problems)});
            if let Some(more) = loaded.problems.len().checked_sub(MOST_PROBLEMS).filter(|more| *more > 0) {
                info["more"] = more.into();
            }
            drafts.push(Kind::AgentMisconfigured.draft(info));
        }
        drafts
    }

    fn changed<'a>(&'a self, old: &'a Self) -> Vec<&'a String> {
        // Which of these there are is for the settings to say, not for the version.
        let free = |key: &&String| key.starts_with(UNIFIED_LOG);
        let gone = old.values.keys().filter(|key| !self.values.contains_key(*key)).filter(free);
        let differs = |(key, new): &(&String, &u64)| match old.values.get(*key) {
            Some(old) => old != *new,
            None => free(key),
        };
        self.values.iter().filter(differs).map(|(key, _)| key).chain(gone).collect()
    }
}

/// FNV-1a: the same in every version and on every machine.
fn checksum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::super::{Layer, Origin, Settings, Tree, evaluate};
    use super::*;
    use proptest::prelude::*;

    fn loaded(toml: &str) -> Loaded {
        let (values, problems) = evaluate(&[Layer::new(Origin::File, Tree::from_toml(toml).unwrap())]);
        Loaded { settings: Settings::of(&values), values, problems }
    }

    /// Scope, action and `info` of what is told when `new` follows on `old`.
    fn told(old: Option<&str>, new: &str) -> Vec<(String, serde_json::Value)> {
        let old = old.map(|old| Applied::decode(&Applied::of(&loaded(old)).encode()).unwrap());
        let new = loaded(new);
        let drafts = Applied::of(&new).drafts(old.as_ref(), &new).into_iter();
        drafts.map(|draft| (format!("{}.{}", draft.scope, draft.action), draft.info.unwrap().into())).collect()
    }

    #[test]
    fn a_change_is_told_by_its_keys_and_a_problem_once() {
        assert_eq!(told(None, "poll = '1m'"), []);
        assert_eq!(told(Some("poll = '1m'"), "poll = '60s'"), []);
        assert_eq!(
            told(Some("heartbeat = '1m'"), "quota = '2MiB'"),
            [("agent.reconfigured".into(), json!({"changed": ["heartbeat", "quota"]}))]
        );
        let sudo = "[unified_log.sudo]\npredicate = 'p'";
        let both = json!({"changed": ["unified_log.sudo.predicate", "unified_log.sudo.rate"]});
        assert_eq!(told(Some(""), sudo), [("agent.reconfigured".into(), both.clone())]);
        assert_eq!(told(Some(sudo), ""), [("agent.reconfigured".into(), both)]);
        let problem = json!({"key": "heartbeat", "layer": "file", "place": "line 1, column 1",
            "problem": "\"soon\" is no duration: write 30s, 5m or 1h 30m", "used": "5m (default)"});
        let misconfigured = |problems| ("agent.misconfigured".into(), json!({"problems": problems}));
        assert_eq!(told(None, "heartbeat = 'soon'"), [misconfigured(json!([problem]))]);
        assert_eq!(told(Some("heartbeat = 'soon'"), "heartbeat = 'soon'"), []);
        assert_eq!(told(Some("heartbeat = 'soon'"), ""), [misconfigured(json!([]))], "it was put right");
        let many: String = (0..40).map(|n| format!("x{n} = 1\n")).collect();
        let info = &told(None, &many)[0].1;
        assert_eq!((info["problems"].as_array().unwrap().len(), &info["more"]), (32, &json!(8)));
    }

    proptest! {
        #[test]
        fn something_is_told_exactly_when_something_changed(
            old in "(poll = '[12]m'\n)?(x = 1\n)?", new in "(poll = '[12]m'\n)?(x = 1\n)?"
        ) {
            let (a, b) = (Applied::of(&loaded(&old)), Applied::of(&loaded(&new)));
            prop_assert_eq!(told(Some(&old), &new).is_empty(), a == b);
        }

        #[test]
        fn foreign_bytes_never_panic(bytes: Vec<u8>) {
            drop(Applied::decode(&bytes));
        }
    }
}

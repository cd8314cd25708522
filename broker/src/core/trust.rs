//! Whom the fold believes: what an entry's `trust` is, whatever its body says.

use std::collections::{BTreeMap, BTreeSet};

use emote_proto::{Draft, Name, Trust, source};

/// Sources whose events others believe because of the name: no webhook and nobody else may speak as one of them.
pub const OWN_SOURCES: [&str; 3] = [source::AGENT, source::BROKER, source::ADMIN];

/// What events are believed as, by their source. It comes from the set of rules, so that the same log gives the same
/// events on every machine.
#[derive(Debug, Clone, Default)]
pub struct Believed {
    /// Only emote itself writes their events, with what it checked.
    writers: BTreeSet<String>,
    /// What the set of rules says of others.
    levels: BTreeMap<String, Trust>,
}

impl Believed {
    /// `webhooks` are sources whose events emote checked and wrote; `levels` are what others are believed as.
    pub fn new(webhooks: &[Name], levels: &BTreeMap<Name, Trust>) -> Self {
        let writers = webhooks.iter().map(Name::to_string).chain([source::BROKER.to_owned()]).collect();
        let levels = levels.iter().map(|(source, level)| (source.to_string(), *level)).collect();
        Self { writers, levels }
    }

    /// Takes the word of `source`, for showing its events as they are written; nothing may be decided on that.
    pub fn the_word_of(source: &str) -> Self {
        Self { writers: [source.to_owned()].into(), levels: BTreeMap::new() }
    }

    /// Whether anybody is believed only because the set of rules says so.
    pub fn rests_on_credentials(&self) -> bool {
        self.levels.values().any(|level| *level > Trust::Unverified)
    }

    /// What `draft` of `source` is believed as: of an effect, the least that any event of its chain was trusted.
    pub(super) fn of(&self, source: &str, draft: &Draft) -> Trust {
        if !self.writers.contains(source) {
            return self.levels.get(source).copied().unwrap_or_default();
        }
        let said = draft.trust.unwrap_or_default();
        let chain = draft.cause.as_ref().filter(|_| source == source::BROKER).and_then(|cause| cause.trust);
        said.min(chain.unwrap_or(said))
    }
}

/// The word for it, as events have it.
pub(super) fn word(trust: Trust) -> &'static str {
    match trust {
        Trust::Unverified => "unverified",
        Trust::Authenticated => "authenticated",
        Trust::Verified => "verified",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_believed_by_where_it_comes_from_and_never_by_its_own_word() {
        use Trust::{Authenticated, Unverified, Verified};
        let name = |text: &str| Name::new(text).unwrap();
        let levels = [(name("agent"), Verified), (name("manual"), Authenticated)].into();
        let believed = Believed::new(&[name("okta")], &levels);
        let effect = |trust: &str| {
            json!({"event": "00000000-0000-7000-8000-000000000001", "rule": "x", "target": "y",
            "root": "00000000-0000-7000-8000-000000000001", "depth": 1, "trust": trust})
        };
        for (source, said, cause, trust) in [
            ("agent", None, None, Verified),
            ("agent", Some("unverified"), None, Verified),
            ("manual", Some("verified"), None, Authenticated),
            ("script", Some("verified"), None, Unverified),
            ("okta", Some("authenticated"), None, Authenticated),
            ("okta", None, None, Unverified),
            ("broker", Some("verified"), None, Verified),
            ("broker", Some("verified"), Some("unverified"), Unverified),
            ("broker", Some("authenticated"), Some("verified"), Authenticated),
            ("agent", Some("verified"), Some("unverified"), Verified),
        ] {
            let mut body = json!({"scope": "d", "action": "a"});
            if let Some(said) = said {
                body["trust"] = json!(said);
            }
            if let Some(cause) = cause {
                body["cause"] = effect(cause);
            }
            let draft = Draft::from_value(body).unwrap();
            assert_eq!(believed.of(source, &draft), trust, "{source} {said:?} {cause:?}");
        }
        assert!(believed.rests_on_credentials());
        assert!(!Believed::new(&[name("okta")], &[(name("agent"), Unverified)].into()).rests_on_credentials());
    }
}

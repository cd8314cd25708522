//! `trust.yaml`: what events of sources that are no webhook are believed as, such as `agent: verified`. It is part of the
//! set of rules, for the fold must believe the same everywhere. Why it may: NATS lets only those publish under such a
//! source who have shown a credential for it; where NATS asks for none, no broker runs such a set.

use std::collections::BTreeMap;

use emote_proto::{Name, Trust, source};
use serde_json::{Map, Value};

use super::{Problems, fields::kind, shape::Form};

/// The file, in the configuration folder.
pub(super) const FILE: &str = "trust.yaml";
const LEVELS: [(&str, Trust); 3] =
    [("verified", Trust::Verified), ("authenticated", Trust::Authenticated), ("unverified", Trust::Unverified)];

/// The words that there are.
pub(crate) fn form() -> Form {
    Form::Words(LEVELS.map(|(word, _)| word).to_vec())
}

/// A level by its word.
pub(super) fn level(value: &Value) -> Result<Trust, String> {
    let words = || LEVELS.map(|(word, _)| word).join(", ");
    let Some(text) = value.as_str() else { return Err(format!("expected one of {}, found {}", words(), kind(value))) };
    let found = LEVELS.iter().find(|(word, _)| *word == text).map(|(_, level)| *level);
    found.ok_or_else(|| format!("{text:?} is no level of trust: expected one of {}", words()))
}

/// Reads the file's content. `webhooks` are the names of the set's sources.
pub(super) fn read(map: &Map<String, Value>, webhooks: &[Name], problems: &mut Problems) -> BTreeMap<Name, Trust> {
    let mut believed = BTreeMap::new();
    for (key, value) in map {
        let name = Name::new(key).map_err(|error| error.to_string());
        let name = name.and_then(|name| may_be_believed(&name, webhooks).map(|()| name));
        if let (Some(name), Some(level)) = (problems.take(key, name), problems.take(key, level(value))) {
            believed.insert(name, level);
        }
    }
    believed
}

/// Why a set that believes `name` does not run on a NATS that takes anyone.
pub(super) fn nobody_is_to_be_believed(name: &Name) -> String {
    format!(
        "this NATS asks nobody for credentials, so that anyone could publish as {name} and be believed: give it accounts \
         with permissions (`emote init --secure` writes them), or leave the file out"
    )
}

fn may_be_believed(name: &Name, webhooks: &[Name]) -> Result<(), String> {
    if name.as_str() == source::BROKER {
        return Err("what emote writes itself says how far it is to be trusted: leave this out".to_owned());
    }
    if webhooks.contains(name) {
        return Err(format!(
            "{name} is a webhook (sources/{name}.yaml), whose events are believed as far as their signature was \
             checked: leave this out"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_wrong_with_it_is_told_at_its_place() {
        let webhooks = [Name::new("okta").unwrap()];
        for (map, told) in [
            (json!({"agent": "trusted"}), "agent: \"trusted\" is no level of trust: expected one of verified,"),
            (json!({"agent": true}), "agent: expected one of verified, authenticated, unverified, found true or false"),
            (json!({"agent": null}), "agent: expected one of verified, authenticated, unverified, found null"),
            (json!({"okta": "verified"}), "okta: okta is a webhook (sources/okta.yaml)"),
            (json!({"broker": "verified"}), "broker: what emote writes itself"),
            (json!({"a.b": "verified"}), "a.b: "),
        ] {
            let mut problems = Problems::default();
            let read = read(map.as_object().unwrap(), &webhooks, &mut problems);
            let problems: Vec<_> = problems.iter().map(|one| format!("{}: {}", one.path, one.message)).collect();
            assert!(read.is_empty() && problems.len() == 1 && problems[0].starts_with(told), "{problems:?}");
        }
        let map = json!({"agent": "verified", "manual": "unverified"});
        let mut problems = Problems::default();
        let read = read(map.as_object().unwrap(), &webhooks, &mut problems);
        assert_eq!(read.into_values().collect::<Vec<_>>(), [Trust::Verified, Trust::Unverified]);
        assert_eq!(problems.iter().count(), 0);
    }
}

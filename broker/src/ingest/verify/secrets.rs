//! One secret, or several of which each is right: while a sender changes from one to the next, both are.

use std::{borrow::Cow, path::Path};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use crate::{
    config::{Problems, Secret, SecretRef},
    schema::files::secrets,
};

/// Secrets that are right at once.
const MAX: usize = 4;

/// `${env:NAME}`, or a list: `["${env:NEW}", "${env:OLD}"]`.
#[derive(Debug, Clone)]
pub(super) struct SecretRefs(Vec<SecretRef>);

/// What a sender may use; at least one.
pub(super) struct Secrets(Vec<Secret>);

impl SecretRefs {
    /// Fetches all of them; a problem at `path` for each that cannot be had.
    pub(super) fn resolve(&self, path: &str, folder: &Path, problems: &mut Problems) -> Option<Secrets> {
        let found: Vec<_> = self.0.iter().filter_map(|one| problems.take(path, one.resolve(folder))).collect();
        (found.len() == self.0.len()).then_some(Secrets(found))
    }
}

impl Secrets {
    /// Whether this is one of them, in a time that depends on neither their content nor which one it is.
    pub(super) fn hold(&self, given: &[u8]) -> bool {
        self.0.iter().map(|secret| secret.is(given)).fold(false, |any, one| any | one)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Secret::expose)
    }
}

impl JsonSchema for SecretRefs {
    fn schema_name() -> Cow<'static, str> {
        "secrets".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::try_from(secrets(MAX)).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for SecretRefs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let OneOrMore(texts) = OneOrMore::deserialize(deserializer)?;
        if texts.is_empty() || texts.len() > MAX {
            return Err(de::Error::custom(format!(
                "expected a secret by reference, or from 1 to {MAX} of them in a list"
            )));
        }
        texts.iter().map(|text| text.parse().map_err(de::Error::custom)).collect::<Result<_, _>>().map(Self)
    }
}

/// A text, or a list of texts.
#[derive(Debug, Clone, Default)]
pub(in crate::ingest) struct OneOrMore(pub(in crate::ingest) Vec<String>);

impl JsonSchema for OneOrMore {
    fn schema_name() -> Cow<'static, str> {
        "one_or_more".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
    }
}

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> de::Visitor<'de> for Texts {
            type Value = Vec<String>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<String>, E> {
                Ok(vec![text.to_owned()])
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut texts: A) -> Result<Vec<String>, A::Error> {
                let mut list = Vec::new();
                while let Some(text) = texts.next_element()? {
                    list.push(text);
                }
                Ok(list)
            }
        }
        deserializer.deserialize_any(Texts).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_the_secrets_is_right_and_nothing_else() {
        let secrets = Secrets(vec![Secret::new("new"), Secret::new("old")]);
        for (given, right) in [("new", true), ("old", true), ("", false), ("newold", false), ("ne", false)] {
            assert_eq!(secrets.hold(given.as_bytes()), right, "{given}");
        }
    }

    #[test]
    fn a_list_has_one_to_four_references() {
        for (yaml, said) in [
            ("'${env:A}'", None),
            ("['${env:A}', '${file:b}']", None),
            ("[]", Some("from 1 to 4")),
            ("['${env:A}', '${env:A}', '${env:A}', '${env:A}', '${env:A}']", Some("from 1 to 4")),
            ("hunter2", Some("by reference")),
            ("['${env:A}', hunter2]", Some("by reference")),
        ] {
            let error = serde_saphyr::from_str::<SecretRefs>(yaml).err().map(|error| error.to_string());
            assert_eq!(error.is_none(), said.is_none(), "{yaml}: {error:?}");
            if let (Some(error), Some(said)) = (error, said) {
                // The reader of the file shows the lines around; the message itself does not repeat the secret.
                let message = error.lines().next().unwrap_or_default();
                assert!(error.contains(said) && !message.contains("hunter2"), "{yaml}: {error}");
            }
        }
    }

    #[test]
    fn each_secret_that_cannot_be_had_is_a_problem() {
        let refs: SecretRefs = serde_saphyr::from_str("['${env:EMOTE_UNSET_1}', '${env:EMOTE_UNSET_2}']").unwrap();
        let mut problems = Problems::default();
        assert!(refs.resolve("hmac.secret", Path::new("/"), &mut problems).is_none());
        assert_eq!(problems.iter().count(), 2);
    }
}

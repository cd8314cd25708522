//! The catalogue's sources: one file each in `broker/catalog/sources/` (see [`crate::catalog`]).
//!
//! Beside what every entry says, a file says how the vendor proves who it is (`verify`), what it speaks where that is not
//! webhooks (`protocol`), in which notation it sends
//! (`decode`), what it asks beforehand (`handshake`), what it wants to read afterwards (`reply`), and the jq program that maps its payloads to events (`map`, or
//! `map_of` to share another entry's); and what can be fetched of it (`poll`, `reconcile`). In `broker/catalog/fixtures/<name>/` lie payloads with the events they must
//! become; a test runs them all.

use std::{collections::BTreeMap, sync::LazyLock};

use emote_proto::Name;
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{DecodeSpec, HandshakeSpec, Protocol, ReplySpec, Unmapped, VerifySpec};
use crate::{
    catalog::{self, Entry},
    config::Problems,
    intake::socket::Codec,
    poll,
};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/catalog/sources");

/// What makes a source of the catalogue work.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// A [`VerifySpec`] with settings in it.
    verify: Value,
    #[serde(default)]
    pub(super) protocol: Protocol,
    pub(super) decode: Option<DecodeSpec>,
    pub(super) handshake: Option<HandshakeSpec>,
    pub(super) reply: Option<ReplySpec>,
    #[serde(default)]
    pub(super) unmapped: Unmapped,
    /// Fields of a [`poll::Plan`] with settings in them.
    pub(super) poll: Option<Value>,
    pub(super) reconcile: Option<Value>,
    map: Option<String>,
    map_of: Option<String>,
}

/// All entries, by name.
pub fn all() -> &'static [Entry<Body>] {
    static ENTRIES: LazyLock<Vec<Entry<Body>>> = LazyLock::new(|| catalog::in_order(&FILES));
    &ENTRIES
}

/// The entry of that name.
pub fn find(name: &str) -> Option<&'static Entry<Body>> {
    all().iter().find(|entry| entry.name == name)
}

impl Body {
    /// The jq program.
    pub fn map(&self) -> &str {
        let shared = || find(self.map_of.as_deref()?).and_then(|entry| entry.body.map.as_deref());
        self.map.as_deref().or_else(shared).unwrap_or_default()
    }
}

impl Entry<Body> {
    /// The entry's scheme with `settings` filled in; problems where one is missing or wrong.
    pub(super) fn verify(
        &self,
        source: &Name,
        settings: &BTreeMap<String, Value>,
        problems: &mut Problems,
    ) -> Option<VerifySpec> {
        let is_missing = |need: &&str| !settings.contains_key(*need);
        if let (Some(listen), Some(need)) = (self.listens(), self.needs().into_iter().find(is_missing)) {
            let say = format!(
                "{}: say where it listens, such as `listen: {listen}`. For senders that post over HTTP, give `{need}` under \
                 `settings` instead",
                self.card.title
            );
            problems.add("listen", say);
            return None;
        }
        let file = format!("sources/{source}.yaml");
        let otherwise = ", or `verify: none` to take what anyone sends";
        if !self.card.check((self.name, &file), settings, (Some(&self.body.verify), otherwise), problems) {
            return None;
        }
        problems.take("settings", serde_json::from_value(self.card.fill(&self.body.verify, settings)))
    }

    /// The settings without which it takes no webhooks.
    pub fn needs(&self) -> Vec<&str> {
        self.card.required_in(&self.body.verify)
    }

    /// An example of `listen`, where what it takes is mostly sent without HTTP.
    pub fn listens(&self) -> Option<&'static str> {
        self.body.decode.as_ref()?.only().and_then(Codec::named).map(Codec::example)
    }

    /// What it can fetch: `poll`, `reconcile`.
    pub fn fetches(&self) -> Vec<&'static str> {
        let of = [(poll::Kind::Poll, &self.body.poll), (poll::Kind::Reconcile, &self.body.reconcile)];
        of.into_iter().filter(|(_, template)| template.is_some()).map(|(kind, _)| kind.key()).collect()
    }

    /// Whether the settings say how webhooks are proven.
    pub(super) fn verify_is_set(&self, settings: &BTreeMap<String, Value>) -> bool {
        let needed = self.needs();
        !needed.is_empty() && needed.iter().all(|name| settings.contains_key(*name))
    }

    /// What is fetched: the entry's fields with `settings` filled in, under `own`.
    pub(super) fn polled(
        &self,
        kind: poll::Kind,
        source: &Name,
        settings: &BTreeMap<String, Value>,
        own: Map<String, Value>,
        problems: &mut Problems,
    ) -> Option<Map<String, Value>> {
        let template = match kind {
            poll::Kind::Poll => &self.body.poll,
            poll::Kind::Reconcile => &self.body.reconcile,
        };
        let Some(Value::Object(template)) = template else { return Some(own) };
        let template = template.iter().filter(|(key, _)| !own.contains_key(*key));
        let template = Value::Object(template.map(|(key, value)| (key.clone(), value.clone())).collect());
        let file = format!("sources/{source}.yaml");
        if !self.card.check((self.name, &file), settings, (Some(&template), ""), problems) {
            return None;
        }
        let Value::Object(mut filled) = self.card.fill(&template, settings) else { return Some(own) };
        filled.extend(own);
        Some(filled)
    }
}

#[cfg(test)]
mod tests;

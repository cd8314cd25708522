//! The catalogue's sources: one file each in `broker/catalog/sources/` (see [`crate::catalog`]).
//!
//! Beside what every entry says, a file says how the vendor proves who it is (`verify`), in which notation it sends
//! (`decode`), what it asks beforehand (`handshake`), what it wants to read afterwards (`reply`), and the jq program that maps its payloads to events (`map`, or
//! `map_of` to share another entry's). In `broker/catalog/fixtures/<name>/` lie payloads with the events they must
//! become; a test runs them all.

use std::{collections::BTreeMap, sync::LazyLock};

use emote_proto::Name;
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use serde_json::Value;

use super::{DecodeSpec, HandshakeSpec, ReplySpec, Unmapped, VerifySpec};
use crate::{
    catalog::{self, Entry},
    config::Problems,
};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/catalog/sources");

/// What makes a source of the catalogue work.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// A [`VerifySpec`] with settings in it.
    verify: Value,
    pub(super) decode: Option<DecodeSpec>,
    pub(super) handshake: Option<HandshakeSpec>,
    pub(super) reply: Option<ReplySpec>,
    #[serde(default)]
    pub(super) unmapped: Unmapped,
    map: Option<String>,
    map_of: Option<String>,
}

/// All entries, by name.
pub fn all() -> &'static [Entry<Body>] {
    static ENTRIES: LazyLock<Vec<Entry<Body>>> = LazyLock::new(|| {
        // A test reads every file, so that none is missing here.
        let mut entries: Vec<_> = catalog::entries(&FILES).filter_map(Result::ok).collect();
        entries.sort_by_key(|entry: &Entry<Body>| entry.name);
        entries
    });
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
        let file = format!("sources/{source}.yaml");
        let otherwise = ", or `verify: none` to take what anyone sends";
        if !self.card.check((self.name, &file), settings, otherwise, problems) {
            return None;
        }
        problems.take("settings", serde_json::from_value(self.card.fill(&self.body.verify, settings)))
    }
}

#[cfg(test)]
mod tests;

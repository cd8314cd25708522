//! The catalogue's targets: one file each in `broker/catalog/targets/` (see [`crate::catalog`]).
//!
//! Beside what every entry says, a file names a `kind`, the fields that such a target has (`target`) and, where it does
//! several things, its `actions`: each says what it does, whether it destroys, which settings it needs and what the rule's
//! input may say, and holds fields that go over those of `target`. In them `${setting:NAME}` stands for a setting; those
//! that are no secrets are `.settings` of an `http` target's programs.
//!
//! In `broker/catalog/fixtures-targets/<name>/` lie jobs with the requests that must be made of them, and what must become
//! of them when those are answered as told; a test runs them all.

use std::{collections::BTreeMap, sync::LazyLock};

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::catalog::{self, Entry};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/catalog/targets");

/// What makes a target of the catalogue work.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// A name from [`super::KINDS`].
    pub kind: String,
    /// Fields of the kind, and of every target.
    #[serde(default)]
    pub target: Map<String, Value>,
    /// What it can do, by name.
    #[serde(default)]
    pub actions: BTreeMap<String, Action>,
    /// What the rule's input may say, where there are no actions.
    #[serde(default)]
    pub input: BTreeMap<String, String>,
}

/// Something that a target of the catalogue can do.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Action {
    /// What it does.
    pub about: String,
    /// Whether somebody would be sorry if it happened to many Macs by mistake.
    #[serde(default)]
    pub destructive: bool,
    /// Optional settings without which this action does not work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// What the rule's input may say, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub input: BTreeMap<String, String>,
    /// Fields over those of the target.
    #[serde(flatten, skip_serializing)]
    pub fields: Map<String, Value>,
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

#[cfg(test)]
mod tests;

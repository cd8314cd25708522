//! `folder` of a source's file, and the folder that it is on this machine.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use emote_proto::Trust;
use emote_rules::{Pattern, RuleSet};
use serde_json::{Map, Value, json};

use crate::config::{
    Problems,
    fields::{Fields, expected},
    shape::Form,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Largest file where nothing else is said, in bytes.
const MAX_SIZE: u64 = 256 << 20;
/// Largest file that may be asked for, in bytes.
const MAX_MAX_SIZE: u64 = 64 << 30;

/// What becomes of a file whose events are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Done {
    /// It lies in `done/`.
    Move,
    /// It is gone.
    Delete,
}

/// Which files are taken, and how; nothing in it is wrong.
#[derive(Debug)]
pub struct Plan {
    path: PathBuf,
    names: RuleSet<()>,
    pub(super) done: Done,
    /// For how long a file must not have changed.
    pub(super) settle: Duration,
    /// From one look to the next.
    pub(super) every: Duration,
    /// In bytes.
    pub(super) max_size: u64,
    trust: Trust,
}

/// A folder of this machine.
#[derive(Debug)]
pub struct Folder {
    pub(super) path: PathBuf,
    pub(super) plan: Arc<Plan>,
}

impl Plan {
    /// Reads the fields of `map`, which stands in the file under `folder`.
    pub(crate) fn read(map: &Map<String, Value>, problems: &mut Problems) -> Option<Self> {
        let mut inner = Problems::default();
        let mut fields = Fields::new(map, &mut inner);
        let plan = Self::of(&mut fields);
        fields.finish();
        let is_right = inner.is_empty();
        problems.add_all("folder", inner);
        plan.filter(|_| is_right)
    }

    /// Reads the fields, which stand in the file under `folder`.
    pub(crate) fn of(fields: &mut Fields<'_>) -> Option<Self> {
        let path = fields.text("path");
        if path.as_deref().is_some_and(|path| path.is_empty() || path.contains('\0')) {
            fields.problem("path", "must name a folder, such as /var/spool/emote/in");
        }
        let path = fields.require("path", path, "path: /var/spool/emote/in");
        let names = fields.formed("match", Form::Text(&["*.json"]), |value| {
            let text = value.as_str().ok_or_else(|| expected("a text such as *.json", value))?;
            named(text).map_err(|_| "expected a text such as *.json, in which each * stands for anything".to_owned())
        });
        let names = if fields.has("match") { names } else { named("*").ok() };
        let done = fields.formed("done", Form::Words(vec!["move", "delete"]), |value| match value.as_str() {
            Some("move") => Ok(Done::Move),
            Some("delete") => Ok(Done::Delete),
            Some("keep") => Err("a file that stays would be read again and again: expected move or delete".to_owned()),
            _ => Err("expected move or delete".to_owned()),
        });
        let trust =
            fields.formed("trust", Form::Words(vec!["unverified", "authenticated"]), |value| match value.as_str() {
                Some("unverified") => Ok(Trust::Unverified),
                Some("authenticated") => Ok(Trust::Authenticated),
                _ => Err("expected unverified, or authenticated where none but root and the broker's user can write"
                    .to_owned()),
            });
        let settle = fields.duration("settle", Duration::ZERO..=DAY).unwrap_or(2 * SECOND);
        let every = fields.duration("every", Duration::from_millis(100)..=DAY).unwrap_or(10 * SECOND);
        let max_size = fields.size("max_size").unwrap_or(MAX_SIZE);
        if max_size > MAX_MAX_SIZE {
            fields.problem("max_size", "at most 64GiB");
        }
        Some(Self {
            path: path?.into(),
            names: names?,
            done: done.unwrap_or(Done::Move),
            settle,
            every,
            max_size,
            trust: trust.unwrap_or(Trust::Unverified),
        })
    }

    /// The folder itself; a relative path is taken from `root`.
    pub(crate) fn at(self: &Arc<Self>, root: &Path) -> Folder {
        Folder { path: root.join(&self.path), plan: Arc::clone(self) }
    }

    /// The folder as the file names it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What events are believed as.
    pub(crate) fn trust(&self) -> Trust {
        self.trust
    }

    /// Whether nobody but root and this process's user may be able to write there.
    pub(super) fn must_be_guarded(&self) -> bool {
        self.trust > Trust::Unverified
    }

    /// Whether files of this name are taken.
    pub(super) fn takes(&self, name: &str) -> bool {
        let passed = name.starts_with('.') || name.ends_with(".tmp");
        let event = json!({"file": name}).to_string();
        !passed && self.names.matches(event.as_bytes()).is_ok_and(|found| !found.is_empty())
    }
}

/// Names like this, in which `*` stands for anything.
fn named(text: &str) -> Result<RuleSet<()>, emote_rules::PatternError> {
    let pattern = Pattern::from_value(&json!({"file": [{"wildcard": text}]}))?;
    Ok(RuleSet::build([((), pattern)]))
}

//! Applications in `/Applications` and one level of folders there. Those of the system belong to the system.
//!
//! A bundle is read again only when it, its `Info.plist` or its folder of programs was changed since the last look. An
//! app that cannot be read for the moment stays as it was; a bundle without an `Info.plist` is none yet.

mod signature;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ::plist::Dictionary;
use emote_proto::Draft;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::facts::{below, bound, change, info, read_dictionary};
use super::{ObserveError, Source};
use crate::platform::{FolderEntry, Host, HostError, System, plist};
use crate::vocabulary::Kind;
use signature::{Claims, claims};

const ROOT: &str = "/Applications";
/// Apps at most.
const APPS: usize = 2_000;
/// Folders looked into at most.
const FOLDERS: usize = 500;
const INFO_PLIST: usize = 1 << 20;
/// 2001-01-01. Builds that come out the same everywhere give their files times before it (1970, 1980), which then say
/// nothing about what was changed when.
const EARLIEST_MS: i64 = 978_307_200_000;

/// By path.
pub(crate) type Snapshot = BTreeMap<String, App>;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct App {
    pub(crate) facts: Facts,
    /// Of the files that were read; `None`: they are to be read again. No event is about it.
    pub(crate) stamp: Option<Stamp>,
}

/// When bundle, `Info.plist` and folder of programs were changed, in milliseconds since 1970.
pub(crate) type Stamp = [i64; 3];

/// What events tell of an app.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) bundle_id: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) build: Option<String>,
    /// As the signature claims, see [`signature`].
    pub(crate) team: Option<String>,
    pub(crate) signing_id: Option<String>,
}

pub(crate) struct Apps;

impl Source for Apps {
    const NAME: &'static str = "apps";
    const ABOUT: &'static str = "applications installed, updated and removed";
    const ON: &'static [System] = &[System::Mac];
    const INTERVAL: Duration = Duration::from_secs(1_800);
    // An installer writes for some time.
    const DEBOUNCE: Duration = Duration::from_secs(10);
    const VERSION: u8 = 1;
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let (mut bundles, folders): (Vec<_>, Vec<_>) = folders(host, ROOT)?.partition(|(path, _)| is_bundle(path));
        let mut snapshot = Snapshot::new();
        for (folder, _) in folders.into_iter().take(FOLDERS) {
            match self::folders(host, &folder) {
                Ok(found) => bundles.extend(found.filter(|(path, _)| is_bundle(path))),
                Err(error) if error.is_missing() => {}
                Err(_) => snapshot.extend(below(old, &folder)),
            }
        }
        let before = |path: &str| old.and_then(|old| old.get(path));
        bound(&mut bundles, APPS, |(path, _)| before(path).is_some());
        for (path, modified) in bundles {
            if let Some(app) = look(host, &path, modified, before(&path)) {
                snapshot.insert(path, app);
            }
        }
        Ok(snapshot)
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        let mut drafts = Vec::new();
        for (path, App { facts, .. }) in old {
            if new.get(path).is_none_or(|now| !facts.is_same(&now.facts)) {
                drafts.push(Kind::AppRemoved.draft(info(("path", path), facts)));
            }
        }
        for (path, App { facts, .. }) in new {
            match old.get(path).map(|before| &before.facts).filter(|before| before.is_same(facts)) {
                None => drafts.push(Kind::AppInstalled.draft(info(("path", path), facts))),
                Some(before) if before == facts => {}
                Some(before) => drafts.push(Kind::AppUpdated.draft(change(("path", path), before, facts))),
            }
        }
        drafts
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        let apps: Vec<Value> = snapshot.iter().map(|(path, app)| info(("path", path), &app.facts)).collect();
        json!({"apps": apps})
    }
}

impl Facts {
    /// Whether one may have become the other without being replaced: an id that could not be read may be any.
    fn is_same(&self, other: &Self) -> bool {
        self.bundle_id == other.bundle_id || self.bundle_id.is_none() || other.bundle_id.is_none()
    }
}

/// The folders in `folder`, by path, and when each was changed.
fn folders(host: &dyn Host, folder: &str) -> Result<impl Iterator<Item = (String, Option<i64>)> + use<>, HostError> {
    let folder = folder.to_owned();
    let entries = host.list(Path::new(&folder))?.into_iter().filter(|entry| entry.is_dir);
    Ok(entries.map(move |entry| (format!("{folder}/{}", entry.name), entry.modified)))
}

fn is_bundle(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("app"))
}

/// The app at `path`, whose bundle was changed at `modified`; `None` when it is none.
fn look(host: &dyn Host, path: &str, modified: Option<i64>, before: Option<&App>) -> Option<App> {
    // Apps for iPhones have no `Contents`, but a link to a bundle as it is there.
    for (folder, programs) in [("Contents", "MacOS"), ("WrappedBundle", "")] {
        match read(host, path, modified, (folder, programs), before) {
            Ok(None) => {}
            Ok(app) => return app,
            Err(error) => {
                tracing::debug!(%error, "app");
                return Some(before.cloned().unwrap_or_else(|| unreadable(path)));
            }
        }
    }
    None
}

/// The app with this folder for its `Info.plist`, and this one below it for its programs; `None` where there is no list.
fn read(
    host: &dyn Host,
    path: &str,
    modified: Option<i64>,
    (folder, programs): (&str, &str),
    before: Option<&App>,
) -> Result<Option<App>, ObserveError> {
    let folder = format!("{path}/{folder}");
    let entries = match host.list(Path::new(&folder)) {
        Err(error) if error.is_missing() => return Ok(None),
        entries => entries?,
    };
    let stamp = stamp(modified, &entries, programs);
    if let Some(before) = before.filter(|before| stamp.is_some() && before.stamp == stamp) {
        return Ok(Some(before.clone()));
    }
    let Some(list) = read_dictionary(host, &format!("{folder}/Info.plist"), INFO_PLIST)? else { return Ok(None) };
    let app = App { facts: facts(path, &list), stamp };
    let program = program(&list).map(|program| Path::new(&folder).join(programs).join(program));
    Ok(Some(signed(host, app, program.as_deref(), before)))
}

/// An app of which only the place is known.
fn unreadable(path: &str) -> App {
    App { facts: Facts { name: stem(path), ..Facts::default() }, stamp: None }
}

fn stem(path: &str) -> String {
    Path::new(path).file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn stamp(bundle: Option<i64>, entries: &[FolderEntry], programs: &str) -> Option<Stamp> {
    let modified = |name: &str| entries.iter().find(|entry| entry.name == name).and_then(|entry| entry.modified);
    let info = modified("Info.plist").filter(|modified| *modified > EARLIEST_MS)?;
    Some([bundle?, info, if programs.is_empty() { info } else { modified(programs)? }])
}

/// What an `Info.plist` says (Apple, "Information Property List").
fn facts(path: &str, list: &Dictionary) -> Facts {
    let text = |key| plist::text(list, key);
    Facts {
        name: text("CFBundleDisplayName").or_else(|| text("CFBundleName")).unwrap_or_else(|| stem(path)),
        bundle_id: text("CFBundleIdentifier"),
        version: text("CFBundleShortVersionString"),
        build: text("CFBundleVersion"),
        ..Facts::default()
    }
}

/// The name of the program, unless it leads out of the bundle.
fn program(list: &Dictionary) -> Option<String> {
    plist::text(list, "CFBundleExecutable").filter(|name| !name.contains('/') && name != ".." && name != ".")
}

/// With what the program's signature claims. When that cannot be read, perhaps because it is being written, it stays as
/// it was and is read again by the next look.
fn signed(host: &dyn Host, mut app: App, program: Option<&Path>, before: Option<&App>) -> App {
    let claims = match program {
        None => Ok(None),
        Some(program) => claims(|offset, most| host.read_at(program, offset, most)),
    };
    (app.facts.team, app.facts.signing_id) = match claims {
        Ok(Some(Claims { team, identifier })) => (team, Some(identifier)),
        Ok(None) => (None, None),
        Err(error) => {
            tracing::debug!(name = app.facts.name, %error, "app");
            app.stamp = None;
            let before = before.map(|before| &before.facts).filter(|before| before.is_same(&app.facts));
            before.map(|before| (before.team.clone(), before.signing_id.clone())).unwrap_or_default()
        }
    };
    app
}

#[cfg(test)]
mod tests;

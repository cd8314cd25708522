//! `emote dev`: what is saved is put in force.

use std::{collections::BTreeMap, convert::Infallible, path::Path, time::Duration};

use super::{applying, print_line, render};
use crate::{
    bus::Bus,
    config::{Folder, SINGLE, Set},
    run,
};

/// How often the files are looked at. An editor writes a file in several steps: what changed must stay the same for one
/// look.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Folders of a configuration whose files are looked at; those beside them that are of the set are, too.
const FOLDERS: [&str; 5] = ["sources", "rules", "targets", "tests", "schemas"];

/// Applies `begun` if other rules are in force, then the folder whenever it changes.
pub(super) async fn apply_what_is_saved(bus: &Bus, root: &Path, begun: Set) -> Infallible {
    let mut applied = begun.hash();
    let mut seen = fingerprint(root);
    if bus.in_force().await.is_ok_and(|now| now.is_some_and(|now| now.hash != applied)) {
        tell(apply(bus, &begun, "emote dev was started").await);
    }
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = fingerprint(root);
        if now == seen {
            continue;
        }
        tokio::time::sleep(LOOK_EVERY).await;
        if fingerprint(root) != now {
            continue;
        }
        seen = now;
        match changed(root) {
            Ok(set) if set.hash() == applied => {}
            Ok(set) => {
                applied = set.hash();
                tell(apply(bus, &set, "saved").await);
            }
            Err(report) => {
                let (error, plain) = (render::ERROR, render::ERROR.render_reset());
                anstream::eprintln!("{report}\n{error}not applied:{plain} the rules that were in force stay");
            }
        }
    }
}

fn changed(root: &Path) -> Result<Set, crate::config::Report> {
    let folder = Folder::load(root)?;
    let failed = folder.run_cases();
    if !failed.problems.is_empty() {
        return Err(failed);
    }
    run::tell_what_waits(&folder);
    Set::read(root)
}

async fn apply(bus: &Bus, set: &Set, why: &str) -> anyhow::Result<String> {
    Ok(match applying::apply(bus, set, &applying::Signed::because(why).signature(bus)?).await? {
        applying::Applied::InForce(now) => format!("applied: {} is in force", applying::short(&now.hash)),
        applying::Applied::Refused(reason) => format!("not applied: {reason}"),
        applying::Applied::Waiting => "applied, but the core has not come to it yet".to_owned(),
    })
}

fn tell(applied: anyhow::Result<String>) {
    match applied {
        Ok(told) => drop(print_line(told)),
        Err(error) => tracing::warn!(error = format!("{error:#}"), "applying what was saved"),
    }
}

/// Name, size and date of every file.
fn fingerprint(root: &Path) -> BTreeMap<std::path::PathBuf, (u64, Option<std::time::SystemTime>)> {
    let entries = FOLDERS.iter().filter_map(|kind| std::fs::read_dir(root.join(kind)).ok()).flatten().flatten();
    let files = entries.map(|entry| entry.path()).chain(SINGLE.map(|file| root.join(file)));
    files
        .filter_map(|path| {
            let meta = std::fs::metadata(&path).ok()?;
            Some((path, (meta.len(), meta.modified().ok())))
        })
        .collect()
}

//! Sets of rules, ready to fold with: loaded by hash, checked and compiled once.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    bus::{Bus, BusError, InForce},
    config::{Folder, Set, Settings},
    core::Core,
};

/// Compiled sets kept: the one in force and a few that a log being folded again passes through.
const KEPT: usize = 4;
/// A replica of the bucket may be behind the one that took the set.
const LOOKS: u32 = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// A set, compiled.
pub struct Ruling {
    /// Its hash.
    pub hash: String,
    /// Its files.
    pub set: Set,
    /// What they say.
    pub folder: Folder,
    /// The fold of them.
    pub core: Core,
}

/// Why a set cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RulingError {
    /// Asking again may help.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// It will not: this set does not exist, or this version of emote cannot run it.
    #[error("{0}")]
    Bad(String),
}

/// Where sets come from.
pub struct Library {
    bus: Bus,
    root: PathBuf,
    settings: Settings,
    kept: Mutex<VecDeque<Arc<Ruling>>>,
}

impl Library {
    /// Sets are read from `bus` and run with this machine's settings and the secrets of the folder `root`.
    pub fn new(bus: Bus, root: PathBuf, settings: Settings) -> Self {
        Self { bus, root, settings, kept: Mutex::default() }
    }

    /// The set of this hash.
    pub async fn load(&self, hash: &str) -> Result<Arc<Ruling>, RulingError> {
        if let Some(ruling) = self.kept(hash) {
            return Ok(ruling);
        }
        let json = self.find(hash).await?;
        let set = Set::from_json(&json, hash).map_err(|error| RulingError::Bad(error.to_string()))?;
        let folder = Folder::of_set(&self.root, self.settings.clone(), &set)
            .map_err(|report| RulingError::Bad(format!("this version of emote cannot run it: {report}")))?;
        let core = folder.core(Some(hash.to_owned()));
        let ruling = Arc::new(Ruling { hash: hash.to_owned(), set, folder, core });
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front(Arc::clone(&ruling));
        kept.truncate(KEPT);
        Ok(ruling)
    }

    fn kept(&self, hash: &str) -> Option<Arc<Ruling>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|ruling| ruling.hash == hash).cloned()
    }

    async fn find(&self, hash: &str) -> Result<Vec<u8>, RulingError> {
        for _ in 0..LOOKS {
            if let Some(json) = self.bus.load_set(hash).await? {
                return Ok(json);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Err(RulingError::Bad(format!("there is no set of rules {hash}: apply the folder again with `emote apply`")))
    }
}

/// The set in force behind entry `position` of the log `stream`, as what is noted of sets over time tells it.
pub(super) fn in_force_at<'a>(noted: &'a [InForce], stream: &str, position: u64) -> Option<&'a InForce> {
    let of_this = |noted: &&InForce| noted.stream == stream;
    noted
        .iter()
        .filter(of_this)
        .rfind(|noted| noted.sequence <= position)
        // A log that was made anew is folded with the rules that were in force before.
        .or_else(|| noted.iter().rfind(|noted| noted.stream != stream))
        .or_else(|| noted.first())
}

#[cfg(test)]
mod tests {
    use super::*;
    use emote_proto::Time;

    #[test]
    fn the_rules_of_a_place_in_the_log_are_the_last_before_it() {
        let noted = |stream: &str, sequence, hash: &str| InForce {
            hash: hash.to_owned(),
            sequence,
            stream: stream.to_owned(),
            event: None,
            since: Time::from_millis(0).unwrap(),
        };
        let all = [noted("old", 7, "x"), noted("log", 10, "a"), noted("log", 20, "b")];
        let at = |stream, position| in_force_at(&all, stream, position).map(|noted| noted.hash.as_str());
        assert_eq!((at("log", 15), at("log", 20), at("log", 99)), (Some("a"), Some("b"), Some("b")));
        assert_eq!(at("log", 3), Some("x"), "before the first: what was in force over the log before");
        assert_eq!(at("new", 0), Some("b"));
        assert_eq!(in_force_at(&all[1..], "log", 3).map(|noted| noted.hash.as_str()), Some("a"));
        assert_eq!(in_force_at(&[], "log", 3), None);
    }
}

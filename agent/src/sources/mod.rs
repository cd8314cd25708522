//! Sources: each observes one kind of thing as a typed snapshot; events are the differences between two of them.
//!
//! A new source is one file that implements [`Source`] and one line in [`all`]. `observe` is thin and may fail; `diff`
//! is pure. A snapshot is kept as one version byte and postcard; one that cannot be read any more counts as never
//! taken, and what is seen first goes into a `device.inventory` instead of a storm of events.

mod accounts;
mod boot;
mod disk;
mod network;
mod os;

use emote_proto::{Draft, Time};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Why a source could not look.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ObserveError(String);

impl From<sysinfo::Error> for ObserveError {
    fn from(error: sysinfo::Error) -> Self {
        Self(error.to_string())
    }
}

/// A kind of thing that is observed.
pub(crate) trait Source: Send + 'static {
    /// In settings, in the inventory, and as the snapshot's key.
    const NAME: &'static str;
    /// Raised when the snapshot's shape or meaning changes.
    const VERSION: u8;
    /// What was seen.
    type Snapshot: Serialize + DeserializeOwned + PartialEq;

    /// Looks; `old` is for what has a memory, such as a threshold.
    fn observe(&mut self, old: Option<&Self::Snapshot>) -> Result<Self::Snapshot, ObserveError>;
    /// The events that lead from `old` to `new`.
    fn diff(old: &Self::Snapshot, new: &Self::Snapshot) -> Vec<Draft>;
    /// Its part of the inventory.
    fn inventory(snapshot: &Self::Snapshot) -> Value;
}

/// Every source, in the order in which they look.
pub(crate) fn all() -> Vec<Box<dyn Watch>> {
    vec![
        Box::new(boot::Boot),
        Box::new(os::Os),
        Box::new(network::Network),
        Box::new(disk::Disks),
        Box::new(accounts::Accounts),
    ]
}

/// The names of all sources.
pub fn names() -> Vec<&'static str> {
    all().iter().map(|source| source.name()).collect()
}

/// A [`Source`] with its snapshot as bytes.
pub(crate) trait Watch: Send {
    fn name(&self) -> &'static str;
    /// Looks, and compares with the bytes of the last snapshot.
    fn look(&mut self, old: Option<&[u8]>) -> Result<Look, ObserveError>;
}

/// What a source saw.
#[derive(Debug, PartialEq)]
pub(crate) enum Look {
    /// The same as before.
    Same,
    /// Something else.
    Changed { snapshot: Vec<u8>, drafts: Vec<Draft> },
    /// There was nothing to compare with.
    First { snapshot: Vec<u8>, inventory: Value },
}

impl<S: Source> Watch for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn look(&mut self, old: Option<&[u8]>) -> Result<Look, ObserveError> {
        let old: Option<S::Snapshot> = old.and_then(decode::<S>);
        let new = self.observe(old.as_ref())?;
        let encode = |new: &S::Snapshot| -> Result<Vec<u8>, ObserveError> {
            let mut bytes = vec![S::VERSION];
            bytes.extend(postcard::to_stdvec(new).map_err(|error| ObserveError(error.to_string()))?);
            Ok(bytes)
        };
        Ok(match old {
            None => Look::First { snapshot: encode(&new)?, inventory: S::inventory(&new) },
            Some(old) if old == new => Look::Same,
            Some(old) => Look::Changed { snapshot: encode(&new)?, drafts: S::diff(&old, &new) },
        })
    }
}

fn decode<S: Source>(bytes: &[u8]) -> Option<S::Snapshot> {
    let (version, rest) = bytes.split_first()?;
    if *version == S::VERSION { postcard::from_bytes(rest).ok() } else { None }
}

/// Adds the interval in which the change happened to its `info`.
pub(crate) fn within(mut draft: Draft, since: Option<Time>, until: Time) -> Draft {
    let mut info = draft.info.take().map(Value::from);
    if let Some(Value::Object(info)) = &mut info {
        if let Some(since) = since {
            info.insert("since".into(), Value::String(since.to_string()));
        }
        info.insert("until".into(), Value::String(until.to_string()));
    }
    draft.info = info.map(Into::into);
    draft
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_looks_here_and_sees_the_same_twice() {
        for mut source in all() {
            let Look::First { snapshot, inventory } = source.look(None).unwrap() else { panic!("{}", source.name()) };
            assert!(inventory.is_object(), "{}", source.name());
            assert_eq!(source.look(Some(&snapshot)).unwrap(), Look::Same, "{}", source.name());
            let mut newer = snapshot;
            newer[0] += 1;
            assert!(matches!(source.look(Some(&newer)).unwrap(), Look::First { .. }), "{}", source.name());
        }
    }

    #[test]
    fn a_change_says_between_which_two_looks_it_happened() {
        let (since, until) = ("2026-11-23T06:00:00Z".parse().unwrap(), "2026-11-23T07:00:00Z".parse().unwrap());
        let draft = within(crate::vocabulary::Kind::DiskLow.draft(serde_json::json!({})), Some(since), until);
        let info = draft.info.unwrap();
        assert_eq!(
            (&info["since"], &info["until"]),
            (&Value::from(since.to_string()), &Value::from(until.to_string()))
        );
    }
}

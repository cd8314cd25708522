//! Sources: each observes one kind of thing as a typed snapshot; events are the differences between two of them.
//!
//! A new source is one file that implements [`Source`] and one line in [`ALL`]. `observe` is thin and may fail; `diff`
//! is pure. A snapshot is kept as one version byte and postcard; one that cannot be read any more counts as never
//! taken, and what is seen first goes into a `device.inventory` instead of a storm of events.

pub(crate) mod accounts;
pub(crate) mod apps;
pub(crate) mod boot;
mod clock;
pub(crate) mod disk;
pub(crate) mod ending;
mod facts;
mod inventory;
pub(crate) mod launch_items;
pub(crate) mod mdm;
pub(crate) mod network;
pub(crate) mod os;
pub(crate) mod packages;
pub(crate) mod peripherals;
pub(crate) mod power;
pub(crate) mod profiles;
pub(crate) mod security;
pub(crate) mod session;
pub(crate) mod sleep;
pub(crate) mod updates;

use std::time::Duration;

use emote_proto::{Draft, Time};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::platform::{Happening, Host, HostError, System};

pub(crate) use clock::seconds;
pub(crate) use ending::under_way as ending_under_way;
pub(crate) use inventory::drafts as inventory_drafts;

/// Every source, in the order in which they look.
pub(crate) static ALL: &[&dyn Watch] = &[
    &boot::Boot,
    &os::Os,
    &network::Network,
    &disk::Disks,
    &accounts::Accounts,
    &clock::Clock,
    &session::Sessions,
    &power::Power,
    &peripherals::Peripherals,
    &security::Security,
    &mdm::Mdm,
    &profiles::Profiles,
    &apps::Apps,
    &packages::Packages,
    &updates::Updates,
    &launch_items::LaunchItems,
    &ending::Ending,
    // Last: its tool takes its time.
    &sleep::Sleep,
];

/// The source whose changes concern the uplink.
pub(crate) const NETWORK: &str = network::Network::NAME;

/// For a source that macOS hints at, and others look at now and then.
const fn hinted_on_mac(mac_seconds: u64, seconds: u64) -> Duration {
    Duration::from_secs(match System::HERE {
        System::Mac => mac_seconds,
        System::Linux => seconds,
    })
}

/// Why a source could not look.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObserveError {
    /// The system gave no answer.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Its answer is not understood.
    #[error("{0}")]
    Answer(String),
}

/// A kind of thing that is observed.
pub(crate) trait Source: Sync + 'static {
    /// In settings, in the inventory, and as the snapshot's key.
    const NAME: &'static str;
    /// What it observes, in a few words, for people.
    const ABOUT: &'static str;
    /// Raised when the snapshot's shape or meaning changes.
    const VERSION: u8;
    /// Where it can look.
    const ON: &'static [System] = System::ALL;
    /// Between two looks, unless the settings say otherwise.
    const INTERVAL: Duration = Duration::from_secs(60);
    /// From a hint to the look, unless the settings say otherwise; more hints put it off, up to five times as long.
    const DEBOUNCE: Duration = Duration::from_secs(2);
    /// What was seen.
    type Snapshot: Serialize + DeserializeOwned + PartialEq;

    /// Looks; `old` is for what has a memory, such as a threshold. May block.
    fn observe(host: &dyn Host, old: Option<&Self::Snapshot>) -> Result<Self::Snapshot, ObserveError>;
    /// What the first moment is compared with when nothing was seen yet, for a source that is about moments: they are
    /// events, and nothing to take stock of.
    fn blank() -> Option<Self::Snapshot> {
        None
    }
    /// What a moment makes of the snapshot, for a source that is about moments.
    fn told(_old: Option<&Self::Snapshot>, _what: Happening, _at: Time) -> Option<Self::Snapshot> {
        None
    }
    /// The events that lead from `old` to `new`. One that says its own time happened then; any other happened between
    /// the two looks.
    fn diff(old: &Self::Snapshot, new: &Self::Snapshot) -> Vec<Draft>;
    /// Its part of the inventory, an object.
    fn inventory(snapshot: &Self::Snapshot) -> Value;
}

/// How often a source looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Between two looks.
    pub interval: Duration,
    /// From a hint to the look; more hints put it off, up to five times as long.
    pub debounce: Duration,
}

/// What people are told of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// In settings.
    pub name: &'static str,
    /// What it observes.
    pub about: &'static str,
    /// Where it can look.
    pub on: &'static [System],
    /// How often, unless the settings say otherwise.
    pub timing: Timing,
}

/// All sources, for people.
pub fn list() -> Vec<About> {
    let about = |source: &&dyn Watch| About {
        name: source.name(),
        about: source.about(),
        on: source.on(),
        timing: source.timing(),
    };
    ALL.iter().map(about).collect()
}

/// What the source `name` sees now, or why it cannot look. The outer error says that there is no such source here.
pub fn look(name: &str, host: &dyn Host) -> Result<Result<Value, ObserveError>, String> {
    let source = ALL.iter().find(|source| source.name() == name);
    let source = source.ok_or_else(|| format!("no such source: {name}; expected one of {}", names().join(", ")))?;
    if !source.on().contains(&host.system()) {
        return Err(format!("{name}: this source cannot look on this system"));
    }
    Ok(source.look(host, None).map(|look| match look {
        Look::First { inventory, .. } => inventory,
        // Without a snapshot every look is the first.
        Look::Same | Look::Moved { .. } | Look::Changed { .. } => Value::Null,
    }))
}

/// Host name and system version as they are now.
pub(crate) fn name_and_version(host: &dyn Host) -> (Option<String>, Option<String>) {
    (host.hostname().ok().filter(|name| network::is_name(name)), os::version(host).ok())
}

/// The names of all sources.
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|source| source.name()).collect()
}

/// A [`Source`] with its snapshot as bytes.
pub(crate) trait Watch: Sync {
    fn name(&self) -> &'static str;
    fn about(&self) -> &'static str;
    fn on(&self) -> &'static [System];
    fn timing(&self) -> Timing;
    /// Looks, and compares with the bytes of the last snapshot.
    fn look(&self, host: &dyn Host, old: Option<&[u8]>) -> Result<Look, ObserveError>;
    /// Compares what a moment makes of it.
    fn told(&self, old: Option<&[u8]>, what: Happening, at: Time) -> Result<Look, ObserveError>;
}

/// What a source saw.
#[derive(Debug, PartialEq)]
pub(crate) enum Look {
    /// The same as before.
    Same,
    /// The same, but for what it will be compared with: kept in memory, and not worth writing.
    Moved { snapshot: Vec<u8> },
    /// Something else.
    Changed { snapshot: Vec<u8>, drafts: Vec<Draft> },
    /// There was nothing to compare with.
    First { snapshot: Vec<u8>, inventory: Value },
}

impl<S: Source> Watch for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn about(&self) -> &'static str {
        S::ABOUT
    }

    fn on(&self) -> &'static [System] {
        S::ON
    }

    fn timing(&self) -> Timing {
        Timing { interval: S::INTERVAL, debounce: S::DEBOUNCE }
    }

    fn look(&self, host: &dyn Host, old: Option<&[u8]>) -> Result<Look, ObserveError> {
        let old: Option<S::Snapshot> = old.and_then(decode::<S>);
        let new = S::observe(host, old.as_ref())?;
        compare::<S>(old, &new)
    }

    fn told(&self, old: Option<&[u8]>, what: Happening, at: Time) -> Result<Look, ObserveError> {
        let old: Option<S::Snapshot> = old.and_then(decode::<S>).or_else(S::blank);
        match S::told(old.as_ref(), what, at) {
            Some(new) => compare::<S>(old, &new),
            None => Ok(Look::Same),
        }
    }
}

fn compare<S: Source>(old: Option<S::Snapshot>, new: &S::Snapshot) -> Result<Look, ObserveError> {
    let encode = |new: &S::Snapshot| {
        let bytes = postcard::to_extend(new, vec![S::VERSION]);
        bytes.map_err(|error| ObserveError::Answer(format!("the snapshot: {error}")))
    };
    Ok(match old {
        None => Look::First { snapshot: encode(new)?, inventory: S::inventory(new) },
        Some(old) if old == *new => {
            let snapshot = encode(new)?;
            if snapshot == encode(&old)? { Look::Same } else { Look::Moved { snapshot } }
        }
        Some(old) => Look::Changed { snapshot: encode(new)?, drafts: S::diff(&old, new) },
    })
}

fn decode<S: Source>(bytes: &[u8]) -> Option<S::Snapshot> {
    let (version, rest) = bytes.split_first()?;
    if *version == S::VERSION { postcard::from_bytes(rest).ok() } else { None }
}

/// Adds the interval in which the change happened to its `info`, unless it says its own time. When the clock was set back
/// meanwhile, nobody knows its beginning.
pub(crate) fn within(mut draft: Draft, since: Option<Time>, until: Time) -> Draft {
    if draft.time.is_some() {
        return draft;
    }
    let mut info = draft.info.take().map(Value::from);
    if let Some(Value::Object(info)) = &mut info {
        if let Some(since) = since.filter(|since| *since <= until) {
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
    use crate::platform::Real;

    #[test]
    fn every_source_looks_here_and_sees_the_same_twice() {
        for source in ALL.iter().filter(|source| source.on().contains(&System::HERE)) {
            let Look::First { snapshot, inventory } = source.look(&Real, None).unwrap() else {
                panic!("{}", source.name())
            };
            assert!(inventory.is_object(), "{}", source.name());
            assert_eq!(source.look(&Real, Some(&snapshot)).unwrap(), Look::Same, "{}", source.name());
            let mut newer = snapshot;
            newer[0] += 1;
            assert!(matches!(source.look(&Real, Some(&newer)).unwrap(), Look::First { .. }), "{}", source.name());
        }
    }

    #[test]
    fn sources_have_names_of_their_own_that_settings_can_hold() {
        let mut names = names();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')), "{names:?}");
    }

    #[test]
    fn a_change_says_between_which_two_looks_it_happened_unless_it_knows_when() {
        let (since, until) = ("2026-11-23T06:00:00Z".parse().unwrap(), "2026-11-23T07:00:00Z".parse().unwrap());
        let mut low = crate::vocabulary::Kind::DiskLow.draft(serde_json::json!({}));
        let info = within(low.clone(), Some(since), until).info.unwrap();
        assert_eq!(
            (&info["since"], &info["until"]),
            (&Value::from(since.to_string()), &Value::from(until.to_string()))
        );
        let info = Value::from(within(low.clone(), Some(until), since).info.unwrap());
        assert_eq!(info, serde_json::json!({"until": since}), "the clock was set back");
        low.time = Some(since);
        assert_eq!(within(low.clone(), Some(since), until), low);
    }
}

//! The operating system's version.

use std::time::Duration;

use emote_proto::Draft;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ObserveError, Source};
use crate::platform::{Host, HostError};
use crate::vocabulary::Kind;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    name: String,
    version: String,
    kernel: String,
}

pub(crate) struct Os;

impl Source for Os {
    const NAME: &'static str = "os";
    const ABOUT: &'static str = "the system's version";
    const INTERVAL: Duration = Duration::from_secs(3_600);
    const VERSION: u8 = 1;
    type Snapshot = Snapshot;

    fn observe(_host: &dyn Host, _old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let failed = |error: sysinfo::Error| HostError::Failed { path: "version".into(), problem: error.to_string() };
        Ok(Snapshot {
            name: sysinfo::System::name().map_err(failed)?,
            version: sysinfo::System::os_version().map_err(failed)?,
            kernel: sysinfo::System::kernel_version().map_err(failed)?,
        })
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        vec![Kind::OsUpdated.draft(json!({"from": old, "to": new}))]
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        json!(snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_event_over_the_old_snapshot_gives_the_new(words in prop::array::uniform6("[a-z0-9.]{0,6}")) {
            let [a, b, c, d, e, f] = words;
            let (old, new) = (Snapshot { name: a, version: b, kernel: c }, Snapshot { name: d, version: e, kernel: f });
            let drafts = Os::diff(&old, &new);
            let info = drafts[0].info.clone().unwrap();
            prop_assert_eq!(serde_json::from_value::<Snapshot>(info["from"].clone()).unwrap(), old);
            prop_assert_eq!(serde_json::from_value::<Snapshot>(info["to"].clone()).unwrap(), new);
        }
    }
}

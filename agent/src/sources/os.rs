//! The operating system's version, from the files that say it.
//!
//! On a Mac `SystemVersion.plist` tells a program that was built for an older system an older version: 16.0 for 26.0. The
//! file beside it tells everybody the same. A rapid security response brings a second file with its own build.

use std::time::Duration;

use emote_proto::Draft;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::facts::{known, read_dictionary};
use super::{ObserveError, Source};
use crate::platform::{Host, HostError, System, plist};
use crate::vocabulary::Kind;

const VERSIONS: [&str; 2] =
    ["/System/Library/CoreServices/.SystemVersionPlatform.plist", "/System/Library/CoreServices/SystemVersion.plist"];
/// Of the part of the system that rapid security responses replace.
const RESPONSE: &str = "/System/Cryptexes/OS/System/Library/CoreServices/SystemVersion.plist";
/// os-release(5): the second is for where there is no first.
const RELEASES: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];
const KERNEL: &str = "/proc/sys/kernel/osrelease";
const LIST: usize = 64 << 10;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) name: String,
    pub(crate) version: String,
    /// macOS only, such as `25B78`.
    pub(crate) build: Option<String>,
    /// Of a rapid security response, such as `(a)`.
    pub(crate) extra: Option<String>,
    /// Linux only: on a Mac the build says it.
    pub(crate) kernel: Option<String>,
}

pub(crate) struct Os;

impl Source for Os {
    const NAME: &'static str = "os";
    const ABOUT: &'static str = "the system's version";
    const INTERVAL: Duration = Duration::from_secs(3_600);
    const VERSION: u8 = 2;
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, _old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        match host.system() {
            System::Mac => mac(host),
            System::Linux => linux(host),
        }
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        if old == new {
            return Vec::new();
        }
        vec![Kind::OsUpdated.draft(json!({"from": known(old), "to": known(new)}))]
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        known(snapshot).into()
    }
}

/// The version alone.
pub(super) fn version(host: &dyn Host) -> Result<String, ObserveError> {
    Ok(Os::observe(host, None)?.version)
}

fn mac(host: &dyn Host) -> Result<Snapshot, ObserveError> {
    let system = match read_dictionary(host, VERSIONS[0], LIST)? {
        Some(system) => system,
        None => read_dictionary(host, VERSIONS[1], LIST)?.ok_or_else(|| HostError::Missing(VERSIONS[1].into()))?,
    };
    let text = |key: &str| {
        plist::text(&system, key).ok_or_else(|| ObserveError::Answer(format!("the system's version has no {key}")))
    };
    let mut snapshot = Snapshot {
        name: text("ProductName")?,
        version: text("ProductVersion")?,
        build: Some(text("ProductBuildVersion")?),
        extra: plist::text(&system, "ProductVersionExtra"),
        kernel: None,
    };
    // Systems before macOS 13 have none, and one without a response says the same as the system.
    let response = read_dictionary(host, RESPONSE, LIST)?.unwrap_or_default();
    if let Some(extra) = plist::text(&response, "ProductVersionExtra") {
        snapshot.extra = Some(extra);
        snapshot.build = plist::text(&response, "ProductBuildVersion").or(snapshot.build);
    }
    Ok(snapshot)
}

fn linux(host: &dyn Host) -> Result<Snapshot, ObserveError> {
    let release = match host.read_text(RELEASES[0]) {
        Err(error) if error.is_missing() => host.read_text(RELEASES[1]),
        release => release,
    }?;
    let field = |key: &str| {
        let value = release.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
        Some(value.trim_matches(['"', '\'']).chars().take(256).collect::<String>()).filter(|value| !value.is_empty())
    };
    // A system that is never released has no version, but a build or a name for what comes.
    let version = ["VERSION_ID", "BUILD_ID", "VERSION_CODENAME"].into_iter().find_map(field);
    let (Some(name), Some(version)) = (field("NAME"), version) else {
        return Err(ObserveError::Answer("os-release has no name or no version".into()));
    };
    let kernel = host.read_text(KERNEL)?.chars().take(256).collect();
    Ok(Snapshot { name, version, kernel: Some(kernel), ..Snapshot::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use proptest::prelude::*;

    fn list(version: &str, build: &str, extra: &str) -> String {
        format!(
            "<plist><dict><key>BuildID</key><string>x</string><key>ProductBuildVersion</key><string>{build}</string>\
             <key>ProductName</key><string>macOS</string><key>ProductVersion</key><string>{version}</string>\
             <key>ProductVersionExtra</key><string>{extra}</string></dict></plist>"
        )
    }

    fn check(host: &Recorded, expected: Value) {
        assert_eq!(Os::inventory(&Os::observe(host, None).unwrap()), expected);
    }

    #[test]
    fn a_mac_says_its_build_and_its_security_response() {
        let old = Recorded::mac().file(VERSIONS[1], list("12.7.6", "21H1320", ""));
        check(&old, json!({"name": "macOS", "version": "12.7.6", "build": "21H1320"}));
        let new =
            Recorded::mac().file(VERSIONS[0], list("26.1", "25B78", "")).file(VERSIONS[1], list("16.1", "25B78", ""));
        let expected = json!({"name": "macOS", "version": "26.1", "build": "25B78"});
        check(&new, expected.clone());
        check(&new.clone().file(RESPONSE, list("26.1", "25B78", "")), expected);
        let response = new.file(RESPONSE, list("26.1", "25B771130a", "(a)"));
        check(&response, json!({"name": "macOS", "version": "26.1", "build": "25B771130a", "extra": "(a)"}));
    }

    #[test]
    fn linux_says_its_release_and_its_kernel() {
        let with = |path: &str, release: &str| Recorded::linux().file(path, release).file(KERNEL, "6.18.4\n");
        let debian = "PRETTY_NAME=\"Debian GNU/Linux 13\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\n";
        for path in RELEASES {
            let expected = json!({"name": "Debian GNU/Linux", "version": "13", "kernel": "6.18.4"});
            check(&with(path, debian), expected);
        }
        let arch = with(RELEASES[0], "NAME='Arch Linux'\nBUILD_ID=rolling");
        check(&arch, json!({"name": "Arch Linux", "version": "rolling", "kernel": "6.18.4"}));
    }

    #[test]
    fn a_version_that_is_not_understood_is_an_error() {
        for text in ["", "<plist><array/></plist>", "<plist><dict/></plist>", &list("26.1", "", "")] {
            assert!(Os::observe(&Recorded::mac().file(VERSIONS[0], text), None).is_err(), "{text}");
        }
        let broken = Recorded::mac().file(VERSIONS[0], list("26.1", "25B78", "")).file(RESPONSE, "<plist>");
        assert!(Os::observe(&broken, None).is_err());
        assert!(Os::observe(&Recorded::mac(), None).is_err());
        let linux = Recorded::linux().file(RELEASES[0], "NAME=x\n").file(KERNEL, "6");
        assert!(Os::observe(&linux, None).is_err());
    }

    fn any_snapshot() -> impl Strategy<Value = Snapshot> {
        let text = || prop::option::of("[a-z0-9.]{1,6}");
        ("[a-z0-9.]{0,6}", "[a-z0-9.]{0,6}", text(), text(), text())
            .prop_map(|(name, version, build, extra, kernel)| Snapshot { name, version, build, extra, kernel })
    }

    proptest! {
        #[test]
        fn the_event_over_the_old_snapshot_gives_the_new(old in any_snapshot(), new in any_snapshot()) {
            let drafts = Os::diff(&old, &new);
            prop_assert_eq!(drafts.is_empty(), old == new);
            for draft in drafts {
                let info = draft.info.unwrap();
                prop_assert_eq!(serde_json::from_value::<Snapshot>(info["from"].clone()).unwrap(), old.clone());
                prop_assert_eq!(serde_json::from_value::<Snapshot>(info["to"].clone()).unwrap(), new.clone());
            }
        }

        #[test]
        fn no_file_panics(text in ".{0,100}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Os::observe(&Recorded::mac().file(VERSIONS[0], &bytes), None);
            let _ = Os::observe(&Recorded::mac().file(VERSIONS[0], list(&text, &text, &text)), None);
            let _ = Os::observe(&Recorded::linux().file(RELEASES[0], format!("NAME={text}")), None);
            let _ = Os::observe(&Recorded::linux().file(RELEASES[0], &bytes), None);
        }
    }
}

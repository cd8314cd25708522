//! What is installed on it: apps, packages, updates that wait, launch items.

use std::collections::VecDeque;

use emote_proto::EventId;

use super::Part;
use crate::gather::Gather;
use crate::simulate::random::Random;
use crate::simulate::who::{VERSIONS, Who};
use crate::sources::{apps, launch_items, packages, updates};

/// Name, bundle id, team, major version.
pub(in crate::simulate) const APPS: &[(&str, &str, &str, u64)] = &[
    ("Google Chrome", "com.google.Chrome", "EQHXZ8M8AV", 143),
    ("Slack", "com.tinyspeck.slackmacgap", "BQR82RBBHL", 4),
    ("zoom.us", "us.zoom.xos", "BJ4HAAB9B3", 6),
    ("Microsoft Word", "com.microsoft.Word", "UBF8T346G9", 16),
    ("Firefox", "org.mozilla.firefox", "43AQ936H96", 146),
    ("1Password", "com.1password.1password", "2BUA8C4S2C", 8),
    ("Visual Studio Code", "com.microsoft.VSCode", "UBF8T346G9", 1),
    ("Docker", "com.docker.docker", "9BNSXJN65R", 4),
    ("Spotify", "com.spotify.client", "2FNC3A47ZF", 1),
    ("Figma", "com.figma.Desktop", "T8RA8NE3B7", 125),
    ("Notion", "notion.id", "LBQJ96FQ8D", 5),
    ("VLC", "org.videolan.vlc", "75GAHG3SZQ", 3),
];

/// Name, id and process of packages.
pub(in crate::simulate) const PACKAGES: &[(&str, &str, &str)] = &[
    ("Printer Drivers", "com.example.pkg.printers", "installer"),
    ("Company Fonts", "com.example.pkg.fonts", "installer"),
    ("XProtectPlistConfigData", "com.apple.pkg.XProtectPlistConfigData_10_15.16U4441", "softwareupdated"),
    ("Command Line Tools for Xcode", "com.apple.pkg.CLTools_Executables", "softwareupdated"),
];

/// By place in [`APPS`], a bit each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct Apps {
    pub(in crate::simulate) installed: u16,
    /// Updated today.
    pub(in crate::simulate) updated: u16,
}

impl Apps {
    /// Everybody has the first few.
    pub(in crate::simulate) fn new(who: &Who) -> Self {
        let drawn = Random::of(&[who.seed, u64::from(who.index), 5]).next();
        Self { installed: u16::try_from(drawn & 0xFFF).unwrap_or(0) | 0b1111, updated: 0 }
    }
}

impl Part for Apps {
    type Source = apps::Apps;
    fn snapshot(self, who: &Who) -> apps::Snapshot {
        let here = APPS.iter().enumerate().filter(|(place, _)| self.installed >> place & 1 == 1);
        here.map(|(place, (name, id, team, major))| {
            let minor = (who.dice >> place) % 40 + u64::from(self.updated >> place & 1);
            let version = format!("{major}.{minor}.{}", place % 3);
            let facts = apps::Facts {
                name: (*name).to_owned(),
                bundle_id: Some((*id).to_owned()),
                build: Some(format!("{major}{minor:03}")),
                version: Some(version),
                team: Some((*team).to_owned()),
                signing_id: Some((*id).to_owned()),
            };
            (format!("/Applications/{name}.app"), apps::App { facts, stamp: None })
        })
        .gather()
    }
}

/// The last package of the day: when, and place in [`PACKAGES`] or behind them for the system itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct Packages {
    pub(in crate::simulate) last: Option<(i64, u8)>,
}

impl Part for Packages {
    type Source = packages::Packages;
    fn snapshot(self, _who: &Who) -> packages::Snapshot {
        let entry = |(date, place): (i64, u8)| {
            let system = ("macOS", "com.apple.pkg.InstallAssistant.macOS", "softwareupdated");
            let (name, id, process) = *PACKAGES.get(usize::from(place)).unwrap_or(&system);
            let version = if name == system.0 { VERSIONS[VERSIONS.len() - 1].0 } else { "1.4" };
            let facts = packages::Facts {
                name: name.to_owned(),
                version: Some(version.to_owned()),
                identifiers: vec![id.to_owned()],
                process: Some(process.to_owned()),
            };
            packages::Entry { date, facts }
        };
        // Dates are whole seconds.
        let last = self.last.map(|(at, place)| entry((at - at.rem_euclid(1_000), place)));
        let newest: VecDeque<_> = [entry((1_772_439_300_000, 0))].into_iter().chain(last).collect();
        packages::Snapshot { modified: None, known: newest.iter().map(packages::Entry::fingerprint).gather(), newest }
    }
}

/// Whether the newest version of the system waits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct Updates {
    pub(in crate::simulate) pending: bool,
}

impl Part for Updates {
    type Source = updates::Updates;
    fn snapshot(self, _who: &Who) -> updates::Snapshot {
        let (version, build) = VERSIONS[VERSIONS.len() - 1];
        let update = updates::Update {
            identifier: Some(format!("MSU_UPDATE_{build}_patch_{version}")),
            name: Some(format!("macOS {version}")),
            version: Some(version.to_owned()),
            system: true,
        };
        let pending = self.pending.then(|| (format!("MSU_UPDATE_{build}_patch_{version}_minor"), update));
        updates::Snapshot { checked_at: None, pending: pending.into_iter().gather() }
    }
}

/// Whether there is one more than usual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct LaunchItems {
    pub(in crate::simulate) added: bool,
}

impl Part for LaunchItems {
    type Source = launch_items::LaunchItems;
    fn snapshot(self, _who: &Who) -> launch_items::Snapshot {
        let item = |folder: &str, label: &str, program: &str| {
            let hash: String = EventId::derived(&["simulated item", label]).to_string().replace('-', "");
            let item = launch_items::Item {
                label: Some(label.to_owned()),
                program: Some(program.to_owned()),
                run_at_load: true,
                hash: hash.get(..16).map(str::to_owned),
            };
            (format!("/Library/{folder}/{label}.plist"), item)
        };
        let usual = [
            item("LaunchDaemons", "com.example.backup", "/Library/Example/backup"),
            item("LaunchAgents", "com.example.menu", "/Library/Example/Menu.app/Contents/MacOS/Menu"),
        ];
        let added = item("LaunchAgents", "com.example.updater", "/Users/Shared/updater");
        usual.into_iter().chain(self.added.then_some(added)).gather()
    }
}

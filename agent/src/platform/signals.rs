//! What the system tells by itself, between two looks.
//!
//! A hint says that something may have changed: the source looks again, after its debounce. Names of notify(3) are
//! mostly undocumented, so nothing is believed of them but that; the slow looks are the backstop. A moment is a thing
//! that happens and leaves nothing behind to look at, such as falling asleep: it is written as it comes.

use emote_proto::Time;
use tokio::sync::mpsc;

/// Signals waiting at most; more are dropped by whoever sends, as the next look finds what they were about.
pub const QUEUE: usize = 256;

/// What comes in.
#[derive(Debug)]
pub enum Signal {
    /// The sources of these names should look.
    Look(&'static [&'static str]),
    /// Something happens.
    Moment(Moment),
}

/// Something that happens.
#[derive(Debug)]
pub struct Moment {
    /// What.
    pub what: Happening,
    /// When.
    pub at: Time,
    /// The system waits until this is dropped, for some seconds at most.
    pub hold: Option<Hold>,
}

/// What may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// The machine is about to sleep.
    WillSleep,
    /// The machine has woken.
    Woke,
    /// Somebody chose to shut down.
    ShutdownBegun,
    /// Somebody chose to restart.
    RestartBegun,
    /// Somebody chose to log out.
    LogoutBegun,
    /// What was begun of these was called off.
    Cancelled,
}

/// Lets the system go on when it is dropped.
pub type Hold = std::sync::mpsc::SyncSender<()>;

/// Where signals come from.
pub type Signals = mpsc::Receiver<Signal>;

/// Notifications of notify(3), and what each means.
pub const NOTIFICATIONS: &[(&str, Meaning)] = &[
    ("com.apple.system.loginwindow.shutdownInitiated", Meaning::Moment(Happening::ShutdownBegun)),
    ("com.apple.system.loginwindow.restartinitiated", Meaning::Moment(Happening::RestartBegun)),
    ("com.apple.system.loginwindow.logoutInitiated", Meaning::Moment(Happening::LogoutBegun)),
    ("com.apple.system.loginwindow.logoutcancelled", Meaning::Moment(Happening::Cancelled)),
    // Declared in CGSession.h.
    ("com.apple.coregraphics.GUIConsoleSessionChanged", Meaning::Look(&["session"])),
    ("com.apple.coregraphics.GUISessionUserChanged", Meaning::Look(&["session"])),
    ("com.apple.system.loginwindow.loginInitiated", Meaning::Look(&["session"])),
    ("com.apple.system.loginwindow.desktopUp", Meaning::Look(&["session"])),
    ("com.apple.system.loginwindow.fus", Meaning::Look(&["session"])),
    ("com.apple.system.loginwindow.logoutNoReturn", Meaning::Look(&["session"])),
    ("com.apple.sessionagent.screenIsLocked", Meaning::Look(&["session"])),
    ("com.apple.sessionagent.screenIsUnlocked", Meaning::Look(&["session"])),
    // Declared in IOPowerSources.h.
    ("com.apple.system.powersources.source", Meaning::Look(&["power"])),
    ("com.apple.system.powersources.lowbattery", Meaning::Look(&["power"])),
    ("com.apple.system.hostname", Meaning::Look(&["network"])),
    ("com.apple.system.config.network_change", Meaning::Look(&["network"])),
    ("com.apple.system.kernel.mount", Meaning::Look(&["disk"])),
    ("com.apple.system.kernel.unmount", Meaning::Look(&["disk"])),
    ("com.apple.system.lowdiskspace", Meaning::Look(&["disk"])),
    ("com.apple.system.DirectoryService.InvalidateCache.user", Meaning::Look(&["accounts"])),
    ("com.apple.system.DirectoryService.InvalidateCache.group", Meaning::Look(&["accounts"])),
    ("com.apple.system.clock_set", Meaning::Look(&["clock"])),
    ("com.apple.system.timezone", Meaning::Look(&["clock"])),
];

/// What a notification means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// These sources should look.
    Look(&'static [&'static str]),
    /// Something happens.
    Moment(Happening),
}

impl Meaning {
    /// The signal of a notification that came at `at`.
    pub fn signal(self, at: Time) -> Signal {
        match self {
            Self::Look(names) => Signal::Look(names),
            Self::Moment(what) => Signal::Moment(Moment { what, at, hold: None }),
        }
    }
}

/// Folders whose changes mean a look, with what is below them.
pub const FOLDERS: &[(&str, &[&str])] = &[
    ("/Library/Managed Preferences", &["profiles", "mdm"]),
    ("/Applications", &["apps"]),
    ("/Library/Receipts", &["packages"]),
    ("/Library/LaunchDaemons", &["launch_items"]),
    ("/Library/LaunchAgents", &["launch_items"]),
];

/// Classes of the IORegistry whose comings and goings mean a look.
pub const DEVICES: &[(&str, &[&str])] =
    &[("IOUSBHostDevice", &["peripherals"]), ("IOThunderboltSwitch", &["peripherals"])];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hint_is_for_a_source_that_is_there() {
        let names = crate::sources::names();
        let hinted = NOTIFICATIONS.iter().filter_map(|(_, meaning)| match meaning {
            Meaning::Look(names) => Some(*names),
            Meaning::Moment(_) => None,
        });
        for name in hinted.chain(FOLDERS.iter().chain(DEVICES).map(|(_, names)| *names)).flatten() {
            assert!(names.contains(name), "{name}");
        }
    }
}

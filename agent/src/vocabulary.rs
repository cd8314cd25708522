//! The events the agent itself writes: each kind once, with the words that DESIGN's vocabulary has for it.
//!
//! A new kind is one line here. Whatever `emote-agent emit` is given is not limited to these.

use emote_proto::{Draft, Token};
use serde_json::Value;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $scope:literal, $action:literal;)*) => {
        /// A kind of event that the agent writes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// Its scope and action.
            pub fn words(self) -> (&'static str, &'static str) {
                match self { $(Self::$kind => ($scope, $action),)* }
            }
        }
    };
}

kinds! {
    /// The agent runs. `info`: `version`, `previous` (`first`, `clean`, `crashed`, `lost`), `alive` (last sign of life).
    AgentStarted = "agent", "started";
    /// The agent was told to stop. `info`: `version`, `uptime_seconds`, and `system` (`shutdown`, `restart`) when the
    /// machine is stopping too.
    AgentStopped = "agent", "stopped";
    /// Nothing happened, and the agent is there. `info`: `version`, `uptime_seconds`, `spooled`.
    AgentHeartbeat = "agent", "heartbeat";
    /// Another version than last time. `info`: `from`, `to`.
    AgentUpgraded = "agent", "upgraded";
    /// A run before ended by a fault of its own. `info`: `when`, and from a panic `version`, `thread`, `where`, `message`;
    /// on macOS `system_report` {`path`, `time`} when the system wrote one. See [`crate::crash`].
    AgentCrashed = "agent", "crashed";
    /// Events were lost on this machine. `info`: see [`crate::spool::Gap`].
    AgentGap = "agent", "gap";
    /// Other settings are in force. `info`: `changed` \[key\].
    AgentReconfigured = "agent", "reconfigured";
    /// Other things than before are wrong in file or managed preferences, or nothing any more. `info`: `problems`
    /// \[[`crate::settings::Problem`]\], `more` (how many were left out).
    AgentMisconfigured = "agent", "misconfigured";
    /// The machine asks for its next JWT. `info`: [`emote_proto::enroll::RenewRequest`].
    AgentCredentialDue = "agent", "credential_due";
    /// A server has taken a new credential. `info`: `how` (`enrolled`, `reenrolled`, `renewed`, `rotated`), `public_key`,
    /// `fingerprint`, `expires`.
    AgentCredentialChanged = "agent", "credential_changed";
    /// `info`: `by` (`server`: it takes no credential of this machine any more; `broker`: it gives no other one), `reason`,
    /// `public_key`.
    AgentCredentialRefused = "agent", "credential_refused";
    /// The identity in the state folder cannot be this machine's, or cannot be read, and was set aside. `info`: `reason`.
    AgentCredentialSetAside = "agent", "credential_set_aside";
    /// Somebody else writes under this serial number. `info`: `expected` and `found` (sequences in the stream, of the last
    /// time), `count` (since it was told last).
    AgentConflict = "agent", "conflict";
    /// What sources see the first time they look. `info`: one object per source.
    DeviceInventory = "device", "inventory";
    /// The machine was started. `info`: `boot_id` when known, `booted_at`.
    DeviceBoot = "device", "boot";
    /// `info`: `from` and `to`, each `name`, `version`, and `build` and `extra` (of a rapid security response) on a Mac,
    /// `kernel` on Linux.
    OsUpdated = "os", "updated";
    /// `info`: `hostname` {`from`, `to`}, `added` and `removed` {interface: \[address\]}, `dns` {`from`, `to`}, each with
    /// `servers` {domain, `.` for all: \[address\]} and `search`; each only when it changed.
    NetworkChanged = "network", "changed";
    /// `info`: `mount`, `name`, `file_system`, `total_bytes`, `removable`.
    DiskMounted = "disk", "mounted";
    /// `info` as [`Kind::DiskMounted`].
    DiskUnmounted = "disk", "unmounted";
    /// Less than 5 % is free. `info`: as mounted, and `available_bytes`.
    DiskLow = "disk", "low";
    /// More than 8 % is free again. `info` as [`Kind::DiskLow`].
    DiskRecovered = "disk", "recovered";
    /// `info`: `account`, `uid`, `admin`.
    AccountCreated = "account", "created";
    /// `info` as [`Kind::AccountCreated`].
    AccountRemoved = "account", "removed";
    /// The account became an administrator. `info` as [`Kind::AccountCreated`].
    AccountPromoted = "account", "promoted";
    /// The account is no administrator any more. `info` as [`Kind::AccountCreated`].
    AccountDemoted = "account", "demoted";
    /// `info`: of each part that changed (`filevault`, `sip`, `gatekeeper`, `firewall`, `xprotect`,
    /// `xprotect_remediator`) `from` and `to`; the words are those of the source `security`.
    SecurityChanged = "security", "changed";
    /// An MDM manages the machine now. `info`: `enrolled`, `dep`, `user_approved`, and `server`, `topic`, `check_in`
    /// when known.
    DeviceEnroll = "device", "enroll";
    /// No MDM manages the machine any more. `info` as [`Kind::DeviceEnroll`], and `left`, the server there was.
    DeviceUnenroll = "device", "unenroll";
    /// Still managed, but otherwise. `info`: of each of [`Kind::DeviceEnroll`]'s fields that changed `from` and `to`, null
    /// where there is none.
    MdmChanged = "mdm", "changed";
    /// `info`: `scope` (`computer` or a user), `identifier`, `payloads` (their types), `removal_disallowed`, and `uuid`,
    /// `name`, `organization`, `version`, `installed` (as macOS writes it), `verification` when known.
    ProfileInstalled = "profile", "installed";
    /// `info` as [`Kind::ProfileInstalled`].
    ProfileRemoved = "profile", "removed";
    /// Installed once more, or another one under the same identifier. `info` as [`Kind::ProfileInstalled`], and `from`: what
    /// changed as it was, null where there was none.
    ProfileUpdated = "profile", "updated";
    /// A line of the unified log that the settings ask for. `info`: `name` (of the settings), `message`, and when the line
    /// has them `subsystem`, `category`, `process`, `pid`, `level` (`default`, `info`, `debug`, `error`, `fault`).
    UnifiedLogMatched = "unified_log", "matched";
    /// More lines of the unified log than the settings allow, or than could be written. `info`: `name`, `count`.
    UnifiedLogSuppressed = "unified_log", "suppressed";
    /// `info`: `path`, `name`, and what is known of `bundle_id`, `version`, `build`, `team` and `signing_id`, the last two
    /// as the code signature claims.
    AppInstalled = "app", "installed";
    /// `info` as [`Kind::AppInstalled`].
    AppRemoved = "app", "removed";
    /// Another version, build, name or signer. `info` as [`Kind::AppInstalled`], and `from` and `to`, each the same
    /// without `path`.
    AppUpdated = "app", "updated";
    /// `info`: `name`, `installed_at`, `identifiers` of its packages, and `version` and `process` where the system says
    /// so. The event's time is the installation's.
    PackageInstalled = "package", "installed";
    /// The system's own check found an update. `info`: `product_key`, `system` (of macOS itself), and `identifier`, `name`
    /// and `version` where it says so.
    OsUpdatePending = "os", "update_pending";
    /// It is installed, replaced or withdrawn. `info` as [`Kind::OsUpdatePending`].
    OsUpdateCleared = "os", "update_cleared";
    /// `info`: `path`, `run_at_load`, `hash` (the first 16 digits of the file's SHA-256), and `label` and `program` where
    /// the file says so.
    LaunchItemAdded = "launch_item", "added";
    /// `info` as [`Kind::LaunchItemAdded`].
    LaunchItemRemoved = "launch_item", "removed";
    /// `info` as [`Kind::LaunchItemAdded`], and `from` and `to`, each the same without `path`.
    LaunchItemChanged = "launch_item", "changed";
    /// Somebody logged in at the console. `info`: `account`, `uid`, `name`, `console` (whether the screen is theirs).
    SessionLogin = "session", "login";
    /// `info`: `account`, `uid`, `name`.
    SessionLogout = "session", "logout";
    /// The screen is somebody else's. `info`: `from` and `to`, each an account or null for the login window.
    SessionSwitched = "session", "switched";
    /// `info` as [`Kind::SessionLogout`].
    SessionLock = "session", "lock";
    /// `info` as [`Kind::SessionLogout`].
    SessionUnlock = "session", "unlock";
    /// Somebody chose to log out. `info`: empty.
    SessionLogoutBegun = "session", "logout_begun";
    /// It was called off. `info`: empty.
    SessionLogoutCancelled = "session", "logout_cancelled";
    /// Somebody chose to shut the machine down. `info`: `kind` (`shutdown`, `restart`).
    DeviceShutdown = "device", "shutdown";
    /// It was called off. `info` as [`Kind::DeviceShutdown`].
    DeviceShutdownCancelled = "device", "shutdown_cancelled";
    /// `info`: `reason`, the system's words such as `Clamshell Sleep`, when it is told afterwards.
    DeviceSleep = "device", "sleep";
    /// Awake for people; what the machine does by itself in between is not told. `info`: `slept_seconds`, and `reason`
    /// as [`Kind::DeviceSleep`].
    DeviceWake = "device", "wake";
    /// `info`: `from` and `to`, each `ac`, `battery` or `ups`.
    PowerChanged = "power", "changed";
    /// Less than 10 % is left. `info`: `percent`, `source`.
    PowerLow = "power", "low";
    /// 15 % are there again. `info`: `source`.
    PowerRecovered = "power", "recovered";
    /// A battery's health. `info`: `battery`, and `from` and `to`, each null for none or `condition` (`good`, `worn`,
    /// `failed`), `health_percent`, `cycle_count`, as far as known.
    BatteryChanged = "battery", "changed";
    /// `info`: `bus` (`usb`, `thunderbolt`), and as far as known `vendor`, `product`, `vendor_id`, `product_id`, `serial`,
    /// `location`.
    PeripheralAttached = "peripheral", "attached";
    /// `info` as [`Kind::PeripheralAttached`].
    PeripheralDetached = "peripheral", "detached";
    /// The clock was set. `info`: `seconds` (positive: forward), `from` and `to` (its times before and after).
    ClockJumped = "clock", "jumped";
    /// `info`: `from` and `to`, such as `Europe/Berlin`; null when not known.
    ClockZoneChanged = "clock", "zone_changed";
    /// The clock is more than 5 s from the broker's. `info`: `seconds` (positive: this machine's is behind), `uncertainty`
    /// (seconds).
    ClockDrifted = "clock", "drifted";
    /// It is within 2 s again. `info` as [`Kind::ClockDrifted`].
    ClockSynced = "clock", "synced";
}

impl Kind {
    /// A draft of this kind; `info` is a JSON object.
    pub fn draft(self, info: Value) -> Draft {
        let (scope, action) = self.words();
        let mut draft = Draft::new(word(scope), word(action));
        draft.info = Some(info.into());
        draft
    }

    /// Whether `draft` is of this kind.
    pub fn is(self, draft: &Draft) -> bool {
        (draft.scope.as_str(), draft.action.as_str()) == self.words()
    }
}

#[expect(clippy::expect_used, reason = "the literals above, each tested to be a token")]
fn word(literal: &'static str) -> Token {
    Token::new(literal).expect("a token")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_kind_is_made_of_tokens() {
        for kind in Kind::ALL {
            assert!(kind.is(&kind.draft(json!({}))), "{kind:?}");
        }
    }
}

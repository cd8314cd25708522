//! Every system tool the agent runs, with all of its arguments: what an auditor reads. `emote-agent doctor` tells which
//! of them are not there.

use super::tool::Tool;

macro_rules! tools {
    ($($(#[$doc:meta])* $name:ident = $tool:expr;)*) => {
        $($(#[$doc])* pub(crate) static $name: Tool = $tool;)*

        /// Every tool; all are macOS's.
        pub static ALL: &[&Tool] = &[$(&$name,)*];
    };
}

tools! {
    /// Serial number, hardware UUID, model.
    IOREG_PLATFORM = Tool::new("/usr/sbin/ioreg", &["-rd1", "-c", "IOPlatformExpertDevice"]);
    /// A UUID that differs from boot to boot.
    SYSCTL_BOOT = Tool::new("/usr/sbin/sysctl", &["-n", "kern.bootsessionuuid"]);
    /// Names and numbers of all local accounts.
    DSCL_USERS = Tool::new("/usr/bin/dscl", &[".", "-list", "/Users", "UniqueID"]);
    /// The members of the local group `admin`.
    DSCL_ADMINS = Tool::new("/usr/bin/dscl", &[".", "-read", "/Groups/admin", "GroupMembership"]);
    /// Whether FileVault is on.
    FDESETUP_STATUS = Tool::new("/usr/bin/fdesetup", &["status"]);
    /// Whether System Integrity Protection is on.
    CSRUTIL_STATUS = Tool::new("/usr/bin/csrutil", &["status"]);
    /// Whether Gatekeeper is on.
    SPCTL_STATUS = Tool::new("/usr/sbin/spctl", &["--status"]);
    /// Whether the firewall is on.
    FIREWALL_STATE = Tool::new("/usr/libexec/ApplicationFirewall/socketfilterfw", &["--getglobalstate"]);
    /// Whether an MDM manages the machine, and which.
    PROFILES_ENROLLMENT = Tool::new("/usr/bin/profiles", &["status", "-type", "enrollment"]).limits(30, 1 << 16);
    /// All configuration profiles, of the machine and of its users, with what is in them.
    PROFILES_SHOW = Tool::new("/usr/bin/profiles", &["show", "-all", "-output", "stdout-xml"]).limits(30, 8 << 20);
    /// Lines of the unified log as they come. The one tool with an argument more: the predicate of the settings' table
    /// `unified_log`, without which it is not run.
    LOG_STREAM = Tool::new("/usr/bin/log", &["stream", "--style", "ndjson", "--predicate"]);
    /// The proxies of the network settings.
    SCUTIL_PROXY = Tool::new("/usr/sbin/scutil", &["--proxy"]);
    /// Who is asked for names.
    SCUTIL_DNS = Tool::new("/usr/sbin/scutil", &["--dns"]);
    /// Who is logged in at the console, and whether the screen is locked.
    IOREG_CONSOLE = Tool::new("/usr/sbin/ioreg", &["-a", "-d1", "-n", "Root"]);
    /// The battery's health.
    IOREG_BATTERY = Tool::new("/usr/sbin/ioreg", &["-a", "-r", "-d1", "-c", "AppleSmartBattery"]);
    /// USB devices.
    IOREG_USB = Tool::new("/usr/sbin/ioreg", &["-a", "-r", "-d1", "-c", "IOUSBHostDevice"]);
    /// Thunderbolt devices.
    IOREG_THUNDERBOLT = Tool::new("/usr/sbin/ioreg", &["-a", "-r", "-d1", "-c", "IOThunderboltSwitch"]);
    /// Where the power comes from, and how full batteries are.
    PMSET_BATTERIES = Tool::new("/usr/bin/pmset", &["-g", "batt"]);
    /// Sleeps and wakes of the last days. It has many megabytes, most of which are about something else.
    PMSET_LOG = Tool::new("/usr/bin/pmset", &["-g", "log"])
        .limits(30, 4 << 20)
        .only(&["Time stamp", " Sleep  ", " Wake  ", " Start  ", "to FullWake"]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_an_absolute_path_in_a_folder_only_root_writes_to() {
        for tool in ALL {
            let folders = ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/libexec/"];
            assert!(folders.iter().any(|folder| tool.path.starts_with(folder)), "{}", tool.path);
        }
    }
}

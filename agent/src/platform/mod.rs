//! What each system is asked in its own way: the machine's serial number, model, and the id of the current boot.

mod ioreg;
mod tool;

#[cfg(not(target_os = "macos"))]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

#[cfg(not(target_os = "macos"))]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;

use emote_proto::Device;

use crate::serial::Serial;

pub use ioreg::{Platform, parse as parse_ioreg};
pub use tool::{ToolError, run as run_tool};

/// Serial numbers that manufacturers and hypervisors leave in place of one.
const PLACEHOLDERS: &[&str] = &[
    "0",
    "none",
    "default",
    "unknown",
    "system-serial-number",
    "not-specified",
    "to-be-filled-by-oem",
    "default-string",
];

/// What the machine says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hardware {
    /// Its serial number, when it has one that can be used.
    pub serial: Option<Serial>,
    /// IOPlatformUUID, or the firmware's.
    pub uuid: Option<String>,
    /// Model identifier.
    pub model: Option<String>,
}

/// Asks the system.
pub async fn hardware() -> Hardware {
    system::hardware().await
}

/// A text that differs from boot to boot, when the system has one.
pub fn boot_id() -> Option<String> {
    system::boot_id()
}

/// The least uid of people's accounts.
pub fn first_person_uid() -> u32 {
    system::FIRST_PERSON_UID
}

/// Groups whose members administer the machine.
pub fn admin_groups() -> &'static [&'static str] {
    system::ADMIN_GROUPS
}

/// Host name and system version as they are now.
pub fn name_and_version() -> (Option<String>, Option<String>) {
    (sysinfo::System::host_name().ok(), sysinfo::System::os_version().ok())
}

/// The fields of a device from what the machine says.
pub fn device(hardware: &Hardware) -> Device {
    let (name, os_version) = name_and_version();
    Device {
        hardware_uuid: hardware.uuid.clone(),
        model: hardware.model.clone(),
        name,
        os_version,
        ..Device::default()
    }
}

/// A serial number as firmware has it: trimmed, blanks as hyphens; `None` for a placeholder or what cannot be one.
fn usable_serial(text: &str) -> Option<Serial> {
    let text: Vec<&str> = text.split_whitespace().collect();
    let text = text.join("-").replace(['.', '_'], "");
    Some(text)
        .filter(|text| !PLACEHOLDERS.contains(&text.to_lowercase().as_str()))
        .and_then(|text| Serial::new(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_no_serial_numbers() {
        for (text, serial) in [
            ("C02XL0GTJGH5\n", Some("C02XL0GTJGH5")),
            ("VMware-56 4d 0a 11", Some("VMware-56-4d-0a-11")),
            ("To be filled by O.E.M.", None),
            ("System Serial Number", None),
            ("None", None),
            ("  ", None),
            ("*", None),
        ] {
            assert_eq!(usable_serial(text).as_ref().map(Serial::as_str), serial, "{text:?}");
        }
    }
}

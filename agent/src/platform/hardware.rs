//! Who the machine is: serial number, hardware UUID, model.

use emote_proto::EventId;

use super::host::{Host, System};
use super::{ioreg, tools};
use emote_proto::Serial;

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
pub fn hardware(host: &dyn Host) -> Hardware {
    match host.system() {
        System::Mac => mac(host),
        System::Linux => linux(host),
    }
}

fn mac(host: &dyn Host) -> Hardware {
    let output = host.run(&tools::IOREG_PLATFORM).unwrap_or_else(|error| {
        tracing::warn!(%error, "the machine's serial number");
        Default::default()
    });
    let platform = ioreg::parse(&output.text);
    Hardware { serial: platform.serial.as_deref().and_then(usable_serial), uuid: platform.uuid, model: platform.model }
}

fn linux(host: &dyn Host) -> Hardware {
    let read = |path: &str| host.read_text(path).ok().filter(|text| !text.is_empty());
    let serial = read("/sys/class/dmi/id/product_serial").as_deref().and_then(usable_serial);
    // machine-id(5) asks not to be told to others as it is.
    let derived = || {
        let id = read("/etc/machine-id")?;
        Serial::new(EventId::derived(&["machine-id", &id]).to_string()).ok()
    };
    Hardware {
        serial: serial.or_else(derived),
        uuid: read("/sys/class/dmi/id/product_uuid").map(|uuid| uuid.to_uppercase()),
        model: read("/sys/class/dmi/id/product_name"),
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
    use crate::platform::recorded::Recorded;

    #[test]
    fn placeholders_are_no_serial_numbers() {
        for (text, serial) in [
            ("C02XL0GTJGH5\n", Some("C02XL0GTJGH5")),
            ("VMware-56 4d 0a 11", Some("VMWARE-56-4D-0A-11")),
            ("To be filled by O.E.M.", None),
            ("System Serial Number", None),
            ("None", None),
            ("  ", None),
            ("*", None),
        ] {
            assert_eq!(usable_serial(text).as_ref().map(Serial::as_str), serial, "{text:?}");
        }
    }

    #[test]
    fn each_system_says_who_it_is() {
        let mac = Recorded::mac().tool(&tools::IOREG_PLATFORM, "  \"IOPlatformSerialNumber\" = \"C02XL0GTJGH5\"\n");
        assert_eq!(hardware(&mac).serial.unwrap().as_str(), "C02XL0GTJGH5");
        let dmi = Recorded::linux().file("/sys/class/dmi/id/product_serial", "ABC\n").file("/etc/machine-id", "x");
        assert_eq!(hardware(&dmi).serial.unwrap().as_str(), "ABC");
        let bare = hardware(&Recorded::linux().file("/etc/machine-id", "x")).serial.unwrap();
        assert!(bare.as_str().len() == 36 && !bare.as_str().contains('x'));
        assert_eq!(hardware(&Recorded::mac()), Hardware::default());
    }
}

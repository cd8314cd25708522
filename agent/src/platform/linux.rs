//! Linux: DMI and machine-id, read from files.

use emote_proto::EventId;

use super::{Hardware, usable_serial};
use crate::serial::Serial;

pub(super) const FIRST_PERSON_UID: u32 = 1000;
pub(super) const ADMIN_GROUPS: &[&str] = &["sudo", "wheel", "admin"];

pub(super) async fn hardware() -> Hardware {
    let serial = read("/sys/class/dmi/id/product_serial").as_deref().and_then(usable_serial);
    Hardware {
        serial: serial.or_else(derived_serial),
        uuid: read("/sys/class/dmi/id/product_uuid").map(|uuid| uuid.to_uppercase()),
        model: read("/sys/class/dmi/id/product_name"),
    }
}

pub(super) fn boot_id() -> Option<String> {
    read("/proc/sys/kernel/random/boot_id")
}

/// machine-id(5) asks not to be told to others as it is.
fn derived_serial() -> Option<Serial> {
    let id = read("/etc/machine-id")?;
    Serial::new(EventId::derived(&["machine-id", &id]).to_string()).ok()
}

fn read(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

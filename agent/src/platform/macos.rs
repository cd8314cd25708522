//! macOS: IORegistry and sysctl, through the tools that ship with the system.

use std::sync::OnceLock;

use super::{Hardware, ioreg, tool, usable_serial};

pub(super) const FIRST_PERSON_UID: u32 = 500;
pub(super) const ADMIN_GROUPS: &[&str] = &["admin"];

/// Does not change while the process lives; asked for once, with the hardware.
static BOOT_ID: OnceLock<String> = OnceLock::new();

pub(super) async fn hardware() -> Hardware {
    let boot = ask("/usr/sbin/sysctl", &["-n", "kern.bootsessionuuid"]).await;
    let boot = boot.trim();
    if !boot.is_empty() {
        BOOT_ID.get_or_init(|| boot.to_owned());
    }
    let platform = ioreg::parse(&ask("/usr/sbin/ioreg", &["-rd1", "-c", "IOPlatformExpertDevice"]).await);
    Hardware { serial: platform.serial.as_deref().and_then(usable_serial), uuid: platform.uuid, model: platform.model }
}

pub(super) fn boot_id() -> Option<String> {
    BOOT_ID.get().cloned()
}

async fn ask(path: &'static str, arguments: &[&str]) -> String {
    tool::run(path, arguments).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "system tool");
        String::new()
    })
}

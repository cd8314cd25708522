//! The system below: what sources may ask it ([`Host`]), what it tells by itself ([`Signal`]), and who the machine is.

pub mod decode;
mod hardware;
mod host;
pub(crate) mod ioreg;
#[cfg(target_os = "macos")]
pub(crate) mod macos;
pub(crate) mod plist;
mod real;
#[cfg(test)]
pub(crate) mod recorded;
mod secrets;
pub mod signals;
mod text;
mod tool;
pub mod tools;

use emote_proto::Device;

pub use hardware::{Hardware, hardware};
pub use host::{Addresses, Clocks, FolderEntry, Host, HostError, Mount, Output, System};
pub use real::Real;
pub(crate) use real::open;
pub use secrets::SecretStore;
pub(crate) use secrets::system as secret_store;
pub use signals::{Happening, Hold, Moment, Signal, Signals};
pub(crate) use text::read_text;
pub use tool::Tool;

/// Begins to listen to what the system tells. What cannot be listened to is said once; looks go on without it.
#[cfg(target_os = "macos")]
pub(crate) fn listen() -> Signals {
    macos::listen()
}

/// Begins to listen to what the system tells: on this one, nothing. The channel stays open.
#[cfg(not(target_os = "macos"))]
pub(crate) fn listen() -> Signals {
    let (sender, signals) = tokio::sync::mpsc::channel(1);
    // As long as the program runs.
    std::mem::forget(sender);
    signals
}

/// Those of `keys` that a profile forces in the domain `io.emote.agent`, as an XML property list of one dictionary; `None`
/// when none is, and on systems without profiles.
#[cfg(target_os = "macos")]
pub fn forced_preferences(keys: &[&str]) -> Option<Vec<u8>> {
    macos::forced(keys)
}

/// `None`: this system has no profiles.
#[cfg(not(target_os = "macos"))]
pub fn forced_preferences(_keys: &[&str]) -> Option<Vec<u8>> {
    None
}

/// The fields of a device from what the machine says; host name and system version may change while the agent runs.
pub fn device(hardware: &Hardware, (name, os_version): (Option<String>, Option<String>)) -> Device {
    Device {
        hardware_uuid: hardware.uuid.clone(),
        model: hardware.model.clone(),
        name,
        os_version,
        ..Device::default()
    }
}

//! USB and Thunderbolt devices, those that are built in among them. Where one is plugged in is part of what it is, so two
//! of a kind are told apart, and one that is moved to another port was detached and attached.
//!
//! USB: properties of IOUSBHostDevice, as in public recordings; Thunderbolt: of IOThunderboltSwitch, where depth 0 is the
//! Mac itself. Linux: sysfs (Documentation/ABI/testing/sysfs-bus-usb and -thunderbolt).

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use ::plist::Dictionary;
use emote_proto::Draft;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::facts::known;
use super::{ObserveError, Source};
use crate::gather::Gather;
use crate::platform::{Host, System, ioreg, plist, tools};
use crate::vocabulary::Kind;

/// Devices at most: USB has room for 127 on a controller, and more than this is no desk.
const MOST: usize = 512;
const LENGTH: usize = 128;
const USB: &str = "/sys/bus/usb/devices";
const THUNDERBOLT: &str = "/sys/bus/thunderbolt/devices";

pub(crate) type Snapshot = BTreeSet<Peripheral>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bus {
    Usb,
    Thunderbolt,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Peripheral {
    pub(crate) bus: Bus,
    pub(crate) location: Option<String>,
    pub(crate) vendor: Option<String>,
    pub(crate) product: Option<String>,
    /// Four hexadecimal digits, as [`Self::product_id`].
    pub(crate) vendor_id: Option<String>,
    pub(crate) product_id: Option<String>,
    /// A Thunderbolt device's unique id.
    pub(crate) serial: Option<String>,
}

pub(crate) struct Peripherals;

impl Source for Peripherals {
    const NAME: &'static str = "peripherals";
    const ABOUT: &'static str = "USB and Thunderbolt devices attached and detached";
    const VERSION: u8 = 1;
    const INTERVAL: Duration = super::hinted_on_mac(600, 120);
    const DEBOUNCE: Duration = Duration::from_secs(1);
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, _old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let found: Snapshot = match host.system() {
            System::Mac => {
                let usb = ioreg::entries(host, &tools::IOREG_USB)?;
                let thunderbolt = ioreg::entries(host, &tools::IOREG_THUNDERBOLT)?;
                usb.iter().filter_map(mac_usb).chain(thunderbolt.iter().filter_map(mac_thunderbolt)).gather()
            }
            System::Linux => {
                let usb = names(host, USB)?.into_iter().filter_map(|name| linux_usb(host, &name));
                let thunderbolt = names(host, THUNDERBOLT)?;
                usb.chain(thunderbolt.into_iter().filter_map(|name| linux_thunderbolt(host, &name))).gather()
            }
        };
        if found.len() > MOST {
            return Err(ObserveError::Answer(format!("more than {MOST} devices are attached")));
        }
        Ok(found)
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        let detached = old.difference(new).map(|gone| Kind::PeripheralDetached.draft(Value::Object(known(gone))));
        let attached = new.difference(old).map(|come| Kind::PeripheralAttached.draft(Value::Object(known(come))));
        detached.chain(attached).collect()
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        let devices: Vec<_> = snapshot.iter().map(known).collect();
        serde_json::json!({"devices": devices})
    }
}

/// `None` for what has no vendor and product: no device.
fn mac_usb(entry: &Dictionary) -> Option<Peripheral> {
    let text = |keys: [&str; 2]| keys.iter().find_map(|key| bounded(&plist::text(entry, key)?));
    Some(Peripheral {
        bus: Bus::Usb,
        location: ioreg::number(entry, "locationID").map(|location| format!("0x{location:08x}")),
        vendor: text(["USB Vendor Name", "kUSBVendorString"]),
        product: text(["USB Product Name", "kUSBProductString"]),
        vendor_id: Some(digits(ioreg::number(entry, "idVendor")?)),
        product_id: Some(digits(ioreg::number(entry, "idProduct")?)),
        serial: text(["USB Serial Number", "kUSBSerialNumberString"]),
    })
}

/// `None` for the Mac's own.
fn mac_thunderbolt(entry: &Dictionary) -> Option<Peripheral> {
    ioreg::number(entry, "Depth").filter(|depth| *depth > 0)?;
    // The unique id uses all 64 bits, and is a negative number then.
    let uid = || entry.get("UID")?.as_signed_integer().map(i64::cast_unsigned).or_else(|| ioreg::number(entry, "UID"));
    let text = |key: &str| bounded(&plist::text(entry, key)?);
    Some(Peripheral {
        bus: Bus::Thunderbolt,
        location: ioreg::number(entry, "Route String").map(|route| format!("0x{route:x}")),
        vendor: text("Device Vendor Name"),
        product: text("Device Model Name"),
        vendor_id: ioreg::number(entry, "Vendor ID").map(digits),
        product_id: ioreg::number(entry, "Device ID").map(digits),
        serial: uid().map(|uid| format!("{uid:016x}")),
    })
}

/// The names in a folder of sysfs; none where the kernel has no such bus.
fn names(host: &dyn Host, folder: &str) -> Result<Vec<String>, ObserveError> {
    match host.list(Path::new(folder)) {
        Ok(entries) => Ok(entries.into_iter().map(|entry| entry.name).collect()),
        Err(error) if error.is_missing() => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// `None` for an interface such as `1-1:1.0`, and for what is gone since.
fn linux_usb(host: &dyn Host, name: &str) -> Option<Peripheral> {
    let text = |file: &str| bounded(&host.read_text(&format!("{USB}/{name}/{file}")).ok()?);
    Some(Peripheral {
        bus: Bus::Usb,
        location: bounded(name),
        vendor_id: Some(text("idVendor")?),
        product_id: Some(text("idProduct")?),
        vendor: text("manufacturer"),
        product: text("product"),
        serial: text("serial"),
    })
}

/// `None` for domains, ports and the machine's own, such as `0-0`.
fn linux_thunderbolt(host: &dyn Host, name: &str) -> Option<Peripheral> {
    let (_, route) = name.split_once('-').filter(|(_, route)| *route != "0")?;
    let text = |file: &str| bounded(&host.read_text(&format!("{THUNDERBOLT}/{name}/{file}")).ok()?);
    let id = |file: &str| u64::from_str_radix(text(file)?.trim_start_matches("0x"), 16).ok().map(digits);
    Some(Peripheral {
        bus: Bus::Thunderbolt,
        location: Some(format!("0x{}", bounded(route)?)),
        product: Some(text("device_name")?),
        vendor: text("vendor_name"),
        vendor_id: id("vendor"),
        product_id: id("device"),
        serial: text("unique_id"),
    })
}

fn digits(id: u64) -> String {
    format!("{id:04x}")
}

/// Without what no terminal should be shown, and not too long; `None` when nothing is left.
fn bounded(text: &str) -> Option<String> {
    let text: String = text.trim().chars().filter(|c| !c.is_control()).take(LENGTH).collect();
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use proptest::prelude::*;
    use serde_json::json;

    fn array(entries: &[&str]) -> String {
        format!("<plist version=\"1.0\"><array>{}</array></plist>", entries.concat())
    }

    const STICK: &str = "<dict><key>IOObjectClass</key><string>IOUSBHostDevice</string><key>IORegistryEntryName</key>\
        <string>Flash Disk</string><key>USB Product Name</key><string>Flash Disk </string><key>USB Serial Number</key>\
        <string>5A68</string><key>USB Vendor Name</key><string>General</string><key>bDeviceClass</key><integer>0</integer>\
        <key>idProduct</key><integer>6544</integer><key>idVendor</key><integer>2316</integer><key>locationID</key>\
        <integer>LOCATION</integer><key>sessionID</key><integer>7</integer></dict>";
    const HOST: &str = "<dict><key>Depth</key><integer>0</integer><key>Device Model Name</key><string>Mac</string>\
        <key>UID</key><integer>5</integer></dict>";
    const DOCK: &str = "<dict><key>Depth</key><integer>1</integer><key>Device ID</key><integer>1800</integer>\
        <key>Device Model Name</key><string>TS4</string><key>Device Vendor Name</key><string>CalDigit, Inc.</string>\
        <key>Route String</key><integer>1</integer><key>UID</key><integer>-9169310316718129152</integer>\
        <key>Vendor ID</key><integer>61</integer></dict>";

    fn mac(usb: &str, thunderbolt: &str) -> Recorded {
        Recorded::mac().tool(&tools::IOREG_USB, usb).tool(&tools::IOREG_THUNDERBOLT, thunderbolt)
    }

    fn infos(host: &Recorded) -> Vec<Value> {
        let new = Peripherals::observe(host, None).unwrap();
        let drafts = Peripherals::diff(&Snapshot::new(), &new);
        assert!(drafts.iter().all(|draft| Kind::PeripheralAttached.is(draft)));
        drafts.into_iter().map(|draft| draft.info.unwrap().into_value()).collect()
    }

    #[test]
    fn a_mac_lists_what_is_attached_and_two_of_a_kind_are_two() {
        let sticks = ["17825792", "18874368"].map(|location| STICK.replace("LOCATION", location));
        let usb = array(&[&sticks[0], &sticks[1], "<dict><key>x</key><true/></dict>"]);
        let stick = |location: &str| {
            json!({"bus": "usb", "vendor": "General", "product": "Flash Disk", "vendor_id": "090c",
                "product_id": "1990", "serial": "5A68", "location": location})
        };
        let dock = json!({"bus": "thunderbolt", "vendor": "CalDigit, Inc.", "product": "TS4", "vendor_id": "003d",
            "product_id": "0708", "serial": "80c010d918b10000", "location": "0x1"});
        let found = infos(&mac(&usb, &array(&[HOST, DOCK])));
        assert_eq!(found, [stick("0x01100000"), stick("0x01200000"), dock]);
    }

    #[test]
    fn nothing_attached_is_an_answer_and_no_answer_is_an_error() {
        assert_eq!(infos(&mac("", "")), [] as [Value; 0]);
        assert!(Peripherals::observe(&mac("ioreg: error", ""), None).is_err());
        assert!(Peripherals::observe(&Recorded::mac().tool(&tools::IOREG_USB, ""), None).is_err());
        assert!(Peripherals::observe(&mac("", "").tool_code(&tools::IOREG_USB, "", 1), None).is_err());
        assert_eq!(infos(&Recorded::linux()), [] as [Value; 0]);
    }

    #[test]
    fn sysfs_has_devices_among_interfaces_and_ports() {
        let file = |host: Recorded, path: &str, text: &str| host.file(&format!("/sys/bus/{path}"), text);
        let files = [
            ("usb/devices/1-1/idVendor", "046d\n"),
            ("usb/devices/1-1/idProduct", "c52b\n"),
            ("usb/devices/1-1/manufacturer", "Logitech\n"),
            ("usb/devices/1-1/product", "USB\u{1b}[31m Receiver\n"),
            ("usb/devices/1-1:1.0/bInterfaceClass", "03\n"),
            ("thunderbolt/devices/0-0/device_name", "Laptop\n"),
            ("thunderbolt/devices/0-1/device_name", "TS4\n"),
            ("thunderbolt/devices/0-1/vendor", "0x3d\n"),
            ("thunderbolt/devices/0-1/unique_id", "d9030000-0080\n"),
            ("thunderbolt/devices/domain0/security", "user\n"),
        ];
        let host = files.iter().fold(Recorded::linux(), |host, (path, text)| file(host, path, text));
        let expected = [
            json!({"bus": "usb", "vendor": "Logitech", "product": "USB[31m Receiver", "vendor_id": "046d",
                "product_id": "c52b", "location": "1-1"}),
            json!({"bus": "thunderbolt", "product": "TS4", "vendor_id": "003d", "serial": "d9030000-0080",
                "location": "0x1"}),
        ];
        assert_eq!(infos(&host), expected);
    }

    #[test]
    fn more_than_a_desk_holds_is_an_error() {
        let sticks: Vec<String> = (0..=MOST).map(|n| STICK.replace("LOCATION", &n.to_string())).collect();
        let sticks: Vec<&str> = sticks.iter().map(String::as_str).collect();
        assert!(Peripherals::observe(&mac(&array(&sticks), ""), None).is_err());
    }

    fn any_snapshot() -> impl Strategy<Value = Snapshot> {
        let text = || prop::option::of("[ab]");
        let peripheral =
            (any::<bool>(), text(), text(), text(), text(), text(), text()).prop_map(|fields| Peripheral {
                bus: if fields.0 { Bus::Usb } else { Bus::Thunderbolt },
                location: fields.1,
                vendor: fields.2,
                product: fields.3,
                vendor_id: fields.4,
                product_id: fields.5,
                serial: fields.6,
            });
        prop::collection::btree_set(peripheral, 0..6)
    }

    fn peripheral(draft: &Draft) -> Peripheral {
        let info = draft.info.clone().unwrap().into_value();
        let text = |key: &str| info.get(key).map(|text| text.as_str().unwrap().to_owned());
        Peripheral {
            bus: if info["bus"] == "usb" { Bus::Usb } else { Bus::Thunderbolt },
            location: text("location"),
            vendor: text("vendor"),
            product: text("product"),
            vendor_id: text("vendor_id"),
            product_id: text("product_id"),
            serial: text("serial"),
        }
    }

    proptest! {
        #[test]
        fn replaying_the_events_over_the_old_snapshot_gives_the_new(old in any_snapshot(), new in any_snapshot()) {
            let drafts = Peripherals::diff(&old, &new);
            prop_assert_eq!(drafts.is_empty(), old == new);
            let mut replayed = old;
            for draft in &drafts {
                if Kind::PeripheralDetached.is(draft) {
                    replayed.remove(&peripheral(draft));
                } else {
                    replayed.insert(peripheral(draft));
                }
            }
            prop_assert_eq!(replayed, new);
        }

        #[test]
        fn no_text_panics(text in any::<String>(), name in "[^/\0]{1,9}") {
            let _ = Peripherals::observe(&mac(&text, &text), None);
            let _ = Peripherals::observe(&mac(&array(&[&format!("<dict><key>Depth</key>{text}</dict>")]), ""), None);
            let (usb, thunderbolt) = (format!("{USB}/{name}/idVendor"), format!("{THUNDERBOLT}/{name}/vendor"));
            let _ = Peripherals::observe(&Recorded::linux().file(&usb, &text).file(&thunderbolt, &text), None);
        }
    }
}

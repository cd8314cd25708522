//! The machine itself: boots, version, addresses, disks, accounts.

use std::iter;
use std::net::{IpAddr, Ipv4Addr};

use emote_proto::EventId;

use super::Part;
use crate::gather::Gather;
use crate::simulate::plan::Place;
use crate::simulate::who::{VERSIONS, Who};
use crate::sources::{accounts, boot, disk, network, os};

const DISK_BYTES: u64 = 494_384_795_648;
const LOW_BYTES: u64 = 19_327_352_832;
const STICK_BYTES: u64 = 62_026_416_128;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct Boot {
    pub(in crate::simulate) booted: u64,
}

impl Part for Boot {
    type Source = boot::Boot;
    fn snapshot(self, who: &Who) -> boot::Snapshot {
        let id = EventId::derived(&["simulated boot", who.serial.as_str(), &self.booted.to_string()]);
        boot::Snapshot { id: Some(id.to_string().to_uppercase()), booted_at: self.booted }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct Os {
    /// Place in [`VERSIONS`].
    pub(in crate::simulate) version: u8,
}

impl Part for Os {
    type Source = os::Os;
    fn snapshot(self, _who: &Who) -> os::Snapshot {
        let (version, build) = VERSIONS[usize::from(self.version) % VERSIONS.len()];
        let build = Some(build.to_owned());
        os::Snapshot { name: "macOS".into(), version: version.into(), build, ..os::Snapshot::default() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct Network {
    pub(in crate::simulate) place: Place,
    pub(in crate::simulate) vpn: bool,
    pub(in crate::simulate) renamed: bool,
}

impl Part for Network {
    type Source = network::Network;
    fn snapshot(self, who: &Who) -> network::Snapshot {
        let [a, b, c, d, ..] = who.dice.to_be_bytes();
        let address = match self.place {
            Place::Home => Ipv4Addr::new(192, 168, a % 4, 20 + b % 200),
            Place::Office => Ipv4Addr::new(10, 20 + a % 8, b, 1 + c % 250),
            Place::Away => Ipv4Addr::new(172, 20, c, 1 + d % 250),
        };
        let one = |address| iter::once(IpAddr::V4(address)).gather();
        let mut interfaces = crate::platform::Addresses::new();
        interfaces.insert("en0".into(), one(address));
        if self.vpn {
            interfaces.insert("utun4".into(), one(Ipv4Addr::new(10, 99, b, 1 + a % 250)));
        }
        let router = Ipv4Addr::from(u32::from(address) & 0xffff_ff00 | 1);
        let mut dns = network::Dns::default();
        dns.servers.insert(".".into(), vec![router.to_string()]);
        if self.vpn {
            dns.servers.insert("corp.example.com".into(), vec!["10.99.0.53".into()]);
        }
        network::Snapshot { hostname: who.hostname(self.renamed), interfaces, dns }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct Disk {
    pub(in crate::simulate) low: bool,
    pub(in crate::simulate) stick: bool,
}

impl Part for Disk {
    type Source = disk::Disks;
    fn snapshot(self, who: &Who) -> disk::Snapshot {
        let available = LOW_BYTES - who.dice % 1_000_000_007;
        let internal = disk::Disk {
            name: "Macintosh HD".into(),
            file_system: "apfs".into(),
            total_bytes: DISK_BYTES,
            removable: false,
            low: self.low.then_some(available),
        };
        let mut disks = disk::Snapshot::new();
        disks.insert("/".into(), internal);
        if self.stick {
            let stick = disk::Disk {
                name: "UNTITLED".into(),
                file_system: "exfat".into(),
                total_bytes: STICK_BYTES,
                removable: true,
                low: None,
            };
            disks.insert("/Volumes/UNTITLED".into(), stick);
        }
        disks
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct Accounts {
    pub(in crate::simulate) admin: bool,
    pub(in crate::simulate) helper: bool,
}

impl Part for Accounts {
    type Source = accounts::Accounts;
    fn snapshot(self, who: &Who) -> accounts::Snapshot {
        let account = |uid, admin| accounts::Account { uid, admin };
        let mut accounts = accounts::Snapshot::new();
        accounts.insert("localadmin".into(), account(501, true));
        accounts.insert(who.account(), account(502, self.admin));
        if self.helper {
            accounts.insert("helper".into(), account(503, false));
        }
        accounts
    }
}

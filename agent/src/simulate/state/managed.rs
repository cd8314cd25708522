//! What protects and manages it: FileVault and the like, the MDM, its profiles.

use std::collections::BTreeMap;
use std::iter;

use emote_proto::{EventId, Time};

use super::Part;
use crate::gather::Gather;
use crate::simulate::plan::Vault;
use crate::simulate::who::Who;
use crate::sources::{mdm, profiles, security};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct Security {
    pub(in crate::simulate) vault: Vault,
    pub(in crate::simulate) firewall: bool,
    /// How often it was updated today.
    pub(in crate::simulate) xprotect: u8,
}

impl Part for Security {
    type Source = security::Security;
    fn snapshot(self, _who: &Who) -> security::Snapshot {
        let vault = match self.vault {
            Vault::On => "on",
            Vault::Off => "off",
            Vault::Encrypting => "encrypting",
        };
        let xprotect = (5320 + u32::from(self.xprotect)).to_string();
        let parts = [
            ("filevault", vault),
            ("sip", "on"),
            ("gatekeeper", "on"),
            ("firewall", if self.firewall { "on" } else { "off" }),
            ("xprotect", &xprotect),
            ("xprotect_remediator", "157"),
        ];
        parts.into_iter().map(|(part, word)| (part.to_owned(), word.to_owned())).gather()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct Mdm {
    pub(in crate::simulate) enrolled: bool,
}

impl Part for Mdm {
    type Source = mdm::Mdm;
    fn snapshot(self, _who: &Who) -> mdm::Snapshot {
        let when_enrolled = |text: &str| self.enrolled.then(|| text.to_owned());
        mdm::Snapshot {
            enrolled: self.enrolled,
            dep: true,
            user_approved: self.enrolled,
            server: when_enrolled("https://mdm.example.com/mdm"),
            topic: when_enrolled("com.apple.mgmt.External.0e2f64b4-51a4-4d4b-9d0c-1a4b7a3c5e11"),
            check_in: when_enrolled("https://mdm.example.com/checkin"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::simulate) struct Profiles {
    pub(in crate::simulate) managed: bool,
    /// When one more was installed.
    pub(in crate::simulate) wifi: Option<i64>,
}

impl Part for Profiles {
    type Source = profiles::Profiles;
    fn snapshot(self, who: &Who) -> profiles::Snapshot {
        let mut all = BTreeMap::new();
        let mut installed = |name: &str, payload: &str, at: &str| {
            let identifier = format!("com.example.{}", name.to_lowercase().replace(' ', "-"));
            let uuid = EventId::derived(&["simulated profile", who.serial.as_str(), name, at]);
            let profile = profiles::Profile {
                uuid: Some(uuid.to_string().to_uppercase()),
                name: Some(name.to_owned()),
                organization: Some("Example".into()),
                version: Some(1),
                installed: Some(at.to_owned()),
                verification: Some("verified".into()),
                removal_disallowed: true,
                payloads: iter::once(payload.to_owned()).gather(),
            };
            all.insert(("computer".to_owned(), identifier), profile);
        };
        if self.managed {
            installed("Device Management", "com.apple.mdm", "2026-03-02 08:15:00 +0000");
            installed("Privacy Preferences", "com.apple.TCC.configuration-profile-policy", "2026-03-02 08:16:10 +0000");
            installed("Background Items", "com.apple.servicemanagement", "2026-03-02 08:16:12 +0000");
        }
        if let Some(at) = self.wifi.and_then(Time::from_millis) {
            let at = at.to_string().replace('T', " ");
            installed("Office Wi-Fi", "com.apple.wifi.managed", &format!("{} +0000", at.get(..19).unwrap_or(&at)));
        }
        all
    }
}

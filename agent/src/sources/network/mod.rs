//! Host name, the addresses of each interface (no loopback and no link-local ones, which say nothing of the network), and
//! who is asked for names. A machine that has just been started is called `localhost` until it knows its name: that is none.

mod dns;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use emote_proto::Draft;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{ObserveError, Source};
use crate::gather::Gather;
use crate::platform::{Addresses, Host};
use crate::vocabulary::Kind;

pub(crate) use dns::Dns;

/// Addresses at most: an event that is too large would keep those of all other sources from being written.
const MOST: usize = 1_000;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) hostname: String,
    pub(crate) interfaces: Addresses,
    pub(crate) dns: Dns,
}

pub(crate) struct Network;

impl Source for Network {
    const NAME: &'static str = "network";
    const ABOUT: &'static str = "host name, addresses and name servers";
    const INTERVAL: Duration = super::hinted_on_mac(300, 60);
    const VERSION: u8 = 2;
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let interfaces = host.addresses()?.into_iter().filter_map(|(name, mut addresses)| {
            addresses.retain(says_something);
            (!addresses.is_empty()).then_some((name, addresses))
        });
        let interfaces: Addresses = interfaces.gather();
        if interfaces.values().map(BTreeSet::len).sum::<usize>() > MOST {
            return Err(ObserveError::Answer(format!("more than {MOST} addresses")));
        }
        let hostname = host.hostname()?;
        let hostname = match old {
            Some(old) if !is_name(&hostname) => old.hostname.clone(),
            _ => hostname,
        };
        Ok(Snapshot { interfaces, hostname, dns: Dns::observe(host)? })
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        let mut info = Map::new();
        if old.hostname != new.hostname {
            info.insert("hostname".into(), json!({"from": old.hostname, "to": new.hostname}));
        }
        for (key, minuend, subtrahend) in
            [("added", &new.interfaces, &old.interfaces), ("removed", &old.interfaces, &new.interfaces)]
        {
            let rest = without(minuend, subtrahend);
            if !rest.is_empty() {
                info.insert(key.into(), json!(rest));
            }
        }
        if old.dns != new.dns {
            info.insert("dns".into(), json!({"from": old.dns, "to": new.dns}));
        }
        if info.is_empty() { Vec::new() } else { vec![Kind::NetworkChanged.draft(Value::Object(info))] }
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        json!(snapshot)
    }
}

/// Whether the host name is the machine's own.
pub(super) fn is_name(hostname: &str) -> bool {
    !["", "localhost", "localhost.localdomain"].contains(&hostname)
}

fn says_something(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local() && !v6.is_unspecified(),
    }
}

fn without(minuend: &Addresses, subtrahend: &Addresses) -> Addresses {
    let mut rest = Addresses::new();
    for (name, addresses) in minuend {
        let gone: BTreeSet<IpAddr> = match subtrahend.get(name) {
            Some(others) => addresses.difference(others).copied().gather(),
            None => addresses.clone(),
        };
        if !gone.is_empty() {
            rest.insert(name.clone(), gone);
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use crate::platform::tools;
    use proptest::prelude::*;

    /// Without name servers.
    fn machine() -> Recorded {
        Recorded::mac().tool(&tools::SCUTIL_DNS, "No DNS configuration available\n")
    }

    #[test]
    fn a_name_that_every_machine_has_for_a_moment_is_none() {
        let seen = |name: &str, old: Option<&Snapshot>| {
            Network::observe(&Recorded { hostname: name.into(), ..machine() }, old).unwrap()
        };
        let old = seen("ada.local", None);
        for name in ["localhost", "localhost.localdomain", ""] {
            assert_eq!(seen(name, Some(&old)), old, "{name}: no event");
            assert_eq!(seen(name, None).hostname, name, "there is no other");
        }
        assert_eq!(seen("grace.local", Some(&old)).hostname, "grace.local");
    }

    #[test]
    fn more_addresses_than_an_event_holds_are_an_error() {
        let host = |count: u32| {
            let addresses = (0..count)
                .map(|n| IpAddr::from((0x2001_0db8_ffff_ffff_ffff_ffff_0000_0000 | u128::from(n)).to_be_bytes()));
            Recorded { addresses: Addresses::from([("en0".to_owned(), addresses.collect())]), ..machine() }
        };
        let most = Network::observe(&host(1_000), None).unwrap();
        assert!(json!(most).to_string().len() < emote_proto::limits::MAX_EVENT / 2);
        assert!(Network::observe(&host(1_001), None).is_err());
    }

    fn any_snapshot() -> impl Strategy<Value = Snapshot> {
        let addresses = prop::collection::btree_set((0_u8..6).prop_map(|n| IpAddr::from([10, 0, 0, n])), 1..4);
        let servers = prop::collection::btree_map("[.a]", prop::collection::vec("[12]", 1..3), 0..3);
        let dns = (servers, prop::collection::vec("[xy]", 0..3)).prop_map(|(servers, search)| Dns { servers, search });
        ("[ab]{1,2}", prop::collection::btree_map("en[0-3]", addresses, 0..4), dns)
            .prop_map(|(hostname, interfaces, dns)| Snapshot { hostname, interfaces, dns })
    }

    fn replay(mut snapshot: Snapshot, drafts: &[Draft]) -> Snapshot {
        for info in drafts.iter().filter_map(|draft| draft.info.as_ref()) {
            if let Some(name) = info.pointer("/hostname/to") {
                snapshot.hostname = serde_json::from_value(name.clone()).unwrap();
            }
            if let Some(dns) = info.pointer("/dns/to") {
                snapshot.dns = serde_json::from_value(dns.clone()).unwrap();
            }
            let part = |key: &str| info.get(key).map(|part| serde_json::from_value::<Addresses>(part.clone()).unwrap());
            for (name, addresses) in part("added").unwrap_or_default() {
                snapshot.interfaces.entry(name).or_default().extend(addresses);
            }
            for (name, addresses) in part("removed").unwrap_or_default() {
                let left = snapshot.interfaces.get_mut(&name).unwrap();
                left.retain(|address| !addresses.contains(address));
                if left.is_empty() {
                    snapshot.interfaces.remove(&name);
                }
            }
        }
        snapshot
    }

    proptest! {
        #[test]
        fn replaying_the_events_over_the_old_snapshot_gives_the_new(old in any_snapshot(), new in any_snapshot()) {
            let drafts = Network::diff(&old, &new);
            prop_assert_eq!(drafts.is_empty(), old == new);
            prop_assert_eq!(replay(old, &drafts), new);
        }
    }

    #[test]
    fn addresses_of_every_machine_are_left_out() {
        for (address, kept) in [
            ("127.0.0.1", false),
            ("169.254.3.4", false),
            ("::1", false),
            ("fe80::1", false),
            ("192.168.1.20", true),
            ("2001:db8::1", true),
            ("fd00::1", true),
        ] {
            assert_eq!(says_something(&address.parse().unwrap()), kept, "{address}");
        }
    }
}

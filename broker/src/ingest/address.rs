//! From which addresses a request comes, also behind proxies, and whether a source takes requests from there.
//!
//! A proxy appends to `X-Forwarded-For` who connected to it, and leaves in front of that what it was sent. So the header
//! is read from the right, and only as long as the one who wrote a part is a trusted proxy. What stands further left is
//! whatever the sender liked to write.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use axum::http::HeaderMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// Proxies that one request may have passed.
const MAX_PROXIES: usize = 16;

/// A range of addresses: `192.0.2.0/24`, `2001:db8::/32`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    bits: u32,
}

impl Cidr {
    /// Whether the address lies in it. An IPv6 address that stands for an IPv4 one is that one.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
                network.to_bits() == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
                network.to_bits() == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no range of addresses such as 192.0.2.0/24 or 2001:db8::/32");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if network.is_ipv4() { 32 } else { 128 };
        let plain = |bits: &str| bits.bytes().all(|byte| byte.is_ascii_digit()).then(|| bits.parse::<u32>().ok())?;
        let bits = match bits {
            Some(bits) => plain(bits).filter(|bits| *bits <= most).ok_or_else(wrong)?,
            None => most,
        };
        let range = Self { network, bits };
        if network.to_canonical() != network {
            return Err(format!("{text:?}: write the IPv4 address itself"));
        }
        match range.contains(network) {
            true => Ok(range),
            false => {
                Err(format!("{text:?} has bits behind its first {bits}: is another address meant, or fewer bits?"))
            }
        }
    }
}

impl JsonSchema for Cidr {
    fn schema_name() -> Cow<'static, str> {
        "range_of_addresses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "examples": ["192.0.2.0/24", "2001:db8::/32"]})
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Who sent a request: the peer of the connection or, where that is a trusted proxy, whom it says it speaks for. None
/// where a trusted proxy says something that is no address.
pub(crate) fn sender(peer: SocketAddr, headers: &HeaderMap, proxies: &[Cidr]) -> Option<IpAddr> {
    let trusted = |address: IpAddr| proxies.iter().any(|proxy| proxy.contains(address));
    let lines = headers.get_all("x-forwarded-for").into_iter().rev();
    let mut told = lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
    let mut sender = peer.ip().to_canonical();
    for _ in 0..MAX_PROXIES {
        if !trusted(sender) {
            return Some(sender);
        }
        match told.next() {
            Some(text) => sender = address(text.trim())?,
            None => return Some(sender),
        }
    }
    None
}

/// An address, with a port or without.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text).parse::<IpAddr>();
    let found = text.parse::<SocketAddr>().map(|found| found.ip()).or_else(|_| bare());
    found.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    #[test]
    fn ranges_hold_what_begins_as_they_do() {
        for (range, inside, outside) in [
            (
                "192.0.2.0/24",
                &["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7"][..],
                &["192.0.3.0", "2001:db8::1", "::c000:207"][..],
            ),
            ("192.0.2.7", &["192.0.2.7"], &["192.0.2.6"]),
            ("0.0.0.0/0", &["1.2.3.4", "255.255.255.255"], &["::1"]),
            ("::/0", &["::1", "2001:db8::1"], &["1.2.3.4"]),
            ("2001:db8::/33", &["2001:db8:7fff::1"], &["2001:db8:8000::1"]),
            ("::1", &["::1"], &["::2"]),
        ] {
            let range: Cidr = range.parse().unwrap();
            assert!(inside.iter().all(|address| range.contains(address.parse().unwrap())), "{range:?}");
            assert!(!outside.iter().any(|address| range.contains(address.parse().unwrap())), "{range:?}");
        }
        for wrong in [
            "",
            "192.0.2.0/33",
            "192.0.2.0/+8",
            "192.0.2.0/",
            "192.0.2.1/24",
            "::/129",
            "example.com",
            "::ffff:1.2.3.4",
            "192.0.2.0/24 ",
        ] {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong}");
        }
    }

    fn of(peer: &str, lines: &[&str], proxies: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        }
        let proxies: Vec<Cidr> = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
        sender(SocketAddr::new(peer.parse().unwrap(), 5000), &headers, &proxies).map(|address| address.to_string())
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_only_what_they_wrote() {
        let proxy = &["10.0.0.0/8"][..];
        for (peer, lines, proxies, sender) in [
            ("192.0.2.1", &[][..], &[][..], Some("192.0.2.1")),
            ("192.0.2.1", &["198.51.100.1"], &[], Some("192.0.2.1")),
            ("192.0.2.1", &["198.51.100.1"], proxy, Some("192.0.2.1")),
            ("10.0.0.1", &["198.51.100.1"], proxy, Some("198.51.100.1")),
            ("::ffff:10.0.0.1", &["198.51.100.1"], proxy, Some("198.51.100.1")),
            // The sender wrote the first one itself.
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1"], proxy, Some("198.51.100.1")),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.1"], proxy, Some("198.51.100.1")),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.2"], proxy, Some("198.51.100.1")),
            ("10.0.0.1", &["10.0.0.3,10.0.0.2"], proxy, Some("10.0.0.3")),
            ("10.0.0.1", &["198.51.100.1:4711"], proxy, Some("198.51.100.1")),
            ("10.0.0.1", &["[2001:db8::1]:4711"], proxy, Some("2001:db8::1")),
            ("10.0.0.1", &["[2001:db8::1]"], proxy, Some("2001:db8::1")),
            ("10.0.0.1", &["::ffff:198.51.100.1"], proxy, Some("198.51.100.1")),
            ("10.0.0.1", &["198.51.100.1, unknown"], proxy, None),
            ("10.0.0.1", &["198.51.100.1,"], proxy, None),
            ("10.0.0.1", &[], proxy, Some("10.0.0.1")),
            (
                "10.0.0.1",
                &[
                    "10.0.0.2,10.0.0.2,10.0.0.2,10.0.0.2,10.0.0.2,10.0.0.2,10.0.0.2,10.0.0.2,10.0.0.2,10.0.0.2,10.0.0.2,10.0.0.2,10.0.0.2,10.0.0.2,10.0.0.2,10.0.0.2,10.0.0.2",
                ],
                proxy,
                None,
            ),
        ] {
            assert_eq!(of(peer, lines, proxies).as_deref(), sender, "{peer} {lines:?} {proxies:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_sent_through_a_proxy_hides_the_one_who_connected_to_it(line in "[ -~]{0,80}") {
            let told = format!("{line}, 198.51.100.1");
            prop_assert_eq!(of("10.0.0.1", &[&told], &["10.0.0.0/8"]), Some("198.51.100.1".to_owned()));
        }
    }
}

//! Ranges of IP addresses, and which of them an address is in.

use super::lists::Entry;
use super::ranges::Ranges;
use crate::address::{Address, AddressRange};
use crate::error::EventError;
use crate::event::Seen;

#[derive(Debug, Default)]
pub(super) struct Networks {
    v4: Ranges<u64>,
    v6: Ranges<u128>,
}

impl Networks {
    pub(super) fn new(ranges: Vec<(AddressRange, Entry)>) -> Self {
        let v4 = |(range, entry): &(AddressRange, Entry)| {
            range.v4().map(|(first, last)| (first.into(), last.into(), *entry))
        };
        let v6 = |(range, entry): &(AddressRange, Entry)| {
            let (first, last) = range.v6();
            (first, last, *entry)
        };
        Self {
            v4: Ranges::new(ranges.iter().filter_map(v4).collect()),
            v6: Ranges::new(ranges.iter().map(v6).collect()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        // Every range has IPv6 addresses in it.
        self.v6.is_empty()
    }

    /// Tells `note` of the ranges in which the address is, if a text is one.
    #[inline]
    pub(super) fn find(&self, text: &[u8], event: Seen<'_>, note: &mut impl FnMut(Entry)) -> Result<(), EventError> {
        if self.is_empty() { Ok(()) } else { self.find_address(text, event, note) }
    }

    #[inline(never)]
    fn find_address(&self, text: &[u8], event: Seen<'_>, note: &mut impl FnMut(Entry)) -> Result<(), EventError> {
        match str::from_utf8(text).ok().and_then(Address::parse) {
            Some(Address::V4(address)) => self.v4.find(address.into(), event, note),
            Some(Address::V6(address)) => self.v6.find(address, event, note),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::paths::Paths;
    use proptest::prelude::*;
    use std::net::IpAddr;

    /// Addresses of which many lie in the same networks. None is printed as a mapped address, which is none here.
    fn address() -> impl Strategy<Value = IpAddr> {
        let digits = |count| proptest::collection::vec(proptest::sample::select(vec![0_u8, 1, 15]), count);
        let fold = |digits: Vec<u8>| digits.into_iter().fold(0, |all, digit| all << 4 | u128::from(digit));
        prop_oneof![
            digits(8).prop_map(move |digits| IpAddr::V4(u32::try_from(fold(digits)).unwrap().into())),
            digits(32).prop_map(move |digits| IpAddr::V6((fold(digits) | 1 << 100).into())),
        ]
    }

    proptest! {
        #[test]
        fn an_address_finds_its_networks_among_many(
            networks in proptest::collection::vec((address(), 0..=32_u32), 0..60),
            texts in proptest::collection::vec(address(), 1..20),
        ) {
            let parse = |address: &IpAddr| Address::parse(&address.to_string()).unwrap();
            let range = |(network, bits): &(IpAddr, u32)| match network {
                IpAddr::V4(_) => AddressRange::network(&parse(network), *bits),
                IpAddr::V6(_) => AddressRange::network(&parse(network), 4 * bits),
            };
            let ranges: Vec<AddressRange> = networks.iter().map(range).collect();
            let entries = ranges.iter().cloned().zip((2..).map(|fact| Entry::new(fact, false)));
            let known = Networks::new(entries.collect());
            prop_assert_eq!(known.is_empty(), ranges.is_empty());
            let (mut event, paths) = (Event::default(), Paths::default());
            let event = event.read(b"{}", &paths).unwrap();
            for address in texts {
                let mut found = Vec::new();
                let text = address.to_string();
                known.find(text.as_bytes(), event, &mut |entry| found.push(entry.fact())).unwrap();
                found.sort_unstable();
                let expected = ranges.iter().zip(2..).filter(|(range, _)| range.contains(&parse(&address)));
                prop_assert_eq!(found, expected.map(|(_, fact)| fact).collect::<Vec<u32>>(), "{}", text);
            }
        }
    }
}

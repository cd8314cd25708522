//! IP addresses and ranges of them, compared digit by digit as the reference does it.
//!
//! An address is its 8 (IPv4) or 32 (IPv6) hexadecimal digits. A range decides at the first digit at which the address
//! is strictly inside, and looks no further. That gives its rules their two oddities: an IPv6 address can lie in an
//! IPv4 range (by its first digits), and an IPv4 address in a wide IPv6 one. Here that is arithmetic: the first 8 digits of
//! a longer range decide about a shorter address only if it is between their numbers and is neither of them.

/// An address as bytes: 4 or 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Address {
    V4(u32),
    V6(u128),
}

/// From one address to another of the same length, both inside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct AddressRange {
    low: Address,
    high: Address,
}

impl Address {
    /// Four decimal numbers or IPv6 groups; leading zeros are allowed, an IPv4-mapped IPv6 address is IPv4.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let looks_like_v4 = || text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let looks_like_v6 = || text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
        if !text.starts_with(|c: char| c == ':' || c.is_ascii_hexdigit()) {
            None
        } else if looks_like_v4() {
            v4(text)
        } else if looks_like_v6() {
            v6(text)
        } else {
            None
        }
    }

    /// 32 or 128.
    pub(crate) fn bits(&self) -> u32 {
        match self {
            Self::V4(_) => 32,
            Self::V6(_) => 128,
        }
    }

    /// As bits, the first one the highest: what is behind those of an IPv4 address is zero.
    fn left_aligned(self) -> u128 {
        match self {
            Self::V4(bits) => u128::from(bits) << 96,
            Self::V6(bits) => bits,
        }
    }
}

impl AddressRange {
    /// This address and no other of its length.
    pub(crate) fn single(address: Address) -> Self {
        Self { low: address, high: address }
    }

    /// All addresses with the same first `bits`.
    pub(crate) fn network(address: &Address, bits: u32) -> Self {
        let (low, high) = match address {
            Address::V4(address) => {
                let host = u32::MAX.checked_shr(bits).unwrap_or(0);
                (Address::V4(address & !host), Address::V4(address | host))
            }
            Address::V6(address) => {
                let host = u128::MAX.checked_shr(bits).unwrap_or(0);
                (Address::V6(address & !host), Address::V6(address | host))
            }
        };
        Self { low, high }
    }

    /// With how many bits all addresses in it begin.
    pub(crate) fn bits(&self) -> u32 {
        (self.low.left_aligned() ^ self.high.left_aligned()).leading_zeros().min(self.low.bits())
    }

    /// The first and the last IPv4 address in it, if there are any.
    pub(crate) fn v4(&self) -> Option<(u32, u32)> {
        match (self.low, self.high) {
            (Address::V4(low), Address::V4(high)) => Some((low, high)),
            (low, high) => {
                let first_digits = |address: Address| (address.left_aligned() >> 96) as u32;
                let (low, high) = (first_digits(low).checked_add(1)?, first_digits(high).checked_sub(1)?);
                (low <= high).then_some((low, high))
            }
        }
    }

    /// The first and the last IPv6 address in it.
    pub(crate) fn v6(&self) -> (u128, u128) {
        let any = if self.high.bits() == 32 { u128::MAX >> 32 } else { 0 };
        (self.low.left_aligned(), self.high.left_aligned() | any)
    }

    pub(crate) fn contains(&self, address: &Address) -> bool {
        match address {
            Address::V4(address) => self.v4().is_some_and(|(low, high)| (low..=high).contains(address)),
            Address::V6(address) => {
                let (low, high) = self.v6();
                (low..=high).contains(address)
            }
        }
    }
}

fn v4(text: &str) -> Option<Address> {
    let mut bytes = [0; 4];
    let mut parts = text.split('.');
    for byte in &mut bytes {
        *byte = parts.next()?.parse().ok()?;
    }
    (parts.next().is_none() && text.len() <= 15).then_some(Address::V4(u32::from_be_bytes(bytes)))
}

fn v6(text: &str) -> Option<Address> {
    let mut groups = [0; 8];
    match text.split_once("::") {
        Some((front, back)) => {
            let count = v6_groups(front, &mut groups)?;
            let mut behind = [0; 8];
            let count_behind = v6_groups(back, &mut behind)?;
            // The two colons stand for one group at least.
            let zeros = 7usize.checked_sub(count + count_behind)? + 1;
            groups[count + zeros..].copy_from_slice(&behind[..count_behind]);
        }
        None if v6_groups(text, &mut groups)? == 8 => {}
        None => return None,
    }
    let bits = groups.into_iter().fold(0, |bits, group| bits << 16 | u128::from(group));
    Some(u32::try_from(bits ^ 0xffff_0000_0000).map_or(Address::V6(bits), Address::V4))
}

/// Reads groups, as many as there are.
fn v6_groups(text: &str, groups: &mut [u16; 8]) -> Option<usize> {
    if text.is_empty() {
        return Some(0);
    }
    let mut count = 0;
    for group in text.split(':') {
        *groups.get_mut(count)? = u16::from_str_radix(group, 16).ok()?;
        count += 1;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read_in_all_their_forms() {
        for (text, same) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.000.02.007", "192.0.2.7"),
            ("2001:DB8::7", "2001:db8:0:0:0:0:0:7"),
            ("2001:db8:0:0:0:0:0:00007", "2001:db8::7"),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
            ("::ffff:c000:207", "192.0.2.7"),
        ] {
            assert!(Address::parse(text).is_some(), "{text}");
            assert_eq!(Address::parse(text), Address::parse(same), "{text}");
        }
    }

    #[test]
    fn what_only_resembles_an_address_is_none() {
        for text in [
            "",
            ".",
            ":",
            ":::",
            "1:",
            ":1",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.",
            "256.1.1.1",
            "+1.2.3.4",
            "1.2.3.-4",
            "12:30",
            "00000010.000.000.1",
            "1:2:3:4:5:6:7:8:9",
            "::1:2:3:4:5:6:7:8",
            "1::2::3",
            "::10000",
            "::ffff:192.0.2.7",
            "::g",
            "fe80::1%en0",
            "١.2.3.4",
            "a.b.c.d",
        ] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }

    fn in_network(network: &str, bits: u32, address: &str) -> bool {
        AddressRange::network(&Address::parse(network).unwrap(), bits).contains(&Address::parse(address).unwrap())
    }

    #[test]
    fn digits_decide_also_between_the_two_families() {
        assert!(in_network("192.0.2.0", 0, "::1"));
        assert!(in_network("16.0.0.0", 8, "1000::"));
        assert!(in_network("2001::", 16, "32.1.80.0"));
        assert!(!in_network("2001::", 16, "32.1.0.0"));
        assert!(
            AddressRange::single(Address::parse("10.0.0.1").unwrap()).contains(&Address::parse("a00:1::").unwrap())
        );
    }

    /// What lies between two addresses as the reference sees it, digit by digit.
    fn contains(low: &str, high: &str, address: &str) -> bool {
        let (mut above_low, mut below_high) = (false, false);
        let mut digits = address.bytes();
        for (low, high) in low.bytes().zip(high.bytes()) {
            let Some(digit) = digits.next() else { return false };
            if (!above_low && digit < low) || (!below_high && digit > high) {
                return false;
            }
            above_low |= digit > low;
            below_high |= digit < high;
            if above_low && below_high {
                return true;
            }
        }
        true
    }

    fn digits(address: Address) -> String {
        match address {
            Address::V4(bits) => format!("{bits:08x}"),
            Address::V6(bits) => format!("{bits:032x}"),
        }
    }

    fn address() -> impl Strategy<Value = Address> {
        prop_oneof![any::<u32>().prop_map(Address::V4), any::<u128>().prop_map(Address::V6)]
    }

    proptest! {
        #[test]
        fn a_range_decides_as_its_digits_do(
            (network, other) in (address(), address()),
            share in prop_oneof![Just(28_u32), Just(32), 0..=128_u32],
            bits in 0..=128_u32,
            edge in 0..4_u32,
        ) {
            let range = match bits.cmp(&network.bits()) {
                std::cmp::Ordering::Less => AddressRange::network(&network, bits),
                _ => AddressRange::single(network),
            };
            // It begins as the network does, and goes on as it pleases, or as the ends of the network do, or nearly.
            let rest = u128::MAX.checked_shr(share).unwrap_or(0);
            let [low, high] = [range.low, range.high].map(Address::left_aligned);
            let begun = [other.left_aligned(), low, high, high.wrapping_sub(1 << 96)][edge as usize];
            let near = network.left_aligned() & !rest | begun & rest;
            let near = if other.bits() == 32 { Address::V4((near >> 96) as u32) } else { Address::V6(near) };
            prop_assert_eq!(range.bits(), bits.min(network.bits()));
            let expected = contains(&digits(range.low), &digits(range.high), &digits(near));
            prop_assert_eq!(range.contains(&near), expected, "{:?} {:?}", range, near);
        }

        #[test]
        fn a_network_holds_the_addresses_with_its_bits(network in any::<u32>(), address in any::<u32>(), bits in 0..32_u32, near in any::<bool>()) {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            let address = if near { network & mask | address & !mask } else { address };
            let text = |number: u32| std::net::Ipv4Addr::from(number).to_string();
            prop_assert_eq!(in_network(&text(network), bits, &text(address)), network & mask == address & mask);
        }

        #[test]
        fn what_the_standard_library_prints_is_read(address in any::<u128>()) {
            let text = std::net::Ipv6Addr::from(address).to_string();
            let is_mapped = address >> 32 == 0xffff;
            prop_assert!(is_mapped || Address::parse(&text) == Some(Address::V6(address)), "{}", text);
        }
    }
}

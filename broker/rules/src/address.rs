//! IP addresses and ranges of them, compared digit by digit as the reference does it.
//!
//! An address is its 8 (IPv4) or 32 (IPv6) hexadecimal digits. A range decides at the first digit at which the address
//! is strictly inside, and looks no further. That gives its rules their two oddities: an IPv6 address can lie in an
//! IPv4 range (by its first digits), and an IPv4 address in a wide IPv6 one.

/// An address as bytes: 4 or 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Address {
    V4([u8; 4]),
    V6([u8; 16]),
}

/// From one address to another of the same length, both inside.
#[derive(Debug, Clone, PartialEq, Eq)]
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

    fn bytes(&self) -> &[u8] {
        match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::V4(bytes) => bytes,
            Self::V6(bytes) => bytes,
        }
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.bytes().iter().flat_map(|byte| [byte >> 4, byte & 0xf])
    }
}

impl AddressRange {
    /// This address and no other of its length.
    pub(crate) fn single(address: Address) -> Self {
        Self { low: address, high: address }
    }

    /// All addresses with the same first `bits`.
    pub(crate) fn network(address: &Address, bits: u32) -> Self {
        let (mut low, mut high) = (*address, *address);
        for (bit, index) in (bits..address.bits()).map(|bit| (1 << (7 - bit % 8), bit as usize / 8)) {
            low.bytes_mut()[index] &= !bit;
            high.bytes_mut()[index] |= bit;
        }
        Self { low, high }
    }

    pub(crate) fn contains(&self, address: &Address) -> bool {
        let (mut above_low, mut below_high) = (false, false);
        let mut digits = address.digits();
        for (low, high) in self.low.digits().zip(self.high.digits()) {
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
}

fn v4(text: &str) -> Option<Address> {
    let mut bytes = [0; 4];
    let mut parts = text.split('.');
    for byte in &mut bytes {
        *byte = parts.next()?.parse().ok()?;
    }
    (parts.next().is_none() && text.len() <= 15).then_some(Address::V4(bytes))
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
    let [.., mapped, high, low] = groups;
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    let is_v4 = mapped == 0xffff && groups[..5] == [0; 5];
    Some(if is_v4 { Address::V4([a, b, c, d]) } else { v6_of(groups) })
}

fn v6_of(groups: [u16; 8]) -> Address {
    let mut bytes = [0; 16];
    for (bytes, group) in bytes.as_chunks_mut().0.iter_mut().zip(groups) {
        *bytes = group.to_be_bytes();
    }
    Address::V6(bytes)
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

    proptest! {
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
            prop_assert_eq!(Address::parse(&text).map(|a| a.bytes().to_vec()), Some(address.to_be_bytes().to_vec()));
        }
    }
}

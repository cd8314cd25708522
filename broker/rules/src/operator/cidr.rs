//! `cidr`: a string that is an IP address of this network.

use super::{Operator, Place, Reading};
use crate::address::{Address, AddressRange};
use crate::error::PatternError;
use crate::hint::{Hint, Hinted};
use crate::tree::Node;
use crate::value::{Surroundings, Value};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cidr {
    text: Box<str>,
    range: AddressRange,
}

impl Operator for Cidr {
    const NAME: &'static str = "cidr";
    const EXAMPLE: &'static str = r#"{"cidr": "10.20.0.0/16"}"#;

    fn parse(argument: &Node<'_>, place: Place<'_>) -> Result<Self, PatternError> {
        let text = place.string::<Self>(argument)?;
        let range = network(text).map_err(|problem| place.wrong::<Self>(argument, problem))?;
        Ok(Self { text: text.into(), range })
    }

    fn hint(&self) -> Hinted<'_> {
        Hint::Network(&self.range).sure()
    }

    fn accepts(&self, value: Value<'_>, _: &dyn Surroundings) -> bool {
        value.as_str().and_then(Address::parse).is_some_and(|address| self.range.contains(&address))
    }

    fn reading(&self, text: &str) -> Option<Reading> {
        if Address::parse(text).is_some() { None } else { Reading::far("no IP address") }
    }
}

/// As in the reference, slashes at the end do not count, and a single address is no network.
fn network(text: &str) -> Result<AddressRange, &'static str> {
    let (address, bits) = text.trim_end_matches('/').split_once('/').ok_or("has no / in its network")?;
    let address = Address::parse(address).ok_or("takes an IPv4 or IPv6 network")?;
    match bits.parse::<i32>().ok().and_then(|bits| u32::try_from(bits).ok()) {
        Some(bits) if bits < address.bits() => Ok(AddressRange::network(&address, bits)),
        Some(_) if address.bits() == 32 => {
            Err("has a mask of at most 31 bits; one address is written as a plain string")
        }
        Some(_) => Err("has a mask of at most 127 bits; one address is written as a plain string"),
        None => Err("has the number of bits behind the /"),
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cidr {}", self.text)
    }
}

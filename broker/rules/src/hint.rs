//! What an index can know of a test.

use crate::address::AddressRange;

/// The longest text that is looked up in lower case.
pub(crate) const MAX_FOLDED: usize = 128;

/// Which values can pass a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Hint<'m> {
    /// Only this string.
    Equals(&'m [u8]),
    /// Only numbers of the value that has this rank ([`crate::number::rank`]).
    Number(u64),
    /// Only `true`, `false`, `null` or a number written like this.
    Word(&'m [u8]),
    /// Strings that begin so; with [`Reach::IgnoringCase`], in lower case ASCII.
    Prefix(&'m [u8], Reach),
    /// Strings that end so.
    Suffix(&'m [u8], Reach),
    /// Strings that hold this.
    Contains(&'m [u8]),
    /// Strings that are this, up to [`MAX_FOLDED`] bytes, when their ASCII letters are in lower case.
    EqualsIgnoringCase(&'m [u8]),
    /// Numbers from one to another, both included, in the order of [`crate::number::rank`].
    Between(u64, u64),
    /// Strings that are IP addresses of this range.
    Network(&'m AddressRange),
    /// Any string.
    String,
    /// Any value.
    Any,
}

/// What bytes are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Reach {
    AsTheyAre,
    IgnoringCase,
}

/// See [`Hint::kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Value,
    /// With so many bytes.
    Prefix(usize),
    Suffix(usize),
    /// With so many bits.
    Network(u32),
}

/// Which values can pass a test, and whether all of those do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Hinted<'m> {
    pub(crate) hint: Hint<'m>,
    pub(crate) sure: bool,
    /// What a string must hold to pass, besides.
    pub(crate) pairs: Pairs,
}

/// Which pairs of neighbouring bytes a text holds, thrown together into 64 bits: a text that lacks a bit of another does
/// not hold it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pairs(u64);

impl Pairs {
    /// Above so many bytes, everything may be there.
    const MAX: usize = 64;

    pub(crate) fn of(text: &[u8]) -> Self {
        if text.len() > Self::MAX {
            return Self(u64::MAX);
        }
        let bit = |pair: &[u8; 2]| 1 << (u16::from_le_bytes(*pair).wrapping_mul(0x9e37) >> 10);
        Self(text.array_windows().map(bit).fold(0, |all, bit: u64| all | bit))
    }

    /// Those of a text that may hold anything.
    pub(crate) fn any() -> Self {
        Self(u64::MAX)
    }

    /// Those of all pieces.
    pub(crate) fn of_all<'p>(pieces: impl Iterator<Item = &'p [u8]>) -> Self {
        let short = pieces.filter(|piece| piece.len() <= Self::MAX);
        Self(short.map(Self::of).fold(0, |all, pairs| all | pairs.0))
    }

    pub(crate) fn are_none(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn are_all_in(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}

impl<'m> Hint<'m> {
    /// These values and no others pass.
    pub(crate) fn sure(self) -> Hinted<'m> {
        Hinted { hint: self, sure: true, pairs: Pairs::default() }
    }

    /// No other values pass.
    pub(crate) fn perhaps(self) -> Hinted<'m> {
        Hinted { hint: self, sure: false, pairs: Pairs::default() }
    }

    /// Of hints of one kind a value fits one at most, but for an address that is in a network of each family.
    pub(crate) fn kind(self) -> Option<Kind> {
        match self {
            Self::Equals(_) | Self::EqualsIgnoringCase(_) | Self::Number(_) | Self::Word(_) => Some(Kind::Value),
            Self::Prefix(text, _) => Some(Kind::Prefix(text.len())),
            Self::Suffix(text, _) => Some(Kind::Suffix(text.len())),
            Self::Network(range) => Some(Kind::Network(range.bits())),
            Self::Contains(_) | Self::Between(..) | Self::String | Self::Any => None,
        }
    }

    /// How likely a value of the real world passes, more or less, if nothing is known of it.
    pub(crate) fn chance(self) -> f64 {
        let per_byte =
            |text: &[u8], most: i32| 0.15_f64.powi(i32::try_from(text.len()).map_or(most, |len| len.min(most)));
        match self {
            Self::Equals(_) | Self::Number(_) | Self::Word(_) | Self::EqualsIgnoringCase(_) => 0.01,
            Self::Prefix(text, _) | Self::Suffix(text, _) => per_byte(text, 3),
            // There are some places at which it may stand.
            Self::Contains(text) => (8.0 * per_byte(text, 4)).min(0.7),
            Self::Network(range) => {
                if range.bits() < 8 {
                    0.2
                } else {
                    0.02
                }
            }
            Self::Between(..) => 0.4,
            Self::String => 0.7,
            Self::Any => 1.0,
        }
    }

    /// How many values pass, more or less, to compare tests of one value.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Equals(_) | Self::Number(_) | Self::EqualsIgnoringCase(_) | Self::Word(_) => 1,
            Self::Prefix(text, _) | Self::Suffix(text, _) => 2 + 20_usize.saturating_sub(5 * text.len()),
            Self::Contains(text) => 10 + 20_usize.saturating_sub(5 * text.len()),
            Self::Network(range) => 2 + 20_usize.saturating_sub(range.bits() as usize),
            Self::Between(..) => 50,
            Self::String => 100,
            Self::Any => 200,
        }
    }
}

//! Eight masks of 64 bits side by side: 512 bytes or tokens in a row, and arithmetic on all of them at once.

use std::ops::{BitAnd, BitOr, BitXor, Not};

/// How many masks are side by side.
pub(super) const LANES: usize = 8;

/// The masks; the lowest bit of the first stands for what comes first.
pub(super) trait Lanes:
    Copy + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + Not<Output = Self>
{
    /// What is remembered of the masks before.
    type Edge: Copy;

    fn from_array(masks: [u64; LANES]) -> Self;

    fn to_array(self) -> [u64; LANES];

    /// At the beginning there is nothing before.
    fn no_edge() -> Self::Edge;

    /// What is so many places behind.
    fn behind<const BY: u32>(self, edge: &mut Self::Edge) -> Self;

    /// Each bit is the exclusive or of itself and all before. `odd` is that of all bits of the masks before.
    fn running_xor(self, odd: &mut bool) -> Self;

    /// The sum as one number of 512 bits, where `other` has no bits that are not in `self`. `over` is what is carried.
    fn carrying_add(self, other: Self, over: &mut bool) -> Self;

    /// Which of the masks have any bits.
    fn nonzero(self) -> u32;

    /// Whether any bit is set.
    fn any(self) -> bool {
        self.nonzero() != 0
    }

    fn none() -> Self {
        Self::from_array([0; LANES])
    }
}

/// The masks as plain numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plain([u64; LANES]);

#[cfg(target_arch = "x86_64")]
impl Plain {
    /// The masks that these bytes are, the lowest bits first.
    #[inline(always)]
    pub(super) fn from_bytes(bytes: [u8; LANES * 8]) -> Self {
        let (masks, _) = bytes.as_chunks();
        Self(eight!(lane => u64::from_le_bytes(masks[lane])))
    }
}

impl Lanes for Plain {
    /// The last mask.
    type Edge = u64;

    #[inline(always)]
    fn from_array(masks: [u64; LANES]) -> Self {
        Self(masks)
    }

    #[inline(always)]
    fn to_array(self) -> [u64; LANES] {
        self.0
    }

    #[inline(always)]
    fn no_edge() -> u64 {
        0
    }

    #[inline(always)]
    fn behind<const BY: u32>(mut self, edge: &mut u64) -> Self {
        for lane in &mut self.0 {
            let mask = *lane;
            *lane = mask << BY | *edge >> (u64::BITS - BY);
            *edge = mask;
        }
        self
    }

    #[inline(always)]
    fn running_xor(mut self, odd: &mut bool) -> Self {
        for shift in [1, 2, 4, 8, 16, 32] {
            for lane in &mut self.0 {
                *lane ^= *lane << shift;
            }
        }
        let mut flip = u64::from(*odd).wrapping_neg();
        for lane in &mut self.0 {
            *lane ^= flip;
            flip = (*lane >> 63).wrapping_neg();
        }
        *odd = flip != 0;
        self
    }

    #[inline(always)]
    fn carrying_add(mut self, other: Self, over: &mut bool) -> Self {
        for (lane, other) in self.0.iter_mut().zip(other.0) {
            (*lane, *over) = lane.carrying_add(other, *over);
        }
        self
    }

    #[inline(always)]
    fn nonzero(self) -> u32 {
        self.0.iter().rev().fold(0, |lanes, mask| lanes << 1 | u32::from(*mask != 0))
    }

    #[inline(always)]
    fn any(self) -> bool {
        self.0.iter().fold(0, |all, mask| all | mask) != 0
    }
}

macro_rules! lanewise {
    ($($operator:ident :: $function:ident),*) => {$(
        impl $operator for Plain {
            type Output = Self;

            #[inline(always)]
            fn $function(self, other: Self) -> Self {
                let mut lanes = self.0;
                for (lane, other) in lanes.iter_mut().zip(other.0) {
                    *lane = $operator::$function(*lane, other);
                }
                Self(lanes)
            }
        }
    )*};
}

lanewise!(BitAnd::bitand, BitOr::bitor, BitXor::bitxor);

impl Not for Plain {
    type Output = Self;

    #[inline(always)]
    fn not(mut self) -> Self {
        for lane in &mut self.0 {
            *lane = !*lane;
        }
        self
    }
}

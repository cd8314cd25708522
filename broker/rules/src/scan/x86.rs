//! For x86-64 with AVX-512 or AVX2, if the processor that runs this has it.

#![expect(unsafe_code, reason = "instructions of a processor that was asked for them: measured 10 times as fast")]

mod avx2;
mod avx512;

use super::Way;

/// The ways to scan that this processor has, the best first.
pub(super) fn ways() -> impl Iterator<Item = Way> {
    [avx512::way(), avx2::way()].into_iter().flatten()
}

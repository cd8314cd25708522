//! For x86-64 with AVX-512 or AVX2, if the processor that runs this has it.

#![expect(unsafe_code, reason = "instructions of a processor that was asked for them: measured 10 times as fast")]

mod avx2;
mod avx512;

use super::{Suspect, Tokens};

/// Scans if the processor has what it takes.
pub(super) fn scan(tokens: &mut Tokens, text: &[u8]) -> Option<Result<usize, Suspect>> {
    avx512::scan(tokens, text).or_else(|| avx2::scan(tokens, text))
}

/// The ways to scan that this processor may have.
#[cfg(test)]
pub(super) const WAYS: &[fn(&mut Tokens, &[u8]) -> Option<Result<usize, Suspect>>] = &[avx512::scan, avx2::scan];

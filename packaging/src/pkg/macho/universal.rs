//! Universal files: programs of several architectures, one behind the other.
//!
//! As mach-o/fat.h has it, with the greatest byte first: magic 0xcafebabe, number of slices, then of each its CPU type and
//! subtype, where it begins, how long it is, and to which power of two its beginning is aligned. Between them are zeros.

use super::{Cpu, FORMAT, Slice};
use crate::pkg::bytes::{Bytes, Malformed};

const MAGIC: u32 = 0xcafe_babe;
const ENTRY: usize = 20;

/// Why slices make no universal file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotUniversal {
    /// Two are of one architecture.
    #[error("two programs are for {0}: give one for each architecture")]
    Twice(Cpu),
    /// One is not there.
    #[error("no program is for {0}: give one with a further --bin")]
    Missing(Cpu),
    /// 32 bits do not hold its length.
    #[error("together they are greater than 4 GiB")]
    TooGreat,
}

/// One file of one slice for each architecture.
pub fn universal(slices: &[Slice<'_>]) -> Result<Vec<u8>, NotUniversal> {
    let mut ordered = Vec::new();
    for cpu in Cpu::ALL {
        let mut of_it = slices.iter().filter(|slice| slice.cpu == cpu);
        ordered.push(of_it.next().ok_or(NotUniversal::Missing(cpu))?);
        if of_it.next().is_some() {
            return Err(NotUniversal::Twice(cpu));
        }
    }
    let number = |number: usize| u32::try_from(number).map_err(|_| NotUniversal::TooGreat);
    let mut file: Vec<u8> = [MAGIC, number(ordered.len())?].into_iter().flat_map(u32::to_be_bytes).collect();
    let mut at = file.len() + ordered.len() * ENTRY;
    let mut places = Vec::new();
    for slice in &ordered {
        at = at.next_multiple_of(1 << slice.cpu.alignment());
        let (kind, subtype) = slice.cpu.types();
        let entry = [kind, subtype, number(at)?, number(slice.data.len())?, slice.cpu.alignment()];
        file.extend(entry.into_iter().flat_map(u32::to_be_bytes));
        places.push(at);
        at += slice.data.len();
    }
    for (slice, at) in ordered.iter().zip(places) {
        file.resize(at, 0);
        file.extend_from_slice(slice.data);
    }
    Ok(file)
}

/// The slices of a universal file, one for each architecture and nothing else.
pub fn split(file: &[u8]) -> Result<Vec<Slice<'_>>, Malformed> {
    let mut reader = Bytes::new(FORMAT, file);
    let here = reader;
    if reader.u32_be()? != MAGIC || reader.u32_be()? as usize != Cpu::ALL.len() {
        return Err(here.wrong("not a universal program for x86_64 and arm64"));
    }
    let mut slices: Vec<Slice<'_>> = Vec::new();
    let mut end = reader.position() + Cpu::ALL.len() * ENTRY;
    for _ in Cpu::ALL {
        let here = reader;
        let cpu = Cpu::from_types(reader.u32_be()?, reader.u32_be()?);
        let (at, length, alignment) = (reader.size_be()?, reader.size_be()?, reader.u32_be()?);
        let gap = at.checked_sub(end).ok_or_else(|| here.wrong("slices overlap"))?;
        if Bytes::new(FORMAT, file).at(end)?.take(gap)?.iter().any(|byte| *byte != 0) {
            return Err(here.wrong("something stands between the slices"));
        }
        let slice = Slice::read(Bytes::new(FORMAT, file).at(at)?.take(length)?)?;
        let aligned = (slice.cpu.alignment()..=15).contains(&alignment) && at.is_multiple_of(1 << alignment);
        if cpu != Some(slice.cpu) || !aligned || slices.iter().any(|other| other.cpu == slice.cpu) {
            return Err(
                here.wrong("a slice is for another processor than is said, there twice, or not aligned to its pages")
            );
        }
        slices.push(slice);
        end = at + length;
    }
    if end == file.len() { Ok(slices) } else { Err(here.wrong("something follows the last slice")) }
}

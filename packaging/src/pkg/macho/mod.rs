//! Mach-O programs: one architecture's ([`Slice`]), and several in one universal file ([`universal()`]).
//!
//! As mach-o/loader.h has it: a header (magic 0xfeedfacf, CPU type and subtype, file type, number and length of commands,
//! flags, a zero), then commands of a number, a length and what belongs to it; all with the smallest byte first. Read are
//! what decides where a program runs and what its signature covers; nothing is changed.

mod foreign;
mod mark;
pub mod signature;
mod universal;

pub use universal::{split, universal};

use std::fmt;

use serde::{Deserialize, Serialize};

use super::bytes::{Bytes, Malformed};
use super::version::Version;

const FORMAT: &str = "Mach-O";
const MAGIC_64: u32 = 0xfeed_facf;
const EXECUTE: u32 = 2;
const SEGMENT_64: u32 = 0x19;
const CODE_SIGNATURE: u32 = 0x1d;
const BUILD_VERSION: u32 = 0x32;
const PLATFORM_MACOS: u32 = 1;
/// Bits of a subtype that say what a program can do, as `CPU_SUBTYPE_LIB64` of most for x86_64.
const CAPABILITIES: u32 = 0xff00_0000;
/// Programs have a few dozen.
const MOST_COMMANDS: u32 = 512;

/// What a slice runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cpu {
    /// Intel.
    X86_64,
    /// Apple silicon.
    Arm64,
}

impl Cpu {
    /// All that the package has, in the order of a universal file.
    pub const ALL: [Self; 2] = [Self::X86_64, Self::Arm64];

    fn from_types(kind: u32, subtype: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|cpu| cpu.types() == (kind, subtype & !CAPABILITIES))
    }

    /// CPU type, and subtype without capabilities (mach/machine.h).
    pub fn types(self) -> (u32, u32) {
        match self {
            Self::X86_64 => (0x0100_0007, 3),
            Self::Arm64 => (0x0100_000c, 0),
        }
    }

    /// Where its slices may begin, as a power of two: its pages' size.
    pub fn alignment(self) -> u32 {
        match self {
            Self::X86_64 => 12,
            Self::Arm64 => 14,
        }
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Arm64 => "arm64",
        })
    }
}

/// One architecture's program.
#[derive(Debug, Clone, Copy)]
pub struct Slice<'a> {
    /// All of it.
    pub data: &'a [u8],
    /// What it runs on.
    pub cpu: Cpu,
    /// The oldest macOS that it says it runs on.
    pub minimum_os: Version,
    /// Where its signature begins, and how long the room for it is.
    pub signature: Option<(usize, usize)>,
}

impl<'a> Slice<'a> {
    /// Reads a program of one architecture: 64 bit, for macOS, to be executed.
    pub fn read(data: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Bytes::new(FORMAT, data);
        let here = reader;
        if reader.u32_le().ok() != Some(MAGIC_64) {
            let told = foreign::told(data);
            return Err(here.wrong(format!("not a 64-bit program of one architecture for macOS: {told}")));
        }
        let cpu = Cpu::from_types(reader.u32_le()?, reader.u32_le()?);
        let cpu = cpu.ok_or_else(|| here.wrong("for another processor than x86_64 and arm64"))?;
        if reader.u32_le()? != EXECUTE {
            return Err(here.wrong("not a program: an object, a library or a bundle"));
        }
        let (commands, length) = (reader.u32_le()?, reader.u32_le()? as usize);
        reader.take(8)?;
        let end = reader.position() + length;
        if commands > MOST_COMMANDS || length > reader.left() {
            return Err(here.wrong("more commands than there can be"));
        }
        let mut found = Found::default();
        for _ in 0..commands {
            found.command(&mut reader, end)?;
        }
        let minimum_os =
            found.minimum_os.ok_or_else(|| here.wrong("it does not say which macOS it is for (LC_BUILD_VERSION)"))?;
        Ok(Self { data, cpu, minimum_os, signature: found.signature })
    }
}

#[derive(Default)]
struct Found {
    minimum_os: Option<Version>,
    signature: Option<(usize, usize)>,
}

impl Found {
    fn command(&mut self, reader: &mut Bytes<'_>, end: usize) -> Result<(), Malformed> {
        let here = *reader;
        let (kind, length) = (reader.u32_le()?, reader.u32_le()? as usize);
        let next = here.position().saturating_add(length);
        if length < 8 || next > end {
            return Err(here.wrong("a command that is longer than all of them, or shorter than its head"));
        }
        match kind {
            BUILD_VERSION => {
                if reader.u32_le()? != PLATFORM_MACOS || self.minimum_os.is_some() {
                    return Err(here.wrong("for another platform than macOS, or for several"));
                }
                self.minimum_os = Some(Version::from_packed(reader.u32_le()?));
            }
            CODE_SIGNATURE => {
                let (at, room) = (reader.u32_le()? as usize, reader.u32_le()? as usize);
                let all = here.position() + here.left();
                if self.signature.is_some() || at < end || at.checked_add(room) != Some(all) {
                    return Err(here.wrong("a signature that does not reach to the end, or two"));
                }
                self.signature = Some((at, room));
            }
            SEGMENT_64 => {
                reader.take(16 + 8 + 8)?;
                let (at, size) = (reader.u64_le()?, reader.u64_le()?);
                let all = (here.position() + here.left()) as u64;
                if at.checked_add(size).is_none_or(|end| end > all) {
                    return Err(here.wrong("a segment that reaches behind the end: the file is cut off"));
                }
            }
            _ => {}
        }
        *reader = here.at(next)?;
        Ok(())
    }
}

//! The agent's package for macOS: built from two programs, signed, and proven from its bytes.
//!
//! A flat product package is a xar archive ([`xar`]) with a Distribution and one component: PackageInfo, Bom ([`bom`]),
//! Payload and Scripts (cpio in gzip, [`cpio`]). Inside the payload is an application bundle, because macOS names what it
//! grants and what it starts in the background by bundle, around one universal program ([`macho`]). Nothing here runs
//! what it packs, and nothing signs by itself: [`sign`] calls the tools that are kept for that.

pub mod assemble;
pub mod bom;
pub mod cpio;
pub mod development;
mod gzip;
pub mod inspect;
pub mod macho;
pub mod manifest;
pub mod sign;
pub mod texts;
pub mod tree;
pub mod verify;
pub mod version;

pub use emote_xar::{self as xar, Malformed};
use emote_xar::{bytes, xml};

/// Of the bundle, the LaunchDaemon, the package and its receipt.
pub const IDENTIFIER: &str = "io.emote.agent";
/// The bundle, from the root of the disk.
pub const APP: &str = "Library/Application Support/Emote/EmoteAgent.app";
/// The program in the bundle.
pub const PROGRAM: &str = "Contents/MacOS/emote-agent";
/// What takes everything away again, in the bundle, so that its signature covers it.
pub const UNINSTALL: &str = "Contents/Resources/uninstall";
/// What launchd starts the agent by.
pub const LAUNCH_DAEMON: &str = "Library/LaunchDaemons/io.emote.agent.plist";
/// How long logs become.
pub const NEWSYSLOG: &str = "private/etc/newsyslog.d/io.emote.agent.conf";
/// The component's folder in the archive.
pub const COMPONENT: &str = "EmoteAgent.pkg";
/// The oldest macOS that the agent runs on.
pub const DEPLOYMENT_TARGET: version::Version = version::Version::new(13, 0, 0);
/// Nothing in a package is greater than this, nor the package: a bound for what is read into memory.
pub const MOST_BYTES: usize = 256 << 20;

/// POSIX `cksum`'s checksum, which is what Boms hold: CRC-32 of polynomial 0x04C11DB7, not reflected, over the bytes and
/// their number (IEEE Std 1003.1, `cksum`).
pub fn cksum(data: &[u8]) -> u32 {
    let mut crc = 0;
    for byte in data {
        crc = cksum_step(crc, *byte);
    }
    let mut length = data.len();
    while length != 0 {
        crc = cksum_step(crc, length.to_le_bytes()[0]);
        length >>= 8;
    }
    !crc
}

const CKSUM: [u32; 256] = {
    let mut table = [0; 256];
    let (mut index, mut top) = (0, 0_u32);
    while index < 256 {
        let mut crc = top;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ 0x04C1_1DB7 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
        top = top.wrapping_add(1 << 24);
    }
    table
};

fn cksum_step(crc: u32, byte: u8) -> u32 {
    (crc << 8) ^ CKSUM[usize::from(crc.to_be_bytes()[0] ^ byte)]
}

#[cfg(test)]
mod tests;

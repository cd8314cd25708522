//! Versions of three numbers, of the package and of macOS.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `1.2.3`; what is not written is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    major: u16,
    minor: u8,
    patch: u8,
}

/// A text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no version: one to three numbers with dots between them, as 1.2.3, the first below 65536 and the others below 256"
)]
pub struct NoVersion(String);

impl Version {
    /// From its numbers.
    pub const fn new(major: u16, minor: u8, patch: u8) -> Self {
        Self { major, minor, patch }
    }

    /// As Mach-O writes one: 16, 8 and 8 bits (mach-o/loader.h, `build_version_command`).
    pub const fn from_packed(packed: u32) -> Self {
        let [a, b, minor, patch] = packed.to_be_bytes();
        Self::new(u16::from_be_bytes([a, b]), minor, patch)
    }

    /// `13.0`: without a last number that is 0, as Apple writes versions of macOS.
    pub fn short(self) -> String {
        if self.patch == 0 { format!("{}.{}", self.major, self.minor) } else { self.to_string() }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let no = || NoVersion(text.chars().take(40).collect());
        let mut parts = text.split('.').map(|part| {
            let plain = part == "0" || (!part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit()));
            plain.then(|| part.parse::<u16>().ok()).flatten().ok_or_else(no)
        });
        let major = parts.next().ok_or_else(no)??;
        let mut small = || parts.next().transpose().and_then(|part| u8::try_from(part.unwrap_or(0)).map_err(|_| no()));
        let version = Self::new(major, small()?, small()?);
        if parts.next().is_some() { Err(no()) } else { Ok(version) }
    }
}

impl TryFrom<String> for Version {
    type Error = NoVersion;

    fn try_from(text: String) -> Result<Self, NoVersion> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_one_to_three_numbers() {
        for (text, version) in [("1.2.3", (1, 2, 3)), ("13.0", (13, 0, 0)), ("26", (26, 0, 0)), ("0.10.0", (0, 10, 0))]
        {
            assert_eq!(text.parse(), Ok(Version::new(version.0, version.1, version.2)), "{text}");
        }
        for text in ["", "1.", ".1", "1.2.3.4", "v1", "1.2.3-rc1", "1.256", "01", "1.-2", "1.+2", "70000"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn ten_is_more_than_nine() {
        assert!(Version::new(0, 10, 0) > Version::new(0, 9, 9));
        assert_eq!(Version::from_packed(0x000d_0100).short(), "13.1");
        assert_eq!(Version::new(1, 2, 3).short(), "1.2.3");
    }
}

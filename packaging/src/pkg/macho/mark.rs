//! Which version of the agent a program says it is, read from its bytes: a mark, the version, a NUL
//! ([`emote_agent::VERSION_MARK`]).

use emote_agent::VERSION_MARK;
use memchr::memmem;

use super::{FORMAT, Slice};
use crate::pkg::bytes::{Bytes, Malformed};
use crate::pkg::version::Version;

/// Longer than any version of three numbers.
const MOST_BYTES: usize = 32;

impl Slice<'_> {
    /// The version that the program says it is; none where it says nothing, as what is not the agent does.
    pub fn version(&self) -> Result<Option<Version>, Malformed> {
        let mut said: Option<Version> = None;
        for at in memmem::find_iter(self.data, VERSION_MARK) {
            let here = Bytes::new(FORMAT, self.data).at(at)?;
            let text = self.data.get(at + VERSION_MARK.len()..).unwrap_or_default();
            let end = text.iter().take(MOST_BYTES).position(|byte| *byte == 0);
            let text = end.and_then(|end| std::str::from_utf8(&text[..end]).ok());
            let text = text.ok_or_else(|| here.wrong("the program's mark of its version has no end"))?;
            let version = text.parse::<Version>().map_err(|error| here.wrong(format!("the program's: {error}")))?;
            if said.is_some_and(|said| said != version) {
                return Err(here.wrong("the program says of itself that it is two versions"));
            }
            said = Some(version);
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Cpu;
    use super::*;

    #[test]
    fn a_program_s_own_version_is_found_in_its_bytes() {
        let mark = |version: &str| format!("{VERSION_MARK}{version}\0").into_bytes();
        let padded = |parts: &[&[u8]]| [b"\0\0@(#)PROGRAM:ls\0", &parts.concat()[..], b"\x07rest"].concat();
        let check = |data: &[u8]| {
            let slice = Slice { data, cpu: Cpu::Arm64, minimum_os: Version::new(13, 0, 0), signature: None };
            slice.version().map_err(|error| error.to_string())
        };
        assert_eq!(check(&padded(&[])), Ok(None));
        assert_eq!(check(&padded(&[&mark("1.2.3")])), Ok(Some(Version::new(1, 2, 3))));
        assert_eq!(check(&padded(&[&mark("1.2.3"), &mark("1.2.3")])), Ok(Some(Version::new(1, 2, 3))));
        for (parts, said) in [
            (padded(&[&mark("1.2.3"), &mark("1.2.4")]), "it is two versions"),
            (padded(&[&mark("1.2.3-rc.1")]), "Mach-O, byte 17: the program's: `1.2.3-rc.1` is no version"),
            (padded(&[VERSION_MARK.as_bytes()]), "has no end"),
            (padded(&[&mark(&"1".repeat(40))]), "has no end"),
            (padded(&[&mark("\u{7f}")[..], b"\xff"]), "is no version"),
            (VERSION_MARK.as_bytes().to_vec(), "has no end"),
        ] {
            let told = check(&parts).unwrap_err();
            assert!(told.contains(said), "{said}: {told}");
        }
    }
}

//! Who made a program, as its code signature claims: the team and the signing identifier of a Mach-O file.
//!
//! Nothing is verified here, no hash and no certificate: whoever makes a file may write any team into it. It is for
//! telling programs and their versions apart, never for trusting one.
//!
//! A fat file (`mach-o/fat.h`, big-endian) names its slices; a 64-bit slice (`mach-o/loader.h`, little-endian) names its
//! signature in `LC_CODE_SIGNATURE`; the signature (xnu's `osfmk/kern/cs_blobs.h`, big-endian) is an index of blobs, one
//! of which is the code directory with both texts. Each of these is read by itself, at most so many bytes of it, and the
//! program's code never. A file with 32-bit slices only has no signature that counts.

use crate::platform::HostError;

const FAT_MAGIC: u32 = 0xcafe_babe;
const FAT_MAGIC_64: u32 = 0xcafe_babf;
const MH_MAGIC_64: u32 = 0xfeed_facf;
const LC_CODE_SIGNATURE: u32 = 0x1d;
const CSMAGIC_EMBEDDED_SIGNATURE: u32 = 0xfade_0cc0;
const CSMAGIC_CODEDIRECTORY: u32 = 0xfade_0c02;
const CSSLOT_CODEDIRECTORY: u32 = 0;
/// From this version on a code directory has a place for the team.
const CS_SUPPORTSTEAMID: u32 = 0x2_0200;

/// Slices at most. A class file of Java begins like a fat file, with more than that.
const SLICES: usize = 20;
/// Bytes of load commands at most; large programs have 10,000.
const COMMANDS: usize = 64 << 10;
/// Blobs at most; there are about ten kinds.
const BLOBS: usize = 64;
/// Bytes of one text at most.
const TEXT: usize = 256;

/// What the signature says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// Of the program, most often its bundle id.
    pub(super) identifier: String,
    /// Of ten characters; Apple's own programs and those signed ad hoc have none.
    pub(super) team: Option<String>,
}

/// Why it is not known what the signature says.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SignatureError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("the code signature has no {0} where one should be")]
    Malformed(&'static str),
}

use SignatureError::Malformed;

/// The claims of a file that `read` returns at most so many bytes of, from an offset on. `None` for what is no signed
/// 64-bit program.
pub(super) fn claims(
    read: impl Fn(u64, usize) -> Result<Vec<u8>, HostError>,
) -> Result<Option<Claims>, SignatureError> {
    for start in slices(&read(0, 8 + SLICES * 32)?)? {
        if let Some(signature) = signature(&read, start)? {
            return code_directory(&read, signature).map(Some);
        }
    }
    Ok(None)
}

/// Where the slices begin; a file that is not fat is one.
fn slices(head: &[u8]) -> Result<Vec<u64>, SignatureError> {
    let (size, is_wide) = match be32(head, 0) {
        Some(FAT_MAGIC) => (20, false),
        Some(FAT_MAGIC_64) => (32, true),
        _ => return Ok(vec![0]),
    };
    let count = be32(head, 4).and_then(|count| usize::try_from(count).ok()).filter(|count| *count <= SLICES);
    let offset = |index: usize| {
        let at = 8 + index * size + 8;
        if is_wide { be64(head, at) } else { be32(head, at).map(u64::from) }
    };
    let offsets = (0..count.unwrap_or(0)).map(|index| offset(index).ok_or(Malformed("slice")));
    offsets.collect()
}

/// Where the signature of the slice at `start` begins and how long it is.
fn signature(
    read: impl Fn(u64, usize) -> Result<Vec<u8>, HostError>,
    start: u64,
) -> Result<Option<(u64, u64)>, SignatureError> {
    const HEADER: usize = 32;
    let header = read(start, HEADER)?;
    if le32(&header, 0) != Some(MH_MAGIC_64) {
        return Ok(None);
    }
    let size = le32(&header, 20).and_then(|size| usize::try_from(size).ok()).filter(|size| *size <= COMMANDS);
    let size = size.ok_or(Malformed("load commands"))?;
    let commands = read(start.saturating_add(HEADER as u64), size)?;
    let mut at = 0;
    while at < size {
        let (command, length) = le32(&commands, at).zip(le32(&commands, at + 4)).ok_or(Malformed("load command"))?;
        if command == LC_CODE_SIGNATURE {
            let place = le32(&commands, at + 8).zip(le32(&commands, at + 12)).ok_or(Malformed("place"))?;
            return Ok(Some((start.saturating_add(place.0.into()), place.1.into())));
        }
        let length = usize::try_from(length).ok().filter(|length| *length >= 8);
        at = length.and_then(|length| at.checked_add(length)).ok_or(Malformed("load command"))?;
    }
    Ok(None)
}

fn code_directory(
    read: impl Fn(u64, usize) -> Result<Vec<u8>, HostError>,
    (start, size): (u64, u64),
) -> Result<Claims, SignatureError> {
    let index = read(start, 12 + BLOBS * 8)?;
    if be32(&index, 0) != Some(CSMAGIC_EMBEDDED_SIGNATURE) {
        return Err(Malformed("index"));
    }
    let count = be32(&index, 8).and_then(|count| usize::try_from(count).ok()).unwrap_or(0).min(BLOBS);
    let mut slots = (0..count).map(|slot| 12 + slot * 8);
    let slot = slots.find(|at| be32(&index, *at) == Some(CSSLOT_CODEDIRECTORY));
    let offset = slot.and_then(|at| be32(&index, at + 4)).ok_or(Malformed("code directory"))?;
    let start = start.saturating_add(offset.into());
    let head = read(start, 52)?;
    let field = |at| be32(&head, at).map(u64::from).ok_or(Malformed("code directory"));
    let length = field(4)?;
    if field(0)? != u64::from(CSMAGIC_CODEDIRECTORY) || u64::from(offset) + length > size {
        return Err(Malformed("code directory"));
    }
    let text = |offset: u64| {
        let most = length.checked_sub(offset).map_or(0, |left| usize::try_from(left).unwrap_or(TEXT).min(TEXT));
        let bytes = read(start.saturating_add(offset), most)?;
        terminated(&bytes).ok_or(Malformed("text"))
    };
    let identifier = text(field(20)?)?;
    let team = if field(8)? >= u64::from(CS_SUPPORTSTEAMID) { field(48)? } else { 0 };
    let team = if team == 0 { None } else { Some(text(team)?).filter(|team| !team.is_empty()) };
    Ok(Claims { identifier, team })
}

/// The text up to a zero byte.
fn terminated(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
    text.chars().all(|c| !c.is_control()).then(|| text.to_owned())
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_be_bytes)
}

fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use super::*;
    use proptest::prelude::*;

    /// A program as its linker and `codesign` lay it out, without any code.
    #[derive(Debug, Clone)]
    pub(crate) struct Program<'a> {
        pub(crate) identifier: &'a str,
        pub(crate) team: Option<&'a str>,
        pub(crate) version: u32,
        /// Of other load commands before the one of the signature.
        pub(crate) commands: usize,
        pub(crate) signed: bool,
    }

    impl Program<'_> {
        pub(crate) fn new<'a>(identifier: &'a str, team: Option<&'a str>) -> Program<'a> {
            Program { identifier, team, version: 0x2_0500, commands: 3, signed: true }
        }

        fn code_directory(&self) -> Vec<u8> {
            let mut fields = vec![0_u32; 24];
            let head = fields.len() * 4;
            let mut texts = format!("{}\0", self.identifier).into_bytes();
            fields[5] = u32::try_from(head).unwrap();
            if let Some(team) = self.team {
                fields[12] = u32::try_from(head + texts.len()).unwrap();
                texts.extend(format!("{team}\0").bytes());
            }
            // The hashes of the code.
            texts.extend([7; 96]);
            (fields[0], fields[1]) = (CSMAGIC_CODEDIRECTORY, u32::try_from(head + texts.len()).unwrap());
            (fields[2], fields[3]) = (self.version, 0x1_0000);
            fields.into_iter().flat_map(u32::to_be_bytes).chain(texts).collect()
        }

        fn signature(&self) -> Vec<u8> {
            let directory = self.code_directory();
            let requirements = [0xfade_0c01_u32, 12, 0];
            let head = 12 + 2 * 8;
            let index = [
                CSMAGIC_EMBEDDED_SIGNATURE,
                u32::try_from(head + requirements.len() * 4 + directory.len()).unwrap(),
                2,
                2,
                u32::try_from(head).unwrap(),
                CSSLOT_CODEDIRECTORY,
                u32::try_from(head + requirements.len() * 4).unwrap(),
            ];
            index.into_iter().chain(requirements).flat_map(u32::to_be_bytes).chain(directory).collect()
        }

        /// One 64-bit slice.
        pub(crate) fn thin(&self) -> Vec<u8> {
            let signature = if self.signed { self.signature() } else { Vec::new() };
            let mut commands: Vec<u32> = (0..self.commands).flat_map(|_| [0xc, 24, 1, 2, 3, 4]).collect();
            let size = commands.len() * 4 + if self.signed { 16 } else { 0 };
            let code = (32 + size).next_multiple_of(4096);
            if self.signed {
                let place = (u32::try_from(code).unwrap(), u32::try_from(signature.len()).unwrap());
                commands.extend([LC_CODE_SIGNATURE, 16, place.0, place.1]);
            }
            let count = u32::try_from(self.commands + usize::from(self.signed)).unwrap();
            let header = [MH_MAGIC_64, 0x0100_000c, 0, 2, count, u32::try_from(size).unwrap(), 0, 0];
            let mut bytes: Vec<u8> = header.into_iter().chain(commands).flat_map(u32::to_le_bytes).collect();
            bytes.resize(code, 0xcc);
            bytes.extend(signature);
            bytes
        }
    }

    /// Slices in one file.
    fn fat(slices: &[Vec<u8>], is_wide: bool) -> Vec<u8> {
        let mut offset = 4096_u64;
        let mut head = vec![if is_wide { FAT_MAGIC_64 } else { FAT_MAGIC }, u32::try_from(slices.len()).unwrap()];
        let mut body: Vec<u8> = Vec::new();
        for slice in slices {
            let (low, size) = (u32::try_from(offset).unwrap(), u32::try_from(slice.len()).unwrap());
            head.extend([0x0100_0007, 3]);
            if is_wide {
                head.extend([0, low, 0, size, 14, 0]);
            } else {
                head.extend([low, size, 14]);
            }
            offset += slice.len() as u64;
            body.extend(slice);
        }
        let mut bytes: Vec<u8> = head.into_iter().flat_map(u32::to_be_bytes).collect();
        bytes.resize(4096, 0);
        bytes.extend(body);
        bytes
    }

    /// The claims, and how much was asked for.
    fn look(bytes: &[u8]) -> (Result<Option<Claims>, SignatureError>, usize) {
        let asked = Cell::new(0);
        let read = |offset: u64, most: usize| {
            asked.set(asked.get() + most);
            let skip = usize::try_from(offset).unwrap_or(usize::MAX);
            Ok(bytes.iter().copied().skip(skip).take(most).collect())
        };
        (claims(read), asked.get())
    }

    fn check(bytes: &[u8], expected: Option<(&str, Option<&str>)>) {
        let expected =
            expected.map(|(identifier, team)| Claims { identifier: identifier.into(), team: team.map(str::to_owned) });
        assert_eq!(look(bytes).0, Ok(expected));
    }

    #[test]
    fn the_team_is_found_in_every_kind_of_file() {
        let program = Program::new("com.example.app", Some("A1B2C3D4E5"));
        let expected = Some(("com.example.app", Some("A1B2C3D4E5")));
        let thin = program.thin();
        check(&thin, expected);
        for is_wide in [false, true] {
            check(&fat(&[thin.clone(), thin.clone()], is_wide), expected);
            let old = [0xfeed_face_u32.to_le_bytes(), [0; 4]].concat();
            check(&fat(&[old.clone(), thin.clone()], is_wide), expected);
            check(&fat(&[old], is_wide), None);
        }
    }

    #[test]
    fn a_program_without_a_team_or_a_signature_is_no_error() {
        check(&Program::new("com.apple.Safari", None).thin(), Some(("com.apple.Safari", None)));
        let early = Program { version: 0x2_0100, ..Program::new("early", Some("A1B2C3D4E5")) };
        check(&early.thin(), Some(("early", None)));
        check(&Program { signed: false, ..Program::new("none", None) }.thin(), None);
        let java = [&FAT_MAGIC.to_be_bytes()[..], &52_u32.to_be_bytes()[..], &[0; 4000]].concat();
        for bytes in [&b""[..], b"\xcf", b"#!/bin/sh\necho\n", &java] {
            check(bytes, None);
        }
    }

    #[test]
    fn a_file_that_ends_before_its_signature_does_is_malformed_and_not_unsigned() {
        let bytes = Program::new("com.example.app", Some("A1B2C3D4E5")).thin();
        for end in [40, 100, 4096, 4100, 4130, 4200, 4250] {
            assert!(matches!(look(&bytes[..end]).0, Err(Malformed(_))), "{end}");
        }
    }

    proptest! {
        #[test]
        fn what_was_signed_is_what_is_read(
            identifier in "[!-~ ä]{0,80}", team in prop::option::of("[A-Z0-9]{10}"), commands in 0_usize..2_000,
            slices in 1_usize..4, kind in prop::option::of(any::<bool>()),
        ) {
            let program = Program { commands, ..Program::new(&identifier, team.as_deref()) };
            let thin = program.thin();
            let bytes = kind.map_or_else(|| thin.clone(), |is_wide| fat(&vec![thin.clone(); slices], is_wide));
            let (found, asked) = look(&bytes);
            prop_assert_eq!(found, Ok(Some(Claims { identifier, team })));
            prop_assert!(asked < COMMANDS + 4096, "{}", asked);
        }

        #[test]
        fn no_bytes_panic_or_are_read_without_end(
            noise in prop::collection::vec(any::<u8>(), 0..300), cut in any::<prop::sample::Index>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            wide in prop::option::of(any::<bool>()), count in any::<u32>(),
        ) {
            let most = SLICES * (COMMANDS + 1024) + 4096;
            let thin = Program::new("com.example.app", Some("A1B2C3D4E5")).thin();
            let mut file = wide.map_or_else(|| thin.clone(), |is_wide| fat(&[thin.clone(), thin.clone()], is_wide));
            // Bytes that are no filling.
            let places: Vec<usize> = (0..file.len()).filter(|at| ![0, 0xcc].contains(&file[*at])).collect();
            for (place, byte) in changes {
                file[*place.get(&places)] = byte;
            }
            let many = [&FAT_MAGIC.to_be_bytes()[..], &count.to_be_bytes()[..], &noise].concat();
            let slice = [&MH_MAGIC_64.to_le_bytes()[..], &noise].concat();
            for bytes in [&file[..], &file[..cut.index(file.len())], &noise, &many, &slice] {
                prop_assert!(look(bytes).1 <= most);
            }
        }
    }
}

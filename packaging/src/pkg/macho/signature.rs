//! What is embedded in a program as its signature.
//!
//! As xnu's osfmk/kern/cs_blobs.h has it, with the greatest byte first: a "super blob" (0xfade0cc0, length, number, then
//! slot and place of each blob) holds code directories (slot 0, alternates from 0x1000), requirements (2), entitlements (5,
//! and as DER 7) and a CMS signature of the first code directory (0x10000). A code directory holds hashes of the program's
//! pages, and before those, backwards, of what belongs to it: Info.plist is -1, requirements -2, the bundle's CodeResources
//! -3, and so on; all zeros is none.

use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

use crate::pkg::bytes::{Bytes, Malformed};

const FORMAT: &str = "code signature";
const SUPER_BLOB: u32 = 0xfade_0cc0;
const CODE_DIRECTORY: u32 = 0xfade_0c02;
const WRAPPER: u32 = 0xfade_0b01;
const MOST_BLOBS: u32 = 16;
/// The oldest code directory with a team (`CS_SUPPORTSTEAMID`) and the oldest with 64-bit limits.
const WITH_TEAM: u32 = 0x2_0200;

/// `CS_RUNTIME`: the hardened runtime.
pub const HARDENED: u32 = 0x1_0000;
/// `CS_ADHOC`: signed by nobody.
pub const AD_HOC: u32 = 2;

/// Where blobs are.
pub mod slot {
    /// The first code directory.
    pub const CODE_DIRECTORY: u32 = 0;
    /// Info.plist, of the bundle.
    pub const INFO: u32 = 1;
    /// What others may require of it.
    pub const REQUIREMENTS: u32 = 2;
    /// CodeResources, of the bundle.
    pub const RESOURCES: u32 = 3;
    /// What it may do.
    pub const ENTITLEMENTS: u32 = 5;
    /// The same as DER.
    pub const ENTITLEMENTS_DER: u32 = 7;
    /// The first of further code directories.
    pub const ALTERNATES: u32 = 0x1000;
    /// CMS.
    pub const SIGNATURE: u32 = 0x1_0000;
}

/// A signature, in its parts.
#[derive(Debug, Clone)]
pub struct Embedded<'a> {
    /// Code directories, requirements, entitlements, with their heads, by slot.
    pub blobs: Vec<(u32, &'a [u8])>,
    /// The CMS signature without its head; empty where it is ad hoc.
    pub cms: &'a [u8],
}

impl<'a> Embedded<'a> {
    /// Reads what is at the end of a program; behind it there may be zeros only.
    pub fn read(room: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Bytes::new(FORMAT, room);
        let here = reader;
        let (magic, length, count) = (reader.u32_be()?, reader.size_be()?, reader.u32_be()?);
        if magic != SUPER_BLOB || count > MOST_BLOBS || length > room.len() {
            return Err(here.wrong("no signature, or one that is longer than its room"));
        }
        if here.at(length)?.take(room.len() - length)?.iter().any(|byte| *byte != 0) {
            return Err(here.wrong("something follows the signature"));
        }
        let all = Bytes::new(FORMAT, &room[..length]);
        let (mut blobs, mut cms) = (Vec::new(), None);
        for _ in 0..count {
            let (slot, at) = (reader.u32_be()?, reader.size_be()?);
            let mut head = all.at(at)?;
            let (magic, length) = (head.u32_be()?, head.size_be()?);
            let blob = all.at(at)?.take(length)?;
            if blobs.iter().any(|(other, _)| *other == slot) {
                return Err(head.wrong("two blobs are in one slot"));
            }
            match slot {
                slot::SIGNATURE if magic == WRAPPER && cms.is_none() && length >= 8 => cms = Some(&blob[8..]),
                slot::SIGNATURE => return Err(head.wrong("a CMS signature in another blob, or two")),
                _ => blobs.push((slot, blob)),
            }
        }
        Ok(Self { blobs, cms: cms.unwrap_or_default() })
    }

    /// The blob in a slot.
    pub fn blob(&self, slot: u32) -> Option<&'a [u8]> {
        self.blobs.iter().find(|(found, _)| *found == slot).map(|(_, blob)| *blob)
    }

    /// The first code directory, and the alternates.
    pub fn directories(&self) -> Result<Vec<CodeDirectory<'a>>, Malformed> {
        let is_one =
            |slot: u32| slot == slot::CODE_DIRECTORY || (slot::ALTERNATES..slot::ALTERNATES + 5).contains(&slot);
        self.blobs.iter().filter(|(slot, _)| is_one(*slot)).map(|(_, blob)| CodeDirectory::read(blob)).collect()
    }
}

/// A code directory.
#[derive(Debug, Clone)]
pub struct CodeDirectory<'a> {
    /// All of it: what is signed.
    pub whole: &'a [u8],
    /// [`HARDENED`], [`AD_HOC`] and others.
    pub flags: u32,
    /// Who it is, as `io.emote.agent`.
    pub identifier: &'a str,
    /// Whose it is.
    pub team: Option<&'a str>,
    limit: usize,
    page: usize,
    algorithm: &'static Algorithm,
    size: usize,
    special: Vec<&'a [u8]>,
    pages: Vec<&'a [u8]>,
}

impl<'a> CodeDirectory<'a> {
    fn read(blob: &'a [u8]) -> Result<Self, Malformed> {
        let all = Bytes::new(FORMAT, blob);
        let mut reader = all;
        let (magic, _, version, flags) = (reader.u32_be()?, reader.u32_be()?, reader.u32_be()?, reader.u32_be()?);
        let (hashes, identifier) = (reader.size_be()?, reader.size_be()?);
        let (specials, slots, limit) = (reader.size_be()?, reader.size_be()?, reader.size_be()?);
        let (size, kind, _, page) = (usize::from(reader.u8()?), reader.u8()?, reader.u8()?, reader.u8()?);
        reader.take(4 + 4)?;
        let team = if version >= WITH_TEAM { reader.size_be()? } else { 0 };
        let algorithm = match (kind, size) {
            (1, 20) => &SHA1_FOR_LEGACY_USE_ONLY,
            (2, 32) => &SHA256,
            _ => return Err(all.wrong("hashes are neither SHA-1 nor SHA-256")),
        };
        if magic != CODE_DIRECTORY || specials > 16 || !(12..=16).contains(&page) {
            return Err(all.wrong("no code directory, or with pages of another size than 4 to 64 KiB"));
        }
        let page = 1_usize << page;
        let first = (specials * size <= hashes).then(|| hashes - specials * size);
        let mut hashes = all.at(first.ok_or_else(|| all.wrong("hashes before its beginning"))?)?;
        // Backwards: the last of those before the pages' is -1.
        let mut special = (0..specials).map(|_| hashes.take(size)).collect::<Result<Vec<_>, _>>()?;
        special.reverse();
        if slots != limit.div_ceil(page) {
            return Err(all.wrong("another number of hashes than of pages"));
        }
        let pages = (0..slots).map(|_| hashes.take(size)).collect::<Result<_, _>>()?;
        let team = if team == 0 { None } else { Some(all.at(team)?.text()?) };
        let identifier = all.at(identifier)?.text()?;
        Ok(Self { whole: blob, flags, identifier, team, limit, page, algorithm, size, special, pages })
    }

    /// Whether its hashes are SHA-256.
    pub fn is_sha256(&self) -> bool {
        self.size == 32
    }

    /// How many bytes of the program it covers.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Pages whose hash is not the one written here.
    pub fn differing_pages(&self, program: &[u8]) -> Vec<usize> {
        let covered = program.get(..self.limit).unwrap_or(program);
        let pages = covered.chunks(self.page).map(Some).chain(std::iter::repeat(None));
        let numbered = self.pages.iter().zip(pages).enumerate();
        let differing = numbered.filter(|(_, (hash, page))| page.is_none_or(|page| self.hash(page) != **hash));
        differing.map(|(number, _)| number).collect()
    }

    /// The hash of what belongs to it in a slot; none where it is not written or all zeros.
    pub fn special(&self, slot: u32) -> Option<&'a [u8]> {
        let at = usize::try_from(slot).ok()?.checked_sub(1)?;
        self.special.get(at).copied().filter(|hash| hash.iter().any(|byte| *byte != 0))
    }

    /// The slots that something belongs to it in.
    pub fn specials(&self) -> impl Iterator<Item = u32> {
        (1..).zip(&self.special).map(|(slot, _)| slot).filter(|slot| self.special(*slot).is_some())
    }

    /// The hash of something, as this directory makes it.
    pub fn hash(&self, data: &[u8]) -> Vec<u8> {
        digest(self.algorithm, data).as_ref().to_vec()
    }

    /// By what the system knows it: the first 20 bytes of its hash.
    pub fn cdhash(&self) -> Vec<u8> {
        let mut hash = self.hash(self.whole);
        hash.truncate(20);
        hash
    }
}

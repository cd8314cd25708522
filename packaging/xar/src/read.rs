//! Reads an archive, signed or not.

use std::io::Read as _;

use data_encoding::{BASE64, HEXLOWER};
use flate2::bufread::ZlibDecoder;
use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

use super::{FORMAT, HEADER, MAGIC, TOC_FORMAT, TRAILER_MAGIC};
use crate::bytes::{Bytes, Malformed};
use crate::xml::{self, Element};

/// Far more than the table of a package needs.
const MOST_TOC: usize = 1 << 20;
const MOST_DEPTH: usize = 4;

/// By what an archive's parts are summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// 1 in the header.
    Sha1,
    /// 3 in the header.
    Sha256,
}

impl Style {
    fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "sha1" => Some(Self::Sha1),
            "sha256" => Some(Self::Sha256),
            _ => None,
        }
    }

    fn number(self) -> u32 {
        match self {
            Self::Sha1 => 1,
            Self::Sha256 => 3,
        }
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &SHA256,
        }
    }
}

/// A signature of the table's checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature<'a> {
    /// The signature itself; a CMS one may have zero bytes behind it.
    pub bytes: &'a [u8],
    /// The signer's certificate and those above it, DER.
    pub certificates: Vec<Vec<u8>>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File<'a> {
    /// With its folders.
    pub path: String,
    /// Its bytes.
    pub data: &'a [u8],
    sums: [(Style, String); 2],
}

/// What an archive is made of.
#[derive(Debug, Clone)]
pub struct Archive<'a> {
    /// The compressed table of contents, which signatures are of.
    pub toc: &'a [u8],
    /// The table's checksum, as it is stored.
    pub checksum: &'a [u8],
    /// How it is summed.
    pub style: Style,
    /// The files, in the table's order.
    pub files: Vec<File<'a>>,
    /// The RSA signature.
    pub rsa: Option<Signature<'a>>,
    /// The CMS signature.
    pub cms: Option<Signature<'a>>,
    /// The ticket that is stapled to it.
    pub ticket: Option<&'a [u8]>,
}

impl<'a> Archive<'a> {
    /// The bytes of a file.
    pub fn file(&self, path: &str) -> Option<&'a [u8]> {
        self.files.iter().find(|file| file.path == path).map(|file| file.data)
    }

    /// What was changed since its checksum was made.
    pub fn damaged(&self) -> Vec<String> {
        let mut damaged = Vec::new();
        if digest(self.style.algorithm(), self.toc).as_ref() != self.checksum {
            damaged.push("the table of contents is not what its checksum was made of".to_owned());
        }
        for file in &self.files {
            let differs =
                |(style, sum): &(Style, String)| HEXLOWER.encode(digest(style.algorithm(), file.data).as_ref()) != *sum;
            if file.sums.iter().any(differs) {
                damaged.push(format!("{} is not what its checksum was made of", file.path));
            }
        }
        damaged
    }
}

/// A part of the heap: where it begins, and how long it is.
type Part = (usize, usize);

/// Reads all of an archive; its checksums are for [`Archive::damaged`] to try.
pub fn read(bytes: &[u8]) -> Result<Archive<'_>, Malformed> {
    let mut reader = Bytes::new(FORMAT, bytes);
    if reader.array()? != *MAGIC || reader.u16_be()? != HEADER || reader.u16_be()? != 1 {
        return Err(reader.wrong("not a xar archive of version 1 with a header of 28 bytes"));
    }
    let lengths_at = reader;
    let [compressed, whole] =
        [reader.u64_be()?, reader.u64_be()?].map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    let algorithm = reader.u32_be()?;
    let toc = reader.take(compressed)?;
    let xml =
        inflate(toc, whole).ok_or_else(|| lengths_at.wrong("the table of contents has not the lengths said here"))?;
    let heap = Heap { start: reader.position(), all: Bytes::new(FORMAT, bytes) };
    let root = xml::parse(TOC_FORMAT, &xml)?;
    let wrong = |what: &str| Bytes::new(TOC_FORMAT, &xml).wrong(what);
    let table = root.one("toc").filter(|_| root.name == "xar").ok_or_else(|| wrong("no <toc> in a <xar>"))?;
    let sum = table.one("checksum").ok_or_else(|| wrong("no <checksum>"))?;
    let style = Style::named(sum.attribute("style")).filter(|style| style.number() == algorithm);
    let style = style.ok_or_else(|| wrong("<checksum> is neither SHA-1 nor SHA-256, or not what the header says"))?;
    let mut parts = vec![part(sum, "size").ok_or_else(|| wrong("<checksum> without a place"))?];
    let checksum = heap.take(parts[0])?;
    let mut signature = |name| match table.all(name).next() {
        None => Ok(None),
        Some(element) => heap.signature(element, &mut parts).map(Some),
    };
    let (rsa, cms) = (signature("signature")?, signature("x-signature")?);
    let mut found = Vec::new();
    heap.files(table, "", &mut found)?;
    let (places, files): (Vec<Part>, _) = found.into_iter().unzip();
    parts.extend(places);
    let end = heap.tiled(parts)?;
    Ok(Archive { toc, checksum, style, files, rsa, cms, ticket: heap.trailer(end)? })
}

fn inflate(mut compressed: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    ZlibDecoder::new(&mut compressed).take(MOST_TOC as u64).read_to_end(&mut whole).ok()?;
    (whole.len() == length && compressed.is_empty()).then_some(whole)
}

fn part(element: &Element, length: &str) -> Option<Part> {
    let number = |name| element.one(name)?.text().parse().ok();
    Some((number("offset")?, number(length)?))
}

struct Heap<'a> {
    start: usize,
    all: Bytes<'a>,
}

impl<'a> Heap<'a> {
    fn take(&self, (at, length): Part) -> Result<&'a [u8], Malformed> {
        self.all.at(self.start.saturating_add(at))?.take(length)
    }

    fn wrong(&self, what: impl Into<String>) -> Malformed {
        Malformed { format: TOC_FORMAT, ..self.all.wrong(what) }
    }

    fn signature(&self, element: &Element, parts: &mut Vec<Part>) -> Result<Signature<'a>, Malformed> {
        let style = if element.name == "signature" { "RSA" } else { "CMS" };
        let place = part(element, "size").filter(|_| element.attribute("style") == style);
        let place =
            place.ok_or_else(|| self.wrong(format!("<{}> is not of style {style}, or has no place", element.name)))?;
        let keys = element.one("KeyInfo").and_then(|info| info.one("X509Data"));
        let keys = keys.ok_or_else(|| self.wrong("a signature without certificates"))?;
        let decoded = keys.all("X509Certificate").map(|certificate| {
            let text: String = certificate.text().split_whitespace().collect();
            BASE64.decode(text.as_bytes()).map_err(|_| self.wrong("a certificate that is not base64"))
        });
        let certificates = decoded.collect::<Result<_, _>>()?;
        parts.push(place);
        Ok(Signature { bytes: self.take(place)?, certificates })
    }

    /// Adds what is in a folder, whose name ends with `/`, and the places of that.
    fn files(&self, of: &Element, folder: &str, found: &mut Vec<(Part, File<'a>)>) -> Result<(), Malformed> {
        for element in of.all("file") {
            let name = element.one("name").map(Element::text).filter(|name| !name.is_empty() && !name.contains('/'));
            let path = format!("{folder}{}", name.ok_or_else(|| self.wrong("a file without a name"))?);
            match element.one("type").map(Element::text) {
                Some("directory") if folder.matches('/').count() < MOST_DEPTH => {
                    self.files(element, &format!("{path}/"), found)?;
                }
                Some("file") if !found.iter().any(|(_, file)| file.path == path) => {
                    found.push(self.file(element, path)?);
                }
                _ => return Err(self.wrong(format!("{path} is neither file nor folder, too deep, or there twice"))),
            }
        }
        Ok(())
    }

    fn file(&self, element: &Element, path: String) -> Result<(Part, File<'a>), Malformed> {
        let bad = |what| self.wrong(format!("{path} {what}"));
        let data = element.one("data").ok_or_else(|| bad("has no data"))?;
        let place = part(data, "length").ok_or_else(|| bad("has no place"))?;
        let style = data.one("encoding").map(|encoding| encoding.attribute("style"));
        if style != Some("application/octet-stream") || part(data, "size") != Some(place) {
            return Err(bad("is stored in another way than as it is"));
        }
        let sums = ["archived-checksum", "extracted-checksum"].map(|name| {
            let sum = data.one(name)?;
            Some((Style::named(sum.attribute("style"))?, sum.text().to_owned()))
        });
        let [Some(stored), Some(extracted)] = sums else { return Err(bad("has no SHA-1 or SHA-256 checksums")) };
        Ok((place, File { data: self.take(place)?, path, sums: [stored, extracted] }))
    }

    /// Where the last part ends; an error if two of them overlap or anything lies between them.
    fn tiled(&self, mut parts: Vec<Part>) -> Result<usize, Malformed> {
        parts.sort_unstable();
        let mut end = 0;
        for (at, length) in parts {
            if at != end {
                let at = self.all.at(self.start + at.min(end))?;
                return Err(at.wrong("parts of the heap overlap, or something lies between them that belongs to none"));
            }
            end += length;
        }
        Ok(end)
    }

    fn trailer(&self, heap: usize) -> Result<Option<&'a [u8]>, Malformed> {
        let mut rest = self.all.at(self.start + heap)?;
        if rest.left() == 0 {
            return Ok(None);
        }
        let here = rest;
        let kinds_and_length = |(kind, length)| kind == 1 && length == 0;
        let begins = mark(&mut rest)?.is_some_and(kinds_and_length);
        let length = rest.left().checked_sub(16).filter(|_| begins);
        let length = length.ok_or_else(|| here.wrong("what follows the files is no ticket"))?;
        let ticket = rest.take(length)?;
        match mark(&mut rest)? {
            Some((2, said)) if said as usize == length && length > 0 => Ok(Some(ticket)),
            _ => Err(here.wrong("what follows the files is no ticket")),
        }
    }
}

/// Kind and length of a mark of the trailer.
fn mark(reader: &mut Bytes<'_>) -> Result<Option<(u16, u32)>, Malformed> {
    let is_mark = reader.array()? == *TRAILER_MAGIC && reader.u16_le()? == 1;
    let (kind, length, zero) = if is_mark { (reader.u16_le()?, reader.u32_le()?, reader.u32_le()?) } else { (0, 0, 1) };
    Ok((zero == 0).then_some((kind, length)))
}

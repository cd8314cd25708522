//! Compression: gzip or zlib, told by the first bytes.

use std::{
    borrow::Cow,
    io::{self, Read, Write as _},
};

use flate2::{
    read::{GzDecoder, ZlibDecoder},
    write::{GzEncoder, ZlibEncoder},
};

use super::GelfError;

/// How a message is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Zlib,
}

/// The message compressed.
pub fn pack(message: &[u8], compression: Compression) -> io::Result<Vec<u8>> {
    let level = flate2::Compression::default();
    match compression {
        Compression::None => Ok(message.to_vec()),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(message)?;
            encoder.finish()
        }
        Compression::Zlib => {
            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(message)?;
            encoder.finish()
        }
    }
}

/// The message as it was, of at most `most` bytes.
pub(super) fn unpack(bytes: &[u8], most: usize) -> Result<Cow<'_, [u8]>, GelfError> {
    match compression(bytes) {
        Compression::None if bytes.len() > most => Err(GelfError::TooLarge(most)),
        Compression::None => Ok(Cow::Borrowed(bytes)),
        Compression::Gzip => inflated(GzDecoder::new(bytes), most),
        Compression::Zlib => inflated(ZlibDecoder::new(bytes), most),
    }
}

fn inflated(decoder: impl Read, most: usize) -> Result<Cow<'static, [u8]>, GelfError> {
    let mut whole = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(limit).read_to_end(&mut whole).map_err(|error| GelfError::Packed(error.to_string()))?;
    if whole.len() > most { Err(GelfError::TooLarge(most)) } else { Ok(Cow::Owned(whole)) }
}

/// Gzip begins with 1f 8b; zlib with a method of 8 and two bytes that 31 divides. JSON begins with neither.
fn compression(bytes: &[u8]) -> Compression {
    match bytes {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [first, second, ..] if first & 0x0f == 8 && u16::from_be_bytes([*first, *second]).is_multiple_of(31) => {
            Compression::Zlib
        }
        _ => Compression::None,
    }
}

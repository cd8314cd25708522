//! gzip (RFC 1952) with one header and one only: no name, no time, no comment, so that the same bytes are compressed to
//! the same bytes, and nothing that means nothing can differ.

use std::io::{Read, Write};

use flate2::bufread::DeflateDecoder;
use flate2::{Compression, Crc, GzBuilder};

use super::MOST_BYTES;
use super::bytes::{Bytes, Malformed};

/// Deflate, no flags, no time, best compression, Unix.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3];
const FORMAT: &str = "gzip";

/// Compressed as well as can be.
pub(super) fn compress(data: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer = GzBuilder::new().mtime(0).operating_system(HEADER[9]).write(Vec::new(), Compression::best());
    writer.write_all(data)?;
    writer.finish()
}

/// What was compressed by [`compress`] and nothing behind it, up to [`MOST_BYTES`].
pub(super) fn decompress(compressed: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut reader = Bytes::new(FORMAT, compressed);
    if reader.array()? != HEADER {
        return Err(reader.wrong("another header than this package's own: a name, a time or flags"));
    }
    let mut rest = reader.take(reader.left())?;
    let all = rest.len();
    let mut data = Vec::new();
    let inflated = DeflateDecoder::new(&mut rest).take(MOST_BYTES as u64 + 1).read_to_end(&mut data);
    let mut reader = Bytes::new(FORMAT, compressed).at(HEADER.len() + all - rest.len())?;
    if inflated.is_err() || data.len() > MOST_BYTES {
        return Err(reader.wrong("not compressed with deflate, or greater than may be"));
    }
    let mut crc = Crc::new();
    crc.update(&data);
    if reader.u32_le()? != crc.sum() || reader.u32_le()? != crc.amount() || reader.left() != 0 {
        return Err(reader.wrong("checksum or length of what is compressed differ, or something follows"));
    }
    Ok(data)
}

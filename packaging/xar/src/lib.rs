//! xar archives: what a flat package is.
//!
//! As xar's own sources (xar.h, archive.c) describe it, and Apple's installer reads it. All numbers have their greatest
//! byte first.
//!
//! - **Header**, 28 bytes: `xar!`, its size (16 bits), version 1 (16 bits), lengths of the table of contents compressed and
//!   not (64 bits each), checksum algorithm (32 bits; 1 is SHA-1, 3 SHA-256).
//! - **Table of contents**: XML, compressed with zlib. `<checksum>` says where in the heap the checksum of the *compressed*
//!   table is; a `<file>` has a name, a type, and `<data>` with offset and length in the heap and checksums of what is
//!   stored and of what it is.
//! - **Heap**: first the checksum of the table; signed, then an RSA signature (PKCS #1 1.5) and a CMS signature of that
//!   checksum, whose places and certificates `<signature>` and `<x-signature>` say; then the files.
//! - Notarized, a **trailer** behind it: an end mark, the ticket, and a mark with its length. A mark is `t8lr`, version 1,
//!   kind (1 end, 2 ticket), length, 0; 16 bytes with the smallest byte first, as apple-codesign reads them.
//!
//! Written are SHA-1 checksums, which are what Apple's own tools write and every macOS reads; what is installed has
//! SHA-256 sums in the manifest. Files are stored as they are: what is great among them is compressed already. Reading
//! refuses what is in no part of the archive: gaps in the heap, bytes behind it, files that are stored in another way.
//!
//! Pure: no I/O. Packages are built and proven with it, and a broker reads with it what it is given to deploy.

#![forbid(unsafe_code)]

pub mod bytes;
mod read;
mod write;
pub mod xml;

pub use bytes::Malformed;
pub use read::{Archive, File, Signature, Style, read};
pub use write::write;

const FORMAT: &str = "xar";
const TOC_FORMAT: &str = "xar's table of contents";
const MAGIC: &[u8; 4] = b"xar!";
const HEADER: u16 = 28;
const TRAILER_MAGIC: &[u8; 4] = b"t8lr";

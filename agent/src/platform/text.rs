//! Reads a text that may be a secret: into one buffer, which is overwritten when it is dropped and never grows. Growing
//! would leave what was read so far behind in memory.

use std::fs::File;
use std::io::{self, Read};

use zeroize::Zeroizing;

/// The text of an open file, of at most `most` bytes.
pub(crate) fn read_text(file: &File, most: u64) -> io::Result<Zeroizing<String>> {
    whole(file, file.metadata()?.len(), most)
}

/// What `reader` has, which is said to be `size` bytes.
fn whole(mut reader: impl Read, size: u64, most: u64) -> io::Result<Zeroizing<String>> {
    // One more byte shows that there are no others.
    let room = usize::try_from(size.min(most)).map_err(io::Error::other)?.saturating_add(1);
    let mut bytes = Zeroizing::new(vec![0; room]);
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if filled == room {
        return Err(if size < most {
            io::Error::other("it grew while it was read")
        } else {
            io::Error::new(io::ErrorKind::InvalidData, format!("more than {most} bytes"))
        });
    }
    bytes.truncate(filled);
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|error| {
        let error_text = error.to_string();
        drop(Zeroizing::new(error.into_bytes()));
        io::Error::new(io::ErrorKind::InvalidData, error_text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time, and knows where they were put.
    struct Slow<'a>(&'a [u8], Vec<usize>);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let (now, later) = self.0.split_at(self.0.len().min(3).min(buffer.len()));
            self.1.push(buffer.as_ptr().addr());
            buffer[..now.len()].copy_from_slice(now);
            self.0 = later;
            Ok(now.len())
        }
    }

    #[test]
    fn a_secret_is_in_one_place_only_while_it_is_read() {
        let secret = "SUAP74CGJUQEM2LFLDX7C7C3FGJFYYOVZFERV2LQTDIQWJBUZQ43GPPCAI".repeat(9);
        let mut slow = Slow(secret.as_bytes(), Vec::new());
        let text = whole(&mut slow, secret.len() as u64, 4_096).unwrap();
        assert_eq!(*text, secret);
        let place = text.as_ptr().addr()..=text.as_ptr().addr() + text.len();
        assert!(slow.1.len() > 100 && slow.1.iter().all(|at| place.contains(at)), "{place:?} {:?}", slow.1);
    }

    #[test]
    fn what_is_too_long_grows_or_is_no_text_is_refused() {
        let read = |bytes: &[u8], size, most| whole(bytes, size, most).map(|text| text.to_string());
        for (bytes, size, most, said) in [
            (&b"secret"[..], 6, 6, Ok("secret")),
            (b"", 0, 6, Ok("")),
            (b"sec", 6, 6, Ok("sec")),
            (b"secret!", 7, 6, Err("more than 6 bytes")),
            (b"secret!", u64::MAX, 6, Err("more than 6 bytes")),
            (b"secret", 3, 6, Err("it grew while it was read")),
            (b"\xff", 1, 6, Err("invalid utf-8 sequence of 1 bytes from index 0")),
        ] {
            let found = read(bytes, size, most).map_err(|error| error.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), said, "{bytes:?}");
        }
    }
}

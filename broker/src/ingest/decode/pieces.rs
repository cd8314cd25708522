//! How what is too large for one body is cut: JSON lines a line at a time, everything else as a whole.

use std::io::{BufRead, Read as _};

use bytes::Bytes;

/// A cut ends after so many pieces,
const AT_ONCE: usize = 500;
/// or bytes.
const BYTES_AT_ONCE: usize = 4 << 20;

/// What is decoded by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Which line it is, from 1; none where it is all there is.
    pub(crate) line: Option<u64>,
    /// What it says, or why it cannot be read.
    pub(crate) body: Result<Bytes, String>,
}

/// Cuts what is read.
pub(crate) struct Pieces<R> {
    read: R,
    by_line: bool,
    /// The largest piece, in bytes.
    most: usize,
    line: u64,
    ended: bool,
}

impl<R: BufRead> Pieces<R> {
    /// Of `read`, `by_line` or whole, none larger than `most` bytes.
    pub(crate) fn of(read: R, by_line: bool, most: usize) -> Self {
        Self { read, by_line, most, line: 0, ended: false }
    }

    /// What it reads.
    pub(crate) fn inner(&self) -> &R {
        &self.read
    }

    /// The next of them; none behind the last. Blank lines are none. The last line is last even where no line break ends it.
    pub(crate) fn next_ones(&mut self) -> std::io::Result<Vec<Piece>> {
        if !self.by_line {
            return self.whole();
        }
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while !self.ended && pieces.len() < AT_ONCE && bytes < BYTES_AT_ONCE {
            let Some(body) = self.next_line()? else { break };
            bytes += body.as_ref().map_or(0, Bytes::len);
            if body.as_ref().is_ok_and(|body| body.trim_ascii().is_empty()) {
                continue;
            }
            pieces.push(Piece { line: Some(self.line), body });
        }
        Ok(pieces)
    }

    fn whole(&mut self) -> std::io::Result<Vec<Piece>> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(Vec::new());
        }
        let mut body = Vec::new();
        self.read.by_ref().take(self.most as u64 + 1).read_to_end(&mut body)?;
        let body = if body.len() > self.most { Err(self.too_large()) } else { Ok(Bytes::from(body)) };
        Ok(vec![Piece { line: None, body }])
    }

    fn next_line(&mut self) -> std::io::Result<Option<Result<Bytes, String>>> {
        let mut line = Vec::new();
        // The line break does not count.
        self.read.by_ref().take(self.most as u64 + 2).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            self.ended = true;
            return Ok(None);
        }
        self.line += 1;
        if line.pop_if(|last| *last == b'\n').is_some() {
            line.pop_if(|last| *last == b'\r');
        } else {
            self.ended = !self.skip_line()?;
        }
        if line.len() > self.most {
            return Ok(Some(Err(self.too_large())));
        }
        Ok(Some(Ok(line.into())))
    }

    /// Reads up to the end of the line; says whether there is one.
    fn skip_line(&mut self) -> std::io::Result<bool> {
        loop {
            let (length, found) = {
                let there = self.read.fill_buf()?;
                match there.iter().position(|byte| *byte == b'\n') {
                    Some(at) => (at + 1, true),
                    None => (there.len(), false),
                }
            };
            self.read.consume(length);
            if found || length == 0 {
                return Ok(found);
            }
        }
    }

    fn too_large(&self) -> String {
        let what = if self.by_line { "the line" } else { "the file" };
        format!("{what} is larger than `max_body` of the source, {} bytes", self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(text: &[u8], by_line: bool, most: usize) -> Vec<(u64, Result<String, String>)> {
        let (mut pieces, mut all) = (Pieces::of(text, by_line, most), Vec::new());
        loop {
            let next = pieces.next_ones().unwrap();
            if next.is_empty() {
                return all;
            }
            let read = |body: Bytes| String::from_utf8_lossy(&body).into_owned();
            all.extend(next.into_iter().map(|piece| (piece.line.unwrap_or(0), piece.body.map(read))));
        }
    }

    #[test]
    fn lines_are_cut_with_their_numbers_and_one_that_is_too_long_spoils_no_other() {
        let long = || Err("the line is larger than `max_body` of the source, 4 bytes".to_owned());
        let fine = |text: &str| Ok(text.to_owned());
        for (text, expected) in [
            ("", vec![]),
            ("a", vec![(1, fine("a"))]),
            ("a\n\n \r\nb\r\n", vec![(1, fine("a")), (4, fine("b"))]),
            ("1234\n12345\n1234", vec![(1, fine("1234")), (2, long()), (3, fine("1234"))]),
            ("1234\r\n123456789012345\nx\n", vec![(1, fine("1234")), (2, long()), (3, fine("x"))]),
            ("123456789", vec![(1, long())]),
        ] {
            assert_eq!(cut(text.as_bytes(), true, 4), expected, "{text:?}");
        }
        assert_eq!(cut(b"a\nb", false, 3), [(0, fine("a\nb"))]);
        assert!(cut(b"a\nbc", false, 3)[0].1.as_ref().unwrap_err().contains("3 bytes"));
        assert_eq!(cut(b"", false, 3), [(0, fine(""))]);
    }

    proptest! {
        #[test]
        fn every_line_that_is_short_enough_is_found_in_order(lines in proptest::collection::vec("[a-c ]{0,9}", 0..1200), ends in any::<bool>()) {
            let mut text = lines.join("\n");
            if ends { text.push('\n'); }
            let wanted = lines.iter().enumerate().map(|(at, line)| (at as u64 + 1, line));
            let wanted: Vec<_> = wanted.filter(|(_, line)| line.len() > 6 || !line.trim().is_empty()).collect();
            let found = cut(text.as_bytes(), true, 6);
            prop_assert_eq!(found.len(), wanted.len());
            for ((number, found), (expected, line)) in found.iter().zip(wanted) {
                prop_assert_eq!(*number, expected);
                match found {
                    Ok(found) => prop_assert_eq!(found, line),
                    Err(_) => prop_assert!(line.len() > 6),
                }
            }
        }
    }
}

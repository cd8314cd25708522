//! JSON objects one after another: lines of JSON, pretty-printed objects, or both.
//!
//! Read as a stream, one object in memory at a time. What is not JSON is told with its line, and reading goes on with the
//! next line; as nesting is bounded, a line cut short can take only so many others with it before that is noticed.

use std::{
    fs::File,
    io::{BufRead, ErrorKind, Read},
    path::Path,
};

use serde::de::IgnoredAny;

use crate::config::file::BYTE_ORDER_MARK;

/// Largest object in bytes.
const MAX_OBJECT: usize = 16 * 1024 * 1024;
/// Deepest nesting, which is what an event may have.
const MAX_DEPTH: usize = 128;

/// Opens a file of events. A folder can be opened too, but not read.
pub(super) fn open(file: &Path) -> std::io::Result<File> {
    let opened = File::open(file)?;
    if opened.metadata()?.is_dir() {
        return Err(std::io::Error::new(ErrorKind::IsADirectory, "it is a folder, name the files in it"));
    }
    Ok(opened)
}

/// Something in the input.
#[derive(Debug)]
pub(super) struct Piece {
    /// The line on which it begins, from 1.
    pub(super) line: usize,
    /// The object as it stands, or what is wrong.
    pub(super) object: Result<Vec<u8>, String>,
}

/// Reads JSON objects one after another.
pub(super) struct JsonStream<R> {
    input: R,
    /// What was read too far and is read again, backwards.
    again: Vec<u8>,
    line: usize,
    begun: bool,
    ended: bool,
}

impl<R: BufRead> JsonStream<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, again: Vec::new(), line: 1, begun: false, ended: false }
    }

    fn skip_byte_order_mark(&mut self) -> std::io::Result<()> {
        let mut read = Vec::new();
        for expected in BYTE_ORDER_MARK.bytes() {
            let byte = self.byte()?;
            read.extend(byte);
            if byte != Some(expected) {
                self.again.extend(read.iter().rev());
                break;
            }
        }
        Ok(())
    }

    /// The next byte that is no white space.
    fn next_byte(&mut self) -> std::io::Result<Option<u8>> {
        loop {
            match self.byte()? {
                Some(b'\n') => self.line += 1,
                Some(b' ' | b'\t' | b'\r') => {}
                other => return Ok(other),
            }
        }
    }

    fn byte(&mut self) -> std::io::Result<Option<u8>> {
        if let Some(byte) = self.again.pop() {
            return Ok(Some(byte));
        }
        loop {
            match self.input.fill_buf() {
                Ok(buffer) => {
                    let byte = buffer.first().copied();
                    self.input.consume(usize::from(byte.is_some()));
                    return Ok(byte);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn piece(&mut self) -> std::io::Result<Option<Piece>> {
        if !std::mem::replace(&mut self.begun, true) {
            self.skip_byte_order_mark()?;
        }
        let Some(first) = self.next_byte()? else { return Ok(None) };
        let line = self.line;
        if first != b'{' {
            self.skip_line()?;
            return Ok(Some(Piece { line, object: Err(not_an_object(first).to_owned()) }));
        }
        self.again.push(first);
        let mut tee = Tee { stream: self, kept: Vec::new(), depth: 0, string: false, escaped: false, failed: None };
        let read: Result<IgnoredAny, _> =
            serde::Deserialize::deserialize(&mut serde_json::Deserializer::from_reader(&mut tee));
        let Tee { kept, failed, .. } = tee;
        let problem = match (read, failed) {
            (Ok(_), _) => {
                self.line += kept.iter().filter(|byte| **byte == b'\n').count();
                return Ok(Some(Piece { line, object: Ok(kept) }));
            }
            (Err(_), Some(Failure::Read(error))) => return Err(error),
            (Err(_), Some(Failure::Large)) => {
                format!("larger than {} MiB, the most that is read as one event", MAX_OBJECT >> 20)
            }
            (Err(_), Some(Failure::Deep)) => format!("nested more than {MAX_DEPTH} levels deep"),
            (Err(error), None) => not_json(&error, line),
        };
        self.go_on_behind_first_line(kept)?;
        Ok(Some(Piece { line, object: Err(problem) }))
    }

    /// Gives back what was read beyond the first line.
    fn go_on_behind_first_line(&mut self, kept: Vec<u8>) -> std::io::Result<()> {
        match kept.iter().position(|byte| *byte == b'\n') {
            Some(end) => {
                self.line += 1;
                self.again.extend(kept[end + 1..].iter().rev());
                Ok(())
            }
            None => self.skip_line(),
        }
    }

    fn skip_line(&mut self) -> std::io::Result<()> {
        while let Some(byte) = self.byte()? {
            if byte == b'\n' {
                self.line += 1;
                break;
            }
        }
        Ok(())
    }
}

impl<R: BufRead> Iterator for JsonStream<R> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        if self.ended {
            return None;
        }
        match self.piece() {
            Ok(piece) => {
                self.ended = piece.is_none();
                piece
            }
            Err(error) => {
                self.ended = true;
                Some(Piece { line: self.line, object: Err(format!("cannot be read: {error}")) })
            }
        }
    }
}

fn not_an_object(first: u8) -> &'static str {
    match first {
        b'[' => "a list, where objects one after another are expected: jq -c '.[]' makes those of it",
        _ => "not a JSON object, such as {\"scope\": \"device\"}",
    }
}

fn not_json(error: &serde_json::Error, line: usize) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    match error.line() {
        below if error.column() == 0 => {
            format!("not JSON: {what} (at the end of line {})", (line + below).saturating_sub(2))
        }
        1 => format!("not JSON: {what} (column {})", error.column()),
        below => format!("not JSON: {what} (line {}, column {})", line + below - 1, error.column()),
    }
}

enum Failure {
    Read(std::io::Error),
    Large,
    Deep,
}

/// Keeps what is read of an object, up to a size and a depth.
struct Tee<'s, R> {
    stream: &'s mut JsonStream<R>,
    kept: Vec<u8>,
    depth: usize,
    string: bool,
    escaped: bool,
    failed: Option<Failure>,
}

impl<R> Tee<'_, R> {
    fn keep(&mut self, byte: u8) -> Result<(), Failure> {
        match (self.string, byte) {
            (true, _) if self.escaped => self.escaped = false,
            (true, b'\\') => self.escaped = true,
            (_, b'"') => self.string = !self.string,
            (false, b'{' | b'[') => self.depth += 1,
            (false, b'}' | b']') => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.kept.push(byte);
        match () {
            () if self.depth > MAX_DEPTH => Err(Failure::Deep),
            () if self.kept.len() > MAX_OBJECT => Err(Failure::Large),
            () => Ok(()),
        }
    }
}

impl<R: BufRead> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some(slot) = buffer.first_mut() else { return Ok(0) };
        let kept = match self.stream.byte() {
            Ok(None) => return Ok(0),
            Ok(Some(byte)) => {
                *slot = byte;
                self.keep(byte)
            }
            Err(error) => Err(Failure::Read(error)),
        };
        kept.map(|()| 1).map_err(|failure| {
            self.failed = Some(failure);
            std::io::Error::other("the object cannot be read")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The line of each piece, and the object or what is wrong.
    fn pieces(text: &str) -> Vec<(usize, String)> {
        let shown = |piece: Piece| {
            let text = match piece.object {
                Ok(object) => String::from_utf8(object).unwrap(),
                Err(problem) => format!("! {problem}"),
            };
            (piece.line, text)
        };
        JsonStream::new(text.as_bytes()).map(shown).collect()
    }

    #[test]
    fn objects_come_one_after_another_however_they_are_written() {
        for (text, expected) in [
            ("", &[][..]),
            ("\n \r\n", &[]),
            ("\u{feff}", &[]),
            ("\u{feff}\n{}", &[(2, "{}")]),
            ("{}", &[(1, "{}")]),
            ("{\"a\":1}\n\n{\"b\":2}\r\n", &[(1, "{\"a\":1}"), (3, "{\"b\":2}")]),
            ("{\"a\":1}{\"b\":2}  {\"c\":3}", &[(1, "{\"a\":1}"), (1, "{\"b\":2}"), (1, "{\"c\":3}")]),
            ("{\n  \"a\": [1,\n 2]\n}\n{}", &[(1, "{\n  \"a\": [1,\n 2]\n}"), (5, "{}")]),
            ("{\"a\":\"}\\\"{\\\\\"}{}", &[(1, "{\"a\":\"}\\\"{\\\\\"}"), (1, "{}")]),
            (
                "{\"n\": 1e999, \"m\": 123456789012345678901234567890}",
                &[(1, "{\"n\": 1e999, \"m\": 123456789012345678901234567890}")],
            ),
        ] {
            let expected: Vec<(usize, String)> =
                expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
            assert_eq!(pieces(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_json_is_told_and_reading_goes_on() {
        for (text, expected) in [
            ("hello\n{}", &[(1, "! not a JSON object, such as {\"scope\": \"device\"}"), (2, "{}")][..]),
            (
                "{}\n[{}]\n{}",
                &[
                    (1, "{}"),
                    (2, "! a list, where objects one after another are expected: jq -c '.[]' makes those of it"),
                    (3, "{}"),
                ],
            ),
            ("{\"a\" 1}\n{}", &[(1, "! not JSON: expected `:` (column 6)"), (2, "{}")]),
            ("{'a': 1}\n{}", &[(1, "! not JSON: key must be a string (column 2)"), (2, "{}")]),
            (
                "{\"a\": \"x\n{}",
                &[
                    (
                        1,
                        "! not JSON: control character (\\u0000-\\u001F) found while parsing a string (at the end of line 1)",
                    ),
                    (2, "{}"),
                ],
            ),
            // A line cut short takes the next for its value, which is noticed on the one behind it.
            (
                "{\"a\":\n{\"b\":1}\n{\"c\":2}\n",
                &[(1, "! not JSON: expected `,` or `}` (line 3, column 1)"), (2, "{\"b\":1}"), (3, "{\"c\":2}")],
            ),
            ("{}\n{\"a\": [1,", &[(1, "{}"), (2, "! not JSON: EOF while parsing a value (column 9)")]),
        ] {
            let expected: Vec<(usize, String)> =
                expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
            assert_eq!(pieces(text), expected, "{text:?}");
        }
        let deep = format!("{}\n{{}}", "{\"a\":".repeat(1_000_000));
        assert_eq!(pieces(&deep), [(1, "! nested more than 128 levels deep".to_owned()), (2, "{}".to_owned())]);
        let large = format!("{{\"a\": \"{}\"}}\n{{}}", "x".repeat(MAX_OBJECT));
        assert_eq!(
            pieces(&large),
            [(1, "! larger than 16 MiB, the most that is read as one event".to_owned()), (2, "{}".to_owned())]
        );
    }

    #[test]
    fn many_lines_cut_short_are_read_in_bounded_time() {
        let text = "{\"a\":\n".repeat(20_000) + "{}";
        assert_eq!(pieces(&text).len(), 20_001);
    }

    proptest! {
        #[test]
        fn objects_among_garbage_are_found_again(garbage in prop::collection::vec("[ -~]{0,12}", 0..6)) {
            let good = "{\"good\": [1, {\"x\": \"}\"}]}";
            // Nothing can be said of a line that goes on in the next; one that does not has a problem of its own.
            let text: String = garbage.iter().filter(|line| !line.trim().starts_with('{')).map(|line| format!("{line}\n{good}\n")).collect();
            let found = JsonStream::new(text.as_bytes()).filter(|piece| piece.object.as_deref() == Ok(good.as_bytes())).count();
            prop_assert_eq!(found, text.matches(good).count());
        }

        #[test]
        fn no_input_panics(text in "[{}\\[\\]\",:a1\\\\\n ]{0,40}") {
            let lines = text.lines().count();
            prop_assert!(pieces(&text).iter().all(|(line, _)| *line <= lines));
        }
    }
}

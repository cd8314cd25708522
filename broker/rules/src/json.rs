//! A reader of JSON text that keeps what the pattern language needs and a value tree loses: the exact text of numbers,
//! keys that occur twice, their order, and where everything stands.
//!
//! Strict as RFC 8259, every byte of a value is checked, also of those that are skipped. Reading stops behind the
//! value: what follows is the caller's business.

use crate::scalar::Scalar;
use std::borrow::Cow;

/// How deep arrays and objects may be nested.
pub(crate) const MAX_DEPTH: usize = 128;
pub(crate) const TOO_DEEP: &str = "nested too deeply: at most 128 levels";

/// What is wrong with a text, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonError {
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

type Result<T> = std::result::Result<T, JsonError>;

/// A position in a JSON text.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// The byte at which the next token starts.
    pub(crate) fn position(&mut self) -> usize {
        self.skip_space();
        self.at
    }

    /// How many bytes were read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The first byte of the next token.
    pub(crate) fn peek(&mut self) -> Result<u8> {
        self.skip_space();
        self.byte().ok_or(self.error("the text ends too early"))
    }

    /// Reads an object; `member` is called behind each key and must read the value.
    pub(crate) fn object(&mut self, mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<()>) -> Result<()> {
        self.enter(b'{', "expected an object")?;
        if self.peek()? == b'}' {
            return self.leave();
        }
        loop {
            self.skip_space();
            let key = self.string()?;
            self.expect(b':', "expected : behind the key")?;
            member(self, key)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => return self.leave(),
                _ => return Err(self.error("expected , or } behind the value")),
            }
        }
    }

    /// Reads an array; `element` is called with each index and must read the value.
    pub(crate) fn array(&mut self, mut element: impl FnMut(&mut Self, u32) -> Result<()>) -> Result<()> {
        self.enter(b'[', "expected an array")?;
        if self.peek()? == b']' {
            return self.leave();
        }
        for index in 0..u32::MAX {
            element(self, index)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => return self.leave(),
                _ => return Err(self.error("expected , or ] behind the value")),
            }
        }
        Err(self.error("the array is too long"))
    }

    /// Reads a string, a number, a boolean or null.
    pub(crate) fn scalar(&mut self) -> Result<Scalar<'a>> {
        match self.peek()? {
            b'"' => self.string().map(Scalar::String),
            b'-' | b'0'..=b'9' => self.number().map(Scalar::number),
            b't' => self.word("true").map(|()| Scalar::Bool(true)),
            b'f' => self.word("false").map(|()| Scalar::Bool(false)),
            b'n' => self.word("null").map(|()| Scalar::Null),
            _ => Err(self.error("expected a value")),
        }
    }

    /// Reads a value of any kind and forgets it.
    pub(crate) fn skip(&mut self) -> Result<()> {
        match self.peek()? {
            b'{' => self.object(|reader, _| reader.skip()),
            b'[' => self.array(|reader, _| reader.skip()),
            b'-' | b'0'..=b'9' => self.number().map(|_| ()),
            _ => self.scalar().map(|_| ()),
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>> {
        self.expect(b'"', "expected a string in double quotes")?;
        let start = self.at;
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
                }
                Some(b'\\') => return self.string_with_escapes(start),
                Some(0..=0x1f) => return Err(self.error("a control character in a string must be escaped")),
                Some(_) => self.at += 1,
                None => return Err(self.error("the string has no end")),
            }
        }
    }

    fn string_with_escapes(&mut self, start: usize) -> Result<Cow<'a, str>> {
        loop {
            match self.byte() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0..=0x1f) => return Err(self.error("a control character in a string must be escaped")),
                Some(_) => self.at += 1,
                None => return Err(self.error("the string has no end")),
            }
        }
        let mut text = Vec::new();
        unescape(&self.text.as_bytes()[start..self.at], &mut text);
        self.at += 1;
        Ok(Cow::Owned(String::from_utf8(text).unwrap_or_default()))
    }

    fn escape(&mut self) -> Result<()> {
        self.at += 1;
        match self.byte() {
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.byte().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.error("\\u needs four hexadecimal digits"));
                    }
                    self.at += 1;
                }
            }
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            _ => return Err(self.error("no such escape: one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<&'a str> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
            if self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
                return Err(self.error("a number has no leading zeros"));
            }
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<()> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.error("expected a digit")) } else { Ok(()) }
    }

    fn word(&mut self, word: &'static str) -> Result<()> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.error("expected a value"))
    }

    fn enter(&mut self, open: u8, otherwise: &'static str) -> Result<()> {
        self.expect(open, otherwise)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(self.error(TOO_DEEP)) } else { Ok(()) }
    }

    fn leave(&mut self) -> Result<()> {
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    fn expect(&mut self, byte: u8, otherwise: &'static str) -> Result<()> {
        if self.peek()? != byte {
            return Err(self.error(otherwise));
        }
        self.at += 1;
        Ok(())
    }

    fn skip_space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error(&self, what: &'static str) -> JsonError {
        JsonError { at: self.at, what }
    }
}

/// Adds a string without its escapes, which are known to be good. Half of a surrogate pair is valid JSON but no
/// character: it becomes U+FFFD.
pub(crate) fn unescape(mut text: &[u8], into: &mut Vec<u8>) {
    while let Some(backslash) = text.iter().position(|byte| *byte == b'\\') {
        let (before, escape) = text.split_at(backslash);
        into.extend_from_slice(before);
        let (character, behind) = match escape {
            [_, b'u', digits @ ..] => unicode_escape(digits),
            [_, escaped, behind @ ..] => (escaped_character(*escaped), behind),
            _ => return,
        };
        into.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        text = behind;
    }
    into.extend_from_slice(text);
}

fn escaped_character(escaped: u8) -> char {
    match escaped {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        other => char::from(other),
    }
}

fn unicode_escape(digits: &[u8]) -> (char, &[u8]) {
    let (high, behind) = four_hex_digits(digits);
    if let (0xd800..0xdc00, [b'\\', b'u', digits @ ..]) = (high, behind)
        && let (low @ 0xdc00..0xe000, behind) = four_hex_digits(digits)
    {
        let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), behind);
    }
    (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), behind)
}

fn four_hex_digits(text: &[u8]) -> (u32, &[u8]) {
    let (digits, behind) = text.split_at(text.len().min(4));
    let code = digits.iter().fold(0, |code, digit| code * 16 + char::from(*digit).to_digit(16).unwrap_or(0));
    (code, behind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn tree(reader: &mut Reader<'_>) -> Result<Value> {
        Ok(match reader.peek()? {
            b'{' => {
                let mut map = serde_json::Map::new();
                reader.object(|reader, key| {
                    let value = tree(reader)?;
                    map.insert(key.into_owned(), value);
                    Ok(())
                })?;
                Value::Object(map)
            }
            b'[' => {
                let mut list = Vec::new();
                reader.array(|reader, _| {
                    list.push(tree(reader)?);
                    Ok(())
                })?;
                Value::Array(list)
            }
            _ => match reader.scalar()? {
                Scalar::Null => Value::Null,
                Scalar::Bool(bool) => Value::Bool(bool),
                Scalar::Number { text, .. } => serde_json::from_str(&text).unwrap_or(Value::Null),
                Scalar::String(text) => Value::String(text.into_owned()),
            },
        })
    }

    fn read_all(text: &str) -> Option<Value> {
        let mut reader = Reader::new(text);
        let value = tree(&mut reader).ok()?;
        (reader.position() == text.len()).then_some(value)
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for (text, at) in [
            ("", 0),
            ("{", 1),
            ("{\"a\" 1}", 5),
            ("{\"a\":1,}", 7),
            ("[1,]", 3),
            ("{'a':1}", 1),
            ("01", 1),
            ("-", 1),
            ("1.", 2),
            ("1e+", 3),
            ("+1", 0),
            ("NaN", 0),
            ("nul", 0),
            ("\"a", 2),
            ("\"a\tb\"", 2),
            ("\"\\x\"", 2),
            ("\"\\u12g4\"", 5),
            ("\"x\\n\u{1}\"", 4),
            ("\u{feff}{}", 0),
        ] {
            let skip: fn(&mut Reader<'_>) -> Result<()> = |reader| reader.skip();
            for read in [skip, |reader| tree(reader).map(|_| ())] {
                let error = read(&mut Reader::new(text)).unwrap_err();
                assert_eq!(error.at, at, "{text:?}: {}", error.what);
            }
        }
    }

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        assert_eq!(read_all(r#""\ud83d\ude00""#), Some("😀".into()));
        assert_eq!(read_all(r#""\ud83dx""#), Some("\u{fffd}x".into()));
        assert_eq!(read_all(r#""\ud83dA\ude00""#), Some("\u{fffd}A\u{fffd}".into()));
    }

    #[test]
    fn nesting_ends_at_128_levels() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(Reader::new(&nested(128)).skip().is_ok());
        assert!(Reader::new(&nested(129)).skip().unwrap_err().what.contains("128"));
        assert!(Reader::new(&"[".repeat(1_000_000)).skip().is_err());
    }

    proptest! {
        #[test]
        fn what_it_reads_is_what_serde_json_reads(text in "[\\[\\]{}:,\"\\\\ aeu0189.+-]{0,24}|[ -~]{0,12}") {
            let theirs = serde_json::from_str::<Value>(&text);
            let ours = read_all(&text);
            let only_ours = theirs.as_ref().is_err_and(|e| ["range", "surrogate", "hex escape"].iter().any(|w| e.to_string().contains(w)));
            prop_assert!(ours == theirs.ok() || only_ours, "{text}");
        }

        #[test]
        fn skipping_and_reading_end_at_the_same_byte(text in any::<String>()) {
            let (mut one, mut other) = (Reader::new(&text), Reader::new(&text));
            prop_assert_eq!(one.skip(), tree(&mut other).map(|_| ()));
            prop_assert_eq!(one.position(), other.position());
        }
    }
}

//! Going through JSON of which nothing is kept but where it lies. It knows the plain of it: at whatever is not (an escape,
//! a key twice, deep nesting, a mistake) it stops, and leaves the whole to `serde_json`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Deserializer;

/// So deep may what is gone through be nested; what goes deeper is read as a value, or refused.
pub(super) const MAX_DEPTH: usize = 64;
/// So many keys of one object are compared; an object of more is read as a value.
pub(super) const MAX_KEYS: usize = 32;

/// Keys that begin so mean something to `serde_json`.
pub(super) const SERDES_OWN: &str = "$serde_json::";

/// A place in a text.
pub(super) struct Cursor<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(json: &'a str) -> Self {
        Self { json, at: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        &self.json.as_bytes()[self.at..]
    }

    fn byte(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn blanks(&mut self) {
        while self.byte() == Some(b' ') {
            self.at += 1;
        }
    }

    fn next_is(&mut self, byte: u8) -> bool {
        let is = self.byte() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn word(&mut self, word: &str) -> bool {
        let is = self.rest().starts_with(word.as_bytes());
        self.at += if is { word.len() } else { 0 };
        is
    }

    /// Whether there is nothing more.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.space();
        self.at == self.json.len()
    }

    /// What lies between a quote, which is behind us, and the next, if it has no escapes.
    #[inline]
    fn plain_text(&mut self) -> Option<&'a str> {
        let begin = self.at;
        let length = plain_length(self.rest());
        self.at += length;
        self.next_is(b'"').then(|| &self.json[begin..begin + length])
    }

    /// A string, or null; an empty one counts as null.
    pub(super) fn text(&mut self) -> Option<Option<Cow<'a, str>>> {
        self.space();
        let begin = self.at;
        if !self.next_is(b'"') {
            return self.word("null").then_some(None);
        }
        let text = match self.plain_text() {
            Some(text) => Cow::Borrowed(text),
            None => {
                self.at = begin;
                Cow::Owned(self.any::<String>()?)
            }
        };
        Some((!text.is_empty()).then_some(text))
    }

    /// True, false or null.
    pub(super) fn flag(&mut self) -> Option<Option<bool>> {
        self.space();
        if self.word("true") {
            Some(Some(true))
        } else if self.word("false") {
            Some(Some(false))
        } else {
            self.word("null").then_some(None)
        }
    }

    /// Whether null is next, which is gone past.
    pub(super) fn is_null(&mut self) -> bool {
        self.space();
        self.word("null")
    }

    /// Any value, as serde reads it.
    pub(super) fn any<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let mut values = Deserializer::from_str(&self.json[self.at..]).into_iter::<T>();
        let value = values.next()?.ok()?;
        self.at += values.byte_offset();
        Some(value)
    }

    /// An object: `field` is asked for what belongs to each key, and goes past it.
    pub(super) fn object(&mut self, mut field: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.space();
        if !self.next_is(b'{') {
            return None;
        }
        self.space();
        if self.next_is(b'}') {
            return Some(());
        }
        loop {
            self.space();
            if !self.next_is(b'"') {
                return None;
            }
            let key = self.plain_text()?;
            self.space();
            if !self.next_is(b':') {
                return None;
            }
            field(self, key)?;
            self.space();
            if self.next_is(b'}') {
                return Some(());
            }
            if !self.next_is(b',') {
                return None;
            }
        }
    }

    /// The next value on one line, if it is plainly what a [`Value`](serde_json::Value) would be of it: without escapes,
    /// numbers that may be too large, deep nesting, many keys, or a key twice. Else the place is where it was.
    pub(super) fn plain_value(&mut self) -> Option<&'a str> {
        self.space();
        let begin = self.at;
        if self.go_past_plain().is_none() {
            self.at = begin;
            return None;
        }
        Some(&self.json[begin..self.at])
    }

    fn go_past_plain(&mut self) -> Option<()> {
        let (mut keys, mut known) = ([""; MAX_KEYS], 0);
        // Of each array and object that is open: where its keys begin, and whether it is an object.
        let (mut open, mut depth) = ([(0, false); MAX_DEPTH], 0);
        loop {
            self.blanks();
            match self.byte()? {
                bracket @ (b'{' | b'[') => {
                    self.at += 1;
                    let is_object = bracket == b'{';
                    *open.get_mut(depth)? = (known, is_object);
                    depth += 1;
                    self.blanks();
                    // The closing brackets are two behind the opening ones.
                    if self.byte() != Some(bracket + 2) {
                        if is_object {
                            self.key(&mut keys, known, &mut known)?;
                        }
                        continue;
                    }
                }
                b'"' => {
                    self.at += 1;
                    self.plain_text()?;
                }
                b'-' | b'0'..=b'9' => self.number()?,
                _ => (self.word("true") || self.word("false") || self.word("null")).then_some(())?,
            }
            // Behind a value.
            loop {
                let Some(innermost) = depth.checked_sub(1) else { return Some(()) };
                let (first, is_object) = open[innermost];
                self.blanks();
                match (self.byte()?, is_object) {
                    (b'}', true) | (b']', false) => {
                        self.at += 1;
                        (depth, known) = (innermost, first);
                    }
                    (b',', true) => {
                        self.at += 1;
                        self.blanks();
                        self.key(&mut keys, first, &mut known)?;
                        break;
                    }
                    (b',', false) => {
                        self.at += 1;
                        break;
                    }
                    _ => return None,
                }
            }
        }
    }

    /// A key that is not among those from `first` on, and its colon.
    fn key(&mut self, keys: &mut [&'a str; MAX_KEYS], first: usize, known: &mut usize) -> Option<()> {
        if !self.next_is(b'"') {
            return None;
        }
        let key = self.plain_text()?;
        if keys[first..*known].contains(&key) || key.starts_with(SERDES_OWN) {
            return None;
        }
        *keys.get_mut(*known)? = key;
        *known += 1;
        self.blanks();
        self.next_is(b':').then_some(())
    }

    /// A number without exponent. The largest that fits has 309 digits: none that comes near is plain.
    fn number(&mut self) -> Option<()> {
        let begin = self.at;
        self.next_is(b'-');
        let whole = self.digits();
        let first = self.json.as_bytes()[self.at - whole..].first();
        if whole == 0 || (whole > 1 && first == Some(&b'0')) {
            return None;
        }
        if self.next_is(b'.') && self.digits() == 0 {
            return None;
        }
        (!matches!(self.byte(), Some(b'e' | b'E')) && self.at - begin <= 300).then_some(())
    }

    fn digits(&mut self) -> usize {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        count
    }
}

/// How many bytes there are before the first that is a quote, a backslash or a control character.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
    // The top bit of each byte that is below `limit`, and maybe of bytes behind the first such.
    let below = |bytes: u64, limit: u8| bytes.wrapping_sub(ONES * u64::from(limit)) & !bytes & TOPS;
    let mut rest = bytes;
    while let Some((eight, behind)) = rest.split_first_chunk() {
        let eight = u64::from_le_bytes(*eight);
        let equal = |byte: u8| below(eight ^ (ONES * u64::from(byte)), 1);
        let found = below(eight, b' ') | equal(b'"') | equal(b'\\');
        if found != 0 {
            return bytes.len() - rest.len() + found.trailing_zeros() as usize / 8;
        }
        rest = behind;
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | ..b' ');
    bytes.len() - rest.len() + rest.iter().position(ends).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn is_plain(json: &str) -> bool {
        let mut cursor = Cursor::new(json);
        cursor.plain_value().is_some() && cursor.is_at_end()
    }

    #[test]
    fn what_is_plain_is_seen_at_once() {
        for (json, plain) in [
            (r#"{"a": 1, "b": {"a": [true, -0.5, "x: y"]}, "c" : {"a": null}}"#, true),
            (r#"["a", "a", {"a": "a"}, {"a": "a"}]"#, true),
            (r#"[[], {}, [ ], { }, 0, -0, 10.01]"#, true),
            (r#"{"a": {"b": 1, "b": 2}}"#, false),
            (r#"{"a": [1], "b": {}, "a": 2}"#, false),
            (r#"{"a" :1,"a" :2}"#, false),
            (r#"{"a": "\u0041"}"#, false),
            ("[1,]", false),
            (r#"{"a":1,}"#, false),
            (r#"{"a":1]"#, false),
            (r#"{"a" 1}"#, false),
            ("[01]", false),
            ("[-]", false),
            ("[1.]", false),
            ("[.5]", false),
            ("[1 2]", false),
            ("[nul]", false),
            ("[\"a\u{1}\"]", false),
            ("1e5", false),
            (&"9".repeat(400), false),
            (&"[".repeat(MAX_DEPTH + 1), false),
            ("", false),
            ("[", false),
        ] {
            assert_eq!(is_plain(json), plain, "{json}");
        }
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_plain(&nested(MAX_DEPTH)) && !is_plain(&nested(MAX_DEPTH + 1)));
        let keys = |count| format!("{{{}}}", (0..count).map(|n| format!("\"k{n}\":1")).collect::<Vec<_>>().join(","));
        assert!(is_plain(&keys(MAX_KEYS)) && !is_plain(&keys(MAX_KEYS + 1)));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            (-1e6..1e6f64).prop_map(Value::from),
            "[a-zé\u{7f}😀:,{}\\[\\] ]{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec(("[a-c]{0,9}", inner), 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn all_that_is_written_without_escapes_or_exponents_is_plain(json in any_json()) {
            prop_assert!(is_plain(&json.to_string()), "{}", json);
        }

        #[test]
        fn whatever_is_plain_is_json(json in any_json(), at: prop::sample::Index, with in "[\"{}\\[\\],:0-9.\\-a \\\\\u{1}\n]{0,2}", cut in 0..3_usize) {
            let json: Vec<char> = json.to_string().chars().collect();
            let at = at.index(json.len());
            let changed: String = json[..at].iter().copied().chain(with.chars()).chain(json[at..].iter().skip(cut).copied()).collect();
            if is_plain(&changed) {
                let read = serde_json::from_str::<Value>(&changed);
                prop_assert!(read.is_ok(), "{changed}: {read:?}");
                let value = Cursor::new(&changed).plain_value().unwrap();
                prop_assert!(!value.contains(|c: char| c < ' '));
            }
        }

        #[test]
        fn a_text_ends_where_its_first_unusual_byte_is(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), b'a'..=b'z'], 0..40)) {
            let expected = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' ')).unwrap_or(bytes.len());
            prop_assert_eq!(plain_length(&bytes), expected);
        }
    }
}

//! What a key may hold. Pure: from what a layer says to a value, within bounds.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::units::{parse_bytes, parse_duration};

/// Bytes of one text at most.
const MOST_TEXT: usize = 4_096;
/// Bytes of certificates at most: some ten of them.
const MOST_PEM: usize = 32 * 1024;
/// Texts in a list at most.
const MOST_TEXTS: usize = 64;
/// No interval needs to be longer, and sums of a few of them never overflow.
const LONGEST: Duration = Duration::from_secs(31 * 86_400);
const LARGEST: u64 = 64 << 30;

/// What may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A list of texts, or one text that may hold several between commas.
    Texts,
    /// A text such as `1h 30m`, at least this long and at most 31 days.
    Duration(Duration),
    /// A text such as `64MiB`, or a number of bytes; at least so many and at most 64 GiB.
    Size(u64),
    /// A whole number from 1 to this.
    Count(u32),
    /// `true` or `false`.
    Flag,
    /// An absolute or relative path of what may be made.
    Path,
    /// The path of a file that must be there.
    File,
    /// A text that is shown to nobody.
    Secret,
    /// Certificates as a text, in PEM.
    Pem,
}

/// What was written, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// [`Kind::Text`].
    Text(String),
    /// [`Kind::Texts`].
    Texts(Vec<String>),
    /// [`Kind::Duration`].
    Duration(Duration),
    /// [`Kind::Size`].
    Size(u64),
    /// [`Kind::Count`].
    Count(u32),
    /// [`Kind::Flag`].
    Flag(bool),
    /// [`Kind::Path`] and [`Kind::File`].
    Path(PathBuf),
    /// [`Kind::Secret`].
    Secret(Secret),
}

/// A text that is shown to nobody and does not stay in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Kind {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Texts => "a text or a list of texts",
            Self::Duration(_) => "a duration such as \"5m\"",
            Self::Size(_) => "a size such as \"64MiB\"",
            Self::Count(_) => "a whole number",
            Self::Flag => "true or false",
            Self::Path => "a path",
            Self::File => "the path of a file",
            Self::Secret => "a text",
            Self::Pem => "certificates in PEM",
        }
    }

    /// In a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Texts => "list of texts",
            Self::Duration(_) => "duration",
            Self::Size(_) => "size",
            Self::Count(_) => "number",
            Self::Flag => "true/false",
            Self::Path | Self::File => "path",
            Self::Secret => "secret text",
            Self::Pem => "PEM text",
        }
    }

    /// Reads what a layer says.
    pub fn read(self, written: &Json) -> Result<Value, String> {
        let text = || match written {
            Json::String(text) => bounded(text),
            _ => Err(format!("expected {}, not {}", self.words(), type_of(written))),
        };
        match self {
            Self::Text => text().map(|text| Value::Text(text.to_owned())),
            Self::Secret => text().map(|text| Value::Secret(Secret::new(text))),
            Self::Pem => match written {
                Json::String(pem) if pem.len() > MOST_PEM => Err(format!("more than {MOST_PEM} bytes")),
                Json::String(pem) => Ok(Value::Text(pem.clone())),
                _ => Err(format!("expected {}, not {}", self.words(), type_of(written))),
            },
            Self::Path | Self::File => text().map(|text| Value::Path(text.into())),
            Self::Texts => self.texts(written).map(Value::Texts),
            Self::Duration(least) => duration(text()?, least).map(Value::Duration),
            Self::Size(least) => match written {
                Json::Number(number) => number.as_u64().ok_or_else(|| "no number of bytes".into()),
                _ => parse_bytes(text()?),
            }
            .and_then(|size| within(size, least))
            .map(Value::Size),
            Self::Count(most) => match written {
                Json::Number(number) => count(number.as_u64(), most).map(Value::Count),
                _ => Err(format!("expected {}, not {}", self.words(), type_of(written))),
            },
            Self::Flag => match written {
                Json::Bool(flag) => Ok(Value::Flag(*flag)),
                _ => Err(format!("expected true or false, not {}", type_of(written))),
            },
        }
    }

    /// What is written after a flag, as a layer would say it.
    pub fn json(self, text: &str) -> Json {
        match self {
            Self::Count(_) => text.parse::<u32>().map_or_else(|_| Json::String(text.into()), Json::from),
            Self::Flag => text.parse().map_or_else(|_| Json::String(text.into()), Json::Bool),
            Self::Texts => split(text).map(Json::from).collect::<Vec<_>>().into(),
            _ => Json::String(text.into()),
        }
    }

    fn texts(self, written: &Json) -> Result<Vec<String>, String> {
        let wrong = |other: &Json| format!("expected {}, not {}", self.words(), type_of(other));
        let mut texts = Vec::new();
        let items = match written {
            Json::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        for item in items {
            let Json::String(text) = item else { return Err(wrong(item)) };
            texts.extend(split(bounded(text)?).map(str::to_owned));
            if texts.len() > MOST_TEXTS {
                return Err(format!("more than {MOST_TEXTS} entries"));
            }
        }
        if texts.is_empty() { Err("it is empty".into()) } else { Ok(texts) }
    }
}

impl Value {
    /// The same text for the same value, however it was written.
    pub fn canonical(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Texts(texts) => texts.join(","),
            Self::Duration(duration) => format!("{}ms", duration.as_millis()),
            Self::Size(size) => size.to_string(),
            Self::Count(count) => count.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Path(path) => path.display().to_string(),
            Self::Secret(secret) => secret.expose().to_owned(),
        }
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|text| !text.is_empty())
}

fn bounded(text: &str) -> Result<&str, String> {
    match text.len() {
        0 => Err("it is empty".into()),
        1..=MOST_TEXT => Ok(text),
        _ => Err(format!("more than {MOST_TEXT} bytes")),
    }
}

fn duration(text: &str, least: Duration) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration < least {
        return Err(format!("{text:?} is too short: at least {least:?}"));
    }
    if duration > LONGEST { Err(format!("{text:?} is too long: at most 31 days")) } else { Ok(duration) }
}

fn within(size: u64, least: u64) -> Result<u64, String> {
    if size < least {
        return Err(format!("{size} bytes are too few: at least {}MiB", least >> 20));
    }
    if size > LARGEST { Err(format!("{size} bytes are too many: at most 64GiB")) } else { Ok(size) }
}

fn count(number: Option<u64>, most: u32) -> Result<u32, String> {
    let count = number.and_then(|number| u32::try_from(number).ok()).filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| format!("expected a whole number from 1 to {most}"))
}

fn type_of(written: &Json) -> &'static str {
    match written {
        Json::Null => "nothing",
        Json::Bool(_) => "true or false",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_read_and_wrong_ones_said() {
        let second = Kind::Duration(Duration::from_secs(1));
        for (kind, written, canonical) in [
            (Kind::Text, json!("x"), "x"),
            (Kind::Texts, json!("a, b,"), "a,b"),
            (Kind::Texts, json!(["a", "b,c"]), "a,b,c"),
            (second, json!("1m 30s"), "90000ms"),
            (Kind::Size(1), json!("2MiB"), "2097152"),
            (Kind::Size(1), json!(7), "7"),
            (Kind::Count(9), json!(9), "9"),
            (Kind::Flag, json!(false), "false"),
            (Kind::File, json!("/x"), "/x"),
            (Kind::Secret, json!("x"), "x"),
            (Kind::Pem, json!("x".repeat(5_000)), &"x".repeat(5_000)),
        ] {
            assert_eq!(kind.read(&written).unwrap().canonical(), canonical, "{kind:?}");
        }
        for (kind, written, said) in [
            (Kind::Text, json!(5), "expected a text, not a number"),
            (Kind::Text, json!(""), "empty"),
            (Kind::Text, json!("x".repeat(5_000)), "more than 4096"),
            (Kind::Texts, json!([]), "empty"),
            (Kind::Texts, json!([["a"]]), "not a list"),
            (Kind::Texts, json!(vec!["a"; 65]), "more than 64"),
            (second, json!(300), "expected a duration such as \"5m\", not a number"),
            (second, json!("1ms"), "at least 1s"),
            (second, json!("90000h"), "at most 31 days"),
            (Kind::Size(1 << 20), json!(1), "at least 1MiB"),
            (Kind::Size(1 << 20), json!("65GiB"), "at most 64GiB"),
            (Kind::Size(1), json!(-1), "no number of bytes"),
            (Kind::Count(9), json!(0), "from 1 to 9"),
            (Kind::Count(9), json!(10), "from 1 to 9"),
            (Kind::Count(9), json!(1.5), "from 1 to 9"),
            (Kind::Count(9), json!("9"), "a whole number, not a text"),
            (Kind::Flag, json!(1), "expected true or false, not a number"),
            (Kind::Path, json!({}), "expected a path, not a table"),
            (Kind::Pem, json!(5), "expected certificates in PEM, not a number"),
            (Kind::Pem, json!("x".repeat(40_000)), "more than 32768"),
        ] {
            let error = kind.read(&written).unwrap_err();
            assert!(error.contains(said), "{kind:?}: {error}");
        }
    }
}

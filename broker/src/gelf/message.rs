//! A message, built.

use jiff::Timestamp;
use serde_json::{Map, Number, Value};

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The machine that it is about.
    pub host: String,
    /// What it says, in short.
    pub short_message: String,
    /// What it says at length.
    pub full_message: Option<String>,
    /// When it happened.
    pub time: Timestamp,
    /// How bad it is, as syslog counts: 0 is the worst, 7 the least.
    pub level: u8,
    /// Fields of one's own, without the underscore that they are sent with.
    pub fields: Map<String, Value>,
}

/// A field that GELF has no room for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// GELF has letters, digits, `_`, `.` and `-` for names.
    #[error("{0:?} is no name of a field: letters, digits, _, . and - only")]
    Name(String),
    /// Graylog keeps its own id there.
    #[error("a field cannot be named id: Graylog has its own there")]
    Id,
}

impl Message {
    /// As it is sent. Values that are neither texts nor numbers are their JSON; null is no field.
    pub fn to_value(&self) -> Result<Value, FieldError> {
        let mut map = Map::from_iter([
            ("version".to_owned(), Value::from("1.1")),
            ("host".to_owned(), self.host.as_str().into()),
            ("short_message".to_owned(), self.short_message.as_str().into()),
            ("timestamp".to_owned(), seconds(self.time)),
            ("level".to_owned(), self.level.into()),
        ]);
        map.extend(self.full_message.as_ref().map(|text| ("full_message".to_owned(), text.as_str().into())));
        for (name, value) in self.fields.iter().filter(|(_, value)| !value.is_null()) {
            let value = match value {
                Value::String(_) | Value::Number(_) => value.clone(),
                other => other.to_string().into(),
            };
            map.insert(field(name)?, value);
        }
        Ok(Value::Object(map))
    }
}

/// Seconds since 1970 with milliseconds: a number whose decimals are exact.
fn seconds(time: Timestamp) -> Value {
    let millis = time.as_millisecond();
    let (sign, millis) = (if millis < 0 { "-" } else { "" }, millis.unsigned_abs());
    let text = format!("{sign}{}.{:03}", millis / 1000, millis % 1000);
    text.parse::<f64>().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

/// The name with its underscore, where it matches `[\w.-]+`.
fn field(name: &str) -> Result<String, FieldError> {
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    match name {
        "id" => Err(FieldError::Id),
        name if is_name => Ok(format!("_{name}")),
        name => Err(FieldError::Name(name.to_owned())),
    }
}

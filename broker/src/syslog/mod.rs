//! Syslog messages (RFC 5424, and the older form that RFC 3164 describes): parsed and built, for whoever takes or sends
//! them. Pure; how messages follow one another on a connection is in [`crate::framing`].
//!
//! What a sender gets wrong costs it no message: one with a header of RFC 5424 and structured data that is none is taken
//! with all of that as its text, and says so. Only what does not begin with a priority is no message.

mod legacy;
mod parse;
mod priority;
mod write;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub use parse::{ParseError, parse};
pub use priority::{FACILITIES, Priority, SEVERITIES, facility, severity};
pub use write::HeaderTooLong;

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// RFC 5424.
    Rfc5424,
    /// What was before it, as RFC 3164 found it.
    Rfc3164,
}

/// A message. What it does not say (NILVALUE in RFC 5424) is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is about, and how bad it is.
    pub priority: Priority,
    /// How it was written.
    pub form: Form,
    /// When it was made, where it says so in full.
    pub time: Option<Timestamp>,
    /// When it was made, as it says it itself without a year or a zone: `Oct 11 22:14:15`.
    pub said_time: Option<String>,
    /// The machine that made it.
    pub hostname: Option<String>,
    /// The program; TAG in RFC 3164.
    pub app_name: Option<String>,
    /// The process, mostly by its number.
    pub procid: Option<String>,
    /// What kind of message it is.
    pub msgid: Option<String>,
    /// Structured data, in its order.
    pub structured_data: Vec<Element>,
    /// What it says.
    pub text: String,
    /// What is wrong with how it is written.
    pub problem: Option<&'static str>,
}

/// An element of structured data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// SD-ID, such as `origin` or `exampleSDID@32473`.
    pub id: String,
    /// Names and values, without escapes; a name may be there several times.
    pub params: Vec<(String, String)>,
}

impl Message {
    /// A message of which nothing is known but its priority.
    pub fn new(priority: Priority, form: Form) -> Self {
        Self {
            priority,
            form,
            time: None,
            said_time: None,
            hostname: None,
            app_name: None,
            procid: None,
            msgid: None,
            structured_data: Vec::new(),
            text: String::new(),
            problem: None,
        }
    }

    /// As maps see it: `facility`, `severity`, `level` (the severity as a number), `time`, `said_time`, `hostname`,
    /// `app_name`, `procid`, `msgid`, `structured_data` (objects by SD-ID; a name that is there several times has an
    /// array), `message`, `format` and `problem`. What it does not say is left out.
    pub fn to_value(&self) -> Value {
        let mut map = Map::from_iter([
            ("format".to_owned(), json!(if self.form == Form::Rfc5424 { "rfc5424" } else { "rfc3164" })),
            ("facility".to_owned(), self.priority.facility_word().into()),
            ("severity".to_owned(), self.priority.severity_word().into()),
            ("level".to_owned(), self.priority.severity().into()),
            ("message".to_owned(), self.text.as_str().into()),
        ]);
        let said = [
            ("time", self.time.map(|time| emote_proto::Time::from(time).to_string())),
            ("said_time", self.said_time.clone()),
            ("hostname", self.hostname.clone()),
            ("app_name", self.app_name.clone()),
            ("procid", self.procid.clone()),
            ("msgid", self.msgid.clone()),
            ("problem", self.problem.map(str::to_owned)),
        ];
        map.extend(said.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))));
        if !self.structured_data.is_empty() {
            let mut elements = Map::new();
            for element in &self.structured_data {
                let held = elements.entry(element.id.as_str()).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(params) = held {
                    element.params.iter().for_each(|(name, value)| add(params, name, value));
                }
            }
            map.insert("structured_data".to_owned(), Value::Object(elements));
        }
        Value::Object(map)
    }
}

fn add(params: &mut Map<String, Value>, name: &str, value: &str) {
    match params.get_mut(name) {
        None => drop(params.insert(name.to_owned(), value.into())),
        Some(Value::Array(several)) => several.push(value.into()),
        Some(one) => *one = json!([one.take(), value]),
    }
}

/// The messages of a text, at least one: each begins with its priority at the beginning of a line, and other lines belong to
/// the message before them.
pub fn messages(text: &[u8]) -> Vec<&[u8]> {
    let begins = |at: usize| text[at] == b'<' && text.get(at + 1).is_some_and(u8::is_ascii_digit);
    let starts = (1..text.len()).filter(|at| text[at - 1] == b'\n' && begins(*at));
    let starts: Vec<usize> = std::iter::once(0).chain(starts).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).map(|(start, end)| &text[*start..end]).collect()
}

#[cfg(test)]
mod tests;

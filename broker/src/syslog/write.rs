//! From a message to the bytes of RFC 5424. What a field cannot hold is replaced or cut, never sent as it is: one space too
//! many would move every field behind it.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::Message;

/// Longest fields in characters (RFC 5424, section 6).
const HOSTNAME: usize = 255;
const APP_NAME: usize = 48;
const PROCID: usize = 128;
const MSGID: usize = 32;
const SD_NAME: usize = 32;

/// There is no room for anything that the message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("header and structured data are {0} bytes: raise `max_size`")]
pub struct HeaderTooLong(pub usize);

impl Message {
    /// The message as RFC 5424 has it, in at most `most` bytes: a text that is longer is cut between two characters. Says
    /// too how many bytes it would have, where it was cut.
    pub fn write(&self, most: usize) -> Result<(String, Option<usize>), HeaderTooLong> {
        let mut line = self.header();
        if self.text.is_empty() && line.len() <= most {
            return Ok((line, None));
        }
        line.push(' ');
        if !self.text.is_ascii() {
            // Section 6.4: what is UTF-8 begins so.
            line.push('\u{feff}');
        }
        let room = most.checked_sub(line.len()).filter(|room| *room > 0).ok_or(HeaderTooLong(line.len()))?;
        let whole = line.len() + self.text.len();
        let cut = self.text.floor_char_boundary(room);
        line.push_str(&self.text[..cut]);
        Ok((line, (whole > most).then_some(whole)))
    }

    fn header(&self) -> String {
        let field =
            |value: &Option<String>, most| value.as_deref().map_or_else(|| "-".to_owned(), |it| plain(it, most));
        let mut line = format!(
            "<{}>1 {} {} {} {} {} ",
            self.priority.number(),
            self.time.map_or_else(|| "-".to_owned(), time),
            field(&self.hostname, HOSTNAME),
            field(&self.app_name, APP_NAME),
            field(&self.procid, PROCID),
            field(&self.msgid, MSGID)
        );
        if self.structured_data.is_empty() {
            line.push('-');
        }
        for element in &self.structured_data {
            line.push('[');
            line.push_str(&name(&element.id));
            for (param, value) in &element.params {
                // Writing to a text cannot fail.
                let _ = write!(line, " {}=\"{}\"", name(param), escaped(value));
            }
            line.push(']');
        }
        line
    }
}

/// With microseconds at most, as section 6.2.3 has it.
fn time(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// PRINTUSASCII of at most so many characters; what is none is `_`, and nothing at all the NILVALUE.
fn plain(text: &str, most: usize) -> String {
    let text: String = text.chars().take(most).map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

/// SD-NAME.
fn name(text: &str) -> String {
    plain(text, SD_NAME).replace(['=', ']', '"'], "_")
}

/// PARAM-VALUE.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

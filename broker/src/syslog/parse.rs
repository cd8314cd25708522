//! From bytes to a message: the priority, then RFC 5424 where the version and a header of that form follow, else what
//! was before it.

use jiff::Timestamp;

use super::{Element, Form, Message, Priority, legacy};

/// Version and separator with which everything of RFC 5424 goes on behind the priority.
const VERSION: &str = "1 ";
/// Stands for what is not said (RFC 5424, section 6).
const NIL: &str = "-";
const BOM: char = '\u{feff}';

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// There is nothing in it.
    #[error("there is nothing in it")]
    Empty,
    /// It does not begin as every message does.
    #[error("it does not begin with a priority from <0> to <191>")]
    NoPriority,
}

/// Reads one message, without its frame. Trailers (LF, CR, NUL) that were left at its end are not part of it; what is no
/// UTF-8 is replaced.
pub fn parse(bytes: &[u8]) -> Result<Message, ParseError> {
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |last| last + 1);
    let text = String::from_utf8_lossy(&bytes[..end]);
    if text.is_empty() {
        return Err(ParseError::Empty);
    }
    let (priority, rest) = priority(&text).ok_or(ParseError::NoPriority)?;
    let rfc5424 = rest.strip_prefix(VERSION).and_then(|rest| rfc5424(priority, rest));
    Ok(rfc5424.unwrap_or_else(|| legacy::parse(priority, rest)))
}

/// PRI: one to three digits between angle brackets.
fn priority(text: &str) -> Option<(Priority, &str)> {
    let (number, rest) = text.strip_prefix('<')?.split_once('>')?;
    let is_number = (1..=3).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    let priority = is_number.then(|| number.parse().ok()).flatten().and_then(Priority::of_number)?;
    Some((priority, rest))
}

/// What follows the version; none where that is no header of RFC 5424, section 6.2.
fn rfc5424(priority: Priority, rest: &str) -> Option<Message> {
    let mut fields = rest.splitn(6, ' ');
    let mut next = || fields.next().filter(|field| !field.is_empty());
    let time = next()?;
    let time = if time == NIL { None } else { Some(timestamp(time)?) };
    let mut said = || Some(next()?.to_owned());
    let (hostname, app_name, procid, msgid) = (said()?, said()?, said()?, said()?);
    let behind = fields.next().unwrap_or_default();
    let (structured_data, text, problem) = match structured_data(behind) {
        Ok((elements, text)) => (elements, text, None),
        Err(problem) => (Vec::new(), behind, Some(problem)),
    };
    let text = text.strip_prefix(BOM).unwrap_or(text).to_owned();
    let said = |field: String| Some(field).filter(|field| field != NIL);
    Some(Message {
        time,
        hostname: said(hostname),
        app_name: said(app_name),
        procid: said(procid),
        msgid: said(msgid),
        structured_data,
        text,
        problem,
        ..Message::new(priority, Form::Rfc5424)
    })
}

/// TIMESTAMP of RFC 5424, section 6.2.3: RFC 3339 with a capital T.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    let is_one = text.starts_with(|c: char| c.is_ascii_digit()) && text.contains('T');
    is_one.then(|| text.parse().ok()).flatten()
}

/// STRUCTURED-DATA (section 6.3), and MSG behind it.
fn structured_data(text: &str) -> Result<(Vec<Element>, &str), &'static str> {
    const NONE: &str = "there is no structured data, nor the - that stands for none";
    if let Some(rest) = text.strip_prefix(NIL) {
        return Ok((Vec::new(), message(rest).ok_or(NONE)?));
    }
    let (mut elements, mut rest) = (Vec::new(), text);
    while let Some(inner) = rest.strip_prefix('[') {
        let (element, behind) = element(inner)?;
        elements.push(element);
        rest = behind;
    }
    if elements.is_empty() {
        return Err(NONE);
    }
    Ok((elements, message(rest).ok_or("structured data: something other than a space follows its end")?))
}

/// What stands behind structured data: nothing, or a space and the message.
fn message(rest: &str) -> Option<&str> {
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(' ') }
}

/// An element whose bracket was opened, and what follows it.
fn element(text: &str) -> Result<(Element, &str), &'static str> {
    let (id, mut rest) = name(text, "structured data: an element has no name")?;
    let mut params = Vec::new();
    loop {
        rest = rest.trim_start_matches(' ');
        if let Some(behind) = rest.strip_prefix(']') {
            return Ok((Element { id: id.to_owned(), params }, behind));
        }
        let (name, behind) = name(rest, "structured data: an element is not closed")?;
        let behind = behind.strip_prefix("=\"").ok_or("structured data: a name without a value in quotes")?;
        let (value, behind) = value(behind)?;
        params.push((name.to_owned(), value));
        rest = behind;
    }
}

/// SD-NAME: anything visible but `=`, `]`, `"` and space.
fn name<'a>(text: &'a str, problem: &'static str) -> Result<(&'a str, &'a str), &'static str> {
    let end = text.find(|c: char| !c.is_ascii_graphic() || matches!(c, '=' | ']' | '"')).unwrap_or(text.len());
    if end == 0 { Err(problem) } else { Ok(text.split_at(end)) }
}

/// PARAM-VALUE whose quote was opened. A backslash escapes `"`, `\` and `]`, and is itself before anything else.
fn value(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next_if(|(_, next)| matches!(next, '"' | '\\' | ']')) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push('\\'),
            },
            c => value.push(c),
        }
    }
    Err("structured data: a value is not closed")
}

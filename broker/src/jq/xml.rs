//! XML as JSON.
//!
//! `<a id="1"><b>x</b><b>y</b><c/></a>` is `{"a":{"@id":"1","b":["x","y"],"c":""}}`: an element without attributes and
//! children is its text, another is an object; attributes are `@name`, text beside them `#text`; elements of one name
//! become an array once there are two. Names keep their prefix. Text loses the white space around it.
//!
//! Never expanded: document types are refused, and only the five entities of XML and character references are known.

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};
use serde_json::{Map, Value};

/// Elements may stand this deep in one another.
const MAX_DEPTH: usize = 64;
/// Attributes of one element.
const MAX_ATTRIBUTES: usize = 128;

/// Why bytes are no XML that is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct XmlError {
    line: usize,
    column: usize,
    problem: String,
}

#[derive(Default)]
struct Element {
    name: String,
    members: Map<String, Value>,
    text: String,
}

/// Reads a document into `{root name: content}`.
pub fn parse(bytes: &[u8]) -> Result<Value, XmlError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| at(bytes, error.valid_up_to(), "not UTF-8; declare and send UTF-8".to_owned()))?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let place = |position| usize::try_from(position).unwrap_or(bytes.len());
    // The element at the bottom is the document itself.
    let mut open = vec![Element::default()];
    loop {
        let event =
            reader.read_event().map_err(|error| at(bytes, place(reader.error_position()), error.to_string()))?;
        if event == Event::Eof {
            break;
        }
        take(&mut open, event).map_err(|problem| at(bytes, place(reader.buffer_position()), problem))?;
    }
    match (open.pop(), open.is_empty()) {
        (Some(document), true) if !document.members.is_empty() => Ok(Value::Object(document.members)),
        (Some(_), true) => Err(at(bytes, bytes.len(), "no element".to_owned())),
        _ => Err(at(bytes, bytes.len(), "the document ends inside an element".to_owned())),
    }
}

fn take(open: &mut Vec<Element>, event: Event<'_>) -> Result<(), String> {
    match event {
        Event::Start(_) if open.len() > MAX_DEPTH => Err(format!("more than {MAX_DEPTH} elements in one another")),
        Event::Start(_) if open.len() == 1 && open.iter().any(|document| !document.members.is_empty()) => {
            Err("a second root element".to_owned())
        }
        Event::Start(start) => {
            open.push(Element::new(&start)?);
            Ok(())
        }
        Event::End(_) => {
            let (Some(element), Some(parent)) = (open.pop(), open.last_mut()) else {
                return Err("an end tag without its start".to_owned());
            };
            let name = element.name.clone();
            add(&mut parent.members, name, element.content());
            Ok(())
        }
        Event::Text(text) => push_text(open, &text.xml10_content()),
        Event::CData(data) => push_text(open, &data.xml10_content()),
        Event::GeneralRef(reference) => {
            let resolved = match reference.resolve_char_ref() {
                Ok(Some(char)) => Some(char.to_string()),
                Ok(None) => quick_xml::escape::resolve_xml_entity(&reference.xml10_content()).map(str::to_owned),
                Err(_) => None,
            };
            push_text(open, &resolved.ok_or("an entity that is none of XML's own five")?)
        }
        Event::DocType(_) => Err("a document type: send the document without <!DOCTYPE …>".to_owned()),
        Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Eof => Ok(()),
    }
}

impl Element {
    fn new(start: &BytesStart<'_>) -> Result<Self, String> {
        let mut members = Map::new();
        // The reader's own check for repeats compares each with each: the map's keys do it here.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value = attribute.normalized_value(XmlVersion::default()).map_err(|error| error.to_string())?;
            let key = format!("@{}", attribute.key.as_ref());
            if members.insert(key, Value::from(value.into_owned())).is_some() || members.len() > MAX_ATTRIBUTES {
                return Err(format!("an attribute stands twice, or there are more than {MAX_ATTRIBUTES}"));
            }
        }
        Ok(Self { name: start.name().as_ref().to_owned(), members, text: String::new() })
    }

    fn content(mut self) -> Value {
        let text = self.text.trim();
        if self.members.is_empty() {
            return Value::from(text);
        }
        if !text.is_empty() {
            self.members.insert("#text".to_owned(), Value::from(text));
        }
        Value::Object(self.members)
    }
}

fn push_text(open: &mut [Element], text: &str) -> Result<(), String> {
    match open {
        [] | [_] if text.trim().is_empty() => Ok(()),
        [] | [_] => Err("text outside the root element".to_owned()),
        [.., element] => {
            element.text.push_str(text);
            Ok(())
        }
    }
}

fn add(members: &mut Map<String, Value>, name: String, content: Value) {
    match members.get_mut(&name) {
        None => {
            members.insert(name, content);
        }
        Some(Value::Array(items)) => items.push(content),
        Some(first) => {
            let first_content = first.take();
            *first = Value::Array(vec![first_content, content]);
        }
    }
}

fn at(bytes: &[u8], offset: usize, problem: String) -> XmlError {
    let before = &bytes[..offset.min(bytes.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    XmlError { line, column, problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn elements_become_members() {
        for (xml, value) in [
            (r#"<a id="1"><b>x</b><b>y</b><c/></a>"#, json!({"a": {"@id": "1", "b": ["x", "y"], "c": ""}})),
            ("<?xml version=\"1.0\"?>\n<!-- c --><a>1 &lt; 2 &#x41;</a>\n", json!({"a": "1 < 2 A"})),
            ("<a><![CDATA[<b>]]></a>", json!({"a": "<b>"})),
            (
                r#"<a t="&quot;x&quot;"> text <b/> more </a>"#,
                json!({"a": {"@t": "\"x\"", "b": "", "#text": "text  more"}}),
            ),
            ("<s:a xmlns:s=\"u\"><s:b>1</s:b></s:a>", json!({"s:a": {"@xmlns:s": "u", "s:b": "1"}})),
            ("<a><b>1</b><b>2</b><b>3</b></a>", json!({"a": {"b": ["1", "2", "3"]}})),
        ] {
            assert_eq!(parse(xml.as_bytes()), Ok(value), "{xml}");
        }
    }

    #[test]
    fn what_is_not_taken_says_where_and_why() {
        for (xml, said) in [
            ("", "no element"),
            ("text", "text outside"),
            ("<a>\n  <b>\n</a>", "line 3"),
            ("<a>", "ends inside"),
            ("<a/><b/>", "second root"),
            ("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "document type"),
            ("<a>&x;</a>", "entity"),
            ("<a b=\"1\" b=\"2\"/>", "twice"),
            ("<a b=\"&x;\"/>", "line 1"),
        ] {
            let error = parse(xml.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(said), "{xml}: {error}");
        }
        assert!(parse(b"<a>\xff</a>").unwrap_err().to_string().contains("column 4: not UTF-8"));
    }
}

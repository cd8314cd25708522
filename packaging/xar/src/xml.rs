//! The few XML documents of a package, as trees: bounded, without document types and entities.

use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::bytes::{Bytes, Malformed};

/// Deeper and more than any document of a package.
const MOST_DEPTH: usize = 16;
const MOST_ELEMENTS: usize = 4096;

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    attributes: BTreeMap<String, String>,
    text: String,
    /// The elements in it, in their order.
    pub children: Vec<Element>,
}

impl Element {
    /// An attribute's value; empty where it is not written.
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// The text in it, without the white space around it.
    pub fn text(&self) -> &str {
        self.text.trim()
    }

    /// The elements of a name in it.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The one element of a name in it; none where there are several.
    pub fn one<'a>(&'a self, name: &'a str) -> Option<&'a Element> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }
}

/// The root element of a document. `format` is for what is wrong with it.
pub fn parse(format: &'static str, document: &[u8]) -> Result<Element, Malformed> {
    let bytes = Bytes::new(format, document);
    let text = std::str::from_utf8(document).map_err(|_| bytes.wrong("not UTF-8"))?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let (mut open, mut elements) = (vec![Element::default()], 0);
    loop {
        let event = reader.read_event();
        let here = bytes.at(usize::try_from(reader.buffer_position()).unwrap_or_default().min(document.len()))?;
        let event = event.map_err(|error| here.wrong(error.to_string()))?;
        elements += 1;
        if event == Event::Eof {
            break;
        }
        if elements > MOST_ELEMENTS || open.len() > MOST_DEPTH {
            return Err(here.wrong("more elements than may be"));
        }
        take(&mut open, event).map_err(|what| here.wrong(what))?;
    }
    let end = bytes.at(document.len())?;
    let document = open.pop().filter(|_| open.is_empty()).ok_or_else(|| end.wrong("it ends inside an element"))?;
    let mut roots = document.children.into_iter();
    roots.next().filter(|_| roots.next().is_none()).ok_or_else(|| end.wrong("one root element is expected"))
}

fn take(open: &mut Vec<Element>, event: Event<'_>) -> Result<(), String> {
    let Some(current) = open.last_mut() else { return Err("an end tag without its start".into()) };
    match event {
        Event::Start(start) => open.push(element(&start)?),
        Event::End(_) => {
            let (Some(element), Some(parent)) = (open.pop(), open.last_mut()) else {
                return Err("an end tag without its start".into());
            };
            parent.children.push(element);
        }
        Event::Text(text) => current.text.push_str(&text.xml10_content()),
        Event::GeneralRef(reference) => {
            let name = reference.xml10_content();
            let known = quick_xml::escape::resolve_xml_entity(&name);
            current.text.push_str(known.ok_or("an entity that is none of XML's own five")?);
        }
        Event::Decl(_) | Event::Comment(_) => {}
        _ => return Err("a document type, CDATA or an instruction".into()),
    }
    Ok(())
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let mut element = Element { name: start.name().as_ref().to_owned(), ..Element::default() };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute.normalized_value(XmlVersion::default()).map_err(|error| error.to_string())?;
        element.attributes.insert(attribute.key.as_ref().to_owned(), value.into_owned());
    }
    Ok(element)
}

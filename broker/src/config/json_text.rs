//! A value of a YAML document as JSON text: keys in their order, numbers as they are written.
//!
//! So a pattern means in YAML what it means in JSON, where order, repeated paths and each digit count; a tree of values
//! would lose them. What YAML's versions read differently (`on`, `010`) is refused, as is what JSON has no word for.
//! "In YAML" of `PATTERNS.md` says how each value is read.

use std::{borrow::Cow, collections::HashMap, rc::Rc};

use emote_rules::Step;
use granit_parser::{Event, Parser, ScalarStyle, Tag};
use serde::de::IgnoredAny;

/// Deepest nesting; that of a pattern.
const MAX_DEPTH: usize = 128;
/// Longest JSON text in bytes: a few aliases can stand for very much.
const MAX_JSON: usize = 16 * 1024 * 1024;
const MERGE: &str = "<<";

/// What cannot be said in JSON, or not surely.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotJson {
    /// The way to it from the document.
    pub(super) steps: Vec<Step>,
    /// What is wrong and what would do.
    pub(super) message: String,
}

/// The value of a key of the document, which is known to be YAML; nothing if no such key is written in it.
pub(super) fn of_key(yaml: &str, key: &str) -> Option<Result<String, NotJson>> {
    let Node::Mapping(members) = &*document(yaml)?.node else { return None };
    let (_, value) = members.iter().find(|(name, _)| matches!(name, Key::Text(name) if name == key))?;
    let mut writer = Writer { json: String::new(), steps: vec![Step::Key(key.to_owned())] };
    Some(match writer.write(&value.node) {
        Ok(()) => Ok(writer.json),
        Err(message) => Err(NotJson { steps: writer.steps, message }),
    })
}

/// What a value of the document is. What aliases stand for is shared.
#[derive(Debug)]
enum Node {
    /// A string, number, boolean or null as JSON text.
    Scalar(String),
    Sequence(Vec<Built>),
    Mapping(Vec<(Key, Built)>),
    /// What is no JSON, with what would do; it matters only where it is used.
    Refused(String),
}

#[derive(Debug)]
enum Key {
    Text(String),
    /// `<<`, which takes keys from elsewhere.
    Merge,
    NoText,
}

/// A value that is complete.
#[derive(Debug, Clone)]
struct Built {
    node: Rc<Node>,
    /// How many levels it has, those behind aliases counted.
    depth: usize,
}

/// A sequence or mapping whose end was not seen yet.
struct Open {
    anchor: usize,
    tag: Option<String>,
    mapping: bool,
    /// The key whose value comes next.
    key: Option<Key>,
    keys: Vec<Key>,
    values: Vec<Built>,
}

/// The root of the first document.
fn document(yaml: &str) -> Option<Built> {
    let mut anchors: HashMap<usize, Built> = HashMap::new();
    let mut open: Vec<Open> = Vec::new();
    let mut parser = Parser::new_from_str(yaml);
    loop {
        let (event, _) = parser.next_event()?.ok()?;
        let (anchor, built, text) = match event {
            Event::MappingStart(_, anchor, tag) => {
                open.push(Open::new(anchor, tag.as_deref(), true));
                continue;
            }
            Event::SequenceStart(_, anchor, tag) => {
                open.push(Open::new(anchor, tag.as_deref(), false));
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                let ended = open.pop()?;
                (ended.anchor, ended.close(open.is_empty()), None)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let built = Built::scalar(&text, style, tag.as_deref());
                (anchor, built, Some((text, style)))
            }
            Event::Alias(id) => {
                // One inside of what it stands for has no value yet.
                let inside = || Built::refused("an alias inside of what it stands for: write the value itself");
                (0, anchors.get(&id).cloned().unwrap_or_else(inside), None)
            }
            Event::DocumentEnd | Event::StreamEnd => return None,
            _ => continue,
        };
        if anchor != 0 {
            anchors.insert(anchor, built.clone());
        }
        match open.last_mut() {
            None => return Some(built),
            Some(open) if open.mapping && open.key.is_none() => open.key = Some(Key::new(text, &built)),
            Some(open) => {
                open.keys.extend(open.key.take());
                open.values.push(built);
            }
        }
    }
}

impl Open {
    fn new(anchor: usize, tag: Option<&Tag>, mapping: bool) -> Self {
        let own = if mapping { "map" } else { "seq" };
        let tag = tag.filter(|tag| !tag.is_yaml_core_schema_tag(own)).map(Tag::original);
        Self { anchor, tag, mapping, key: None, keys: Vec::new(), values: Vec::new() }
    }

    fn close(self, is_document: bool) -> Built {
        let depth = 1 + self.values.iter().map(|value| value.depth).max().unwrap_or(0);
        if let Some(tag) = self.tag {
            return Built::tagged(&tag);
        }
        if depth > MAX_DEPTH && !is_document {
            // So that no tree is ever deep, not even to be taken apart.
            return Built::refused(format!("nested too deeply: at most {MAX_DEPTH} levels"));
        }
        let node = match self.mapping {
            true => Node::Mapping(self.keys.into_iter().zip(self.values).collect()),
            false => Node::Sequence(self.values),
        };
        Built { node: Rc::new(node), depth }
    }
}

impl Key {
    /// Keys are texts however they look; `text` is there if it is written as a scalar.
    fn new(text: Option<(Cow<'_, str>, ScalarStyle)>, value: &Built) -> Self {
        match (text, &*value.node) {
            (Some((text, ScalarStyle::Plain)), _) if text == MERGE => Self::Merge,
            (Some((text, _)), _) => Self::Text(text.into_owned()),
            (None, _) => Self::NoText,
        }
    }
}

impl Built {
    fn leaf(node: Node) -> Self {
        Self { node: Rc::new(node), depth: 0 }
    }

    fn refused(message: impl Into<String>) -> Self {
        Self::leaf(Node::Refused(message.into()))
    }

    fn tagged(tag: &str) -> Self {
        Self::refused(format!("the tag {tag} means nothing here: leave it out, and put a text in quotes"))
    }

    fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Self {
        match tag {
            Some(tag) if !tag.is_yaml_core_schema_tag("str") => Self::tagged(&tag.original()),
            None if style == ScalarStyle::Plain => plain(text),
            _ => Self::leaf(Node::Scalar(quoted(text))),
        }
    }
}

/// A scalar without quotes, as YAML 1.2 reads it: where 1.1 or JSON would read something else, that must be settled.
fn plain(text: &str) -> Built {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Built::leaf(Node::Scalar("null".to_owned())),
        "true" | "True" | "TRUE" => Built::leaf(Node::Scalar("true".to_owned())),
        "false" | "False" | "FALSE" => Built::leaf(Node::Scalar("false".to_owned())),
        _ if is_number(text) => Built::leaf(Node::Scalar(text.to_owned())),
        _ if is_number_elsewhere(text) => Built::refused(format!(
            "{text} is not how JSON writes a number: write \"{text}\" for the text, or the number in plain digits"
        )),
        _ => match boolean_elsewhere(text) {
            Some(boolean) => Built::refused(format!(
                "{text} is {boolean} to some readers of YAML and a text to others: write \"{text}\" or {boolean}"
            )),
            None => Built::leaf(Node::Scalar(quoted(text))),
        },
    }
}

/// Whether it is a number of JSON, which YAML reads as the same, and looks like one: 12E4567 is a serial number, which YAML
/// 1.1 reads as a text.
fn is_number(text: &str) -> bool {
    let exponent = text.split_once('E').map(|(_, exponent)| exponent);
    let is_serial = !text.contains('.') && exponent.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    !is_serial
        && text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Whether some version of YAML reads a number here: `+1`, `010`, `0x1f`, `1_000`, `.5`, `.inf`. Times such as `22:00` are
/// numbers to a few, but nobody means one.
fn is_number_elsewhere(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text).to_ascii_lowercase();
    let radix = [("0x", 16), ("0o", 8), ("0b", 2)];
    let in_radix = radix.iter().any(|(prefix, radix)| {
        let digits = unsigned.strip_prefix(prefix).unwrap_or_default();
        !digits.is_empty() && digits.chars().all(|digit| digit == '_' || digit.is_digit(*radix))
    });
    in_radix
        || matches!(unsigned.as_str(), ".inf" | ".nan")
        || unsigned.starts_with(|first: char| first == '.' || first.is_ascii_digit())
            && unsigned.replace('_', "").parse::<f64>().is_ok()
}

/// What YAML 1.1 reads where YAML 1.2 reads a text.
fn boolean_elsewhere(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "on" => Some(true),
        "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Writer {
    json: String,
    /// The way to what is being written; it stays where writing ends early.
    steps: Vec<Step>,
}

impl Writer {
    fn write(&mut self, node: &Node) -> Result<(), String> {
        match node {
            Node::Scalar(json) => self.json.push_str(json),
            Node::Refused(message) => return Err(message.clone()),
            Node::Sequence(values) => {
                self.json.push('[');
                for (index, value) in values.iter().enumerate() {
                    self.part(index, Step::Index(index), &value.node)?;
                }
                self.json.push(']');
            }
            Node::Mapping(members) => {
                self.json.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    match key {
                        Key::Text(key) => {
                            self.separate(index);
                            self.json.push_str(&quoted(key));
                            self.json.push(':');
                            self.part(0, Step::Key(key.clone()), &value.node)?;
                        }
                        Key::Merge => {
                            self.steps.push(Step::Key(MERGE.to_owned()));
                            let problem = "would bring in other fields in no sure order: write the fields themselves";
                            return Err(format!("{MERGE} {problem}"));
                        }
                        Key::NoText => return Err("a key is a text: write it out here".to_owned()),
                    }
                }
                self.json.push('}');
            }
        }
        if self.json.len() > MAX_JSON {
            return Err(format!("its aliases stand for more than {} MiB: write less", MAX_JSON >> 20));
        }
        Ok(())
    }

    fn part(&mut self, index: usize, step: Step, node: &Node) -> Result<(), String> {
        self.separate(index);
        self.steps.push(step);
        self.write(node)?;
        self.steps.pop();
        Ok(())
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.json.push(',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(value: &str) -> Result<String, String> {
        of_key(&format!("x: 1\np: {value}\n"), "p").unwrap().map_err(|wrong| wrong.message)
    }

    #[test]
    fn order_and_digits_are_kept() {
        for (yaml, expected) in [
            ("{z: [1], a: [2], m: {y: 1, b: 2}}", r#"{"z":[1],"a":[2],"m":{"y":1,"b":2}}"#),
            (
                "[123456789012345678901, 0.1234567890123456789, 1e400, -0, 1.50]",
                "[123456789012345678901,0.1234567890123456789,1e400,-0,1.50]",
            ),
            ("[plain, 'it''s', \"a\\tb\", '', '1', \"true\", !!str 5]", r#"["plain","it's","a\tb","","1","true","5"]"#),
            ("[true, True, FALSE, null, ~, Null]", "[true,true,false,null,null,null]"),
            (
                "[14.2.1, 10.0.0.1, 22:00, 2026-11-24, 2026-11-24T10:00:00Z, 1a, 0xg, '010', none, Norway, tRUE]",
                r#"["14.2.1","10.0.0.1","22:00","2026-11-24","2026-11-24T10:00:00Z","1a","0xg","010","none","Norway","tRUE"]"#,
            ),
            (
                "{on: [1], 1: [2], ~: [3], 0x1: [4], '<<': [5], \"\": [6]}",
                r#"{"on":[1],"1":[2],"~":[3],"0x1":[4],"<<":[5],"":[6]}"#,
            ),
            ("!!map {a: !!seq [1]}", r#"{"a":[1]}"#),
            ("{a: &x [1, {b: *y}], c: *x}", r#"{"a":[1,{"b":"why"}],"c":[1,{"b":"why"}]}"#),
            (
                "\n  a:\n  - |\n    one\n    two\n  - >-\n    three\n    four\n  -\n  b:",
                r#"{"a":["one\ntwo\n","three four",null],"b":null}"#,
            ),
        ] {
            assert_eq!(
                of_key(&format!("x: &y why\np: {yaml}\nq: [on]\n"), "p"),
                Some(Ok(expected.to_owned())),
                "{yaml}"
            );
        }
        assert_eq!(of_key("a: 1", "p"), None);
        assert_eq!(of_key("- p: 1", "p"), None);
        assert_eq!(of_key("", "p"), None);
    }

    #[test]
    fn what_others_read_otherwise_is_refused() {
        for word in ["on", "Off", "YES", "no", "y", "N"] {
            let wrong = json(&format!("[{word}]")).unwrap_err();
            assert!(
                wrong.starts_with(&format!("{word} is ")) && wrong.contains(&format!("write \"{word}\" or ")),
                "{wrong}"
            );
        }
        for number in [
            "+1", "010", "-007", "0x1F", "0o17", "0b11", "1_000", ".5", "1.", "-.inf", ".NaN", "1_0.5e3", "+.5",
            "12E4567",
        ] {
            let wrong = json(&format!("[{number}]")).unwrap_err();
            assert!(
                wrong.starts_with(&format!("{number} is not how JSON writes a number: write \"{number}\"")),
                "{wrong}"
            );
        }
        for (yaml, said) in [
            ("[!!int '5']", "the tag !!int means nothing here"),
            ("[!mine {a: 1}]", "the tag !mine means nothing here"),
            ("{<<: *x}", "<< would bring in other fields"),
            ("{? [a] : 1}", "a key is a text"),
            ("&p [*p]", "an alias inside of what it stands for"),
        ] {
            let wrong = of_key(&format!("x: &x {{a: 1}}\np: {yaml}\n"), "p").unwrap().unwrap_err();
            assert!(wrong.message.starts_with(said), "{yaml}: {wrong:?}");
        }
        let wrong = of_key("p:\n  a: {b: [1, {prefix: no}]}\n", "p").unwrap().unwrap_err();
        let key = |name: &str| Step::Key(name.to_owned());
        assert_eq!(wrong.steps, [key("p"), key("a"), key("b"), Step::Index(1), key("prefix")]);
    }

    #[test]
    fn what_aliases_multiply_is_bounded() {
        let levels = |count: usize, one: &dyn Fn(usize) -> String| {
            (1..count).map(|n| format!("a{n}: &a{n} {}\n", one(n - 1))).collect::<String>()
        };
        let wide = levels(12, &|n| format!("[{}]", vec![format!("*a{n}"); 10].join(", ")));
        let wrong = of_key(&format!("a0: &a0 [x]\n{wide}p: *a11\n"), "p").unwrap().unwrap_err();
        assert!(wrong.message.starts_with("its aliases stand for more than 16 MiB"), "{wrong:?}");
        let deep = levels(20_000, &|n| format!("[[[[*a{n}]]]]"));
        let wrong = of_key(&format!("a0: &a0 [x]\n{deep}p: *a19999\n"), "p").unwrap().unwrap_err();
        assert!(wrong.message.starts_with("nested too deeply"), "{wrong:?}");
        let brackets = |count: usize| json(&format!("{}{}", "[".repeat(count), "]".repeat(count)));
        assert!(brackets(128).is_ok());
        assert!(brackets(129).unwrap_err().starts_with("nested too deeply: at most 128 levels"));
    }

    /// A value of JSON, whose numbers need not be of any size.
    fn value() -> impl Strategy<Value = String> {
        let number = "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?(e[+-]?[0-9]{1,3}|E[+-][0-9]{1,3})?";
        let text = "[ -~äß設🔒\\t\\n]{0,8}".prop_map(|text| quoted(&text));
        let leaf = prop_oneof![number, text.clone(), Just("true".to_owned()), Just("null".to_owned())];
        leaf.prop_recursive(4, 32, 6, move |inner| {
            let members = prop::collection::vec((text.clone(), inner.clone()), 0..5);
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(|list| format!("[{}]", list.join(","))),
                members.prop_map(|members| {
                    let members: Vec<String> = members.iter().map(|(key, value)| format!("{key}:{value}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_stays_as_it_is(json in value()) {
            prop_assert_eq!(of_key(&format!("\"p\": {json}\n"), "p"), Some(Ok(json)));
        }

        #[test]
        fn no_text_panics(yaml in "[a-z:\\-\\[\\]{}, \n&*|>!<?~0.]{0,60}") {
            let _ = of_key(&format!("p: {yaml}"), "p");
        }
    }
}

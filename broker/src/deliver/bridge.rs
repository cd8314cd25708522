//! EventBridge's `InputPath` and `InputTransformer`, as they are written there
//! (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html>). Pure.
//!
//! The paths are applied to the event's JSON. In a template, a variable inside of quotes becomes part of that text (an
//! object or a list as its JSON), one outside of quotes becomes the value itself. A template that is no JSON is a text,
//! and several lines that are each a JSON text are these lines. A variable whose path finds nothing does not appear: a
//! text goes on without it, a field or an element that consists of it is left out.
//!
//! What differs from EventBridge:
//!
//! - A field's name in brackets, `$['a b']`, may be used, and an index from the end may not.
//! - A path with `*` gives the list of what it finds, also where that is one value.
//! - What is put into a text is escaped, so that the result is always JSON; EventBridge leaves it as it is.
//! - An `InputPath` that finds nothing means that the target does nothing, which the job's result says.
//! - `<aws.events.rule-arn>` is `emote:rule/NAME`; `<aws.events.event>` is the event without `info`, which is what `detail`
//!   is there; `<aws.events.event.ingestion-time>` is the event's own time.

use std::collections::BTreeMap;

use emote_proto::limits;
use serde_json::{Map, Value};

use super::json_path::{find, path_steps};
use crate::core::{BridgeInput, Job};

const MAX_VARIABLES: usize = 100;
/// In characters.
const MAX_TEMPLATE: usize = 8_192;
/// Largest input, in bytes of JSON.
const MAX_OUTPUT: usize = limits::MAX_JOB;
/// What EventBridge knows by itself.
const PREDEFINED: [&str; 5] = [
    "aws.events.rule-name",
    "aws.events.rule-arn",
    "aws.events.event.json",
    "aws.events.event",
    "aws.events.event.ingestion-time",
];
/// Stands around the number of a variable while the template is read as JSON. No Unicode text has it (U+FFFF is none of
/// its characters), and a number that belongs to no variable is left as it is.
const MARK: char = '\u{ffff}';

/// What is wrong with such an input: where in the entry (`InputPath`, `InputTransformer.InputPathsMap.x`), and what.
pub fn check(input: &BridgeInput) -> Result<(), (String, String)> {
    match input {
        BridgeInput::InputPath(path) => path_steps(path).map(|_| ()).map_err(|wrong| ("InputPath".to_owned(), wrong)),
        BridgeInput::InputTransformer { paths, template } => check_transformer(paths, template),
    }
}

fn check_transformer(paths: &BTreeMap<String, String>, template: &str) -> Result<(), (String, String)> {
    let at = |key: &str, wrong: String| Err((format!("InputTransformer.{key}"), wrong));
    if paths.len() > MAX_VARIABLES {
        return at("InputPathsMap", format!("{} variables: at most {MAX_VARIABLES} are allowed", paths.len()));
    }
    for (name, path) in paths {
        let key = format!("InputPathsMap.{name}");
        if name.to_ascii_lowercase().starts_with("aws") {
            return at(&key, "names that begin with aws are EventBridge's own".to_owned());
        }
        if name.is_empty() || !name.chars().all(is_of_a_name) {
            return at(&key, "a variable's name has letters, digits, -, _ and . only".to_owned());
        }
        if let Err(wrong) = path_steps(path) {
            return at(&key, wrong);
        }
    }
    let length = template.chars().count();
    if length == 0 || length > MAX_TEMPLATE {
        return at("InputTemplate", format!("has {length} characters: 1 to {MAX_TEMPLATE} are allowed"));
    }
    let pieces = pieces(template);
    let unknown = |piece: &Piece<'_>| match piece {
        Piece::Variable { name, .. } if !paths.contains_key(*name) && !PREDEFINED.contains(name) => {
            Some((*name).to_owned())
        }
        _ => None,
    };
    if let Some(name) = pieces.iter().find_map(unknown) {
        let known: Vec<&str> = paths.keys().map(String::as_str).chain(PREDEFINED).collect();
        return at("InputTemplate", format!("there is no variable <{name}>: expected one of {}", known.join(", ")));
    }
    let looks_like_json = template.trim_start().starts_with(['{', '[']);
    match Template::new(template) {
        Template::Text(_) if looks_like_json => {
            let marked = marked(&pieces);
            let error = serde_json::from_str::<Value>(&marked).err().map(|error| error.to_string());
            at("InputTemplate", format!("is not JSON: {}", error.unwrap_or_default()))
        }
        Template::Json(value) if has_marked_key(&value) => {
            at("InputTemplate", "a variable cannot be the name of a field".to_owned())
        }
        _ => Ok(()),
    }
}

/// What a target is given; `None` where an `InputPath` finds nothing.
pub(super) fn render(input: &BridgeInput, job: &Job) -> Result<Option<Value>, String> {
    let event = serde_json::to_value(&job.event).map_err(|error| error.to_string())?;
    match input {
        BridgeInput::InputPath(path) => Ok(find(&path_steps(path)?, &event)),
        BridgeInput::InputTransformer { paths, template } => transform(paths, template, job, &event).map(Some),
    }
}

fn transform(paths: &BTreeMap<String, String>, template: &str, job: &Job, event: &Value) -> Result<Value, String> {
    let mut values = Vec::new();
    for piece in pieces(template) {
        if let Piece::Variable { name, .. } = piece {
            values.push(match paths.get(name) {
                Some(path) => find(&path_steps(path)?, event),
                None => predefined(name, job, event),
            });
        }
    }
    let mut filling = Filling { values, left: MAX_OUTPUT };
    let too_large = || format!("what the InputTemplate gives is larger than {MAX_OUTPUT} bytes");
    match Template::new(template) {
        Template::Json(value) => Ok(filling.value(value).ok_or_else(too_large)?.unwrap_or(Value::Null)),
        Template::Text(marked) => filling.text(&marked).map(Value::String).ok_or_else(too_large),
    }
}

fn predefined(name: &str, job: &Job, event: &Value) -> Option<Value> {
    match name {
        "aws.events.rule-name" => Some(job.rule.as_str().into()),
        "aws.events.rule-arn" => Some(format!("emote:rule/{}", job.rule).into()),
        "aws.events.event.json" => Some(event.clone()),
        "aws.events.event.ingestion-time" => event.get("time").cloned(),
        "aws.events.event" => {
            let mut event = event.clone();
            event.as_object_mut()?.remove("info");
            Some(event)
        }
        _ => None,
    }
}

/// A part of a template.
enum Piece<'a> {
    Text(&'a str),
    Variable { name: &'a str, quoted: bool },
}

fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// A template cut at its variables, and for each whether it stands inside of quotes.
fn pieces(template: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut text_from, mut at) = (Vec::new(), 0, 0);
    let (mut quoted, mut escaped) = (false, false);
    while let Some(c) = template.get(at..).and_then(|rest| rest.chars().next()) {
        if c == '<'
            && let Some(name) = variable(&template[at..])
        {
            pieces.push(Piece::Text(&template[text_from..at]));
            pieces.push(Piece::Variable { name, quoted });
            at += name.len() + 2;
            (text_from, escaped) = (at, false);
            continue;
        }
        match c {
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = c == '\\' && quoted && !escaped;
        at += c.len_utf8();
    }
    pieces.push(Piece::Text(&template[text_from..]));
    pieces
}

/// The name in `<name>…`.
fn variable(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('<')?.split_once('>')?;
    (!name.is_empty() && name.chars().all(is_of_a_name)).then_some(name)
}

/// The template with each variable as its number between marks; in quotes where it stands for a value.
fn marked(pieces: &[Piece<'_>]) -> String {
    let (mut text, mut number) = (String::new(), 0);
    for piece in pieces {
        match piece {
            Piece::Text(part) => text.push_str(part),
            Piece::Variable { quoted, .. } => {
                let quote = if *quoted { "" } else { "\"" };
                text.push_str(&format!("{quote}{MARK}{number}{}{MARK}{quote}", if *quoted { "" } else { "v" }));
                number += 1;
            }
        }
    }
    text
}

/// A template, its variables marked.
enum Template {
    Json(Value),
    Text(String),
}

impl Template {
    fn new(template: &str) -> Self {
        let pieces = pieces(template);
        let json = marked(&pieces);
        if let Ok(value) = serde_json::from_str(&json) {
            return Self::Json(value);
        }
        let lines = json.lines().filter(|line| !line.trim().is_empty());
        let lines: Result<Vec<String>, _> = lines.map(|line| serde_json::from_str::<String>(line.trim())).collect();
        match lines {
            Ok(lines) if !lines.is_empty() => Self::Json(lines.join("\n").into()),
            // A text: its quotes are its own.
            _ => Self::Text(marked(&pieces.into_iter().map(Piece::in_text).collect::<Vec<_>>())),
        }
    }
}

impl Piece<'_> {
    fn in_text(self) -> Self {
        match self {
            Self::Variable { name, .. } => Self::Variable { name, quoted: true },
            text @ Self::Text(_) => text,
        }
    }
}

fn has_marked_key(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().any(has_marked_key),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains(MARK) || has_marked_key(value)),
        _ => false,
    }
}

/// Puts values where marks are; `None` everywhere means that the result would be too large.
struct Filling {
    values: Vec<Option<Value>>,
    left: usize,
}

impl Filling {
    /// `Some(None)`: it is a variable that has no value.
    fn value(&mut self, value: Value) -> Option<Option<Value>> {
        Some(Some(match value {
            Value::String(text) => match self.whole(&text) {
                Some(variable) => {
                    let variable = variable.clone();
                    self.spend(variable.as_ref().map_or(0, |value| value.to_string().len()))?;
                    return Some(variable);
                }
                None => Value::String(self.text(&text)?),
            },
            Value::Array(list) => {
                let mut filled = Vec::with_capacity(list.len());
                for value in list {
                    filled.extend(self.value(value)?);
                }
                Value::Array(filled)
            }
            Value::Object(map) => {
                let mut filled = Map::new();
                for (key, value) in map {
                    if let Some(value) = self.value(value)? {
                        filled.insert(key, value);
                    }
                }
                Value::Object(filled)
            }
            other => other,
        }))
    }

    /// The variable that stands for a whole value.
    fn whole(&self, text: &str) -> Option<&Option<Value>> {
        let number = text.strip_prefix(MARK)?.strip_suffix(MARK)?.strip_suffix('v')?;
        self.values.get(number.parse::<usize>().ok()?)
    }

    fn text(&mut self, marked: &str) -> Option<String> {
        let mut text = String::new();
        for (index, part) in marked.split(MARK).enumerate() {
            let number = part.strip_suffix('v').unwrap_or(part);
            let value = number.parse::<usize>().ok().filter(|_| index % 2 == 1).and_then(|n| self.values.get(n));
            let part = match value {
                None => part.to_owned(),
                Some(None) => String::new(),
                Some(Some(Value::String(text))) => text.clone(),
                Some(Some(value)) => value.to_string(),
            };
            self.spend(part.len())?;
            text.push_str(&part);
        }
        Some(text)
    }

    fn spend(&mut self, bytes: usize) -> Option<()> {
        self.left = self.left.checked_sub(bytes)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::JobId;
    use emote_proto::{Event, Name};
    use proptest::prelude::*;
    use serde_json::json;

    fn job() -> Job {
        let event = json!({"id": "00000000-0000-7000-8000-000000000000", "time": "2026-01-01T00:00:00Z", "source": "s",
            "scope": "a", "action": "b", "device": {"uuid": "C02"}, "trust": "verified",
            "info": {"n": 3, "say": "a \"b\"\n", "list": [{"x": 1}, {"x": "y"}, {}], "a b": true, "none": null}});
        let event = Event::parse(event.to_string().as_bytes()).unwrap();
        let name = |text: &str| Name::new(text).unwrap();
        Job::new(JobId::new(event.id, &name("r"), &name("t"), None), name("r"), name("t"), event)
    }

    fn transformer(paths: &[(&str, &str)], template: &str) -> BridgeInput {
        let paths = paths.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect();
        BridgeInput::InputTransformer { paths, template: template.to_owned() }
    }

    #[test]
    fn a_path_leads_to_a_part_of_the_event() {
        for (path, expected) in [
            ("$.info.n", Some(json!(3))),
            ("$.device", Some(json!({"uuid": "C02"}))),
            ("$['info']['a b']", Some(json!(true))),
            ("$[\"info\"].n", Some(json!(3))),
            ("$.info.list[1].x", Some(json!("y"))),
            ("$.info.list[*].x", Some(json!([1, "y"]))),
            ("$.device.*", Some(json!(["C02"]))),
            ("$.info.none", Some(json!(null))),
            ("$.info.nothing", None),
            ("$.info.list[7]", None),
            ("$.info.n.x", None),
            ("$.info.nothing[*]", None),
        ] {
            let input = BridgeInput::InputPath(path.to_owned());
            assert_eq!(check(&input), Ok(()), "{path}");
            assert_eq!(render(&input, &job()), Ok(expected), "{path}");
        }
        assert_eq!(render(&BridgeInput::InputPath("$".to_owned()), &job()).unwrap().unwrap()["scope"], "a");
    }

    #[test]
    fn a_template_is_filled_as_eventbridge_does() {
        let paths = [
            ("n", "$.info.n"),
            ("say", "$.info.say"),
            ("list", "$.info.list"),
            ("id", "$.device.uuid"),
            ("no", "$.info.no"),
        ];
        for (template, expected) in [
            (r#"{"id": <id>, "n": <n>}"#, json!({"id": "C02", "n": 3})),
            (r#"{"id": "<id>", "n": "<n>"}"#, json!({"id": "C02", "n": "3"})),
            (r#"{"text": "<id> says <say>!"}"#, json!({"text": "C02 says a \"b\"\n!"})),
            (r#"{"text": "\"<id>\" is \\<n>"}"#, json!({"text": "\"C02\" is \\3"})),
            (
                r#"{"list": <list>, "in": [<n>, <no>, <id>]}"#,
                json!({"list": [{"x": 1}, {"x": "y"}, {}], "in": [3, "C02"]}),
            ),
            (r#"{"a": <no>, "b": "x<no>y"}"#, json!({"b": "xy"})),
            (r#"{"list": "<list>"}"#, json!({"list": r#"[{"x":1},{"x":"y"},{}]"#})),
            (r#""<id> is <n>""#, json!("C02 is 3")),
            ("<id> is \"<n>\" <no>", json!("C02 is \"3\" ")),
            ("\"one <n>\"\n\"two <id>\"", json!("one 3\ntwo C02")),
            ("<n>", json!(3)),
            ("<list>", json!([{"x": 1}, {"x": "y"}, {}])),
            (
                r#"{"rule": <aws.events.rule-name>, "arn": "<aws.events.rule-arn>"}"#,
                json!({"rule": "r", "arn": "emote:rule/r"}),
            ),
            (r#"{"at": <aws.events.event.ingestion-time>}"#, json!({"at": "2026-01-01T00:00:00.000Z"})),
            (r#"{"a": "1 < 2 and <> and <a b>"}"#, json!({"a": "1 < 2 and <> and <a b>"})),
            ("{\"a\": \"\u{ffff}7\u{ffff}\"}", json!({"a": "7"})),
        ] {
            let input = transformer(&paths, template);
            assert_eq!(check(&input), Ok(()), "{template}");
            assert_eq!(render(&input, &job()), Ok(Some(expected)), "{template}");
        }
        let events = transformer(&[], r#"{"all": <aws.events.event.json>, "but": <aws.events.event>}"#);
        let events = render(&events, &job()).unwrap().unwrap();
        assert_eq!(
            (&events["all"]["info"]["n"], &events["but"]["info"], &events["but"]["scope"]),
            (&json!(3), &json!(null), &json!("a"))
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let many: Vec<(String, String)> = (0..101).map(|n| (format!("v{n}"), "$.a".to_owned())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, path)| (name.as_str(), path.as_str())).collect();
        for (input, expected) in [
            (BridgeInput::InputPath("info".into()), "InputPath: does not begin with $"),
            (BridgeInput::InputPath("$.a b".into()), "InputPath: a field's name has letters"),
            (BridgeInput::InputPath("$[-1]".into()), "InputPath: cannot be read"),
            (BridgeInput::InputPath("$..a".into()), "InputPath: a field's name has"),
            (BridgeInput::InputPath(format!("$.{}", "a".repeat(300))), "InputPath: longer than 256 characters"),
            (transformer(&many, "x"), "InputTransformer.InputPathsMap: 101 variables"),
            (transformer(&[("aws.x", "$.a")], "x"), "InputTransformer.InputPathsMap.aws.x: names that begin with aws"),
            (transformer(&[("a b", "$.a")], "x"), "InputTransformer.InputPathsMap.a b: a variable's name"),
            (transformer(&[("a", "x")], "x"), "InputTransformer.InputPathsMap.a: does not begin with $"),
            (
                transformer(&[("a", "$.a")], "<b>"),
                "InputTransformer.InputTemplate: there is no variable <b>: expected one of a, aws.",
            ),
            (transformer(&[], "{\"a\": }"), "InputTransformer.InputTemplate: is not JSON"),
            (transformer(&[("a", "$.a")], "{<a>: 1}"), "InputTransformer.InputTemplate: a variable cannot be the name"),
            (transformer(&[], ""), "InputTransformer.InputTemplate: has 0 characters"),
            (transformer(&[], &"x".repeat(9000)), "InputTransformer.InputTemplate: has 9000 characters"),
        ] {
            let (place, wrong) = check(&input).unwrap_err();
            assert!(format!("{place}: {wrong}").starts_with(expected), "{place}: {wrong}");
        }
    }

    #[test]
    fn a_result_is_bounded() {
        let template = format!("[{}]", vec!["<e>"; 1500].join(","));
        let mut job = job();
        job.event.info = Some(json!({"x": "y".repeat(10_000)}).into());
        assert!(render(&transformer(&[("e", "$")], &template), &job).unwrap_err().contains("larger than"));
    }

    proptest! {
        #[test]
        fn no_text_panics(path in any::<String>(), template in any::<String>(), near in "[$.*<>a\"\\\\{}\\[\\]',:0-9 \u{ffff}]{0,60}") {
            for (path, template) in [(&path, &template), (&near, &near), (&"$.info".to_owned(), &near)] {
                for input in [BridgeInput::InputPath(path.clone()), transformer(&[("a", path)], template)] {
                    let sound = check(&input).is_ok();
                    let rendered = render(&input, &job());
                    prop_assert!(!sound || rendered.is_ok(), "{input:?}: {rendered:?}");
                }
            }
        }
    }
}

//! `emote match --jsonl`: test cases in, what the engine says of them out, line by line. For holding this engine against
//! others.

use std::io::{BufRead, Write};

use emote_rules::{Pattern, RuleSet};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::{RawValue, to_raw_value};

/// Longest line in bytes.
const MAX_LINE: u64 = 64 * 1024 * 1024;

/// Answers each line; whether all of them were cases.
pub(super) fn run(mut input: impl BufRead, mut output: impl Write) -> std::io::Result<bool> {
    let mut all = true;
    for number in 1_usize.. {
        let mut line = Vec::new();
        if std::io::Read::take(&mut input, MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let whole = line.ends_with(b"\n") || u64::try_from(line.len()).is_ok_and(|length| length < MAX_LINE);
        let answer =
            if whole { answer(&line) } else { Err(NoCase::new(format!("longer than {} MiB", MAX_LINE >> 20))) };
        if !whole {
            input.skip_until(b'\n')?;
        }
        all &= answer.is_ok();
        let answer = answer.unwrap_or_else(|no_case| no_case.answer(number));
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(all)
}

/// The members of a line, as they are written and in their order.
struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// Puts a result in place of what was expected, or at the end.
    fn set(&mut self, name: &str, value: Box<RawValue>) {
        let place = self.0.iter().position(|(key, _)| key == name).unwrap_or(self.0.len());
        self.remove(name);
        self.0.insert(place.min(self.0.len()), (name.to_owned(), value));
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| key != name);
    }
}

impl std::fmt::Display for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let members: Vec<String> =
            self.0.iter().map(|(name, value)| format!("{}:{value}", serde_json::Value::from(name.as_str()))).collect();
        write!(f, "{{{}}}", members.join(","))
    }
}

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// A line that is no case.
#[derive(Debug)]
struct NoCase {
    /// By which the one who asks may know it again.
    id: Option<Box<RawValue>>,
    problem: String,
}

impl NoCase {
    fn new(problem: String) -> Self {
        Self { id: None, problem }
    }

    fn answer(self, line: usize) -> String {
        let problem = serde_json::Value::from(format!("line {line}: {}", self.problem));
        match self.id {
            Some(id) => format!("{{\"id\":{id},\"error\":{problem}}}"),
            None => format!("{{\"error\":{problem}}}"),
        }
    }
}

/// The line with its answer.
fn answer(line: &[u8]) -> Result<String, NoCase> {
    let members: Members = serde_json::from_slice(line).map_err(|error| NoCase::new(format!("no case: {error}")))?;
    let id = members.get("id").map(ToOwned::to_owned);
    answered(members).map_err(|problem| NoCase { id, problem })
}

fn answered(mut members: Members) -> Result<String, String> {
    let results = match (members.get("rules"), members.get("event"), members.get("pattern")) {
        (Some(rules), Some(event), _) => {
            let rules: Vec<Members> =
                serde_json::from_str(rules.get()).map_err(|error| format!("no case: rules: {error}"))?;
            match matches(&rules, event)? {
                Ok(names) => [("matches", raw(&names)?), ("error", None)],
                Err(error) => [("error", raw(&error)?), ("matches", None)],
            }
        }
        (None, _, Some(pattern)) => match Pattern::parse(&text(pattern)?) {
            Ok(_) => [("valid", raw(&true)?), ("error", None)],
            Err(error) => [("valid", raw(&false)?), ("error", raw(&error.to_string())?)],
        },
        _ => return Err("no case: an object with rules and event, or with pattern, is expected".to_owned()),
    };
    for (name, result) in results {
        match result {
            Some(result) => members.set(name, result),
            None => members.remove(name),
        }
    }
    Ok(members.to_string())
}

fn raw(value: &impl serde::Serialize) -> Result<Option<Box<RawValue>>, String> {
    to_raw_value(value).map(Some).map_err(|error| error.to_string())
}

/// The names of the rules that match, sorted; or why a pattern or the event is refused. The outer error is a line that is
/// no case.
fn matches(rules: &[Members], event: &RawValue) -> Result<Result<Vec<String>, String>, String> {
    let mut compiled = Vec::with_capacity(rules.len());
    for rule in rules {
        let (Some(name), Some(pattern)) = (rule.get("name"), rule.get("pattern")) else {
            return Err("no case: a rule has a name and a pattern".to_owned());
        };
        let name: String = serde_json::from_str(name.get()).map_err(|error| format!("no case: name: {error}"))?;
        match Pattern::parse(&text(pattern)?) {
            Ok(pattern) => compiled.push((name, pattern)),
            Err(error) => return Ok(Err(format!("rule {name}: {error}"))),
        }
    }
    let found = RuleSet::build(compiled).matches(text(event)?.as_bytes());
    Ok(found.map_err(|error| error.to_string()).map(|mut names| {
        names.sort();
        names
    }))
}

/// JSON text in a string, or the JSON itself.
fn text(value: &RawValue) -> Result<String, String> {
    if value.get().starts_with('"') {
        return serde_json::from_str(value.get()).map_err(|error| format!("no case: {error}"));
    }
    Ok(value.get().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_answered_with_its_members_in_their_order() {
        for (line, expected) in [
            (
                r#"{"z": 1.50, "id": "x", "rules": [{"name": "b", "pattern": "{\"a\": [1]}"}, {"name": "a", "pattern": "{\"a\": [1]}"}, {"name": "c", "pattern": "{\"a\": [2]}"}], "event": "{\"a\": 1}"}"#,
                r#"{"z":1.50,"id":"x","rules":[{"name": "b", "pattern": "{\"a\": [1]}"}, {"name": "a", "pattern": "{\"a\": [1]}"}, {"name": "c", "pattern": "{\"a\": [2]}"}],"event":"{\"a\": 1}","matches":["a","b"]}"#,
            ),
            // What was expected is replaced where it stood.
            (r#"{"rules":[],"matches":["x"],"event":"{}","id":1}"#, r#"{"rules":[],"matches":[],"event":"{}","id":1}"#),
            (
                r#"{"rules":[],"matches":["x"],"event":"[]","error":"old"}"#,
                r#"{"rules":[],"event":"[]","error":"the event is not a JSON object"}"#,
            ),
            (
                r#"{"id":1,"rules":[{"name":"r","pattern":"{"}],"event":"{}","rejected":true}"#,
                r#"{"id":1,"rules":[{"name":"r","pattern":"{"}],"event":"{}","rejected":true,"error":"rule r: the pattern (line 1, column 2): the text ends too early; close what is open: every \", [ and { needs its counterpart"}"#,
            ),
            (
                r#"{"id":2,"pattern":"{\"a\": [1]}","valid":false,"error":"old"}"#,
                r#"{"id":2,"pattern":"{\"a\": [1]}","valid":true}"#,
            ),
            (
                r#"{"id":3,"pattern":"{\"a\": 1}","valid":true}"#,
                r#"{"id":3,"pattern":"{\"a\": 1}","valid":false,"error":"a (line 1, column 7): a field's pattern is a list, not a number; write [1]"}"#,
            ),
            (
                r#"{"rules":[{"name":"r","pattern":{"a":[1]}}],"event":{"a":1}}"#,
                r#"{"rules":[{"name":"r","pattern":{"a":[1]}}],"event":{"a":1},"matches":["r"]}"#,
            ),
        ] {
            assert_eq!(answer(line.as_bytes()).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn a_line_that_is_no_case_keeps_its_id() {
        for (line, expected) in [
            (
                r#"{"rules":[],"id":"x"}"#,
                r#"{"id":"x","error":"line 7: no case: an object with rules and event, or with pattern, is expected"}"#,
            ),
            (
                r#"{"id":[1, 2],"rules":[{"name":"r"}],"event":"{}"}"#,
                r#"{"id":[1, 2],"error":"line 7: no case: a rule has a name and a pattern"}"#,
            ),
        ] {
            assert_eq!(answer(line.as_bytes()).unwrap_err().answer(7), expected, "{line}");
        }
    }

    #[test]
    fn a_line_that_is_no_case_is_an_error_line_and_the_rest_goes_on() {
        let input = b"hello\n[1]\n{}\n\n{\"rules\":[{\"name\":\"r\"}],\"event\":\"{}\"}\n{\"rules\":[],\"event\":\"{}\"}\n\xff\n{\"id\":1,\"pattern\":\"{}\"}";
        let mut output = Vec::new();
        assert!(!run(&input[..], &mut output).unwrap());
        let output = String::from_utf8(output).unwrap();
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines.len(), 8, "{output}");
        for (number, said) in [
            (1, "no case"),
            (2, "an object"),
            (3, "rules and event"),
            (4, "no case"),
            (5, "a name and a pattern"),
            (7, "no case"),
        ] {
            assert!(lines[number - 1].starts_with(&format!("{{\"error\":\"line {number}: ")), "{output}");
            assert!(lines[number - 1].contains(said), "{output}");
        }
        assert_eq!(lines[5], r#"{"rules":[],"event":"{}","matches":[]}"#);
        assert!(lines[7].contains(r#""valid":false"#));
    }
}

//! Where a request goes: the target's address, and what a job's programs append to it. They can add to its path and its
//! query; scheme, host and what the address already says stay as they are.

use reqwest::Url;
use serde_json::Value;

use crate::{config::fields::kind, jq::Program};

/// The most segments that a program may append.
const MAX_SEGMENTS: usize = 64;
/// The most pairs that a query may get.
const MAX_PAIRS: usize = 64;
/// The longest address, in bytes.
const MAX_URL: usize = 8 * 1024;

/// What is appended to an address for each job.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(crate) path: Option<Program>,
    pub(crate) query: Option<Program>,
}

impl Place {
    /// The address for a job, of which each of the programs sees its own.
    pub(crate) fn of(&self, base: &Url, path_sees: &Value, query_sees: &Value) -> Result<Url, String> {
        let mut url = base.clone();
        if let Some(path) = &self.path {
            append(&mut url, &segments(&path.only("path", path_sees)?)?)?;
        }
        if let Some(query) = &self.query {
            let pairs = pairs(&query.only("query", query_sees)?, "query")?;
            if pairs.len() > MAX_PAIRS {
                return Err(format!("query: more than {MAX_PAIRS} values"));
            }
            if !pairs.is_empty() {
                url.query_pairs_mut().extend_pairs(pairs);
            }
        }
        if url.as_str().len() > MAX_URL {
            return Err(format!("the address has more than {MAX_URL} bytes"));
        }
        Ok(url)
    }
}

/// The segments that a text with slashes or a list names.
fn segments(value: &Value) -> Result<Vec<String>, String> {
    let segments: Vec<String> = match value {
        Value::Null => Vec::new(),
        Value::String(text) => text.trim_start_matches('/').split('/').map(str::to_owned).collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, item)| {
                scalar(item).ok_or_else(|| format!("path: segment {at} is {}, not a text or a number", kind(item)))
            })
            .collect::<Result<_, _>>()?,
        other => return Err(format!("path: the program gave {}, not a text or a list of segments", kind(other))),
    };
    if segments.len() > MAX_SEGMENTS {
        return Err(format!("path: more than {MAX_SEGMENTS} segments"));
    }
    match segments.iter().find(|segment| leads_elsewhere(segment)) {
        Some(segment) if segment.is_empty() => Err("path: a segment is empty".to_owned()),
        Some(segment) => Err(format!("path: {segment:?} is no segment of a path")),
        None => Ok(segments),
    }
}

/// Whether a segment is none, or servers might take it for a way up. They decode what is encoded, some of them twice.
fn leads_elsewhere(segment: &str) -> bool {
    let decoded = percent_encoding::percent_decode_str(segment).decode_utf8_lossy();
    [segment, &decoded].iter().any(|text| matches!(text.trim(), "" | "." | "..") || text.chars().any(char::is_control))
}

fn append(url: &mut Url, segments: &[String]) -> Result<(), String> {
    if segments.is_empty() {
        return Ok(());
    }
    let mut path = url.path_segments_mut().map_err(|()| "path: the address has no path".to_owned())?;
    path.pop_if_empty().extend(segments);
    Ok(())
}

/// The pairs of an object: a text each, several where there is a list, none for null.
pub(crate) fn pairs(value: &Value, what: &str) -> Result<Vec<(String, String)>, String> {
    let map = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Object(map) => map,
        other => return Err(format!("{what}: the program gave {}, not an object", kind(other))),
    };
    let mut pairs = Vec::with_capacity(map.len());
    for (key, value) in map {
        let values = match value {
            Value::Null => &[],
            Value::Array(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            let text = scalar(value).ok_or_else(|| format!("{what}: {key:?} is {}, not a text", kind(value)))?;
            pairs.push((key.clone(), text));
        }
    }
    Ok(pairs)
}

pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn of(path: &str, query: &str) -> Result<String, String> {
        let program = |text: &str| (!text.is_empty()).then(|| Program::compile(text, &[]).unwrap());
        let place = Place { path: program(path), query: program(query) };
        let base = "https://mdm.example.com/api/?tenant=1".parse().unwrap();
        let sees = json!({"id": 7, "name": "a/b c?d#e"});
        place.of(&base, &sees, &sees).map(|url| url.to_string())
    }

    #[test]
    fn a_job_adds_to_path_and_query() {
        for (path, query, expected) in [
            ("", "", "https://mdm.example.com/api/?tenant=1"),
            ("null", "null", "https://mdm.example.com/api/?tenant=1"),
            ("\"v1/devices/\\(.id)/lock\"", "", "https://mdm.example.com/api/v1/devices/7/lock?tenant=1"),
            ("\"/v1\"", "", "https://mdm.example.com/api/v1?tenant=1"),
            ("[\"v1\", .name, .id]", "", "https://mdm.example.com/api/v1/a%2Fb%20c%3Fd%23e/7?tenant=1"),
            ("\"%41\"", "", "https://mdm.example.com/api/%2541?tenant=1"),
            ("", "{a: [1, true], b: null, c: \"x&y\"}", "https://mdm.example.com/api/?tenant=1&a=1&a=true&c=x%26y"),
        ] {
            assert_eq!(of(path, query).as_deref(), Ok(expected), "{path} {query}");
        }
    }

    #[test]
    fn nothing_leaves_the_address() {
        for (path, said) in [
            ("\"../x\"", "\"..\" is no segment"),
            ("\"a/../x\"", "\"..\" is no segment"),
            ("[\"a\", \"..\"]", "\"..\" is no segment"),
            ("\"a/%2e%2E/x\"", "\"%2e%2E\" is no segment"),
            ("\"a//b\"", "a segment is empty"),
            ("[\"a\", \"\"]", "a segment is empty"),
            ("[\"a\", null]", "segment 1 is null"),
            ("[\"a\", {}]", "segment 1 is an object"),
            ("\"a\\nb\"", "is no segment"),
            ("7", "a number, not a text"),
            ("[range(65)]", "more than 64"),
            ("\"x\" * 9000", "more than 8192 bytes"),
            ("empty", "gave nothing"),
        ] {
            let error = of(path, "").unwrap_err();
            assert!(error.contains(said), "{path}: {error}");
        }
        assert!(of("", "[1]").unwrap_err().contains("not an object"));
        assert!(of("", "{a: {}}").unwrap_err().contains("\"a\" is an object"));
    }

    proptest! {
        #[test]
        fn whatever_a_job_says_the_request_goes_to_the_target(texts in proptest::collection::vec(any::<String>(), 1..4)) {
            let base: Url = "https://mdm.example.com/api/".parse().unwrap();
            for path in [json!(texts), json!(texts.join("/"))] {
                let place = Place { path: Some(Program::compile(".path", &[]).unwrap()), query: None };
                if let Ok(url) = place.of(&base, &json!({"path": path}), &Value::Null) {
                    prop_assert_eq!((url.scheme(), url.host_str()), ("https", Some("mdm.example.com")));
                    prop_assert!(url.path().starts_with("/api/"));
                }
            }
        }
    }
}

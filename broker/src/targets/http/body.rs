//! What a request says: of one job, or of several, in the notation that its content type names.

use reqwest::{
    RequestBuilder,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue},
};
use serde_json::{Map, Value};

use super::{endpoint::gzip, place::pairs};
use crate::{
    config::{Secret, fields::kind},
    jq::Program,
};

/// A value a line (<https://github.com/ndjson/ndjson-spec>).
const NDJSON: &str = "application/x-ndjson";
const FORM: &str = "application/x-www-form-urlencoded";

/// How it is made.
#[derive(Debug)]
pub(super) struct Body {
    /// Makes it from the job; without one it is the input.
    pub(super) program: Option<Program>,
    pub(super) content_type: HeaderValue,
    /// Whether it is compressed.
    pub(super) gzip: bool,
    /// Makes one body of a list of them.
    pub(super) batch: Option<Program>,
    /// What stands between the bodies of several jobs.
    pub(super) join: Option<String>,
}

impl Body {
    /// What a job has to say: the body program's only result, or the input.
    pub(super) fn value(&self, context: &Value) -> Result<Value, String> {
        match &self.program {
            None => Ok(context.get("input").cloned().unwrap_or_default()),
            Some(program) => program.only("body", context),
        }
    }

    /// The bytes for one job. A text goes as it is unless JSON is declared. `secrets` are put into the object.
    pub(super) fn of_one(&self, value: Value, secrets: &[(String, Secret)]) -> Result<Vec<u8>, String> {
        let value = with_secrets(value, secrets)?;
        if self.content_type.to_str().is_ok_and(|text| text.starts_with(FORM)) {
            let pairs = pairs(&value, "body")?;
            return serde_urlencoded::to_string(pairs)
                .map(String::into_bytes)
                .map_err(|error| format!("body: {error}"));
        }
        Ok(self.piece(value).into_bytes())
    }

    /// The bytes for several.
    pub(super) fn of_several(&self, values: Vec<Value>, secrets: &[(String, Secret)]) -> Result<Vec<u8>, String> {
        if let Some(program) = &self.batch {
            return self.of_one(program.only("batch_body", &Value::Array(values))?, secrets);
        }
        let lines = self.content_type.to_str().is_ok_and(|text| text.starts_with(NDJSON));
        Ok(match &self.join {
            Some(join) => values.into_iter().map(|value| self.piece(value)).collect::<Vec<_>>().join(join).into_bytes(),
            None if lines => values.iter().flat_map(|value| format!("{value}\n").into_bytes()).collect(),
            None => Value::Array(values).to_string().into_bytes(),
        })
    }

    /// About how many bytes a value takes among others.
    pub(super) fn size(&self, value: &Value) -> usize {
        let own = match value {
            Value::String(text) if !self.is_json() => text.len(),
            value => value.to_string().len(),
        };
        own.saturating_add(self.join.as_ref().map_or(1, String::len))
    }

    /// What is sent: the bytes, or the bytes compressed.
    pub(super) fn packed(&self, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        if self.gzip { gzip(&bytes) } else { Ok(bytes) }
    }

    /// The request with these bytes and what says how to read them.
    pub(super) fn with(&self, request: RequestBuilder, bytes: Vec<u8>) -> RequestBuilder {
        let request = request.header(CONTENT_TYPE, self.content_type.clone());
        let request = if self.gzip { request.header(CONTENT_ENCODING, "gzip") } else { request };
        request.body(bytes)
    }

    fn is_json(&self) -> bool {
        self.content_type.to_str().is_ok_and(|text| text.contains("json"))
    }

    fn piece(&self, value: Value) -> String {
        match value {
            Value::String(text) if !self.is_json() => text,
            value => value.to_string(),
        }
    }
}

/// The object with secrets in it that no program sees. A key with dots leads into objects within it.
pub(crate) fn with_secrets(value: Value, secrets: &[(String, Secret)]) -> Result<Value, String> {
    if secrets.is_empty() {
        return Ok(value);
    }
    let mut map = match value {
        Value::Object(map) => map,
        Value::Null => Map::new(),
        other => return Err(format!("body_secrets go into an object, and the body is {}", kind(&other))),
    };
    for (key, secret) in secrets {
        put(&mut map, key, secret)?;
    }
    Ok(Value::Object(map))
}

fn put(map: &mut Map<String, Value>, key: &str, secret: &Secret) -> Result<(), String> {
    let Some((first, rest)) = key.split_once('.') else {
        map.insert(key.to_owned(), secret.expose().into());
        return Ok(());
    };
    match map.entry(first).or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(inner) => put(inner, rest, secret),
        other => Err(format!("body_secrets: {first} is {} in the body, not an object", kind(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_goes_where_its_key_leads() {
        let put = |value: Value, key: &str| with_secrets(value, &[(key.to_owned(), Secret::new("s"))]);
        assert_eq!(put(json!({"a": 1}), "b"), Ok(json!({"a": 1, "b": "s"})));
        assert_eq!(put(Value::Null, "a.b.c"), Ok(json!({"a": {"b": {"c": "s"}}})));
        assert_eq!(put(json!({"a": {"x": 1}}), "a.b"), Ok(json!({"a": {"x": 1, "b": "s"}})));
        assert!(put(json!({"a": 1}), "a.b").is_err() && put(json!([1]), "a").is_err());
    }
}

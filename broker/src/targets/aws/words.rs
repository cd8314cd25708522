//! What jq programs of a target file say of a job.

use http::HeaderValue;
use serde_json::Value;

use crate::{
    config::fields::{Fields, kind},
    jq::Program,
};

/// A word of a request that a program may say; its field, how long it may be, and what stands there without one.
#[derive(Debug)]
pub(super) struct Word {
    program: Option<Program>,
    key: &'static str,
    most: usize,
}

impl Word {
    /// Reads the field `key`; the word has `most` characters at most.
    pub(super) fn read(fields: &mut Fields<'_>, key: &'static str, most: usize) -> Self {
        Self { program: fields.jq(key), key, most }
    }

    /// The word, where there is a program for it.
    pub(super) fn given(&self, context: &Value) -> Result<Option<String>, String> {
        let Some(program) = &self.program else { return Ok(None) };
        match program.only(self.key, context)? {
            Value::String(text) if !text.is_empty() && text.chars().count() <= self.most => Ok(Some(text)),
            Value::String(_) => Err(format!("{}: must have from 1 to {} characters", self.key, self.most)),
            other => Err(format!("{}: expected a text, found {}", self.key, kind(&other))),
        }
    }
}

/// The bytes of a value: a text as it is, everything else as JSON.
pub(super) fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.clone().into_bytes(),
        value => value.to_string().into_bytes(),
    }
}

/// The same, but a text is JSON too where JSON is declared.
pub(super) fn bytes_as(value: &Value, content_type: &HeaderValue) -> Vec<u8> {
    if content_type.to_str().is_ok_and(|text| text.contains("json")) {
        value.to_string().into_bytes()
    } else {
        bytes(value)
    }
}

/// Members of an object as attributes of a message: name, data type and value. Texts, numbers, true and false.
pub(super) fn attributes(program: &Program, context: &Value) -> Result<Vec<(String, &'static str, String)>, String> {
    const MOST: usize = 10;
    let value = program.only("attributes", context)?;
    let Value::Object(map) = &value else {
        return Err(format!("attributes: expected an object, found {}", kind(&value)));
    };
    if map.len() > MOST {
        return Err(format!("attributes: {} of them; a message may have {MOST}", map.len()));
    }
    let mut attributes = Vec::with_capacity(map.len());
    for (name, value) in map {
        match value {
            Value::String(text) => attributes.push((name.clone(), "String", text.clone())),
            Value::Number(number) => attributes.push((name.clone(), "Number", number.to_string())),
            Value::Bool(flag) => attributes.push((name.clone(), "String", flag.to_string())),
            Value::Null => {}
            other => return Err(format!("attributes.{name}: expected a text or a number, found {}", kind(other))),
        }
    }
    Ok(attributes)
}

/// `request` with the members of `more` in it; those of `more` win.
pub(super) fn merged(mut request: Value, more: Value) -> Result<Value, String> {
    match (&mut request, more) {
        (Value::Object(request), Value::Object(more)) => request.extend(more),
        (_, more) => return Err(format!("body: expected an object, found {}", kind(&more))),
    }
    Ok(request)
}

/// What a job has to say: the value that a program gave, or the input.
pub(super) fn said(context: &Value, value: Option<Value>) -> Value {
    value.unwrap_or_else(|| context.get("input").cloned().unwrap_or_default())
}

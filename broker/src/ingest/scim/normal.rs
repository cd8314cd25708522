//! Resources and values in the standard's shape, whatever shape clients write them in: names in any case, booleans as text,
//! one value where there may be several. Secrets, and what only the server writes, are left out.

use serde_json::{Map, Value, json};

use super::{
    error::ScimError,
    kind::{ENTERPRISE, Kind, canonical, is_many, is_read_only, is_secret},
};

/// Longest userName and displayName of a group, in bytes.
const MAX_NAME: usize = 512;

/// A whole resource, as POST and PUT bring it.
pub(super) fn resource(kind: Kind, body: &Value) -> Result<Map<String, Value>, ScimError> {
    let Value::Object(body) = body else {
        return Err(ScimError::syntax(format!("a {} is a JSON object", kind.name())));
    };
    let mut resource = Map::new();
    for (name, value) in body {
        set_whole(&mut resource, name, value)?;
    }
    checked(kind, &resource)?;
    Ok(resource)
}

/// Refuses a resource without its name.
pub(super) fn checked(kind: Kind, resource: &Map<String, Value>) -> Result<(), ScimError> {
    let attribute = kind.name_attribute();
    match resource.get(attribute).and_then(Value::as_str) {
        Some(name) if !name.is_empty() && name.len() <= MAX_NAME => Ok(()),
        Some(name) if name.len() > MAX_NAME => {
            Err(ScimError::value(format!("{attribute} has at most {MAX_NAME} bytes")))
        }
        _ => Err(ScimError::value(format!("a {} has a {attribute}", kind.name()))),
    }
}

fn set_whole(resource: &mut Map<String, Value>, name: &str, value: &Value) -> Result<(), ScimError> {
    // What clients write of the core schema with its name before it is the core schema's.
    let plain = Kind::ALL.iter().find_map(|kind| name.strip_prefix(kind.schema())?.strip_prefix(':'));
    let name = canonical(plain.unwrap_or(name));
    if is_read_only(&name) || is_secret(&name) {
        return Ok(());
    }
    if let Some(value) = attribute(&name, value)? {
        resource.insert(name, value);
    }
    Ok(())
}

/// A value of the attribute of this name; none where it is no value.
pub(super) fn attribute(name: &str, value: &Value) -> Result<Option<Value>, ScimError> {
    if is_many(name) {
        let values = many(value)?;
        return Ok(Some(Value::Array(values)).filter(|values| values != &json!([])));
    }
    single(name, value)
}

/// The values of an attribute that has several; where only one was written, that.
pub(super) fn many(value: &Value) -> Result<Vec<Value>, ScimError> {
    let values = match value {
        Value::Null => &[],
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut all: Vec<Value> = Vec::with_capacity(values.len());
    for value in values {
        let element = match value {
            Value::Object(map) => Value::Object(object(map)?),
            Value::String(_) | Value::Number(_) => json!({"value": text(value)}),
            _ => continue,
        };
        if element != json!({}) {
            all.push(element);
        }
    }
    Ok(all)
}

fn single(name: &str, value: &Value) -> Result<Option<Value>, ScimError> {
    Ok(match (name, value) {
        (_, Value::Null) => None,
        ("active" | "primary", value) => Some(Value::from(boolean(name, value)?)),
        ("manager", Value::String(id)) => Some(json!({"value": id})).filter(|_| !id.trim().is_empty()),
        ("name", Value::String(name)) => Some(json!({"formatted": name})),
        ("userName" | "displayName" | "externalId" | "value", Value::String(_) | Value::Number(_)) => {
            Some(Value::from(text(value))).filter(|text| text != "")
        }
        ("userName" | "displayName" | "externalId", Value::Array(_) | Value::Object(_) | Value::Bool(_)) => {
            return Err(ScimError::value(format!("{name} is a text")));
        }
        (ENTERPRISE | "name" | "manager", Value::Object(map)) => {
            Some(Value::Object(object(map)?)).filter(|map| map != &json!({}))
        }
        (ENTERPRISE | "name" | "manager", Value::Array(_) | Value::Bool(_) | Value::Number(_)) => None,
        (_, Value::Object(map)) => Some(Value::Object(object(map)?)),
        (_, Value::Array(values)) => {
            let inner = values.iter().map(|value| single("", value)).collect::<Result<Vec<_>, _>>()?;
            Some(Value::Array(inner.into_iter().flatten().collect()))
        }
        (_, other) => Some(other.clone()),
    })
}

fn object(map: &Map<String, Value>) -> Result<Map<String, Value>, ScimError> {
    let mut inner = Map::new();
    for (name, value) in map {
        let name = canonical(name);
        if is_secret(&name) {
            continue;
        }
        if let Some(value) = single(&name, value)? {
            inner.insert(name, value);
        }
    }
    Ok(inner)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    }
}

/// Some clients write booleans as texts.
fn boolean(name: &str, value: &Value) -> Result<bool, ScimError> {
    let wrong = || ScimError::value(format!("{name} is true or false"));
    match value {
        Value::Bool(is) => Ok(*is),
        Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Ok(false),
        Value::Number(number) => match number.as_u64() {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            _ => Err(wrong()),
        },
        // Some write each value as a list of one.
        Value::Array(values) => match values.as_slice() {
            [one] => boolean(name, one),
            _ => Err(wrong()),
        },
        Value::Object(map) => map.get("value").map_or_else(|| Err(wrong()), |value| boolean(name, value)),
        _ => Err(wrong()),
    }
}

//! PATCH (RFC 7644, section 3.5.2), in every form that clients write it: operations in any case, values without a path whose
//! keys are paths themselves, elements by filter or by value.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    error::ScimError,
    kind::{ENTERPRISE, canonical, is_many, is_read_only, is_secret},
    normal,
    path::Path,
};

/// Operations in a request.
const MAX_OPERATIONS: usize = 5_000;
/// Values of an attribute.
const MAX_VALUES: usize = 20_000;

type Object = Map<String, Value>;

/// What a PATCH did that the resource does not show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Patched {
    /// A password was set, and is not kept.
    pub(super) password: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Op {
    Add,
    Replace,
    Remove,
}

/// The operations of a body, which may also be one alone.
pub(super) fn operations(body: &Value) -> Result<&[Value], ScimError> {
    let wrong = || ScimError::syntax("a PATCH has Operations, a list of {op, path, value}");
    let map = body.as_object().ok_or_else(wrong)?;
    let operations = match member(map, "Operations") {
        Some(Value::Array(operations)) => operations.as_slice(),
        Some(one @ Value::Object(_)) => std::slice::from_ref(one),
        None if member(map, "op").is_some() => std::slice::from_ref(body),
        _ => return Err(wrong()),
    };
    if operations.is_empty() || operations.len() > MAX_OPERATIONS {
        return Err(ScimError::syntax(format!("a PATCH has from 1 to {MAX_OPERATIONS} operations")));
    }
    Ok(operations)
}

/// Does all operations of `body` to `resource`. After an error it is of no use.
pub(super) fn apply(resource: &mut Object, body: &Value) -> Result<Patched, ScimError> {
    let mut patched = Patched::default();
    for operation in operations(body)? {
        let wrong = || ScimError::syntax("an operation has op: add, replace or remove");
        let operation = operation.as_object().ok_or_else(wrong)?;
        let op = match member(operation, "op").and_then(Value::as_str).map(str::to_ascii_lowercase).as_deref() {
            Some("add") => Op::Add,
            Some("replace") => Op::Replace,
            Some("remove") => Op::Remove,
            _ => return Err(wrong()),
        };
        let value = member(operation, "value");
        match member(operation, "path").filter(|path| !path.is_null() && *path != "") {
            None => without_path(resource, op, value, &mut patched)?,
            Some(path) => {
                let path = path.as_str().ok_or_else(|| ScimError::path("a path is a text"))?;
                at(resource, op, path, value, &mut patched)?;
            }
        }
    }
    let too_many = |value: &Value| value.as_array().is_some_and(|values| values.len() > MAX_VALUES);
    if resource.values().any(too_many) {
        return Err(ScimError::too_large(format!("an attribute has at most {MAX_VALUES} values")));
    }
    Ok(patched)
}

/// A key of an operation, in any case.
pub(super) fn member<'m>(map: &'m Object, name: &str) -> Option<&'m Value> {
    map.get(name).or_else(|| map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

fn without_path(resource: &mut Object, op: Op, value: Option<&Value>, patched: &mut Patched) -> Result<(), ScimError> {
    if op == Op::Remove {
        return Err(ScimError::no_target("a removal names its path"));
    }
    let values = value.and_then(Value::as_object);
    let values = values.ok_or_else(|| ScimError::value("without a path the value is an object"))?;
    for (name, value) in values {
        match value {
            // Clients send along what only the server writes.
            _ if is_read_only(&canonical(name)) => {}
            Value::Object(inner) if name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:")) => {
                let schema = canonical(name);
                if is_of_core(&schema) {
                    without_path(resource, op, Some(value), patched)?;
                } else if schema.starts_with(ENTERPRISE) && schema != ENTERPRISE {
                    at(resource, op, name, Some(value), patched)?;
                } else {
                    merge(resource, op, &schema, inner)?;
                }
            }
            _ => at(resource, op, name, Some(value), patched)?,
        }
    }
    Ok(())
}

fn is_of_core(schema: &str) -> bool {
    super::kind::Kind::ALL.iter().any(|kind| kind.schema().eq_ignore_ascii_case(schema))
}

/// Sets the attributes of an extension.
fn merge(resource: &mut Object, op: Op, schema: &str, values: &Object) -> Result<(), ScimError> {
    for (name, value) in values {
        let path = Path { schema: Some(schema.to_owned()), attribute: Some(canonical(name)), filter: None, sub: None };
        to(resource, op, &path, Some(value))?;
    }
    Ok(())
}

fn at(
    resource: &mut Object,
    op: Op,
    path: &str,
    value: Option<&Value>,
    patched: &mut Patched,
) -> Result<(), ScimError> {
    let path = Path::parse(path)?;
    let Some(attribute) = path.attribute.as_deref() else {
        let schema = path.schema.as_deref().unwrap_or(ENTERPRISE);
        if op == Op::Remove {
            resource.remove(schema);
            return Ok(());
        }
        let values = value.and_then(Value::as_object).ok_or_else(|| ScimError::value("an extension is an object"))?;
        return merge(resource, op, schema, values);
    };
    if path.schema.is_none() && is_read_only(attribute) {
        return Err(ScimError::mutability(format!("{attribute} is written by the server")));
    }
    if is_secret(attribute) {
        patched.password |= op != Op::Remove && attribute == "password";
        return Ok(());
    }
    if path.sub.as_deref().is_some_and(is_secret) {
        return Ok(());
    }
    to(resource, op, &path, value)
}

/// Does an operation at a place that may be written.
fn to(resource: &mut Object, op: Op, path: &Path, value: Option<&Value>) -> Result<(), ScimError> {
    let Some(attribute) = path.attribute.as_deref() else { return Ok(()) };
    let map = match &path.schema {
        None => &mut *resource,
        Some(schema) => {
            let extension = resource.entry(schema.clone()).or_insert_with(|| Value::Object(Map::new()));
            if !extension.is_object() {
                *extension = Value::Object(Map::new());
            }
            extension.as_object_mut().ok_or_else(|| ScimError::value("an extension is an object"))?
        }
    };
    // A null is no value: to set it is to remove what is there.
    let value = value.filter(|value| !value.is_null());
    match (op, value) {
        (Op::Remove, _) => remove(map, attribute, path, value),
        (Op::Add, None) => return Err(ScimError::value(format!("{attribute}: an addition has a value"))),
        (Op::Replace, None) => remove(map, attribute, path, None),
        (_, Some(value)) => set(map, op, attribute, path, value)?,
    }
    if let Some(schema) = &path.schema
        && resource.get(schema).and_then(Value::as_object).is_some_and(Map::is_empty)
    {
        resource.remove(schema);
    }
    Ok(())
}

fn set(map: &mut Object, op: Op, attribute: &str, path: &Path, value: &Value) -> Result<(), ScimError> {
    if is_many(attribute) || path.filter.is_some() {
        return set_elements(map, op, attribute, path, value);
    }
    if let Some(sub) = &path.sub {
        let inner = map.entry(attribute).or_insert_with(|| Value::Object(Map::new()));
        if !inner.is_object() {
            *inner = Value::Object(Map::new());
        }
        if let Some(inner) = inner.as_object_mut() {
            put(inner, sub, value)?;
            if inner.is_empty() {
                map.remove(attribute);
            }
        }
        return Ok(());
    }
    match (normal::attribute(attribute, value)?, map.get_mut(attribute)) {
        (Some(Value::Object(new)), Some(Value::Object(old))) => old.extend(new),
        (Some(new), _) => {
            map.insert(attribute.to_owned(), new);
        }
        (None, _) => {
            map.remove(attribute);
        }
    }
    Ok(())
}

/// Sets a part of a value that has several.
fn put(map: &mut Object, name: &str, value: &Value) -> Result<(), ScimError> {
    match normal::attribute(name, value)? {
        Some(value) => map.insert(name.to_owned(), value),
        None => map.remove(name),
    };
    Ok(())
}

fn set_elements(map: &mut Object, op: Op, attribute: &str, path: &Path, value: &Value) -> Result<(), ScimError> {
    let mut elements = match map.remove(attribute) {
        Some(Value::Array(elements)) => elements,
        None => Vec::new(),
        Some(one) => vec![one],
    };
    let mut touched = HashSet::new();
    if path.filter.is_none() && path.sub.is_none() {
        let new = normal::many(value)?;
        if op == Op::Replace {
            elements.clear();
        }
        let mut known: HashSet<String> = elements.iter().map(identity).collect();
        for element in new {
            if known.insert(identity(&element)) {
                touched.insert(elements.len());
                elements.push(element);
            }
        }
    } else {
        let meant = |element: &Value| {
            let element = element.as_object();
            element.is_some_and(|element| path.filter.as_ref().is_none_or(|filter| filter.holds(element)))
        };
        touched.extend(elements.iter().enumerate().filter(|(_, element)| meant(element)).map(|(index, _)| index));
        if touched.is_empty() {
            let new = path.filter.as_ref().map_or_else(|| Some(Map::new()), |filter| filter.as_element());
            let new = new.ok_or_else(|| ScimError::no_target(format!("no value of {attribute} is meant")))?;
            touched.insert(elements.len());
            elements.push(Value::Object(new));
        }
        for index in &touched {
            let Some(Value::Object(element)) = elements.get_mut(*index) else { continue };
            match (&path.sub, value) {
                (Some(sub), value) => put(element, sub, value)?,
                (None, Value::Object(new)) => {
                    for (name, value) in new.iter().filter(|(name, _)| !is_secret(name)) {
                        put(element, &canonical(name), value)?;
                    }
                }
                (None, value) => put(element, "value", value)?,
            }
        }
    }
    only_one_primary(&mut elements, &touched);
    if !elements.is_empty() {
        map.insert(attribute.to_owned(), Value::Array(elements));
    }
    Ok(())
}

/// What has just become the primary value takes the place of the one before.
fn only_one_primary(elements: &mut [Value], touched: &HashSet<usize>) {
    let is_primary = |element: &Value| element.get("primary") == Some(&Value::from(true));
    let Some(primary) = touched.iter().copied().filter(|index| elements.get(*index).is_some_and(is_primary)).min()
    else {
        return;
    };
    for (index, element) in elements.iter_mut().enumerate() {
        if let Value::Object(element) = element
            && index != primary
            && element.get("primary") == Some(&Value::from(true))
        {
            element.insert("primary".to_owned(), Value::from(false));
        }
    }
}

/// What tells an element from others: a member's id, else all of it.
fn identity(element: &Value) -> String {
    match (element.get("value").and_then(Value::as_str), element.get("type")) {
        (Some(value), None) => value.to_owned(),
        _ => element.to_string(),
    }
}

fn remove(map: &mut Object, attribute: &str, path: &Path, value: Option<&Value>) {
    let is_list = map.get(attribute).is_some_and(Value::is_array);
    if !is_list {
        match (&path.sub, map.get_mut(attribute)) {
            (Some(sub), Some(Value::Object(inner))) => {
                inner.remove(sub);
                if inner.is_empty() {
                    map.remove(attribute);
                }
            }
            (None, _) if path.filter.is_none() => {
                map.remove(attribute);
            }
            _ => {}
        }
        return;
    }
    let Some(Value::Array(elements)) = map.get_mut(attribute) else { return };
    let named: Option<HashSet<String>> = value.map(|value| {
        let values = normal::many(value).unwrap_or_default();
        values.iter().filter_map(|element| element.get("value")?.as_str().map(str::to_owned)).collect()
    });
    let meant = |element: &Value| {
        let by_filter = path.filter.as_ref().is_none_or(|filter| element.as_object().is_some_and(|e| filter.holds(e)));
        let id = element.get("value").and_then(Value::as_str);
        let by_value =
            path.filter.is_some() || named.as_ref().is_none_or(|named| id.is_some_and(|id| named.contains(id)));
        by_filter && by_value
    };
    match &path.sub {
        None => elements.retain(|element| !meant(element)),
        Some(sub) => {
            for element in elements.iter_mut().filter(|element| meant(element)) {
                element.as_object_mut().map(|element| element.remove(sub));
            }
            elements.retain(|element| element.as_object().is_none_or(|element| !element.is_empty()));
        }
    }
    if elements.is_empty() {
        map.remove(attribute);
    }
}

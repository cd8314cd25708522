//! What a request would become, without a server and without what it has kept: for trying out a source. Of the resource
//! nothing is known but what the request says, so whatever it sets counts as changed, and whom it removes was there.

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::{Map, Value};

use super::{
    Refusal, ScimError,
    changes::Change,
    kind::{Kind, is_many},
    normal,
    patch::{self, member},
    path::Path,
    route::Route,
};

type Object = Map<String, Value>;

/// The events of a body; method and path, where they are not given, are those that such a body is sent with.
pub(in crate::ingest) fn rehearse(
    method: Option<&Method>,
    path: Option<&str>,
    body: &[u8],
) -> Result<Vec<Value>, Refusal> {
    let refused = |error: ScimError| Refusal::Undecodable(error.to_string());
    let route = path.map(|path| Route::parse(path).map_err(refused)).transpose()?.map(|(route, _)| route);
    if method == Some(&Method::DELETE) {
        let Some(Route::One(kind, id)) = route else {
            return Err(Refusal::Undecodable("what is deleted stands in the path: /Users/ID".to_owned()));
        };
        let gone = Map::new();
        return Ok(change(kind, Some(&id), Some(&gone), None, (false, "DELETE")));
    }
    let text = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let body: Value =
        serde_json::from_slice(text).map_err(|error| Refusal::Undecodable(format!("the body is no JSON: {error}")))?;
    let several = match &body {
        Value::Array(bodies) => Some(bodies),
        Value::Object(map) => map.get("Resources").and_then(Value::as_array),
        _ => None,
    };
    let bodies = several.map_or_else(|| std::slice::from_ref(&body), Vec::as_slice);
    let mut events = Vec::new();
    for body in bodies {
        events.extend(one(method, route.as_ref(), body).map_err(refused)?);
    }
    Ok(events)
}

fn one(method: Option<&Method>, route: Option<&Route>, body: &Value) -> Result<Vec<Value>, ScimError> {
    let (kind, id) = match route {
        Some(Route::One(kind, id)) => (Some(*kind), Some(id.as_str())),
        Some(Route::All(kind)) => (Some(*kind), None),
        Some(_) => return Ok(Vec::new()),
        None => (None, None),
    };
    let is_patch =
        body.as_object().is_some_and(|map| member(map, "Operations").is_some() || member(map, "op").is_some());
    let id = id.or_else(|| body.get("id").and_then(Value::as_str).filter(|id| !id.is_empty()));
    let kind = kind.map_or_else(|| guessed(body, is_patch), Ok)?;
    // A client that writes an id, or what the server has written, has read the resource before.
    let read = id.is_some() || body.get("meta").is_some_and(|meta| meta.get("location").is_some());
    let method = match method {
        Some(method) => method.as_str(),
        None if is_patch => "PATCH",
        None if read => "PUT",
        None => "POST",
    };
    match method {
        "GET" | "HEAD" => Ok(Vec::new()),
        "PATCH" => {
            let mut after = assumed(body)?;
            let mut before = after.clone();
            let patched = patch::apply(&mut after, body)?;
            if let Some(Value::Bool(active)) = after.get("active") {
                before.insert("active".to_owned(), Value::from(!active));
            }
            Ok(change(kind, id, Some(&before), Some(&after), (patched.password, method)))
        }
        "PUT" => {
            let after = normal::resource(kind, body)?;
            let mut before = Map::new();
            if after.get("active") == Some(&Value::from(false)) {
                // That is what it was sent for: what else it says may have been so before.
                before.clone_from(&after);
                before.insert("active".to_owned(), Value::from(true));
            }
            Ok(change(kind, id, Some(&before), Some(&after), (false, method)))
        }
        "POST" => Ok(change(kind, id, None, Some(&normal::resource(kind, body)?), (false, method))),
        other => Err(ScimError::method(format!("{other} means nothing here"))),
    }
}

fn change(
    kind: Kind,
    id: Option<&str>,
    before: Option<&Object>,
    after: Option<&Object>,
    (password, method): (bool, &str),
) -> Vec<Value> {
    Change { kind, id, before, after, password, method, at: None, people: &BTreeMap::new() }.events()
}

fn guessed(body: &Value, is_patch: bool) -> Result<Kind, ScimError> {
    let mut names: Vec<String> = Vec::new();
    if is_patch {
        for operation in patch::operations(body)?.iter().filter_map(Value::as_object) {
            names.extend(member(operation, "path").and_then(Value::as_str).map(str::to_owned));
            let values = member(operation, "value").and_then(Value::as_object);
            if member(operation, "path").is_none_or(Value::is_null) {
                names.extend(values.into_iter().flat_map(Map::keys).cloned());
            }
        }
        let attribute = |name: &String| Path::parse(name).ok()?.attribute;
        let attributes: Vec<String> = names.iter().filter_map(attribute).collect();
        let of_groups = |name: &String| ["members", "displayName", "externalId", "id"].contains(&name.as_str());
        let is_group = attributes.iter().any(|name| name == "members")
            || (!attributes.is_empty()
                && attributes.iter().all(of_groups)
                && attributes.iter().any(|name| name == "id"));
        return Ok(if is_group { Kind::Group } else { Kind::User });
    }
    let says = |kind: Kind| {
        let schemas = body.get("schemas").and_then(Value::as_array);
        let by_schema = schemas.is_some_and(|all| {
            all.iter().any(|one| one.as_str().is_some_and(|one| one.eq_ignore_ascii_case(kind.schema())))
        });
        let meta = body.get("meta").and_then(|meta| meta.get("resourceType"));
        by_schema || meta.is_some_and(|said| said == kind.name())
    };
    let has = |name: &str| body.as_object().is_some_and(|map| member(map, name).is_some());
    Kind::ALL
        .into_iter()
        .find(|kind| says(*kind))
        .or_else(|| has("userName").then_some(Kind::User))
        .or_else(|| (has("displayName") || has("members")).then_some(Kind::Group))
        .ok_or_else(|| ScimError::syntax("neither a user nor a group nor a change of one: say so in `schemas`"))
}

/// The resource as it must have been for the removals to remove something.
fn assumed(body: &Value) -> Result<Object, ScimError> {
    let mut resource = Map::new();
    for operation in patch::operations(body)?.iter().filter_map(Value::as_object) {
        let removes =
            member(operation, "op").and_then(Value::as_str).is_some_and(|op| op.eq_ignore_ascii_case("remove"));
        let Some(path) = member(operation, "path").and_then(Value::as_str).filter(|_| removes) else { continue };
        let Path { schema: None, attribute: Some(attribute), filter, .. } = Path::parse(path)? else { continue };
        if !is_many(&attribute) {
            resource.insert(attribute, Value::Null);
            continue;
        }
        let by_filter = filter.and_then(|filter| filter.as_element()).map(Value::Object);
        let by_value = member(operation, "value").map(normal::many).transpose()?.unwrap_or_default();
        let there = resource.entry(attribute).or_insert_with(|| Value::Array(Vec::new()));
        if let Some(there) = there.as_array_mut() {
            there.extend(by_filter.into_iter().chain(by_value));
        }
    }
    Ok(resource)
}

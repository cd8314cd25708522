//! What a client wants to see: which resources, from where, and which attributes of them.

use serde_json::{Map, Value, json};

use super::{
    error::ScimError,
    filter::{Filter, names},
    kind::{ENTERPRISE, canonical},
};

/// Resources in an answer, where the client asks for no other number, and at most.
const PAGE: usize = 100;
pub(super) const MAX_PAGE: usize = 500;
/// Names of attributes.
const MAX_NAMES: usize = 100;

/// A query as it stands behind the question mark, or in the body of a search.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) filter: Option<Filter>,
    /// From 1.
    pub(super) start: usize,
    pub(super) count: usize,
    pub(super) view: View,
}

/// Which attributes are shown.
#[derive(Debug, Default)]
pub(super) struct View {
    only: Vec<Vec<String>>,
    without: Vec<Vec<String>>,
}

impl Query {
    pub(super) fn parse(query: &Map<String, Value>) -> Result<Self, ScimError> {
        let text = |name: &str| query.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        let number = |name: &str| -> Result<Option<usize>, ScimError> {
            let number = match query.get(name) {
                Some(Value::Number(number)) => number.as_i64(),
                Some(Value::String(text)) if !text.is_empty() => text.trim().parse::<i64>().ok(),
                _ => return Ok(None),
            };
            let number = number.ok_or_else(|| ScimError::value(format!("{name} is a number")))?;
            Ok(Some(usize::try_from(number.max(0)).unwrap_or(usize::MAX)))
        };
        Ok(Self {
            filter: text("filter").map(Filter::parse).transpose()?,
            start: number("startIndex")?.unwrap_or(1).max(1),
            count: number("count")?.unwrap_or(PAGE).min(MAX_PAGE),
            view: View {
                only: attributes(query.get("attributes"))?,
                without: attributes(query.get("excludedAttributes"))?,
            },
        })
    }

    /// A page of what was found, each made by `show`.
    pub(super) fn answer<T>(&self, found: &[T], show: impl Fn(&T) -> Value) -> Value {
        let page: Vec<Value> = found.iter().skip(self.start - 1).take(self.count).map(show).collect();
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": found.len(),
            "startIndex": self.start,
            "itemsPerPage": page.len(),
            "Resources": page,
        })
    }
}

fn attributes(value: Option<&Value>) -> Result<Vec<Vec<String>>, ScimError> {
    let all: Vec<&str> = match value {
        Some(Value::String(text)) => text.split(',').collect(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).flat_map(|text| text.split(',')).collect(),
        _ => Vec::new(),
    };
    let all: Vec<_> = all.into_iter().map(str::trim).filter(|name| !name.is_empty()).collect();
    if all.len() > MAX_NAMES {
        return Err(ScimError::value(format!("at most {MAX_NAMES} attributes are named")));
    }
    Ok(all.into_iter().map(place).collect())
}

fn place(name: &str) -> Vec<String> {
    if name.eq_ignore_ascii_case(ENTERPRISE) { vec![canonical(name)] } else { names(name) }
}

impl View {
    /// What is to be seen of a resource; its id and schemas always are.
    pub(super) fn of(&self, whole: Value) -> Value {
        let Value::Object(whole) = whole else { return whole };
        let always = |name: &str| name == "id" || name == "schemas";
        let mut seen = if self.only.is_empty() {
            whole
        } else {
            let mut seen: Map<String, Value> = whole
                .iter()
                .filter(|(name, _)| always(name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            for place in &self.only {
                if let Some(first) = place.first()
                    && let Some(value) = whole.get(first).and_then(|value| only(value, &place[1..]))
                {
                    match (seen.get_mut(first), value) {
                        (Some(Value::Object(before)), Value::Object(more)) => before.extend(more),
                        (_, value) => drop(seen.insert(first.clone(), value)),
                    }
                }
            }
            seen
        };
        for place in self.without.iter().filter(|place| !place.first().is_some_and(|first| always(first))) {
            without(&mut seen, place);
        }
        Value::Object(seen)
    }
}

fn only(value: &Value, place: &[String]) -> Option<Value> {
    let Some((first, rest)) = place.split_first() else { return Some(value.clone()) };
    match value {
        Value::Object(map) => Some(Value::Object(Map::from_iter([(first.clone(), only(map.get(first)?, rest)?)]))),
        Value::Array(values) => Some(Value::Array(values.iter().filter_map(|value| only(value, place)).collect())),
        _ => None,
    }
}

fn without(map: &mut Map<String, Value>, place: &[String]) {
    match place {
        [] => {}
        [last] => drop(map.remove(last)),
        [first, rest @ ..] => match map.get_mut(first) {
            Some(Value::Object(inner)) => without(inner, rest),
            Some(Value::Array(values)) => {
                for inner in values.iter_mut().filter_map(Value::as_object_mut) {
                    without(inner, rest);
                }
            }
            _ => {}
        },
    }
}

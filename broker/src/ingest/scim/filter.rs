//! The filters that clients use: `userName eq "x"`, `type eq "work" and primary eq true`. What is more is refused by name.

use serde_json::{Map, Value};

use super::{error::ScimError, kind::canonical};

/// Longest filter, in bytes.
const MAX_FILTER: usize = 4096;
/// Comparisons in a filter.
const MAX_TERMS: usize = 8;

/// Comparisons that must all hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filter(Vec<Term>);

/// `attribute operator value`
#[derive(Debug, Clone, PartialEq)]
struct Term {
    attribute: Vec<String>,
    operator: Operator,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operator {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Pr,
}

impl Filter {
    pub(super) fn parse(text: &str) -> Result<Self, ScimError> {
        if text.len() > MAX_FILTER {
            return Err(ScimError::filter(format!("a filter has at most {MAX_FILTER} bytes")));
        }
        let mut terms = Vec::new();
        let mut rest = text.trim();
        loop {
            let (term, behind) = term(rest)?;
            terms.push(term);
            if terms.len() > MAX_TERMS {
                return Err(ScimError::filter(format!("a filter has at most {MAX_TERMS} comparisons")));
            }
            let Some((word, next)) = word(behind) else { break };
            if !word.eq_ignore_ascii_case("and") {
                return Err(ScimError::filter(format!("{word:?}: comparisons are joined by `and` only")));
            }
            rest = next;
        }
        Ok(Self(terms))
    }

    /// The value that this one attribute must equal, where that is all.
    pub(super) fn only(&self, attribute: &str) -> Option<&str> {
        match self.0.as_slice() {
            [Term { attribute: named, operator: Operator::Eq, value: Value::String(value) }]
                if named.as_slice() == [attribute] =>
            {
                Some(value)
            }
            _ => None,
        }
    }

    pub(super) fn holds(&self, object: &Map<String, Value>) -> bool {
        self.0.iter().all(|term| term.holds(object))
    }

    /// An element that the filter would find, for clients that replace what is not there.
    pub(super) fn as_element(&self) -> Option<Map<String, Value>> {
        let pair = |term: &Term| match (term.attribute.as_slice(), term.operator) {
            ([name], Operator::Eq) => Some((name.clone(), term.value.clone())),
            _ => None,
        };
        self.0.iter().map(pair).collect()
    }

    /// Whether an attribute outside of `known` is asked for.
    pub(super) fn outside<'f>(&'f self, known: &[&str]) -> Option<&'f str> {
        let first = |term: &'f Term| term.attribute.first().map(String::as_str);
        self.0.iter().filter_map(first).find(|name| !known.contains(name) && !name.starts_with("urn:"))
    }
}

fn term(text: &str) -> Result<(Term, &str), ScimError> {
    let expected = || ScimError::filter("a filter is such as userName eq \"ada@example.com\"");
    let (attribute, rest) = word(text).ok_or_else(expected)?;
    if attribute.contains(['(', '[', '"']) || attribute.eq_ignore_ascii_case("not") {
        return Err(ScimError::filter(format!("{attribute:?}: brackets and `not` are not supported")));
    }
    let (operator, rest) = word(rest).ok_or_else(expected)?;
    let operator = match operator.to_ascii_lowercase().as_str() {
        "eq" => Operator::Eq,
        "ne" => Operator::Ne,
        "co" => Operator::Co,
        "sw" => Operator::Sw,
        "ew" => Operator::Ew,
        "pr" => Operator::Pr,
        other => return Err(ScimError::filter(format!("{other:?}: expected one of eq, ne, co, sw, ew, pr"))),
    };
    let attribute = names(attribute);
    if operator == Operator::Pr {
        return Ok((Term { attribute, operator, value: Value::Null }, rest));
    }
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    let value = values.next().and_then(Result::ok);
    let (value, rest) = match value {
        Some(value) => (value, &rest[values.byte_offset()..]),
        // Some write True, or leave the quotes out.
        None => {
            let (bare, rest) = word(rest).ok_or_else(expected)?;
            let value = match bare.to_ascii_lowercase().as_str() {
                "true" => Value::from(true),
                "false" => Value::from(false),
                _ if bare.starts_with('"') => return Err(expected()),
                _ => Value::from(bare),
            };
            (value, rest)
        }
    };
    if value.is_array() || value.is_object() {
        return Err(expected());
    }
    Ok((Term { attribute, operator, value }, rest))
}

fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// `emails.value` as its parts; a schema before it is one part of its own unless it is a core one.
pub(super) fn names(path: &str) -> Vec<String> {
    let (schema, rest) = match path.rsplit_once(':') {
        Some((schema, rest)) if path.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:")) => {
            (Some(schema), rest)
        }
        _ => (None, path),
    };
    let is_core = |schema: &&str| !super::kind::Kind::ALL.iter().any(|kind| kind.schema().eq_ignore_ascii_case(schema));
    schema.filter(is_core).into_iter().chain(rest.split('.')).map(canonical).collect()
}

impl Term {
    fn holds(&self, object: &Map<String, Value>) -> bool {
        let mut found = Vec::new();
        collect(&Value::Object(object.clone()), &self.attribute, &mut found);
        match self.operator {
            Operator::Pr => !found.is_empty(),
            Operator::Ne => !found.iter().any(|value| self.is(value)),
            _ => found.iter().any(|value| self.is(value)),
        }
    }

    fn is(&self, value: &Value) -> bool {
        let (Value::String(found), Value::String(given)) = (value, &self.value) else {
            return match (value, &self.value) {
                // A boolean that is written as a text.
                (Value::Bool(found), Value::String(given)) => found.to_string().eq_ignore_ascii_case(given),
                (found, given) => matches!(self.operator, Operator::Eq | Operator::Ne) && found == given,
            };
        };
        let (found, given) = (found.to_lowercase(), given.to_lowercase());
        match self.operator {
            Operator::Co => found.contains(&given),
            Operator::Sw => found.starts_with(&given),
            Operator::Ew => found.ends_with(&given),
            Operator::Eq | Operator::Ne | Operator::Pr => found == given,
        }
    }
}

/// Every value at this path; an attribute of several values stands for its elements, and those for their `value`.
fn collect(value: &Value, path: &[String], found: &mut Vec<Value>) {
    match (value, path) {
        (Value::Array(values), _) => values.iter().for_each(|value| collect(value, path, found)),
        (Value::Object(map), [first, rest @ ..]) => {
            if let Some(inner) = map.get(first) {
                collect(inner, rest, found);
            }
        }
        (Value::Object(map), []) => found.extend(map.get("value").cloned()),
        (Value::Null, _) | (_, [_, ..]) => {}
        (plain, []) => found.push(plain.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn clients_filters_are_read_and_hold() {
        let user = json!({"userName": "Ada@Example.com", "active": true, "externalId": "7",
            "emails": [{"type": "work", "value": "ada@example.com"}], "name": {"givenName": "Ada"},
            super::super::kind::ENTERPRISE: {"department": "R&D"}});
        let user = user.as_object().unwrap();
        for (text, holds) in [
            ("userName eq \"ada@example.com\"", true),
            ("USERNAME EQ \"ada@example.com\"", true),
            ("username eq \"bob@example.com\"", false),
            ("emails.value eq \"ada@example.com\"", true),
            ("emails eq \"ada@example.com\"", true),
            ("emails.type eq \"home\"", false),
            ("active eq true", true),
            ("active eq \"True\"", true),
            ("active eq False", false),
            ("externalId eq \"7\" and name.givenName sw \"a\"", true),
            ("title pr", false),
            ("userName pr and title ne \"x\"", true),
            ("urn:ietf:params:scim:schemas:core:2.0:User:userName eq \"ada@example.com\"", true),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq \"r&d\"", true),
            ("userName eq \"a and b\"", false),
            ("userName eq \"a\\\"b\"", false),
        ] {
            let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(filter.holds(user), holds, "{text}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused_by_name() {
        let long = format!("userName eq \"{}\"", "x".repeat(5000));
        for text in [
            "",
            "userName",
            "userName eq",
            "userName is \"x\"",
            "userName eq \"x",
            "userName eq [1]",
            "userName eq \"x\" or userName eq \"y\"",
            "not (userName eq \"x\")",
            "emails[type eq \"work\"] pr",
            &long,
        ] {
            assert_eq!(Filter::parse(text).unwrap_err().kind, Some("invalidFilter"), "{text}");
        }
    }
}

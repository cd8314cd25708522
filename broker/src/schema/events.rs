//! The vocabulary: `broker/schemas/event.json` says what every event has, `broker/schemas/events/<scope>.json` which actions
//! a scope has and what `info` holds with each. They are JSON Schema 2020-12, built in, and refer to each other by URNs
//! (`urn:emote:event`, `urn:emote:event:device`). A new scope is a file there.
//!
//! The vocabulary is open: what no schema names is checked as any event is. A configuration's `schemas/<scope>.yaml` stands
//! in for the built-in schema of that scope, or is the schema of a scope of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use emote_proto::EventId;
use include_dir::{Dir, include_dir};
use jsonschema::{PatternOptions, Registry, Validator};
use serde::Serialize;
use serde_json::{Map, Value, json};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/schemas/events");
/// What every event has.
const EVENT: &str = include_str!("../../schemas/event.json");
/// The name of that schema.
pub const ANY: &str = "event";
const URN: &str = "urn:emote:event";
/// What is told of one event at most.
const MAX_VIOLATIONS: usize = 20;
/// Longest text of a violation, in characters: it may quote the event.
const MAX_PROBLEM: usize = 300;
/// Largest compiled regular expression of a schema, in bytes.
const MAX_PATTERN: usize = 256 * 1024;

/// Schemas by the scope that they are of, ready to be held against events.
pub struct Vocabulary {
    any: Option<Validator>,
    scopes: BTreeMap<String, Validator>,
    schemas: BTreeMap<String, Value>,
}

/// Something in an event that its schema does not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Where in the event: a JSON pointer (RFC 6901), empty for the event itself.
    pub pointer: String,
    /// What is wrong there.
    pub problem: String,
}

/// What there is to say against an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The schema that it was held against: a scope, or [`ANY`].
    pub schema: String,
    /// Each violation, the first few of them.
    pub violations: Vec<Violation>,
    /// How many more there are.
    pub more: usize,
}

impl Vocabulary {
    /// What is built in.
    pub fn built_in() -> &'static Self {
        static BUILT_IN: LazyLock<Vocabulary> = LazyLock::new(|| {
            Vocabulary::of(BTreeMap::new()).unwrap_or_else(|(scope, error)| {
                // A test compiles every file.
                tracing::error!(scope, error, "a built-in schema");
                Vocabulary { any: None, scopes: BTreeMap::new(), schemas: BTreeMap::new() }
            })
        });
        &BUILT_IN
    }

    /// What is built in, with `own` schemas by scope in place of it; the first that is no schema, and why.
    pub fn of(own: BTreeMap<String, Value>) -> Result<Self, (String, String)> {
        let wrong = |scope: &str, error: &dyn std::fmt::Display| (scope.to_owned(), error.to_string());
        let mut schemas = built_in_schemas();
        schemas.extend(own);
        let any = schemas.get(ANY).cloned().unwrap_or_default();
        let registry = Registry::new().add(URN, &any).and_then(|registry| registry.prepare());
        let registry = registry.map_err(|error| wrong(ANY, &error))?;
        let mut scopes = BTreeMap::new();
        for (scope, schema) in &schemas {
            scopes.insert(scope.clone(), compiled(schema, &registry).map_err(|error| wrong(scope, &error))?);
        }
        Ok(Self { any: scopes.remove(ANY), scopes, schemas })
    }

    /// The scopes that have a schema.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.keys().map(String::as_str)
    }

    /// The actions that a scope's schema names, each with what it says of it.
    pub fn actions(&self, scope: &str) -> Vec<(&str, &str)> {
        let Some(definitions) = self.schemas.get(scope).and_then(|schema| schema.get("$defs")) else {
            return Vec::new();
        };
        let named = self.named(scope);
        let definitions = definitions.as_object().into_iter().flatten();
        let of = definitions.filter(|(action, _)| named.contains(action.as_str()));
        of.map(|(action, of)| (action.as_str(), of.get("description").and_then(Value::as_str).unwrap_or_default()))
            .collect()
    }

    /// Whether there is a schema for this action.
    pub fn knows(&self, scope: &str, action: &str) -> bool {
        self.named(scope).contains(action)
    }

    /// The actions that a schema distinguishes.
    fn named(&self, scope: &str) -> BTreeSet<&str> {
        let cases = self.schemas.get(scope).and_then(|schema| schema.get("allOf")?.as_array());
        let action = |case: &'_ Value| Some(case.pointer("/if/properties/action/const")?.as_str()?.to_owned());
        let actions: BTreeSet<String> = cases.into_iter().flatten().filter_map(action).collect();
        let definitions = self.schemas.get(scope).and_then(|schema| schema.get("$defs")?.as_object());
        definitions
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .filter(|name| actions.contains(*name))
            .collect()
    }

    /// A schema as it stands: of a scope, of `<scope>.<action>`, or of any event.
    pub fn schema(&self, name: &str) -> Option<Value> {
        let Some((scope, action)) = name.split_once('.') else { return self.schemas.get(name).cloned() };
        let whole = self.schemas.get(scope)?;
        if !self.knows(scope, action) {
            return None;
        }
        let mut definitions = whole.get("$defs")?.as_object()?.clone();
        let Value::Object(of) = definitions.get(action)?.clone() else { return None };
        let others = self.named(scope);
        definitions.retain(|name, _| !others.contains(name.as_str()));
        let mut schema = Map::from_iter([
            ("$schema".to_owned(), whole.get("$schema").cloned().unwrap_or_default()),
            ("$id".to_owned(), format!("{URN}:{scope}:{action}").into()),
            ("title".to_owned(), name.into()),
            ("$ref".to_owned(), URN.into()),
        ]);
        schema.extend(of);
        let properties = schema.entry("properties").or_insert_with(|| json!({}));
        properties["scope"] = json!({"const": scope});
        properties["action"] = json!({"const": action});
        if !definitions.is_empty() {
            schema.insert("$defs".to_owned(), Value::Object(definitions));
        }
        Some(Value::Object(schema))
    }

    /// What an event says that its schema does not take; nothing where it is as it should be.
    pub fn check(&self, event: &Value) -> Option<Verdict> {
        let scope = event.get("scope").and_then(Value::as_str).unwrap_or_default();
        let (name, validator) = match self.scopes.get_key_value(scope) {
            Some((name, validator)) => (name.as_str(), validator),
            None => (ANY, self.any.as_ref()?),
        };
        if validator.is_valid(event) {
            return None;
        }
        let mut violations: Vec<Violation> = Vec::new();
        let mut more = 0;
        for error in validator.iter_errors(event) {
            let pointer = error.instance_path().to_string();
            let problem = error.to_string().chars().take(MAX_PROBLEM).collect();
            let violation = Violation { pointer, problem };
            if violations.contains(&violation) {
                continue;
            }
            if violations.len() < MAX_VIOLATIONS { violations.push(violation) } else { more += 1 }
        }
        Some(Verdict { schema: name.to_owned(), violations, more })
    }
}

impl Verdict {
    /// What an event tells of it, about the event of this id.
    pub fn info(&self, event: EventId, scope: &str, action: &str) -> Value {
        let mut info = json!({
            "event": event, "scope": scope, "action": action, "schema": self.schema, "violations": self.violations,
        });
        if self.more > 0 {
            info["more"] = self.more.into();
        }
        info
    }
}

/// Whether a value is a JSON Schema that can be used: no reference leads elsewhere, no expression is too large.
pub fn compile(schema: &Value) -> Result<Validator, String> {
    let any: Value = serde_json::from_str(EVENT).map_err(|error| error.to_string())?;
    let registry = Registry::new().add(URN, &any).and_then(|registry| registry.prepare());
    compiled(schema, &registry.map_err(|error| error.to_string())?)
}

fn compiled(schema: &Value, registry: &Registry<'_>) -> Result<Validator, String> {
    let options = jsonschema::draft202012::options().offline().with_registry(registry);
    // The regex crate's expressions take time linear in the text; the others of ECMA 262 are refused.
    let options = options.with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN));
    options.should_validate_formats(true).build(schema).map_err(|error| error.to_string())
}

fn built_in_schemas() -> BTreeMap<String, Value> {
    let files = FILES.files().filter_map(|file| {
        let scope = file.path().file_name()?.to_str()?.strip_suffix(".json")?;
        Some((scope.to_owned(), serde_json::from_str(file.contents_utf8()?).ok()?))
    });
    let any = serde_json::from_str(EVENT).ok().map(|any| (ANY.to_owned(), any));
    files.chain(any).collect()
}

#[cfg(test)]
mod tests;

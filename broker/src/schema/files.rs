//! The JSON Schema (draft 7, which editors know best) of each kind of configuration file.
//!
//! What a file may say is found by reading ([`explore`]) where it is read field by field, and derived from the type where
//! serde reads it. Presets and their settings come from the catalogue. So a new kind of target, service, preset or key is
//! in the schema as soon as it is read; only a kind of *file* is a line in [`FILES`].
//!
//! A schema may take what `emote check` refuses, since much of that is said in no schema (whether a target is there, what a
//! jq program gives). It takes all that `emote check` takes, but keys that are written with nothing behind them.

mod preset;
mod write;

use std::sync::LazyLock;

use emote_proto::Name;
use serde_json::{Map, Value, json};

use self::write::{closed, form};
use crate::{
    config::{self, Case, Settings, explore::explore, shape::Form},
    ingest::SourceSpec,
    intake::{folder, socket},
    poll,
    targets::KINDS,
};

/// A kind of file that configures Emote.
pub struct File {
    /// What `emote schema config` calls it.
    pub name: &'static str,
    /// Where such files are, as editors match them.
    pub at: &'static str,
    /// What one says.
    pub about: &'static str,
    write: fn() -> Value,
}

/// Each kind of file.
pub const FILES: &[File] = &[
    File {
        name: "deploy",
        at: "deploy.yaml",
        about: "Where Macs fetch the agent's package, and which target installs it",
        write: deploy,
    },
    File {
        name: "emote",
        at: "emote.yaml",
        about: "Where NATS is, what to listen on, where data goes",
        write: settings,
    },
    File { name: "rule", at: "rules/*.yaml", about: "Which events set off which targets", write: rule },
    File { name: "schema", at: "schemas/*.yaml", about: "The JSON Schema of the events of a scope", write: schema },
    File {
        name: "source",
        at: "sources/*.yaml",
        about: "A vendor or system whose webhooks become events, whose API is asked for them, which is listened to at a \
                socket, or which drops files into a folder",
        write: source,
    },
    File {
        name: "target",
        at: "targets/*.yaml",
        about: "A system that acts, and how jobs are brought to it",
        write: target,
    },
    File { name: "test", at: "tests/*.yaml", about: "Events, and the jobs that they must set off", write: test },
    File {
        name: "trust",
        at: "trust.yaml",
        about: "What events are believed as that came without a webhook",
        write: trust,
    },
];

/// The definitions of a pattern.
static PATTERN: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../schemas/pattern.json")).unwrap_or_default());

impl File {
    /// The kind of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        FILES.iter().find(|file| file.name == name)
    }

    /// The kind of the file at this path in a configuration folder.
    pub fn at(path: &str) -> Option<&'static Self> {
        let of_folder = |file: &&Self| match (file.at.split_once('/'), path.split_once('/')) {
            (Some((folder, _)), Some((of, name))) => folder == of && name.ends_with(".yaml"),
            _ => file.at == path,
        };
        FILES.iter().find(of_folder)
    }

    /// Its schema.
    pub fn schema(&self) -> Value {
        let mut schema = (self.write)();
        if let Some(map) = schema.as_object_mut() {
            map.insert("$schema".to_owned(), "http://json-schema.org/draft-07/schema#".into());
            map.insert("$id".to_owned(), format!("urn:emote:config:{}", self.name).into());
            map.insert("title".to_owned(), self.at.into());
            map.insert("description".to_owned(), self.about.into());
            add_definitions(map);
        }
        schema
    }

    /// Where `emote init` and `emote schema config --all` write it.
    pub fn file_name(&self) -> String {
        format!("{}.json", self.name)
    }
}

fn add_definitions(map: &mut Map<String, Value>) {
    let text = Value::Object(map.clone()).to_string();
    let definitions = map.entry("definitions").or_insert_with(|| json!({}));
    let Some(definitions) = definitions.as_object_mut() else { return };
    if text.contains("#/definitions/pattern")
        && let Some(of_pattern) = PATTERN.get("definitions").and_then(Value::as_object)
    {
        definitions.extend(of_pattern.clone());
    }
    if text.contains("#/definitions/event") {
        definitions.insert("event".to_owned(), event());
    }
    if definitions.is_empty() {
        map.remove("definitions");
    }
}

/// An event as a test writes it.
fn event() -> Value {
    let word = json!({"type": "string", "pattern": "^[a-z0-9][a-z0-9_]{0,63}$"});
    json!({
        "type": "object",
        "required": ["scope", "action"],
        "properties": {
            "scope": word, "action": word,
            "device": {"type": "object"}, "user": {"type": "object"},
            "communicate": {"type": "boolean"}, "log": {"type": "boolean"},
        },
    })
}

fn deploy() -> Value {
    closed(&explore(&|fields| drop(config::deploying_of(fields))))
}

fn settings() -> Value {
    closed(&explore(&|fields| drop(Settings::of(fields))))
}

fn rule() -> Value {
    // Targets are named as the explorer writes texts.
    let (Ok(name), Ok(target)) = (Name::new("x"), Name::new("x")) else { return Value::Null };
    closed(&explore(&|fields| drop(config::rule_of(name.clone(), "", fields, std::slice::from_ref(&target)))))
}

fn test() -> Value {
    let Ok(name) = Name::new("x") else { return Value::Null };
    closed(&explore(&|fields| drop(Case::of(name.clone(), fields))))
}

fn trust() -> Value {
    json!({
        "type": ["object", "null"],
        "propertyNames": {"pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"},
        "properties": {emote_proto::source::BROKER: false},
        "additionalProperties": form(&config::trust_form()),
    })
}

fn schema() -> Value {
    // Editors know this draft's by itself; what 2020-12 has beyond it passes.
    json!({"allOf": [{"$ref": "http://json-schema.org/draft-07/schema#"}], "type": "object"})
}

fn source() -> Value {
    let settings = schemars::generate::SchemaSettings::draft07();
    let mut schema = settings.into_generator().into_root_schema_for::<SourceSpec>().to_value();
    for kind in [poll::Kind::Poll, poll::Kind::Reconcile] {
        let shape = explore(&|fields| drop(poll::Plan::of(kind, fields)));
        let mut fields = closed(&shape);
        // What is not here is the preset's.
        fields.as_object_mut().map(|fields| fields.remove("required"));
        narrow(&mut schema, kind.key(), json!({"anyOf": [{"type": ["boolean", "null"]}, fields]}));
    }
    let socket = closed(&explore(&|fields| drop(socket::Plan::of(fields, socket::Codec::Syslog))));
    let sockets = json!({"type": "array", "items": socket, "minItems": 1, "maxItems": socket::MAX_SOCKETS});
    narrow(&mut schema, "listen", json!({"anyOf": [socket, sockets]}));
    narrow(&mut schema, "folder", closed(&explore(&|fields| drop(folder::Plan::of(fields)))));
    preset::of_sources(&mut schema);
    schema
}

/// Says what `key` holds, with the description that it has.
fn narrow(schema: &mut Value, key: &str, mut to: Value) {
    let property = &mut schema["properties"][key];
    to["description"] = property["description"].take();
    *property = to;
}

fn target() -> Value {
    let mut definitions = Map::new();
    let mut all_of = Vec::new();
    for kind in KINDS {
        let mut schema = closed(kind.shape());
        schema["description"] = kind.about.into();
        let name = format!("kind_{}", kind.name);
        all_of.push(write::when("kind", kind.name, json!({"$ref": format!("#/definitions/{name}")})));
        definitions.insert(name, schema);
    }
    let mut schema = json!({
        "type": "object",
        "properties": {
            "kind": {
                "enum": KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>(),
                "enumDescriptions": KINDS.iter().map(|kind| kind.about).collect::<Vec<_>>(),
                "description": "What it is, where no preset says so.",
            },
        },
        "if": {"required": ["preset"]},
        "else": {"required": ["kind"]},
    });
    preset::of_targets(&mut schema, &mut definitions, &mut all_of);
    schema["allOf"] = all_of.into();
    schema["definitions"] = definitions.into();
    schema
}

/// A secret by reference, or up to `most` of them where any is right.
pub(crate) fn secrets(most: usize) -> Value {
    let one = form(&Form::Secret);
    json!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1, "maxItems": most}]})
}

#[cfg(test)]
mod tests;

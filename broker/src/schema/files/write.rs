//! Shapes, written down as JSON Schemas.

use serde_json::{Map, Value, json};

use crate::config::shape::{Form, Key, Shape};

/// An object that has these keys and no others.
pub(super) fn closed(shape: &Shape) -> Value {
    let Some((fork, variants)) = &shape.fork else { return object(shape) };
    let own = shape.keys.get(fork);
    let words: Vec<&str> = variants.iter().map(|(word, _)| *word).collect();
    let all_of = variants.iter().map(|(word, variant)| when(fork, word, closed(variant)));
    let mut schema = json!({
        "type": ["object", "null"],
        "properties": {*fork: {"enum": words}},
        "allOf": all_of.collect::<Vec<_>>(),
    });
    if own.is_some_and(|key| key.required) {
        schema["required"] = json!([fork]);
    } else {
        // Without the word there is only what every variant has.
        schema["if"] = json!({"required": [fork]});
        schema["else"] = object(shape);
    }
    schema
}

/// What holds where `key` is `word`.
pub(super) fn when(key: &str, word: &str, then: Value) -> Value {
    json!({"if": {"type": "object", "properties": {key: {"const": word}}, "required": [key]}, "then": then})
}

fn object(shape: &Shape) -> Value {
    let properties: Map<String, Value> =
        shape.keys.iter().map(|(name, key)| ((*name).to_owned(), property(name, key))).collect();
    let required: Vec<&str> = shape.keys.iter().filter(|(_, key)| key.required).map(|(name, _)| *name).collect();
    let mut schema = json!({"type": ["object", "null"], "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        schema["type"] = "object".into();
        schema["required"] = json!(required);
    }
    schema
}

fn property(name: &str, key: &Key) -> Value {
    let mut schema = form(&key.form);
    if let (Some(schema), Some(example)) = (schema.as_object_mut(), &key.example) {
        let example = example.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(example);
        schema.entry("description").or_insert_with(|| format!("For example {example}").into());
    }
    schema
}

/// What such a value is.
pub(super) fn form(form: &Form) -> Value {
    match form {
        Form::Any => json!({}),
        Form::Text([]) => json!({"type": "string"}),
        Form::Text(such) => json!({"type": "string", "examples": such}),
        Form::Flag => json!({"type": "boolean"}),
        Form::Number(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Form::Duration(range) => json!({
            "type": "string", "pattern": r"^\s*(P|[0-9])", "examples": ["10s", "15m", "24h", "7d"],
            "description": format!("A length of time from {:?} to {:?}, such as 10s, 15m, 1h 30m or 7d", range.start(), range.end()),
        }),
        Form::Size => json!({
            "type": ["string", "integer"], "pattern": r"^[0-9]+\s*(([kKmMgG][iI]?)?[bB])?$", "minimum": 1,
            "examples": ["10MiB"], "description": "A size such as 10MiB, 500kB or a number of bytes",
        }),
        Form::Template => json!({
            "type": "string", "description": "A text; secrets in it are references: ${env:NAME} or ${file:PATH}",
        }),
        Form::Secret => json!({
            "type": "string", "pattern": r"^\$\{(env|file):[^}]+\}$", "examples": ["${env:NAME}", "${file:secrets/NAME}"],
            "description": "A secret by reference: ${env:NAME} or ${file:PATH}",
        }),
        Form::Jq => json!({"type": "string", "description": "A jq program"}),
        Form::Words(words) => json!({"enum": words}),
        Form::Entries => json!({"type": "object"}),
        Form::Object(None) => json!({"type": ["object", "null"]}),
        Form::Object(Some(shape)) => closed(shape),
        Form::List(of) => json!({"type": "array", "items": self::form(of)}),
        Form::Pattern => json!({"$ref": "#/definitions/pattern"}),
        Form::Event => json!({"$ref": "#/definitions/event"}),
        Form::Is(value) => json!({"const": value}),
        Form::Either(forms) => json!({"anyOf": forms.iter().map(self::form).collect::<Vec<_>>()}),
    }
}

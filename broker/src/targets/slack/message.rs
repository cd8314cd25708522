//! A Slack message from a rule's input or from the event, cut to what Slack takes.

use serde_json::{Map, Value, json};

use super::super::summary::Summary;
use crate::config::fields::kind;
use crate::config::text::clip;
use crate::core::Job;

const MAX_BLOCKS: usize = 50;
const MAX_TEXT: usize = 40_000;
const MAX_SECTION: usize = 3000;
const MAX_FIELDS: usize = 10;
const MAX_FIELD: usize = 2000;
const MAX_HEADER: usize = 150;
const MAX_CONTEXT: usize = 10;
const MAX_ACTIONS: usize = 25;
const MAX_BUTTON: usize = 75;
const MAX_ALT_TEXT: usize = 2000;

/// What an input may set, of what both ways to post take.
const KEYS: [&str; 12] = [
    "attachments",
    "blocks",
    "channel",
    "icon_emoji",
    "icon_url",
    "mrkdwn",
    "reply_broadcast",
    "text",
    "thread_ts",
    "unfurl_links",
    "unfurl_media",
    "username",
];

/// The message that a rule's input describes: a text, or an object with `text` or `blocks`.
pub(super) fn from_input(input: &Value) -> Result<Map<String, Value>, String> {
    let mut message = match input {
        Value::String(text) => Map::from_iter([("text".to_owned(), json!(text))]),
        Value::Object(map) => map.clone(),
        other => return Err(format!("the input must be a text or an object with text or blocks, not {}", kind(other))),
    };
    message.retain(|_, value| !value.is_null());
    if let Some(key) = message.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("the input has {key:?}: expected some of {}", KEYS.join(", ")));
    }
    for key in ["text", "channel", "thread_ts"] {
        if let Some(value) = message.get(key).filter(|value| !value.is_string()) {
            return Err(format!("{key} in the input must be a text, not {}", kind(value)));
        }
    }
    match message.get_mut("blocks") {
        None => {}
        Some(Value::Array(blocks)) => clip_blocks(blocks),
        Some(other) => return Err(format!("blocks in the input must be a list, not {}", kind(other))),
    }
    let text = match message.get("text").and_then(Value::as_str) {
        Some(text) => Some(text.to_owned()),
        None => message.get("blocks").and_then(first_text),
    };
    match text.filter(|text| !text.trim().is_empty()) {
        // What notifications and screen readers have instead of blocks.
        Some(text) => message.insert("text".to_owned(), json!(clip(&text, MAX_TEXT))),
        None if message.contains_key("blocks") || message.contains_key("attachments") => None,
        None => return Err("the input has neither text nor blocks: there is nothing to post".to_owned()),
    };
    Ok(message)
}

/// What a rule without input posts.
pub(super) fn summary(job: &Job) -> Map<String, Value> {
    let summary = Summary::of(job);
    let fields: Vec<Value> =
        summary.facts().map(|(label, value)| mrkdwn(&format!("*{label}*\n{}", escape(value)), MAX_FIELD)).collect();
    let blocks = json!([
        {"type": "header", "text": {"type": "plain_text", "text": clip(&summary.what, MAX_HEADER)}},
        {"type": "section", "fields": fields},
        {"type": "context", "elements": [mrkdwn(&escape(&summary.origin), MAX_SECTION)]},
    ]);
    Map::from_iter([
        ("text".to_owned(), json!(clip(&escape(&summary.line()), MAX_TEXT))),
        ("blocks".to_owned(), blocks),
    ])
}

/// What Slack asks to be escaped, so that a text is shown and not obeyed.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn mrkdwn(text: &str, max: usize) -> Value {
    json!({"type": "mrkdwn", "text": clip(text, max)})
}

/// Cuts blocks to the sizes of the Block Kit reference; what it does not know goes as it is.
fn clip_blocks(blocks: &mut Vec<Value>) {
    if blocks.len() > MAX_BLOCKS {
        blocks.truncate(MAX_BLOCKS - 1);
        blocks.push(json!({"type": "context", "elements": [mrkdwn("…", MAX_SECTION)]}));
    }
    for block in blocks {
        let max = match block.get("type").and_then(Value::as_str) {
            Some("header") => MAX_HEADER,
            _ => MAX_SECTION,
        };
        clip_text(block.get_mut("text"), max);
        clip_plain(block.get_mut("alt_text"), MAX_ALT_TEXT);
        clip_list(block.get_mut("fields"), MAX_FIELDS, |field| clip_text(Some(field), MAX_FIELD));
        let (elements, button) = match block.get("type").and_then(Value::as_str) {
            Some("context") => (MAX_CONTEXT, MAX_SECTION),
            Some("actions") => (MAX_ACTIONS, MAX_BUTTON),
            _ => continue,
        };
        clip_list(block.get_mut("elements"), elements, |element| clip_text(Some(element), button));
    }
}

fn clip_list(list: Option<&mut Value>, max: usize, clip_one: impl FnMut(&mut Value)) {
    if let Some(Value::Array(list)) = list {
        list.truncate(max);
        list.iter_mut().for_each(clip_one);
    }
}

/// Clips a text, the text of a text object, or the text of an element whose text is a text object.
fn clip_text(value: Option<&mut Value>, max: usize) {
    match value {
        Some(Value::Object(object)) => match object.get_mut("text") {
            Some(Value::Object(inner)) => clip_plain(inner.get_mut("text"), max),
            text => clip_plain(text, max),
        },
        value => clip_plain(value, max),
    }
}

fn clip_plain(value: Option<&mut Value>, max: usize) {
    if let Some(Value::String(text)) = value {
        *text = clip(text, max);
    }
}

fn first_text(blocks: &Value) -> Option<String> {
    let text = |block: &Value| block.pointer("/text/text").and_then(Value::as_str).map(str::to_owned);
    blocks.as_array()?.iter().find_map(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_a_text_or_a_message() {
        for (input, expected) in [
            (json!("hi"), json!({"text": "hi"})),
            (json!({"text": "hi", "channel": null}), json!({"text": "hi"})),
            (
                json!({"text": "hi", "channel": "#c", "thread_ts": "1.2"}),
                json!({"text": "hi", "channel": "#c", "thread_ts": "1.2"}),
            ),
            (
                json!({"blocks": [{"type": "divider"}, {"type": "section", "text": {"type": "mrkdwn", "text": "*x*"}}]}),
                json!({"blocks": [{"type": "divider"}, {"type": "section", "text": {"type": "mrkdwn", "text": "*x*"}}], "text": "*x*"}),
            ),
            (json!({"blocks": [{"type": "divider"}]}), json!({"blocks": [{"type": "divider"}]})),
        ] {
            assert_eq!(from_input(&input).map(Value::Object), Ok(expected), "{input}");
        }
        for (input, said) in [
            (json!(3), "not a number"),
            (json!([]), "not a list"),
            (json!({}), "nothing to post"),
            (json!(" "), "nothing to post"),
            (json!({"text": 3}), "text in the input must be a text"),
            (json!({"text": "x", "blocks": "y"}), "must be a list"),
            (json!({"text": "x", "as_user": true}), "\"as_user\": expected some of"),
        ] {
            let error = from_input(&input).unwrap_err();
            assert!(error.contains(said), "{input}: {error}");
        }
    }

    #[test]
    fn what_slack_would_refuse_is_cut() {
        let long = "x".repeat(50_000);
        let text = |length: usize| format!("{}…", "x".repeat(length - 1));
        let object = |text: &str| json!({"type": "mrkdwn", "text": text});
        let input = json!({"text": long, "blocks": [
            {"type": "section", "text": object(&long), "fields": vec![object(&long); 12]},
            {"type": "header", "text": object(&long)},
            {"type": "context", "elements": vec![object("e"); 12]},
            {"type": "actions", "elements": [{"type": "button", "text": object(&long)}]},
        ]});
        let found = Value::Object(from_input(&input).unwrap());
        assert_eq!(found["text"], json!(text(MAX_TEXT)));
        assert_eq!(
            found["blocks"],
            json!([
                {"type": "section", "text": object(&text(MAX_SECTION)), "fields": vec![object(&text(MAX_FIELD)); 10]},
                {"type": "header", "text": object(&text(MAX_HEADER))},
                {"type": "context", "elements": vec![object("e"); 10]},
                {"type": "actions", "elements": [{"type": "button", "text": object(&text(MAX_BUTTON))}]},
            ])
        );
        let many = from_input(&json!({"text": "t", "blocks": vec![json!({"type": "divider"}); 60]})).unwrap();
        let blocks = many["blocks"].as_array().unwrap();
        assert_eq!((blocks.len(), &blocks[49]["type"]), (50, &json!("context")));
    }
}

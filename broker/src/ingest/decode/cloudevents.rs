//! CloudEvents 1.0 over HTTP, all three modes, as one array of
//! `{specversion, id, source, type, subject?, time?, datacontenttype?, dataschema?, data? | data_base64?, extensions}`.
//!
//! Binary mode is told by a `ce-specversion` header; its attributes are percent-decoded (HTTP binding, section 3.1.3.2)
//! and its body is `data`: JSON where the content type says so, text where it says so, else base64 in `data_base64`.
//! Attributes that are null count as left out.

use axum::http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode;
use serde_json::{Map, Value};

use super::{Notation, nothing_more};

pub(super) const NOTATION: Notation = Notation {
    name: "cloudevents",
    types: "application/cloudevents+json, application/cloudevents-batch+json, any type with ce- headers",
    accepts,
    accepts_by_name: nothing_more,
    decode,
    unpacks: false,
};

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const PREFIX: &str = "ce-";
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];
const OPTIONAL: [&str; 4] = ["subject", "time", "datacontenttype", "dataschema"];
const DATA: [&str; 2] = ["data", "data_base64"];

fn accepts(media_type: &str, headers: &HeaderMap) -> bool {
    matches!(media_type, STRUCTURED | BATCH) || headers.contains_key("ce-specversion")
}

fn is_binary(media_type: &str, headers: &HeaderMap) -> bool {
    headers.contains_key("ce-specversion") && !matches!(media_type, STRUCTURED | BATCH)
}

/// Where a sender signs and the attributes are headers: one of them that is not `signed`, so that anybody could change it.
pub(super) fn unsigned<'h>(media_type: &str, headers: &'h HeaderMap, signed: &[String]) -> Option<&'h HeaderName> {
    let is_free =
        |name: &&HeaderName| name.as_str().starts_with(PREFIX) && !signed.iter().any(|one| *one == name.as_str());
    headers.keys().find(is_free).filter(|_| is_binary(media_type, headers))
}

fn decode(media_type: &str, headers: &HeaderMap, body: &[u8]) -> Result<Value, String> {
    if is_binary(media_type, headers) {
        return Ok(Value::Array(vec![normal(binary(media_type, headers, body)?)?]));
    }
    let events = match serde_json::from_slice(body).map_err(|error| error.to_string())? {
        Value::Array(events) if media_type != STRUCTURED => events,
        event if media_type != BATCH => vec![event],
        _ => return Err("a batch is an array of events".to_owned()),
    };
    let normal_at = |(at, event)| match event {
        Value::Object(event) => normal(event).map_err(|problem| format!("event {at}: {problem}")),
        _ => Err(format!("event {at}: not an object")),
    };
    events.into_iter().enumerate().map(normal_at).collect::<Result<_, _>>().map(Value::Array)
}

fn binary(media_type: &str, headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, String> {
    let mut event = Map::new();
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix(PREFIX) else { continue };
        let text = percent_decode(value.as_bytes()).decode_utf8();
        let text = text.map_err(|_| format!("the header {name} is not UTF-8"))?;
        if DATA.contains(&attribute) || event.insert(attribute.to_owned(), Value::from(text)).is_some() {
            return Err(format!("the header {name} stands there twice, or is none of an attribute"));
        }
    }
    if !media_type.is_empty() {
        let content_type = headers.get("content-type").map(|value| String::from_utf8_lossy(value.as_bytes()));
        event.insert("datacontenttype".to_owned(), content_type.as_deref().unwrap_or(media_type).into());
    }
    if body.is_empty() {
        return Ok(event);
    }
    let text = std::str::from_utf8(body).ok().filter(|_| media_type.starts_with("text/"));
    if media_type == "application/json" || media_type.ends_with("+json") {
        event.insert("data".to_owned(), serde_json::from_slice(body).map_err(|error| error.to_string())?);
    } else if let Some(text) = text {
        event.insert("data".to_owned(), Value::from(text));
    } else {
        event.insert("data_base64".to_owned(), Value::from(data_encoding::BASE64.encode(body)));
    }
    Ok(event)
}

/// Checks the attributes, and puts those that the specification does not name under `extensions`.
fn normal(mut event: Map<String, Value>) -> Result<Value, String> {
    let mut normal = Map::new();
    for name in REQUIRED.iter().chain(&OPTIONAL) {
        match event.remove(*name) {
            None | Some(Value::Null) if REQUIRED.contains(name) => {
                return Err(format!("the attribute {name} is missing"));
            }
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if !text.is_empty() => {
                normal.insert((*name).to_owned(), Value::String(text));
            }
            Some(_) => return Err(format!("the attribute {name} is no text")),
        }
    }
    if normal.get("specversion").and_then(Value::as_str) != Some("1.0") {
        return Err("the specversion is not 1.0".to_owned());
    }
    for name in DATA {
        if let Some(data) = event.remove(name).filter(|data| !data.is_null()) {
            normal.insert(name.to_owned(), data);
        }
    }
    event.retain(|_, value| !value.is_null());
    normal.insert("extensions".to_owned(), Value::Object(event));
    Ok(Value::Object(normal))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use serde_json::json;

    fn read(headers: &[(&str, &str)], body: &str) -> Result<Value, String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let media_type = headers.iter().find(|(name, _)| *name == "content-type").map_or("", |(_, value)| *value);
        assert!(accepts(&super::super::essence(media_type), &map), "{headers:?}");
        decode(&super::super::essence(media_type), &map, body.as_bytes())
    }

    #[test]
    fn the_three_modes_give_the_same_event() {
        let event = json!({"specversion": "1.0", "id": "7", "source": "/s", "type": "x.y", "subject": "zoë",
            "datacontenttype": "application/json", "data": {"a": 1}, "extensions": {"trace": "t"}});
        let sent = json!({"specversion": "1.0", "id": "7", "source": "/s", "type": "x.y", "subject": "zoë", "time": null,
            "datacontenttype": "application/json", "data": {"a": 1}, "trace": "t", "unset": null});
        let structured = read(&[("content-type", "application/cloudevents+json; charset=utf-8")], &sent.to_string());
        assert_eq!(structured, Ok(json!([event])));
        let batch = read(&[("content-type", BATCH)], &json!([sent, sent]).to_string());
        assert_eq!(batch, Ok(json!([event, event])));
        let binary = read(
            &[
                ("content-type", "application/json"),
                ("ce-specversion", "1.0"),
                ("ce-id", "7"),
                ("ce-source", "/s"),
                ("ce-type", "x.y"),
                ("ce-subject", "zo%C3%AB"),
                ("ce-trace", "t"),
            ],
            r#"{"a":1}"#,
        );
        assert_eq!(binary, Ok(json!([event])));
    }

    #[test]
    fn binary_data_is_json_text_or_base64() {
        let headers = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "s"), ("ce-type", "t")];
        for (media_type, body, key, value) in [
            ("text/plain", "hi", "data", json!("hi")),
            ("application/octet-stream", "hi", "data_base64", json!("aGk=")),
            ("application/vnd.x+json", "[1]", "data", json!([1])),
            ("text/plain", "", "data", Value::Null),
        ] {
            let with_type: Vec<_> = headers.into_iter().chain([("content-type", media_type)]).collect();
            assert_eq!(read(&with_type, body).unwrap()[0][key], value, "{media_type}");
        }
    }

    #[test]
    fn events_that_lack_what_they_must_have_are_refused() {
        for (media_type, body, said) in [
            (STRUCTURED, json!({"specversion": "1.0", "id": "1", "source": "s"}), "type is missing"),
            (STRUCTURED, json!({"specversion": "0.3", "id": "1", "source": "s", "type": "t"}), "not 1.0"),
            (STRUCTURED, json!({"specversion": "1.0", "id": 1, "source": "s", "type": "t"}), "id is no text"),
            (BATCH, json!([{"specversion": "1.0", "id": "1", "source": "s", "type": "t"}, {}]), "event 1: "),
            (BATCH, json!({}), "array"),
            (STRUCTURED, json!([]), "not an object"),
        ] {
            let error = read(&[("content-type", media_type)], &body.to_string()).unwrap_err();
            assert!(error.contains(said), "{body}: {error}");
        }
    }
}

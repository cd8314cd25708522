//! What a payload is that nobody says it of.

use serde_json::Value;

/// What a sender of such a body would call it.
pub(crate) fn media_type(body: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    let is_cloudevent = |value: &Value| value.get("specversion").is_some();
    match (text.chars().next(), serde_json::from_str::<Value>(text)) {
        (_, Ok(value)) if is_cloudevent(&value) => "application/cloudevents+json",
        (_, Ok(Value::Array(items))) if !items.is_empty() && items.iter().all(is_cloudevent) => {
            "application/cloudevents-batch+json"
        }
        (_, Ok(_)) => "application/json",
        (Some('<'), _) if text.contains("<plist") => "application/x-plist",
        (Some('<'), _) => "text/xml; charset=utf-8",
        (Some('{'), _) => "application/x-ndjson",
        _ if text.starts_with("eyJ") => "application/secevent+jwt",
        _ if text.contains('=') => "application/x-www-form-urlencoded",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_says_what_it_is() {
        for (body, media) in [
            ("{\"a\": 1}", "application/json"),
            (" [1]\n", "application/json"),
            ("{\"specversion\": \"1.0\"}", "application/cloudevents+json"),
            ("[{\"specversion\": \"1.0\"}]", "application/cloudevents-batch+json"),
            ("{\"a\": 1}\n{\"a\": 2}\n", "application/x-ndjson"),
            ("<?xml version=\"1.0\"?><a/>", "text/xml; charset=utf-8"),
            ("<plist><true/></plist>", "application/x-plist"),
            ("eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "application/secevent+jwt"),
            ("a=1&b=2", "application/x-www-form-urlencoded"),
            ("", "text/plain; charset=utf-8"),
        ] {
            assert_eq!(media_type(body.as_bytes()), media, "{body}");
        }
    }
}

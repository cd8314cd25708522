//! Slack, as far as an incoming webhook goes: <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>.

use serde_json::Value;

use super::{Reply, Request, Vendor};

/// A Slack incoming webhook, at any path below `/services/`.
#[derive(Debug, Clone, Copy)]
pub struct Slack;

/// A message that was posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its text.
    pub text: String,
    /// The header's; empty where there was none.
    pub idempotency_key: String,
}

impl Vendor for Slack {
    fn answer(&self, request: &Request, _: &[Request]) -> Reply {
        if !request.path.starts_with("/services/") {
            return (404, "no_service".to_owned());
        }
        let body = request.json();
        let says = |key: &str| body.get(key).is_some_and(|value| !value.is_null());
        match (&body, says("text") || says("blocks") || says("attachments")) {
            (Value::Object(_), true) => (200, "ok".to_owned()),
            (Value::Object(_), false) => (400, "no_text".to_owned()),
            _ => (400, "invalid_payload".to_owned()),
        }
    }
}

/// The messages among `requests` that were taken.
pub fn messages(requests: &[Request]) -> Vec<Message> {
    let taken = requests.iter().filter(|request| request.accepted());
    taken
        .map(|request| Message {
            text: request.json()["text"].as_str().unwrap_or_default().to_owned(),
            idempotency_key: request.idempotency_key().unwrap_or_default().to_owned(),
        })
        .collect()
}

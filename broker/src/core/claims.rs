//! What an event says about its node, as claims of the event's source.

use emote_proto::{Event, Time, source as sources};
use serde_json::{Value, json};

use super::Node;

/// Adds what `event` says to the record of its node. A Mac speaks for itself: it may not write its own asset record, name
/// its owner or say which UDID is whose. `at` is the event's time, or when it was received if its source's
/// clock runs ahead.
pub(crate) fn record(node: &mut Node, event: &Event, at: Time) {
    let source = event.source.as_str();
    let from_agent = source == sources::AGENT;
    let from_broker = source == sources::BROKER;
    if !from_broker {
        node.see(source, at);
    }
    if let Some(device) = &event.device {
        let fields = [
            ("name", &device.name),
            ("model", &device.model),
            ("os_version", &device.os_version),
            ("udid", &device.udid),
            ("hardware_uuid", &device.hardware_uuid),
        ];
        for (field, value) in fields {
            if let (Some(value), false) = (value, from_broker) {
                node.claim_text(source, field, value, at);
            }
        }
    }
    let what = (event.scope.as_str(), event.action.as_str());
    match what {
        ("device", "enroll") if !from_broker => node.claim(source, "enrolled", json!(true), at),
        ("device", "unenroll") if !from_broker => node.claim(source, "enrolled", json!(false), at),
        ("asset", "updated") if !from_agent => {
            if let Some(Value::Object(fields)) = event.info_at(&["set"]) {
                for (field, value) in fields {
                    let value = if field == "owner" { lower(value) } else { value.clone() };
                    node.set_asset(field, value, at);
                }
            }
        }
        _ => {}
    }
    if let (Some(user), false) = (event.user_id(), from_broker) {
        // Whose Mac it is, is said by who manages it, of the device, in the identity provider's terms. Somebody who signs
        // in on it does not come to own it, and a short name is an account on the Mac.
        let assigns = matches!(what, ("device", "enroll" | "inventory" | "checkin" | "assigned"));
        let is_owner = !from_agent && assigns && user.contains('@');
        node.claim_text(source, if is_owner { "owner" } else { "last_user" }, user, at);
    }
}

fn lower(value: &Value) -> Value {
    value.as_str().map_or_else(|| value.clone(), |text| json!(text.to_lowercase()))
}

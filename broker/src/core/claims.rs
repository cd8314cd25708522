//! What an event says about its node, as claims of the event's source.

use emote_proto::{Event, Time, Trust, source as sources};
use serde_json::{Value, json};

use super::Node;

/// What an agent's own version is called among its claims.
pub(super) const AGENT_VERSION: &str = "agent_version";

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
    if let (Some(device), false) = (&event.device, from_broker) {
        let fields = [
            ("name", device.name.as_deref()),
            ("model", device.model.as_deref()),
            ("os_version", device.os_version.as_deref()),
            ("udid", device.udid.as_deref()),
            ("hardware_uuid", device.hardware_uuid.as_deref()),
        ];
        node.claim_texts(source, fields, at);
    }
    let what = (event.scope.as_str(), event.action.as_str());
    let unverified = event.trust == Trust::Unverified;
    match what {
        ("device", "enroll") if !from_broker => node.claim_as(source, "enrolled", json!(true), at, unverified),
        ("device", "unenroll") if !from_broker => node.claim_as(source, "enrolled", json!(false), at, unverified),
        ("device", "inventory") if from_agent => inventory(node, event, at),
        ("security", "changed") if from_agent => {
            filevault(node, event.info_at(&["filevault", "to"]), at);
        }
        ("agent", _) if from_agent => {
            if let Some(version) = super::deploy::version_of(event) {
                node.claim_text(source, AGENT_VERSION, version, at);
            }
        }
        ("asset", "updated") if !from_agent => {
            if let Some(Value::Object(fields)) = event.info_at(&["set"]) {
                for (field, value) in fields {
                    let value = if field == "owner" { lower(value) } else { value.clone() };
                    node.set_asset(field, value, at, unverified);
                }
            }
        }
        _ => {}
    }
    if let (Some(user), false) = (event.user_id(), from_broker) {
        let is_owner = names_owner(event, user);
        node.claim_text(source, if is_owner { "owner" } else { "last_user" }, user, at);
        if is_owner {
            node.mark(source, "owner", at, unverified);
        }
    }
}

/// Whether the event's user is the one whose Mac it is. That is said by who manages it, of the device, in the identity
/// provider's terms: somebody who signs in on it does not come to own it, and a short name is an account on the Mac.
fn names_owner(event: &Event, user: &str) -> bool {
    let assigns = ["enroll", "inventory", "checkin", "assigned"];
    event.scope.as_str() == "device"
        && assigns.contains(&event.action.as_str())
        && event.source.as_str() != sources::AGENT
        && user.contains('@')
}

/// Whether the record of the event's node may have another owner behind it.
pub(crate) fn may_name_an_owner(event: &Event) -> bool {
    let sets = event.scope.as_str() == "asset" && event.source.as_str() != sources::AGENT;
    sets || event.user_id().is_some_and(|user| names_owner(event, user))
}

/// What the agent sees for the first time, a part of it in each source's object.
fn inventory(node: &mut Node, event: &Event, at: Time) {
    filevault(node, event.info_at(&["security", "filevault"]), at);
    if let Some(enrolled @ Value::Bool(_)) = event.info_at(&["mdm", "enrolled"]) {
        node.claim(sources::AGENT, "enrolled", enrolled.clone(), at);
    }
}

/// Claims `filevault` from the agent's word for its state. Between on and off the Mac claims neither.
fn filevault(node: &mut Node, state: Option<&Value>, at: Time) {
    let claimed = match state.and_then(Value::as_str) {
        Some("on") => json!(true),
        Some("off" | "pending") => json!(false),
        Some(_) => Value::Null,
        None => return,
    };
    node.claim(sources::AGENT, "filevault", claimed, at);
}

fn lower(value: &Value) -> Value {
    value.as_str().map_or_else(|| value.clone(), |text| json!(text.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `source` claims of `field` after these events.
    fn claimed(events: &[(&str, &str, Value)], source: &str, field: &str) -> Option<Value> {
        let mut node = Node::new("C02", Time::from_millis(0).unwrap());
        for (millis, (source, what, info)) in (1..).zip(events) {
            let (scope, action) = what.split_once('.').unwrap();
            let event = json!({"id": "00000000-0000-7000-8000-000000000000", "time": "2026-01-01T00:00:00Z",
                "source": source, "scope": scope, "action": action, "info": info});
            let event = Event::parse(event.to_string().as_bytes()).unwrap();
            record(&mut node, &event, Time::from_millis(millis).unwrap());
        }
        Some(node.sources.get(source)?.get(field)?.value.clone())
    }

    #[test]
    fn the_agents_states_become_claims_that_can_be_compared() {
        let seen = |state: &str| ("agent", "device.inventory", json!({"security": {"filevault": state, "sip": "on"}}));
        let changed = |to: &str| ("agent", "security.changed", json!({"filevault": {"from": "on", "to": to}}));
        let firewall = ("agent", "security.changed", json!({"firewall": {"from": "on", "to": "off"}}));
        for (events, claim) in [
            (vec![seen("on")], Some(json!(true))),
            (vec![seen("pending")], Some(json!(false))),
            (vec![seen("encrypting")], None),
            (vec![seen("on"), changed("decrypting")], Some(Value::Null)),
            (vec![seen("on"), changed("decrypting"), changed("off")], Some(json!(false))),
            (vec![seen("on"), firewall, ("agent", "device.inventory", json!({"os": {}}))], Some(json!(true))),
            (vec![("agent", "device.inventory", json!({"security": "on"}))], None),
        ] {
            assert_eq!(claimed(&events, "agent", "filevault"), claim, "{events:?}");
        }
    }

    #[test]
    fn the_agent_claims_its_enrolment_from_the_first_inventory_on() {
        let seen = |enrolled: Value| ("agent", "device.inventory", json!({"mdm": {"enrolled": enrolled}}));
        for (events, claim) in [
            (vec![seen(json!(true))], Some(json!(true))),
            (vec![seen(json!(false)), ("agent", "device.enroll", json!({}))], Some(json!(true))),
            (vec![seen(json!(true)), ("agent", "device.unenroll", json!({}))], Some(json!(false))),
            (vec![seen(json!("yes"))], None),
        ] {
            assert_eq!(claimed(&events, "agent", "enrolled"), claim, "{events:?}");
        }
    }

    #[test]
    fn only_an_agents_inventory_has_the_agents_shape() {
        let info = json!({"security": {"filevault": "on"}, "mdm": {"enrolled": true}});
        let events =
            [("jamf", "device.inventory", info), ("jamf", "security.changed", json!({"filevault": {"to": "on"}}))];
        for source in ["jamf", "agent"] {
            for field in ["filevault", "enrolled"] {
                assert_eq!(claimed(&events, source, field), None, "{source} {field}");
            }
        }
    }
}

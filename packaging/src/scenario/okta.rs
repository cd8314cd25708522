//! Okta's event hook: <https://developer.okta.com/docs/concepts/event-hooks/>.

use emote_proto::{EventId, Time};
use serde_json::json;

/// `user` (an e-mail address) was deactivated. The same `event_id` gives the same hook, byte for byte.
pub fn deactivated(user: &str, event_id: &str, at: Time) -> Vec<u8> {
    let uuid = |what: &str| EventId::derived(&["okta", what, event_id]).to_string();
    let at = at.to_string();
    let hook = json!({
        "eventType": "com.okta.event_hook",
        "eventTypeVersion": "1.0",
        "cloudEventsVersion": "0.1",
        "source": "https://example.okta.com/api/v1/eventHooks/who0example0000000000",
        "eventId": uuid("hook"),
        "eventTime": at,
        "contentType": "application/json",
        "data": {"events": [{
            "uuid": uuid("event"),
            "published": at,
            "eventType": "user.lifecycle.deactivate",
            "version": "0",
            "displayMessage": "Deactivate Okta user",
            "severity": "INFO",
            "outcome": {"result": "SUCCESS", "reason": null},
            "actor": {"id": "00uexampleadmin", "type": "User", "alternateId": "admin@example.com",
                "displayName": "Admin", "detailEntry": null},
            "client": {"ipAddress": "192.0.2.7", "device": "Computer", "zone": "null",
                "userAgent": {"rawUserAgent": "Mozilla/5.0", "os": "Mac OS X", "browser": "SAFARI"},
                "geographicalContext": {"city": "London", "state": null, "country": "United Kingdom"}},
            "target": [{"id": "00uexampleleaver", "type": "User", "alternateId": user, "displayName": user,
                "detailEntry": null}],
            "transaction": {"type": "WEB", "id": uuid("transaction"), "detail": {}},
        }]},
    });
    hook.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_is_the_same_body_and_another_run_is_another_event() {
        let at: Time = "2026-03-04T05:06:07.891Z".parse().unwrap();
        let hook = |id| deactivated("ada@example.com", id, at);
        assert_eq!(hook("1"), hook("1"));
        let event = |id| -> serde_json::Value { serde_json::from_slice(&hook(id)).unwrap() };
        let uuid = |id| event(id)["data"]["events"][0]["uuid"].clone();
        assert_ne!(uuid("1"), uuid("2"));
        assert_eq!(event("1")["data"]["events"][0]["target"][0]["alternateId"], "ada@example.com");
    }
}

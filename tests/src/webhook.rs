//! What vendors send, as they send it.

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// A webhook of NanoMDM: `Authenticate`, the first message of an enrolment.
pub fn authenticate(serial: &str, udid: &str, event_id: &str) -> Value {
    let plist = format!(
        "<key>MessageType</key><string>Authenticate</string><key>SerialNumber</key><string>{serial}</string>\
         <key>UDID</key><string>{udid}</string><key>DeviceName</key><string>Mac</string>\
         <key>Model</key><string>Mac14,2</string><key>OSVersion</key><string>15.1</string>"
    );
    nanomdm("mdm.Authenticate", udid, event_id, &plist, json!({}))
}

/// A webhook of NanoMDM: `TokenUpdate`, the last message of an enrolment when `tally` is 1. Names the UDID only.
pub fn token_update(udid: &str, event_id: &str, tally: u32) -> Value {
    let plist = format!(
        "<key>MessageType</key><string>TokenUpdate</string><key>UDID</key><string>{udid}</string>\
         <key>Token</key><data>AAEC</data><key>PushMagic</key><string>magic</string>"
    );
    nanomdm("mdm.TokenUpdate", udid, event_id, &plist, json!({"token_update_tally": tally}))
}

fn nanomdm(topic: &str, udid: &str, event_id: &str, plist: &str, more: Value) -> Value {
    let plist = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\"><dict>{plist}</dict></plist>"
    );
    let mut event = json!({
        "udid": udid,
        "ids": {"id": udid, "type": "Device"},
        "raw_payload": BASE64.encode(plist.as_bytes()),
    });
    if let (Value::Object(event), Value::Object(more)) = (&mut event, more) {
        event.extend(more);
    }
    json!({"topic": topic, "event_id": event_id, "created_at": "2026-11-23T06:41:00.5Z", "checkin_event": event})
}

/// An event hook of Okta: these users were deactivated.
pub fn okta_deactivated(users: &[&str], event_id: &str) -> Value {
    let events: Vec<Value> = users
        .iter()
        .enumerate()
        .map(|(n, user)| {
            json!({
                "uuid": format!("{event_id}-{n}"), "published": "2026-11-23T06:42:00.000Z",
                "eventType": "user.lifecycle.deactivate", "displayMessage": "Deactivate Okta user", "severity": "INFO",
                "outcome": {"result": "SUCCESS", "reason": null},
                "actor": {"id": "00uadm", "type": "User", "alternateId": "admin@example.com", "displayName": "Admin"},
                "target": [{"id": "00u", "type": "User", "alternateId": user, "displayName": user, "detailEntry": null}],
            })
        })
        .collect();
    json!({"eventType": "com.okta.event_hook", "eventId": event_id, "data": {"events": events}})
}

/// NanoMDM's signature of a body.
pub fn hmac_base64(key: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(body);
    BASE64.encode(&mac.finalize().into_bytes())
}

//! NanoMDM's webhook: <https://github.com/micromdm/nanomdm/blob/main/docs/operations-guide.md#-webhook-url-string>.

use data_encoding::BASE64;
use emote_proto::Time;
use hmac::{Hmac, KeyInit, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::Mac;

/// The header with [`signature`].
pub const SIGNATURE_HEADER: &str = "X-Hmac-Signature";

/// HMAC-SHA256 of the body under the webhook's key, in base64.
pub fn signature(key: &str, body: &[u8]) -> String {
    let mut bytes = Vec::new();
    // HMAC takes keys of any length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) {
        mac.update(body);
        bytes.extend_from_slice(&mac.finalize().into_bytes());
    }
    BASE64.encode(&bytes)
}

/// A Mac begins to enrol. `event_id` is NanoMDM's name of the event.
pub fn authenticate(mac: &Mac, event_id: &str, at: Time) -> Vec<u8> {
    let plist = plist(&[
        ("MessageType", "Authenticate"),
        ("SerialNumber", &mac.serial),
        ("UDID", &mac.udid()),
        ("DeviceName", "MacBook Pro"),
        ("Model", "MacBookPro18,3"),
        ("ModelName", "MacBook Pro"),
        ("ProductName", "MacBookPro18,3"),
        ("OSVersion", "15.1"),
        ("BuildVersion", "24B83"),
        ("Topic", "com.apple.mgmt.External.0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"),
    ]);
    webhook("mdm.Authenticate", event_id, at, mac, &plist, json!({}))
}

/// The enrolment is complete: the first TokenUpdate. It names the UDID only, as Apple's does.
pub fn token_update(mac: &Mac, event_id: &str, at: Time) -> Vec<u8> {
    let plist = plist(&[
        ("MessageType", "TokenUpdate"),
        ("UDID", &mac.udid()),
        ("PushMagic", "00000000-0000-4000-8000-000000000000"),
        ("Topic", "com.apple.mgmt.External.0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"),
    ]);
    webhook("mdm.TokenUpdate", event_id, at, mac, &plist, json!({"token_update_tally": 1}))
}

fn webhook(topic: &str, event_id: &str, at: Time, mac: &Mac, plist: &str, more: Value) -> Vec<u8> {
    let mut event = json!({
        "udid": mac.udid(),
        "ids": {"id": mac.udid(), "type": "Device"},
        "raw_payload": BASE64.encode(plist.as_bytes()),
    });
    if let (Value::Object(event), Value::Object(more)) = (&mut event, more) {
        event.extend(more);
    }
    let whole = json!({"topic": topic, "event_id": event_id, "created_at": at.to_string(), "checkin_event": event});
    whole.to_string().into_bytes()
}

/// A property list of texts.
fn plist(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let fields: String = fields
        .iter()
        .map(|(key, value)| format!("\t<key>{}</key>\n\t<string>{}</string>\n", escape(key), escape(value)))
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n{fields}</dict>\n</plist>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac() -> Mac {
        Mac { serial: "C<02>&".into(), name: "ada-mbp".into(), owner: "ada@example.com".into() }
    }

    /// Key, body and digest of RFC 4231, test case 2.
    #[test]
    fn the_signature_is_hmac_sha256_in_base64() {
        let signed = signature("Jefe", b"what do ya want for nothing?");
        assert_eq!(signed, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
    }

    #[test]
    fn the_payload_inside_is_a_property_list() {
        let at: Time = "2026-03-04T05:06:07.891Z".parse().unwrap();
        for (body, message, serial) in [
            (authenticate(&mac(), "e-1", at), "Authenticate", Some("C<02>&")),
            (token_update(&mac(), "e-1", at), "TokenUpdate", None),
        ] {
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((&body["event_id"], &body["created_at"]), (&json!("e-1"), &json!("2026-03-04T05:06:07.891Z")));
            let event = &body["checkin_event"];
            let raw = BASE64.decode(event["raw_payload"].as_str().unwrap().as_bytes()).unwrap();
            let plist = ::plist::Value::from_reader_xml(&raw[..]).unwrap();
            let field = |key| plist.as_dictionary().unwrap().get(key).and_then(|value| value.as_string());
            assert_eq!((field("MessageType"), field("SerialNumber")), (Some(message), serial));
            assert_eq!((field("UDID"), event["udid"].as_str()), (Some(mac().udid().as_str()), field("UDID")));
        }
    }
}

//! The asset system's records, as the source that `emote init` writes takes them.

use serde_json::json;

use super::Mac;

/// The body of `POST /in/assets`.
pub fn record(mac: &Mac) -> Vec<u8> {
    json!({"serial": mac.serial, "name": mac.name, "owner": mac.owner}).to_string().into_bytes()
}

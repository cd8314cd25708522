//! NanoMDM's API, as far as commands go: `PUT /v1/enqueue/{ids}` and `GET /v1/push/{ids}`
//! (<https://github.com/micromdm/nanomdm/blob/main/docs/operations-guide.md#apis>).

use axum::http::Method;
use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::{Reply, Request, Vendor};

/// NanoMDM's API behind Basic authentication as user `nanomdm`.
#[derive(Debug, Clone)]
pub struct NanoMdm {
    /// The password.
    pub api_key: String,
}

/// A command that was taken, for one device.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// The device.
    pub udid: String,
    /// Its CommandUUID.
    pub uuid: String,
    /// For example `DeviceLock`.
    pub request_type: String,
    /// The property list below `Command`, as JSON.
    pub command: Value,
    /// The header's; empty where there was none.
    pub idempotency_key: String,
}

impl Vendor for NanoMdm {
    fn answer(&self, request: &Request, earlier: &[Request]) -> Reply {
        let (status, body) = self.reply(request, earlier);
        (status, if body.is_null() { String::new() } else { format!("{body:#}\n") })
    }
}

impl NanoMdm {
    fn reply(&self, request: &Request, earlier: &[Request]) -> (u16, Value) {
        let wanted = format!("Basic {}", BASE64.encode(format!("nanomdm:{}", self.api_key).as_bytes()));
        if request.header("authorization") != Some(wanted.as_str()) {
            return (401, json!("Unauthorized"));
        }
        match (&request.method, enqueue_ids(&request.path), request.path.strip_prefix("/v1/push/")) {
            (&Method::PUT, Some(ids), _) => enqueue(request, earlier, ids),
            (&Method::GET | &Method::PUT, _, Some(ids)) => (200, json!({"status": pushed(ids)})),
            _ => (404, json!("404 page not found")),
        }
    }
}

/// The commands among `requests` that were taken, one a device.
pub fn commands(requests: &[Request]) -> Vec<Command> {
    let taken = requests.iter().filter(|request| request.accepted() && request.method == Method::PUT);
    taken
        .filter_map(|request| Some((request, enqueue_ids(&request.path)?, parse(&request.body)?)))
        .flat_map(|(request, ids, (uuid, command))| {
            ids.split(',').map(move |udid| Command {
                udid: udid.to_owned(),
                uuid: uuid.clone(),
                request_type: command["RequestType"].as_str().unwrap_or_default().to_owned(),
                command: command.clone(),
                idempotency_key: request.idempotency_key().unwrap_or_default().to_owned(),
            })
        })
        .collect()
}

fn enqueue_ids(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/enqueue/").filter(|ids| !ids.is_empty())
}

fn enqueue(request: &Request, earlier: &[Request], ids: &str) -> (u16, Value) {
    let Some((uuid, command)) = parse(&request.body) else {
        return (500, json!({"command_error": "decoding command: it is no property list with a CommandUUID"}));
    };
    // As its key-value store says it.
    if commands(earlier).iter().any(|known| known.uuid == uuid) {
        return (500, json!({"command_error": format!("command already exists: {uuid}")}));
    }
    (200, json!({"status": pushed(ids), "command_uuid": uuid, "request_type": command["RequestType"]}))
}

fn pushed(ids: &str) -> Map<String, Value> {
    // Apple's push service answers with an id of its own for every push.
    let id = |udid: &str| emote_proto::EventId::derived(&["push", udid]).to_string().to_uppercase();
    ids.split(',').map(|udid| (udid.to_owned(), json!({"push_result": id(udid)}))).collect()
}

/// CommandUUID and the command itself.
fn parse(body: &[u8]) -> Option<(String, Value)> {
    let whole = plist::Value::from_reader_xml(body).ok()?;
    let whole = whole.as_dictionary()?;
    let uuid = whole.get("CommandUUID")?.as_string()?.to_owned();
    Some((uuid, to_json(whole.get("Command")?)))
}

fn to_json(value: &plist::Value) -> Value {
    match value {
        plist::Value::Array(items) => items.iter().map(to_json).collect(),
        plist::Value::Dictionary(items) => items.iter().map(|(key, value)| (key.clone(), to_json(value))).collect(),
        plist::Value::Boolean(value) => json!(value),
        plist::Value::Integer(value) => json!(value.as_signed()),
        plist::Value::Real(value) => json!(value),
        plist::Value::String(value) => json!(value),
        plist::Value::Data(value) => json!(BASE64.encode(value)),
        plist::Value::Date(value) => json!(value.to_xml_format()),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scenario::http_client, standins::StandIn};

    const LOCK: &str = r#"<?xml version="1.0"?><plist version="1.0"><dict><key>CommandUUID</key><string>C-1</string>
        <key>Command</key><dict><key>RequestType</key><string>DeviceLock</string><key>PIN</key><string>123456</string></dict></dict></plist>"#;

    #[tokio::test]
    async fn it_answers_as_nanomdm_does() {
        let mdm = StandIn::start(NanoMdm { api_key: "k3y".to_owned() }).await.unwrap();
        let client = http_client().unwrap();
        let call = async |method: Method, path: &str, key: &str, body: &'static str| {
            let request = client.request(method, format!("{}{path}", mdm.url())).basic_auth("nanomdm", Some(key));
            let answer = request.body(body).send().await.unwrap();
            (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
        };
        let enqueue = async |key, body| -> (u16, Value) { call(Method::PUT, "/v1/enqueue/U-1", key, body).await };
        assert_eq!(enqueue("wrong", LOCK).await.0, 401);
        let (status, body) = enqueue("k3y", LOCK).await;
        assert_eq!((status, &body["command_uuid"], &body["request_type"]), (200, &json!("C-1"), &json!("DeviceLock")));
        assert!(body["status"]["U-1"]["push_result"].is_string(), "{body}");
        let again = enqueue("k3y", LOCK).await;
        assert_eq!(again, (500, json!({"command_error": "command already exists: C-1"})));
        assert_eq!(enqueue("k3y", "nonsense").await.0, 500);
        assert_eq!(call(Method::GET, "/v1/push/U-1", "k3y", "").await.0, 200);
        assert_eq!(call(Method::GET, "/v1/else", "k3y", "").await.0, 404);
        let taken = commands(&mdm.requests());
        assert_eq!(taken.len(), 1, "{taken:?}");
        assert_eq!((taken[0].udid.as_str(), taken[0].command["PIN"].as_str()), ("U-1", Some("123456")));
    }
}

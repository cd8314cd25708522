//! Runs the catalogue: every entry's fixtures, and real payloads where they lie beside the project.
//!
//! A fixture is a YAML file: `title`, the body (`json`, in which an object of one key `base64` stands for its text in
//! base64; or `body` with `type`), `headers`, `serials` (UDID to serial number), and the `events` that must come out,
//! without id, source and trust. In place of a body there may be `poll` or `reconcile`, exchanges with the vendor's API.

mod contributing;
mod loose;
mod polls;
mod replayed;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use emote_proto::{Draft, Time, Trust};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ingest::{Aliases, Moment, Plan, Refusal, Request, SourceSpec};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    title: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    json: Option<Value>,
    body: Option<String>,
    r#type: Option<String>,
    #[serde(default)]
    serials: Serials,
    /// Exchanges with the vendor's API in place of a body.
    poll: Option<polls::Polled>,
    reconcile: Option<polls::Polled>,
    #[serde(default)]
    events: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
struct Serials(BTreeMap<String, String>);

impl Aliases for Serials {
    fn serial_of(&self, udid: &str, _: Trust) -> Option<String> {
        self.0.get(udid).cloned()
    }
}

fn moment() -> Moment {
    Moment { now: Time::from_millis(1_790_000_000_000).unwrap(), random: [7; 16] }
}

fn plan(preset: &str) -> Plan {
    let spec: SourceSpec = serde_saphyr::from_str(&format!("preset: {preset}\nverify: none")).unwrap();
    spec.validate(&Name::new(preset).unwrap()).unwrap_or_else(|problems| panic!("{preset}: {problems:?}"))
}

fn request(
    content_type: Option<&str>,
    headers: &BTreeMap<String, String>,
    body: Vec<u8>,
) -> Request<crate::ingest::Unverified> {
    let mut map = HeaderMap::new();
    if let Some(content_type) = content_type {
        map.insert("content-type", HeaderValue::from_str(content_type).unwrap());
    }
    for (name, value) in headers {
        map.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    Request::new(map, "", Bytes::from(body))
}

fn with_base64(value: &Value) -> Value {
    match value {
        Value::Object(map) => match map.get("base64").and_then(Value::as_str) {
            Some(text) if map.len() == 1 => Value::from(data_encoding::BASE64.encode(text.as_bytes())),
            _ => map.iter().map(|(key, value)| (key.clone(), with_base64(value))).collect(),
        },
        Value::Array(items) => items.iter().map(with_base64).collect(),
        other => other.clone(),
    }
}

fn plain(drafts: &[Draft]) -> Vec<Value> {
    let bare = |draft: &Draft| {
        let mut value = serde_json::to_value(draft).unwrap();
        for key in ["id", "source", "trust"] {
            value.as_object_mut().unwrap().remove(key);
        }
        value
    };
    drafts.iter().map(bare).collect()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog").join(name)
}

fn names_in(path: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_file_is_an_entry_and_every_entry_has_fixtures() {
    for entry in catalog::entries::<Body>(&FILES) {
        entry.unwrap_or_else(|problem| panic!("{problem}"));
    }
    let entries: BTreeSet<String> = all().iter().map(|entry| entry.name.to_owned()).collect();
    assert_eq!(names_in(&folder("sources")), entries, "a file that was added is not built in");
    assert_eq!(names_in(&folder("fixtures")), entries, "each entry needs fixtures, and each fixture an entry");
    for entry in all() {
        assert!(!entry.body.map().is_empty() && entry.card.docs.starts_with("https://"), "{}", entry.name);
        assert!(!names_in(&folder("fixtures").join(entry.name)).is_empty(), "{} has no fixture", entry.name);
    }
}

#[test]
fn every_fixture_becomes_the_events_it_names() {
    let mut wrong = Vec::new();
    for entry in all() {
        let plan = plan(entry.name);
        for name in names_in(&folder("fixtures").join(entry.name)) {
            let path = folder("fixtures").join(entry.name).join(format!("{name}.yaml"));
            let fixture: Fixture = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap())
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            if fixture.poll.is_some() || fixture.reconcile.is_some() {
                continue;
            }
            let (body, content_type) = match (&fixture.json, &fixture.body) {
                (Some(json), _) => (with_base64(json).to_string(), "application/json"),
                (None, body) => (body.clone().unwrap_or_default(), "text/plain"),
            };
            let content_type = fixture.r#type.as_deref().unwrap_or(content_type);
            let request = request(Some(content_type), &fixture.headers, body.into_bytes());
            let drafts = plan.rehearse(request, &fixture.serials, &moment());
            match drafts.map(|drafts| plain(&drafts)) {
                Ok(events) if events == fixture.events => {}
                Ok(events) => {
                    wrong.push(format!("{}/{name} ({}) gives {:#}", entry.name, fixture.title, json!(events)));
                }
                Err(refusal) => wrong.push(format!("{}/{name} ({}): {refusal}", entry.name, fixture.title)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The real payloads beside the project, where they are.
#[test]
fn every_real_payload_becomes_at_least_one_event() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/samples");
    for entry in all() {
        let folder = samples.join(entry.name);
        let (shapes, plists) = (folder.join("shape"), folder.join("raw"));
        // What Okta transmits is of the preset for all transmitters.
        let okta = (entry.name == "ssf").then(|| samples.join("okta-ssf"));
        let folders = [folder, shapes, plists].into_iter().chain(okta);
        let files = folders.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten();
        for path in files.map(|file| file.unwrap().path()) {
            let content_type = match path.extension().and_then(|ending| ending.to_str()) {
                // What a transmitter says of itself is no event.
                Some("json") if path.ends_with("transmitter-configuration.json") => continue,
                Some("json") if path.ends_with("cloudevents/batch.json") => "application/cloudevents-batch+json",
                Some("json") if entry.name == "cloudevents" => "application/cloudevents+json",
                Some("json") => "application/json; charset=utf-8",
                Some("xml") => "text/xml",
                Some("plist") => "application/x-plist",
                _ => continue,
            };
            let body = std::fs::read(&path).unwrap();
            let drafts = plan(entry.name).rehearse(
                request(Some(content_type), &BTreeMap::new(), body),
                &Serials::default(),
                &moment(),
            );
            let drafts = drafts.unwrap_or_else(|refusal| panic!("{}: {refusal}", path.display()));
            assert!(!drafts.is_empty(), "{}", path.display());
            assert!(drafts.iter().all(|draft| draft.action.as_str() != "unmapped"), "{}", path.display());
        }
    }
}

#[test]
fn a_repeat_is_the_same_event_and_another_is_not() {
    let okta =
        |uuid: &str| json!({"data": {"events": [{"eventType": "user.session.start", "uuid": uuid}]}}).to_string();
    let nano = |at: &str| {
        json!({"topic": "mdm.Connect", "event_id": "e", "created_at": at, "acknowledge_event": {"status": "Idle", "udid": "U"}}).to_string()
    };
    let jamf = |at: u64| json!({"webhook": {"webhookEvent": "JSSStartup", "eventTimestamp": at}}).to_string();
    for (preset, one, other) in [
        ("okta", okta("1"), okta("2")),
        ("nanomdm", nano("2026-01-01T00:00:00Z"), nano("2026-01-01T00:00:01Z")),
        ("jamf-pro", jamf(1_700_000_000_000), jamf(1_700_000_000_001)),
    ] {
        let plan = plan(preset);
        let id = |body: &str| {
            let request = request(Some("application/json"), &BTreeMap::new(), body.as_bytes().to_vec());
            plan.rehearse(request, &Serials::default(), &moment()).unwrap()[0].id
        };
        assert_eq!(id(&one), id(&one), "{preset}");
        assert_ne!(id(&one), id(&other), "{preset}");
    }
}

#[test]
fn a_missing_setting_says_what_to_write() {
    let name = Name::new("mdm").unwrap();
    let spec: SourceSpec = serde_saphyr::from_str("preset: nanomdm").unwrap();
    let problems = spec.validate(&name).unwrap_err();
    let problem = problems.iter().next().unwrap();
    assert_eq!(problem.path, "settings.secret");
    insta::assert_snapshot!(problem.message, @"NanoMDM: The key that nanomdm was given as -webhook-hmac-key. Write `secret: ${env:NANOMDM_WEBHOOK_KEY}` under `settings` in sources/mdm.yaml, or `verify: none` to take what anyone sends.");
    for (yaml, path, said) in [
        ("preset: nanomdn", "preset", ", cloudevents, "),
        ("preset: okta\nsettings: {secret: '${env:A}', url: x}", "settings.url", "it has api_token, domain, secret"),
        ("preset: okta\nsettings: {secret: hunter2}", "settings.secret", "by reference"),
        ("settings: {a: b}\nverify: none\nmap: .", "settings", "no"),
        ("map: .", "verify", "how the sender proves"),
        ("verify: none", "map", "a jq program"),
        ("verify: none\nmap: '.a | ]'", "map", "line 1, column 6"),
        ("verify: none\nmap: .\ndecode: yaml", "decode", "expected one of"),
        ("protocol: scim\nverify: {github: {secret: '${env:A}'}}", "verify", "sign nothing"),
        ("protocol: scim\nverify: none\ndecode: json", "decode", "means nothing"),
        ("protocol: scim\nverify: none\nfolder: {path: in}", "folder", "means nothing"),
        ("verify: none\nmap: .\nmax_body: 0", "max_body", "from 1"),
        ("verify: none\nmap: .\nhandshake: {reply: text}", "handshake", "either"),
        ("verify: none\nmap: .\nhandshake: {header: a, query: b, reply: text}", "handshake", "either"),
        ("verify: none\nmap: .\nhandshake: {method: POST, reply: ok}", "handshake.method", "POST"),
        ("verify: none\nmap: .\nhandshake: {query: a, reply: ok}", "handshake.reply", "given back"),
        ("verify: none\nmap: .\nhandshake: {query: a, reply: {header: a b}}", "handshake.reply.header", "no name"),
        ("verify: none\nmap: .\nreply: {status: 404}", "reply.status", "299"),
        ("verify: none\nmap: .\nreply: {content_type: \"a\\nb\"}", "reply.content_type", "no value"),
        ("verify: none\nmap: .\nhandshake: {body: a, reply: text}", "handshake.method", "POST"),
        ("verify: none\nmap: .\nhandshake: {query: a, reply: text, when: {b: c}}", "handshake.when", "body"),
    ] {
        let spec: SourceSpec = serde_saphyr::from_str(yaml).unwrap();
        let problems: Vec<_> = spec.validate(&name).unwrap_err().into_iter().collect();
        assert!(problems.iter().any(|p| p.path == path && p.message.contains(said)), "{yaml}: {problems:?}");
        assert!(problems.iter().all(|p| !p.message.contains("hunter2")), "{problems:?}");
    }
}

#[test]
fn no_webhook_speaks_as_the_agent_or_the_broker() {
    let spec: SourceSpec = serde_saphyr::from_str("preset: json\nverify: none").unwrap();
    assert!(spec.validate(&Name::new("agent").unwrap()).is_err());
    assert!(spec.validate(&Name::new("broker").unwrap()).is_err());
}

#[test]
fn every_setting_has_an_example_that_would_do() {
    for entry in all() {
        let spec = SourceSpec::example(entry);
        spec.validate(&Name::new("example").unwrap()).unwrap_or_else(|problems| panic!("{}: {problems:?}", entry.name));
    }
}

fn any_payload() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("webhook"),
        Just("event"),
        Just("webhookEvent"),
        Just("ComputerAdded"),
        Just("PushSent"),
        Just("computer"),
        Just("topic"),
        Just("mdm.Connect"),
        Just("mdm.TokenUpdate"),
        Just("acknowledge_event"),
        Just("checkin_event"),
        Just("status"),
        Just("Error"),
        Just("raw_payload"),
        Just("ids"),
        Just("type"),
        Just("data"),
        Just("events"),
        Just("eventType"),
        Just("user.session.start"),
        Just("target"),
        Just("User"),
        Just("outcome"),
        Just("scope"),
        Just("action"),
        Just("device"),
        Just("uuid"),
        Just("id"),
        Just("source"),
        Just("specversion"),
        Just("1.0"),
        Just("details"),
        Just("host_serial"),
        Just("policy"),
        Just("hosts"),
        Just("EventType"),
        Just("SerialNumber"),
        Just("device.enrolled"),
        Just("attributes"),
        Just("devices.created"),
        Just("payload"),
        Just("action"),
        Just("actor"),
        Just("notifications"),
        Just("host"),
        Just("match"),
    ];
    let leaf = prop_oneof![
        word.clone().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::Null),
        any::<bool>().prop_map(Value::from)
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((word.clone(), inner), 0..6).prop_map(|pairs| Value::Object(
                pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn no_payload_panics_a_map_and_every_refusal_is_the_senders(payload in any_payload()) {
        static PLANS: LazyLock<Vec<Plan>> = LazyLock::new(|| all().iter().map(|entry| plan(entry.name)).collect());
        // A source of several notations asks for the type, one of a notation of its own refuses JSON's.
        for (plan, content_type) in PLANS.iter().flat_map(|plan| [(plan, None), (plan, Some("application/json"))]) {
            let request = request(content_type, &BTreeMap::new(), payload.to_string().into_bytes());
            match plan.rehearse(request, &Serials::default(), &moment()) {
                Ok(_) | Err(Refusal::Undecodable(_) | Refusal::Unmapped { .. } | Refusal::Type { .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

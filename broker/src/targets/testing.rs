//! For tests: a server that answers as told and remembers what it was asked, targets from YAML, jobs.

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use emote_proto::{Event, Name};
use serde_json::{Value, json};

use super::{Outcome, Target, TargetSpec, Validated};
use crate::config::Problems;
use crate::core::{Input, Job, JobId};
use crate::testing::{secret, serve};

/// What the files `token`, `path` and `pin` of [`secrets`] hold.
pub(super) const TOKEN: &str = "t0ken-hunter2";
pub(super) const PATH: &str = "T000/B000/pathhunter2";
pub(super) const PIN_KEY: &str = "0123456789abcdefpinhunter2";
const SECRETS: [&str; 4] = [TOKEN, PATH, PIN_KEY, "hunter2"];

/// An answer to give: status, headers, body.
pub(super) type Reply = (u16, &'static [(&'static str, &'static str)], &'static str);

/// A server on this machine. Replies are given in their order, the last one for ever; `%BODY%` and `%AUTH%` in one are
/// what was asked.
pub(super) struct Stand {
    pub(super) url: String,
    inner: Arc<Inner>,
    folder: tempfile::TempDir,
}

struct Inner {
    replies: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<String>>,
}

impl Stand {
    pub(super) async fn replying(replies: &[Reply]) -> Self {
        let replies = Mutex::new(replies.iter().copied().collect());
        let inner = Arc::new(Inner { replies, seen: Mutex::default() });
        let url = serve(axum::Router::new().fallback(answer).with_state(Arc::clone(&inner))).await;
        Self { url, inner, folder: secrets() }
    }

    /// From now on this is the reply.
    pub(super) fn reply(&self, reply: Reply) {
        self.script(&[reply]);
    }

    /// From now on these are the replies, in their order.
    pub(super) fn script(&self, replies: &[Reply]) {
        *self.inner.replies.lock().unwrap() = replies.iter().copied().collect();
        self.inner.seen.lock().unwrap().clear();
    }

    /// The target that `yaml` describes, `%URL%` in it being this server.
    pub(super) fn target(&self, yaml: &str) -> Box<dyn Target> {
        let validated = validate(&yaml.replace("%URL%", &self.url)).unwrap();
        let shown = format!("{validated:?}");
        assert!(SECRETS.iter().all(|secret| !shown.contains(secret)), "{shown}");
        validated.resolve(self.folder.path()).unwrap()
    }

    /// Delivers one job; no secret may be in what comes of it.
    pub(super) async fn deliver(&self, yaml: &str, job: &Job, input: &Value) -> Outcome {
        deliver(self.target(yaml).as_ref(), job, input).await
    }

    /// What was asked since the last time: request line, headers that matter, body.
    pub(super) fn seen(&self) -> String {
        std::mem::take(&mut *self.inner.seen.lock().unwrap()).join("\n---\n").replace(&self.url, "%URL%")
    }
}

async fn answer(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8_lossy(&body).into_owned();
    let mut lines = vec![format!("{method} {uri}")];
    for (name, value) in &headers {
        if !["host", "user-agent", "accept", "content-length", "connection"].contains(&name.as_str()) {
            lines.push(format!("{name}: {}", value.to_str().unwrap()));
        }
    }
    lines[1..].sort();
    inner.seen.lock().unwrap().push(format!("{}\n\n{body}", lines.join("\n")));
    let reply = {
        let mut replies = inner.replies.lock().unwrap();
        if replies.len() > 1 { replies.pop_front() } else { replies.front().copied() }
    };
    let Some((status, reply_headers, text)) = reply else { return std::future::pending().await };
    let auth = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let text = text.replace("%BODY%", &body).replace("%AUTH%", &auth).replace("%PATH%", uri.path());
    let mut response = (StatusCode::from_u16(status).unwrap(), text).into_response();
    for (name, value) in reply_headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

/// A certificate that vouches for itself.
pub(super) struct Certified {
    cert: rcgen::Certificate,
    key: rcgen::KeyPair,
}

impl Certified {
    /// For `host`; written into `folder` as `NAME.pem` and `NAME.key`.
    pub(super) fn new(folder: &Path, name: &str, host: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), made.cert.pem()).unwrap();
        let key = folder.join(format!("{name}.key"));
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self { cert: made.cert, key: made.signing_key }
    }

    /// How a server that shows it takes whoever shows `client`, or everybody.
    pub(super) fn server(&self, client: Option<&Self>) -> Arc<rustls::ServerConfig> {
        drop(rustls::crypto::ring::default_provider().install_default());
        let key = rustls::pki_types::PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let builder = match client {
            None => rustls::ServerConfig::builder().with_no_client_auth(),
            Some(client) => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(client.cert.der().clone()).unwrap();
                let clients = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
                rustls::ServerConfig::builder().with_client_cert_verifier(clients)
            }
        };
        Arc::new(builder.with_single_cert(vec![self.cert.der().clone()], key).unwrap())
    }
}

pub(super) fn secrets() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("token", TOKEN), ("path", PATH), ("pin", PIN_KEY), ("short", "hunter2")] {
        secret(&folder.path().join(name), text);
    }
    folder
}

pub(super) fn validate(yaml: &str) -> Result<Validated, Problems> {
    let spec: TargetSpec = serde_saphyr::from_str(yaml).unwrap();
    spec.validate(Name::new("the-target").unwrap())
}

/// The problems of a target file, one a line.
pub(super) fn problems(yaml: &str) -> String {
    match validate(yaml) {
        Ok(_) => String::new(),
        Err(problems) => lines(problems),
    }
}

pub(super) fn lines(problems: Problems) -> String {
    let line = |problem: crate::config::Problem| format!("{}: {}", problem.path, problem.message);
    let lines: Vec<String> = problems.into_iter().map(line).collect();
    assert!(lines.iter().all(|line| !line.contains("hunter2")), "{lines:?}");
    lines.join("\n")
}

pub(super) async fn deliver(target: &dyn Target, job: &Job, input: &Value) -> Outcome {
    let outcome = target.deliver(job, input).await;
    let shown = format!("{outcome:?}");
    assert!(SECRETS.iter().all(|secret| !shown.contains(secret)), "{shown}");
    outcome
}

/// A job about Ada's Mac, whose rule has an input.
pub(super) fn job() -> Job {
    let event = json!({
        "id": "a64c29d5-87af-5257-b215-b904e4a840d8", "time": "2026-11-23T06:41:00.000Z", "source": "jamf",
        "scope": "device", "action": "enroll", "trust": "verified", "device": {"uuid": "C02XL0GTJGH5"},
    });
    let event: Event = serde_json::from_value(event).unwrap();
    let (rule, target) = (Name::new("the-rule").unwrap(), Name::new("the-target").unwrap());
    Job {
        node: Some(
            json!({"serial": "C02XL0GTJGH5", "udid": "A-1", "owner": "ada@example.com", "name": "ada-mbp"}).into(),
        ),
        input: Some(Input::Jq(".input".to_owned())),
        ..Job::new(JobId::new(event.id, &rule, &target, None), rule, target, event)
    }
}

/// An outcome on one line: `done scope.action {info}`, `retry 7s reason` or `never reason`.
pub(super) fn show(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(report) => format!("done {}.{} {}", report.scope, report.action, report.info),
        Outcome::Retry { after: Some(after), reason } => format!("retry {after:?} {reason}"),
        Outcome::Retry { after: None, reason } => format!("retry {reason}"),
        Outcome::Never { reason } => format!("never {reason}"),
    }
}

/// Any JSON value, a few levels deep, with keys that the kinds know among others.
pub(super) fn any_json() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        any::<String>().prop_map(Value::from),
        prop_oneof!["DeviceLock", "DeviceInformation", "Settings", "section", "header", "context"]
            .prop_map(Value::from),
    ];
    let key = prop_oneof![
        "text|blocks|channel|type|fields|elements|request_type|message|name|queries|pin",
        "[a-z_]{1,8}",
        any::<String>(),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map(key.clone(), inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

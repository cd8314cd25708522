//! `gelf`: sends a message of GELF 1.1 a job, over UDP, TCP, TLS or HTTP.
//!
//! ```yaml
//! kind: gelf
//! address: https://graylog.example.com:12201/gelf   # or udp://, tcp://, tls://
//! auth: {header: {name: Authorization, value: "${env:GRAYLOG_AUTH}"}}      # over HTTP
//! tls: {ca: graylog-ca.pem}
//! level: 'if .event.action == "unenroll" then "warning" else "info" end'
//! host: .serial                        # else the job's node
//! short_message: '"\(.event.scope).\(.event.action)"'
//! full_message: .event                 # else the rule's input, or the event as JSON; false for none
//! fields: '{model: .node.model}'       # more fields, beside those that every message has
//! compress: gzip                       # over UDP: gzip, zlib or none
//! chunk: 1420                          # the largest datagram
//! ```
//! Every message has the fields `event_id`, `scope`, `action`, `source`, `rule`, `target`, `job`, and `node`, `serial` and
//! `user` where there are such. Over HTTP an answer acknowledges it; otherwise nothing does (see [`super::socket`]).

use std::sync::Arc;

use emote_proto::EventId;
use reqwest::{Method, Url, header::CONTENT_TYPE};
use serde_json::{Map, Value, json};

use super::{
    Outcome, Role, Target, address,
    connections::Tls,
    http::{
        auth::{self, Auth, AuthRef},
        reading::tls,
    },
    programs::{context, one_text, settings},
    serial,
    socket::{Address, Level, Parcel, Sender, Transport, host, text_of},
    spec::{Setup, Unresolved},
    wire::{self, Client},
};
use crate::{
    config::{
        Problems,
        fields::{Fields, kind},
        text::Template,
    },
    core::Job,
    framing, gelf,
    jq::Program,
    syslog::{SEVERITIES, severity},
};

const INFO: u8 = 6;
const PORT: u16 = 12201;
const PATH: &str = "/gelf";
/// What an address looks like.
const EXPECTED: &str =
    "expected https://, or udp://, tcp:// or tls://, a host and perhaps a port: https://graylog.example.com:12201/gelf";
/// What passes everywhere, and what a datagram can hold.
const CHUNK: u32 = 1420;
const CHUNKS: std::ops::RangeInclusive<u32> = 480..=65_507;

#[derive(Debug)]
struct Spec {
    way: WayRef,
    tls: Tls,
    plan: Arc<Plan>,
}

/// How it goes there; secrets are still references.
#[derive(Debug)]
enum WayRef {
    Socket(Address),
    Http { url: Template, insecure: bool, auth: Option<AuthRef> },
}

#[derive(Debug)]
struct Plan {
    level: Level,
    host: Option<Program>,
    short_message: Option<Program>,
    full_message: Option<Program>,
    has_full_message: bool,
    fields: Option<Program>,
    compression: gelf::Compression,
    chunk: usize,
    settings: Value,
}

struct Gelf {
    way: Way,
    plan: Arc<Plan>,
}

enum Way {
    Socket(Box<Sender>),
    Http(Box<Http>),
}

struct Http {
    client: Client,
    url: Url,
    auth: Auth,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    let insecure = fields.flag("insecure").unwrap_or_default();
    // An address that is all secret can be no other.
    let text = fields.value("address").and_then(Value::as_str).unwrap_or_default();
    let is_http = text.starts_with("http") || text.starts_with("${");
    let auth = fields.object("auth", |fields| auth::read(fields, insecure)).flatten();
    let of_tls = fields.object("tls", tls);
    let way = if is_http {
        if fields.has("batch") {
            fields.problem("batch", "over HTTP a message is a request, and an answer is one message's: leave it out");
        }
        let url = address::read(fields, "address", insecure, "address: https://graylog.example.com:12201/gelf");
        url.map(|url| WayRef::Http { url, insecure, auth })
    } else {
        if fields.has("auth") {
            fields.problem("auth", "is for https:// alone");
        }
        let is_socket = ["udp://", "tcp://", "tls://"].iter().any(|scheme| text.starts_with(scheme));
        if fields.has("address") && !is_socket {
            fields.problem("address", EXPECTED);
            None
        } else {
            Address::read(fields, insecure, |_| PORT).map(WayRef::Socket)
        }
    };
    let transport = match &way {
        Some(WayRef::Socket(address)) => Some(address.transport),
        _ => None,
    };
    if of_tls.is_some() && matches!(transport, Some(Transport::Udp | Transport::Tcp)) {
        fields.problem("tls", "is for tls:// and https:// alone");
    }
    let plan = plan(fields, transport);
    Some(Box::new(Spec { way: way?, tls: of_tls.unwrap_or_default(), plan: Arc::new(plan) }))
}

fn plan(fields: &mut Fields<'_>, transport: Option<Transport>) -> Plan {
    let is_udp = transport == Some(Transport::Udp);
    let compression = fields.parsed("compress", |value| match value.as_str() {
        Some("gzip") => Ok(gelf::Compression::Gzip),
        Some("zlib") => Ok(gelf::Compression::Zlib),
        Some("none") => Ok(gelf::Compression::None),
        _ => Err("expected gzip, zlib or none".to_owned()),
    });
    let chunk = fields.number("chunk", CHUNKS);
    for key in ["compress", "chunk"] {
        if fields.has(key) && !is_udp {
            fields.problem(key, "is for udp:// alone");
        }
    }
    let without = fields.value("full_message").and_then(Value::as_bool) == Some(false);
    Plan {
        level: Level::read(fields, "level", &SEVERITIES, severity).unwrap_or(Level::Fixed(INFO)),
        host: fields.jq("host"),
        short_message: fields.jq("short_message"),
        full_message: if without { None } else { fields.jq("full_message") },
        has_full_message: !without,
        fields: fields.jq("fields"),
        compression: compression.unwrap_or(gelf::Compression::Gzip),
        chunk: usize::try_from(chunk.unwrap_or(CHUNK)).unwrap_or_default(),
        settings: settings(fields),
    }
}

impl Unresolved for Spec {
    fn is_shown(&self) -> bool {
        true
    }

    fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Box<dyn Target>> {
        let way = match &self.way {
            WayRef::Socket(address) => {
                Way::Socket(Box::new(problems.take("tls", Sender::new(setup, address.clone(), &self.tls))?))
            }
            WayRef::Http { url, insecure, auth } => {
                let address = address::resolve(url, "address", *insecure, setup, problems);
                let auth = auth.as_ref().map(|auth| auth.resolve(*insecure, setup, problems));
                let (mut url, mut secrets) = address?;
                if url.path() == "/" {
                    url.set_path(PATH);
                }
                let (auth, of_auth) = match auth {
                    None => (Auth::None, Vec::new()),
                    Some(auth) => auth?,
                };
                secrets.extend(of_auth);
                let client = problems.take("tls", Client::with_tls(setup, &url, secrets, &self.tls))?;
                Way::Http(Box::new(Http { client, url, auth }))
            }
        };
        Some(Box::new(Gelf { way, plan: Arc::clone(&self.plan) }))
    }
}

impl Gelf {
    fn message(&self, job: &Job, input: &Value) -> Result<String, String> {
        let plan = &self.plan;
        let context = Value::Object(context(job, input, &plan.settings));
        let usual = || format!("{}.{}", job.event.scope, job.event.action);
        let full = |plan: &Plan| text_of(plan.full_message.as_ref(), "full_message", &context);
        let message = gelf::Message {
            host: host(plan.host.as_ref(), "host", job, &context)?,
            short_message: one_text(plan.short_message.as_ref(), "short_message", &context)?.unwrap_or_else(usual),
            full_message: plan.has_full_message.then(|| full(plan)).transpose()?,
            time: jiff::Timestamp::from_millisecond(job.event.time.as_millis()).map_err(|error| error.to_string())?,
            level: plan.level.of("level", &context)?,
            fields: self.fields(job, &context)?,
        };
        message.to_value().map(|value| value.to_string()).map_err(|error| format!("fields: {error}"))
    }

    fn fields(&self, job: &Job, context: &Value) -> Result<Map<String, Value>, String> {
        let usual = json!({
            "event_id": job.event.id, "scope": job.event.scope, "action": job.event.action, "source": job.event.source,
            "rule": job.rule, "target": job.target, "job": job.id, "node": job.node_key(), "serial": serial(job),
            "user": job.event.user_id(),
        });
        let more = self.plan.fields.as_ref().map(|program| program.only("fields", context)).transpose()?;
        match (usual, more) {
            (Value::Object(mut fields), Some(Value::Object(more))) => {
                fields.extend(more);
                Ok(fields)
            }
            (Value::Object(fields), None | Some(Value::Null)) => Ok(fields),
            (_, other) => Err(format!("fields: expected an object, found {}", kind(&other.unwrap_or_default()))),
        }
    }

    /// The bytes of one message.
    fn frames(&self, message: &str, transport: Transport, job: &Job) -> Result<Vec<Vec<u8>>, String> {
        if transport != Transport::Udp {
            return Ok(vec![framing::trailed(message.as_bytes(), 0)]);
        }
        let packed = gelf::pack(message.as_bytes(), self.plan.compression).map_err(|error| error.to_string())?;
        let [a, b, c, d, e, f, g, h, ..] = *EventId::derived(&["gelf", job.id.as_str()]).as_bytes();
        let chunks = gelf::chunks(&packed, [a, b, c, d, e, f, g, h], self.plan.chunk);
        chunks.ok_or_else(|| {
            let most = gelf::MAX_CHUNKS;
            format!(
                "{} bytes are more than {most} datagrams of {}: raise `chunk`, or send by tls://",
                packed.len(),
                self.plan.chunk
            )
        })
    }

    async fn post(&self, http: &Http, job: &Job, message: String) -> Outcome {
        let request = http.client.request(Method::POST, http.url.clone()).header(CONTENT_TYPE, "application/json");
        let request = request.header("Idempotency-Key", wire::idempotency_key(&job.id)).body(message);
        let answered = http.auth.send(&http.client, Role::Job, request, &[]).await;
        let outcome = match answered.and_then(|(answer, _)| answer.success()) {
            Ok(answer) => Outcome::done("log", "gelf_sent", json!({"status": answer.status})),
            Err(outcome) => outcome,
        };
        http.client.clean_outcome(outcome, &[])
    }
}

#[async_trait::async_trait]
impl Target for Gelf {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        Outcome::of_one(self.deliver_batch(&[(job, input)]).await)
    }

    fn batches(&self) -> bool {
        true
    }

    /// All messages in one write; over HTTP, which has no way to say several, there are no batches.
    async fn deliver_batch(&self, jobs: &[(&Job, &Value)]) -> Vec<Outcome> {
        let messages: Vec<Result<String, String>> = jobs.iter().map(|(job, input)| self.message(job, input)).collect();
        let sender = match &self.way {
            Way::Socket(sender) => sender,
            Way::Http(http) => {
                let mut outcomes = Vec::with_capacity(jobs.len());
                for ((job, _), message) in jobs.iter().zip(messages) {
                    outcomes.push(match message {
                        Ok(message) => self.post(http, job, message).await,
                        Err(reason) => Outcome::never(reason),
                    });
                }
                return outcomes;
            }
        };
        let address = sender.address();
        let parcel = |(message, (job, _)): (Result<String, String>, &(&Job, &Value))| {
            let text = message?;
            let frames = self.frames(&text, address.transport, job)?;
            let bytes: usize = frames.iter().map(Vec::len).sum();
            Ok((Parcel { frames, text }, json!({"address": address.to_string(), "bytes": bytes})))
        };
        let made = messages.into_iter().zip(jobs).map(parcel).collect();
        sender.send_each(made, |info| Outcome::done("log", "gelf_sent", info)).await
    }
}

#[cfg(test)]
mod tests;

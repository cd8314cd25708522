//! `nats`: publishes a message: to another subject of Emote's own account, to another account or cluster, or an event to
//! another Emote.
//!
//! ```yaml
//! kind: nats
//! nats: {servers: ["tls://nats.example.com"], credentials: nats/tickets.creds}   # else as emote.yaml says
//! subject: tickets.macs
//! tokens: '[.event.scope, .event.device.uuid]'
//! headers: '{"X-Rule": .rule}'
//! body: '{what: .event.action, who: .event.user.id}'
//! ```
//! ```yaml
//! kind: nats
//! nats: {servers: ["tls://nats.munich.example.com"], credentials: nats/munich.creds}
//! emote: {source: berlin}
//! ```
//!
//! What a job says is appended to the subject and cannot leave it. Into Emote's own streams nothing is published: a rule that
//! made events would be a loop that nobody sees, and one that made jobs would go past every guard.
//!
//! Another Emote is told an event under its own id, so that it is one event wherever it comes by, and as one of the source
//! that `emote` names: what that is believed as is for the other one to say (`trust.yaml`). Effects are not told, and nothing
//! that came round already ([`carried`]): so two that tell each other everything come to an end.

mod carried;

use std::sync::{Arc, OnceLock};

use emote_proto::{Name, NodeKey, header, stream};
use serde_json::{Value, json};

use super::{
    Outcome, Role, Script, Shown, Target,
    http::place::pairs,
    programs,
    spec::{Setup, Unresolved},
    wire,
};
use crate::{
    bus::{BusError, BusSettings, Message, Outbound},
    config::{NatsSettings, Problems, fields::Fields},
    core::{Job, OWN_SOURCES},
    jq::Program,
};

/// With these begin subjects that are Emote's own.
const OWN: [&str; 7] = ["checkpoint", "dead", "deliver", "emote", "enroll", "events", "held"];
/// The most tokens that a job may append.
const MAX_TOKENS: usize = 16;
/// The longest subject, in bytes.
const MAX_SUBJECT: usize = 1024;

#[derive(Debug)]
struct Spec {
    nats: Option<NatsSettings>,
    what: Arc<What>,
}

/// What is published.
#[derive(Debug)]
enum What {
    Message {
        subject: String,
        tokens: Option<Program>,
        headers: Option<Program>,
        body: Option<Program>,
        /// Whether a stream is to have it.
        is_kept: bool,
    },
    /// The event itself, as one of this source.
    Event { source: Name },
}

struct Nats {
    what: Arc<What>,
    servers: String,
    outbound: Outbound,
    /// Where this Emote's own streams are.
    own: BusSettings,
    /// Why no message is sent any more: the server stored one of them among Emote's own.
    led_astray: OnceLock<String>,
    script: Option<Arc<Script>>,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    let nats = fields.object("nats", |fields| {
        let mut nats = NatsSettings::default();
        if !fields.has("servers") {
            fields.problem("servers", "is missing: for example servers: [\"tls://nats.example.com\"]");
        }
        nats.read(fields);
        nats
    });
    let source = fields.object("emote", |fields| {
        let source = fields.parsed("source", |value| {
            let name = Name::new(value.as_str().unwrap_or_default()).map_err(|error| error.to_string())?;
            match OWN_SOURCES.contains(&name.as_str()) {
                true => Err("is a source of Emote's own: name this one, for example after its place".to_owned()),
                false => Ok(name),
            }
        });
        fields.require("source", source, "source: berlin")
    });
    let what = match source {
        None => message(fields)?,
        Some(source) => {
            if nats.is_none() {
                fields.problem("nats", "is missing: say where the other Emote is");
            }
            for key in ["subject", "tokens", "headers", "body", "jetstream"] {
                if fields.has(key) {
                    fields.problem(key, "means nothing beside `emote`, which is given the event as it is");
                }
            }
            What::Event { source: source? }
        }
    };
    Some(Box::new(Spec { nats, what: Arc::new(what) }))
}

fn message(fields: &mut Fields<'_>) -> Option<What> {
    let subject = fields.parsed("subject", |value| {
        let subject = value.as_str().unwrap_or_default();
        check_subject(subject).map(|()| subject.to_owned())
    });
    let subject = fields.require("subject", subject, "subject: tickets.macs");
    let (tokens, headers, body) = (fields.jq("tokens"), fields.jq("headers"), fields.jq("body"));
    let is_kept = fields.flag("jetstream").unwrap_or(true);
    Some(What::Message { subject: subject?, tokens, headers, body, is_kept })
}

fn check_subject(subject: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '*' | '>');
    let first = subject.split('.').next().unwrap_or_default();
    if subject.split('.').any(str::is_empty) || !subject.chars().all(is_plain) || subject.len() > MAX_SUBJECT {
        return Err("expected a subject without wildcards, such as tickets.macs".to_owned());
    }
    if first.starts_with(['$', '_']) {
        return Err(format!("subjects that begin with {first} are the server's own"));
    }
    if OWN.contains(&first) {
        return Err(format!(
            "subjects that begin with {first} are Emote's own: name another one; what another Emote is to be told is said \
             with emote: {{source: NAME}}"
        ));
    }
    Ok(())
}

impl Unresolved for Spec {
    fn is_shown(&self) -> bool {
        true
    }

    fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Box<dyn Target>> {
        let default = NatsSettings::default();
        let own = setup.settings.map_or(&default, |settings| &settings.nats);
        let name = format!("emote target {}", setup.name);
        let resolve = |nats: &NatsSettings| nats.resolve_with(setup.folder, &name, |secret| setup.secret(secret));
        let own = problems.take("", resolve(own))?;
        let there = match &self.nats {
            None => own.clone(),
            Some(nats) => problems.take("nats", resolve(nats))?,
        };
        Some(Box::new(Nats {
            what: Arc::clone(&self.what),
            servers: there.servers.join(", "),
            outbound: Outbound::new(there),
            own,
            led_astray: OnceLock::new(),
            script: setup.script.cloned(),
        }))
    }
}

#[async_trait::async_trait]
impl Target for Nats {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        let message = match self.what.message(job, input) {
            Ok(message) => message,
            Err(outcome) => return *outcome,
        };
        if let Some(script) = &self.script {
            script.show(self.shown(&message));
            if script.stands_in() {
                return Outcome::done("nats", "published", Value::Null);
            }
        }
        if let Some(reason) = self.led_astray.get() {
            let remedy = "nothing more is sent before the target's file changes or the broker starts anew";
            return Outcome::never(format!("{reason}; {remedy}"));
        }
        let (Ok(outcome) | Err(outcome)) = self.publish(job, &message).await.map_err(failed);
        outcome
    }
}

impl Nats {
    async fn publish(&self, job: &Job, message: &Message) -> Result<Outcome, BusError> {
        let mut info = json!({"target": job.target, "subject": message.subject});
        match &*self.what {
            What::Message { is_kept: false, .. } => {
                self.outbound.send(message).await?;
                return Ok(Outcome::done("nats", "published", info));
            }
            What::Event { .. } if !self.outbound.is_another_emote(&self.own).await? => {
                let reason = "what is there is this Emote itself: name the NATS of another one";
                return Ok(Outcome::never(reason));
            }
            What::Message { .. } | What::Event { .. } => {}
        }
        let stored = self.outbound.store(message).await?;
        if matches!(&*self.what, What::Message { .. }) && is_own_stream(&stored.stream) {
            let reason = format!(
                "the server maps {} into {}, a stream of Emote's own, and stored it there: have it mapped elsewhere",
                message.subject, stored.stream
            );
            return Ok(Outcome::never(self.led_astray.get_or_init(|| reason)));
        }
        info["stream"] = stored.stream.into();
        info["sequence"] = stored.sequence.into();
        if stored.is_repeated {
            info["repeated"] = true.into();
        }
        Ok(Outcome::done("nats", "published", info))
    }

    fn shown(&self, message: &Message) -> Shown {
        let id = [(header::MSG_ID.to_owned(), message.id.clone())];
        Shown {
            role: Role::Job,
            method: "PUBLISH".to_owned(),
            url: format!("{} at {}", message.subject, self.servers),
            headers: id.into_iter().chain(message.headers.clone()).collect(),
            body: String::from_utf8_lossy(&message.body).into_owned(),
            frames: Vec::new(),
            answer: None,
        }
    }
}

/// Whether a stream is an Emote's own: a server may map whatever subject into it.
fn is_own_stream(name: &str) -> bool {
    [stream::EVENTS, stream::DELIVERIES, stream::DEAD].contains(&name)
        || ["KV_emote-", "OBJ_emote-"].iter().any(|own| name.starts_with(own))
}

/// What was refused will be refused again; everything else may be put right.
fn failed(error: BusError) -> Outcome {
    match error {
        BusError::Refused { .. } => Outcome::never(error),
        _ => Outcome::retry(error),
    }
}

impl What {
    fn message(&self, job: &Job, input: &Value) -> Result<Message, Box<Outcome>> {
        match self {
            Self::Event { source } => carried::event(&job.event, source).map_err(|left_out| {
                let info = json!({"target": job.target, "reason": left_out});
                Box::new(Outcome::done("nats", "left_out", info))
            }),
            Self::Message { subject, tokens, headers, body, .. } => {
                let context = programs::of_job(job, input);
                let programs = (tokens.as_ref(), headers.as_ref(), body.as_ref());
                made(job, subject, programs, &context).map_err(|reason| Box::new(Outcome::never(reason)))
            }
        }
    }
}

fn made(
    job: &Job,
    subject: &str,
    (tokens, headers, body): (Option<&Program>, Option<&Program>, Option<&Program>),
    context: &Value,
) -> Result<Message, String> {
    let mut subject = subject.to_owned();
    if let Some(program) = tokens {
        for token in appended(&program.only("tokens", context)?)? {
            subject.push('.');
            subject.push_str(&token);
        }
    }
    if subject.len() > MAX_SUBJECT {
        return Err(format!("the subject has {} bytes; {MAX_SUBJECT} are the most", subject.len()));
    }
    let headers = match headers {
        None => Vec::new(),
        Some(program) => pairs(&program.only("headers", context)?, "headers")?,
    };
    let is_own = |name: &str| ["nats-", "emote-"].iter().any(|own| name.to_ascii_lowercase().starts_with(own));
    if let Some((name, _)) = headers.iter().find(|(name, _)| is_own(name)) {
        return Err(format!(
            "headers: {name} is not for programs to say: what begins with Nats- tells the server what to do"
        ));
    }
    let body = match body {
        None => context.get("input").cloned().unwrap_or_default(),
        Some(program) => program.only("body", context)?,
    };
    let body = match body {
        Value::String(text) => text.into_bytes(),
        value => value.to_string().into_bytes(),
    };
    Ok(Message { subject, id: wire::idempotency_key(&job.id), headers, body })
}

/// The tokens that a program gave: a text or a number is one, whatever is in it; of a list each.
fn appended(value: &Value) -> Result<Vec<String>, String> {
    let values = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    if values.len() > MAX_TOKENS {
        return Err(format!("tokens: {} of them; {MAX_TOKENS} are the most", values.len()));
    }
    let token = |value: &Value| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            other => {
                return Err(format!("tokens: the program gave {}, not a text", crate::config::fields::kind(other)));
            }
        };
        NodeKey::new(text).map(|key| key.to_subject_token()).map_err(|error| format!("tokens: {error}"))
    };
    values.iter().map(token).collect()
}

#[cfg(test)]
mod tests;

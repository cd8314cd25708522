//! The file of a target of this kind: read, then made ready with its secrets.

use std::sync::Arc;

use serde_json::Value;

use super::{
    super::{
        Target,
        connections::{Kept, Tls},
        http::{
            auth::{self, Auth, AuthRef, filled, texts},
            endpoint::gzip,
            reading::tls,
        },
        programs::settings,
        spec::{Setup, Unresolved},
        wire::{self, Client},
    },
    Compress, Kafka,
    address::Address,
    cluster::{Cluster, Terms},
    plan::{Plan, Topic, check_topic},
    sasl::Mechanism,
};
use crate::config::{Problems, fields::Fields, text::Template};

/// The most brokers that are asked first.
const MAX_BROKERS: usize = 16;
const BROKERS: &str = "brokers: [kafka-1.example.com:9093]";

#[derive(Debug)]
struct Spec {
    brokers: Vec<Address>,
    insecure: bool,
    /// None in plain text.
    tls: Option<Tls>,
    auth: Option<AuthRef>,
    mechanism: Mechanism,
    extensions: Vec<(String, Template)>,
    client_id: String,
    compress: Option<Compress>,
    plan: Arc<Plan>,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    let insecure = fields.flag("insecure").unwrap_or_default();
    let brokers = fields.parsed("brokers", brokers);
    let brokers = fields.require("brokers", brokers, BROKERS);
    let of_tls = fields.object("tls", tls);
    // Off this machine TLS is spoken, unless it was said that plain text is fine.
    let is_here = brokers.iter().flatten().all(Address::is_here);
    let tls = of_tls.or_else(|| (!is_here && !insecure).then(Tls::default));
    let auth = fields.object("auth", |fields| auth(fields, insecure)).flatten();
    let mechanism = mechanism(fields, auth.as_ref());
    let extensions = texts(fields, "extensions");
    if !extensions.is_empty() && auth.as_ref().is_none_or(has_password) {
        fields.problem("extensions", "are said beside a token: say bearer, login, oauth2 or signed in `auth`");
    }
    if let Some((name, _)) = extensions.iter().find(|(name, _)| !is_extension(name)) {
        fields.problem(&format!("extensions.{name}"), "an extension is called by letters alone, and none is auth");
    }
    let client_id = fields.parsed("client_id", |value| match value.as_str() {
        Some(id) if !id.is_empty() && id.len() <= 255 && id.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(id.to_owned())
        }
        _ => Err("expected 1 to 255 visible ASCII characters".to_owned()),
    });
    let client_id = client_id.unwrap_or_else(|| "emote".to_owned());
    let compress = fields.words("compress", &["gzip", "none"]).filter(|word| *word == "gzip");
    let compress = compress.map(|_| gzip as Compress);
    let (topic, key, headers, body) = (topic(fields), fields.jq("key"), fields.jq("headers"), fields.jq("body"));
    let settings = settings(fields);
    let plan = Arc::new(Plan { topic: topic?, key, headers, body, settings });
    let brokers = brokers?;
    Some(Box::new(Spec { brokers, insecure, tls, auth, mechanism, extensions, client_id, compress, plan }))
}

/// A list, or a text with commas as Kafka's own `bootstrap.servers`.
fn brokers(value: &Value) -> Result<Vec<Address>, String> {
    let each: Vec<&str> = match value {
        Value::String(text) => text.split(',').map(str::trim).collect(),
        Value::Array(items) => items.iter().map(|item| item.as_str().unwrap_or_default()).collect(),
        _ => Vec::new(),
    };
    if each.is_empty() || each.len() > MAX_BROKERS {
        return Err(format!("expected 1 to {MAX_BROKERS} brokers, each a host and its port: for example {BROKERS}"));
    }
    each.into_iter().map(Address::parse).collect()
}

fn auth(fields: &mut Fields<'_>, insecure: bool) -> Option<AuthRef> {
    let read = auth::read(fields, insecure)?;
    match read {
        AuthRef::Header { .. } | AuthRef::Duo(_) => {
            fields.problem("", "Kafka takes one of basic, bearer, login, oauth2, signed");
            None
        }
        _ => Some(read),
    }
}

/// A password is proven by what the file says, a token is always shown by OAUTHBEARER.
fn mechanism(fields: &mut Fields<'_>, auth: Option<&AuthRef>) -> Mechanism {
    let said = fields.parsed("mechanism", |value| {
        let known = value.as_str().and_then(Mechanism::named);
        known.ok_or_else(|| format!("expected one of {}", Mechanism::ALL.join(", ").to_lowercase()))
    });
    let is_said = fields.has("mechanism");
    match auth {
        Some(auth) if has_password(auth) && is_said => {}
        Some(auth) if has_password(auth) => {
            let remedy = "is missing: say plain, scram-sha-256 or scram-sha-512, as the cluster has it";
            fields.problem("mechanism", remedy);
        }
        _ if is_said => fields.problem("mechanism", "is for a password alone: `auth: {basic: …}`"),
        _ => {}
    }
    said.unwrap_or(Mechanism::Plain)
}

fn has_password(auth: &AuthRef) -> bool {
    matches!(auth, AuthRef::Fixed(wire::AuthRef::Basic { .. }))
}

/// RFC 7628, 3.1, as Kafka has it.
fn is_extension(name: &str) -> bool {
    name != "auth" && name.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// A name, else a jq program that gives one.
fn topic(fields: &mut Fields<'_>) -> Option<Topic> {
    const TOPIC: &str = "topic: emote.events";
    let text = fields.text("topic");
    let text = fields.require("topic", text, TOPIC)?;
    // No name that somebody would choose begins with a dot, and no program is a word alone.
    let is_program = text.starts_with('.') || text.chars().any(|c| "\"|(){}".contains(c));
    if is_program {
        return fields.jq("topic").map(Topic::Of);
    }
    check_topic(&text).map_err(|error| fields.problem("topic", error)).ok()?;
    Some(Topic::Fixed(text))
}

impl Unresolved for Spec {
    fn is_shown(&self) -> bool {
        true
    }

    fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Box<dyn Target>> {
        let auth = self.auth.as_ref().map(|auth| auth.resolve(self.insecure, setup, problems));
        let extensions = filled(&self.extensions, "extensions", setup, problems);
        let (auth, mut secrets) = match auth {
            None => (Auth::None, Vec::new()),
            Some(auth) => auth?,
        };
        let (extensions, of_extensions) = extensions?;
        secrets.extend(of_extensions);
        let client = problems.take("", Client::for_tokens(setup, &auth, secrets))?;
        let (has_tls, tls) = (self.tls.is_some(), self.tls.clone().unwrap_or_default());
        let tls = Kept::new(setup, &tls, move |tls| has_tls.then(|| tls.client_config().map(Arc::new)).transpose());
        let terms = Terms {
            brokers: self.brokers.clone(),
            client_id: self.client_id.clone(),
            timeout: setup.delivery.timeout,
            most: setup.delivery.concurrency,
            stays_here: !has_tls && !self.insecure,
        };
        let cluster = Cluster::new(terms, problems.take("tls", tls)?);
        let at = self.brokers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (mechanism, compress, plan) = (self.mechanism, self.compress, Arc::clone(&self.plan));
        Some(Box::new(Kafka { client, cluster, at, auth, mechanism, extensions, compress, plan }))
    }
}

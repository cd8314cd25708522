//! The file of a target of this kind: read, then made ready with its secrets.

use std::{path::PathBuf, sync::Arc};

use emote_proto::Token;
use reqwest::{
    Method,
    header::{HeaderName, HeaderValue},
};
use serde_json::Value;

use super::{
    super::{
        Target,
        programs::settings,
        spec::{Setup, Unresolved},
        wire::{MIN_PIN_KEY, Tls},
    },
    Http,
    answer::Meaning,
    auth::{filled, texts},
    body::Body,
    endpoint::EndpointRef,
    lookup::Lookup,
    place::Place,
    plan::{Limits, PinIn, Plan},
};
use crate::config::{
    Problems, SecretRef,
    fields::{Fields, kind},
    shape::Form,
    text::Template,
};

const METHODS: [Method; 5] = [Method::DELETE, Method::GET, Method::PATCH, Method::POST, Method::PUT];
/// Set by the kind itself or by HTTP.
const RESERVED_HEADERS: [&str; 7] = [
    "idempotency-key",
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "host",
    "connection",
];
/// Their value is a secret in itself.
const SECRET_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
/// The most steps before a request.
const MAX_LOOKUPS: usize = 8;
/// The most bytes of a request's body, whatever a file says.
const MAX_BODY: u64 = 64 * 1024 * 1024;

#[derive(Debug)]
struct Spec {
    at: EndpointRef,
    body_secrets: Vec<(String, Template)>,
    pin_key: Option<SecretRef>,
    plan: Arc<Plan>,
}

pub(in crate::targets) fn read(fields: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    let at = EndpointRef::read(fields, "url: https://hooks.example.com/emote");
    let method = method(fields).unwrap_or(Method::POST);
    let body = body(fields, &method);
    let body_secrets = texts(fields, "body_secrets");
    let place = Place { path: fields.jq("path"), query: fields.jq("query") };
    let lookups = fields.list("lookup", |fields, path, value| fields.element(path, value, lookup).flatten());
    let lookups = distinct(fields, lookups.unwrap_or_default());
    let (pin_key, pin_in) = pin(fields);
    let device = fields.flag("device").unwrap_or_default();
    if fields.has("batch") && (!lookups.is_empty() || pin_in.is_some()) {
        fields.problem("batch", "a request for several jobs can neither look up nor have a PIN for each of them");
    }
    let meaning = meaning(fields);
    let settings = settings(fields);
    let limits = fields.object("limits", limits).unwrap_or(Limits { items: usize::MAX, bytes: usize::MAX });
    let plan = Plan { method, place, lookups, body: body?, meaning: meaning?, settings, limits, pin_in, device };
    Some(Box::new(Spec { at: at?, body_secrets, pin_key, plan: Arc::new(plan) }))
}

pub(crate) fn method(fields: &mut Fields<'_>) -> Option<Method> {
    let word = fields.words("method", &["DELETE", "GET", "PATCH", "POST", "PUT"])?;
    METHODS.into_iter().find(|method| method.as_str() == word)
}

pub(crate) fn headers(fields: &mut Fields<'_>) -> Vec<(HeaderName, Template)> {
    let mut headers = Vec::new();
    for (name, value) in fields.entries("headers").into_iter().flatten() {
        let at = format!("headers.{name}");
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            fields.problem(&at, "not the name of a header");
            continue;
        };
        let template = match value.as_str().map(Template::parse) {
            None => Err(format!("expected a text, found {}", kind(value))),
            Some(template) => template,
        };
        match template {
            Err(error) => fields.problem(&at, error),
            Ok(_) if RESERVED_HEADERS.contains(&header.as_str()) => {
                fields.problem(&at, "is set by Emote; the content type is the field `content_type`");
            }
            Ok(template) if template.plain().is_some() && SECRET_HEADERS.contains(&header.as_str()) => {
                fields.problem(&at, "is a secret, given by reference: ${env:NAME} or ${file:PATH}");
            }
            Ok(template) => headers.push((header, template)),
        }
    }
    headers
}

/// None where there is a problem; nothing in it where requests have no body.
fn body(fields: &mut Fields<'_>, method: &Method) -> Option<Option<Body>> {
    fields.holds("body", Form::Is(Value::Bool(false)));
    let without = fields.value("body").and_then(Value::as_bool) == Some(false);
    let program = if without { None } else { fields.jq("body") };
    let content_type = fields.text("content_type").unwrap_or_else(|| "application/json".to_owned());
    let content_type =
        HeaderValue::from_str(&content_type).map_err(|_| fields.problem("content_type", "not a media type"));
    let gzip = fields.words("compress", &["gzip", "none"]).map(|word| word == "gzip");
    let (batch, join) = (fields.jq("batch_body"), fields.text("join"));
    if batch.is_some() && join.is_some() {
        fields.problem("join", "batch_body makes the body already");
    }
    let body = Body { program, content_type: content_type.ok()?, gzip: gzip.unwrap_or_default(), batch, join };
    let has_body = !without && (*method != Method::GET || body.program.is_some());
    Some(has_body.then_some(body))
}

fn lookup(fields: &mut Fields<'_>) -> Option<Lookup> {
    let name = fields.text("name");
    let name = fields.require("name", name, "name: computer");
    if name.as_deref().is_some_and(|name| Token::new(name).is_err()) {
        fields.problem("name", "expected a word in lower case such as computer");
    }
    let method = method(fields).unwrap_or(Method::GET);
    let read = fields.flag("read").unwrap_or_default();
    if method != Method::GET && !(method == Method::POST && read) {
        fields.problem("method", "a lookup changes nothing: expected GET, or POST with read: true");
    }
    let place = Place { path: fields.jq("path"), query: fields.jq("query") };
    let body = fields.jq("body");
    if body.is_some() && method == Method::GET {
        fields.problem("body", "a GET has none: say method: POST and read: true");
    }
    let take = fields.jq("take");
    let take = fields.require("take", take, "take: .body.id");
    let missing = fields.jq("missing");
    let example = fields.value("example").cloned();
    Some(Lookup { name: name?, method, place, body, take: take?, missing, example })
}

fn distinct(fields: &mut Fields<'_>, lookups: Vec<Lookup>) -> Vec<Lookup> {
    if lookups.len() > MAX_LOOKUPS {
        fields.problem("lookup", format!("more than {MAX_LOOKUPS} steps"));
    }
    for (at, lookup) in lookups.iter().enumerate() {
        if lookups.iter().take(at).any(|before| before.name == lookup.name) {
            fields.problem(&format!("lookup[{at}].name"), "another step has this name");
        }
    }
    lookups
}

fn pin(fields: &mut Fields<'_>) -> (Option<SecretRef>, Option<PinIn>) {
    let key = fields.secret("pin_key");
    let pin_in = fields.formed("pin_in", Form::Words(vec!["body", "path", "query"]), |value| match value.as_str() {
        Some("path") => Ok(PinIn::Path),
        Some("query") => Ok(PinIn::Query),
        Some("body") => Ok(PinIn::Body),
        _ => Err("expected one of body, path, query: the program that sees .pin".to_owned()),
    });
    if pin_in.is_some() {
        fields.require("pin_key", key.as_ref(), "pin_key: ${file:pin.key}, from which PINs are derived");
    }
    (key, pin_in)
}

fn meaning(fields: &mut Fields<'_>) -> Option<Meaning> {
    let (answer, answers) = (fields.jq("answer"), fields.jq("answers"));
    let said = fields.object("report", |fields| {
        let mut word = |key: &'static str, example: &str| {
            let token = fields.formed(key, Form::Text(&[]), |value| {
                Token::new(value.as_str().unwrap_or_default()).map_err(|error| error.to_string())
            });
            fields.require(key, token, example)
        };
        let (scope, action) = (word("scope", "scope: mdm"), word("action", "action: device_lock"));
        (scope, action, fields.jq("info"))
    });
    let (scope, action, info) = match said {
        Some((scope, action, info)) => (scope, action, info),
        None => (Token::new("http").ok(), Token::new("request").ok(), None),
    };
    Some(Meaning { answer, answers, info, scope: scope?, action: action? })
}

fn limits(fields: &mut Fields<'_>) -> Limits {
    let items = fields.number("max_items", 1..=1_000_000);
    let bytes = fields.size("max_bytes").filter(|bytes| *bytes <= MAX_BODY);
    Limits {
        items: items.and_then(|items| usize::try_from(items).ok()).unwrap_or(usize::MAX),
        bytes: bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX),
    }
}

pub(crate) fn tls(fields: &mut Fields<'_>) -> Tls {
    let mut path = |key: &'static str| fields.text(key).map(PathBuf::from);
    let tls = Tls { certificate: path("certificate"), key: path("key"), ca: path("ca") };
    if tls.certificate.is_some() != tls.key.is_some() {
        fields.problem("", "expected certificate and key: a client certificate is nothing without its key");
    }
    tls
}

impl Unresolved for Spec {
    fn is_shown(&self) -> bool {
        true
    }

    fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Box<dyn Target>> {
        let body_secrets = filled(&self.body_secrets, "body_secrets", setup, problems);
        let pin_key = self.pin_key.as_ref().and_then(|key| problems.take("pin_key", setup.secret(key)));
        if pin_key.as_ref().is_some_and(|key| key.expose().len() < MIN_PIN_KEY) {
            problems.add("pin_key", format!("is too short: {MIN_PIN_KEY} random characters at least"));
        }
        let (body_secrets, mut secrets) = body_secrets.unwrap_or_default();
        secrets.extend(pin_key.clone());
        let at = self.at.resolve(setup, secrets, problems)?;
        Some(Box::new(Http { at, body_secrets, pin_key, plan: Arc::clone(&self.plan) }))
    }
}

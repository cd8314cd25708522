//! Requests, and what goes to a socket, that are not sent: shown as they would be, or answered as told. Or sent, and noted with their answers.
//!
//! A target that is made with a [`Script`] in place of the network takes the same way as any other. In place of each
//! secret stands a word of its own, which is turned into the reference again where a request is shown; so nothing that is
//! shown has a secret in it, and none needs to be there. Where requests are sent their secrets are real, and whoever notes
//! them takes those out.

use std::{
    collections::VecDeque,
    io::Read as _,
    sync::{Mutex, PoisonError},
};

use reqwest::{
    Request,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, USER_AGENT},
};
use serde::Serialize;
use serde_json::Value;

use super::{otlp, prometheus, wire::PROTOBUF};
use crate::config::Secret;

/// The largest body that is shown, in bytes.
const MAX_SHOWN: u64 = 1 << 20;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It asks for a token.
    Token,
    /// It looks something up that the others need.
    Lookup,
    /// It fetches a page of what a source polls.
    Page,
    /// It does what the job asks.
    Job,
}

/// A request as it would be sent, or what else would be done: a program that would be run, a message that would be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// What it is for.
    pub role: Role,
    /// Its method; `RUN` for a program, `PUBLISH` for a message.
    pub method: String,
    /// Where it goes: its address; the program; the subject and the server.
    pub url: String,
    /// Its headers, names in lower case, without those that HTTP itself needs; of a program, its arguments and variables.
    pub headers: Vec<(String, String)>,
    /// Its body, before it is compressed; what a program reads.
    pub body: String,
    /// What goes to a socket, as it does: what is written at once, or a datagram each. What is no visible ASCII is escaped as
    /// in `\\n` and `\\x1e`. Nothing where it is an HTTP request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<String>,
    /// What was answered, where it was sent; nothing of an answer with a token in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answered>,
}

/// An answer that came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// Its status; of a program, the exit code.
    pub status: u16,
    /// The start of its body; what a program wrote.
    pub body: String,
}

/// An answer to give.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Script {
    /// What each stand-in stands for.
    stands_for: Mutex<Vec<String>>,
    seen: Mutex<Vec<Shown>>,
    /// The answers to come, where there are any.
    answers: Option<Mutex<VecDeque<Told>>>,
    token: Option<Told>,
    /// Whether requests are sent.
    sends: bool,
}

impl Script {
    /// Shows requests. What they need of answers is made up.
    pub fn showing() -> Self {
        Self::default()
    }

    /// Answers in this order; a request for a token gets `token`, or one that stands in for it.
    pub fn answering(answers: Vec<Told>, token: Option<Told>) -> Self {
        Self { answers: Some(Mutex::new(answers.into())), token, ..Self::default() }
    }

    /// Notes what is sent.
    pub fn noting() -> Self {
        Self { sends: true, ..Self::default() }
    }

    /// Whether it is there in place of the network and of secrets.
    pub(super) fn stands_in(&self) -> bool {
        !self.sends
    }

    /// Notes what goes to a socket; says whether it is to be sent.
    pub(super) fn put(&self, shown: Shown) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(shown);
        self.sends
    }

    /// Notes a request that is sent, without what `clean` takes out.
    pub(super) fn note(&self, role: Role, request: &Request, clean: impl Fn(&str) -> String) {
        self.note_shown(read(role, request, false), clean);
    }

    /// The same for what is no HTTP request.
    pub(super) fn note_shown(&self, read: Shown, clean: impl Fn(&str) -> String) {
        let headers = read.headers.into_iter().map(|(name, value)| (name, clean(&value))).collect();
        let shown = Shown { url: clean(&read.url), headers, body: clean(&read.body), ..read };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(shown);
    }

    /// Notes what is no request; no secret may be in it.
    pub(super) fn show(&self, shown: Shown) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(shown);
    }

    /// Notes the answer to the request that was noted last.
    pub(super) fn note_answer(&self, status: u16, body: &str) {
        let body = match serde_json::from_str(body) {
            Ok(value) => without_secrets(value).to_string(),
            Err(_) => body.to_owned(),
        };
        let answer = Answered { status, body };
        if let Some(last) = self.seen.lock().unwrap_or_else(PoisonError::into_inner).last_mut() {
            last.answer = Some(answer);
        }
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Shown> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = |shown: &Shown| Shown {
            url: self.shown(&shown.url),
            headers: shown.headers.iter().map(|(name, value)| (name.clone(), self.shown(value))).collect(),
            body: self.shown(&shown.body),
            ..shown.clone()
        };
        seen.iter().map(shown).collect()
    }

    /// `text`, with what each stand-in stands for in its place.
    pub fn shown(&self, text: &str) -> String {
        let stands_for = self.stands_for.lock().unwrap_or_else(PoisonError::into_inner);
        stands_for.iter().enumerate().fold(text.to_owned(), |text, (at, what)| {
            let (word, address) = (stand_in(at), Self::address(&stand_in(at)));
            match text.strip_suffix('/') {
                Some(whole) if whole == address => what.clone(),
                _ => text.replace(&address, what).replace(&word, what),
            }
        })
    }

    /// An address to stand in for one that is a secret as a whole.
    pub(super) fn address(stand_in: &str) -> String {
        format!("https://{stand_in}.address")
    }

    /// A word that stands for `what`: letters and digits, which no encoding changes.
    pub(super) fn stand_in(&self, what: String) -> Secret {
        let mut stands_for = self.stands_for.lock().unwrap_or_else(PoisonError::into_inner);
        let at = stands_for.iter().position(|known| *known == what).unwrap_or_else(|| {
            stands_for.push(what);
            stands_for.len().saturating_sub(1)
        });
        Secret::new(stand_in(at))
    }

    /// Whether what answers say must be made up.
    pub(super) fn makes_up(&self, role: Role) -> bool {
        self.stands_in()
            && match role {
                Role::Token => self.token.is_none(),
                Role::Lookup | Role::Page | Role::Job => self.answers.is_none(),
            }
    }

    /// Notes the request and gives its answer; an error where none is left.
    pub(super) fn answer(&self, role: Role, request: &Request) -> Result<Told, String> {
        self.answer_shown(read(role, request, true))
    }

    /// The same for what is no HTTP request.
    pub(super) fn answer_shown(&self, shown: Shown) -> Result<Told, String> {
        let role = shown.role;
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(shown);
        let plain = Told { status: 200, ..Told::default() };
        match (role, &self.answers) {
            (Role::Token, _) => Ok(self.token.clone().unwrap_or(plain)),
            (_, None) => Ok(plain),
            (_, Some(answers)) => {
                let next = answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                next.ok_or_else(|| "no answer is left for this request".to_owned())
            }
        }
    }
}

fn stand_in(at: usize) -> String {
    format!("emotestandin{at:06}x")
}

/// A request; `opens` is whether what basic authentication encodes is shown as it is.
fn read(role: Role, request: &Request, opens: bool) -> Shown {
    let hidden = [USER_AGENT.as_str(), "accept", "host", "content-length"];
    let headers = request.headers().iter().filter(|(name, _)| !hidden.contains(&name.as_str()));
    let headers = headers.map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let value = if opens && name == AUTHORIZATION { basic(&value).unwrap_or(value) } else { value };
        (name.to_string(), value)
    });
    let mut headers: Vec<_> = headers.collect();
    headers.sort();
    let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
    Shown {
        role,
        method: request.method().to_string(),
        url: request.url().to_string(),
        headers,
        body: unpacked(request, body),
        frames: Vec::new(),
        answer: None,
    }
}

/// What an answer says, without what vendors make themselves: PINs, tokens and the like.
fn without_secrets(value: Value) -> Value {
    let is_secret = |key: &str| {
        let key = key.to_ascii_lowercase();
        ["pin", "passcode", "password", "secret", "token", "unlockcode"].iter().any(|word| key.ends_with(word))
    };
    match value {
        Value::Array(items) => items.into_iter().map(without_secrets).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| {
                let value = if is_secret(&key) && !value.is_object() { "…".into() } else { without_secrets(value) };
                (key, value)
            })
            .collect(),
        other => other,
    }
}

/// A body as people read it, whatever it is packed in.
fn unpacked(request: &Request, body: &[u8]) -> String {
    let says = |name: HeaderName, what: &str| request.headers().get(name).is_some_and(|value| value == what);
    let mut bytes = Vec::new();
    let is_open = !says(CONTENT_ENCODING, "gzip")
        || flate2::read::GzDecoder::new(body).take(MAX_SHOWN).read_to_end(&mut bytes).is_err();
    let bytes = if is_open { body } else { &bytes };
    let readable = match says(CONTENT_TYPE, PROTOBUF) {
        true if says(CONTENT_ENCODING, "snappy") => prometheus::readable(bytes),
        true => otlp::readable(request.url().path(), bytes),
        false => None,
    };
    readable.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned())
}

/// User and password as they are before they are encoded.
fn basic(value: &str) -> Option<String> {
    let decoded = data_encoding::BASE64.decode(value.strip_prefix("Basic ")?.as_bytes()).ok()?;
    Some(format!("Basic {}", String::from_utf8(decoded).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_for_a_secret_is_shown_as_its_reference() {
        let script = Script::showing();
        let one = script.stand_in("${env:A}".to_owned());
        let two = script.stand_in("${env:B}".to_owned());
        assert_eq!(script.stand_in("${env:A}".to_owned()), one);
        assert_ne!(one, two);
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::new();
        let url = format!("https://{}.example.com/?q={}", one.expose(), two.expose());
        let request = client.post(url).basic_auth(one.expose(), Some(two.expose())).body("x").build().unwrap();
        assert_eq!(script.answer(Role::Job, &request).unwrap().status, 200);
        let shown = script.seen().remove(0);
        assert_eq!(shown.url, "https://${env:A}.example.com/?q=${env:B}");
        assert_eq!(shown.headers, [("authorization".to_owned(), "Basic ${env:A}:${env:B}".to_owned())]);
        assert_eq!(shown.body, "x");
    }

    #[test]
    fn a_pin_that_a_vendor_makes_is_not_shown() {
        let answer =
            serde_json::json!({"PIN": "871204", "unlock_pin": 1, "device": [{"passcode": "x", "name": "ada-mbp"}]});
        let shown =
            serde_json::json!({"PIN": "…", "unlock_pin": "…", "device": [{"passcode": "…", "name": "ada-mbp"}]});
        assert_eq!(without_secrets(answer), shown);
    }

    #[test]
    fn answers_come_in_their_order_and_end() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let request = reqwest::Client::new().get("https://example.com").build().unwrap();
        let told = |status| Told { status, ..Told::default() };
        let script = Script::answering(vec![told(201), told(404)], None);
        let statuses: Vec<_> = [Role::Lookup, Role::Token, Role::Job, Role::Job]
            .map(|role| script.answer(role, &request).map(|told| told.status).ok())
            .into();
        assert_eq!(statuses, [Some(201), Some(200), Some(404), None]);
    }
}

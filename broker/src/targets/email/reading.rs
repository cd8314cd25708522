//! The file of a target of this kind: read, then made ready with its secrets.

use std::sync::Arc;

use lettre::message::header::HeaderName;
use reqwest::Url;
use serde_json::Value;

use super::{
    super::{
        Target,
        connections::{Kept, Tls},
        http::{
            auth::{self, Auth, AuthRef},
            reading::tls,
        },
        spec::{Setup, Unresolved},
        wire::{self, Client},
    },
    Email,
    message::{MAX_RECIPIENTS, People, Plan, mailbox},
    session::{Place, Security, Server},
};
use crate::{
    config::{
        Problems, Secret,
        fields::{Fields, expected},
        text::Template,
    },
    hostname,
    loopback::is_loopback,
};

/// An example for messages.
const SERVER: &str = "server: smtps://smtp.example.com";
/// Set by the kind itself; others could send a mail elsewhere, or say that it is not what it is.
const RESERVED: [&str; 17] = [
    "auto-submitted",
    "bcc",
    "cc",
    "content-transfer-encoding",
    "content-type",
    "date",
    "from",
    "in-reply-to",
    "message-id",
    "mime-version",
    "received",
    "references",
    "reply-to",
    "return-path",
    "sender",
    "subject",
    "to",
];
/// The most headers of one's own, and their longest values in bytes.
const MAX_HEADERS: usize = 32;
const MAX_HEADER: usize = 1000;

#[derive(Debug)]
struct Spec {
    place: Place,
    address: String,
    insecure: bool,
    tls: Tls,
    auth: Option<AuthRef>,
    user: Template,
    plan: Arc<Plan>,
}

pub(in super::super) fn read(fields: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    let insecure = fields.flag("insecure").unwrap_or_default();
    let has_tls = fields.has("tls");
    let tls = fields.object("tls", tls).unwrap_or_default();
    let address = fields.text("server");
    let address = fields.require("server", address, SERVER);
    let hello = hello(fields);
    let place = address.as_deref().and_then(|address| {
        place(address, insecure, has_tls, hello).map_err(|error| fields.problem("server", error)).ok()
    });
    let auth = fields.object("auth", |fields| auth(fields, insecure)).flatten();
    let from = fields.text("from");
    let from = fields.require("from", from, "from: Emote <emote@example.com>");
    let from = from.and_then(|from| mailbox(&from).map_err(|error| fields.problem("from", error)).ok());
    let user = fields.template("user").or_else(|| from.as_ref().map(|from| Template::of(from.email.as_ref())));
    let (to, cc, bcc) = (people(fields, "to"), people(fields, "cc"), people(fields, "bcc"));
    let reply_to = people(fields, "reply_to");
    let threads = fields.parsed("thread", |value| match value.as_str() {
        Some("node") => Ok(true),
        Some("none") => Ok(false),
        _ => Err("expected node or none".to_owned()),
    });
    let headers = headers(fields);
    let (subject, text, html) = (fields.jq("subject"), fields.jq("text"), fields.jq("html"));
    let threads = threads.unwrap_or_default();
    let plan = Plan { from: from?, to, cc, bcc, reply_to, subject, text, html, headers, threads };
    let (place, address) = (place?, address?);
    Some(Box::new(Spec { place, address, insecure, tls, auth, user: user?, plan: Arc::new(plan) }))
}

/// A server that is not this machine is spoken to with TLS.
fn place(address: &str, insecure: bool, has_tls: bool, hello: String) -> Result<Place, String> {
    let url: Url = address.parse().map_err(|error| format!("not a URL ({error}): for example {SERVER}"))?;
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| format!("not a URL: for example {SERVER}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL must not hold credentials: use `auth`".to_owned());
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("expected a host and perhaps a port: for example {SERVER}"));
    }
    let (security, port) = match url.scheme() {
        "smtps" => (Security::Implicit, 465),
        "smtp" if has_tls || !insecure && !is_loopback(host) => (Security::StartTls, 587),
        "smtp" => (Security::Plain, 587),
        _ => {
            return Err(format!(
                "expected smtps:// (TLS from the beginning) or smtp:// (STARTTLS): for example {SERVER}"
            ));
        }
    };
    let host = host.trim_matches(['[', ']']).to_owned();
    Ok(Place { host, port: url.port().unwrap_or(port), security, hello })
}

/// What this machine calls itself: the file's word, else its own name where that is one of the DNS (RFC 5321, 4.1.4).
fn hello(fields: &mut Fields<'_>) -> String {
    let is_name = |text: &str| {
        text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.[]:".contains(&byte))
    };
    let said = fields.parsed("hello", |value| match value.as_str() {
        Some(text) if !text.is_empty() && is_name(text) => Ok(text.to_owned()),
        _ => Err("expected the name of this machine: for example emote.example.com".to_owned()),
    });
    said.unwrap_or_else(|| {
        let own = hostname::own();
        if own.contains('.') && is_name(&own) { own } else { "[127.0.0.1]".to_owned() }
    })
}

fn auth(fields: &mut Fields<'_>, insecure: bool) -> Option<AuthRef> {
    let read = auth::read(fields, insecure)?;
    match read {
        AuthRef::Fixed(wire::AuthRef::Basic { .. }) | AuthRef::OAuth2(_) | AuthRef::Signed(_) | AuthRef::Login(_) => {
            Some(read)
        }
        _ => {
            fields.problem("", "a mail server takes one of basic, login, oauth2, signed");
            None
        }
    }
}

/// A list of addresses, or a program that gives them.
fn people(fields: &mut Fields<'_>, key: &'static str) -> Option<People> {
    match fields.value(key)? {
        Value::Array(each) => {
            if each.len() > MAX_RECIPIENTS {
                fields.problem(key, format!("more than {MAX_RECIPIENTS} addresses"));
            }
            let mut people = Vec::new();
            for (at, value) in each.iter().enumerate().take(MAX_RECIPIENTS) {
                let read = value.as_str().ok_or_else(|| expected("an address", value)).and_then(mailbox);
                match read {
                    Ok(mailbox) => people.push(mailbox),
                    Err(error) => fields.problem(&format!("{key}[{at}]"), error),
                }
            }
            Some(People::Fixed(people))
        }
        Value::String(text) if mailbox(text).is_ok() => {
            fields.problem(key, format!("addresses are a list, else this is a jq program: write [{text}]"));
            None
        }
        _ => fields.jq(key).map(People::Found),
    }
}

fn headers(fields: &mut Fields<'_>) -> Vec<(HeaderName, String)> {
    let mut headers = Vec::new();
    for (name, value) in fields.entries("headers").into_iter().flatten() {
        let at = format!("headers.{name}");
        // RFC 5322, 2.2: printable ASCII without the colon.
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        let header = HeaderName::new_from_ascii(name.clone()).ok().filter(|_| is_name);
        let text = value.as_str().filter(|text| text.len() <= MAX_HEADER && !text.chars().any(char::is_control));
        match (header, text) {
            (None, _) => fields.problem(&at, "not the name of a header"),
            (Some(_), _) if RESERVED.contains(&name.to_ascii_lowercase().as_str()) => {
                fields.problem(&at, "is set by Emote: there are fields such as `from`, `to`, `reply_to` and `thread`");
            }
            (Some(_), None) => fields.problem(&at, "expected a text on one line"),
            (Some(_), Some(_)) if headers.len() == MAX_HEADERS => {
                fields.problem(&at, format!("more than {MAX_HEADERS} headers"));
            }
            (Some(header), Some(text)) => headers.push((header, text.to_owned())),
        }
    }
    headers
}

impl Unresolved for Spec {
    fn is_shown(&self) -> bool {
        true
    }

    fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Box<dyn Target>> {
        let user = problems.take("user", setup.filled(&self.user));
        let auth = self.auth.as_ref().map(|auth| auth.resolve(self.insecure, setup, problems));
        let (auth, mut secrets) = match auth {
            None => (Auth::None, Vec::new()),
            Some(auth) => auth?,
        };
        let user = user?;
        secrets.extend(user.secrets);
        let client = problems.take("", Client::for_tokens(setup, &auth, secrets))?;
        let (place, most) = (self.place.clone(), setup.delivery.concurrency);
        let server = Kept::new(setup, &self.tls, move |tls| {
            Ok(Arc::new(Server::new(place.clone(), Arc::new(tls.client_config()?), most)))
        });
        let server = problems.take("tls", server)?;
        let (address, plan) = (self.address.clone(), Arc::clone(&self.plan));
        let user = Secret::new(user.text.expose());
        Some(Box::new(Email { client, server, address, auth, user, plan }))
    }
}

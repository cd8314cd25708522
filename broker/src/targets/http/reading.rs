//! The file of a target of this kind: read, then made ready with its secrets.

use std::sync::Arc;

use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use super::{
    super::{
        Target, address,
        spec::{Setup, Unresolved},
        wire::{self, Auth, AuthRef, Client},
    },
    Http,
    body::Body,
};
use crate::config::{
    Problems,
    fields::{Fields, kind},
    text::Template,
};

const METHODS: [Method; 5] = [Method::DELETE, Method::GET, Method::PATCH, Method::POST, Method::PUT];
/// Set by the kind itself or by HTTP.
const RESERVED_HEADERS: [&str; 6] =
    ["idempotency-key", "content-type", "content-length", "transfer-encoding", "host", "connection"];
/// Their value is a secret in itself.
const SECRET_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

#[derive(Debug)]
struct Spec {
    url: Template,
    insecure: bool,
    method: Method,
    headers: Vec<(HeaderName, Template)>,
    auth: Option<AuthRef>,
    body: Arc<Body>,
}

pub(in crate::targets) fn read(fields: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    let insecure = fields.flag("insecure").unwrap_or_default();
    let url = address::read(fields, "url", insecure, "url: https://hooks.example.com/emote");
    let method = match fields.text("method") {
        None => Method::POST,
        Some(text) => METHODS.into_iter().find(|method| method.as_str() == text).unwrap_or_else(|| {
            fields.problem("method", "expected one of DELETE, GET, PATCH, POST, PUT");
            Method::POST
        }),
    };
    let headers = headers(fields);
    let auth = fields.object("auth", auth).flatten();
    let program = fields.jq("body");
    let content_type = fields.text("content_type").unwrap_or_else(|| "application/json".to_owned());
    let content_type =
        HeaderValue::from_str(&content_type).map_err(|_| fields.problem("content_type", "not a media type"));
    let body = Arc::new(Body { program, content_type: content_type.ok()? });
    Some(Box::new(Spec { url: url?, insecure, method, headers, auth, body }))
}

fn headers(fields: &mut Fields<'_>) -> Vec<(HeaderName, Template)> {
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

fn auth(fields: &mut Fields<'_>) -> Option<AuthRef> {
    if fields.has("bearer") == fields.has("basic") {
        fields.problem("", "expected one of basic, bearer");
        return None;
    }
    if fields.has("bearer") {
        return fields.secret("bearer").map(AuthRef::Bearer);
    }
    fields.object("basic", |fields| {
        let user = fields.template("user");
        let user = fields.require("user", user, "user: emote");
        let password = fields.secret("password");
        user.map(|user| AuthRef::Basic { user, password })
    })?
}

impl Unresolved for Spec {
    fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Box<dyn Target>> {
        let address = address::resolve(&self.url, "url", self.insecure, setup, problems);
        let auth = self.auth.as_ref().map(|auth| auth.resolve(setup, problems));
        let mut secrets = Vec::new();
        let mut headers = HeaderMap::new();
        for (name, template) in &self.headers {
            let at = format!("headers.{name}");
            let Some(filled) = problems.take(&at, template.fill(setup.folder)) else { continue };
            secrets.extend(filled.secrets);
            if let Some(value) = problems.take(&at, wire::header_value(&filled.text)) {
                headers.insert(name.clone(), value);
            }
        }
        let (url, of_url) = address?;
        let auth = match auth {
            None => None,
            Some(auth) => Some(auth?),
        };
        secrets.extend(of_url);
        secrets.extend(auth.iter().flat_map(Auth::secrets));
        let client = problems.take("", Client::new(setup, &url, secrets))?;
        let (method, body) = (self.method.clone(), Arc::clone(&self.body));
        Some(Box::new(Http { client, url, method, headers, auth, body }))
    }
}

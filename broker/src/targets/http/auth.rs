//! How requests say who sends them: `auth` of a target file.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use reqwest::{
    RequestBuilder,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use super::{
    super::{
        Outcome, Role, address,
        spec::Setup,
        wire::{self, Answer, Client, header_value},
    },
    duo::{self, Duo},
    reading::headers,
    signed,
    token::{Asking, Reading, Source},
};
use crate::config::{
    Problems, Secret, SecretRef,
    fields::{Fields, expected},
    text::Template,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The most texts of a login or parameters of OAuth.
const MAX_TEXTS: usize = 32;

/// As it is written; the secrets still references.
#[derive(Debug)]
pub(crate) enum AuthRef {
    Fixed(wire::AuthRef),
    Header { name: HeaderName, value: Template },
    Duo(duo::Spec),
    Signed(Box<signed::Spec>),
    OAuth2(Box<OAuth2>),
    Login(Box<Login>),
}

#[derive(Debug)]
pub(crate) struct OAuth2 {
    url: Template,
    id: Template,
    secret: SecretRef,
    params: Vec<(String, Template)>,
    in_header: bool,
}

#[derive(Debug)]
pub(crate) struct Login {
    url: Template,
    basic: Option<wire::AuthRef>,
    headers: Vec<(HeaderName, Template)>,
    body: Vec<(String, Template)>,
    reading: Arc<Reading>,
}

/// Ready to be used.
pub(crate) enum Auth {
    None,
    Fixed(wire::Auth),
    Header(HeaderName, HeaderValue),
    Duo(Duo),
    Token(Box<Source>),
}

impl Auth {
    /// The request with what is the same in each.
    pub(crate) fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::None | Self::Token(_) => request,
            Self::Fixed(auth) => auth.apply(request),
            Self::Header(name, value) => request.header(name.clone(), value.clone()),
            Self::Duo(duo) => duo.sign(request, Timestamp::now()),
        }
    }

    /// Sends `request` with what says who sends it. Says too which secrets it held beside the client's own. A token that
    /// is refused is asked for anew, once.
    pub(crate) async fn send(
        &self,
        client: &Client,
        role: Role,
        request: RequestBuilder,
        also: &[Secret],
    ) -> Result<(Answer, Vec<Secret>), Outcome> {
        let mut secrets = also.to_vec();
        let Self::Token(source) = self else {
            let answer = client.send_for(role, self.apply(request), also).await?;
            return Ok((answer, secrets));
        };
        let again = request.try_clone();
        let token = source.token(client).await?;
        secrets.push(token.clone());
        let answer = client.send_for(role, request.bearer_auth(token.expose()), &secrets).await?;
        let Some(request) = again.filter(|_| answer.status == 401) else { return Ok((answer, secrets)) };
        source.forget(&token).await;
        let token = source.token(client).await?;
        secrets.push(token.clone());
        let answer = client.send_for(role, request.bearer_auth(token.expose()), &secrets).await?;
        Ok((answer, secrets))
    }
}

pub(crate) fn read(fields: &mut Fields<'_>, insecure: bool) -> Option<AuthRef> {
    let ways = ["basic", "bearer", "duo", "header", "login", "oauth2", "signed"];
    let given: Vec<&str> = ways.into_iter().filter(|way| fields.has(way)).collect();
    if given.len() != 1 {
        fields.problem("", format!("expected one of {}", ways.join(", ")));
        return None;
    }
    match given[0] {
        "bearer" => fields.secret("bearer").map(wire::AuthRef::Bearer).map(AuthRef::Fixed),
        "basic" => fields.object("basic", basic).flatten().map(AuthRef::Fixed),
        "header" => fields.object("header", header).flatten(),
        "duo" => fields.object("duo", duo::read).flatten().map(AuthRef::Duo),
        "signed" => {
            let spec = fields.object("signed", |fields| signed::read(fields, insecure)).flatten();
            spec.map(|spec| AuthRef::Signed(Box::new(spec)))
        }
        "oauth2" => fields.object("oauth2", |fields| oauth2(fields, insecure)).flatten(),
        _ => fields.object("login", |fields| login(fields, insecure)).flatten(),
    }
}

fn basic(fields: &mut Fields<'_>) -> Option<wire::AuthRef> {
    let user = fields.template("user");
    let user = fields.require("user", user, "user: emote");
    let password = fields.secret("password");
    user.map(|user| wire::AuthRef::Basic { user, password })
}

fn header(fields: &mut Fields<'_>) -> Option<AuthRef> {
    let name = fields.text("name");
    let name = fields.require("name", name, "name: X-Api-Key")?;
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| fields.problem("name", "not the name of a header"));
    let value = fields.template("value");
    let value = fields.require("value", value, "value: ${env:API_KEY}")?;
    if value.plain().is_some() {
        fields.problem("value", "is a secret, given by reference: ${env:NAME} or ${file:PATH}");
    }
    Some(AuthRef::Header { name: name.ok()?, value })
}

fn oauth2(fields: &mut Fields<'_>, insecure: bool) -> Option<AuthRef> {
    let url = address::read(fields, "token_url", insecure, "token_url: https://login.example.com/oauth2/token");
    let id = fields.template("client_id");
    let id = fields.require("client_id", id, "client_id: ${env:CLIENT_ID}");
    let secret = fields.secret("client_secret");
    let secret = fields.require("client_secret", secret, "client_secret: ${env:CLIENT_SECRET}");
    let mut params = Vec::new();
    for key in ["scope", "audience"] {
        params.extend(fields.template(key).map(|value| (key.to_owned(), value)));
    }
    params.extend(texts(fields, "params"));
    let in_header = fields.words("in", &["basic", "body"]).is_some_and(|word| word == "basic");
    Some(AuthRef::OAuth2(Box::new(OAuth2 { url: url?, id: id?, secret: secret?, params, in_header })))
}

fn login(fields: &mut Fields<'_>, insecure: bool) -> Option<AuthRef> {
    let url = address::read(fields, "url", insecure, "url: https://mdm.example.com/api/login");
    let basic = fields.object("basic", basic).flatten();
    let headers = headers(fields);
    let body = texts(fields, "body");
    let token = fields.jq("token");
    let token = fields.require("token", token, "token: .body.token");
    let expires = fields.jq("expires");
    let life = fields.duration("lifetime", MINUTE..=DAY);
    let reading = Arc::new(Reading { token: token?, expires, life });
    Some(AuthRef::Login(Box::new(Login { url: url?, basic, headers, body, reading })))
}

/// An object of texts with secrets in them or without.
pub(crate) fn texts(fields: &mut Fields<'_>, key: &'static str) -> Vec<(String, Template)> {
    let mut texts = Vec::new();
    for (name, value) in fields.entries(key).into_iter().flatten() {
        let at = format!("{key}.{name}");
        match value.as_str().map(Template::parse) {
            None => fields.problem(&at, expected("a text", value)),
            Some(Err(error)) => fields.problem(&at, error),
            Some(Ok(_)) if texts.len() == MAX_TEXTS => fields.problem(&at, format!("more than {MAX_TEXTS} texts")),
            Some(Ok(template)) => texts.push((name.clone(), template)),
        }
    }
    texts
}

impl AuthRef {
    /// With its secrets, which are to be hidden wherever they show up.
    pub(crate) fn resolve(
        &self,
        insecure: bool,
        setup: &Setup<'_>,
        problems: &mut Problems,
    ) -> Option<(Auth, Vec<Secret>)> {
        match self {
            Self::Fixed(auth) => {
                let auth = auth.resolve("auth", setup, problems)?;
                let secrets = auth.secrets();
                Some((Auth::Fixed(auth), secrets))
            }
            Self::Header { name, value } => {
                let filled = problems.take("auth.header.value", setup.filled(value))?;
                let header = problems.take("auth.header.value", header_value(&filled.text))?;
                Some((Auth::Header(name.clone(), header), filled.secrets))
            }
            Self::Duo(duo) => duo.resolve(setup, problems),
            Self::Signed(signed) => signed.resolve(insecure, setup, problems),
            Self::OAuth2(oauth2) => oauth2.resolve(insecure, setup, problems),
            Self::Login(login) => login.resolve(insecure, setup, problems),
        }
    }
}

impl OAuth2 {
    fn resolve(&self, insecure: bool, setup: &Setup<'_>, problems: &mut Problems) -> Option<(Auth, Vec<Secret>)> {
        let at = |key: &str| format!("auth.oauth2.{key}");
        let url = address::resolve(&self.url, &at("token_url"), insecure, setup, problems);
        let id = problems.take(&at("client_id"), setup.filled(&self.id));
        let secret = problems.take(&at("client_secret"), setup.secret(&self.secret));
        let params = filled(&self.params, &at("params"), setup, problems);
        let ((url, mut secrets), id, secret, (params, of_params)) = (url?, id?, secret?, params?);
        let mut form = vec![("grant_type".to_owned(), Secret::new("client_credentials"))];
        let basic = self.in_header.then(|| wire::Auth::Basic {
            user: id.text.clone(),
            password: secret.clone(),
            user_is_secret: !id.secrets.is_empty(),
        });
        if basic.is_none() {
            form.extend([("client_id".to_owned(), id.text), ("client_secret".to_owned(), secret.clone())]);
        }
        form.extend(params);
        secrets.extend(id.secrets.into_iter().chain(of_params).chain([secret]));
        secrets.extend(basic.iter().flat_map(wire::Auth::secrets));
        let source = Source { url, asking: Asking::OAuth2 { form, basic }, held: tokio::sync::Mutex::default() };
        Some((Auth::Token(Box::new(source)), secrets))
    }
}

impl Login {
    fn resolve(&self, insecure: bool, setup: &Setup<'_>, problems: &mut Problems) -> Option<(Auth, Vec<Secret>)> {
        let url = address::resolve(&self.url, "auth.login.url", insecure, setup, problems);
        let basic = self.basic.as_ref().map(|basic| basic.resolve("auth.login", setup, problems));
        let body = filled(&self.body, "auth.login.body", setup, problems);
        let mut secrets = Vec::new();
        let headers: HeaderMap = header_map(&self.headers, "auth.login.headers", setup, &mut secrets, problems);
        let ((url, of_url), (body, of_body)) = (url?, body?);
        let basic = match basic {
            None => None,
            Some(basic) => Some(basic?),
        };
        secrets.extend(of_url.into_iter().chain(of_body));
        secrets.extend(basic.iter().flat_map(wire::Auth::secrets));
        let asking = Asking::Login { body, basic, headers, token: Arc::clone(&self.reading) };
        let source = Source { url, asking, held: tokio::sync::Mutex::default() };
        Some((Auth::Token(Box::new(source)), secrets))
    }
}

type Filled = (Vec<(String, Secret)>, Vec<Secret>);

/// Texts with their secrets in them, and the secrets.
pub(crate) fn filled(
    texts: &[(String, Template)],
    at: &str,
    setup: &Setup<'_>,
    problems: &mut Problems,
) -> Option<Filled> {
    let (mut whole, mut secrets) = (Vec::new(), Vec::new());
    for (key, template) in texts {
        if let Some(filled) = problems.take(&format!("{at}.{key}"), setup.filled(template)) {
            whole.push((key.clone(), filled.text));
            secrets.extend(filled.secrets);
        }
    }
    (whole.len() == texts.len()).then_some((whole, secrets))
}

/// Headers with their secrets in them; the secrets go to `secrets`.
pub(crate) fn header_map(
    headers: &[(HeaderName, Template)],
    at: &str,
    setup: &Setup<'_>,
    secrets: &mut Vec<Secret>,
    problems: &mut Problems,
) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, template) in headers {
        let at = format!("{at}.{name}");
        let Some(filled) = problems.take(&at, setup.filled(template)) else { continue };
        secrets.extend(filled.secrets);
        if let Some(value) = problems.take(&at, header_value(&filled.text)) {
            map.insert(name.clone(), value);
        }
    }
    map
}

//! HTTP out: a client for a target, and what an answer means for a job.
//!
//! Nothing that leaves this module holds a secret: errors carry no URL, and what the other side writes is cleaned of
//! every secret that was sent to it.

use std::sync::Arc;

use emote_proto::EventId;
use jiff::Timestamp;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Url};
use serde_json::Value;
use zeroize::Zeroizing;

use super::connections::Connections;
pub(crate) use super::connections::Tls;
use super::hidden::Hidden;
use super::reply::retry_after;
pub(crate) use super::reply::{Answer, quote};
use super::spec::Setup;
use super::{Outcome, Role, Script, Shown, Told, http, pin_for};
use crate::config::{Problems, Secret, SecretRef};
use crate::core::JobId;
use crate::loopback::is_loopback;

/// Shorter, and who sees one PIN could find the key by trying.
pub(crate) const MIN_PIN_KEY: usize = 16;
/// How much of a reply is read, in bytes.
const MAX_REPLY: usize = 64 * 1024;
/// How much of a reply is read where something is looked up in it, in bytes.
const MAX_FOUND: usize = 1024 * 1024;
/// How much of a page is read that a source fetches, in bytes.
const MAX_PAGE: usize = 16 * 1024 * 1024;
/// The media type of protobuf, as Prometheus and OpenTelemetry name it.
pub(crate) const PROTOBUF: &str = "application/x-protobuf";

/// A target's connections, and the secrets that its requests hold.
pub(crate) struct Client {
    connections: Connections,
    script: Option<Arc<Script>>,
    hidden: Hidden,
}

/// A reply as it came.
struct Raw {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    is_cut: bool,
}

/// How a request says who sends it; the secrets still references.
#[derive(Debug)]
pub(crate) enum AuthRef {
    Bearer(SecretRef),
    Basic { user: crate::config::text::Template, password: Option<SecretRef> },
}

/// How a request says who sends it.
pub(crate) enum Auth {
    Bearer(Secret),
    Basic { user: Secret, password: Secret, user_is_secret: bool },
}

impl Client {
    /// A client for `url`, whose requests hold `secrets`. No connection is made yet.
    pub(crate) fn new(setup: &Setup<'_>, url: &Url, secrets: Vec<Secret>) -> Result<Self, String> {
        Self::with_tls(setup, url, secrets, &Tls::default())
    }

    /// The same, with certificates of one's own.
    pub(crate) fn with_tls(setup: &Setup<'_>, url: &Url, secrets: Vec<Secret>, tls: &Tls) -> Result<Self, String> {
        let connections = Connections::new(setup, url, tls)?;
        Ok(Self { connections, script: setup.script.cloned(), hidden: secrets.into_iter().collect() })
    }

    /// A client of a kind that does not speak HTTP: it asks for the tokens of `auth`, where that needs any, and knows the
    /// secrets.
    pub(crate) fn for_tokens(setup: &Setup<'_>, auth: &http::auth::Auth, secrets: Vec<Secret>) -> Result<Self, String> {
        // What asks for no token is asked nothing by this address.
        let url = match auth {
            http::auth::Auth::Token(source) => source.url.clone(),
            _ => endpoint("https://localhost", false)?,
        };
        Self::new(setup, &url, secrets)
    }

    /// From now on `secret` is taken out of what the other side writes.
    pub(crate) fn hide(&mut self, secret: Secret) {
        self.hidden.hide(secret);
    }

    pub(crate) fn request(&self, method: reqwest::Method, url: Url) -> RequestBuilder {
        self.connections.current().request(method, url)
    }

    /// Sends a request that does what a job asks, and reads the reply, whatever its status. `also` are more secrets, of
    /// this request alone.
    pub(crate) async fn send(&self, request: RequestBuilder, also: &[Secret]) -> Result<Answer, Outcome> {
        self.send_for(Role::Job, request, also).await
    }

    /// The same for a request that is for something else.
    pub(crate) async fn send_for(
        &self,
        role: Role,
        request: RequestBuilder,
        also: &[Secret],
    ) -> Result<Answer, Outcome> {
        let raw = self.exchange(role, request, also).await?;
        // What stands there several times is one list (RFC 9110, 5.3).
        let named = raw.headers.keys().map(|name| {
            let values = raw.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
            let value = self.clean(&values.collect::<Vec<_>>().join(", "), also);
            (name.to_string(), Value::from(value))
        });
        let is_protobuf = raw.headers.get(CONTENT_TYPE).is_some_and(|media| media == PROTOBUF);
        Ok(Answer {
            status: raw.status,
            retry_after: retry_after(&raw.headers, Timestamp::now()),
            headers: named.collect(),
            protobuf: is_protobuf.then(|| raw.body.clone()),
            body: self.clean(&String::from_utf8_lossy(&raw.body), also),
            is_cut: raw.is_cut,
        })
    }

    /// Sends a request whose reply has a secret in it: `read` is given status, headers and body as they came, and what it
    /// takes of them stays among its own. A status that is none of success is the same as anywhere.
    pub(crate) async fn fetch<T>(
        &self,
        request: RequestBuilder,
        read: impl FnOnce(&HeaderMap, &str) -> T,
    ) -> Result<T, Outcome> {
        let raw = self.exchange(Role::Token, request, &[]).await?;
        let body = Zeroizing::new(String::from_utf8_lossy(&raw.body).into_owned());
        let cleaned = Answer {
            status: raw.status,
            retry_after: retry_after(&raw.headers, Timestamp::now()),
            body: self.clean(&body, &[]),
            ..Answer::default()
        };
        cleaned.success()?;
        Ok(read(&raw.headers, &body))
    }

    async fn exchange(&self, role: Role, request: RequestBuilder, also: &[Secret]) -> Result<Raw, Outcome> {
        let failed = |error: reqwest::Error| {
            let builder = error.is_builder();
            let reason = self.clean(&chain(error), also);
            if builder { Outcome::never(reason) } else { Outcome::retry(reason) }
        };
        let request = request.build().map_err(failed)?;
        if let Some(script) = self.stand_in() {
            let Told { status, headers, body } = script.answer(role, &request).map_err(Outcome::never)?;
            return Ok(Raw { status, headers, body: body.into_bytes(), is_cut: false });
        }
        if let Some(script) = &self.script {
            script.note(role, &request, |text| self.clean(text, also));
        }
        let mut response = self.connections.current().execute(request).await.map_err(failed)?;
        let most = match role {
            Role::Page => MAX_PAGE,
            Role::Lookup => MAX_FOUND,
            Role::Token | Role::Job => MAX_REPLY,
        };
        let (mut body, mut is_cut) = (Vec::new(), false);
        // The status has been said: a reply that breaks off after it does not undo what was done.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() > most {
                body.truncate(most);
                is_cut = true;
                break;
            }
        }
        let status = response.status().as_u16();
        let shown = if role == Role::Token { "…".into() } else { String::from_utf8_lossy(&body) };
        self.note_answer(status, &shown, also);
        Ok(Raw { status, headers: response.headers().clone(), body, is_cut })
    }

    /// The script that is there in place of the network, if one is.
    pub(crate) fn stand_in(&self) -> Option<&Arc<Script>> {
        self.script.as_ref().filter(|script| script.stands_in())
    }

    /// Shows what is no HTTP request. Gives the answer where a script stands in for whoever would give one.
    pub(crate) fn show(&self, shown: Shown) -> Option<Result<Told, Outcome>> {
        if let Some(script) = self.stand_in() {
            return Some(script.answer_shown(shown).map_err(Outcome::never));
        }
        if let Some(script) = &self.script {
            script.note_shown(shown, |text| self.clean(text, &[]));
        }
        None
    }

    /// Notes the answer to what was shown last, if anybody looks.
    pub(crate) fn note_answer(&self, status: u16, text: &str, also: &[Secret]) {
        if let Some(script) = &self.script {
            script.note_answer(status, &self.clean(text, also));
        }
    }

    /// The PIN of a command (see [`pin_for`]); in a script what stands for it.
    pub(crate) fn pin(&self, key: &Secret, command_uuid: &str) -> Secret {
        match self.stand_in() {
            Some(script) => script.stand_in("<PIN>".to_owned()),
            None => pin_for(key, command_uuid),
        }
    }

    /// `text` without secrets.
    pub(crate) fn clean(&self, text: &str, also: &[Secret]) -> String {
        self.hidden.clean(text, also)
    }

    /// `value` without secrets in any of its texts and keys.
    pub(crate) fn clean_value(&self, value: Value, also: &[Secret]) -> Value {
        self.hidden.clean_value(value, also)
    }

    /// `outcome` without secrets.
    pub(crate) fn clean_outcome(&self, outcome: Outcome, also: &[Secret]) -> Outcome {
        self.hidden.clean_outcome(outcome, also)
    }
}

impl Auth {
    pub(crate) fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Bearer(token) => request.bearer_auth(token.expose()),
            Self::Basic { user, password, .. } => request.basic_auth(user.expose(), Some(password.expose())),
        }
    }

    /// What must not be shown: the secrets, and the form in which they are sent.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::Bearer(token) => vec![token.clone()],
            Self::Basic { user, password, user_is_secret } => {
                let pair = Zeroizing::new(format!("{}:{}", user.expose(), password.expose()));
                let sent = Secret::new(data_encoding::BASE64.encode(pair.as_bytes()));
                [password.clone(), sent].into_iter().chain(user_is_secret.then(|| user.clone())).collect()
            }
        }
    }
}

impl AuthRef {
    /// With its secrets; `at` is where it stands.
    pub(crate) fn resolve(&self, at: &str, setup: &Setup<'_>, problems: &mut Problems) -> Option<Auth> {
        match self {
            Self::Bearer(token) => bearer(token, &format!("{at}.bearer"), setup, problems),
            Self::Basic { user, password } => {
                let user = problems.take(&format!("{at}.basic.user"), setup.filled(user));
                let password = match password {
                    None => Some(Secret::new("")),
                    Some(password) => problems.take(&format!("{at}.basic.password"), setup.secret(password)),
                };
                let user = user?;
                let user_is_secret = !user.secrets.is_empty();
                Some(Auth::Basic { user: user.text, password: password?, user_is_secret })
            }
        }
    }
}

/// The token that the field `key` refers to.
pub(crate) fn bearer(token: &SecretRef, key: &str, setup: &Setup<'_>, problems: &mut Problems) -> Option<Auth> {
    let token = problems.take(key, setup.secret(token))?;
    problems.take(key, header_value(&token))?;
    Some(Auth::Bearer(token))
}

/// A header's value; marked as sensitive, so that nothing logs it.
pub(crate) fn header_value(value: &Secret) -> Result<HeaderValue, &'static str> {
    let mut header = HeaderValue::from_str(value.expose())
        .map_err(|_| "cannot be sent in a header: only visible ASCII characters can")?;
    header.set_sensitive(true);
    Ok(header)
}

/// The `Idempotency-Key` of a job: its id, percent-encoded where a header cannot hold it.
pub(crate) fn idempotency_key(id: &JobId) -> String {
    utf8_percent_encode(id.as_str(), CONTROLS).to_string()
}

/// The `Idempotency-Key` of a request for several jobs: the same jobs in the same order give the same key.
pub(crate) fn batch_key(ids: &[&str]) -> String {
    let parts: Vec<&str> = std::iter::once("batch").chain(ids.iter().copied()).collect();
    format!("batch/{}", EventId::derived(&parts))
}

/// Checks an address: https, or http where nobody else can listen or it was said that this is fine.
/// The address itself may be a secret and is not repeated.
pub(crate) fn endpoint(text: &str, insecure: bool) -> Result<Url, String> {
    let url: Url =
        text.parse().map_err(|error| format!("not a URL ({error}): for example https://hooks.example.com/emote"))?;
    if !url.has_host() || !matches!(url.scheme(), "https" | "http") {
        return Err("not an https:// URL".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL must not hold credentials: use `auth` or a header".to_owned());
    }
    if url.scheme() == "http" && !insecure && !url.host_str().is_some_and(is_loopback) {
        return Err(
            "plain http would show the request to everyone on the way: use https, or say `insecure: true`".to_owned()
        );
    }
    Ok(url)
}

/// `base` with `segments` after its path, each percent-encoded.
pub(crate) fn join(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// An error and all that led to it, with the host that it is about and without the rest of the URL.
pub(crate) fn chain(error: reqwest::Error) -> String {
    let host = error.url().and_then(place).map(|place| format!(" to {place}")).unwrap_or_default();
    let error = error.without_url();
    let mut text = match error.is_timeout() {
        true => format!("no reply in time to what was sent{host}"),
        false if error.is_request() => format!("{error}{host}"),
        false => error.to_string(),
    };
    let mut source = std::error::Error::source(&error);
    while let Some(error) = source {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = error.source();
    }
    text
}

/// The host and port of a URL.
fn place(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for url in [
            "https://example.com",
            "http://127.0.0.1:9000/x",
            "http://127.9.9.9",
            "http://[::1]:1",
            "http://localhost:1",
        ] {
            assert!(endpoint(url, false).is_ok(), "{url}");
        }
        for url in [
            "http://example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "ftp://example.com",
            "file:///etc",
            "x",
            "",
        ] {
            assert!(endpoint(url, false).is_err(), "{url}");
        }
        assert!(endpoint("http://10.0.0.1", true).is_ok());
        let error = endpoint("https://me:hunter2@example.com", true).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn an_idempotency_key_is_a_header_whatever_the_node_is_called() {
        let name = |text: &str| emote_proto::Name::new(text).unwrap();
        let key = |node| idempotency_key(&JobId::new(EventId::derived(&[]), &name("r"), &name("t"), node));
        assert!(key(None).ends_with("/r/t"));
        assert!(key(Some("ada@example.com")).ends_with("/r/t/ada@example.com"));
        assert!(key(Some("ädä\n")).ends_with("/r/t/%C3%A4d%C3%A4%0A"));
    }

    #[test]
    fn path_segments_cannot_leave_their_place() {
        let base: Url = "https://mdm.example.com/api/".parse().unwrap();
        let joined = |segment: &str| join(&base, &["v1", segment]).to_string();
        assert_eq!(joined("A B"), "https://mdm.example.com/api/v1/A%20B");
        assert_eq!(joined("a/b?c#d"), "https://mdm.example.com/api/v1/a%2Fb%3Fc%23d");
    }
}

//! HTTP out: a client for a target, and what an answer means for a job.
//!
//! Nothing that leaves this module holds a secret: errors carry no URL, and what the other side writes is cleaned of
//! every secret that was sent to it.

use std::time::Duration;

use emote_proto::EventId;
use jiff::Timestamp;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Url};

use super::Outcome;
use super::spec::Setup;
use crate::config::text::clip;
use crate::config::{Problems, Secret, SecretRef};
use crate::core::JobId;
use crate::loopback::is_loopback;

/// The longest wait that the other side may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// How much of a reply is read, in bytes.
const MAX_REPLY: usize = 64 * 1024;
/// How much of a reply is quoted, in characters.
const MAX_QUOTE: usize = 200;
/// A shorter text is no secret worth hiding, and hiding it would garble every reason.
const MIN_SECRET: usize = 4;

/// A target's connections, and the secrets that its requests hold.
pub(super) struct Client {
    http: reqwest::Client,
    secrets: Vec<Secret>,
}

/// A reply, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: String,
}

/// How a request says who sends it; the secrets still references.
#[derive(Debug)]
pub(super) enum AuthRef {
    Bearer(SecretRef),
    Basic { user: crate::config::text::Template, password: Option<SecretRef> },
}

/// How a request says who sends it.
pub(super) enum Auth {
    Bearer(Secret),
    Basic { user: Secret, password: Secret },
}

impl Client {
    /// A client for `url`, whose requests hold `secrets`. No connection is made yet.
    pub(super) fn new(setup: &Setup<'_>, url: &Url, secrets: Vec<Secret>) -> Result<Self, String> {
        install_crypto();
        let timeout = setup.delivery.timeout;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("emote/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(timeout)
            .connect_timeout(timeout.min(Duration::from_secs(5)))
            .pool_max_idle_per_host(setup.delivery.concurrency);
        if url.host_str().is_some_and(is_loopback) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| format!("no HTTP client can be made: {}", chain(error)))?;
        let mut client = Self { http, secrets: Vec::new() };
        secrets.into_iter().for_each(|secret| client.hide(secret));
        Ok(client)
    }

    /// From now on `secret` is taken out of what the other side writes.
    pub(super) fn hide(&mut self, secret: Secret) {
        if secret.expose().len() >= MIN_SECRET && !self.secrets.contains(&secret) {
            self.secrets.push(secret);
            // A secret that holds another one goes first, else the rest of it would stay.
            self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        }
    }

    pub(super) fn request(&self, method: reqwest::Method, url: Url) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends a request and reads the reply, whatever its status. `also` is one more secret, of this request alone.
    pub(super) async fn send(&self, request: RequestBuilder, also: Option<&Secret>) -> Result<Answer, Outcome> {
        let failed = |error: reqwest::Error| {
            let builder = error.is_builder();
            let reason = self.clean(&chain(error.without_url()), also);
            if builder { Outcome::never(reason) } else { Outcome::retry(reason) }
        };
        let mut response = request.send().await.map_err(failed)?;
        let retry_after = retry_after(response.headers(), Timestamp::now());
        let mut body = Vec::new();
        // The status has been said: a reply that breaks off after it does not undo what was done.
        while let Ok(Some(chunk)) = response.chunk().await {
            body.extend_from_slice(&chunk);
            if body.len() >= MAX_REPLY {
                body.truncate(MAX_REPLY);
                break;
            }
        }
        let body = self.clean(&String::from_utf8_lossy(&body), also);
        Ok(Answer { status: response.status().as_u16(), retry_after, body })
    }

    fn clean(&self, text: &str, also: Option<&Secret>) -> String {
        also.into_iter().chain(&self.secrets).fold(text.to_owned(), |text, secret| text.replace(secret.expose(), "…"))
    }
}

impl Answer {
    /// The answer where its status is one of success, else what it means for the job.
    pub(super) fn success(self) -> Result<Self, Outcome> {
        match self.status {
            200..=299 => Ok(self),
            300..=399 => Err(Outcome::never(format!(
                "{}: redirects are not followed; give the address that it leads to",
                self.describe()
            ))),
            408 | 425 | 429 | 500.. => Err(self.retry(self.describe())),
            _ => Err(Outcome::never(self.describe())),
        }
    }

    /// Not now; after the time that the other side named.
    pub(super) fn retry(&self, reason: String) -> Outcome {
        Outcome::Retry { after: self.retry_after, reason }
    }

    /// Status and the start of the reply, for a reason.
    pub(super) fn describe(&self) -> String {
        let name = reqwest::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let name = name.map(|name| format!(" {name}")).unwrap_or_default();
        let quote = quote(&self.body);
        if quote.is_empty() {
            format!("answered {}{name}", self.status)
        } else {
            format!("answered {}{name}: {quote}", self.status)
        }
    }
}

/// The start of what the other side wrote, on one line.
pub(super) fn quote(text: &str) -> String {
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clip(&printable.split_whitespace().collect::<Vec<_>>().join(" "), MAX_QUOTE)
}

impl Auth {
    pub(super) fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Bearer(token) => request.bearer_auth(token.expose()),
            Self::Basic { user, password } => request.basic_auth(user.expose(), Some(password.expose())),
        }
    }

    /// What must not be shown: the secrets, and the form in which they are sent.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::Bearer(token) => vec![token.clone()],
            Self::Basic { user, password } => {
                let pair = zeroize::Zeroizing::new(format!("{}:{}", user.expose(), password.expose()));
                vec![password.clone(), Secret::new(data_encoding::BASE64.encode(pair.as_bytes()))]
            }
        }
    }
}

impl AuthRef {
    pub(super) fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Auth> {
        match self {
            Self::Bearer(token) => bearer(token, "auth.bearer", setup, problems),
            Self::Basic { user, password } => {
                let user = problems.take("auth.basic.user", user.fill(setup.folder));
                let password = match password {
                    None => Some(Secret::new("")),
                    Some(password) => problems.take("auth.basic.password", password.resolve(setup.folder)),
                };
                Some(Auth::Basic { user: user?.text, password: password? })
            }
        }
    }
}

/// The token that the field `key` refers to.
pub(super) fn bearer(token: &SecretRef, key: &str, setup: &Setup<'_>, problems: &mut Problems) -> Option<Auth> {
    let token = problems.take(key, token.resolve(setup.folder))?;
    problems.take(key, header_value(&token))?;
    Some(Auth::Bearer(token))
}

/// A header's value; marked as sensitive, so that nothing logs it.
pub(super) fn header_value(value: &Secret) -> Result<HeaderValue, &'static str> {
    let mut header = HeaderValue::from_str(value.expose())
        .map_err(|_| "cannot be sent in a header: only visible ASCII characters can")?;
    header.set_sensitive(true);
    Ok(header)
}

/// The `Idempotency-Key` of a job: its id, percent-encoded where a header cannot hold it.
pub(super) fn idempotency_key(id: &JobId) -> String {
    utf8_percent_encode(id.as_str(), CONTROLS).to_string()
}

/// The `Idempotency-Key` of a request for several jobs: the same jobs in the same order give the same key.
pub(super) fn batch_key(ids: &[&str]) -> String {
    let parts: Vec<&str> = std::iter::once("batch").chain(ids.iter().copied()).collect();
    format!("batch/{}", EventId::derived(&parts))
}

/// Checks an address: https, or http where nobody else can listen or it was said that this is fine.
/// The address itself may be a secret and is not repeated.
pub(super) fn endpoint(text: &str, insecure: bool) -> Result<Url, String> {
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
pub(super) fn join(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// What `Retry-After` asks for, in seconds or as a date (RFC 9110, 10.2.3); at most an hour.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            Duration::try_from(at.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// An error and all that led to it, without the URL.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = if error.is_timeout() { "no reply in time".to_owned() } else { error.to_string() };
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

/// TLS by ring; whoever comes first installs it for the process.
fn install_crypto() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, retry_after: None, body: body.to_owned() }
    }

    #[test]
    fn the_status_decides() {
        for (status, expected) in [
            (200, "done"),
            (204, "done"),
            (301, "never"),
            (400, "never"),
            (401, "never"),
            (403, "never"),
            (404, "never"),
            (408, "retry"),
            (409, "never"),
            (410, "never"),
            (413, "never"),
            (422, "never"),
            (425, "retry"),
            (429, "retry"),
            (500, "retry"),
            (502, "retry"),
            (503, "retry"),
            (504, "retry"),
        ] {
            let found = match answer(status, "").success() {
                Ok(_) => "done",
                Err(Outcome::Retry { .. }) => "retry",
                Err(_) => "never",
            };
            assert_eq!(found, expected, "{status}");
        }
    }

    #[test]
    fn a_reason_quotes_the_start_of_the_reply_on_one_line() {
        assert_eq!(answer(404, "").describe(), "answered 404 Not Found");
        assert_eq!(answer(404, " no\r\n\x1b[31m such ").describe(), "answered 404 Not Found: no [31m such");
        let long = answer(400, &"x".repeat(1000)).describe();
        assert_eq!(long.chars().count(), "answered 400 Bad Request: ".len() + MAX_QUOTE);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let now: Timestamp = "2026-11-23T06:41:00Z".parse().unwrap();
        for (text, expected) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("86400", Some(3600)),
            ("Mon, 23 Nov 2026 06:41:30 GMT", Some(30)),
            ("Mon, 23 Nov 2026 06:40:00 GMT", Some(0)),
            ("Tue, 24 Nov 2026 06:41:00 GMT", Some(3600)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{text}");
        }
    }

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

//! Requests to the provider: short, bounded, without redirects.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, RequestBuilder, Url};
use serde_json::Value;

use super::{Problem, Provider, discovery::Metadata};
use crate::loopback::is_loopback;

/// An answer takes no longer.
const WITHIN: Duration = Duration::from_secs(8);
/// What is encoded in a client's id and secret. What most are made of is not: some providers do not decode.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Largest answer, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// A client for the provider at this address.
pub(super) fn client(issuer: &str) -> anyhow::Result<Client> {
    // Whoever comes first installs it for the process.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut builder = Client::builder()
        .user_agent(concat!("emote/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .timeout(WITHIN);
    if issuer.parse::<Url>().is_ok_and(|url| url.host_str().is_some_and(is_loopback)) {
        builder = builder.no_proxy();
    }
    Ok(builder.build()?)
}

/// Status and JSON of an answer.
pub(super) async fn ask(request: RequestBuilder) -> Result<(u16, Value), Problem> {
    let away = |error: reqwest::Error| Problem::Away(error.without_url().to_string());
    let mut response = request.send().await.map_err(away)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(away)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Problem::Away(format!("an answer of more than {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
}

impl Provider {
    /// The id token for a code (OpenID Connect Core 1.0, 3.1.3).
    pub(super) async fn redeem(&self, metadata: &Metadata, code: &str, verifier: &str) -> Result<String, Problem> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_verifier", verifier),
        ];
        let client_id = self.spec.client_id.as_str();
        let mut request = self.http.post(metadata.token.clone()).header("accept", "application/json");
        match &self.secret {
            Some(secret) if metadata.basic => {
                // RFC 6749, 2.3.1: both are form-encoded first.
                let encoded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
                request = request.basic_auth(encoded(client_id), Some(encoded(secret.expose())));
            }
            Some(secret) => form.extend([("client_id", client_id), ("client_secret", secret.expose())]),
            None => form.push(("client_id", client_id)),
        }
        let body = serde_urlencoded::to_string(&form).map_err(|error| Problem::Away(error.to_string()))?;
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        match ask(request).await? {
            (200, answer) => answer["id_token"].as_str().map(str::to_owned).ok_or(Problem::Claim("text is missing")),
            (400..=499, _) => Err(Problem::Code),
            (status, _) => Err(Problem::Away(format!("the token endpoint answers {status}"))),
        }
    }
}

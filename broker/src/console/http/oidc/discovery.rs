//! What the provider says of itself (OpenID Connect Discovery 1.0): asked for when it is needed, remembered for an hour, and
//! used for a day where it cannot be asked anew.

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use reqwest::Url;
use serde_json::Value;

use super::{Problem, Provider, wire};
use crate::{
    console::http::spec::safe,
    jwks::{Jwks, KeysUrl},
};

/// Asked anew after this time.
const FRESH: Duration = Duration::from_secs(3600);
/// Not used any longer than this.
const USABLE: Duration = Duration::from_secs(24 * 3600);
/// Where asking failed, it is not tried again for so long while there is something to use.
const RETRY: Duration = Duration::from_secs(60);

/// What is used of it.
pub(super) struct Metadata {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) keys: Jwks,
    keys_url: String,
    /// Our secret goes into the header, not into the body.
    pub(super) basic: bool,
    /// It says in each answer who it is (RFC 9207).
    pub(super) names_itself: bool,
}

/// The last that was heard, and when.
pub(super) struct Remembered {
    metadata: Arc<Metadata>,
    at: Instant,
    tried: Instant,
}

/// What the provider says, as of the last hour.
pub(super) async fn metadata(provider: &Provider) -> Result<Arc<Metadata>, Problem> {
    if let Some(metadata) = usable(provider, FRESH) {
        return Ok(metadata);
    }
    let _one = provider.asking.lock().await;
    if let Some(metadata) = usable(provider, FRESH) {
        return Ok(metadata);
    }
    let before = usable(provider, USABLE);
    let now = Instant::now();
    match ask(provider, before.as_deref()).await {
        Ok(metadata) => {
            let metadata = Arc::new(metadata);
            *known(provider) = Some(Remembered { metadata: Arc::clone(&metadata), at: now, tried: now });
            Ok(metadata)
        }
        Err(problem) => {
            if let Some(known) = known(provider).as_mut() {
                known.tried = now;
            }
            tracing::warn!(%problem, "the provider could not be asked what it is");
            before.ok_or(problem)
        }
    }
}

fn known(provider: &Provider) -> MutexGuard<'_, Option<Remembered>> {
    provider.known.lock().unwrap_or_else(PoisonError::into_inner)
}

fn usable(provider: &Provider, within: Duration) -> Option<Arc<Metadata>> {
    let known = known(provider);
    let known = known.as_ref()?;
    let fresh = known.at.elapsed() < within || (known.tried.elapsed() < RETRY && known.at.elapsed() < USABLE);
    fresh.then(|| Arc::clone(&known.metadata))
}

async fn ask(provider: &Provider, before: Option<&Metadata>) -> Result<Metadata, Problem> {
    let issuer = provider.spec.issuer.as_str();
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    match wire::ask(provider.http.get(url)).await? {
        (200, document) => read(&document, issuer, before),
        (status, _) => Err(Problem::Away(format!("its discovery document: {status}"))),
    }
}

fn read(document: &Value, issuer: &str, before: Option<&Metadata>) -> Result<Metadata, Problem> {
    let settings = |what: String| Problem::Settings(what);
    if document["issuer"].as_str() != Some(issuer) {
        return Err(settings("its issuer is not, to the letter, the one in emote.yaml".to_owned()));
    }
    let url = |key: &str| {
        let url: Url = document[key].as_str().and_then(|url| url.parse().ok()).ok_or(format!("{key} is missing"))?;
        safe(&url).map_err(|problem| format!("{key}: {problem}"))?;
        Ok::<_, String>(url)
    };
    let list = |key: &str| document[key].as_array().map(|all| all.iter().filter_map(Value::as_str).collect::<Vec<_>>());
    if list("code_challenge_methods_supported").is_some_and(|methods| !methods.contains(&"S256")) {
        return Err(settings("it does not take PKCE with S256".to_owned()));
    }
    let keys_url = url("jwks_uri").map_err(settings)?.to_string();
    let keys = match before.filter(|before| before.keys_url == keys_url) {
        Some(before) => before.keys.clone(),
        None => {
            let at: KeysUrl = keys_url.parse().map_err(|problem: &str| settings(problem.to_owned()))?;
            Jwks::at(&at).map_err(settings)?
        }
    };
    let methods = list("token_endpoint_auth_methods_supported");
    Ok(Metadata {
        authorization: url("authorization_endpoint").map_err(settings)?,
        token: url("token_endpoint").map_err(settings)?,
        keys,
        keys_url,
        // What is not said means this one (Discovery 1.0, 3).
        basic: methods.is_none_or(|methods| methods.contains(&"client_secret_basic")),
        names_itself: document["authorization_response_iss_parameter_supported"] == true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn a_document_is_its_own_issuers_and_safe() {
        let right = json!({"issuer": "https://idp.example.com", "authorization_endpoint": "https://idp.example.com/a",
            "token_endpoint": "https://idp.example.com/t", "jwks_uri": "https://idp.example.com/k"});
        let with = |key: &str, value: Value| {
            let mut document = right.clone();
            document[key] = value;
            document
        };
        for (document, fine) in [
            (right.clone(), true),
            (with("code_challenge_methods_supported", json!(["plain", "S256"])), true),
            (with("code_challenge_methods_supported", json!(["plain"])), false),
            (with("issuer", json!("https://idp.example.com/")), false),
            (with("issuer", json!("https://evil.example.com")), false),
            (with("token_endpoint", json!("http://idp.example.com/t")), false),
            (with("authorization_endpoint", json!("javascript:alert(1)")), false),
            (with("jwks_uri", json!("http://idp.example.com/k")), false),
            (with("token_endpoint", Value::Null), false),
            (Value::Null, false),
        ] {
            assert_eq!(read(&document, "https://idp.example.com", None).is_ok(), fine, "{document}");
        }
        let post = with("token_endpoint_auth_methods_supported", json!(["client_secret_post"]));
        assert!(!read(&post, "https://idp.example.com", None).unwrap().basic);
    }
}

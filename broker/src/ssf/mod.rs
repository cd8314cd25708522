//! A transmitter of security events (OpenID Shared Signals Framework 1.0), as its receiver manages the stream there: what the
//! transmitter says of itself, the stream's configuration, its subjects, and the event that tries it. Over https, or to this
//! machine; no redirects, bounded in size and time. How events come is for [`crate::ingest`].

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde_json::{Map, Value, json};

use crate::{config::Secret, loopback::is_loopback};

/// A request takes no longer.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Largest answer, in bytes.
const MAX_ANSWER: usize = 256 * 1024;
/// RFC 8935: events are pushed.
pub(crate) const PUSH: &str = "urn:ietf:rfc:8935";
/// RFC 8936: events are polled.
pub(crate) const POLL: &str = "urn:ietf:rfc:8936";

/// How a stream's events come to the receiver.
#[derive(Debug, Clone)]
pub(crate) enum Delivery {
    /// To this address, with this `Authorization` where given.
    Push {
        /// Where the receiver takes them.
        endpoint: String,
        /// What the transmitter is to send.
        authorization: Option<Secret>,
    },
    /// From an address that the transmitter names.
    Poll,
}

impl Delivery {
    /// As a stream's configuration says it (SSF 1.0, section 6.1).
    fn to_json(&self) -> Value {
        match self {
            Self::Poll => json!({"method": POLL}),
            Self::Push { endpoint, authorization } => {
                let mut delivery = json!({"method": PUSH, "endpoint_url": endpoint});
                if let Some(secret) = authorization {
                    delivery["authorization_header"] = Value::from(secret.expose());
                }
                delivery
            }
        }
    }
}

/// Why a transmitter did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SsfError {
    /// It cannot be reached, or says what makes no sense.
    #[error("{0}")]
    Transmitter(String),
    /// It refused.
    #[error("{doing}: the transmitter answered {status}{}{said}", if .said.is_empty() { "" } else { ": " })]
    Refused {
        /// What was asked.
        doing: &'static str,
        /// Its status.
        status: u16,
        /// The beginning of what it said.
        said: String,
    },
}

/// How the transmitter knows who asks.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    /// A token as it is.
    Bearer(Secret),
    /// OAuth's client credentials, and where they are exchanged for a token.
    Client { id: String, secret: Secret, token_url: String },
}

/// A transmitter that was found, and whom it takes us for.
pub(crate) struct Transmitter {
    client: Client,
    metadata: Map<String, Value>,
    token: Option<Secret>,
}

/// An address that may be sent a credential.
fn address(text: &str) -> Result<Url, SsfError> {
    let url: Url = text.parse().map_err(|_| SsfError::Transmitter(format!("{text:?} is no address")))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if url.host_str().is_some_and(is_loopback) => Ok(url),
        _ => Err(SsfError::Transmitter(format!("{url}: https, or http on this machine"))),
    }
}

/// Where an issuer describes itself: its path stands behind the well-known one (SSF 1.0, section 7.2.1), older ones
/// have another word.
fn well_known(issuer: &str) -> Result<[Url; 2], SsfError> {
    let issuer = address(issuer)?;
    let at = |name: &str| {
        let mut url = issuer.clone();
        url.set_path(&format!("/.well-known/{name}{}", issuer.path().trim_end_matches('/')));
        url
    };
    Ok([at("ssf-configuration"), at("risc-configuration")])
}

impl Transmitter {
    /// Asks the issuer what it is.
    pub(crate) async fn discover(issuer: &str) -> Result<Self, SsfError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder().user_agent(concat!("emote/", env!("CARGO_PKG_VERSION")));
        let mut builder = builder.redirect(reqwest::redirect::Policy::none()).timeout(TIMEOUT);
        let [standard, legacy] = well_known(issuer)?;
        if standard.host_str().is_some_and(is_loopback) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| SsfError::Transmitter(format!("no HTTP client: {error}")))?;
        let doing = "asking the transmitter what it is";
        let found = match answer(doing, client.get(standard)).await {
            Err(SsfError::Refused { status: 404, .. }) => answer(doing, client.get(legacy)).await?,
            found => found?,
        };
        let Value::Object(metadata) = found else {
            return Err(SsfError::Transmitter("what the transmitter says of itself is no object".to_owned()));
        };
        let plain = |issuer: &str| issuer.trim_end_matches('/').to_owned();
        match metadata.get("issuer").and_then(Value::as_str) {
            Some(said) if plain(said) == plain(issuer) => Ok(Self { client, metadata, token: None }),
            said => Err(SsfError::Transmitter(format!("the transmitter says that it is {said:?}, not {issuer:?}"))),
        }
    }

    /// What it says of itself under this name.
    pub(crate) fn says(&self, name: &str) -> Option<&str> {
        self.metadata.get(name)?.as_str()
    }

    /// From now on asks with this credential.
    pub(crate) async fn authenticate(&mut self, credential: &Credential) -> Result<(), SsfError> {
        self.token = Some(match credential {
            Credential::Bearer(token) => token.clone(),
            Credential::Client { id, secret, token_url } => {
                let form = format!("grant_type=client_credentials&scope={}", "ssf.manage%20ssf.read");
                let request = self.client.post(address(token_url)?).basic_auth(id, Some(secret.expose()));
                let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
                let answer = answer("asking for an access token", request).await?;
                let token = answer.get("access_token").and_then(Value::as_str);
                Secret::new(token.ok_or_else(|| SsfError::Transmitter("no access_token was given".to_owned()))?)
            }
        });
        Ok(())
    }

    /// Makes a stream whose events come so.
    pub(crate) async fn create(&self, delivery: &Delivery, events: &[String]) -> Result<Value, SsfError> {
        let supported = self.metadata.get("events_supported").cloned();
        let wanted = if events.is_empty() { supported } else { Some(json!(events)) };
        let mut body = json!({"delivery": delivery.to_json(), "description": "Emote"});
        if let Some(wanted) = wanted {
            body["events_requested"] = wanted;
        }
        let request = self.request(Method::POST, "configuration_endpoint", &[])?.json(&body);
        Ok(without_secret(answer("making the stream", request).await?))
    }

    /// The stream of this id; all of ours without one.
    pub(crate) async fn show(&self, stream: Option<&str>) -> Result<Value, SsfError> {
        let query = stream.map(|stream| ("stream_id", stream));
        let request = self.request(Method::GET, "configuration_endpoint", query.as_slice())?;
        Ok(without_secret(answer("reading the stream", request).await?))
    }

    /// Takes the stream away.
    pub(crate) async fn delete(&self, stream: &str) -> Result<(), SsfError> {
        let request = self.request(Method::DELETE, "configuration_endpoint", &[("stream_id", stream)])?;
        answer("deleting the stream", request).await.map(drop)
    }

    /// Asks for a verification event with this state in it.
    pub(crate) async fn verify(&self, stream: &str, state: &str) -> Result<(), SsfError> {
        let body = json!({"stream_id": stream, "state": state});
        let request = self.request(Method::POST, "verification_endpoint", &[])?.json(&body);
        answer("asking for a verification event", request).await.map(drop)
    }

    /// Adds the user of this address to those whom the stream tells of, or removes them.
    pub(crate) async fn subject(&self, stream: &str, email: &str, add: bool) -> Result<(), SsfError> {
        let endpoint = if add { "add_subject_endpoint" } else { "remove_subject_endpoint" };
        let mut body = json!({"stream_id": stream, "subject": {"format": "email", "email": email}});
        if add {
            body["verified"] = Value::from(true);
        }
        let request = self.request(Method::POST, endpoint, &[])?.json(&body);
        answer("changing whom the stream tells of", request).await.map(drop)
    }

    fn request(&self, method: Method, endpoint: &str, query: &[(&str, &str)]) -> Result<RequestBuilder, SsfError> {
        let at = self.says(endpoint);
        let at = at.ok_or_else(|| SsfError::Transmitter(format!("the transmitter has no {endpoint}")))?;
        let mut url = address(at)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.client.request(method, url);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        })
    }
}

/// A stream as it may be shown: its authorization header is a secret.
fn without_secret(mut stream: Value) -> Value {
    let streams = match &mut stream {
        Value::Array(streams) => streams.as_mut_slice(),
        one => std::slice::from_mut(one),
    };
    for stream in streams {
        if let Some(delivery) = stream.get_mut("delivery").and_then(Value::as_object_mut) {
            delivery.remove("authorization_header");
        }
    }
    stream
}

async fn answer(doing: &'static str, request: RequestBuilder) -> Result<Value, SsfError> {
    let request = request.header("accept", "application/json");
    let told = |error: reqwest::Error| SsfError::Transmitter(format!("{doing}: {error}"));
    let response = request.send().await.map_err(told)?;
    let status = response.status();
    let body = whole(response).await.map_err(told)?;
    if !status.is_success() {
        let said = String::from_utf8_lossy(&body).chars().filter(|char| !char.is_control()).take(300).collect();
        return Err(SsfError::Refused { doing, status: status.as_u16(), said });
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&body)
        .map_err(|error| SsfError::Transmitter(format!("{doing}: the answer is no JSON: {error}")))
}

/// The body, cut where it is too large.
async fn whole(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests;

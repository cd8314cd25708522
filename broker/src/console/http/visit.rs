//! A request as handlers see it, and what is known of who sent it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, FromRequestParts, RawPathParams, Request},
    http::{HeaderMap, Method, StatusCode, header, request::Parts, uri::Authority},
};
use futures_util::StreamExt as _;
use serde_json::{Map, Value};

use super::{
    Console,
    answer::{Kind, Refusal},
    role::Role,
    session::{Person, SessionId},
};
use crate::{bus::Bus, form, identity::Registry, ingest::sender};

/// The largest body, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// Beyond this even forgetting ends.
const MAX_FORGOTTEN: usize = 1024 * 1024;
/// A body must have arrived within this time.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Fields of a form, values of one included.
const MAX_FIELDS: usize = 2_000;

/// Where nothing is known of the connection.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A request.
pub(super) struct Visit {
    pub(super) console: Arc<Console>,
    pub(super) kind: Kind,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    /// From where it came.
    pub(super) from: IpAddr,
    /// For whom it is: us.
    pub(super) host: Authority,
    params: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    /// Behind a lock only because a body alone cannot be shared.
    body: Mutex<Option<Body>>,
}

/// A request of somebody who is known, and may do it.
pub(super) struct Call {
    pub(super) visit: Visit,
    pub(super) who: Known,
    /// What the body says: nothing where there is none.
    pub(super) fields: Map<String, Value>,
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) person: Person,
    pub(super) role: Role,
    /// None for programs that send the token with each request.
    pub(super) session: Option<SessionId>,
}

impl Visit {
    /// Reads what can be read without the body.
    pub(super) async fn of(console: Arc<Console>, kind: Kind, request: Request) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let host = console.names.host(&parts.uri, &parts.headers).ok_or_else(Refusal::nothing_here)?;
        let params = params(&mut parts).await?;
        let query = parts.uri.query().unwrap_or_default();
        let query: BTreeMap<String, String> = serde_urlencoded::from_str::<Vec<(String, String)>>(query)
            .map_err(|_| Refusal::bad("the query is not one", "Write key=value&key=value."))?
            .into_iter()
            .collect();
        let ConnectInfo(peer) = parts.extensions.get().copied().unwrap_or(ConnectInfo(NOBODY));
        let unclear = || Refusal::bad("the proxy does not say for whom it speaks", "Have it write X-Forwarded-For.");
        let from = sender(peer, &parts.headers, &console.proxies).ok_or_else(unclear)?;
        let (method, headers) = (parts.method, parts.headers);
        Ok(Self { console, kind, method, headers, from, host, params, query, body: Mutex::new(Some(body)) })
    }

    /// A part of the path.
    pub(super) fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }

    /// A value of the query; an empty one is none.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether it changes nothing.
    pub(super) fn only_reads(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD)
    }

    /// The connection.
    pub(super) fn bus(&self) -> &Bus {
        &self.console.bus
    }

    /// Agents and their credentials, where this broker gives those out.
    pub(super) fn registry(&self) -> Result<&Registry, Refusal> {
        self.console.registry.as_ref().ok_or_else(Refusal::no_credentials)
    }

    /// Reads what the body says: JSON from programs, a form from pages. A key that a form has more than once is a list.
    pub(super) async fn fields(&mut self) -> Result<Map<String, Value>, Refusal> {
        let body = match self.body.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            Some(body) if !self.only_reads() => whole(body).await?,
            _ => return Ok(Map::new()),
        };
        let is = |wanted: &str| {
            let given =
                self.headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
            given.split(';').next().is_some_and(|given| given.trim().eq_ignore_ascii_case(wanted))
        };
        match self.kind {
            Kind::Api if is("application/json") => serde_json::from_slice(&body)
                .map_err(|_| Refusal::bad("the body is no JSON object", "Send {\"key\": value, …}.")),
            Kind::Page if is("application/x-www-form-urlencoded") => form(&body),
            Kind::Api => Err(wrong_type("application/json")),
            Kind::Page => Err(wrong_type("application/x-www-form-urlencoded")),
        }
    }
}

async fn params(parts: &mut Parts) -> Result<BTreeMap<String, String>, Refusal> {
    let params = RawPathParams::from_request_parts(parts, &()).await.map_err(|_| Refusal::nothing_here())?;
    Ok(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// The whole body. One that is too large is read on for a while and forgotten, so that who sends it hears the answer.
async fn whole(body: Body) -> Result<Vec<u8>, Refusal> {
    let read = async {
        let (mut kept, mut total, mut chunks) = (Vec::new(), 0, body.into_data_stream());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Refusal::bad("the body broke off", "Send it again."))?;
            total += chunk.len();
            if total <= MAX_BODY {
                kept.extend_from_slice(&chunk);
            } else if total > MAX_FORGOTTEN {
                break;
            }
        }
        if total > MAX_BODY { Err(too_large()) } else { Ok(kept) }
    };
    let late = |_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time", "Send it again.");
    tokio::time::timeout(BODY_WITHIN, read).await.map_err(late)?
}

fn too_large() -> Refusal {
    let remedy = "Send less than 64 KiB: fewer jobs or letters at a time.";
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large", remedy)
}

fn form(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let wrong = |_| Refusal::bad("the form is not one", "Send it from a page of the console.");
    let pairs = form::pairs(body).map_err(wrong)?;
    if pairs.len() > MAX_FIELDS {
        return Err(Refusal::bad("the form has too many fields", "Choose fewer at a time."));
    }
    Ok(form::object(pairs))
}

fn wrong_type(wanted: &str) -> Refusal {
    let remedy = format!("Send Content-Type: {wanted}.");
    Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body is of another type than what is taken here", remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_that_comes_again_is_a_list() {
        let fields = |body: &str| Value::from(form(body.as_bytes()).unwrap());
        assert_eq!(fields("a=1&b=x+y%0d&a=2&a=3"), json!({"a": ["1", "2", "3"], "b": "x y\r"}));
        assert_eq!(fields(""), json!({}));
        assert!(form("a=1&".repeat(MAX_FIELDS + 1).as_bytes()).is_err());
    }
}

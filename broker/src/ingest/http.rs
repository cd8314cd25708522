//! The HTTP edge: `POST /in/<source>`, and what stands below it for sources of users and groups. Reads what the sender
//! sends within limits of size, time and number, hands it to the source, publishes, and answers. Logs how requests ended,
//! never what they held.

mod provision;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, Path, RawQuery, State},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::any,
};
use bytes::{Bytes, BytesMut};
use emote_proto::{EventId, Time};
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::sync::Semaphore;

use super::{
    Aliases, Cidr, Counts, Directory, HandshakeSpec, Moment, Protocol, Publish, PublishError, Ready, Refusal, Request,
    Source, Taken, address, scim,
};
use crate::outage::Outage;

/// A body must have arrived within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// A map must be done within this time.
const MAP_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests that may be under way at once.
const MAX_REQUESTS: usize = 512;
/// Maps that may run at once; one that never ends keeps its place.
const MAX_MAPS: usize = 32;
/// How often it is said, while the stream is away, that webhooks are refused.
const REFUSED_SAID_EVERY: Duration = Duration::from_secs(10);

/// The sources that take webhooks now; replaced as a whole when a configuration is applied.
#[derive(Debug, Default)]
pub struct Sources {
    now: RwLock<Arc<BTreeMap<String, Arc<Source>>>>,
    counts: Counts,
}

impl Sources {
    /// These sources, by their names.
    pub fn new(sources: impl IntoIterator<Item = Source>) -> Self {
        let this = Self::default();
        this.replace(sources);
        this
    }

    /// From now on these. Requests under way end with the source they began with.
    pub fn replace(&self, sources: impl IntoIterator<Item = impl Into<Arc<Source>>>) {
        let sources = sources.into_iter().map(Into::into);
        let by_name = sources.map(|source: Arc<Source>| (source.name().to_string(), source)).collect();
        let by_name: BTreeMap<String, Arc<Source>> = by_name;
        self.counts.keep(by_name.keys());
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(by_name);
    }

    /// What became of the requests to each of them.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    fn find(&self, name: &str) -> Option<Arc<Source>> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        now.get(name).filter(|source| source.takes_webhooks()).cloned()
    }
}

/// What time it is.
type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

#[derive(Clone)]
struct Ingest {
    sources: Arc<Sources>,
    publisher: Arc<dyn Publish>,
    aliases: Arc<dyn Aliases>,
    scim: Arc<scim::Server>,
    clock: Clock,
    proxies: Arc<[Cidr]>,
    requests: Arc<Semaphore>,
    maps: Arc<Semaphore>,
    outage: Arc<Mutex<Outage>>,
}

/// The routes of ingest. `proxies` are believed about whom they speak for.
pub fn router(
    sources: Arc<Sources>,
    publisher: Arc<dyn Publish>,
    aliases: Arc<dyn Aliases>,
    proxies: Vec<Cidr>,
    directory: Arc<dyn Directory>,
) -> Router {
    router_at(Arc::new(|| jiff::Timestamp::now().into()), sources, publisher, (aliases, proxies, directory))
}

fn router_at(
    clock: Clock,
    sources: Arc<Sources>,
    publisher: Arc<dyn Publish>,
    (aliases, proxies, directory): (Arc<dyn Aliases>, Vec<Cidr>, Arc<dyn Directory>),
) -> Router {
    let ingest = Ingest {
        clock,
        proxies: proxies.into(),
        sources,
        publisher,
        aliases,
        scim: Arc::new(scim::Server::new(directory)),
        requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
        maps: Arc::new(Semaphore::new(MAX_MAPS)),
        outage: Arc::new(Mutex::new(Outage::said_every(REFUSED_SAID_EVERY))),
    };
    let router = Router::new().route("/in/{source}", any(receive));
    router
        .route("/in/{source}/{*below}", any(provision::receive))
        .fallback(async || Refusal::NoSource)
        .with_state(ingest)
}

async fn receive(
    State(ingest): State<Ingest>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    request: axum::extract::Request,
) -> Response {
    let counts = ingest.sources.counts();
    let Some(source) = ingest.sources.find(&name) else {
        counts.refused(None, &Refusal::NoSource);
        return Refusal::NoSource.into_response();
    };
    if source.protocol() == Protocol::Scim {
        return provision::answer(&ingest, &source, "", &query.unwrap_or_default(), request).await;
    }
    let query = query.unwrap_or_default();
    let (parts, body) = request.into_parts();
    let outcome = ingest.receive(&source, parts, &query, body).await;
    match outcome {
        Ok(response) => response,
        Err(refusal) => {
            ingest.note(&source, &refusal);
            if source.takes_security_events() { refusal.to_transmitter() } else { refusal.into_response() }
        }
    }
}

impl Ingest {
    /// Counts a refusal, and says it.
    fn note(&self, source: &Source, refusal: &Refusal) {
        let status = refusal.status().as_u16();
        self.sources.counts().refused(Some(source.name().as_str()), refusal);
        match refusal {
            Refusal::Internal(problem) => {
                tracing::error!(source = %source.name(), status, problem, "webhook failed");
            }
            // Every sender comes again and again: it is said for all of them together.
            Refusal::Unavailable => {}
            _ => tracing::info!(source = %source.name(), status, "webhook refused"),
        }
        tracing::debug!(source = %source.name(), status, %refusal, "why a webhook was refused");
    }

    async fn receive(
        &self,
        source: &Arc<Source>,
        Parts { method, headers, extensions, .. }: Parts,
        query: &str,
        body: Body,
    ) -> Result<Response, Refusal> {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        let sender = peer.and_then(|ConnectInfo(peer)| address::sender(*peer, &headers, &self.proxies));
        if !source.takes_from(sender) {
            return Err(Refusal::Address(sender));
        }
        let _permit = self.requests.try_acquire().map_err(|_| Refusal::Busy)?;
        let handshake = source.handshake().filter(|handshake| handshake.asked_by(&method));
        if handshake.is_none() && method != Method::POST {
            let asks = source.handshake().is_some_and(|handshake| handshake.asked_by(&Method::GET));
            return Err(Refusal::Method { allow: if asks { "GET, POST" } else { "POST" } });
        }
        let body = whole_body(&headers, body, source.max_body()).await?;
        let request = Request::new(headers, query, body);
        if handshake.is_some_and(HandshakeSpec::asks_for_proof) {
            source.prepare(&request).await;
            source.prove(request, (self.clock)())?;
            return Ok(StatusCode::OK.into_response());
        }
        match handshake.map(|handshake| handshake.answer(&request)) {
            Some(Some(answer)) => return answer,
            Some(None) if method != Method::POST => {
                return Err(Refusal::Undecodable("the challenge that this source answers is missing".to_owned()));
            }
            _ => {}
        }
        source.prepare(&request).await;
        let drafts = match self.map(Arc::clone(source), request).await? {
            Taken::Events(drafts) => drafts,
            Taken::Question(challenge) => {
                let handshake = source.handshake().ok_or(Refusal::Internal("a question that nobody answers"))?;
                return handshake.reply(&challenge);
            }
        };
        let events = source.addressed(&drafts)?;
        let ids: Vec<EventId> = events.iter().map(|(_, id, _)| *id).collect();
        self.publish(source, events).await?;
        self.sources.counts().taken(source.name().as_str(), ids.len());
        tracing::info!(source = %source.name(), status = 200, events = ids.len(), "webhook taken");
        if source.takes_security_events() {
            return Ok(StatusCode::ACCEPTED.into_response());
        }
        if let Some(reply) = source.reply() {
            return Ok(reply.response());
        }
        Ok(Json(json!({ "events": ids.iter().map(EventId::to_string).collect::<Vec<_>>() })).into_response())
    }

    /// Runs the source on a thread that may block. One that does not end in time is given up, but keeps its permit.
    async fn map(&self, source: Arc<Source>, request: Request<super::Unverified>) -> Result<Taken, Refusal> {
        self.aside(move |aliases, moment| source.take(request, aliases, moment, Instant::now())).await
    }

    /// Does what runs a map, on a thread that may block.
    async fn aside<T: Send + 'static>(
        &self,
        mapping: impl FnOnce(&dyn Aliases, &Moment) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let permit = Arc::clone(&self.maps).acquire_owned();
        let permit = tokio::time::timeout(MAP_TIMEOUT, permit).await.ok().and_then(Result::ok).ok_or(Refusal::Busy)?;
        let moment = Moment { now: (self.clock)(), ..Moment::drawn()? };
        let aliases = Arc::clone(&self.aliases);
        let mapping = tokio::task::spawn_blocking(move || {
            let mapped = mapping(&*aliases, &moment);
            drop(permit);
            mapped
        });
        match tokio::time::timeout(MAP_TIMEOUT, mapping).await {
            Ok(Ok(mapped)) => mapped,
            Ok(Err(_)) => Err(Refusal::Internal("the map ended in a panic")),
            Err(_) => Err(Refusal::Internal("the map did not end within five seconds")),
        }
    }

    async fn publish(&self, source: &Source, events: Vec<Ready>) -> Result<(), Refusal> {
        if events.is_empty() {
            return Ok(());
        }
        self.publisher.publish(events).await.map_err(|error| self.not_published(source, error))?;
        if let Some(refused) = self.outage().worked() {
            tracing::info!(refused, "webhooks are taken again");
        }
        Ok(())
    }

    fn not_published(&self, source: &Source, error: PublishError) -> Refusal {
        self.sources.counts().not_published(source.name().as_str());
        if matches!(error, PublishError::Unavailable(_)) {
            if let Some(refused) = self.outage().failed(Instant::now()) {
                tracing::warn!(refused, %error, "webhooks are refused; their senders are told to come again");
            }
        } else {
            tracing::warn!(source = %source.name(), %error, "events were not published");
        }
        match error {
            PublishError::Unavailable(_) => Refusal::Unavailable,
            PublishError::TooLarge(problem) => Refusal::Unmapped { output: None, problem },
            PublishError::Refused(_) => Refusal::Internal("the event stream refuses the events"),
        }
    }

    fn outage(&self) -> MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The whole body, if it is small enough and arrives in time.
async fn whole_body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(Refusal::TooLarge(limit));
    }
    let read = async {
        let mut frames = body.into_data_stream();
        let mut whole = BytesMut::new();
        while let Some(frame) = frames.next().await {
            let frame = frame.map_err(|_| Refusal::Undecodable("the body broke off".to_owned()))?;
            if whole.len() + frame.len() > limit {
                return Err(Refusal::TooLarge(limit));
            }
            whole.extend_from_slice(&frame);
        }
        Ok(whole.freeze())
    };
    tokio::time::timeout(BODY_TIMEOUT, read).await.unwrap_or(Err(Refusal::Slow(BODY_TIMEOUT.as_secs())))
}

#[cfg(test)]
mod edges;
#[cfg(test)]
mod provisioned;
#[cfg(test)]
mod schemes;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod vendors;

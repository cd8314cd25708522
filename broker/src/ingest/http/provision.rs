//! The HTTP edge of sources that speak SCIM: `/in/<source>/scim/v2/Users` and what is beside it. Who sends is looked at
//! before anything else of a request, its body included.

use super::*;
use crate::ingest::{
    Verified,
    scim::{Answer, Events, Failed, MEDIA_TYPE, Served, parts, refused},
};

/// Events of a request that are mapped at once.
const AT_ONCE: usize = 500;
/// Notations of a body; most clients write the first, some the second, some none.
const TYPES: [&str; 3] = ["application/scim+json", "application/json", "text/json"];

/// A request below a source's own address.
pub(super) async fn receive(
    State(ingest): State<Ingest>,
    Path((name, below)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    request: axum::extract::Request,
) -> Response {
    let source = ingest.sources.find(&name).filter(|source| source.protocol() == Protocol::Scim);
    let Some(source) = source else {
        ingest.sources.counts().refused(None, &Refusal::NoSource);
        return Refusal::NoSource.into_response();
    };
    answer(&ingest, &source, &below, &query.unwrap_or_default(), request).await
}

/// Answers a request to a source that speaks SCIM.
pub(super) async fn answer(
    ingest: &Ingest,
    source: &Arc<Source>,
    below: &str,
    query: &str,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    match ingest.provision(source, below, query, (parts, body)).await {
        Ok(response) => response,
        Err(Failed::Refused(refusal)) => {
            ingest.note(source, &refusal);
            refused(&refusal)
        }
        Err(Failed::Scim(error)) => {
            ingest.sources.counts().taken(source.name().as_str(), 0);
            tracing::debug!(source = %source.name(), status = error.status.as_u16(), %error, "a SCIM request is not done");
            error.into_response()
        }
    }
}

impl Ingest {
    async fn provision(
        &self,
        source: &Arc<Source>,
        below: &str,
        query: &str,
        (Parts { method, headers, extensions, .. }, body): (Parts, Body),
    ) -> Result<Response, Failed> {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        let sender = peer.and_then(|ConnectInfo(peer)| address::sender(*peer, &headers, &self.proxies));
        if !source.takes_from(sender) {
            return Err(Refusal::Address(sender).into());
        }
        let _permit = self.requests.try_acquire().map_err(|_| Refusal::Busy)?;
        let now = (self.clock)();
        let request = Request::new(headers, query, Bytes::new()).sent(Some(method.clone()), Some(below.to_owned()));
        let request = Arc::new(source.let_in(request, now, Instant::now())?);
        let headers = &request.headers;
        let body = whole_body(headers, body, source.max_body()).await?;
        if !body.is_empty() {
            of_a_known_type(headers)?;
        }
        let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let base = base(source, headers);
        let asked = Served {
            source: source.name(),
            method: &method,
            path: below,
            query: &request.query,
            if_match: text(header::IF_MATCH),
            if_none_match: text(header::IF_NONE_MATCH),
            base: &base,
            body: &body,
            now,
        };
        let events = Publishing { ingest: self, source, request: &request, count: Mutex::default() };
        let answer = self.scim.serve(&asked, &events).await?;
        let count = *events.count.lock().unwrap_or_else(PoisonError::into_inner);
        self.sources.counts().taken(source.name().as_str(), count);
        tracing::info!(source = %source.name(), status = answer.status.as_u16(), events = count, "SCIM request done");
        Ok(response(answer, method == Method::HEAD))
    }
}

/// Publishes what a request changed, in the name of its source.
struct Publishing<'a> {
    ingest: &'a Ingest,
    source: &'a Arc<Source>,
    request: &'a Arc<Request<Verified>>,
    count: Mutex<usize>,
}

#[async_trait::async_trait]
impl Events for Publishing<'_> {
    async fn mapped(&self, mut events: Vec<serde_json::Value>) -> Result<Vec<Ready>, Refusal> {
        let mut mapped = Vec::with_capacity(events.len());
        while !events.is_empty() {
            let rest = events.split_off(events.len().min(AT_ONCE));
            let now = std::mem::replace(&mut events, rest);
            let (source, request) = (Arc::clone(self.source), Arc::clone(self.request));
            let mapping =
                move |aliases: &dyn Aliases, moment: &Moment| source.drafts_of(&request, now, aliases, moment);
            let drafts = self.ingest.aside(mapping).await?;
            mapped.extend(self.source.addressed(&drafts)?);
        }
        Ok(mapped)
    }

    async fn publish(&self, events: Vec<Ready>) -> Result<(), Refusal> {
        for part in parts(&events) {
            self.ingest.publish(self.source, part.to_vec()).await?;
            *self.count.lock().unwrap_or_else(PoisonError::into_inner) += part.len();
        }
        Ok(())
    }
}

fn of_a_known_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(found) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let found = String::from_utf8_lossy(found.as_bytes()).into_owned();
    let media = found.split(';').next().unwrap_or_default().trim();
    if TYPES.iter().any(|known| known.eq_ignore_ascii_case(media)) {
        return Ok(());
    }
    Err(Refusal::Type { found, accepted: MEDIA_TYPE.to_owned() })
}

/// The source's own address, as the client has it.
fn base(source: &Source, headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_host = |host: &&str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte));
    let host = text("host").filter(is_host).unwrap_or("localhost");
    let is_here = ["localhost", "127.", "[::1]"].iter().any(|here| host.starts_with(here));
    let scheme = match text("x-forwarded-proto") {
        Some("http") => "http",
        None if is_here => "http",
        _ => "https",
    };
    format!("{scheme}://{host}/in/{}", source.name())
}

fn response(answer: Answer, without_body: bool) -> Response {
    let body = answer.body.filter(|_| !without_body).map(|body| body.to_string());
    let mut response = (answer.status, body.unwrap_or_default()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(MEDIA_TYPE));
    for (name, value) in [(header::LOCATION, answer.location), (header::ETAG, answer.version)] {
        if let Some(value) = value.and_then(|value| header::HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    }
    response
}

//! The server: a request that was let in, what is known, and what becomes of it. What it needs of HTTP is handed in.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use axum::http::{Method, StatusCode};
use emote_proto::{Name, Time};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use super::{
    Directory, Record, Refusal, discovery,
    error::ScimError,
    kind::Kind,
    list::{Query, View},
    record,
    route::Route,
};
use crate::{
    bus::{BusError, Entry},
    ingest::Ready,
};

/// Changes to one resource at this broker wait for each other; to so many at once they may be made.
const LOCKS: usize = 64;

pub(super) type Object = Map<String, Value>;

/// What makes events of changes, and publishes them.
#[async_trait::async_trait]
pub(in crate::ingest) trait Events: Send + Sync {
    /// The events that the source's map makes of these.
    async fn mapped(&self, events: Vec<Value>) -> Result<Vec<Ready>, Refusal>;

    /// Done when the stream has stored all of them.
    async fn publish(&self, events: Vec<Ready>) -> Result<(), Refusal>;
}

/// A request that was let in.
#[derive(Debug)]
pub(in crate::ingest) struct Served<'a> {
    pub(in crate::ingest) source: &'a Name,
    pub(in crate::ingest) method: &'a Method,
    /// Behind the source's name.
    pub(in crate::ingest) path: &'a str,
    pub(in crate::ingest) query: &'a Object,
    pub(in crate::ingest) if_match: Option<&'a str>,
    pub(in crate::ingest) if_none_match: Option<&'a str>,
    /// `https://HOST/in/SOURCE`
    pub(in crate::ingest) base: &'a str,
    pub(in crate::ingest) body: &'a [u8],
    pub(in crate::ingest) now: Time,
}

/// What the client is told.
#[derive(Debug, Default)]
pub(in crate::ingest) struct Answer {
    pub(in crate::ingest) status: StatusCode,
    pub(in crate::ingest) body: Option<Value>,
    pub(in crate::ingest) location: Option<String>,
    pub(in crate::ingest) version: Option<String>,
}

/// Why a request is not done.
#[derive(Debug)]
pub(in crate::ingest) enum Failed {
    Scim(ScimError),
    Refused(Refusal),
}

impl From<ScimError> for Failed {
    fn from(error: ScimError) -> Self {
        Self::Scim(error)
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<BusError> for Failed {
    fn from(error: BusError) -> Self {
        match error {
            BusError::NoAnswer { .. } | BusError::Unreachable { .. } => Self::Refused(Refusal::Unavailable),
            error => {
                tracing::warn!(%error, "provisioned users and groups cannot be read or written");
                Self::Refused(Refusal::Internal("the bucket of users and groups refuses"))
            }
        }
    }
}

/// The server of all sources.
pub(in crate::ingest) struct Server {
    pub(super) directory: Arc<dyn Directory>,
    locks: Vec<Mutex<()>>,
}

/// A resource as it is kept, and of which revision.
pub(super) struct Known {
    pub(super) id: String,
    pub(super) record: Record,
    pub(super) revision: u64,
}

impl Server {
    pub(in crate::ingest) fn new(directory: Arc<dyn Directory>) -> Self {
        Self { directory, locks: (0..LOCKS).map(|_| Mutex::new(())).collect() }
    }

    /// Does what is asked, and publishes what it changes.
    pub(in crate::ingest) async fn serve(&self, asked: &Served<'_>, events: &dyn Events) -> Result<Answer, Failed> {
        let (route, before) = Route::parse(asked.path)?;
        let base = format!("{}{before}", asked.base);
        let told = |body: Value| Ok(Answer { body: Some(body), ..Answer::default() });
        let call = Call { server: self, asked, events, base: &base };
        let (method, get) = (asked.method, asked.method == Method::GET || asked.method == Method::HEAD);
        match route {
            Route::ServiceProviderConfig if get => told(discovery::service_provider_config(&base)),
            Route::ResourceTypes(name) if get => told(discovery::resource_types(&base, name.as_deref())?),
            Route::Schemas(id) if get => told(discovery::schemas(&base, id.as_deref())?),
            Route::All(kind) if get => call.list(&[kind], asked.query).await,
            Route::Search(kind) if method == Method::POST => {
                let body = asked.json()?;
                let body = body.as_object().ok_or_else(|| ScimError::syntax("a search is a JSON object"))?;
                call.list(kind.as_ref().map_or(&Kind::ALL, std::slice::from_ref), body).await
            }
            Route::All(kind) if method == Method::POST => call.create(kind).await,
            Route::One(kind, id) if get => call.get(kind, &id).await,
            Route::One(kind, id) if method == Method::PUT || method == Method::PATCH => call.change(kind, &id).await,
            Route::One(kind, id) if method == Method::DELETE => call.delete(kind, &id).await,
            _ => Err(ScimError::method(format!("{method} means nothing here")).into()),
        }
    }

    pub(super) async fn lock(&self, what: &str) -> tokio::sync::MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or_default();
        self.locks[index].lock().await
    }

    pub(super) async fn known(&self, source: &Name, kind: Kind, id: &str) -> Result<Option<Known>, Failed> {
        let Some(key) = record::key(source, kind, id) else { return Ok(None) };
        let entry = self.directory.get(&key).await?;
        entry.filter(|entry| !entry.value.is_empty()).map(|entry| read(id, &entry)).transpose()
    }
}

fn read(id: &str, entry: &Entry) -> Result<Known, Failed> {
    let record = serde_json::from_slice(&entry.value).map_err(|error| {
        tracing::warn!(id, %error, "a provisioned user or group is damaged");
        Failed::Refused(Refusal::Internal("a record of the bucket of users and groups is damaged"))
    })?;
    Ok(Known { id: id.to_owned(), record, revision: entry.revision })
}

impl Served<'_> {
    pub(super) fn json(&self) -> Result<Value, ScimError> {
        let text = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(self.body);
        serde_json::from_slice(text).map_err(|error| ScimError::syntax(format!("the body is no JSON: {error}")))
    }
}

/// A request that is under way.
pub(super) struct Call<'a> {
    pub(super) server: &'a Server,
    pub(super) asked: &'a Served<'a>,
    pub(super) events: &'a dyn Events,
    base: &'a str,
}

impl Call<'_> {
    /// What is found of these kinds.
    async fn list(&self, kinds: &[Kind], query: &Object) -> Result<Answer, Failed> {
        let query = Query::parse(query)?;
        let mut found = Vec::new();
        for kind in kinds {
            found.extend(self.found(*kind, &query).await?.into_iter().map(|known| (*kind, known)));
        }
        found.sort_by(|(_, one), (_, other)| (one.record.created, &one.id).cmp(&(other.record.created, &other.id)));
        let body = query.answer(&found, |(kind, known)| query.view.of(self.shown(*kind, known)));
        Ok(Answer { body: Some(body), ..Answer::default() })
    }

    async fn found(&self, kind: Kind, query: &Query) -> Result<Vec<Known>, Failed> {
        let (server, source) = (self.server, self.asked.source);
        let named = query.filter.as_ref().and_then(|filter| filter.only(kind.name_attribute()));
        let by_id = query.filter.as_ref().and_then(|filter| filter.only("id"));
        Ok(if let Some(name) = named {
            let entry = server.directory.get(&record::name_key(source, kind, &name.to_lowercase())).await?;
            let id = entry.and_then(|entry| String::from_utf8(entry.value.to_vec()).ok());
            match id.filter(|id| !id.is_empty()) {
                Some(id) => server.known(source, kind, &id).await?.into_iter().collect(),
                None => Vec::new(),
            }
        } else if let Some(id) = by_id {
            server.known(source, kind, id).await?.into_iter().collect()
        } else {
            if let Some(other) = query.filter.as_ref().and_then(|filter| filter.outside(FILTERED)) {
                return Err(ScimError::filter(format!("{other}: expected one of {}", FILTERED.join(", "))).into());
            }
            let all = server.directory.all(&record::prefix(source, kind)).await?;
            let all = all.iter().filter(|(_, entry)| !entry.value.is_empty());
            let all = all.map(|(id, entry)| read(id, entry)).collect::<Result<Vec<_>, _>>()?;
            let holds = |known: &Known| {
                query.filter.as_ref().is_none_or(|filter| {
                    let mut resource = known.record.resource.clone();
                    resource.insert("id".to_owned(), Value::from(known.id.as_str()));
                    filter.holds(&resource)
                })
            };
            all.into_iter().filter(holds).collect()
        })
    }

    async fn get(&self, kind: Kind, id: &str) -> Result<Answer, Failed> {
        let view = Query::parse(self.asked.query)?.view;
        let known = self.there(kind, id).await?;
        let version = version(known.revision);
        if self.asked.if_none_match.is_some_and(|named| names(named, &version)) {
            return Ok(Answer { status: StatusCode::NOT_MODIFIED, version: Some(version), ..Answer::default() });
        }
        Ok(self.answered(StatusCode::OK, kind, &known, &view))
    }

    /// The resource of this id, if it is still of the version that the client means.
    pub(super) async fn there(&self, kind: Kind, id: &str) -> Result<Known, Failed> {
        let known = self.server.known(self.asked.source, kind, id).await?;
        let known = known.ok_or_else(|| ScimError::missing(format!("there is no {} {id:?}", kind.name())))?;
        let changes = self.asked.method != Method::GET && self.asked.method != Method::HEAD;
        if changes && self.asked.if_match.is_some_and(|meant| !names(meant, &version(known.revision))) {
            return Err(ScimError::changed("the resource is of another version by now").into());
        }
        Ok(known)
    }

    fn location(&self, kind: Kind, id: &str) -> String {
        format!("{}/{}/{id}", self.base, kind.endpoint())
    }

    fn shown(&self, kind: Kind, known: &Known) -> Value {
        let resource = &known.record.resource;
        let extensions = resource.keys().filter(|name| name.starts_with("urn:")).cloned();
        let schemas: Vec<String> = std::iter::once(kind.schema().to_owned()).chain(extensions).collect();
        let mut shown = resource.clone();
        shown.insert("schemas".to_owned(), json!(schemas));
        shown.insert("id".to_owned(), Value::from(known.id.as_str()));
        let (created, modified) = (known.record.created.to_string(), known.record.modified.to_string());
        let meta = json!({
            "resourceType": kind.name(), "created": created, "lastModified": modified,
            "location": self.location(kind, &known.id), "version": version(known.revision),
        });
        shown.insert("meta".to_owned(), meta);
        Value::Object(shown)
    }

    pub(super) fn answered(&self, status: StatusCode, kind: Kind, known: &Known, view: &View) -> Answer {
        Answer {
            status,
            body: (status != StatusCode::NO_CONTENT).then(|| view.of(self.shown(kind, known))),
            location: Some(self.location(kind, &known.id)),
            version: Some(version(known.revision)),
        }
    }
}

/// What a list may be searched by.
const FILTERED: &[&str] =
    &["userName", "externalId", "displayName", "id", "emails", "active", "members", "name", "title"];

fn version(revision: u64) -> String {
    format!("W/\"{revision}\"")
}

/// Whether a list of versions, such as `If-Match` has, names this one.
fn names(list: &str, version: &str) -> bool {
    let plain = |version: &str| version.trim().trim_start_matches("W/").to_owned();
    list.split(',').any(|one| one.trim() == "*" || plain(one) == plain(version))
}

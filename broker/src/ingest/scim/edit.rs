//! What changes users and groups: made, changed, deleted, and told.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use emote_proto::{EventId, Time, limits};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Map;

use super::{
    Record, Refusal,
    changes::{Change, members_of},
    error::ScimError,
    kind::Kind,
    list::Query,
    normal, patch, record,
    serve::{Answer, Call, Failed, Known, Object},
    untold::{self, Left},
};
use crate::{
    bus::{Write, WriteError},
    ingest::Ready,
};

/// How often a change begins anew because another broker was quicker.
const MAX_TRIES: usize = 5;
/// How long what was made may be made again without being somebody else's, in milliseconds.
const AGAIN_WITHIN: i64 = 5 * 60 * 1000;
/// The largest user that is kept, in bytes: what differs of it goes into one event.
const MAX_USER: usize = 64 * 1024;
/// The largest group, with all its members.
const MAX_GROUP: usize = limits::MIN_PAYLOAD - 16 * 1024;
/// Members looked up at once.
const LOOKUPS: usize = 16;

impl Call<'_> {
    pub(super) async fn create(&self, kind: Kind) -> Result<Answer, Failed> {
        let (source, directory) = (self.asked.source, &self.server.directory);
        let resource = normal::resource(kind, &self.asked.json()?)?;
        let view = Query::parse(self.asked.query)?.view;
        let name = kind.name_of(&resource);
        let name_key = record::name_key(source, kind, &name);
        let _alone = self.server.lock(&name_key).await;
        for _ in 0..MAX_TRIES {
            let noted = directory.get(&name_key).await?;
            if let Some(noted) = noted.as_ref().filter(|noted| !noted.value.is_empty()) {
                let holder = String::from_utf8_lossy(&noted.value).into_owned();
                self.tell_what_is_left(kind, &holder).await?;
                let known = self.server.known(source, kind, &holder).await?;
                return match known.filter(|known| is_again(&known.record, &resource, self.asked.now)) {
                    Some(known) => Ok(self.answered(StatusCode::CREATED, kind, &known, &view)),
                    None => Err(taken(kind).into()),
                };
            }
            let before = noted.map_or(0, |noted| noted.revision);
            let parts = ["scim", source.as_str(), kind.word(), &name, &before.to_string()];
            let id = EventId::derived(&parts).to_string();
            let key = record::key(source, kind, &id).ok_or(Refusal::Internal("an id that is none"))?;
            let now = self.asked.now;
            let record = Record { created: now, modified: now, resource: resource.clone() };
            let value = written(kind, &record)?;
            let events = self.events(kind, &id, None, Some(&resource), (false, before)).await?;
            let name = Write { key: name_key.clone(), expected: before, value: id.clone().into_bytes() };
            let record_write = Write { key, expected: 0, value };
            if let Some(revision) = self.made(kind, &id, vec![name], record_write, events).await? {
                return Ok(self.answered(StatusCode::CREATED, kind, &Known { id, record, revision }, &view));
            }
        }
        Err(Refusal::Busy.into())
    }

    pub(super) async fn change(&self, kind: Kind, id: &str) -> Result<Answer, Failed> {
        let source = self.asked.source;
        let body = self.asked.json()?;
        let view = Query::parse(self.asked.query)?.view;
        let is_patch = self.asked.method == Method::PATCH;
        let status = if is_patch && kind == Kind::Group { StatusCode::NO_CONTENT } else { StatusCode::OK };
        let _alone = self.server.lock(id).await;
        for _ in 0..MAX_TRIES {
            self.tell_what_is_left(kind, id).await?;
            let known = self.there(kind, id).await?;
            let mut resource = known.record.resource.clone();
            let password = if is_patch {
                let patched = patch::apply(&mut resource, &body)?;
                normal::checked(kind, &resource)?;
                patched.password
            } else {
                resource = normal::resource(kind, &body)?;
                false
            };
            if resource == known.record.resource && !password {
                return Ok(self.answered(status, kind, &known, &view));
            }
            let record = Record { modified: self.asked.now, resource, ..known.record.clone() };
            let value = written(kind, &record)?;
            let names = self.renamed(kind, id, &known.record.resource, &record.resource).await?;
            let (before, after) = (Some(&known.record.resource), Some(&record.resource));
            let events = self.events(kind, id, before, after, (password, known.revision)).await?;
            let key = record::key(source, kind, id).ok_or(Refusal::Internal("an id that is none"))?;
            let write = Write { key, expected: known.revision, value };
            if let Some(revision) = self.made(kind, id, names, write, events).await? {
                return Ok(self.answered(status, kind, &Known { id: id.to_owned(), record, revision }, &view));
            }
        }
        Err(Refusal::Busy.into())
    }

    pub(super) async fn delete(&self, kind: Kind, id: &str) -> Result<Answer, Failed> {
        let source = self.asked.source;
        let _alone = self.server.lock(id).await;
        for _ in 0..MAX_TRIES {
            self.tell_what_is_left(kind, id).await?;
            let known = self.there(kind, id).await?;
            let names = self.renamed(kind, id, &known.record.resource, &Map::new()).await?;
            let events = self.events(kind, id, Some(&known.record.resource), None, (false, known.revision)).await?;
            let key = record::key(source, kind, id).ok_or(Refusal::Internal("an id that is none"))?;
            let write = Write { key, expected: known.revision, value: Vec::new() };
            if self.made(kind, id, names, write, events).await?.is_some() {
                return Ok(Answer { status: StatusCode::NO_CONTENT, ..Answer::default() });
            }
        }
        Err(Refusal::Busy.into())
    }

    /// What to write where names are noted, when a resource gets another one or none.
    async fn renamed(&self, kind: Kind, id: &str, before: &Object, after: &Object) -> Result<Vec<Write>, Failed> {
        let (old, new) = (kind.name_of(before), kind.name_of(after));
        let mut writes = Vec::new();
        if old == new {
            return Ok(writes);
        }
        for (name, is_new) in [(old, false), (new, true)].into_iter().filter(|(name, _)| !name.is_empty()) {
            let key = record::name_key(self.asked.source, kind, &name);
            let noted = self.server.directory.get(&key).await?;
            let (whose, expected) = noted.map_or((Vec::new(), 0), |noted| (noted.value.to_vec(), noted.revision));
            let is_own = whose == id.as_bytes();
            match (is_new, is_own) {
                (true, false) if !whose.is_empty() => return Err(taken(kind).into()),
                (true, false) => writes.push(Write { key, expected, value: id.as_bytes().to_vec() }),
                (false, true) => writes.push(Write { key, expected, value: Vec::new() }),
                _ => {}
            }
        }
        Ok(writes)
    }

    /// Makes a change, and tells it; the new revision, or none where somebody else was quicker.
    async fn made(
        &self,
        kind: Kind,
        id: &str,
        mut writes: Vec<Write>,
        record: Write,
        events: Vec<Ready>,
    ) -> Result<Option<u64>, Failed> {
        let prefix = untold::prefix(self.asked.source, kind, id);
        writes.extend(untold::writes(&prefix, &events));
        writes.push(record);
        let Some(revision) = overtaken(self.server.directory.write(&writes).await)? else { return Ok(None) };
        if !events.is_empty() {
            self.events.publish(events).await?;
            // What stays is told again, as the same events.
            if let Err(error) = self.server.directory.forget(&prefix, revision).await {
                tracing::debug!(%error, id, "events that were told stay in the bucket");
            }
        }
        Ok(Some(revision))
    }

    /// Tells what whoever changed it last did not come to tell.
    async fn tell_what_is_left(&self, kind: Kind, id: &str) -> Result<(), Failed> {
        let (source, directory) = (self.asked.source, &*self.server.directory);
        if record::key(source, kind, id).is_none() {
            return Ok(());
        }
        let Some(left) = Left::of(directory, untold::prefix(source, kind, id)).await? else { return Ok(()) };
        self.events.publish(left.events()).await?;
        left.told(directory).await?;
        Ok(())
    }

    /// The events of a change, made with nothing changed yet: what the map refuses is not done.
    async fn events(
        &self,
        kind: Kind,
        id: &str,
        before: Option<&Object>,
        after: Option<&Object>,
        (password, revision): (bool, u64),
    ) -> Result<Vec<Ready>, Failed> {
        let people = match kind {
            Kind::Group if after.is_some() => self.people(members_of(before, after)).await?,
            _ => BTreeMap::new(),
        };
        let (method, at) = (self.asked.method.as_str(), Some((revision, self.asked.now)));
        let events = Change { kind, id: Some(id), before, after, password, method, at, people: &people }.events();
        Ok(if events.is_empty() { Vec::new() } else { self.events.mapped(events).await? })
    }

    /// Those of these users who are known.
    async fn people(&self, ids: impl IntoIterator<Item = String>) -> Result<BTreeMap<String, Object>, Failed> {
        let (server, source) = (self.server, self.asked.source);
        let found = stream::iter(ids).map(async |id| server.known(source, Kind::User, &id).await);
        let found = found.buffer_unordered(LOOKUPS).try_filter_map(async |known| Ok(known));
        let found: Vec<Known> = found.try_collect().await?;
        Ok(found.into_iter().map(|known| (known.id, known.record.resource)).collect())
    }
}

/// Whether making this is what made the record, asked once more: whoever was not answered asks again. The record alone
/// decides, and not who came to tell its events.
fn is_again(record: &Record, resource: &Object, now: Time) -> bool {
    let is_unchanged = record.resource == *resource && record.created == record.modified;
    is_unchanged && now.millis_since(record.created) <= AGAIN_WITHIN
}

fn taken(kind: Kind) -> ScimError {
    ScimError::taken(format!("another {} has this {}", kind.name(), kind.name_attribute()))
}

fn written(kind: Kind, record: &Record) -> Result<Vec<u8>, Failed> {
    let most = if kind == Kind::User { MAX_USER } else { MAX_GROUP };
    let bytes = serde_json::to_vec(record).map_err(|_| Refusal::Internal("a record cannot be written as JSON"))?;
    if bytes.len() > most {
        return Err(ScimError::too_large(format!("a {} has at most {most} bytes", kind.name())).into());
    }
    Ok(bytes)
}

/// The new revision; none where somebody else was quicker.
fn overtaken(written: Result<u64, WriteError>) -> Result<Option<u64>, Failed> {
    match written {
        Ok(revision) => Ok(Some(revision)),
        Err(WriteError::Overtaken) => Ok(None),
        Err(WriteError::Bus(error)) => Err(error.into()),
    }
}

//! A broker that serves SCIM, and the stream that all of them share.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use axum::http::{Method, StatusCode};
use emote_proto::{EventId, Name, Time};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{
    super::{Answer, Events, Failed, Memory, Refusal, Served, Server, Untold},
    PATCH,
};
use crate::{
    form,
    ingest::{Publish, PublishError, Ready},
};

/// Keeps events, each id once, unless it is away.
#[derive(Default)]
pub(super) struct Stream {
    pub(super) events: Mutex<Vec<Value>>,
    pub(super) known: Mutex<BTreeSet<EventId>>,
    pub(super) away: Mutex<bool>,
    /// Whose events are refused.
    pub(super) refused: Mutex<Option<&'static str>>,
    /// What happens between a change is made up and it is written.
    pub(super) meanwhile: Mutex<Option<BoxFuture<'static, ()>>>,
}

#[async_trait::async_trait]
impl Events for Stream {
    async fn mapped(&self, events: Vec<Value>) -> Result<Vec<Ready>, Refusal> {
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile.await;
        }
        let ready = |event: &Value| {
            let subject = "events.hr.-.user.created".parse().unwrap();
            (subject, EventId::derived(&[event["event_id"].as_str().unwrap()]), event.to_string().into())
        };
        Ok(events.iter().map(ready).collect())
    }

    async fn publish(&self, events: Vec<Ready>) -> Result<(), Refusal> {
        if *self.away.lock().unwrap() {
            return Err(Refusal::Unavailable);
        }
        let refused = *self.refused.lock().unwrap();
        let is_of = |name: &str| events.iter().any(|(.., json)| String::from_utf8_lossy(json).contains(name));
        if refused.is_some_and(is_of) {
            return Err(Refusal::Unavailable);
        }
        let new = events.into_iter().filter(|(_, id, _)| self.known.lock().unwrap().insert(*id));
        self.events.lock().unwrap().extend(new.map(|(.., json)| serde_json::from_slice(&json).unwrap()));
        Ok(())
    }
}

#[async_trait::async_trait]
impl Publish for Stream {
    async fn publish(&self, events: Vec<Ready>) -> Result<(), PublishError> {
        let published = Events::publish(self, events).await;
        published.map_err(|refusal| PublishError::Unavailable(refusal.to_string()))
    }
}

/// A broker, and the stream that all of them share.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) server: Arc<Server>,
    pub(super) directory: Arc<Memory>,
    pub(super) stream: Arc<Stream>,
    /// What a clock shows, in milliseconds since 1970.
    pub(super) clock: Arc<AtomicI64>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let directory = Arc::<Memory>::default();
        let clock = Arc::new(AtomicI64::new(1_772_600_767_891));
        Self { server: Arc::new(Server::new(directory.clone())), directory, stream: Arc::default(), clock }
    }

    /// Another broker.
    pub(super) fn other(&self) -> Self {
        Self { server: Arc::new(Server::new(self.directory.clone())), ..self.clone() }
    }

    pub(super) fn away(&self, away: bool) {
        *self.stream.away.lock().unwrap() = away;
    }

    pub(super) fn minutes_pass(&self, minutes: i64) {
        self.clock.fetch_add(minutes * 60_000, Ordering::Relaxed);
    }

    /// What a broker does now and then.
    pub(super) async fn look(&self) {
        Untold { directory: self.directory.clone(), publisher: self.stream.clone() }.look().await.unwrap();
    }

    pub(super) async fn ask(
        &self,
        method: &Method,
        path: &str,
        body: &Value,
        if_match: Option<&str>,
    ) -> Result<Answer, Failed> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query = form::object(form::pairs(query.as_bytes()).unwrap());
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let now = Time::from_millis(self.clock.load(Ordering::Relaxed)).unwrap();
        let source = Name::new("hr").unwrap();
        let served = Served {
            source: &source,
            method,
            path,
            query: &query,
            if_match,
            if_none_match: None,
            base: "https://emote.example.com/in/hr",
            body: body.as_bytes(),
            now,
        };
        self.server.serve(&served, &*self.stream).await
    }

    pub(super) async fn done(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let answer = self.ask(&method, path, &body, None).await;
        let answer = answer.unwrap_or_else(|failed| panic!("{method} {path} {body}: {failed:?}"));
        (answer.status, answer.body.unwrap_or_default())
    }

    pub(super) async fn refused(&self, method: Method, path: &str, body: Value) -> (u16, Option<&'static str>) {
        match self.ask(&method, path, &body, None).await {
            Err(Failed::Scim(error)) => (error.status.as_u16(), error.kind),
            other => panic!("{method} {path} {body}: {other:?}"),
        }
    }

    pub(super) async fn user(&self, name: &str) -> String {
        let (status, body) = self.done(Method::POST, "scim/v2/Users", json!({"userName": name, "active": true})).await;
        assert_eq!(status, StatusCode::CREATED);
        body["id"].as_str().unwrap().to_owned()
    }

    /// Scope and action, and whom or what it is about, of the events since it was last asked.
    pub(super) fn told(&self) -> Vec<String> {
        let events: Vec<Value> = std::mem::take(&mut *self.stream.events.lock().unwrap());
        let said = |event: &Value| {
            let text = |at: &str| event.pointer(at).and_then(Value::as_str).map(str::to_owned);
            let about = text("/user/id").or_else(|| text("/user/scim_id")).or_else(|| text("/info/group"));
            format!("{}.{} {}", text("/scope").unwrap(), text("/action").unwrap(), about.unwrap_or_default())
        };
        events.iter().map(said).collect()
    }

    /// Sends operations to a user, and gives what became of it.
    pub(super) async fn patched(&self, id: &str, operations: Value) -> Value {
        let body = json!({"schemas": [PATCH], "Operations": operations});
        self.done(Method::PATCH, &format!("Users/{id}"), body).await.1
    }
}

//! `poll` and `reconcile` of a source's file: read and validated without secrets, then made ready with them.

use std::{path::Path, sync::Arc, time::Duration};

use reqwest::{
    Method,
    header::{HeaderMap, HeaderName},
};
use serde_json::{Map, Value};

use super::{Kind, LONGEST, Poll, SHORTEST};
use crate::{
    config::{Problems, fields::Fields, text::Template},
    jq::Program,
    targets::{
        DeliverySettings, address,
        connections::Tls,
        http::{
            auth::{self, Auth, AuthRef, filled, header_map, texts},
            place::Place,
            reading::{headers, method, tls},
        },
        spec::Setup,
        wire::Client,
    },
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The most pages of a round, whatever a file says.
const MAX_PAGES: u32 = 10_000;

/// What is asked of the vendor, how often and how far back; nothing in it is wrong, and its secrets are still references.
#[derive(Debug)]
pub struct Plan {
    /// What it is for.
    pub kind: Kind,
    /// From the beginning of one round to that of the next.
    pub every: Duration,
    /// How far back the first round looks.
    pub(super) start: Duration,
    /// How far each later round looks back before the one before it.
    pub(super) overlap: Duration,
    /// How long webhooks have to tell something themselves.
    pub(super) grace: Duration,
    /// The most pages of a round.
    pub(super) max_pages: u32,
    /// How long a request may take.
    pub(super) timeout: Duration,
    pub(super) method: Method,
    pub(super) place: Place,
    pub(super) body: Option<Program>,
    pub(super) items: Option<Program>,
    pub(super) next: Option<Program>,
    pub(super) cursor: Option<Program>,
    /// Whether an event was told already by other means than its id.
    pub(super) unless: Option<Program>,
    /// How security events are asked for, where that is what is fetched; then there are no pages.
    pub(super) sets: Option<Asking>,
    /// The source's settings that are no secrets, for programs.
    pub(super) settings: Value,
    insecure: bool,
    url: Template,
    headers: Vec<(HeaderName, Template)>,
    /// What the body holds that its program does not see.
    body_secrets: Vec<(String, Template)>,
    auth: Option<AuthRef>,
    tls: Tls,
}

/// What security events are asked for with (RFC 8936).
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking {
    /// The most of an answer.
    pub(super) max_events: u32,
    /// Whether the transmitter is to wait until there are some.
    pub(super) waits: bool,
}

impl Plan {
    /// Whether what is fetched are security events.
    pub(crate) fn is_of_sets(&self) -> bool {
        self.sets.is_some()
    }

    /// Reads the fields of a file's key.
    pub(crate) fn of(kind: Kind, fields: &mut Fields<'_>) -> Option<Self> {
        read(kind, fields, Value::Null)
    }

    /// Reads the fields of `map`, which stands in the file under the kind's key.
    pub(crate) fn read(kind: Kind, map: &Map<String, Value>, settings: Value, problems: &mut Problems) -> Option<Self> {
        let mut inner = Problems::default();
        let mut fields = Fields::new(map, &mut inner);
        let plan = read(kind, &mut fields, settings);
        fields.finish();
        let is_right = inner.is_empty();
        problems.add_all(kind.key(), inner);
        plan.filter(|_| is_right)
    }

    /// Fetches the secrets; relative paths are taken from `folder`.
    pub(crate) fn resolve(self: &Arc<Self>, folder: &Path, problems: &mut Problems) -> Option<Poll> {
        let mut inner = Problems::default();
        let poll = self.ready(folder, &mut inner);
        let is_right = inner.is_empty();
        problems.add_all(self.kind.key(), inner);
        poll.filter(|_| is_right)
    }

    fn ready(self: &Arc<Self>, folder: &Path, problems: &mut Problems) -> Option<Poll> {
        let delivery = DeliverySettings { timeout: self.timeout, concurrency: 1, ..DeliverySettings::default() };
        let setup = Setup { folder, settings: None, name: "poll", delivery: &delivery, script: None };
        let address = address::resolve(&self.url, "url", self.insecure, &setup, problems);
        let auth = self.auth.as_ref().map(|auth| auth.resolve(self.insecure, &setup, problems));
        let body_secrets = filled(&self.body_secrets, "body_secrets", &setup, problems);
        let mut secrets = Vec::new();
        let headers: HeaderMap = header_map(&self.headers, "headers", &setup, &mut secrets, problems);
        let (url, of_url) = address?;
        let (auth, of_auth) = match auth {
            None => (Auth::None, Vec::new()),
            Some(auth) => auth?,
        };
        let (body_secrets, of_body) = body_secrets?;
        secrets.extend(of_url.into_iter().chain(of_auth).chain(of_body));
        let client = problems.take("tls", Client::with_tls(&setup, &url, secrets, &self.tls))?;
        Some(Poll { client, url, headers, body_secrets, auth, plan: Arc::clone(self) })
    }
}

fn read(kind: Kind, fields: &mut Fields<'_>, settings: Value) -> Option<Plan> {
    let is_of_sets = fields.parsed("protocol", |value| match value.as_str() {
        Some("pages") => Ok(false),
        Some("sets") if kind == Kind::Poll => Ok(true),
        _ => Err("expected pages, or under `poll` sets: security events (RFC 8936)".to_owned()),
    });
    if is_of_sets == Some(true) {
        return read_sets(fields, settings);
    }
    let insecure = fields.flag("insecure").unwrap_or_default();
    let url = address::read(fields, "url", insecure, "url: https://api.example.com/v1/events");
    let every = fields.duration("every", SHORTEST..=LONGEST);
    let every = every.unwrap_or(if kind == Kind::Poll { 5 * MINUTE } else { 30 * MINUTE });
    let start = fields.duration("start", Duration::ZERO..=90 * DAY).unwrap_or(DAY);
    let overlap = fields.duration("overlap", Duration::ZERO..=DAY).unwrap_or(5 * MINUTE);
    let max_pages = fields.number("max_pages", 1..=MAX_PAGES).unwrap_or(100);
    let timeout = fields.duration("timeout", SECOND..=10 * MINUTE).unwrap_or(30 * SECOND);
    let method = if fields.has("method") { method(fields) } else { Some(Method::GET) };
    if method.as_ref().is_some_and(|method| !matches!(*method, Method::GET | Method::POST)) {
        fields.problem("method", "fetching changes nothing: expected GET or POST");
    }
    let headers = headers(fields);
    let auth = fields.object("auth", |fields| auth::read(fields, insecure)).flatten();
    let place = Place { path: fields.jq("path"), query: fields.jq("query") };
    let (body, body_secrets) = (fields.jq("body"), texts(fields, "body_secrets"));
    if (body.is_some() || !body_secrets.is_empty()) && method.as_ref() == Some(&Method::GET) {
        fields.problem("body", "a GET has none: say method: POST");
    }
    let (items, next) = (fields.jq("items"), fields.jq("next"));
    let (mut cursor, mut unless, mut grace) = (None, None, Duration::ZERO);
    match kind {
        Kind::Poll => cursor = fields.jq("cursor"),
        Kind::Reconcile => {
            unless = fields.jq("unless");
            grace = fields.duration("grace", Duration::ZERO..=12 * HOUR).unwrap_or(10 * MINUTE);
        }
    }
    let tls = fields.object("tls", tls).unwrap_or_default();
    Some(Plan {
        kind,
        every,
        start,
        overlap,
        grace,
        max_pages,
        timeout,
        method: method?,
        place,
        body,
        items,
        next,
        cursor,
        unless,
        sets: None,
        settings,
        insecure,
        url: url?,
        headers,
        body_secrets,
        auth,
        tls,
    })
}

/// Of security events: what is asked is said by RFC 8936, and what was not acknowledged comes again.
fn read_sets(fields: &mut Fields<'_>, settings: Value) -> Option<Plan> {
    let insecure = fields.flag("insecure").unwrap_or_default();
    let url = address::read(fields, "url", insecure, "url: https://idp.example.com/ssf/poll/STREAM");
    let waits = fields.flag("long_poll").unwrap_or(true);
    let every = fields.duration("every", SHORTEST..=LONGEST).unwrap_or(if waits { 10 * SECOND } else { MINUTE });
    let timeout = fields.duration("timeout", SECOND..=10 * MINUTE);
    let timeout = timeout.unwrap_or(if waits { 5 * MINUTE } else { 30 * SECOND });
    let max_events = fields.number("max_events", 1..=1000).unwrap_or(100);
    let max_pages = fields.number("max_pages", 1..=MAX_PAGES).unwrap_or(100);
    let headers = headers(fields);
    let auth = fields.object("auth", |fields| auth::read(fields, insecure)).flatten();
    let tls = fields.object("tls", tls).unwrap_or_default();
    Some(Plan {
        kind: Kind::Poll,
        every,
        start: Duration::ZERO,
        overlap: Duration::ZERO,
        grace: Duration::ZERO,
        max_pages,
        timeout,
        method: Method::POST,
        place: Place { path: None, query: None },
        body: None,
        items: None,
        next: None,
        cursor: None,
        unless: None,
        sets: Some(Asking { max_events, waits }),
        settings,
        insecure,
        url: url?,
        headers,
        body_secrets: Vec::new(),
        auth,
        tls,
    })
}

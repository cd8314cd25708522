//! A source: validated without its secrets it is a [`Plan`], with them it is a [`Source`], whichever way what
//! it tells comes: by HTTP, fetched, at sockets or as files.

mod rehearse;

use std::{
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use emote_proto::{Draft, EventId, Name, Subject, Time, Trust};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    Aliases, Cidr, Conform, Dedupe, Denied, HandshakeSpec, Moment, Piece, Pieces, Protocol, Refusal, ReplySpec,
    Request, Unverified, Verified, VerifySpec,
    decode::Decoder,
    map::Mapping,
    verify::{Check, Mark, Proof},
};
use crate::{
    config::Problems,
    intake::{
        folder::{self, Folder},
        socket::{self, Socket},
    },
    poll::{self, Poll},
    rate::{Bucket, Rate},
    schema::events::Vocabulary,
};

/// A source whose settings are right, without its secrets.
pub struct Plan {
    pub(super) verify: VerifySpec,
    pub(super) protocol: Protocol,
    pub(super) decoder: Decoder,
    pub(super) mapping: Mapping,
    pub(super) handshake: Option<HandshakeSpec>,
    pub(super) reply: Option<ReplySpec>,
    pub(super) max_body: usize,
    pub(super) rate: Option<Rate>,
    pub(super) from: Option<Vec<Cidr>>,
    /// Whether it takes webhooks; a source that is polled need not.
    pub(super) webhooks: bool,
    pub(super) polls: Vec<Arc<poll::Plan>>,
    /// Where it listens by itself.
    pub(super) sockets: Vec<socket::Plan>,
    pub(super) folder: Option<Arc<folder::Plan>>,
    pub(super) silent_after: Option<Duration>,
}

/// A source with its secrets: what comes of it is verified, decoded and mapped. Not each takes webhooks.
pub struct Source {
    check: Box<dyn Check>,
    bucket: Option<Mutex<Bucket>>,
    polls: Vec<Arc<Poll>>,
    sockets: Vec<Socket>,
    folder: Option<Arc<Folder>>,
    plan: Plan,
}

/// A message that was taken at a socket.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// As it came.
    pub(crate) bytes: Bytes,
    /// How far its sender is trusted.
    pub(crate) trust: Trust,
    /// What tells it apart from every other message, where it does not do so itself.
    pub(crate) mark: String,
}

/// A file that was dropped, as its events tell of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dropped<'a> {
    /// Its name in the folder.
    pub(crate) name: &'a str,
    /// When it was written, in ns since 1970.
    pub(crate) written: i128,
    /// What its events are believed as.
    pub(crate) trust: Trust,
}

/// What a verified request was.
#[derive(Debug)]
pub enum Taken {
    /// These events, perhaps none.
    Events(Vec<Draft>),
    /// The vendor's question, with this challenge in it.
    Question(String),
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("source", &self.mapping.source).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("name", self.name()).finish_non_exhaustive()
    }
}

impl Plan {
    /// With the schemas of a configuration in place of those that are built in.
    #[must_use]
    pub fn with_vocabulary(mut self, vocabulary: Option<Arc<Vocabulary>>) -> Self {
        self.mapping.conformity.vocabulary = vocabulary;
        self
    }

    /// Fetches the secrets; relative files are taken from `folder`.
    pub fn resolve(self, folder: &Path) -> Result<Source, Problems> {
        let mut inner = Problems::default();
        let check = self.verify.resolve(folder, &mut inner);
        let mut problems = Problems::default();
        problems.add_all("verify", inner);
        let ready = |plan: &Arc<poll::Plan>| plan.resolve(folder, &mut problems).map(Arc::new);
        let polls = self.polls.iter().filter_map(ready).collect();
        match check {
            Some(check) if problems.is_empty() => {
                let bucket = self.rate.map(|rate| Mutex::new(Bucket::new(rate)));
                let sockets = self.sockets.iter().map(|plan| plan.in_folder(folder)).collect();
                let folder = self.folder.as_ref().map(|plan| Arc::new(plan.at(folder)));
                Ok(Source { check, bucket, polls, sockets, folder, plan: self })
            }
            _ => Err(problems),
        }
    }

    /// After how long without a word from it that is told; none where it is not.
    pub fn silent_after(&self) -> Option<Duration> {
        self.silent_after
    }

    /// How what it tells comes: `webhook`, `poll`, `reconcile`, `udp`, `tcp`, `tls`, `folder`.
    pub fn kinds(&self) -> Vec<&'static str> {
        self.ways().into_iter().map(|(kind, _)| kind).collect()
    }

    /// The same, each with where that is: the path of a URL, how often it is asked, an address, a folder.
    pub fn ways(&self) -> Vec<(&'static str, String)> {
        let name = &self.mapping.source;
        let below = if self.protocol == Protocol::Scim { "/scim/v2" } else { "" };
        let webhook = self.webhooks.then(|| ("webhook", format!("/in/{name}{below}")));
        let every = |every: Duration| format!("every {:#}", jiff::SignedDuration::try_from(every).unwrap_or_default());
        let polls = self.polls.iter().map(|plan| (plan.kind.key(), every(plan.every)));
        let sockets = self.sockets.iter().map(|plan| (plan.transport(), plan.address().to_string()));
        let folder = self.folder.as_ref().map(|plan| ("folder", plan.path().display().to_string()));
        webhook.into_iter().chain(polls).chain(sockets).chain(folder).collect()
    }

    /// Whether it listens by itself, for messages that come without HTTP.
    pub fn takes_messages(&self) -> bool {
        !self.sockets.is_empty()
    }

    /// Where it listens by itself.
    pub(crate) fn sockets(&self) -> &[socket::Plan] {
        &self.sockets
    }

    /// Whether its events are held against their schemas.
    pub fn conform(&self) -> Conform {
        self.mapping.conformity.mode
    }

    /// The events that a message stands for which was taken at a socket.
    fn heard(
        &self,
        heard: Heard,
        message: &Value,
        aliases: &dyn Aliases,
        moment: &Moment,
    ) -> Result<Vec<Draft>, Refusal> {
        let proof = Proof { trust: heard.trust, claims: None, mark: Some(Mark::Id(heard.mark)), signed: None };
        let request = Request::new(HeaderMap::new(), "", heard.bytes).unchecked(proof);
        self.mapping.drafts(&request, message, (None, None), aliases, moment)
    }

    /// Whether files are taken for it.
    pub fn takes_files(&self) -> bool {
        self.folder.is_some()
    }

    /// What is read of a file, cut as this source takes it.
    fn pieces<R: std::io::BufRead>(&self, read: R) -> Pieces<R> {
        Pieces::of(read, self.decoder.is_of_lines(), self.max_body)
    }

    /// The events that a piece of a file stands for. It is told from all others by the file's name, its own content and place,
    /// and, where nothing else does, by when the file was written.
    fn dropped(
        &self,
        file: &Dropped<'_>,
        piece: Piece,
        aliases: &dyn Aliases,
        moment: &Moment,
    ) -> Result<Vec<Draft>, Refusal> {
        let body = piece.body.map_err(Refusal::Undecodable)?;
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&body));
        let written = (self.mapping.dedupe == Dedupe::None).then(|| file.written.to_string());
        let mark = Mark::Id(json!(["file", file.name, digest, piece.line, written]).to_string());
        let query = [("file".to_owned(), Value::from(file.name)), ("line".to_owned(), piece.line.into())];
        let request = Request::new(HeaderMap::new(), "", body).asking(query.into_iter().collect());
        let mut request = request.unchecked(Proof { trust: file.trust, claims: None, mark: Some(mark), signed: None });
        let decoded = self.decoder.decode_unlabelled(&mut request)?;
        self.mapping.drafts(&request, &decoded, (None, None), aliases, moment)
    }
}

impl Source {
    /// The source's name, the one in its URL and in its events.
    pub fn name(&self) -> &Name {
        &self.plan.mapping.source
    }

    /// Largest body in bytes.
    pub fn max_body(&self) -> usize {
        self.plan.max_body
    }

    /// Whether it takes webhooks.
    pub fn takes_webhooks(&self) -> bool {
        self.plan.webhooks
    }

    /// Whether its events are held against their schemas.
    pub(crate) fn is_held(&self) -> bool {
        self.plan.conform() != Conform::Off
    }

    /// What is fetched for it.
    pub(crate) fn polls(&self) -> &[Arc<Poll>] {
        &self.polls
    }

    /// Where it listens by itself.
    pub(crate) fn sockets(&self) -> &[Socket] {
        &self.sockets
    }

    /// The events that a message stands for which was taken at a socket.
    pub(crate) fn heard(
        &self,
        heard: Heard,
        message: &Value,
        aliases: &dyn Aliases,
        moment: &Moment,
    ) -> Result<Vec<Draft>, Refusal> {
        self.plan.heard(heard, message, aliases, moment)
    }

    /// How often it must give a sign of life, where that is not as often as others do.
    pub(crate) fn sign_every(&self) -> Option<Duration> {
        self.plan.silent_after.map(|after| (after / 3).min(poll::SIGN_EVERY))
    }

    /// The events that an item stands for which was fetched.
    pub(crate) fn polled(
        &self,
        item: &Value,
        trust: Trust,
        aliases: &dyn Aliases,
        moment: &Moment,
    ) -> Result<Vec<Draft>, Refusal> {
        let request = Request::new(HeaderMap::new(), "", item.to_string().into());
        let request = request.unchecked(Proof::from(trust));
        self.plan.mapping.drafts(&request, item, (None, None), aliases, moment)
    }

    /// Gets the keys that a security event needs which was fetched.
    pub(crate) async fn prepare_set(&self, set: &str) {
        self.check.prepare(&as_pushed(set)).await;
    }

    /// The events that a security event (RFC 8417) stands for which was fetched under the name `jti`: it is checked as one
    /// that is pushed.
    pub(crate) fn fetched_set(
        &self,
        jti: &str,
        set: &str,
        aliases: &dyn Aliases,
        moment: &Moment,
    ) -> Result<Vec<(Subject, EventId, Bytes)>, Refusal> {
        let request = as_pushed(set).verify_fetched(&*self.check, moment.now)?;
        if request.mark() != Some(&Mark::Id(jti.to_owned())) {
            let denied = Denied::new("the token's `jti` is not the one that it was sent under");
            return Err(denied.err("invalid_request").into());
        }
        let claims = request.claims().cloned().map(Value::Object).unwrap_or_default();
        self.addressed(&self.plan.mapping.drafts(&request, &claims, (None, None), aliases, moment)?)
    }

    /// Where files are dropped for it.
    pub(crate) fn folder(&self) -> Option<&Arc<Folder>> {
        self.folder.as_ref()
    }

    /// What is read of a file, cut as this source takes it.
    pub(crate) fn pieces<R: std::io::BufRead>(&self, read: R) -> Pieces<R> {
        self.plan.pieces(read)
    }

    /// The events that a piece of a file stands for, with their subjects and ids.
    pub(crate) fn dropped(
        &self,
        file: &Dropped<'_>,
        piece: Piece,
        aliases: &dyn Aliases,
        moment: &Moment,
    ) -> Result<Vec<(Subject, EventId, Bytes)>, Refusal> {
        self.addressed(&self.plan.dropped(file, piece, aliases, moment)?)
    }

    /// What is published of these: each with its subject and id.
    pub(crate) fn addressed(&self, drafts: &[Draft]) -> Result<Vec<(Subject, EventId, Bytes)>, Refusal> {
        let of = |(at, draft): (usize, &Draft)| {
            let unmapped = |problem: String| Refusal::Unmapped { output: Some(at), problem };
            let subject = draft.subject(self.name().clone()).map_err(|error| unmapped(error.to_string()))?;
            let id = draft.id.ok_or_else(|| unmapped("it has no id".to_owned()))?;
            Ok((subject, id, draft.to_json().into()))
        };
        drafts.iter().enumerate().map(of).collect()
    }

    /// What it speaks.
    pub(super) fn protocol(&self) -> Protocol {
        self.plan.protocol
    }

    pub(super) fn handshake(&self) -> Option<&HandshakeSpec> {
        self.plan.handshake.as_ref()
    }

    pub(super) fn reply(&self) -> Option<&ReplySpec> {
        self.plan.reply.as_ref()
    }

    /// Whether requests from this address are taken at all.
    pub(crate) fn takes_from(&self, sender: Option<IpAddr>) -> bool {
        let within = |ranges: &[Cidr]| sender.is_some_and(|sender| ranges.iter().any(|range| range.contains(sender)));
        self.plan.from.as_deref().is_none_or(within)
    }

    /// Whether requests are answered as RFC 8935 says.
    pub(super) fn takes_security_events(&self) -> bool {
        self.check.takes_security_events()
    }

    /// Gets what [`Self::take`] will need from elsewhere for this request, such as keys.
    pub async fn prepare(&self, request: &Request<Unverified>) {
        self.check.prepare(request).await;
    }

    /// Lets a request in, whose body is of no concern for that, or does not; one that is let in counts towards the rate.
    pub(super) fn let_in(
        &self,
        request: Request<Unverified>,
        now: Time,
        instant: Instant,
    ) -> Result<Request<Verified>, Refusal> {
        let request = request.verify(&*self.check, now)?;
        self.admit(instant)?;
        Ok(request)
    }

    /// The events that these become, which a server of this source has made of a request.
    pub(super) fn drafts_of(
        &self,
        request: &Request<Verified>,
        events: Vec<Value>,
        aliases: &dyn Aliases,
        moment: &Moment,
    ) -> Result<Vec<Draft>, Refusal> {
        let hidden = (self.check.secret_header(), self.check.secret_query());
        self.plan.mapping.all_drafts(request, events, hidden, aliases, moment)
    }

    /// Whether a request proves who sent it, and nothing more.
    pub(super) fn prove(&self, request: Request<Unverified>, now: Time) -> Result<(), Refusal> {
        request.verify(&*self.check, now).map(drop)
    }

    /// What a request stands for: verified, decoded and mapped, each with id, source and trust. Only what was
    /// verified counts towards the source's rate, so that nobody else uses it up; `instant` is now.
    pub fn take(
        &self,
        request: Request<Unverified>,
        aliases: &dyn Aliases,
        moment: &Moment,
        instant: Instant,
    ) -> Result<Taken, Refusal> {
        let request = request.verify(&*self.check, moment.now)?;
        self.admit(instant)?;
        let mut decoded = match request.claims() {
            Some(claims) => Value::Object(claims.clone()),
            None => self.plan.decoder.decode(&request)?,
        };
        self.check.hide(&mut decoded);
        if let Some(challenge) = self.handshake().and_then(|handshake| handshake.asked(&decoded)) {
            return Ok(Taken::Question(challenge));
        }
        let hidden = (self.check.secret_header(), self.check.secret_query());
        self.plan.mapping.drafts(&request, &decoded, hidden, aliases, moment).map(Taken::Events)
    }

    /// Counts something that came towards the rate, if there is room.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), Refusal> {
        let Some(bucket) = &self.bucket else { return Ok(()) };
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        match bucket.wait(now) {
            wait if wait.is_zero() => bucket.take(now),
            wait => return Err(Refusal::Rate { wait }),
        }
        Ok(())
    }
}

/// A security event as its transmitter would push it (RFC 8935, section 2.1).
fn as_pushed(set: &str) -> Request<Unverified> {
    let of = (header::CONTENT_TYPE, HeaderValue::from_static("application/secevent+jwt"));
    Request::new([of].into_iter().collect(), "", Bytes::copy_from_slice(set.as_bytes()))
}

#[cfg(test)]
mod tests;

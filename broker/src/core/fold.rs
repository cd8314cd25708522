//! One entry of the log after the other: complete it, learn from it, match it, make its jobs.

mod give;
pub(super) mod own;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use emote_proto::{
    Draft, Event, EventError, EventId, Name, Receipt, Replay, Subject, SubjectError, Time, Trust, limits, source,
};
use emote_rules::{RuleSet, Scratch};
use serde_json::{Value, json};

use super::{
    Believed, Deploying, Fanout, Job, Node, Overlay, Policy, Rule, RuleBook, RuleTarget, SharedEvent, StateError,
    Tallied, claims, deploy,
    replay::{self, Opened},
    silence, tally,
};
use give::{Giving, keep_order};

/// Devices of a user that a job names at most.
const MAX_DEVICES_SHOWN: usize = 100;

/// An entry of EVENTS as the stream gives it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// When the stream stored it.
    pub received: Time,
    /// Its subject.
    pub subject: &'a str,
    /// Its `Nats-Msg-Id`.
    pub message_id: Option<&'a str>,
    /// Its body.
    pub payload: &'a [u8],
}

/// Why an entry is no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Its subject is none of an event.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// Its body is none, or contradicts the subject.
    #[error(transparent)]
    Event(#[from] EventError),
    /// It is a replay, and carries no event that could be played again.
    #[error("a replay that cannot be: {0}")]
    Replay(String),
    /// Folding it ended in a panic.
    #[error("folding it failed, which is a mistake in emote: {0}")]
    Panic(String),
}

/// The fold itself: rules, what targets ask, and who is believed. All it remembers is in the [`Overlay`] it is given.
pub struct Core {
    book: RuleBook,
    set: RuleSet<usize>,
    /// What matching works with, kept so that an event costs no allocations.
    scratch: Mutex<Scratch>,
    believed: Believed,
}

/// What an entry says by itself: the half of opening it that needs no knowledge, and may be done ahead.
#[derive(Debug, Clone)]
pub struct Parsed(Box<Read>);

/// Large, and handed on many times.
#[derive(Debug, Clone)]
struct Read {
    subject: Subject,
    draft: Draft,
}

impl Parsed {
    /// Reads subject and body.
    pub fn read(subject: &str, payload: &[u8]) -> Result<Self, Rejection> {
        Ok(Self(Box::new(Read { subject: subject.parse()?, draft: Draft::parse(payload)? })))
    }

    /// Whether it says its id, so that its `Nats-Msg-Id` is of no interest.
    pub fn has_id(&self) -> bool {
        self.0.draft.id.is_some()
    }

    fn of(entry: &Entry<'_>) -> Result<Self, Rejection> {
        Self::read(entry.subject, entry.payload)
    }

    fn complete(self, entry: &Entry<'_>, believed: &Believed) -> Result<Opened, Rejection> {
        let trust = believed.of(self.0.subject.source.as_str(), &self.0.draft);
        self.complete_as(entry, trust, believed)
    }

    fn complete_as(self, entry: &Entry<'_>, trust: Trust, believed: &Believed) -> Result<Opened, Rejection> {
        let Read { subject, draft } = *self.0;
        let (message_id, sequence, received) = (entry.message_id, entry.sequence, entry.received);
        let event = draft.receive(&Receipt { subject: &subject, message_id, sequence, received }, trust)?;
        replay::open(event, entry, believed)
    }
}

/// Completes an entry into an event, without the fold's knowledge: what the command line shows.
pub fn open_entry(entry: &Entry<'_>, believed: &Believed) -> Result<Event, Rejection> {
    Ok(Parsed::of(entry)?.complete(entry, believed)?.event)
}

impl Core {
    /// A core with these rules.
    pub fn new(book: RuleBook) -> Self {
        let set = RuleSet::build(book.rules.iter().enumerate().map(|(index, rule)| (index, rule.pattern.clone())));
        let believed = Believed::new(&book.sources, &book.believed);
        Self { book, set, scratch: Mutex::default(), believed }
    }

    /// The same without rules: it learns, and sets off nothing.
    pub fn without_rules(&self) -> Self {
        Self::new(RuleBook { rules: Vec::new(), ..self.book.clone() })
    }

    /// The hash of its set of rules, where it was applied.
    pub fn hash(&self) -> Option<&str> {
        self.book.hash.as_deref()
    }

    /// Whom it believes.
    pub fn believed(&self) -> &Believed {
        &self.believed
    }

    /// How long sources may be silent until that is told, in milliseconds.
    pub fn silent_after(&self) -> &BTreeMap<Name, i64> {
        &self.book.silent_after
    }

    /// On which terms the agent is deployed, where that is said.
    pub fn deploying(&self) -> Option<&Deploying> {
        self.book.deploying.as_ref()
    }

    /// What `target` asks of whatever is to be done by it.
    pub fn policy(&self, target: &Name) -> Option<&Policy> {
        self.book.policies.get(target)
    }

    /// Folds one entry: updates `state`, gives the jobs it sets off. An entry that is no event gives one job, which
    /// says so in an event.
    pub fn apply(&self, state: &mut Overlay<'_>, entry: &Entry<'_>) -> Result<Vec<Job>, StateError> {
        self.apply_parsed(state, entry, Parsed::of(entry))
    }

    /// [`Core::apply`] of an entry that is believed as `trust`, whoever it comes from: for trying rules.
    pub fn apply_as(&self, state: &mut Overlay<'_>, entry: &Entry<'_>, trust: Trust) -> Result<Vec<Job>, StateError> {
        match Parsed::of(entry).and_then(|parsed| parsed.complete_as(entry, trust, &self.believed)) {
            Ok(opened) => self.apply_event(state, opened, entry.received),
            Err(rejection) => Ok(vec![own::rejected(entry, &rejection)]),
        }
    }

    /// [`Core::apply`] of an entry that was parsed ahead.
    pub fn apply_parsed(
        &self,
        state: &mut Overlay<'_>,
        entry: &Entry<'_>,
        parsed: Result<Parsed, Rejection>,
    ) -> Result<Vec<Job>, StateError> {
        match parsed.and_then(|parsed| parsed.complete(entry, &self.believed)) {
            Ok(opened) => self.apply_event(state, opened, entry.received),
            Err(rejection) => Ok(vec![own::rejected(entry, &rejection)]),
        }
    }

    /// The job that tells of an entry which ended the fold in a panic: our mistake, and the entry is kept.
    pub fn poisoned(entry: &Entry<'_>, panic: &str) -> Job {
        own::rejected(entry, &Rejection::Panic(panic.to_owned()))
    }

    /// Completes an entry into an event, by whom this core believes.
    pub fn open(&self, entry: &Entry<'_>) -> Result<Event, Rejection> {
        open_entry(entry, &self.believed)
    }

    /// A held job that is let through by the order `by`.
    pub fn release(&self, state: &mut Overlay<'_>, job: Job, by: EventId) -> Result<Job, StateError> {
        let mut job = Job { held: None, ordered_by: Some(by), ..job };
        keep_order(state, self.policy(&job.target), &mut job)?;
        Ok(job)
    }

    /// A dead job that is given out again by the order `by`; `None` where it was given out again already.
    pub fn redrive(
        &self,
        state: &mut Overlay<'_>,
        job: Job,
        by: EventId,
        received: Time,
    ) -> Result<Option<Job>, StateError> {
        let mut job = Job { redriven: job.redriven.saturating_add(1), ordered_by: Some(by), after: None, ..job };
        if state.seen_before(EventId::derived(&["redrive", &job.result_id().to_string()]), received)? {
            return Ok(None);
        }
        keep_order(state, self.policy(&job.target), &mut job)?;
        Ok(Some(job))
    }

    /// The job that tells that a held job will not be done, as the order `event` says: its end.
    pub fn denied(job: &Job, event: &Event) -> Job {
        own::denied(job, event)
    }

    /// The job that tells why the order `event` was not carried out, or not wholly.
    pub fn order_refused(event: &Event, reason: &str) -> Job {
        own::order_refused(event, reason)
    }

    fn apply_event(&self, state: &mut Overlay<'_>, opened: Opened, received: Time) -> Result<Vec<Job>, StateError> {
        let Opened { mut event, replay } = opened;
        // The agent's own protocol stores an event once; everything else may be repeated by whoever sends it.
        let once = event.source.as_str() == source::AGENT && replay.is_none();
        if !once && state.seen_before(event.id, received)? {
            return Ok(Vec::new());
        }
        if let Some((rule, target)) = tally::ended(&event) {
            state.count(&rule, |tally| tally.end(&event, received))?;
            state.count(&target, |tally| tally.end(&event, received))?;
        }
        let limit = |name: &str| Some(*self.book.silent_after.iter().find(|(known, _)| known.as_str() == name)?.1);
        // What is played again was said long ago.
        let told = match &replay {
            None => silence::note(state, &event, received, limit)?,
            Some(_) => None,
        };
        join(state, &mut event)?;
        let node = learn(state, &event, received)?;
        let event = SharedEvent::from(event);
        let mut told: Vec<Job> = told.into_iter().collect();
        let mut ordered = Vec::new();
        // What was played again was said long ago; what the broker tells of a job that a replay set off is said now.
        if replay.is_none() || event.source.as_str() == source::BROKER {
            told.extend(deploy::note(state, &event, node.as_deref(), received)?);
            ordered = self.order(state, &event, received)?;
        }
        let mut jobs = self.act(state, (&event, replay.as_ref()), node.as_deref(), received)?;
        jobs.extend(ordered);
        jobs.extend(told);
        Ok(jobs)
    }

    /// Carries out an order about what is deployed, if `event` is one: all that it takes is in the log.
    fn order(&self, state: &mut Overlay<'_>, event: &SharedEvent, received: Time) -> Result<Vec<Job>, StateError> {
        let nodes = match deploy::Order::read(event) {
            Ok(None) => return Ok(Vec::new()),
            Ok(Some(deploy::Order::Package(package))) => {
                state.put_package(*package);
                return Ok(Vec::new());
            }
            Ok(Some(deploy::Order::Install { nodes })) => nodes,
            Err(reason) => return Ok(vec![own::order_refused(event, &reason)]),
        };
        let Some(terms) = self.deploying() else {
            return Ok(vec![own::order_refused(event, deploy::NO_TERMS)]);
        };
        let targets = [RuleTarget { target: terms.target.clone(), input: None }];
        let (mut jobs, mut unknown, mut found) = (Vec::new(), Vec::new(), BTreeSet::new());
        let rule = deploy::rule();
        for key in nodes {
            let Some(node) = deploy::find_node(state, &key)? else {
                unknown.push(format!("no event has named a node {key}"));
                continue;
            };
            // Named by its serial number and by its UDID it is one Mac, and one job.
            if !found.insert(node.key.clone()) {
                continue;
            }
            let (counted, jobs, state) = (Tallied::Rule(rule.to_string()), &mut jobs, &mut *state);
            let (core, rule, targets, user) = (self, &rule, &targets[..], None);
            let mut giving = Giving { core, state, rule, targets, counted, event, replay: None, user, received, jobs };
            giving.each_target(Some(&node), Some(&node.key))?;
        }
        if !unknown.is_empty() {
            jobs.push(own::order_refused(event, &unknown.join("; ")));
        }
        Ok(jobs)
    }

    fn act(
        &self,
        state: &mut Overlay<'_>,
        (event, replay): (&SharedEvent, Option<&Replay>),
        node: Option<&Node>,
        received: Time,
    ) -> Result<Vec<Job>, StateError> {
        let json = event.json().as_bytes();
        if json.len() > limits::MAX_COMPLETED {
            let reason = format!("{} bytes once completed: at most {} are allowed", json.len(), limits::MAX_COMPLETED);
            return Ok(vec![own::unmatched(event, replay, &reason)]);
        }
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let matched: Vec<usize> = match self.set.find(json, &mut scratch) {
            Ok(matched) => matched.copied().collect(),
            // The event was parsed above and written by us: only a limit of the matcher's own can refuse it.
            Err(error) => return Ok(vec![own::unmatched(event, replay, &error.to_string())]),
        };
        drop(scratch);
        let mut jobs = Vec::new();
        let mut user = None;
        let may_act =
            |rule: &&Rule| replay.is_none_or(|replay| replay.rules.is_empty() || replay.rules.contains(&rule.name));
        for rule in matched.into_iter().filter_map(|index| self.book.rules.get(index)).filter(may_act) {
            let counted = Tallied::Rule(rule.name.to_string());
            state.count(&counted, |tally| {
                tally.matched += 1;
                (tally.last, tally.last_matched) = (Some(received), Some(received));
            })?;
            if user.is_none() {
                user = Some(about_user(state, event)?);
            }
            let user = user.clone().flatten();
            let (state, jobs) = (&mut *state, &mut jobs);
            let (name, targets) = (&rule.name, &rule.targets[..]);
            let mut giving =
                Giving { core: self, state, rule: name, targets, counted, event, replay, user, received, jobs };
            match rule.fanout {
                Fanout::Event => giving.each_target(node, None)?,
                Fanout::UserDevices => giving.each_device()?,
            }
        }
        Ok(jobs)
    }
}

/// Gives the event the serial number of its UDID where that is known, and remembers the pair where the event has both.
/// What an unverified event says of it, unverified ones alone follow.
fn join(state: &mut Overlay<'_>, event: &mut Event) -> Result<(), StateError> {
    let (speaks_for_itself, trust) = (event.source.as_str() == source::AGENT, event.trust);
    let Some(device) = &mut event.device else { return Ok(()) };
    match (&device.uuid, &device.udid) {
        (Some(serial), Some(udid)) if !speaks_for_itself && serial != udid => state.put_alias(udid, serial, trust)?,
        (None, Some(udid)) => device.uuid = state.serial_for(udid, trust)?,
        _ => {}
    }
    Ok(())
}

/// Adds what the event says to its node's record, and takes over what was known under its UDID. An unverified event takes
/// nothing over that was proven.
fn learn(state: &mut Overlay<'_>, event: &Event, received: Time) -> Result<Option<Arc<Node>>, StateError> {
    let (serial, udid) = (event.serial(), event.udid());
    let Some(key) = serial.or(udid) else { return Ok(None) };
    let names_other = |udid: &&str| Some(*udid) != serial && event.source.as_str() != source::AGENT;
    let other = udid.filter(|udid| serial.is_some() && names_other(udid));
    let is_proven = event.trust > Trust::Unverified;
    let by_udid = match other {
        Some(udid) if is_proven || !state.node(udid)?.is_some_and(|node| node.proven) => state.take_node(udid)?,
        _ => None,
    };
    if let (Some(serial), Some(by_udid)) = (serial, &by_udid) {
        deploy::moved(state, &by_udid.key, serial)?;
    }
    let may_change_owner = by_udid.is_some() || claims::may_name_an_owner(event);
    let node = state.update_node((key, received), may_change_owner, |node| {
        match (serial, udid, other) {
            (Some(serial), _, other) => {
                if node.serial.as_deref() != Some(serial) {
                    node.serial = Some(serial.to_owned());
                }
                if let Some(by_udid) = by_udid {
                    node.absorb(Arc::unwrap_or_clone(by_udid));
                }
                if let Some(udid) = other {
                    node.called(udid, event.trust);
                }
            }
            (None, Some(udid), _) => node.called(udid, Trust::Verified),
            (None, None, _) => {}
        }
        node.proven |= is_proven;
        claims::record(node, event, event.time.min(received));
    })?;
    Ok(Some(node))
}

/// `{"id":…,"name":…,"devices":[serial or UDID, …]}` of the event's user.
fn about_user(state: &Overlay<'_>, event: &Event) -> Result<Option<Value>, StateError> {
    let Some(id) = event.user_id() else { return Ok(None) };
    let mut devices: Vec<String> = state.devices_of(id)?.into_iter().collect();
    devices.truncate(MAX_DEVICES_SHOWN);
    let name = event.user.as_ref().and_then(|user| user.name.clone());
    Ok(Some(json!({"id": id, "name": name, "devices": devices})))
}

#[cfg(test)]
mod tests;

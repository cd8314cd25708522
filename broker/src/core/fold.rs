//! One entry of the log after the other: complete it, learn from it, match it, make its jobs.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use emote_proto::{
    Device, Draft, Event, EventError, EventId, Link, Name, Receipt, Subject, SubjectError, Time, Token, Trust, User,
    limits, source,
};
use emote_rules::{RuleSet, Scratch};
use serde_json::{Value, json};

use super::{CORE_RULE, EMIT_TARGET, Fanout, Job, JobId, Node, Overlay, Rule, RuleTarget, StateError, claims};

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
}

/// The fold itself: rules and who is believed. All it remembers is in the [`Overlay`] it is given.
pub struct Core {
    rules: Vec<Rule>,
    set: RuleSet<usize>,
    /// What matching works with, kept so that an event costs no allocations.
    scratch: Mutex<Scratch>,
    trusted_writers: BTreeSet<String>,
}

/// Completes an entry into an event, without the fold's knowledge: what the command line shows.
/// `writers` are the sources whose `trust` field is believed, because only `emote` itself writes their events.
pub fn open_entry(entry: &Entry<'_>, writers: &BTreeSet<String>) -> Result<Event, Rejection> {
    let subject: Subject = entry.subject.parse()?;
    let draft = Draft::parse(entry.payload)?;
    let trust =
        if writers.contains(subject.source.as_str()) { draft.trust.unwrap_or_default() } else { Trust::Unverified };
    let receipt =
        Receipt { subject: &subject, message_id: entry.message_id, sequence: entry.sequence, received: entry.received };
    Ok(draft.receive(&receipt, trust)?)
}

impl Core {
    /// A core with these rules. `sources` are the names of the HTTP sources: what `emote` wrote under them, it checked.
    pub fn new(rules: Vec<Rule>, sources: impl IntoIterator<Item = Name>) -> Self {
        let set = RuleSet::build(rules.iter().enumerate().map(|(index, rule)| (index, rule.pattern.clone())));
        let mut trusted_writers: BTreeSet<String> = sources.into_iter().map(String::from).collect();
        trusted_writers.insert(source::BROKER.to_owned());
        Self { rules, set, scratch: Mutex::default(), trusted_writers }
    }

    /// Folds one entry: updates `state`, gives the jobs it sets off. An entry that is no event gives one job, which
    /// says so in an event.
    pub fn apply(&self, state: &mut Overlay<'_>, entry: &Entry<'_>) -> Result<Vec<Job>, StateError> {
        let event = match open_entry(entry, &self.trusted_writers) {
            Ok(event) => event,
            Err(rejection) => return Ok(vec![rejected(entry, &rejection)]),
        };
        // The agent's own protocol stores an event once; everything else may be repeated by whoever sends it.
        if event.source.as_str() != source::AGENT && state.seen_before(event.id, entry.received)? {
            return Ok(Vec::new());
        }
        let event = join(state, event)?;
        let node = learn(state, &event, entry.received)?;
        self.act(state, &event, node.as_ref())
    }

    fn act(&self, state: &Overlay<'_>, event: &Event, node: Option<&Node>) -> Result<Vec<Job>, StateError> {
        let json = event.to_json();
        if json.len() > limits::MAX_COMPLETED {
            let reason = format!("{} bytes once completed: at most {} are allowed", json.len(), limits::MAX_COMPLETED);
            return Ok(vec![unmatched(event, &reason)]);
        }
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let matched: Vec<usize> = match self.set.find(&json, &mut scratch) {
            Ok(matched) => matched.copied().collect(),
            // The event was parsed above and written by us: only a limit of the matcher's own can refuse it.
            Err(error) => return Ok(vec![unmatched(event, &error.to_string())]),
        };
        drop(scratch);
        let mut jobs = Vec::new();
        for rule in matched.into_iter().filter_map(|index| self.rules.get(index)) {
            match rule.fanout {
                Fanout::Event => add_jobs(&mut jobs, rule, event, node, None),
                Fanout::UserDevices => {
                    let Some(user) = event.user_id() else { continue };
                    let devices = state.devices_of(user)?;
                    if devices.is_empty() {
                        jobs.push(no_devices(rule, event, user));
                    }
                    for key in devices {
                        let device = state.node(&key)?;
                        add_jobs(&mut jobs, rule, event, device.as_ref(), Some(&key));
                    }
                }
            }
        }
        Ok(jobs)
    }
}

/// Gives the event the serial number of its UDID where that is known, and remembers the pair where the event has both.
fn join(state: &mut Overlay<'_>, mut event: Event) -> Result<Event, StateError> {
    let speaks_for_itself = event.source.as_str() == source::AGENT;
    let Some(device) = &mut event.device else { return Ok(event) };
    match (&device.uuid, &device.udid) {
        (Some(serial), Some(udid))
            if !speaks_for_itself && serial != udid && state.serial_of(udid)?.as_ref() != Some(serial) =>
        {
            state.put_alias(udid, serial);
        }
        (None, Some(udid)) => device.uuid = state.serial_of(udid)?,
        _ => {}
    }
    Ok(event)
}

/// Adds what the event says to its node's record, and takes over what was known under its UDID.
fn learn(state: &mut Overlay<'_>, event: &Event, received: Time) -> Result<Option<Node>, StateError> {
    let (serial, udid) = (event.serial(), event.udid());
    let Some(key) = serial.or(udid) else { return Ok(None) };
    let mut node = state.node(key)?.unwrap_or_else(|| Node::new(key, received));
    if let Some(serial) = serial {
        node.serial = Some(serial.to_owned());
        if let Some(udid) = udid.filter(|udid| *udid != serial && event.source.as_str() != source::AGENT) {
            if let Some(by_udid) = state.take_node(udid)? {
                node.absorb(by_udid);
            }
            node.udid = Some(udid.to_owned());
        }
    } else {
        node.udid = udid.map(str::to_owned);
    }
    claims::record(&mut node, event, event.time.min(received));
    state.put_node(node.clone())?;
    Ok(Some(node))
}

fn add_jobs(jobs: &mut Vec<Job>, rule: &Rule, event: &Event, node: Option<&Node>, fanned_to: Option<&str>) {
    let about = node.map(|node| node.key.as_str()).or(event.user_id());
    if let Some(reason) = loop_reason(rule, event, about) {
        jobs.push(loop_stopped(rule, event, about, &reason));
        return;
    }
    let view = node.map(Node::view);
    for RuleTarget { target, input } in &rule.targets {
        jobs.push(Job {
            id: JobId::new(event.id, &rule.name, target, fanned_to),
            rule: rule.name.clone(),
            target: target.clone(),
            event: event.clone(),
            node: view.clone(),
            input: input.clone(),
        });
    }
}

/// Why a chain of effects ends here, if it does. Only what the broker itself reports has a cause that is believed.
fn loop_reason(rule: &Rule, event: &Event, about: Option<&str>) -> Option<String> {
    let cause = event.cause.as_ref().filter(|_| event.source.as_str() == source::BROKER)?;
    if cause.depth >= limits::MAX_DEPTH {
        return Some(format!("the chain is {} effects deep", cause.depth));
    }
    let returns = cause.chain.iter().any(|link| link.rule == rule.name.as_str() && link.node.as_deref() == about);
    returns.then(|| "the rule would act on its own effect for the same node".to_owned())
}

fn loop_stopped(rule: &Rule, event: &Event, about: Option<&str>, reason: &str) -> Job {
    let cause = event.cause.as_ref();
    let chain: Vec<Link> = cause.map(|cause| cause.chain.clone()).unwrap_or_default();
    let root = cause.map_or(event.id, |cause| cause.root).to_string();
    let id = EventId::derived(&["loop", &root, rule.name.as_str(), about.unwrap_or("-")]);
    let info = json!({"rule": rule.name, "event": event.id, "chain": chain, "reason": reason});
    own_event(id, event, "rule", "loop_stopped", info)
}

/// Somebody is waiting for what such a rule does: that it did nothing is worth an event.
fn no_devices(rule: &Rule, event: &Event, user: &str) -> Job {
    let id = EventId::derived(&["no-devices", &event.id.to_string(), rule.name.as_str()]);
    let reason = format!("no device is known to belong to {user}");
    own_event(id, event, "rule", "no_devices", json!({"rule": rule.name, "event": event.id, "reason": reason}))
}

fn unmatched(event: &Event, reason: &str) -> Job {
    let id = EventId::derived(&["unmatched", &event.id.to_string()]);
    own_event(id, event, "event", "rejected", json!({"event": event.id, "reason": clip(reason)}))
}

fn rejected(entry: &Entry<'_>, rejection: &Rejection) -> Job {
    let id = EventId::derived(&["rejected", &entry.sequence.to_string(), &entry.received.to_string()]);
    let subject: String = entry.subject.chars().take(300).collect();
    let event = Event {
        id,
        time: entry.received,
        source: word(source::BROKER),
        scope: token("event"),
        action: token("rejected"),
        device: None,
        user: None,
        info: Some(json!({"sequence": entry.sequence, "subject": subject, "reason": clip(&rejection.to_string())})),
        communicate: None,
        log: None,
        trust: Trust::Verified,
        cause: None,
        other: serde_json::Map::new(),
    };
    emit(event)
}

/// A reason may repeat what was found, which may be as long as an event.
fn clip(reason: &str) -> String {
    reason.chars().take(500).collect()
}

/// An event of the core's own about the same node as `about`, to be published by the emit target.
fn own_event(id: EventId, about: &Event, scope: &'static str, action: &'static str, info: Value) -> Job {
    let device = about.device.as_ref();
    let device =
        device.map(|device| Device { uuid: device.uuid.clone(), udid: device.udid.clone(), ..Device::default() });
    emit(Event {
        id,
        time: about.time,
        source: word(source::BROKER),
        scope: token(scope),
        action: token(action),
        device,
        user: about.user_id().map(|id| User { id: Some(id.to_owned()), ..User::default() }),
        info: Some(info),
        communicate: None,
        log: None,
        trust: Trust::Verified,
        cause: about.cause.clone(),
        other: serde_json::Map::new(),
    })
}

fn emit(event: Event) -> Job {
    let (rule, target) = (word(CORE_RULE), word(EMIT_TARGET));
    Job { id: JobId::new(event.id, &rule, &target, None), rule, target, event, node: None, input: None }
}

#[expect(clippy::expect_used, reason = "only called with the literal words of this file")]
fn word(text: &'static str) -> Name {
    Name::new(text).expect("a literal name")
}

#[expect(clippy::expect_used, reason = "only called with the literal words of this file")]
fn token(text: &'static str) -> Token {
    Token::new(text).expect("a literal token")
}

#[cfg(test)]
mod tests;

//! Security events that are fetched from their transmitter (RFC 8936): each is checked as one that is pushed, and
//! acknowledged with the next request, once the stream has its events. One that is wrong is told to the transmitter with the
//! word for it (RFC 8935, section 2.4), and by an event here. What was neither comes again: so nothing has to be kept, and a
//! crash anywhere tells nothing twice.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use emote_proto::{EventId, Name, Subject, Time};
use reqwest::header::{CONTENT_LANGUAGE, CONTENT_TYPE, HeaderValue};
use serde_json::{Map, Value, json};

use super::{
    item::OfLog,
    log::tell_new,
    page::{Failed, MAX_ITEMS, MAX_REASON},
    poller::{Ended, MAP_TIMEOUT, Poller},
    record::{Done, Stand},
    spec::Asking,
};
use crate::{
    config::text::clip,
    ingest::{Moment, Refusal, own},
};

/// The longest name of a security event that is told, in characters.
const MAX_JTI: usize = 200;

/// What the transmitter gave: security events by their names.
struct Given {
    sets: Vec<(String, String)>,
    more: bool,
}

/// What became of them, as the transmitter is told with the next request.
#[derive(Debug, Default)]
struct Receipt {
    ack: Vec<String>,
    errs: Map<String, Value>,
    /// Why some are in neither: they are to come again.
    left: Option<String>,
}

/// Security events as they were checked and mapped.
#[derive(Default)]
struct Checked {
    events: Vec<(Subject, EventId, Bytes)>,
    receipt: Receipt,
    refused: u64,
}

impl Receipt {
    /// The request that tells it; asks for at most so many more events.
    fn request(&self, max_events: u32, at_once: bool) -> Value {
        let mut body = json!({"maxEvents": max_events, "returnImmediately": at_once});
        if !self.ack.is_empty() {
            body["ack"] = json!(self.ack);
        }
        if !self.errs.is_empty() {
            body["setErrs"] = Value::Object(self.errs.clone());
        }
        body
    }
}

impl Poller {
    /// A round: asks, waiting for events where that is wanted, and goes on at once until there are no more.
    pub(super) async fn sets(
        &self,
        stand: &mut Stand,
        asking: Asking,
        now: Time,
        mut began: Instant,
    ) -> Result<bool, Ended> {
        let (mut done, mut receipt) = (Done::default(), Receipt::default());
        let whole = loop {
            let cut = receipt.left.is_some() || self.is_long(done, began);
            let most = if cut { 0 } else { asking.max_events };
            let at_once = done.pages > 0 || !asking.waits;
            let given = self.ask(&receipt, most, at_once).await?;
            done.pages += 1;
            if done.pages == 1 {
                // What was waited for does not count.
                began = Instant::now();
            }
            if let Some(why) = receipt.left {
                return Err(Failed::passing(why).into());
            }
            if cut || given.sets.is_empty() {
                break !cut && !given.more;
            }
            done.items += given.sets.len() as u64;
            receipt = self.take(given.sets, &mut done, now).await?;
        };
        if whole {
            stand.since = Some(now);
        }
        if self.sign_is_due(stand, now) {
            self.keep(stand, done, now).await?;
        }
        Ok(whole)
    }

    /// One request (RFC 8936, section 2.2) and its answer (section 2.3).
    async fn ask(&self, receipt: &Receipt, most: u32, at_once: bool) -> Result<Given, Failed> {
        let request = self.poll.bare_request(self.poll.url.clone());
        let request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let request = match receipt.errs.is_empty() {
            true => request,
            // The language of the descriptions (section 2.6).
            false => request.header(CONTENT_LANGUAGE, HeaderValue::from_static("en")),
        };
        let (body, _) = self.poll.answer(request.body(receipt.request(most, at_once).to_string())).await?;
        let more = body.get("moreAvailable").and_then(Value::as_bool).unwrap_or_default();
        let sets = match body.get("sets") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Object(sets)) if sets.len() > MAX_ITEMS => {
                return Err(Failed::new(format!("more than {MAX_ITEMS} events in one answer")));
            }
            Some(Value::Object(sets)) => {
                sets.iter().map(|(jti, set)| (jti.clone(), set.as_str().unwrap_or_default().to_owned())).collect()
            }
            Some(_) => return Err(Failed::new("`sets` of the answer is no object: this is no answer of RFC 8936")),
        };
        Ok(Given { sets, more })
    }

    /// Checks security events, and tells what they stand for.
    async fn take(&self, sets: Vec<(String, String)>, done: &mut Done, now: Time) -> Result<Receipt, Ended> {
        // It may have been long since the round began.
        if !self.log.caught_up().await {
            return Err(Ended::Here("what the log has is not known yet".to_owned()));
        }
        for (_, set) in &sets {
            self.source.prepare_set(set).await;
        }
        let count = sets.len() as u64;
        let Checked { events, receipt, refused } = self.checked(sets, now).await?;
        let told = tell_new(&*self.log, events).await?;
        done.events += told;
        self.change(|report| {
            report.pages += 1;
            report.items += count;
            report.events += told;
            report.refused += refused;
        });
        Ok(receipt)
    }

    /// Runs checks and map on a thread that may block.
    async fn checked(&self, sets: Vec<(String, String)>, now: Time) -> Result<Checked, Ended> {
        let (source, log) = (Arc::clone(&self.source), Arc::clone(&self.log));
        let checking = tokio::task::spawn_blocking(move || {
            let mut checked = Checked::default();
            for (jti, set) in sets {
                let events = Moment::drawn().and_then(|moment| source.fetched_set(&jti, &set, &OfLog(&*log), &moment));
                checked.add(source.name(), jti, events, now);
            }
            checked
        });
        match tokio::time::timeout(MAP_TIMEOUT, checking).await {
            Ok(Ok(checked)) => Ok(checked),
            Ok(Err(_)) => Err(Failed::new("the map ended in a panic").into()),
            Err(_) => Err(Failed::new("the map did not end within a minute").into()),
        }
    }
}

impl Checked {
    fn add(&mut self, source: &Name, jti: String, events: Result<Vec<(Subject, EventId, Bytes)>, Refusal>, now: Time) {
        let refusal = match events {
            Ok(events) => {
                self.events.extend(events);
                return self.receipt.ack.push(jti);
            }
            Err(refusal) => refusal,
        };
        match refusal.err() {
            Some(err) => {
                let description = clip(&refusal.to_string(), MAX_REASON);
                self.events.extend(refused(source, &jti, (err, &description), now));
                self.receipt.errs.insert(jti, json!({"err": err, "description": description}));
                self.refused += 1;
            }
            None => self.receipt.left = Some(refusal.to_string()),
        }
    }
}

/// The event that tells that a security event was refused. It is one, however often that comes.
fn refused(source: &Name, jti: &str, (err, description): (&str, &str), now: Time) -> Option<(Subject, EventId, Bytes)> {
    let id = EventId::derived(&["source", source.as_str(), "set_refused", jti, err]);
    let info = json!({"jti": clip(jti, MAX_JTI), "err": err, "description": description});
    own::event(source, "set_refused", id, info, now).ok()
}

#[cfg(test)]
mod tests;

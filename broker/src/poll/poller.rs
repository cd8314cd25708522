//! Rounds: one after the other for each source, while this broker leads.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use emote_proto::Time;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Kind, Log, Next, Poll, Polls, SIGN_EVERY,
    item::{Found, drafts},
    log::tell_new,
    page::{At, Failed},
    record::{self, Done, Stand, before},
};
use crate::{
    core::DEDUPE_WINDOW_MILLIS,
    ingest::{PublishError, Source, own},
    random,
    tasks::Tasks,
};

/// Subjects whose last events are asked for at once.
const ASKED_AT_ONCE: usize = 32;
/// What happened so long ago may have been told before ids are remembered. Half of that, because clocks differ.
const LONG_AGO_MILLIS: i64 = DEDUPE_WINDOW_MILLIS / 2;
/// The items of a page must be mapped within this time.
pub(super) const MAP_TIMEOUT: Duration = Duration::from_secs(60);
/// A round may take so long, or as long as from one to the next.
const ROUND_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// After a failure the next round begins so much later, doubling
const PAUSE_FIRST: Duration = Duration::from_secs(5);
/// up to this, or to what lies between rounds.
const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);
/// Being asked to slow down is no trouble until it was asked so often in a row.
const SLOWED_DOWN: u32 = 3;

/// What polling needs of the broker.
#[derive(Clone)]
pub struct Reach {
    /// The log.
    pub log: Arc<dyn Log>,
    /// Whether this broker leads.
    pub leads: watch::Receiver<bool>,
}

/// Keeps a poller running for each source that is polled.
pub struct Pollers {
    reach: Reach,
    polls: Polls,
    tasks: Tasks<(String, Kind)>,
}

/// A source's rounds of one kind.
pub(super) struct Poller {
    pub(super) source: Arc<Source>,
    pub(super) poll: Arc<Poll>,
    pub(super) log: Arc<dyn Log>,
    pub(super) polls: Polls,
}

/// Why a round ended before its end.
#[derive(Debug)]
pub(super) enum Ended {
    /// The other side, or what it sent.
    There(Failed),
    /// The log. Nothing is told of it: it could not be.
    Here(String),
}

impl From<Failed> for Ended {
    fn from(failed: Failed) -> Self {
        Self::There(failed)
    }
}

impl From<PublishError> for Ended {
    fn from(error: PublishError) -> Self {
        Self::Here(error.to_string())
    }
}

impl Pollers {
    /// None runs yet.
    pub fn new(reach: Reach) -> Self {
        Self { reach, polls: Polls::default(), tasks: Tasks::default() }
    }

    /// How they are doing; it changes as they do.
    pub fn polls(&self) -> Polls {
        self.polls.clone()
    }

    /// From now on these sources are polled, as their files say.
    pub async fn keep_to(&mut self, sources: &[(Arc<Source>, String)]) {
        let wanted = sources.iter().flat_map(|(source, file)| {
            source.polls().iter().map(move |poll| {
                let key = (source.name().to_string(), poll.plan.kind);
                (key, (file.clone(), (Arc::clone(source), Arc::clone(poll))))
            })
        });
        let (reach, polls) = (&self.reach, &self.polls);
        let start = |(source, poll), stop| {
            let poller = Poller { source, poll, log: Arc::clone(&reach.log), polls: polls.clone() };
            poller.run(reach.leads.clone(), stop)
        };
        for (source, kind) in self.tasks.keep_to(wanted.collect(), start).await {
            polls.forget(&source, kind);
        }
    }

    /// Comes back when one has ended that was to go on: [`Self::keep_to`] starts it anew.
    pub async fn ended(&self) {
        self.tasks.ended().await;
    }

    /// Stops all of them.
    pub async fn stop(&mut self) {
        self.tasks.stop().await;
    }
}

impl Poller {
    async fn run(self, mut leads: watch::Receiver<bool>, stop: CancellationToken) {
        loop {
            self.change(|report| (report.state, report.next) = ("standing_by".to_owned(), None));
            tokio::select! {
                () = stop.cancelled() => return,
                leading = leads.wait_for(|leads| *leads) => if leading.is_err() { return },
            }
            let mut lost = leads.clone();
            // What is under way is let go of wherever it is: it is fetched again, and nothing is told twice.
            tokio::select! {
                () = stop.cancelled() => return,
                _ = lost.wait_for(|leads| !*leads) => {}
                () = self.rounds() => {}
            }
        }
    }

    /// Round after round; never ends.
    async fn rounds(&self) {
        let (mut stand, mut failures) = (None, 0_u32);
        loop {
            let (began, now) = (Instant::now(), Time::from(jiff::Timestamp::now()));
            self.change(|report| (report.state, report.last_try) = ("polling".to_owned(), Some(now)));
            let every = self.poll.plan.every;
            let wait = match self.round(&mut stand, now).await {
                Ok(whole) => {
                    failures = 0;
                    self.went_well(whole);
                    if whole { every.saturating_sub(began.elapsed()) } else { every.min(super::SHORTEST) }
                }
                Err(ended) => {
                    failures = failures.saturating_add(1);
                    let after = match &ended {
                        Ended::There(failed) => failed.after,
                        Ended::Here(_) => None,
                    };
                    self.went_wrong(&mut stand, ended, failures).await;
                    let pause = pause(failures, every, random::chance());
                    after.map_or(pause, |after| pause.max(after))
                }
            };
            let next = Time::from(jiff::Timestamp::now()).as_millis();
            let next = Time::from_millis(next.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)));
            self.change(|report| report.next = next);
            tokio::time::sleep(wait).await;
        }
    }

    /// One round. Says whether it came to its end; else it goes on with the next.
    pub(super) async fn round(&self, at: &mut Option<Stand>, now: Time) -> Result<bool, Ended> {
        if !self.log.caught_up().await {
            return Err(Ended::Here("what the log has is not known yet".to_owned()));
        }
        let began = Instant::now();
        let mut stand = match at.take() {
            Some(stand) => stand,
            None => self.stand().await?,
        };
        let ended = match self.poll.plan.sets {
            Some(asking) => self.sets(&mut stand, asking, now, began).await,
            None => self.pages(&mut stand, now, began).await,
        };
        // Overtaken, or perhaps: what the log says is read again.
        if !matches!(ended, Err(Ended::Here(_))) {
            *at = Some(stand);
        }
        ended
    }

    async fn pages(&self, stand: &mut Stand, now: Time, began: Instant) -> Result<bool, Ended> {
        let plan = &self.poll.plan;
        let until = before(now, plan.grace);
        let since = stand.from(now, plan.start, plan.overlap);
        let mut done = Done::default();
        let mut next = stand.next.clone();
        loop {
            let at = At { cursor: stand.cursor.clone(), since, until, now, next, number: done.pages };
            let page = match self.poll.page(&at).await {
                Ok(page) => page,
                Err(failed) => {
                    // What was cut off is gone on with where it was, unless it cannot be.
                    stand.next = if failed.passes { at.next } else { Value::Null };
                    return Err(failed.into());
                }
            };
            done.pages += 1;
            done.items += page.items.len() as u64;
            done.events += self.tell(page.items, until, now).await?;
            let moved = page.cursor != stand.cursor;
            stand.cursor = page.cursor;
            let whole = page.next.is_null();
            let cut = !whole && self.is_long(done, began);
            if whole {
                (stand.since, stand.next) = (Some(until), Value::Null);
            } else {
                stand.next = if cut { page.next.clone() } else { Value::Null };
            }
            let of_time = plan.cursor.is_none() && done.events > 0;
            if moved || cut || (whole && (of_time || self.sign_is_due(stand, now))) {
                self.keep(stand, done, now).await?;
            }
            if whole || cut {
                return Ok(whole);
            }
            next = page.next;
        }
    }

    /// Whether a round has done so much that the rest is for the next one.
    pub(super) fn is_long(&self, done: Done, began: Instant) -> bool {
        let plan = &self.poll.plan;
        done.pages >= plan.max_pages || began.elapsed() >= plan.every.max(ROUND_TIMEOUT)
    }

    /// Publishes what the items stand for and was not told yet; how many events that is.
    async fn tell(&self, items: Vec<Value>, until: Time, now: Time) -> Result<u64, Ended> {
        let count = items.len() as u64;
        let (events, refused) = self.mapped(items, until).await?;
        let events = stream::iter(events).map(async |found| Ok(self.is_new(&found, now).await?.then_some(found)));
        let events = events.buffered(ASKED_AT_ONCE).try_filter_map(async |found| Ok(found));
        let new = events.map_ok(|Found { subject, id, json, .. }| (subject, id, json));
        let new = new.try_collect::<Vec<_>>().await.map_err(|error: PublishError| Ended::from(error))?;
        let told = tell_new(&*self.log, new).await?;
        self.change(|report| {
            report.pages += 1;
            report.items += count;
            report.events += told;
            report.refused += refused;
        });
        Ok(told)
    }

    /// Whether it was not told yet, or something else was since.
    async fn is_new(&self, found: &Found, now: Time) -> Result<bool, PublishError> {
        if self.log.has(found.id) {
            return Ok(false);
        }
        if found.time.is_some_and(|time| now.millis_since(time) < LONG_AGO_MILLIS) {
            return Ok(true);
        }
        Ok(self.log.last_id(&found.subject).await? != Some(found.id))
    }

    /// Runs the map on a thread that may block.
    async fn mapped(&self, items: Vec<Value>, until: Time) -> Result<(Vec<Found>, u64), Ended> {
        let (source, poll, log) = (Arc::clone(&self.source), Arc::clone(&self.poll), Arc::clone(&self.log));
        let mapping = tokio::task::spawn_blocking(move || {
            let (mut events, mut refused) = (Vec::new(), 0);
            for item in items {
                match drafts(&source, &poll, &*log, &item, until) {
                    Some(drafts) => events.extend(drafts),
                    None => refused += 1,
                }
            }
            (events, refused)
        });
        match tokio::time::timeout(MAP_TIMEOUT, mapping).await {
            Ok(Ok(mapped)) => Ok(mapped),
            Ok(Err(_)) => Err(Failed::new("the map ended in a panic").into()),
            Err(_) => Err(Failed::new("the map did not end within a minute").into()),
        }
    }

    /// Where polling stands, as the log says.
    async fn stand(&self) -> Result<Stand, Ended> {
        let (kind, source) = (self.poll.plan.kind, self.source.name());
        let subject = |action| own::subject(source, action).map_err(|error| Ended::Here(error.to_string()));
        let polled = self.log.last(&subject(kind.action())?).await?;
        let failed = self.log.last(&subject(kind.failed())?).await?;
        Ok(Stand::of(polled, failed))
    }

    /// Writes where polling stands into the log.
    pub(super) async fn keep(&self, stand: &mut Stand, done: Done, now: Time) -> Result<(), Ended> {
        let event = stand.event(self.poll.plan.kind, self.source.name(), done, now);
        let (subject, id, json) = event.map_err(|error| Ended::Here(error.to_string()))?;
        match self.log.publish_next(&subject, id, json, stand.at).await? {
            Next::Stored(at) => {
                (stand.at, stand.written, stand.failing) = (at, Some(now), None);
                Ok(())
            }
            Next::Overtaken => Err(Ended::Here("another broker has polled meanwhile".to_owned())),
        }
    }

    pub(super) fn sign_is_due(&self, stand: &Stand, now: Time) -> bool {
        let every = self.source.sign_every().unwrap_or(SIGN_EVERY);
        let every = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
        stand.failing.is_some() || stand.written.is_none_or(|written| now.millis_since(written) >= every)
    }

    fn went_well(&self, whole: bool) {
        let now = Time::from(jiff::Timestamp::now());
        self.change(|report| {
            report.state = "waiting".to_owned();
            report.failures = 0;
            report.rounds += 1;
            if whole {
                report.last_success = Some(now);
            }
        });
    }

    pub(super) async fn went_wrong(&self, at: &mut Option<Stand>, ended: Ended, failures: u32) {
        let now = Time::from(jiff::Timestamp::now());
        let source = self.source.name();
        let (reason, slowed) = match ended {
            Ended::Here(reason) => {
                tracing::warn!(%source, reason, "polling waits for the log");
                (reason, None)
            }
            Ended::There(failed) => {
                tracing::debug!(%source, reason = failed.reason, failures, "a poll failed");
                (failed.reason, Some(failed.after.is_some() && failures < SLOWED_DOWN))
            }
        };
        self.change(|report| {
            report.state = "failing".to_owned();
            report.failures = failures;
            report.failed += 1;
            (report.last_error, report.last_error_at) = (Some(reason.clone()), Some(now));
        });
        let (Some(false), Some(stand)) = (slowed, at.as_mut()) else { return };
        if stand.failing.is_some() {
            return;
        }
        tracing::warn!(%source, reason, "polling fails; it is tried again");
        let event = record::failed(self.poll.plan.kind, source, &reason, now);
        let Ok((subject, id, json)) = event else { return };
        match self.log.publish_next(&subject, id, json, stand.failed_at).await {
            Ok(Next::Stored(failed_at)) => (stand.failing, stand.failed_at) = (Some(now), failed_at),
            // Somebody else has told it, or it is told with the next failure.
            Ok(Next::Overtaken) => *at = None,
            Err(error) => tracing::debug!(%error, "that polling fails is not told yet"),
        }
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut super::PollReport)) {
        self.polls.change(self.source.name().as_str(), self.poll.plan.kind, change);
    }
}

/// How long is waited after so many failures in a row: doubling, and half of it by chance (from 0 to 1).
pub(crate) fn pause(failures: u32, every: Duration, chance: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = PAUSE_FIRST.saturating_mul(1 << doublings).min(PAUSE_MAX.max(every));
    whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

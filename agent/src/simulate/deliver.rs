//! One Mac's uplink for the events at hand: the agent's own [`Window`] and publisher, without a spool on a disk.
//!
//! Where a real agent keeps what it needs to settle a doubt, here the stream is asked: which is the last event it has of
//! this Mac says all there is to know, as ids follow from the seed. So no second run and no other process that plays the
//! same day can double anything, as long as each try expects the sequence of that last event. For that, a backlog goes in
//! the order in which it happened; a real agent lets its heartbeats wait for the rest.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::lines::{Line, Standing};
use super::stream::{self, Last};
use super::tally::Tally;
use crate::spool::Record;
use crate::uplink::backoff::{delay_ms, random};
use crate::uplink::connect::knows_batches;
use crate::uplink::publish::Publisher;
use crate::uplink::session::MAX_BYTES;
use crate::uplink::{Reply, Saved, Step, Verdict, Window};
use emote_proto::Serial;

/// A server takes 50 batches of a stream at once (`max_batch_inflight_per_stream`) and refuses more for a while: a whole
/// fleet in one process keeps below that.
pub(super) const BATCHES: usize = 40;

/// Events of one Mac, to be stored behind `expectation`.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) index: u32,
    pub(super) serial: Serial,
    /// Sequence in the stream of this Mac's last event; 0 for none.
    pub(super) expectation: u64,
    /// With their spool sequences, in order.
    pub(super) records: Vec<(u64, Record)>,
    pub(super) line: Line,
    pub(super) batches: Arc<Semaphore>,
    pub(super) tally: Arc<Tally>,
}

impl Delivery {
    /// Returns when the stream has them all, however long that takes.
    pub(super) async fn run(mut self) -> Self {
        let mut publisher = self.publisher().await;
        let mut window = self.window(&publisher);
        let mut futile = 0;
        while !self.records.is_empty() {
            if !*publisher.link.borrow() {
                publisher = self.publisher().await;
                window.connected(knows_batches(&publisher.client));
            }
            match window.next(now()) {
                Step::Wait(until) => {
                    let wait = Duration::from_millis(u64::try_from(until - now()).unwrap_or(0));
                    timeout(wait, publisher.lost()).await.ok();
                }
                // The stream is asked in another way before a doubt is old.
                Step::Ask(..) => {
                    publisher = self.ask(&mut futile).await;
                    window = self.window(&publisher);
                }
                Step::Choose(most) => window.begin(&self.choose(most), now()),
                Step::Try { range, expectation } => {
                    let records: Vec<_> =
                        self.records.iter().take_while(|(at, _)| at <= range.end()).cloned().collect();
                    self.tally.sent.fetch_add(records.len() as u64, Relaxed);
                    let turn = if records.len() > 1 { self.batches.acquire().await.ok() } else { None };
                    let sent = Instant::now();
                    let reply = publisher.send(records, expectation).await;
                    drop(turn);
                    self.tally.answered(sent.elapsed());
                    if matches!(reply, Reply::WrongLast { .. } | Reply::Duplicate | Reply::Unknown(_)) {
                        self.tell(&reply);
                        publisher = self.ask(&mut futile).await;
                        window = self.window(&publisher);
                    } else {
                        let verdict = window.reply(&reply, now(), random());
                        self.judge(verdict, &reply, &window);
                    }
                }
            }
        }
        self
    }

    /// What somebody who watches wants to know of an answer.
    fn tell(&self, reply: &Reply) {
        if let Some(trouble) = reply.trouble() {
            self.tally.trouble(format!("{}: {trouble}", self.serial));
        }
    }

    async fn publisher(&mut self) -> Publisher {
        let Standing { client, link } = self.line.up().await;
        Publisher { client, link, serial: self.serial.clone(), clock: None }
    }

    fn window(&self, publisher: &Publisher) -> Window {
        let mut window = Window::restore(Saved { expectation: self.expectation, ..Saved::default() });
        window.connected(knows_batches(&publisher.client));
        window
    }

    fn choose(&self, most: usize) -> std::ops::RangeInclusive<u64> {
        let mut bytes = 0;
        let fits = self.records.iter().take(most).take_while(|(_, record)| {
            bytes += record.json.len();
            bytes <= MAX_BYTES
        });
        let first = self.records.first().map_or(0, |(at, _)| *at);
        first..=fits.last().map_or(first, |(at, _)| *at)
    }

    fn judge(&mut self, verdict: Verdict, reply: &Reply, window: &Window) {
        match verdict {
            Verdict::Open => self.tell(reply),
            Verdict::Stored(range) => {
                let stored = self.take_off(*range.end());
                self.tally.stored.fetch_add(stored, Relaxed);
            }
            Verdict::Refused(at) => {
                let refused = self.take_off(at);
                self.tally.refused.fetch_add(refused, Relaxed);
            }
        }
        self.expectation = window.saved().expectation;
    }

    /// Takes off what the stream has. `futile` counts the times in a row that it was nothing.
    async fn ask(&mut self, futile: &mut u32) -> Publisher {
        loop {
            let publisher = self.publisher().await;
            self.tally.asked_again.fetch_add(1, Relaxed);
            match stream::last(&publisher.client, &self.serial).await {
                Ok(last) => {
                    let stored = self.settle(last);
                    self.tally.stored.fetch_add(stored, Relaxed);
                    *futile = if stored > 0 { 0 } else { *futile + 1 };
                    if *futile > 1 {
                        pause(*futile).await;
                    }
                    return publisher;
                }
                Err(error) => {
                    self.tally.trouble(format!("{}: {error}", self.serial));
                    *futile += 1;
                    pause(*futile).await;
                }
            }
        }
    }

    fn settle(&mut self, last: Option<Last>) -> u64 {
        self.expectation = last.as_ref().map_or(0, |last| last.sequence);
        let found = last.and_then(|last| self.records.iter().find(|(_, record)| record.id == last.id));
        found.map(|(at, _)| *at).map_or(0, |at| self.take_off(at))
    }

    /// Up to this spool sequence; returns how many.
    fn take_off(&mut self, at: u64) -> u64 {
        let before = self.records.len();
        self.records.retain(|(sequence, _)| *sequence > at);
        (before - self.records.len()) as u64
    }
}

async fn pause(futile: u32) {
    sleep(Duration::from_millis(delay_ms(futile, random()))).await;
}

fn now() -> i64 {
    emote_proto::Time::from(jiff::Timestamp::now()).as_millis()
}

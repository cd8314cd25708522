//! What is done over one connection after the other: chooses what to send, sends it, and takes in what the answer settles.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use emote_proto::Time;
use tokio::time::timeout;

use super::connect::{Connection, knows_batches};
use super::publish::Publisher;
use super::reply::Reply;
use super::window::{Foreign, Question, Saved, Step, Verdict, Window};
use super::{Uplink, backoff, now, nudge};
use crate::journal::Entry;
use crate::spool::{self, Gap, Spool, SpoolError};
use crate::vocabulary::Kind;

/// Most bytes of one flight, unless its first event alone has more.
pub(crate) const MAX_BYTES: usize = 512 * 1024;
/// The library keeps some memory for each unanswered request: after so many, a new client is made.
const MAX_SILENCES: u32 = 50;
/// Between two events that somebody else writes, in milliseconds.
const TELL_MS: i64 = 3_600_000;

/// What outlives a connection.
pub(super) struct Session {
    pub(super) uplink: Uplink,
    window: Window,
    /// What is on the disk.
    saved: Saved,
    /// Stored by the stream and still in the spool.
    taken: Vec<RangeInclusive<u64>>,
    /// Of it, what the stream will never take.
    refused: Option<Gap>,
    /// Whether this connection has been of use.
    useful: bool,
    /// When it was told last that somebody else writes, and how often that was since.
    told: Option<Time>,
    untold: u64,
}

/// That the next events may be put in flight by whoever writes them: until it is withdrawn or dropped.
struct Offered(Arc<Spool>);

impl Offered {
    fn new(spool: &Arc<Spool>, saved: &Saved, most: usize) -> Self {
        spool.offer(saved, most, MAX_BYTES);
        Self(Arc::clone(spool))
    }

    /// What is on the disk, if somebody took it up.
    fn withdraw(self) -> Option<Saved> {
        self.0.withdraw()
    }
}

impl Drop for Offered {
    /// Dropped with its uplink, what was begun is found on the disk by the next one.
    fn drop(&mut self) {
        self.0.withdraw();
    }
}

impl Session {
    /// Goes on where `saved` left off.
    pub(super) fn new(uplink: Uplink, saved: Saved) -> Self {
        let window = Window::restore(saved.clone());
        Self { uplink, window, saved, taken: Vec::new(), refused: None, useful: false, told: None, untold: 0 }
    }

    /// Until `connection` is lost or should be replaced. Returns whether the stream has taken anything over it.
    pub(super) async fn run(&mut self, connection: &Connection) -> bool {
        let mut nudges = self.uplink.nudges.clone();
        let info = connection.client.server_info();
        self.uplink.health.set_connected(true, Some(format!("{} {}", info.server_name, info.version)));
        self.window.connected(knows_batches(&connection.client));
        self.useful = false;
        let woken = async {
            nudge::woken(&mut nudges).await;
            // Nobody knows yet, but hardly any connection outlives a sleep.
            connection.lose.send_replace(false);
            std::future::pending::<()>().await;
        };
        let (clock, serial) = (Arc::clone(&self.uplink.clock), self.uplink.serial.clone());
        let (keeper, journal) = (Arc::clone(&self.uplink.keeper), self.uplink.journal.clone());
        let says_who = self.uplink.settings.say_who();
        let replaced = async {
            if says_who {
                std::future::pending::<()>().await;
            }
            keeper.tell(&journal).await;
            keeper.attend(&connection.client, &journal).await;
            tracing::info!("another credential: connecting with it");
            connection.lose.send_replace(false);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.exchange(connection) => {}
            () = woken => {}
            () = replaced => {}
            () = clock.listen(&connection.client, &serial) => {}
        }
        self.uplink.health.set_connected(false, None);
        self.useful
    }

    async fn exchange(&mut self, connection: &Connection) {
        let (client, link) = (connection.client.clone(), connection.link.clone());
        let mut publisher = Publisher {
            client,
            link: link.clone(),
            serial: self.uplink.serial.clone(),
            clock: Some(Arc::clone(&self.uplink.clock)),
        };
        let mut silences = 0;
        while silences < MAX_SILENCES && *link.borrow() {
            match self.step(&mut publisher).await {
                Ok(more) => silences += more,
                Err(error) => self.uplink.health.disk_failed(&error).await,
            }
        }
    }

    /// Returns how many requests stayed without an answer, or [`MAX_SILENCES`] for one that must not arrive late.
    async fn step(&mut self, publisher: &mut Publisher) -> Result<u32, SpoolError> {
        match self.window.next(now().as_millis()) {
            Step::Wait(until) => {
                let wait = u64::try_from(until - now().as_millis()).unwrap_or(0);
                // Either way the caller looks at the connection anew.
                timeout(Duration::from_millis(wait), publisher.lost()).await.ok();
                Ok(0)
            }
            Step::Choose(most) => self.choose(most, publisher).await.map(|()| 0),
            Step::Ask(question, range) => self.ask(question, &range, publisher).await,
            Step::Try { range, expectation } => {
                self.save()?;
                let records = self.uplink.spool.read(&range)?;
                if records.is_empty() {
                    let verdict = self.window.vanished();
                    self.judge(verdict, None)?;
                    return Ok(0);
                }
                let time = records.first().map(|(_, record)| record.time);
                let reply = publisher.send(records, expectation).await;
                tracing::debug!(?range, expectation, ?reply, "tried");
                self.note(&reply);
                let verdict = self.window.reply(&reply, now().as_millis(), backoff::random());
                self.judge(verdict, time)?;
                self.tell_foreign().await;
                Ok(match reply {
                    // Sent behind what is there, it relies on ids that the stream soon forgets.
                    Reply::Unknown(_) if expectation != self.saved.expectation => MAX_SILENCES,
                    Reply::Unknown(_) | Reply::Refused(_) | Reply::Full(_) => 1,
                    _ => 0,
                })
            }
        }
    }

    async fn ask(
        &mut self,
        question: Question,
        range: &RangeInclusive<u64>,
        publisher: &mut Publisher,
    ) -> Result<u32, SpoolError> {
        let mut records = self.uplink.spool.read(range)?;
        let count = records.len();
        let Some(last) = records.pop() else {
            let verdict = self.window.vanished();
            return self.judge(verdict, None).map(|()| 0);
        };
        if matches!(question, Question::Last(_)) && last.0 != *range.end() {
            self.window.unanswerable();
            return Ok(0);
        }
        let reply = publisher.ask(question, last).await;
        tracing::debug!(?question, ?range, ?reply, "asked");
        self.note(&reply);
        let verdict = self.window.answered(count, &reply, now().as_millis(), backoff::random());
        self.judge(verdict, None)?;
        self.tell_foreign().await;
        Ok(u32::from(matches!(reply, Reply::Unknown(_))))
    }

    /// Tells that somebody else writes under this serial number: at once, then each hour with how often it was.
    async fn tell_foreign(&mut self) {
        let Some(Foreign { expected, found }) = self.window.take_foreign() else { return };
        let at = now();
        self.uplink.health.conflict(at, expected, found);
        self.untold = self.untold.saturating_add(1);
        if self.told.is_some_and(|told| (0..TELL_MS).contains(&at.millis_since(told))) {
            return;
        }
        tracing::error!(expected, found, count = self.untold, "somebody else writes under this serial number");
        let info = serde_json::json!({"expected": expected, "found": found, "count": self.untold});
        match self.uplink.journal.write(Entry::event(Kind::AgentConflict.draft(info))).await {
            Ok(_) => (self.told, self.untold) = (Some(at), 0),
            Err(error) => tracing::warn!(%error, "conflict"),
        }
    }

    async fn choose(&mut self, most: usize, publisher: &mut Publisher) -> Result<(), SpoolError> {
        self.uplink.written.mark_unchanged();
        if let Some(range) = self.uplink.spool.next_range(&self.taken, most, MAX_BYTES)? {
            self.window.begin(&range, now().as_millis());
            return Ok(());
        }
        self.save()?;
        let offer = Offered::new(&self.uplink.spool, self.window.saved(), most);
        tokio::select! {
            changed = self.uplink.written.changed() => {
                if changed.is_err() {
                    // Nothing will be written any more: this task is about to be dropped.
                    std::future::pending::<()>().await;
                }
            }
            _ = publisher.lost() => {}
        }
        if let Some(saved) = offer.withdraw() {
            self.window.begun(saved.clone());
            self.saved = saved;
        }
        Ok(())
    }

    /// What was taken and what is tried next, in one transaction.
    fn save(&mut self) -> Result<(), SpoolError> {
        if self.taken.is_empty() && self.saved == *self.window.saved() {
            return Ok(());
        }
        match &self.refused {
            Some(gap) => self.uplink.spool.give_up(&self.taken, self.window.saved(), gap)?,
            None => self.uplink.spool.settle(&self.taken, self.window.saved())?,
        }
        self.saved = self.window.saved().clone();
        self.taken.clear();
        self.refused = None;
        Ok(())
    }

    fn judge(&mut self, verdict: Verdict, time: Option<Time>) -> Result<(), SpoolError> {
        match verdict {
            Verdict::Open => {}
            Verdict::Stored(range) => {
                self.useful = true;
                self.uplink.health.acknowledged(now(), self.window.saved().expectation);
                self.taken.push(range);
            }
            Verdict::Refused(key) => {
                tracing::error!(
                    sequence = spool::sequence(key),
                    "the stream refuses an event for its size; it is given up"
                );
                self.taken.push(key..=key);
                self.refused = Some(Gap::refused(key, time.unwrap_or_else(now)));
                self.save()?;
            }
        }
        Ok(())
    }

    fn note(&self, reply: &Reply) {
        let trouble = reply.trouble();
        if let Some(trouble) = &trouble {
            tracing::warn!(%trouble, "not stored yet");
        }
        self.uplink.health.set_error(trouble);
    }
}

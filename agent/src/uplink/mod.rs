//! The uplink: takes events off the spool once the stream has them, exactly once and in order.
//!
//! [`window`] decides, [`publish`] sends, [`connect`] connects; here they meet the spool and the clock. It never changes
//! an event, and gives none up that the stream might still take.

pub(crate) mod backoff;
mod connect;
mod probe;
mod publish;
mod reply;
mod window;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use emote_proto::Time;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

pub use backoff::delay_ms;
pub(crate) use probe::probe;
pub use reply::Reply;
pub use window::{Flight, Saved, Step, UNKNOWN, Verdict, Window};

use crate::health::Health;
use crate::serial::Serial;
use crate::settings::Settings;
use crate::spool::{Gap, Spool, SpoolError};
use publish::Publisher;

/// Most bytes of one flight, unless its first event alone has more.
const MAX_BYTES: usize = 512 * 1024;
/// The library keeps some memory for each unanswered request: after so many, a new client is made.
const MAX_SILENCES: u32 = 50;

/// What the uplink works with.
pub(crate) struct Uplink {
    pub(crate) settings: Arc<Settings>,
    pub(crate) serial: Serial,
    pub(crate) spool: Arc<Spool>,
    pub(crate) health: Arc<Health>,
    /// Changes whenever events were written to the spool.
    pub(crate) written: watch::Receiver<u64>,
}

/// One client's life.
struct Session {
    uplink: Uplink,
    window: Window,
    /// What is on the disk.
    saved: Saved,
    /// Stored by the stream and still in the spool.
    taken: Vec<RangeInclusive<u64>>,
}

impl Uplink {
    /// Runs until it is dropped.
    pub(crate) async fn run(self) {
        let servers = self.settings.server_names();
        let saved = loop {
            match self.spool.saved() {
                Ok(saved) => break saved.for_servers(&servers),
                Err(error) => self.health.disk_failed(&error).await,
            }
        };
        let window = Window::restore(saved.clone());
        let mut session = Session { uplink: self, window, saved, taken: Vec::new() };
        loop {
            let (up, link) = watch::channel(false);
            let uplink = &session.uplink;
            match connect::connect(&uplink.settings, &uplink.serial, Arc::clone(&uplink.health), up).await {
                Ok(client) => session.run(client, link).await,
                Err(error) => {
                    tracing::warn!(%error, "cannot connect");
                    uplink.health.set_error(Some(error.to_string()));
                    sleep(Duration::from_millis(delay_ms(8, backoff::random()))).await;
                }
            }
        }
    }
}

impl Session {
    /// Until the client should be replaced.
    async fn run(&mut self, client: Client, mut link: watch::Receiver<bool>) {
        let serial = self.uplink.serial.clone();
        let mut publisher = Publisher { client: client.clone(), link: link.clone(), serial };
        let mut silences = 0;
        while silences < MAX_SILENCES {
            if !*link.borrow_and_update() {
                self.uplink.health.set_connected(false, None);
                while !*link.borrow_and_update() {
                    if link.changed().await.is_err() {
                        return;
                    }
                }
                let info = client.server_info();
                self.uplink.health.set_connected(true, Some(format!("{} {}", info.server_name, info.version)));
                self.window.connected(connect::knows_batches(&client));
            }
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
                Ok(match reply {
                    // Sent behind what is there, it relies on ids that the stream soon forgets.
                    Reply::Unknown(_) if expectation != self.saved.expectation => MAX_SILENCES,
                    Reply::Unknown(_) | Reply::Refused(_) => 1,
                    _ => 0,
                })
            }
        }
    }

    async fn choose(&mut self, most: usize, publisher: &mut Publisher) -> Result<(), SpoolError> {
        self.uplink.written.mark_unchanged();
        let after = self.taken.iter().map(|range| *range.end()).max().unwrap_or(0);
        if let Some(range) = self.uplink.spool.next_range(after, most, MAX_BYTES)? {
            self.window.begin(&range, now().as_millis());
            return Ok(());
        }
        self.save()?;
        tokio::select! {
            changed = self.uplink.written.changed() => {
                if changed.is_err() {
                    // Nothing will be written any more: this task is about to be dropped.
                    std::future::pending::<()>().await;
                }
            }
            _ = publisher.lost() => {}
        }
        Ok(())
    }

    /// What was taken and what is tried next, in one transaction.
    fn save(&mut self) -> Result<(), SpoolError> {
        if self.taken.is_empty() && self.saved == *self.window.saved() {
            return Ok(());
        }
        self.uplink.spool.settle(&self.taken, self.window.saved())?;
        self.saved = self.window.saved().clone();
        self.taken.clear();
        Ok(())
    }

    fn judge(&mut self, verdict: Verdict, time: Option<Time>) -> Result<(), SpoolError> {
        match verdict {
            Verdict::Open => {}
            Verdict::Stored(range) => {
                self.uplink.health.acknowledged(now(), self.window.saved().expectation);
                self.taken.push(range);
            }
            Verdict::Refused(sequence) => {
                tracing::error!(sequence, "the stream refuses an event for its size; it is given up");
                self.taken.push(sequence..=sequence);
                self.save()?;
                self.uplink.spool.report(Gap::refused(sequence, time.unwrap_or_else(now)))?;
            }
        }
        Ok(())
    }

    fn note(&self, reply: &Reply) {
        let trouble = match reply {
            Reply::Refused(why) | Reply::Unknown(why) => Some(why.clone()),
            Reply::NoBatches => Some("EVENTS does not allow atomic batches (allow_atomic): sending one by one".into()),
            _ => None,
        };
        if let Some(trouble) = &trouble {
            tracing::warn!(%trouble, "not stored yet");
        }
        self.uplink.health.set_error(trouble);
    }
}

fn now() -> Time {
    jiff::Timestamp::now().into()
}

//! Over a connection that stands: asks for the next JWT in time, and hears what brokers say of this machine's credential.
//!
//! A request is an event like any other, so it goes through the spool, in its place and exactly once. What comes is taken
//! in by [`Keeper`], which checks it; then the connection is of no more use: the next one is made with what came.

use std::time::Duration;

use async_nats::Client;
use emote_proto::enroll::{IdentityNotice, MAX_MESSAGE};
use emote_proto::{Time, subjects};
use futures_util::StreamExt;
use tokio::time::sleep;

use super::Keeper;
use crate::journal::{Entry, Journal};
use crate::settings::cut;

/// A timer stands still while the machine sleeps: the time is looked at so often.
const LONGEST: Duration = Duration::from_secs(300);
/// Characters of a broker's reason.
const MOST_SAID: usize = 400;
/// After a broker's no, nothing is asked for so long at least.
const SULK_MS: i64 = 6 * 3_600_000;

impl Keeper {
    /// Until there is another credential to connect with.
    pub(crate) async fn attend(&self, client: &Client, journal: &Journal) {
        let serial = self.serial();
        let mut notices = match client.subscribe(subjects::identity(serial.as_str())).await {
            Ok(notices) => notices,
            Err(error) => {
                tracing::warn!(%error, "brokers cannot be heard on this machine's credential");
                return std::future::pending().await;
            }
        };
        let mut not_before = i64::MIN;
        loop {
            let at = self.ask_at().map(|at| at.max(not_before));
            self.asks_next(at.map(|at| at.max(now().as_millis())));
            let wait = at.map(|at| wait(at, now()));
            tokio::select! {
                Some(notice) = notices.next() => match self.hear(&notice.payload) {
                    Heard::Changed => return,
                    Heard::Rotate => not_before = i64::MIN,
                    Heard::Refused(reason) => {
                        not_before = now().as_millis().saturating_add(SULK_MS);
                        self.write(journal, self.refusal(&reason)).await;
                    }
                    Heard::Nothing => {}
                },
                () = sleep(wait.unwrap_or(LONGEST)) => if wait == Some(Duration::ZERO) {
                    match self.renewal(now()) {
                        Ok(draft) => self.write(journal, draft).await,
                        Err(error) => tracing::error!(%error, "the next credential cannot be asked for"),
                    }
                },
            }
        }
    }

    /// Tells what was not told yet.
    pub(crate) async fn tell(&self, journal: &Journal) {
        let drafts = self.untold();
        if drafts.is_empty() {
            return;
        }
        for draft in drafts {
            if let Err(error) = journal.write(Entry::event(draft)).await {
                // At the next connection.
                tracing::warn!(%error, "identity");
                return;
            }
        }
        self.told();
    }

    async fn write(&self, journal: &Journal, draft: emote_proto::Draft) {
        if let Err(error) = journal.write(Entry::event(draft)).await {
            tracing::warn!(%error, "identity");
        }
    }

    pub(super) fn hear(&self, payload: &[u8]) -> Heard {
        if payload.len() > MAX_MESSAGE {
            tracing::warn!(bytes = payload.len(), "a notice on this machine's credential is too long");
            return Heard::Nothing;
        }
        let notice = serde_json::from_slice(payload).inspect_err(|error| tracing::warn!(%error, "a notice is none"));
        let taken = match notice {
            Ok(IdentityNotice::Issued { jwt }) => {
                self.issued(&jwt, now()).map(|other| if other { Heard::Changed } else { Heard::Nothing })
            }
            Ok(IdentityNotice::Rotate) => self.rotate().map(|()| Heard::Rotate),
            Ok(IdentityNotice::Refused { reason }) => Ok(Heard::Refused(cut(&reason, MOST_SAID))),
            Err(_) => Ok(Heard::Nothing),
        };
        taken.unwrap_or_else(|error| {
            tracing::warn!(%error, "a notice on this machine's credential");
            Heard::Nothing
        })
    }
}

/// What a notice was.
pub(super) enum Heard {
    Changed,
    Rotate,
    Refused(String),
    Nothing,
}

/// Zero when it is time; never so long that a sleep of the machine goes unnoticed.
fn wait(at: i64, now: Time) -> Duration {
    let millis = u64::try_from(at.saturating_sub(now.as_millis())).unwrap_or(0);
    Duration::from_millis(millis).min(LONGEST)
}

fn now() -> Time {
    jiff::Timestamp::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_none_when_it_is_time_and_never_long() {
        let now = Time::from_millis(1_000).unwrap();
        for (at, millis) in [(i64::MIN, 0), (0, 0), (1_000, 0), (1_001, 1), (i64::MAX, 300_000)] {
            assert_eq!(wait(at, now), Duration::from_millis(millis), "{at}");
        }
    }
}

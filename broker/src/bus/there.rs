//! Reading what is there, and no further.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    ReadError,
    ordered::{Failed, LOOK_EVERY, Ordered, Stored},
};

/// What of a stream was there when reading began.
pub(super) struct There {
    left: u64,
    renewed: u64,
    /// It is read until there is nothing behind: what is replaced meanwhile comes behind what was there.
    is_last: bool,
    /// The leader has messages up to here. (A consumer may be at a server that has not got them yet.)
    until: u64,
    /// How long the next may take.
    within: Option<Duration>,
}

impl There {
    /// Up to this sequence at least, each within this time.
    pub(super) fn within(within: Duration, sequence: u64, messages: &Ordered) -> Self {
        Self { within: Some(within), ..Self::until(sequence, messages) }
    }

    /// Up to this sequence at least, however long the way to NATS is broken.
    pub(super) fn until(sequence: u64, messages: &Ordered) -> Self {
        let (left, renewed, is_last) = (messages.pending(), messages.renewed, messages.wanted.is_last());
        Self { left, renewed, is_last, until: sequence, within: None }
    }

    /// The next of it; nothing where that was all.
    pub(super) async fn next(&mut self, messages: &mut Ordered) -> Result<Option<Stored>, ReadError> {
        let until = self.within.map(|within| Instant::now() + within);
        let late = || ReadError("the rest did not come".to_owned());
        loop {
            if self.left == 0 {
                if messages.position() >= self.until {
                    return Ok(None);
                }
                match messages.next_sequence().await {
                    Ok(Some(sequence)) if sequence <= self.until && is_over(until) => return Err(late()),
                    Ok(Some(sequence)) if sequence <= self.until => self.left = 1,
                    Ok(_) => {
                        self.until = 0;
                        return Ok(None);
                    }
                    Err(Failed::ForGood(error)) => return Err(error),
                    Err(Failed::ForNow(_)) if is_over(until) => return Err(late()),
                    Err(Failed::ForNow(error)) => {
                        tracing::debug!(%error, "whether there is more is not known yet");
                        sleep(LOOK_EVERY).await;
                        continue;
                    }
                }
            }
            let next = messages.next_soon().await?;
            if self.renewed != messages.renewed {
                (self.left, self.renewed) = (messages.pending(), messages.renewed);
            }
            match next {
                Some(message) => {
                    let behind = if self.is_last { message.pending } else { self.left.saturating_sub(1) };
                    self.left = behind.min(message.pending);
                    return Ok(Some(message));
                }
                // It was taken out meanwhile.
                None if messages.is_at_end().await => self.left = 0,
                None if is_over(until) => return Err(late()),
                None => messages.begin_anew(),
            }
        }
    }
}

fn is_over(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() > until)
}

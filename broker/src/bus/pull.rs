//! A consumer's messages, pulled (ADR-37) by whoever reads them: what is asked for is counted here, before anything of it can
//! come.
//!
//! (The library's stream of a pull consumer has a task of its own that asks. What comes before the stream hears from that
//! task is not counted; on a busy machine it then waits for messages that nobody has asked for, until heartbeats are missed.
//! Seen with async-nats 0.51.)

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use async_nats::{Client, Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::{task::unconstrained, time::timeout};

/// What is asked for and does not come within this time is asked for again.
const EXPIRES: Duration = Duration::from_secs(10);
/// The server gives a sign of life when nothing has come for so long.
const HEARTBEAT: Duration = Duration::from_secs(3);
const PENDING: &str = "Nats-Pending-Messages";
const LAST_CONSUMER: &str = "Nats-Last-Consumer";
/// How often it is looked whether the connection is still the same while nothing comes.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Messages of a pull consumer as they come, in its order.
pub(super) struct Pull {
    client: Client,
    answers: Subscriber,
    inbox: Subject,
    /// What to ask, and where.
    ask: Subject,
    request: Bytes,
    batch: usize,
    /// Messages asked for that are still to come.
    asked: usize,
    /// When something came, or was asked for.
    heard: Instant,
    /// How many connections there had been when it was asked last.
    connects: u64,
    /// The consumer's count of the last message that it gave, as it said when nothing had come for a while.
    told: u64,
}

/// Nothing more comes; a new consumer, or a new reader of it, has to be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum PullError {
    #[error("the connection is closed")]
    Closed,
    #[error("nothing was heard of the consumer for {} s", 2 * HEARTBEAT.as_secs())]
    Silence,
    #[error("the consumer says: {0}")]
    Refused(String),
    #[error("asking for messages: {0}")]
    Ask(String),
}

impl Pull {
    /// Of this consumer; up to `batch` messages are on their way at once, or half as many more.
    pub(super) async fn new(client: &Client, stream: &str, consumer: &str, batch: usize) -> Result<Self, PullError> {
        let inbox = Subject::from(client.new_inbox());
        let answers = client.subscribe(inbox.clone()).await.map_err(|error| PullError::Ask(error.to_string()))?;
        let (expires, heartbeat) = (EXPIRES.as_nanos(), HEARTBEAT.as_nanos());
        let request = format!(r#"{{"batch":{batch},"expires":{expires},"idle_heartbeat":{heartbeat}}}"#);
        let ask = Subject::from(format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"));
        let (client, connects, request) = (client.clone(), connects(client), request.into());
        Ok(Self { client, answers, inbox, ask, request, batch, asked: 0, heard: Instant::now(), connects, told: 0 })
    }

    /// Waits for the next message. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Message, PullError> {
        loop {
            self.ask().await?;
            match timeout(LOOK_EVERY, self.answers.next()).await {
                Ok(answer) => {
                    if let Some(message) = self.take(answer.ok_or(PullError::Closed)?)? {
                        return Ok(message);
                    }
                }
                // What came while nobody looked has been taken by now.
                Err(_) if self.heard.elapsed() > 2 * HEARTBEAT => return Err(PullError::Silence),
                Err(_) => {}
            }
        }
    }

    /// Whether the consumer gave messages behind its `count`th that did not come and will not: it said so behind them.
    pub(super) fn has_lost(&self, count: u64) -> bool {
        self.told > count
    }

    /// The next message, if it is there already.
    pub(super) fn next_now(&mut self) -> Option<Result<Message, PullError>> {
        // Where that has to wait it is done when the next message is waited for.
        match unconstrained(self.ask()).now_or_never() {
            Some(Err(error)) => Some(Err(error)),
            _ => self.there(),
        }
    }

    /// The same, without asking for more.
    pub(super) fn there(&mut self) -> Option<Result<Message, PullError>> {
        loop {
            let answer = unconstrained(self.answers.next()).now_or_never()?;
            match answer.ok_or(PullError::Closed).and_then(|answer| self.take(answer)) {
                Ok(Some(message)) => return Some(Ok(message)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Cancel safe: it is counted as soon as it is sent.
    async fn ask(&mut self) -> Result<(), PullError> {
        let connects = connects(&self.client);
        if connects != self.connects {
            // A server forgets what was asked over a connection that is gone.
            (self.asked, self.connects) = (0, connects);
        }
        if self.asked <= self.batch / 2 {
            let sent = self.client.publish_with_reply(self.ask.clone(), self.inbox.clone(), self.request.clone()).await;
            sent.map_err(|error| PullError::Ask(error.to_string()))?;
            (self.asked, self.heard) = (self.asked + self.batch, Instant::now());
        }
        Ok(())
    }

    /// A message, if the answer is one.
    fn take(&mut self, answer: Message) -> Result<Option<Message>, PullError> {
        // What is stored can be acknowledged, whatever it looks like.
        if answer.reply.is_some() {
            self.asked = self.asked.saturating_sub(1);
            self.heard = Instant::now();
            return Ok(Some(answer));
        }
        match answer.status {
            Some(StatusCode::IDLE_HEARTBEAT) => {
                let told = answer.headers.as_ref().and_then(|headers| headers.get(LAST_CONSUMER));
                self.told = told.and_then(|told| told.as_str().parse().ok()).unwrap_or_default();
                self.heard = Instant::now();
                Ok(None)
            }
            Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT | StatusCode::REQUEST_TERMINATED) => {
                let said = answer.description.as_deref().unwrap_or_default();
                if ["Consumer Deleted", "Consumer is push based", "Exceeded"].iter().any(|end| said.starts_with(end)) {
                    return Err(PullError::Refused(said.to_owned()));
                }
                // So many of what was asked for do not come; where it does not say how many, nothing does: another server is to
                // be asked, or this one once it is back.
                let pending = answer.headers.as_ref().and_then(|headers| headers.get(PENDING));
                let pending = pending.and_then(|pending| pending.as_str().parse().ok());
                let ends = ["Leadership Change", "Server Shutdown"].iter().any(|end| said.starts_with(end));
                let pending = pending.filter(|_| !ends).unwrap_or(self.asked);
                self.asked = self.asked.saturating_sub(pending);
                self.heard = Instant::now();
                Ok(None)
            }
            status => {
                let (status, said) = (status.unwrap_or_default(), answer.description.as_deref().unwrap_or_default());
                Err(PullError::Refused(format!("{status} {said}")))
            }
        }
    }
}

/// How many connections there have been.
pub(super) fn connects(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed)
}

/// What the server says of a message that it gives to a consumer, in the subject for its acknowledgement (ADR-15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delivered {
    /// How often it has been given, this time included.
    pub(super) times: u64,
    /// Its sequence in the stream.
    pub(super) sequence: u64,
    /// Its count among what the consumer was given.
    pub(super) count: u64,
    /// When it was stored, in nanoseconds since 1970.
    pub(super) stored: i128,
    /// Messages of the consumer behind it.
    pub(super) pending: u64,
}

impl Delivered {
    pub(super) fn of(message: &Message) -> Result<Self, String> {
        let reply = message.reply.as_deref().unwrap_or_default();
        Self::parse(reply).ok_or_else(|| format!("a message of no consumer: {reply:?} is no subject to acknowledge it"))
    }

    /// `$JS.ACK.<stream>.<consumer>.…`, or with the domain and the account before the stream and words to come at the end.
    fn parse(reply: &str) -> Option<Self> {
        let words = reply.strip_prefix("$JS.ACK.")?;
        let before = match words.bytes().filter(|byte| *byte == b'.').count() + 1 {
            7 => 2,
            9.. => 4,
            _ => return None,
        };
        let mut words = words.split('.').skip(before);
        let mut number = || words.next()?.parse::<u64>().ok();
        let (times, sequence, count) = (number()?, number()?, number()?);
        Some(Self { times, sequence, count, stored: i128::from(number()?), pending: number()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_message_is_read_in_both_forms() {
        let said = Delivered { times: 2, sequence: 71, count: 12, stored: 1_790_000_000_123_456_789, pending: 3 };
        for reply in [
            "$JS.ACK.EVENTS.core-0.2.71.12.1790000000123456789.3",
            "$JS.ACK._.Dj2h4k.EVENTS.core-0.2.71.12.1790000000123456789.3",
            "$JS.ACK.hub.Dj2h4k.EVENTS.core-0.2.71.12.1790000000123456789.3.x7Yq",
        ] {
            assert_eq!(Delivered::parse(reply), Some(said), "{reply}");
        }
        for reply in [
            "",
            "_INBOX.x.y",
            "$JS.ACK.EVENTS.core-0.2.71.12.1790000000123456789",
            "$JS.ACK.x.EVENTS.core-0.2.71.12.1790000000123456789.3",
            "$JS.ACK.EVENTS.core-0.2.71.-1.1790000000123456789.3",
        ] {
            assert_eq!(Delivered::parse(reply), None, "{reply}");
        }
    }
}

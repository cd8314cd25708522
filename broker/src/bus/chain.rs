//! Chained publish into DELIVERIES: each message names the message that it must follow, by its sequence and by its id,
//! and how far the core is once it is stored. The server takes them in order or not at all: where one is missing, or
//! somebody else has written, every one behind it is refused. So what is stored is always a beginning of what was sent,
//! and the last message stored says where the core is: each is a commit of its own, and none has to be waited for before
//! the next.
//!
//! The sequence alone would not do: a message of somebody else's may take the very place of one that is refused for it,
//! and the next would find the sequence that it expects.
//!
//! Where DELIVERIES has several copies nothing may be sent ahead: nats-server 2.15.1 looks at the id only where it writes,
//! in every copy, and one that is not expected ends all copies for good. There each message waits for the one before. (The
//! sequence is looked at before that: where a stream gets its copies while a chain is under way, it keeps the most from them.)

use std::{
    collections::{BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use async_nats::{
    HeaderMap, HeaderName, StatusCode, Subscriber,
    header::{NATS_EXPECTED_LAST_MESSAGE_ID, NATS_EXPECTED_LAST_SEQUENCE, NATS_MESSAGE_ID},
    jetstream::stream::{LastRawMessageErrorKind, RawMessageErrorKind},
};
use emote_proto::{header, limits, stream, subjects};
use futures_util::StreamExt;

use super::{BatchError, Bus, BusError, Outgoing, batch, jobs::stored_key};

const PLACE: HeaderName = HeaderName::from_static(header::PLACE);
/// A chain's name is in every message of it, twice; it has to differ from that of the chain before.
const NAME_BYTES: usize = 5;
/// An answer that does not come within this time is taken for none.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Messages that the connection does not take within this time are not sent.
const SENT_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether the connection still stands while an answer is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How far the core is behind a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Every entry of EVENTS up to this one is folded and all its jobs are stored.
    pub sequence: u64,
    /// Jobs of the next entry that are stored too.
    pub jobs: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.sequence, self.jobs)
    }
}

impl Place {
    /// Jobs of this entry that are stored before it is folded behind this place.
    pub fn jobs_of(&self, sequence: u64) -> usize {
        if sequence == self.sequence + 1 { self.jobs } else { 0 }
    }

    /// From a header's text, `<sequence>/<jobs>`.
    pub fn parse(text: &str) -> Option<Self> {
        let (sequence, jobs) = text.split_once('/')?;
        Some(Self { sequence: sequence.parse().ok()?, jobs: jobs.parse().ok()? })
    }
}

/// What stands in DELIVERIES behind a checkpoint.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Behind {
    /// When the stream was made.
    pub created: String,
    /// The last sequence of the stream.
    pub last: u64,
    /// How many copies there are of the stream.
    pub copies: usize,
    /// How far the core is, as the last message of a chain says.
    pub place: Option<Place>,
    /// What stands behind that and says nothing: messages that a refused batch left over, by subject and job.
    pub left_over: BTreeSet<String>,
}

/// One broker's chain.
pub struct Chain {
    bus: Bus,
    inbox: String,
    answers: Subscriber,
    /// Its messages' ids are `<name>.<number>`.
    name: String,
    /// When the stream was made.
    created: String,
    /// Whether there is one copy of the stream.
    single: bool,
    last: u64,
    /// The id of the last message, unless that was stored by other means.
    last_id: Option<String>,
    numbers: u64,
    asked: VecDeque<(u64, Instant)>,
}

impl Bus {
    /// Begins a chain behind what was found at the end of DELIVERIES.
    pub async fn chain(&self, behind: &Behind) -> Result<Chain, BusError> {
        let (last, single) = (behind.last, behind.copies <= 1);
        let (inbox, name) = (self.client.new_inbox(), crate::random::name::<NAME_BYTES>());
        let answers = self.client.subscribe(inbox.clone()).await;
        let answers = answers.map_err(|error| BusError::NoAnswer {
            doing: "asking for answers to a chain",
            reason: error.to_string(),
        })?;
        let asked = VecDeque::new();
        let created = behind.created.clone();
        Ok(Chain { bus: self.clone(), inbox, answers, name, created, single, last, last_id: None, numbers: 0, asked })
    }

    /// Looks from the end of DELIVERIES back to the checkpoint at `checkpoint` for how far the core is. Where there is none,
    /// only the end is looked for: nobody could say of which log the rest is.
    ///
    /// A server whose disk becomes full within an atomic batch refuses it and yet keeps its first messages (seen with
    /// nats-server 2.15.1): those are left over.
    pub async fn behind(&self, checkpoint: Option<u64>) -> Result<Behind, BusError> {
        let no_answer = |reason: String| BusError::NoAnswer { doing: "looking behind the checkpoint", reason };
        let deliveries = self.js.get_stream(stream::DELIVERIES).await.map_err(|error| no_answer(error.to_string()))?;
        let info = deliveries.cached_info();
        let (state, copies) = (&info.state, info.config.num_replicas);
        let created = info.created.unix_timestamp_nanos().to_string();
        let mut behind = Behind { created, last: state.last_sequence, copies, ..Behind::default() };
        let Some(checkpoint) = checkpoint else { return Ok(behind) };
        // What others write is not looked through: it may be much, and each message takes a question of its own.
        let mut last_job = checkpoint;
        for jobs in [subjects::DELIVER, subjects::HELD] {
            match deliveries.get_last_raw_message_by_subject(jobs).await {
                Ok(message) => last_job = last_job.max(message.sequence),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {}
                Err(error) => return Err(no_answer(error.to_string())),
            }
        }
        for sequence in (checkpoint + 1..=last_job).rev() {
            if sequence < state.first_sequence {
                break;
            }
            let message = match deliveries.get_raw_message(sequence).await {
                Ok(message) => message,
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => continue,
                Err(error) => return Err(no_answer(error.to_string())),
            };
            behind.place = message.headers.get(header::PLACE).and_then(|place| Place::parse(place.as_str()));
            if behind.place.is_some() {
                break;
            }
            if behind.left_over.len() < limits::MAX_BATCH {
                behind.left_over.extend(stored_key(&message));
            }
        }
        Ok(behind)
    }

    /// How many copies there are of DELIVERIES.
    pub async fn copies(&self) -> Result<usize, BusError> {
        let deliveries = self.js.get_stream(stream::DELIVERIES).await;
        let failed = |reason: String| BusError::NoAnswer { doing: "looking at DELIVERIES", reason };
        Ok(deliveries.map_err(|error| failed(error.to_string()))?.cached_info().config.num_replicas)
    }
}

impl Chain {
    /// Whether messages may be sent while others are not answered yet, and several at once.
    pub fn runs_ahead(&self) -> bool {
        self.single
    }

    /// Sends messages, each with the place behind it; gives the sequence that the last of them will have. They are
    /// stored once [`Chain::answer`] says so. After an error the chain is at its end.
    pub async fn send(&mut self, messages: Vec<(Outgoing, Place)>) -> Result<u64, BatchError> {
        // Where the connection is away, no more is taken than there is room for.
        let sent = tokio::time::timeout(SENT_WITHIN, self.send_all(messages)).await;
        sent.unwrap_or_else(|_| Err(BatchError::Unknown(format!("not sent within {} s", SENT_WITHIN.as_secs()))))
    }

    async fn send_all(&mut self, messages: Vec<(Outgoing, Place)>) -> Result<u64, BatchError> {
        let count = messages.len();
        if !self.single && count + self.asked.len() > 1 {
            let text = "one message at a time goes into a stream of several copies".to_owned();
            return Err(BatchError::Refused { code: 0, text });
        }
        for (index, (message, place)) in messages.into_iter().enumerate() {
            let mut headers = HeaderMap::new();
            for (name, value) in message.headers {
                headers.insert(HeaderName::from_static(name), value);
            }
            headers.insert(NATS_EXPECTED_LAST_SEQUENCE, self.last.to_string());
            if self.single {
                let id = self.id(self.numbers);
                if let Some(last_id) = self.last_id.replace(id.clone()) {
                    headers.insert(NATS_EXPECTED_LAST_MESSAGE_ID, last_id);
                }
                headers.insert(NATS_MESSAGE_ID, id);
            }
            headers.insert(PLACE, place.to_string());
            let client = &self.bus.client;
            let sent = if index + 1 < count {
                client.publish_with_headers(message.subject, headers, message.payload).await
            } else {
                client
                    .publish_with_reply_and_headers(message.subject, self.inbox.clone(), headers, message.payload)
                    .await
            };
            sent.map_err(|error| BatchError::Unknown(error.to_string()))?;
            self.last += 1;
            self.numbers += 1;
        }
        if count > 0 {
            self.asked.push_back((self.last, Instant::now()));
        }
        Ok(self.last)
    }

    /// The stream, by when it was made, and the sequence of the last message sent.
    pub fn end(&self) -> (String, u64) {
        (self.created.clone(), self.last)
    }

    /// How many times messages were sent whose answer is still to come.
    pub fn unanswered(&self) -> usize {
        self.asked.len()
    }

    /// Waits for the oldest answer that is still to come: the sequence up to which everything sent is stored. Waits
    /// without end where nothing was sent. Cancel safe.
    pub async fn answer(&mut self) -> Result<u64, BatchError> {
        let Some((expected, since)) = self.asked.front().copied() else { return std::future::pending().await };
        let reply = loop {
            match tokio::time::timeout(LOOK_EVERY, self.answers.next()).await {
                Ok(Some(reply)) => break reply,
                Ok(None) => return Err(BatchError::Unknown("the connection is closed".to_owned())),
                Err(_) if since.elapsed() > ANSWER_WITHIN => {
                    return Err(BatchError::Unknown(format!("none within {} s", ANSWER_WITHIN.as_secs())));
                }
                Err(_) if !self.bus.is_connected() => {
                    return Err(BatchError::Unknown("the connection is lost".to_owned()));
                }
                Err(_) => {}
            }
        };
        if reply.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(BatchError::Unknown("DELIVERIES is not there, or has no leader".to_owned()));
        }
        let stored = batch::answer(&reply.payload)?;
        if stored.sequence != expected {
            let text = format!("message {expected} was stored as {}", stored.sequence);
            return Err(BatchError::Unknown(text));
        }
        self.asked.pop_front();
        Ok(expected)
    }

    /// Goes on behind the message `last`, which was stored by other means, when everything sent is answered.
    pub fn go_on_behind(&mut self, last: u64) {
        (self.last, self.last_id) = (last, None);
    }

    fn id(&self, number: u64) -> String {
        format!("{}.{number}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        for place in [Place { sequence: 0, jobs: 0 }, Place { sequence: u64::MAX, jobs: 1_200 }] {
            assert_eq!(Place::parse(&place.to_string()), Some(place));
        }
        for text in ["", "7", "7/", "/7", "7/8/9", "-1/0", "a/b"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }
}

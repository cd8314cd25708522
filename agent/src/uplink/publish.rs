//! Sends one flight over the connection: a plain message when it is one event, else one atomic batch (ADR-50).

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Request, RequestErrorKind};
use emote_proto::{EventId, Time, header};
use tokio::sync::watch;

use super::clock::Clock;
use super::reply::{self, Reply};
use super::window::{Question, UNKNOWN};
use crate::spool::{self, Record};
use emote_proto::Serial;

/// An answer takes longer than this only when it is lost.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to publish over.
pub(crate) struct Publisher {
    pub(crate) client: Client,
    /// Whether the connection stands.
    pub(crate) link: watch::Receiver<bool>,
    pub(crate) serial: Serial,
    /// Asks for the time with fresh heartbeats; a simulated Mac does not.
    pub(crate) clock: Option<Arc<Clock>>,
}

/// Why there is no answer.
enum Silence {
    /// Nobody got the message.
    Nobody,
    TooLarge,
    /// Somebody may have got it.
    Lost(String),
}

impl From<Silence> for Reply {
    fn from(silence: Silence) -> Self {
        match silence {
            Silence::Nobody => nobody(),
            Silence::TooLarge => Self::TooLarge,
            Silence::Lost(why) => Self::Unknown(why),
        }
    }
}

impl Publisher {
    /// Sends `records` behind `expectation`. All are of one serial number and in order.
    pub(crate) async fn send(&mut self, mut records: Vec<(u64, Record)>, expectation: u64) -> Reply {
        let Some(last) = records.pop() else { return Reply::Refused("nothing to send".into()) };
        let count = records.len() + 1;
        let batch = match batch_id() {
            Some(batch) => batch,
            None => return Reply::Refused("no random bytes for a batch id".into()),
        };
        for (place, record) in (1..).zip(records) {
            let mut headers = headers(&record);
            headers.insert(header::BATCH_ID, batch.as_str());
            headers.insert(header::BATCH_SEQUENCE, place.to_string());
            if place == 1 {
                self.expect(&mut headers, expectation);
                match self.request(record.1, headers).await {
                    Ok(answer) => match reply::to_first(&answer.payload) {
                        Ok(()) => continue,
                        Err(reply) => return reply,
                    },
                    // Without its last message a batch is never stored.
                    Err(Silence::Lost(why)) => return Reply::Refused(why),
                    Err(silence) => return silence.into(),
                }
            }
            if let Err(error) = self.client.publish_with_headers(record.1.subject, headers, record.1.json.into()).await
            {
                return match error.kind() {
                    async_nats::PublishErrorKind::MaxPayloadExceeded => Reply::TooLarge,
                    _ => Reply::Refused(error.to_string()),
                };
            }
        }
        let mut headers = headers(&last);
        if count == 1 {
            self.expect(&mut headers, expectation);
            if let Some(word) = self.clock.as_ref().and_then(|clock| clock.ask(&last.1)) {
                headers.insert(header::CLOCK, word);
            }
        } else {
            headers.insert(header::BATCH_ID, batch.as_str());
            headers.insert(header::BATCH_SEQUENCE, count.to_string());
            headers.insert(header::BATCH_COMMIT, "1");
        }
        self.commit(last.1, headers).await
    }

    /// Asks `question` with `record`, which is published behind a sequence that there never is: it is never stored.
    pub(crate) async fn ask(&mut self, question: Question, record: (u64, Record)) -> Reply {
        let mut headers = headers(&record);
        match question {
            Question::Known => return self.ask_known(record.1, headers).await,
            Question::Sequence => self.expect(&mut headers, UNKNOWN),
            Question::Last(_) => {
                headers.insert(header::EXPECTED_LAST_SUBJECT_SEQUENCE, UNKNOWN.to_string());
                headers.insert(header::EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, record.1.subject.as_str());
            }
        }
        self.commit(record.1, headers).await
    }

    /// [`Reply::Duplicate`] if the stream knows the id, else [`Reply::WrongLast`].
    ///
    /// Of a message alone a server that is none of a cluster looks at the sequence first, of a batch at the ids. The second
    /// message has no id, which a batch may not have twice.
    async fn ask_known(&mut self, record: Record, mut first: HeaderMap) -> Reply {
        let Some(batch) = batch_id() else { return Reply::Refused("no random bytes for a batch id".into()) };
        self.expect(&mut first, UNKNOWN);
        let mut second = HeaderMap::new();
        for (place, headers) in [("1", &mut first), ("2", &mut second)] {
            headers.insert(header::BATCH_ID, batch.as_str());
            headers.insert(header::BATCH_SEQUENCE, place);
        }
        second.insert(header::BATCH_COMMIT, "1");
        match self.request(record.clone(), first).await {
            Ok(answer) => match reply::to_first(&answer.payload) {
                Ok(()) => self.commit(record, second).await,
                Err(reply) => reply,
            },
            Err(silence) => silence.into(),
        }
    }

    async fn commit(&mut self, record: Record, headers: HeaderMap) -> Reply {
        match self.request(record, headers).await {
            Ok(answer) => reply::to_commit(&answer.payload),
            Err(silence) => silence.into(),
        }
    }

    /// Until the connection is lost.
    pub(crate) async fn lost(&mut self) {
        lost(&mut self.link).await;
    }

    fn expect(&self, headers: &mut HeaderMap, expectation: u64) {
        headers.insert(header::EXPECTED_LAST_SUBJECT_SEQUENCE, expectation.to_string());
        headers.insert(header::EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, self.serial.all_subjects());
    }

    async fn request(&mut self, record: Record, headers: HeaderMap) -> Result<Message, Silence> {
        let request = Request::new().headers(headers).payload(record.json.into()).timeout(Some(TIMEOUT));
        let answer = self.client.send_request(record.subject, request);
        tokio::select! {
            answer = answer => answer.map_err(|error| match error.kind() {
                RequestErrorKind::NoResponders => Silence::Nobody,
                RequestErrorKind::MaxPayloadExceeded => Silence::TooLarge,
                _ => Silence::Lost(error.to_string()),
            }),
            () = lost(&mut self.link) => Err(Silence::Lost("the connection was lost".into())),
        }
    }
}

async fn lost(link: &mut watch::Receiver<bool>) {
    while *link.borrow_and_update() {
        if link.changed().await.is_err() {
            return;
        }
    }
}

fn nobody() -> Reply {
    Reply::Refused("no stream takes these events: is EVENTS there?".into())
}

fn headers((key, record): &(u64, Record)) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::MSG_ID, record.id.to_string());
    headers.insert(header::SPOOL_SEQUENCE, spool::sequence(*key).to_string());
    headers
}

/// A new one for each try: an abandoned batch of the same id may still be open on the server.
fn batch_id() -> Option<String> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).ok()?;
    let now = Time::from(jiff::Timestamp::now());
    Some(EventId::fresh(u64::try_from(now.as_millis()).unwrap_or(0), &random).to_string())
}

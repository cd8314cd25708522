//! DELIVERIES and DEAD: the checkpoint, jobs for workers, and jobs given up.

use std::{collections::BTreeSet, time::Duration};

use async_nats::{
    HeaderMap, HeaderValue,
    jetstream::{
        self, AckKind,
        consumer::{AckPolicy, DeliverPolicy, pull},
        message::StreamMessage,
        stream::LastRawMessageErrorKind,
    },
};
use bytes::Bytes;
use emote_proto::{EventId, Name, Time, consumer, header, limits, stream, subjects};
use serde::{Deserialize, Serialize};

use super::{
    Bus, BusError, Outgoing,
    events::time,
    ordered::Wanted,
    pull::{Delivered, Pull},
};
use crate::core::{Budgets, Job, JobId, Package};

/// After this long without a sign of life from its worker a job is given to another. See [`JobMessage::still_at_it`].
const ACK_WAIT: Duration = Duration::from_secs(20);
/// How often a worker gives that sign.
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// How far the core of a partition is, as its last message on `checkpoint.<partition>` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Identity of the EVENTS stream that the sequence is of.
    pub stream: String,
    /// Every entry up to this one is folded and all its jobs are stored.
    pub sequence: u64,
    /// Jobs of the next entry that are stored too.
    pub jobs: usize,
    /// Who folds. Written anew at least every second, so that silence tells that nobody does; empty where the broker that
    /// folded has stood down.
    #[serde(default)]
    pub broker: String,
    /// Hash of the rules in force behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Messages that a refused batch left behind an earlier checkpoint, by subject and job: they are stored, although no
    /// checkpoint covers them yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub left_over: BTreeSet<String>,
    /// What destructive targets had spent when every entry up to `sequence` was folded.
    #[serde(default, skip_serializing_if = "Budgets::is_empty")]
    pub budgets: Budgets,
    /// The package that was deployed by then: what put it in force may be gone from EVENTS when a store begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<Package>,
}

impl Checkpoint {
    /// As a message that replaces the one before. As the last message of a batch, or the first of a chain, it replaces the
    /// one whose stream sequence is `expected` (0: there is none) or is refused; behind that the chain sees to it.
    pub fn message(&self, partition: u32, expected: Option<u64>) -> Outgoing {
        let mut headers = vec![(header::ROLLUP, "sub".to_owned()), (header::TTL, "never".to_owned())];
        headers.extend(expected.map(|last| (header::EXPECTED_LAST_SUBJECT_SEQUENCE, last.to_string())));
        Outgoing {
            subject: subjects::checkpoint(partition),
            headers,
            // Texts and numbers: this cannot fail.
            payload: serde_json::to_vec(self).unwrap_or_default().into(),
        }
    }
}

/// A job as a message of DELIVERIES. Where a job would be larger than a message may be, it goes without what each source
/// claims of the node; name, owner and asset record stay.
pub fn job_message(job: &Job) -> Outgoing {
    let mut payload = job.to_json();
    if payload.len() > limits::MAX_JOB {
        let mut smaller = job.clone();
        if let Some(serde_json::Value::Object(mut node)) = smaller.node.as_ref().map(|node| node.value().clone()) {
            node.remove("sources");
            smaller.node = Some(serde_json::Value::Object(node).into());
        }
        payload = smaller.to_json();
    }
    let subject = match &job.held {
        Some(_) => subjects::held(&job.target, &job.rule, &job.id.token()),
        None => subjects::deliver(&job.target, &job.rule),
    };
    // Each header is looked through for all that the server knows: a job's id is in its body.
    Outgoing { subject, headers: Vec::new(), payload: payload.into() }
}

/// The message that follows a held job when it is held no longer: empty, under the same subject.
pub fn no_longer_held(job: &Job, order: EventId) -> Outgoing {
    Outgoing {
        subject: subjects::held(&job.target, &job.rule, &job.id.token()),
        headers: vec![(header::JOB, job.id.to_string()), (header::ORDER, order.to_string())],
        payload: Bytes::new(),
    }
}

/// What a message that was left over is known by: its subject and its job.
pub fn left_over_key(message: &Outgoing) -> Option<String> {
    let job = message.headers.iter().find(|(name, _)| *name == header::JOB).map(|(_, job)| job.as_str());
    key(&message.subject, job, &message.payload)
}

/// The same of a message that is stored.
pub(super) fn stored_key(message: &StreamMessage) -> Option<String> {
    key(&message.subject, message.headers.get(header::JOB).map(HeaderValue::as_str), &message.payload)
}

/// A job is told by its header, if it has one, or by its body.
fn key(subject: &str, job: Option<&str>, body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        id: JobId,
    }
    match job {
        Some(job) => Some(format!("{subject} {job}")),
        None => serde_json::from_slice(body).ok().map(|Body { id }| format!("{subject} {id}")),
    }
}

impl Bus {
    /// The checkpoint of `partition` and its stream sequence.
    pub async fn checkpoint(&self, partition: u32) -> Result<Option<(Checkpoint, u64)>, BusError> {
        let no_answer = |reason: String| BusError::NoAnswer { doing: "reading the checkpoint", reason };
        let deliveries =
            self.js.get_stream_no_info(stream::DELIVERIES).await.map_err(|error| no_answer(error.to_string()))?;
        // Asked of the stream's leader, not of a replica that may lag behind.
        match deliveries.get_last_raw_message_by_subject(&subjects::checkpoint(partition)).await {
            Ok(message) => {
                let checkpoint = serde_json::from_slice(&message.payload).map_err(|error| BusError::Refused {
                    doing: "reading the checkpoint",
                    reason: format!("{} holds something else: {error}", subjects::checkpoint(partition)),
                })?;
                Ok(Some((checkpoint, message.sequence)))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(no_answer(error.to_string())),
        }
    }

    /// The jobs of `target`, to be worked on by up to `concurrency` at once.
    pub async fn jobs(&self, target: &Name, concurrency: usize) -> Result<Jobs, BusError> {
        let no_answer = |reason: String| BusError::NoAnswer { doing: "opening a target's consumer", reason };
        let deliveries =
            self.js.get_stream_no_info(stream::DELIVERIES).await.map_err(|error| no_answer(error.to_string()))?;
        let config = pull::Config {
            durable_name: Some(consumer::target(target)),
            description: Some(format!("Emote: jobs for the target {target}")),
            filter_subject: subjects::deliver_all(target),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_deliver: -1,
            // Jobs waiting for a retry count as pending too; they must not keep the others from their turn.
            max_ack_pending: 10_000,
            ..pull::Config::default()
        };
        let consumer = deliveries.create_consumer(config).await.map_err(|error| no_answer(error.to_string()))?;
        let (consumer, batch) = (&consumer.cached_info().name, concurrency.max(1));
        let messages = Pull::new(&self.client, stream::DELIVERIES, consumer, batch).await;
        Ok(Jobs { messages: messages.map_err(|error| no_answer(error.to_string()))?, js: self.js.clone() })
    }

    /// Stores a job that was given up, known by its id and how often it was given out again. Storing it again is storing
    /// it once, within the stream's duplicate window.
    pub async fn bury(
        &self,
        target: &Name,
        rule: &Name,
        (id, redriven): (&str, u32),
        letter: Vec<u8>,
    ) -> Result<(), BusError> {
        let no_answer = |reason: String| BusError::NoAnswer { doing: "storing a dead letter", reason };
        let mut headers = HeaderMap::new();
        let message_id = if redriven == 0 { id.to_owned() } else { format!("{id}#{redriven}") };
        headers.insert(header::MSG_ID, message_id.as_str());
        headers.insert(header::JOB, id);
        let sent = self.js.publish_with_headers(subjects::dead(target, rule), headers, letter.into());
        sent.await
            .map_err(|error| no_answer(error.to_string()))?
            .await
            .map_err(|error| no_answer(error.to_string()))?;
        Ok(())
    }

    /// Forgets how far the workers of `target` are, if DELIVERIES holds none of its jobs any more. (Were there any, all of
    /// them would be given out again to a target of this name that comes later.) Says whether it did.
    pub async fn forget_target(&self, target: &Name) -> Result<bool, BusError> {
        let no_answer = |reason: String| BusError::NoAnswer { doing: "deleting a target's consumer", reason };
        let deliveries =
            self.js.get_stream_no_info(stream::DELIVERIES).await.map_err(|error| no_answer(error.to_string()))?;
        match deliveries.get_last_raw_message_by_subject(&subjects::deliver_all(target)).await {
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {}
            Err(error) => return Err(no_answer(error.to_string())),
        }
        let deleted = deliveries.delete_consumer(&consumer::target(target)).await;
        deleted.map(|status| status.success).map_err(|error| no_answer(error.to_string()))
    }

    /// Jobs in DELIVERIES received at or after `since`, oldest first, for `emote trace`.
    pub async fn jobs_since(&self, since: Time) -> Result<Vec<Job>, BusError> {
        let from = DeliverPolicy::ByStartTime { start_time: super::events::date(since) };
        let wanted = Wanted::of(stream::DELIVERIES, vec!["deliver.>".to_owned()], from);
        let jobs = self.read_all(wanted, |message| serde_json::from_slice(&message.payload).ok()).await;
        jobs.map_err(|error| super::kept::no_answer("reading jobs")(&error))
    }
}

/// A target's jobs as they come.
pub struct Jobs {
    messages: Pull,
    js: jetstream::Context,
}

impl Jobs {
    /// The next job; an error means that the consumer must be opened again.
    pub async fn next(&mut self) -> Result<JobMessage, BusError> {
        let no_answer = |reason: String| BusError::NoAnswer { doing: "reading jobs", reason };
        let message = self.messages.next().await.map_err(|error| no_answer(error.to_string()))?;
        JobMessage::new(jetstream::Message { message, context: self.js.clone() })
    }

    /// Ends the reading; what has come meanwhile is given back, to come again after `delay`.
    pub async fn give_back(mut self, delay: Duration) {
        while let Some(Ok(message)) = self.messages.there() {
            let message = jetstream::Message { message, context: self.js.clone() };
            if let Err(error) = message.ack_with(AckKind::Nak(Some(delay))).await {
                tracing::debug!(%error, "giving jobs back");
                return;
            }
        }
    }
}

/// A job being worked on.
pub struct JobMessage {
    message: jetstream::Message,
    /// How often it has been given to a worker, this time included.
    pub attempt: u64,
    /// When the job was stored.
    pub stored: Time,
    /// Its sequence in DELIVERIES.
    pub sequence: u64,
}

impl JobMessage {
    fn new(message: jetstream::Message) -> Result<Self, BusError> {
        let said = Delivered::of(&message.message);
        let said = said.map_err(|reason| BusError::Refused { doing: "reading jobs", reason })?;
        Ok(Self { message, attempt: said.times, stored: time(said.stored), sequence: said.sequence })
    }

    /// The job's JSON.
    pub fn payload(&self) -> &Bytes {
        &self.message.payload
    }

    /// The subject it came under, `deliver.<target>.<rule>`.
    pub fn subject(&self) -> &str {
        &self.message.subject
    }

    /// The job is ended; waits until the server knows.
    pub async fn done(&self) -> Result<(), BusError> {
        self.message
            .double_ack()
            .await
            .map_err(|error| BusError::NoAnswer { doing: "ending a job", reason: error.to_string() })
    }

    /// The worker is still at it.
    pub async fn still_at_it(&self) {
        if let Err(error) = self.message.ack_with(AckKind::Progress).await {
            tracing::debug!(%error, "telling that a job is being worked on");
        }
    }

    /// Give it to a worker again after `delay`.
    pub async fn again_after(&self, delay: Duration) -> Result<(), BusError> {
        let kind = AckKind::Nak(Some(delay));
        self.message
            .ack_with(kind)
            .await
            .map_err(|error| BusError::NoAnswer { doing: "putting a job back", reason: error.to_string() })
    }
}

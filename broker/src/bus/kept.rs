//! What waits for somebody: jobs that are held back, and dead letters.

use std::{collections::BTreeMap, time::Duration};

use async_nats::{
    HeaderMap,
    jetstream::{
        consumer::{DeliverPolicy, pull},
        stream::{LastRawMessageErrorKind, RawMessageErrorKind},
    },
};
use bytes::Bytes;
use emote_proto::{Name, Time, header, stream, subjects};
use futures_util::StreamExt;

use super::{Bus, BusError, events::time};
use crate::core::{Job, JobId};

/// How long the next message may be waited for where one is known to be there.
const NEXT_WITHIN: Duration = Duration::from_secs(10);

/// A job that is held back.
#[derive(Debug, Clone)]
pub struct HeldJob {
    /// The job; `held` says why.
    pub job: Job,
    /// Since when.
    pub since: Time,
}

/// A job that was given up, or something else that could not be dealt with.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its sequence in DEAD.
    pub sequence: u64,
    /// `dead.<target>.<rule>`.
    pub subject: String,
    /// The job's id, or what else it is known by.
    pub id: String,
    /// When it was stored.
    pub stored: Time,
    /// Its JSON.
    pub payload: Bytes,
}

impl DeadLetter {
    /// The job in it, if there is one.
    pub fn job(&self) -> Option<Job> {
        let mut letter: serde_json::Value = serde_json::from_slice(&self.payload).ok()?;
        serde_json::from_value(letter.get_mut("job")?.take()).ok()
    }

    fn new(sequence: u64, subject: String, headers: Option<&HeaderMap>, stored: Time, payload: Bytes) -> Self {
        let id = headers.and_then(|headers| headers.get(header::JOB)).map(ToString::to_string).unwrap_or_default();
        Self { sequence, subject, id, stored, payload }
    }
}

fn consumer(filter_subject: String, deliver_policy: DeliverPolicy) -> pull::OrderedConfig {
    pull::OrderedConfig { filter_subject, deliver_policy, ..pull::OrderedConfig::default() }
}

pub(super) fn no_answer(doing: &'static str) -> impl Fn(&dyn std::fmt::Display) -> BusError {
    move |error| BusError::NoAnswer { doing, reason: error.to_string() }
}

impl Bus {
    /// The job of this id, if it is held.
    pub async fn held(&self, id: &JobId) -> Result<Option<Job>, BusError> {
        let failed = no_answer("looking for a held job");
        let Some((target, rule)) = id.target_and_rule() else { return Ok(None) };
        let deliveries = self.js.get_stream_no_info(stream::DELIVERIES).await.map_err(|error| failed(&error))?;
        match deliveries.get_last_raw_message_by_subject(&subjects::held(&target, &rule, &id.token())).await {
            Ok(message) => Ok(serde_json::from_slice(&message.payload).ok()),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Everything that is held of this rule, or of all; the oldest first.
    pub async fn all_held(&self, rule: Option<&str>) -> Result<Vec<HeldJob>, BusError> {
        let filter = rule.map_or_else(|| subjects::HELD.to_owned(), subjects::held_of_rule);
        let mut held = Vec::new();
        let config = consumer(filter, DeliverPolicy::LastPerSubject);
        self.read_last(stream::DELIVERIES, config, |message, stored, _| {
            if let Ok(job) = serde_json::from_slice(&message.payload) {
                held.push(HeldJob { job, since: stored });
            }
        })
        .await?;
        Ok(held)
    }

    /// How many jobs are held of each target, by its name as it stands in the subject.
    pub async fn held_by_target(&self) -> Result<BTreeMap<String, u64>, BusError> {
        let last = consumer(subjects::HELD.to_owned(), DeliverPolicy::LastPerSubject);
        let mut held = BTreeMap::new();
        self.read_last(stream::DELIVERIES, pull::OrderedConfig { headers_only: true, ..last }, |message, _, _| {
            // An empty message tells that the job before it is held no longer.
            let size = message.headers.as_ref().and_then(|headers| headers.get(header::MSG_SIZE));
            if size.is_some_and(|size| size.as_str() != "0") {
                let target = message.subject.split('.').nth(1).unwrap_or_default().to_owned();
                *held.entry(target).or_default() += 1;
            }
        })
        .await?;
        Ok(held)
    }

    /// The dead letters of a target and a rule, or of all, stored at or after `since`; the oldest first.
    pub async fn dead_letters(
        &self,
        target: Option<&Name>,
        rule: Option<&Name>,
        since: Option<Time>,
    ) -> Result<Vec<DeadLetter>, BusError> {
        let any = || "*".to_owned();
        let filter =
            format!("dead.{}.{}", target.map_or_else(any, Name::to_string), rule.map_or_else(any, Name::to_string));
        let policy = match since {
            None => DeliverPolicy::All,
            Some(since) => DeliverPolicy::ByStartTime { start_time: super::events::date(since) },
        };
        let mut letters = Vec::new();
        self.read_last(stream::DEAD, consumer(filter, policy), |message, stored, sequence| {
            let (subject, payload) = (message.subject.to_string(), message.payload.clone());
            letters.push(DeadLetter::new(sequence, subject, message.headers.as_ref(), stored, payload));
        })
        .await?;
        Ok(letters)
    }

    /// The dead letter of this sequence in DEAD.
    pub async fn dead_letter(&self, sequence: u64) -> Result<Option<DeadLetter>, BusError> {
        let failed = no_answer("reading a dead letter");
        let dead = self.js.get_stream_no_info(stream::DEAD).await.map_err(|error| failed(&error))?;
        match dead.get_raw_message(sequence).await {
            Ok(message) => {
                let stored = time(message.time.unix_timestamp_nanos());
                let subject = message.subject.to_string();
                Ok(Some(DeadLetter::new(sequence, subject, Some(&message.headers), stored, message.payload)))
            }
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Takes a dead letter out of DEAD; one that is not there is fine.
    pub async fn remove_dead_letter(&self, sequence: u64) -> Result<(), BusError> {
        let failed = no_answer("removing a dead letter");
        let dead = self.js.get_stream_no_info(stream::DEAD).await.map_err(|error| failed(&error))?;
        match dead.delete_message(sequence).await {
            Err(error) if error.kind() == async_nats::jetstream::stream::DeleteMessageErrorKind::TimedOut => {
                Err(failed(&error))
            }
            _ => Ok(()),
        }
    }

    /// Reads everything there is now.
    pub(super) async fn read_last(
        &self,
        stream: impl AsRef<str>,
        config: pull::OrderedConfig,
        mut each: impl FnMut(&async_nats::Message, Time, u64),
    ) -> Result<(), BusError> {
        let failed = no_answer("reading what is kept");
        let stream = self.js.get_stream_no_info(stream).await.map_err(|error| failed(&error))?;
        let consumer = stream.create_consumer(config).await.map_err(|error| failed(&error))?;
        let mut left = consumer.cached_info().num_pending;
        if left == 0 {
            return Ok(());
        }
        let mut messages = consumer.messages().await.map_err(|error| failed(&error))?;
        while left > 0 {
            let next = tokio::time::timeout(NEXT_WITHIN, messages.next()).await;
            let message = match next {
                Ok(Some(message)) => message.map_err(|error| failed(&error))?,
                Ok(None) => break,
                Err(_) => return Err(failed(&"the rest did not come")),
            };
            let (stored, sequence, pending) = {
                let info = message.info().map_err(|error| failed(&error))?;
                (time(info.published.unix_timestamp_nanos()), info.stream_sequence, info.pending)
            };
            each(&message.message, stored, sequence);
            left = pending;
        }
        Ok(())
    }
}

//! What waits for somebody: jobs that are held back, and dead letters.

use std::collections::BTreeMap;

use async_nats::{
    HeaderMap,
    jetstream::{
        consumer::DeliverPolicy,
        stream::{LastRawMessageErrorKind, RawMessageErrorKind},
    },
};
use bytes::Bytes;
use emote_proto::{Name, Time, header, stream, subjects};

use super::{
    Bus, BusError,
    events::time,
    ordered::{Stored, Wanted},
};
use crate::core::{Job, JobId};

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
        let held = |message: Stored| {
            let job = serde_json::from_slice(&message.payload).ok()?;
            Some(HeldJob { job, since: message.stored })
        };
        self.last_of_each(stream::DELIVERIES, filter, held).await
    }

    /// How many jobs are held of each target, by its name as it stands in the subject.
    pub async fn held_by_target(&self) -> Result<BTreeMap<String, u64>, BusError> {
        let target = |message: Stored| {
            // An empty message tells that the job before it is held no longer.
            let size = message.headers.as_ref()?.get(header::MSG_SIZE)?;
            let target = || message.subject.split('.').nth(1).unwrap_or_default().to_owned();
            (size.as_str() != "0").then(target)
        };
        let mut held = BTreeMap::new();
        for target in self.headers_of_each(stream::DELIVERIES, subjects::HELD.to_owned(), target).await? {
            *held.entry(target).or_default() += 1;
        }
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
        let letter = |message: Stored| {
            let Stored { sequence, stored, subject, headers, payload, .. } = message;
            Some(DeadLetter::new(sequence, subject.to_string(), headers.as_ref(), stored, payload))
        };
        self.kept(Wanted::of(stream::DEAD, vec![filter], policy), letter).await
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

    /// The last of each subject that there is now: what `take` makes of it.
    pub(super) async fn last_of_each<T>(
        &self,
        stream: &str,
        filter: String,
        take: impl FnMut(Stored) -> Option<T>,
    ) -> Result<Vec<T>, BusError> {
        self.kept(Wanted::of(stream, vec![filter], DeliverPolicy::LastPerSubject), take).await
    }

    /// The same, without the bodies.
    pub(super) async fn headers_of_each<T>(
        &self,
        stream: &str,
        filter: String,
        take: impl FnMut(Stored) -> Option<T>,
    ) -> Result<Vec<T>, BusError> {
        let wanted = Wanted::of(stream, vec![filter], DeliverPolicy::LastPerSubject);
        self.kept(Wanted { headers_only: true, ..wanted }, take).await
    }

    async fn kept<T>(&self, wanted: Wanted, take: impl FnMut(Stored) -> Option<T>) -> Result<Vec<T>, BusError> {
        self.read_all(wanted, take).await.map_err(|error| no_answer("reading what is kept")(&error))
    }
}

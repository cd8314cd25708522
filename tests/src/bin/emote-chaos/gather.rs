//! Reads what is there at the end, past Emote.

use anyhow::anyhow;
use emote_proto::{header, stream};
use emote_tests::{Stored, Streams};
use serde_json::Value;

use crate::{
    check::{Entry, Evidence, Job, Letter},
    garbage::MARK,
    stage::Stage,
};

/// Everything that there is to judge.
pub(crate) async fn gather(stage: &Stage) -> anyhow::Result<Evidence> {
    let log = read(&stage.streams, stream::EVENTS, "events.>").await?;
    let mut jobs = read(&stage.streams, stream::DELIVERIES, "deliver.>").await?;
    jobs.extend(read(&stage.streams, stream::DELIVERIES, "held.>").await?);
    jobs.sort_by_key(|job| job.sequence);
    let checkpoint = read(&stage.streams, stream::DELIVERIES, "checkpoint.0").await?;
    let checkpoint = checkpoint.last().and_then(|message| message.json()["sequence"].as_u64());
    let dead = read(&stage.streams, stream::DEAD, "dead.>").await?;
    Ok(Evidence {
        sent: stage.senders.ledger.sent(),
        log: log.iter().map(entry).collect(),
        jobs: jobs.iter().map(job).collect(),
        checkpoint: checkpoint.unwrap_or(0),
        dead: dead.iter().map(|letter| Letter { subject: letter.subject.clone(), job: letter.job() }).collect(),
        requests: stage.target.record().0,
    })
}

async fn read(streams: &Streams, stream: &str, filter: &str) -> anyhow::Result<Vec<Stored>> {
    streams.try_read(stream, filter).await.map_err(|error| anyhow!("reading {stream}: {error}"))
}

fn entry(stored: &Stored) -> Entry {
    let body = stored.json();
    let id = body["id"].as_str().map_or_else(|| stored.header(header::MSG_ID), str::to_owned);
    let garbage = !stored.header(MARK).is_empty();
    let (sequence, subject) = (stored.sequence, stored.subject.clone());
    Entry { sequence, subject, id, garbage, body: if garbage { Value::Null } else { body } }
}

fn job(stored: &Stored) -> Job {
    Job {
        sequence: stored.sequence,
        subject: stored.subject.clone(),
        id: stored.job(),
        garbage: !stored.header(MARK).is_empty(),
    }
}

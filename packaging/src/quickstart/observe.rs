//! Looks at everything: EVENTS, DELIVERIES and node records through the command line, the log target's file, and what
//! the stand-ins were told.

use std::{collections::BTreeMap, time::Duration};

use emote_proto::EventId;
use serde_json::Value;
use tokio::time::Instant;

use super::{children::Broker, place::Stage, programs::Programs, tell::wait_for};
use crate::{
    scenario::{Expectation, Job, Observed, Outcome, Step, verify},
    standins::{commands, messages},
};

const WITHIN: Duration = Duration::from_secs(20);
/// How long nothing more may come once everything is there.
const QUIET: Duration = Duration::from_millis(750);

/// Where to look.
pub(super) struct Observer<'a> {
    pub(super) programs: &'a Programs,
    pub(super) broker: &'a Broker,
    pub(super) stage: &'a Stage,
    pub(super) began: Instant,
    pub(super) steps: &'a [Step],
}

/// What was seen, and the events' numbers in the stream.
pub(super) struct Seen {
    pub(super) observed: Observed,
    pub(super) numbers: BTreeMap<EventId, u64>,
}

impl Observer<'_> {
    /// Looks until all is as expected and stays so, or too much is there, or it takes too long.
    pub(super) async fn watch(&mut self, expectations: &[Expectation]) -> anyhow::Result<(Seen, Vec<Outcome>)> {
        let deadline = Instant::now() + WITHIN;
        let done = |outcomes: &[Outcome]| {
            let (met, excess) = (outcomes.iter().all(Outcome::is_met), outcomes.iter().any(|outcome| outcome.excess));
            met || excess || Instant::now() >= deadline
        };
        // Jobs take longer to look at: they come last.
        let of_jobs = |expectation: &&Expectation| expectation.seen.iter().any(|(_, sight, _)| sight.is_of_jobs());
        let first: Vec<Expectation> =
            expectations.iter().filter(|expectation| !of_jobs(expectation)).cloned().collect();
        wait_for("all that should come of it", WITHIN * 2, async || {
            Ok(done(&verify(&first, &self.look().await?)).then_some(()))
        })
        .await?;
        loop {
            tokio::time::sleep(QUIET).await;
            let seen = self.look_closely().await?;
            let outcomes = verify(expectations, &seen.observed);
            if done(&outcomes) {
                return Ok((seen, outcomes));
            }
        }
    }

    async fn look(&self) -> anyhow::Result<Observed> {
        let since = self.began.elapsed() + Duration::from_secs(10);
        let nodes = self.programs.nodes(&self.broker.nats).await?;
        let nodes =
            nodes.into_iter().filter_map(|node| Some((node["key"].as_str()?.to_owned(), node["record"].clone())));
        let log = std::fs::read_to_string(self.stage.event_log()).unwrap_or_default();
        Ok(Observed {
            answers: self.steps.iter().map(|step| step.sent.clone()).collect(),
            events: self.programs.events(&self.broker.nats, since, &[]).await?,
            jobs: Vec::new(),
            commands: commands(&self.stage.mdm.requests()),
            messages: messages(&self.stage.slack.requests()),
            log: log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
            nodes: nodes.collect(),
        })
    }

    async fn look_closely(&self) -> anyhow::Result<Seen> {
        let mut observed = self.look().await?;
        let mut numbers = BTreeMap::new();
        for event in self.steps.iter().filter_map(|step| step.event) {
            let trace = self.programs.trace(&self.broker.nats, &event.to_string()).await?;
            if let Some(number) = trace["root"]["sequence"].as_u64() {
                numbers.insert(event, number);
            }
            observed.jobs.extend(trace["jobs"].as_array().into_iter().flatten().filter_map(job));
        }
        Ok(Seen { observed, numbers })
    }
}

fn job(job: &Value) -> Option<Job> {
    Some(Job { id: job["id"].as_str()?.to_owned(), event: job["event"].as_str()?.parse().ok()? })
}

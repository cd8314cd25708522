//! What must be true of the streams whatever happened to the programs: the jobs are those, and in the order, that
//! folding EVENTS anew gives; each ended once; the broker's records are those of the fold.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use emote::{
    config::Folder,
    core::{Core, EMIT_TARGET, Entry, Job, Memory, Overlay, Records},
};
use emote_proto::{Time, header};
use serde_json::Value;

use crate::{DEADLINE, Stack, Stored};

impl Stack {
    /// Waits until every event has been folded and every job has ended, then checks that nothing was lost or doubled.
    /// Gives the events.
    pub async fn settled(&self) -> Vec<Stored> {
        let begun = Instant::now();
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(100));
        loop {
            tick.tick().await;
            let problem = match self.is_idle().await {
                Ok(()) => match self.judge().await {
                    Ok(events) => return events,
                    Err(problem) => problem,
                },
                Err(problem) => problem,
            };
            assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {problem}");
        }
    }

    /// Waits until it is settled; each of these events is in the stream, once. Gives all events.
    pub async fn has_each_once(&self, ids: &[String]) -> Vec<Stored> {
        let events = self.settled().await;
        for id in ids {
            assert_eq!(events.iter().filter(|event| event.json()["id"] == id.as_str()).count(), 1, "{id}");
        }
        events
    }

    /// Waits until `condition` holds.
    pub async fn settled_with(&self, condition: impl Fn(&Self) -> bool) {
        crate::until("what was set off has happened", || {
            let holds = condition(self);
            async move { holds }
        })
        .await;
    }

    /// The records that folding EVENTS anew gives, by key, beside those that the broker shows.
    pub async fn records(&self) -> (BTreeMap<String, Value>, BTreeMap<String, Value>) {
        let (_, memory) = fold(&self.core(), &self.streams.events().await);
        let shown = self.shown(&["nodes", "-o", "json"]).await;
        let shown: BTreeMap<String, Value> = shown
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|node| (node["key"].as_str().unwrap().to_owned(), node["record"].clone()))
            .collect();
        let folded =
            shown.keys().filter_map(|key| Some((key.clone(), memory.node(key).unwrap()?.view().to_value()))).collect();
        (folded, shown)
    }

    fn core(&self) -> Core {
        let folder = Folder::load(&self.config).unwrap_or_else(|report| panic!("{report}"));
        folder.resolve().unwrap_or_else(|report| panic!("{report}")).core
    }

    /// Whether no consumer has anything left to do. Cheap, so that it can be asked often.
    async fn is_idle(&self) -> Result<(), String> {
        use futures_util::TryStreamExt;
        for name in ["DELIVERIES", "EVENTS"] {
            let stream = self.streams.js.get_stream(name).await.map_err(|error| error.to_string())?;
            let consumers: Vec<_> = stream.consumers().try_collect().await.map_err(|error| error.to_string())?;
            for consumer in consumers.into_iter().filter(|consumer| consumer.config.durable_name.is_some()) {
                let (pending, unacknowledged) = (consumer.num_pending, consumer.num_ack_pending);
                if pending > 0 || (name == "DELIVERIES" && unacknowledged > 0) {
                    return Err(format!("{}: {pending} to come, {unacknowledged} under way", consumer.name));
                }
            }
        }
        Ok(())
    }

    async fn judge(&self) -> Result<Vec<Stored>, String> {
        let events = self.streams.events().await;
        let jobs = self.streams.jobs().await;
        let (expected, _) = fold(&self.core(), &events);
        let (held, expected): (Vec<Job>, Vec<Job>) = expected.into_iter().partition(|job| job.held.is_some());
        let found: Vec<String> = jobs.iter().filter(|job| !follows_from_an_order(job)).map(Stored::job).collect();
        let wanted: Vec<String> = expected.iter().map(|job| job.id.to_string()).collect();
        if found != wanted {
            return Err(differ(&wanted, &found));
        }
        let held: BTreeSet<String> = held.iter().map(|job| job.id.to_string()).collect();
        let kept = self.streams.read("DELIVERIES", "held.>").await;
        let kept: BTreeSet<String> = kept.iter().map(Stored::job).collect();
        if kept != held {
            return Err(format!("held are {kept:?}, but should be {held:?}"));
        }
        let mut told: BTreeMap<String, usize> = BTreeMap::new();
        for event in &events {
            *told.entry(id_of(event)).or_default() += 1;
        }
        for job in &expected {
            let is_emit = job.target.as_str() == EMIT_TARGET;
            let result = if is_emit { job.event.id } else { job.result_id() }.to_string();
            match told.get(&result) {
                Some(1) => {}
                count => return Err(format!("{} results of the job {}", count.unwrap_or(&0), job.id)),
            }
        }
        Ok(events)
    }
}

/// Whether somebody ordered it: what was held or dead, or what the core says of the order. The fold alone does not tell.
fn follows_from_an_order(job: &Stored) -> bool {
    let job = job.json();
    let what = (job["event"]["scope"].as_str(), job["event"]["action"].as_str());
    let said = matches!(what, (Some("delivery"), Some("denied")) | (Some("order" | "config"), Some("refused")));
    !job["ordered_by"].is_null() || (said && job["rule"] == "core")
}

/// What differs between the jobs that should be there and those that are.
fn differ(wanted: &[String], found: &[String]) -> String {
    let (want, have): (BTreeSet<_>, BTreeSet<_>) = (wanted.iter().collect(), found.iter().collect());
    format!(
        "the jobs are not those of the fold: {} of {} expected; missing {:?}, not expected {:?}, {} doubled, in order: {}",
        found.len(),
        wanted.len(),
        want.difference(&have).take(5).collect::<Vec<_>>(),
        have.difference(&want).take(5).collect::<Vec<_>>(),
        found.len() - have.len(),
        wanted.iter().filter(|id| have.contains(id)).eq(found.iter().filter(|id| want.contains(id))),
    )
}

/// The id that an event carries.
fn id_of(event: &Stored) -> String {
    let header = event.header(header::MSG_ID);
    if header.is_empty() { event.json()["id"].as_str().unwrap_or_default().to_owned() } else { header }
}

fn fold(core: &Core, events: &[Stored]) -> (Vec<Job>, Memory) {
    let mut memory = Memory::default();
    let mut jobs = Vec::new();
    for event in events {
        let message_id = Some(event.header(header::MSG_ID)).filter(|id| !id.is_empty());
        let received: Time = jiff::Timestamp::from_nanosecond(event.at).unwrap().into();
        let (sequence, subject) = (event.sequence, event.subject.as_str());
        let entry = Entry { sequence, received, subject, message_id: message_id.as_deref(), payload: &event.payload };
        let mut overlay = Overlay::new(&memory);
        jobs.extend(core.apply(&mut overlay, &entry).unwrap());
        let changes = overlay.into_changes();
        memory.apply(changes);
    }
    (jobs, memory)
}

//! Timers that are due: whoever leads publishes them into the log, where the fold acts on them in order. What they wait for
//! is in the records, so that a broker which begins anew, or takes over, knows it too. One that comes too early, or twice,
//! does nothing.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use emote_proto::{Draft, EventId, Name, Subject, Time, Trust, source};
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::Ruling;
use crate::{
    bus::Bus,
    core::{DEPLOY_TIMER, Deployment, Heard, Records as _, SILENCE, TIMER},
    store::Store,
};

/// How often it is looked what is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A timer that has not come back in order after so long is published again.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Installs that are told to be overdue in one look.
const DUE_AT_ONCE: usize = 500;

/// What timers need.
pub struct Timers {
    /// Where the log is.
    pub bus: Bus,
    /// What is waited for.
    pub store: Arc<Store>,
    /// The rules in force.
    pub rules: watch::Receiver<Option<Arc<Ruling>>>,
    /// Whether this broker leads.
    pub leads: watch::Receiver<bool>,
}

impl Timers {
    /// Publishes what is due while this broker leads, until told to stop.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut published: BTreeMap<Name, (Option<Heard>, Instant)> = BTreeMap::new();
        let mut deploys: BTreeMap<String, Instant> = BTreeMap::new();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = looks.tick() => {}
            }
            let ruling = self.rules.borrow().clone();
            let Some(ruling) = ruling.filter(|_| *self.leads.borrow()) else { continue };
            self.deploys_due(&mut deploys).await;
            let silent_after = ruling.core.silent_after();
            published.retain(|name, _| silent_after.contains_key(name));
            let due = match self.due(silent_after) {
                Ok(due) => due,
                Err(error) => {
                    tracing::debug!(error, "looking for timers that are due");
                    continue;
                }
            };
            for (name, heard) in due {
                let again = published.get(&name).is_none_or(|(of, at)| *of != heard || at.elapsed() >= AGAIN_AFTER);
                if again && self.publish(&name, heard).await {
                    published.insert(name, (heard, Instant::now()));
                }
            }
        }
    }

    /// The sources that have been silent too long, or that are not waited for yet, with when each was heard.
    fn due(&self, silent_after: &BTreeMap<Name, i64>) -> Result<Vec<(Name, Option<Heard>)>, String> {
        let now = Time::from(jiff::Timestamp::now());
        let records = self.store.snapshot().map_err(|error| error.to_string())?;
        let mut due = Vec::new();
        for (name, limit) in silent_after {
            let heard = records.heard(name.as_str()).map_err(|error| error.to_string())?;
            if heard.is_none_or(|heard| heard.is_due(*limit, now)) {
                due.push((name.clone(), heard));
            }
        }
        Ok(due)
    }

    async fn publish(&self, name: &Name, heard: Option<Heard>) -> bool {
        self.published(vec![timer(name, heard, Time::from(jiff::Timestamp::now()))]).await
    }

    /// Publishes which installs were to be proven by now. `published` is what was, by job, and not long ago.
    async fn deploys_due(&self, published: &mut BTreeMap<String, Instant>) {
        let now = Time::from(jiff::Timestamp::now());
        let records = self.store.snapshot();
        let due = match records.and_then(|records| records.due_deployments(now, DUE_AT_ONCE)) {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(%error, "looking for installs that are due");
                return;
            }
        };
        published.retain(|_, at| at.elapsed() < AGAIN_AFTER);
        let due: Vec<&Deployment> = due.iter().filter(|due| !published.contains_key(due.job.as_str())).collect();
        if !due.is_empty() && self.published(due.iter().map(|due| deploy_timer(due, now)).collect()).await {
            published.extend(due.into_iter().map(|due| (due.job.to_string(), Instant::now())));
        }
    }

    async fn published(&self, timers: Vec<anyhow::Result<(Subject, EventId, Vec<u8>)>>) -> bool {
        let mut events = Vec::with_capacity(timers.len());
        for timer in timers {
            match timer {
                Ok((subject, id, json)) => events.push((subject, id, json.into())),
                Err(error) => tracing::warn!(%error, "a timer cannot be made"),
            }
        }
        match self.bus.publish_events(events).await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "a timer is published later");
                false
            }
        }
    }
}

/// The event that a source was to be heard by now. Brokers that publish it at the same time publish the same one.
fn timer(name: &Name, heard: Option<Heard>, now: Time) -> anyhow::Result<(Subject, EventId, Vec<u8>)> {
    let since = heard.map(|heard| heard.at);
    let mut info = json!({"timer": SILENCE, "source": name});
    if let (Some(info), Some(since)) = (info.as_object_mut(), since) {
        info.insert("last_heard".to_owned(), since.to_string().into());
    }
    due([SILENCE, name.as_str(), &since.map(|since| since.to_string()).unwrap_or_default()], info, now)
}

/// The event that an install was to be proven by now.
fn deploy_timer(deployment: &Deployment, now: Time) -> anyhow::Result<(Subject, EventId, Vec<u8>)> {
    let (node, job) = (deployment.key(), deployment.job.as_str());
    due([DEPLOY_TIMER, node, job], json!({"timer": DEPLOY_TIMER, "node": node, "job": job}), now)
}

/// A timer that is due; of the same `parts` it is the same event for a while.
fn due(parts: [&str; 3], info: Value, now: Time) -> anyhow::Result<(Subject, EventId, Vec<u8>)> {
    let broker = Name::new(source::BROKER)?;
    let (scope, action) = TIMER;
    let again = i64::try_from(AGAIN_AFTER.as_millis()).unwrap_or(i64::MAX);
    let [kind, of, since] = parts;
    let id = EventId::derived(&[scope, kind, of, since, &(now.as_millis() / again).to_string()]);
    let mut draft = Draft::from_value(json!({"scope": scope, "action": action, "info": info}))?;
    (draft.id, draft.time, draft.trust) = (Some(id), Some(now), Some(Trust::Verified));
    draft.source = Some(broker.clone());
    Ok((draft.subject(broker)?, id, draft.to_json()))
}

//! What is known of targets: from the rules in force, from NATS, and from every broker that answers.

mod state;

use std::collections::{BTreeMap, BTreeSet};

use emote_proto::{Name, Time};
use serde_json::json;

pub(crate) use state::{State, part};

use super::in_force::{self, InForceNow};
use crate::{
    bus::{Backlog, Bus, BusError},
    console::{BrokerReport, TargetReport, ask_brokers, ask_tallies},
    core::{EMIT_TARGET, Tallied, Tally},
    deliver::LastError,
    engine::Role,
};

/// Everything that was found out, at one time.
pub(crate) struct View {
    /// When.
    pub(crate) now: Time,
    pub(crate) brokers: Vec<BrokerReport>,
    pub(crate) in_force: InForceNow,
    /// None where no broker could be asked.
    pub(crate) tallies: Option<BTreeMap<Tallied, Tally>>,
    pub(crate) backlogs: BTreeMap<Name, Backlog>,
    pub(crate) held: BTreeMap<String, u64>,
    pub(crate) dead: BTreeMap<String, u64>,
    /// What is not archived yet; none where nothing ever was.
    pub(crate) archive: Option<Backlog>,
}

/// A target.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: Name,
    pub(crate) kind: &'static str,
    pub(crate) state: State,
    pub(crate) backlog: Backlog,
    /// How many brokers have it.
    pub(crate) brokers: usize,
    /// Attempts at all brokers, since each was started.
    pub(crate) attempts: u64,
    pub(crate) succeeded: u64,
    pub(crate) retries: u64,
    pub(crate) held: u64,
    pub(crate) dead: u64,
    pub(crate) last_error: Option<LastError>,
    /// The rules that give it jobs.
    pub(crate) rules: Vec<String>,
    /// What became of its jobs, where a broker could be asked.
    pub(crate) tally: Option<Tally>,
}

impl View {
    /// Asks NATS and the brokers.
    pub(crate) async fn ask(bus: &Bus) -> Result<Self, anyhow::Error> {
        let in_force = in_force::ask(bus).await?;
        let (brokers, backlogs, held, dead, archive) = tokio::try_join!(
            ask_brokers(bus),
            bus.backlogs(),
            bus.held_by_target(),
            bus.dead_by_target(),
            bus.archive_backlog()
        )?;
        let tallies = match in_force::who_counts(&brokers) {
            Some(broker) => tallies_of(bus, &broker.id).await?,
            None => None,
        };
        Ok(Self { now: jiff::Timestamp::now().into(), brokers, in_force, tallies, backlogs, held, dead, archive })
    }

    /// Every target in force, then those that are not any more but have jobs left.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let left = self.backlogs.iter().filter(|(name, backlog)| backlog.jobs > 0 && name.as_str() != EMIT_TARGET);
        let left: BTreeSet<&Name> =
            left.map(|(name, _)| name).filter(|name| !self.in_force.targets.contains_key(*name)).collect();
        self.in_force.targets.keys().chain(left).map(|name| self.row(name)).collect()
    }

    fn row(&self, name: &Name) -> Row {
        let backlog = self.backlogs.get(name).copied().unwrap_or_default();
        let reports: Vec<&TargetReport> = self.at_brokers(name).into_iter().map(|(_, report)| report).collect();
        let running: Vec<_> = reports.iter().map(|report| &report.state).collect();
        let known = self.in_force.targets.get(name);
        let state = match known {
            None => State::Removed,
            Some(_) if self.brokers.is_empty() => State::NoBroker,
            Some(_) => State::of(&running, backlog.jobs),
        };
        let sum = |of: fn(&TargetReport) -> u64| reports.iter().map(|report| of(report)).sum();
        let tally = self
            .tallies
            .as_ref()
            .map(|tallies| tallies.get(&Tallied::Target(name.to_string())).cloned().unwrap_or_default());
        let given_up = tally
            .as_ref()
            .and_then(|tally| Some(LastError { at: tally.last_error_at?, reason: tally.last_error.clone()? }));
        let errors = reports.iter().filter_map(|report| report.last_error.clone()).chain(given_up);
        Row {
            kind: known.map_or("-", |known| known.kind),
            rules: known.map(|known| known.rules.clone()).unwrap_or_default(),
            state,
            backlog,
            brokers: reports.len(),
            attempts: sum(|report| report.attempts),
            succeeded: sum(|report| report.succeeded),
            retries: sum(|report| report.retries),
            held: self.held.get(name.as_str()).copied().unwrap_or_default(),
            dead: self.dead.get(name.as_str()).copied().unwrap_or_default(),
            last_error: errors.max_by_key(|error| error.at),
            name: name.clone(),
            tally,
        }
    }

    /// What each broker says of a target.
    pub(crate) fn at_brokers(&self, name: &Name) -> Vec<(&BrokerReport, &TargetReport)> {
        self.brokers.iter().filter_map(|broker| Some((broker, broker.targets.get(name)?))).collect()
    }

    /// What should be known about the brokers, where not all is as it should be.
    pub(crate) fn note(&self) -> Option<String> {
        if self.brokers.is_empty() {
            return Some("No broker runs on this NATS: jobs wait. Start `emote dev` or `emote serve`.".to_owned());
        }
        if self.brokers.iter().any(|broker| broker.role == Role::Leading) {
            return None;
        }
        let why = self.brokers.iter().find_map(|broker| broker.trouble.as_deref());
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        Some(format!("No broker leads: events wait{why}"))
    }
}

/// A target for programs.
pub(crate) fn json_of(row: &Row, view: &View) -> serde_json::Value {
    let brokers: Vec<_> = view
        .at_brokers(&row.name)
        .into_iter()
        .map(|(broker, report)| json!({"id": broker.id, "host": broker.host, "role": broker.role, "target": report}))
        .collect();
    let asked = |count: u64| (row.brokers > 0).then_some(count);
    json!({
        "target": row.name,
        "kind": row.kind,
        "state": row.state.word(),
        "until": row.state.until(),
        "reason": row.state.reason(),
        "backlog": row.backlog.jobs,
        "oldest": row.backlog.oldest,
        "attempts": asked(row.attempts),
        "succeeded": asked(row.succeeded),
        "retries": asked(row.retries),
        "held": row.held,
        "dead": row.dead,
        "last_error": row.last_error,
        "rules": row.rules,
        "counts": row.tally,
        "brokers": brokers,
    })
}

/// What waits for the archive, for programs.
pub(crate) fn archive_json(view: &View) -> Option<serde_json::Value> {
    let backlog = view.archive?;
    Some(json!({"backlog": backlog.jobs, "oldest": backlog.oldest}))
}

/// `98.5 %`; `-` of nothing. What is not all is never shown as 100.
pub(crate) fn percent(part: u64, of: u64) -> String {
    if of == 0 {
        return "-".to_owned();
    }
    let tenths = part.saturating_mul(1000) / of;
    if tenths.is_multiple_of(10) { format!("{} %", tenths / 10) } else { format!("{}.{} %", tenths / 10, tenths % 10) }
}

/// The counts of a broker; none where it has gone meanwhile.
async fn tallies_of(bus: &Bus, id: &str) -> Result<Option<BTreeMap<Tallied, Tally>>, BusError> {
    match ask_tallies(bus, id).await {
        Ok(tallies) => Ok(Some(tallies)),
        Err(BusError::NoBroker | BusError::NoAnswer { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

//! What became of the rules in force.

use std::collections::BTreeMap;

use anyhow::Context;
use emote_proto::Name;
use serde_json::json;

use super::in_force::{self, InForceNow, who_counts};
use crate::{
    bus::{Bus, BusError},
    console::{BrokerReport, ask_brokers, ask_tallies},
    core::{Tallied, Tally},
};

/// The rules in force, and what a broker counted of them.
pub(crate) struct RulesView {
    /// What is in force.
    pub(crate) in_force: InForceNow,
    /// The broker that was asked.
    pub(crate) broker: BrokerReport,
    /// Its counts.
    pub(crate) tallies: BTreeMap<Tallied, Tally>,
}

impl RulesView {
    /// Asks the broker that leads; one must run.
    pub(crate) async fn ask(bus: &Bus) -> anyhow::Result<Self> {
        let in_force = in_force::ask(bus).await?;
        let brokers = ask_brokers(bus).await?;
        let broker =
            who_counts(&brokers).ok_or(BusError::NoBroker).context("what became of rules only a broker knows")?.clone();
        let tallies = ask_tallies(bus, &broker.id).await?;
        Ok(Self { in_force, broker, tallies })
    }
}

/// Each rule and what was counted of it: nothing where it never matched.
pub(crate) fn rows<'a>(
    rules: impl Iterator<Item = &'a Name>,
    tallies: &BTreeMap<Tallied, Tally>,
) -> Vec<(&'a Name, Tally)> {
    let tally = |rule: &Name| tallies.get(&Tallied::Rule(rule.to_string())).cloned().unwrap_or_default();
    rules.map(|rule| (rule, tally(rule))).collect()
}

/// A rule for programs.
pub(crate) fn json_of(rule: &Name, tally: &Tally) -> serde_json::Value {
    json!({
        "rule": rule,
        "matched": tally.matched,
        "last_matched": tally.last_matched,
        "jobs": tally.jobs,
        "done": tally.done,
        "dead": tally.dead,
        "skipped": tally.skipped,
        "held": tally.held,
        "denied": tally.denied,
        "refused": tally.refused,
        "loops_stopped": tally.loops_stopped,
        "last_error": tally.last_error,
        "last_error_at": tally.last_error_at,
    })
}

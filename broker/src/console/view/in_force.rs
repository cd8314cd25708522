//! The rules and targets in force, and which broker to ask what became of them.

use std::{collections::BTreeMap, path::Path};

use emote_proto::Name;

use crate::{
    bus::Bus,
    config::{Folder, Set, Settings},
    console::BrokerReport,
    core::DEPLOY_RULE,
    engine::Role,
};

/// What is in force, as far as this program can read it.
#[derive(Debug, Clone, Default)]
pub(crate) struct InForceNow {
    /// The rules' names, in order.
    pub(crate) rules: Vec<Name>,
    /// The targets.
    pub(crate) targets: BTreeMap<Name, Known>,
    /// The sources, with how what they tell comes.
    pub(crate) sources: BTreeMap<Name, KnownSource>,
}

/// A source in force.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownSource {
    /// Its preset, where it has one.
    pub(crate) preset: Option<String>,
    /// `webhook`, `poll`, `webhook, reconcile` …
    pub(crate) kind: String,
    /// After how long its silence is told.
    pub(crate) silent_after: Option<std::time::Duration>,
}

/// A target in force.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// Its kind.
    pub(crate) kind: &'static str,
    /// The rules that give it jobs.
    pub(crate) rules: Vec<String>,
}

/// What is in force now; nothing where nothing was ever applied.
pub(crate) async fn ask(bus: &Bus) -> anyhow::Result<InForceNow> {
    let Some(now) = bus.in_force().await? else { return Ok(InForceNow::default()) };
    let set = stored(bus, &now.hash).await?;
    // Secrets and relative paths are not looked at.
    let folder = Folder::of_set(Path::new("."), Settings::default(), &set)?;
    let rules_of = |target: &Name| {
        let gives = folder.rules.iter().filter(|rule| rule.targets.iter().any(|given| given.target == *target));
        let orders = folder.deploying.iter().filter(|deploying| deploying.target == *target);
        gives.map(|rule| rule.name.to_string()).chain(orders.map(|_| DEPLOY_RULE.to_owned())).collect()
    };
    let targets = folder
        .targets
        .iter()
        .map(|target| (target.name.clone(), Known { kind: target.kind, rules: rules_of(&target.name) }))
        .collect();
    let sources = folder.sources.iter().map(|(name, spec)| {
        let plan = spec.validate(name).ok();
        let kind = plan.as_ref().map(|plan| plan.kinds().join(", ")).unwrap_or_default();
        let silent_after = plan.and_then(|plan| plan.silent_after());
        (name.clone(), KnownSource { preset: spec.preset.clone(), kind, silent_after })
    });
    let sources = sources.collect();
    Ok(InForceNow { rules: folder.rules.iter().map(|rule| rule.name.clone()).collect(), targets, sources })
}

/// A set that was applied once.
pub(crate) async fn stored(bus: &Bus, hash: &str) -> anyhow::Result<Set> {
    let json = bus.load_set(hash).await?;
    let json = json.ok_or_else(|| anyhow::anyhow!("the set of rules {} is not stored any more", short(hash)))?;
    Ok(Set::from_json(&json, hash)?)
}

/// The beginning of a hash, as people read it.
pub(crate) fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// The broker whose counts are the newest: the one that leads, else the one whose records go furthest.
pub(crate) fn who_counts(brokers: &[BrokerReport]) -> Option<&BrokerReport> {
    brokers.iter().max_by_key(|broker| (broker.role == Role::Leading, broker.position))
}

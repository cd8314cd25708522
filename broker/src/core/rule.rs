//! A rule, validated: what it matches and what it asks of which targets.

use std::collections::BTreeMap;

use emote_proto::{Name, Trust};
use emote_rules::Pattern;

use super::{Deploying, Input, Policy};

/// For whom a rule's targets act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fanout {
    /// Once, for the event's own node.
    Event,
    /// Once for every device that the event's user owns.
    UserDevices,
}

/// One target of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleTarget {
    /// Which target.
    pub target: Name,
    /// What makes the target's input; the event itself where there is none.
    pub input: Option<Input>,
}

/// A rule: when an event matches, its targets are given a job each.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The rule's name: its file's.
    pub name: Name,
    /// What it matches.
    pub pattern: Pattern,
    /// For whom.
    pub fanout: Fanout,
    /// Who is to act.
    pub targets: Vec<RuleTarget>,
}

/// A set of rules and what belongs to it.
#[derive(Debug, Clone, Default)]
pub struct RuleBook {
    /// The set's hash, where it was applied.
    pub hash: Option<String>,
    /// The rules.
    pub rules: Vec<Rule>,
    /// What targets ask; one that is not here asks nothing.
    pub policies: BTreeMap<Name, Policy>,
    /// The names of the HTTP sources: what `emote` wrote under them, it checked.
    pub sources: Vec<Name>,
    /// What events of other sources are believed as; unverified where nothing is said.
    pub believed: BTreeMap<Name, Trust>,
    /// How long sources may be silent until that is told, in milliseconds; others are not waited for.
    pub silent_after: BTreeMap<Name, i64>,
    /// How the agent is deployed; not at all where nothing is said.
    pub deploying: Option<Deploying>,
}

//! A rule, validated: what it matches and what it asks of which targets.

use emote_proto::Name;
use emote_rules::Pattern;

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
    /// A jq program over the job's context that gives the target's input; the event where there is none.
    pub input: Option<String>,
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

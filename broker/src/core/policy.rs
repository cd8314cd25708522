//! What a target asks of whatever is to be done by it, whichever rule asks.

use emote_proto::Trust;

/// A target's conditions. Most have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Set where what it does cannot be taken back.
    pub guard: Option<Guard>,
    /// Older news is not acted upon: milliseconds from the event's own time.
    pub max_age: Option<i64>,
    /// A node's jobs are done one after the other, in the order of the log.
    pub ordered: bool,
    /// It installs the agent: its jobs are given the package, and followed until the agent itself proves it.
    pub installs_agent: bool,
}

/// A destructive target's budget, and whom it obeys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Jobs within the window, of all rules together.
    pub limit: u32,
    /// Jobs within the window, of each rule.
    pub rule_limit: u32,
    /// The window, in milliseconds of the log's time.
    pub window: i64,
    /// What every event of the chain must at least be.
    pub trust: Option<Trust>,
}

impl Default for Guard {
    fn default() -> Self {
        Self { limit: 5, rule_limit: 5, window: 3_600_000, trust: None }
    }
}

//! How jobs are brought to a target, whatever its kind.

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The settings every target has: `retry`, `timeout` and `concurrency`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverySettings {
    /// How often and how long a job is tried.
    pub retry: Retry,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How many attempts run at once.
    pub concurrency: usize,
}

/// How often and how long a job is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The most attempts, the first included.
    pub max_attempts: u32,
    /// How old a job may become before it is given up.
    pub max_age: Duration,
    /// How long to wait between attempts.
    pub backoff: Backoff,
}

/// Exponential: the wait doubles from `initial` up to `max`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second attempt.
    pub initial: Duration,
    /// The longest wait.
    pub max: Duration,
}

impl Default for DeliverySettings {
    fn default() -> Self {
        let backoff = Backoff { initial: SECOND, max: Duration::from_secs(15 * 60) };
        Self {
            retry: Retry { max_attempts: 185, max_age: DAY, backoff },
            timeout: Duration::from_secs(10),
            concurrency: 4,
        }
    }
}


//! How jobs are brought to a target, whatever its kind.

use std::time::Duration;

use crate::config::fields::Fields;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
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

impl DeliverySettings {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let mut settings = Self::default();
        fields.object("retry", |fields| settings.retry.read(fields));
        if let Some(timeout) = fields.duration("timeout", Duration::from_millis(100)..=Duration::from_secs(300)) {
            settings.timeout = timeout;
        }
        if let Some(concurrency) = fields.number("concurrency", 1..=256) {
            settings.concurrency = concurrency as usize;
        }
        settings
    }
}

impl Retry {
    fn read(&mut self, fields: &mut Fields<'_>) {
        if let Some(attempts) = fields.number("max_attempts", 1..=10_000) {
            self.max_attempts = attempts;
        }
        if let Some(age) = fields.duration("max_age", SECOND..=30 * DAY) {
            self.max_age = age;
        }
        fields.object("backoff", |fields| {
            if let Some(initial) = fields.duration("initial", Duration::from_millis(10)..=HOUR) {
                self.backoff.initial = initial;
            }
            if let Some(max) = fields.duration("max", Duration::from_millis(10)..=DAY) {
                self.backoff.max = max;
            }
            if self.backoff.initial > self.backoff.max {
                fields.problem("initial", "is longer than max: the wait grows from initial to max");
            }
        });
    }
}

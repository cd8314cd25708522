//! How jobs are brought to a target, whatever its kind.

use std::time::Duration;

use crate::{config::fields::Fields, rate::Rate};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The settings every target has: `retry`, `timeout`, `concurrency`, `rate`, `breaker` and, where its kind can, `batch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverySettings {
    /// How often and how long a job is tried.
    pub retry: Retry,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How many attempts run at once.
    pub concurrency: usize,
    /// How fast attempts may follow one another.
    pub rate: Option<Rate>,
    /// When a target that fails is left alone for a while.
    pub breaker: BreakerSettings,
    /// Several jobs in one attempt.
    pub batch: Option<Batch>,
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
    /// How far chance shortens a wait.
    pub jitter: Jitter,
}

/// How far chance shortens a wait, so that what failed together does not come again together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jitter {
    /// Anything from nothing to the whole wait.
    Full,
    /// The whole wait, always.
    None,
}

/// After `failures` attempts in a row that are to be repeated, the target is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row; 0: it is never left alone.
    pub failures: u32,
    /// The first pause; it doubles as long as the attempt after it fails.
    pub pause: Duration,
    /// The longest pause.
    pub max_pause: Duration,
}

/// Several jobs in one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// The most jobs.
    pub max: usize,
    /// How long the first one waits for others.
    pub wait: Duration,
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
            retry: Retry { max_attempts: 185, max_age: DAY, backoff, jitter: Jitter::Full },
            timeout: Duration::from_secs(10),
            concurrency: 4,
            rate: None,
            breaker: BreakerSettings {
                failures: 5,
                pause: Duration::from_secs(10),
                max_pause: Duration::from_secs(5 * 60),
            },
            batch: None,
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
        settings.rate = fields.object("rate", Rate::read).flatten();
        fields.object("breaker", |fields| settings.breaker.read(fields));
        settings.batch = fields.object("batch", Batch::read);
        settings
    }
}

impl Rate {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (second, minute) = (fields.number("per_second", 1..=10_000), fields.number("per_minute", 1..=600_000));
        let burst = fields.number("burst", 1..=10_000).unwrap_or(1);
        if fields.has("per_second") == fields.has("per_minute") {
            fields.problem("", "expected one of per_minute, per_second: for example rate: {per_second: 1}");
        }
        let every = second.map(|n| SECOND / n).or_else(|| minute.map(|n| 60 * SECOND / n))?;
        Some(Self { every, burst })
    }
}

impl BreakerSettings {
    fn read(&mut self, fields: &mut Fields<'_>) {
        let shortest = Duration::from_millis(100);
        if let Some(failures) = fields.number("failures", 0..=10_000) {
            self.failures = failures;
        }
        if let Some(pause) = fields.duration("pause", shortest..=HOUR) {
            self.pause = pause;
            self.max_pause = self.max_pause.max(pause);
        }
        if let Some(max) = fields.duration("max_pause", shortest..=DAY) {
            self.max_pause = max;
        }
        if self.pause > self.max_pause {
            fields.problem("pause", "is longer than max_pause: the pause grows from pause to max_pause");
        }
    }
}

impl Batch {
    fn read(fields: &mut Fields<'_>) -> Self {
        let max = fields.number("max", 1..=1_000).unwrap_or(100) as usize;
        let wait = fields.duration("wait", Duration::ZERO..=10 * SECOND).unwrap_or(Duration::from_millis(50));
        Self { max, wait }
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
        match fields.words("jitter", &["full", "none"]) {
            Some("none") => self.jitter = Jitter::None,
            Some(_) => self.jitter = Jitter::Full,
            None => {}
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

#[cfg(test)]
mod tests {
    use super::super::testing::{problems, validate};
    use super::*;

    fn read(yaml: &str) -> DeliverySettings {
        validate(&format!("kind: log\n{yaml}")).unwrap().delivery
    }

    #[test]
    fn what_a_target_file_says_is_how_jobs_are_brought() {
        let millis = Duration::from_millis;
        assert_eq!(read(""), DeliverySettings::default());
        assert_eq!(read("retry: {jitter: none}").retry.jitter, Jitter::None);
        assert_eq!(read("rate: {per_second: 4}").rate, Some(Rate { every: millis(250), burst: 1 }));
        assert_eq!(read("rate: {per_minute: 30, burst: 7}").rate, Some(Rate { every: millis(2000), burst: 7 }));
        let breaker = BreakerSettings { failures: 2, pause: millis(1000), max_pause: millis(8000) };
        assert_eq!(read("breaker: {failures: 2, pause: 1s, max_pause: 8s}").breaker, breaker);
        assert_eq!(read("breaker: {pause: 20m}").breaker.max_pause, Duration::from_secs(1200));
        assert_eq!(read("batch: {max: 3}").batch, Some(Batch { max: 3, wait: millis(50) }));
    }

    #[test]
    fn what_is_wrong_with_them_is_said() {
        insta::assert_snapshot!(problems("kind: log\nrate: {per_second: 1, per_minute: 1}\nbreaker: {pause: 10s, max_pause: 1s, x: 1}\nbatch: {max: 0}\nretry: {jitter: some}"), @r#"
        retry.jitter: expected full or none
        rate: expected one of per_minute, per_second: for example rate: {per_second: 1}
        breaker.pause: is longer than max_pause: the pause grows from pause to max_pause
        breaker.x: unknown key: expected one of failures, max_pause, pause
        batch.max: expected a whole number from 1 to 1000
        "#);
        insta::assert_snapshot!(problems("kind: slack\nwebhook: '${env:X}'\nbatch: {max: 3}\nrate: {burst: 2}"), @r"
        rate: expected one of per_minute, per_second: for example rate: {per_second: 1}
        batch: slack takes one job at a time: only aws, gelf, http, kafka, log, otlp, prometheus, syslog can take several in one
        ");
    }
}

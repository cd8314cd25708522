//! Sign-ins, their ends and those that failed, told in the log: `console.signed_in`, `console.signed_out`,
//! `console.sign_in_failed`. Never what was given.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{lock, role::Role, session::Person, visit::Visit};
use crate::{
    bus::BusError,
    console::order,
    rate::{Bucket, Rate},
};

/// Failures that are told at once, and then one each so often: whoever tries all day does not fill the log.
const BURST: u32 = 20;
const EVERY: Duration = Duration::from_secs(10);

/// How many failures were told, and how many were not.
#[derive(Debug)]
pub(super) struct Told {
    bucket: Bucket,
    untold: u64,
}

impl Told {
    /// Nothing yet.
    pub(super) fn begin() -> Self {
        Self { bucket: Bucket::new(Rate { every: EVERY, burst: BURST }), untold: 0 }
    }

    /// Whether this one is told, and how many before it were not.
    fn next(&mut self, now: Instant) -> Option<u64> {
        if !self.bucket.try_take(now) {
            self.untold = self.untold.saturating_add(1);
            return None;
        }
        Some(std::mem::take(&mut self.untold))
    }
}

/// Somebody signed in. It counts only once this is in the log.
pub(super) async fn signed_in(visit: &Visit, person: &Person, role: Role) -> anyhow::Result<()> {
    let mut info = about(visit, person);
    info["role"] = json!(role);
    publish(visit, "console.signed_in", &info).await
}

/// Somebody signed out.
pub(super) async fn signed_out(visit: &Visit, person: &Person, everywhere: bool) {
    let mut info = about(visit, person);
    info["everywhere"] = json!(everywhere);
    if let Err(error) = publish(visit, "console.signed_out", &info).await {
        tracing::warn!(error = format!("{error:#}"), "a sign-out is not in the log");
    }
}

/// Somebody did not get in.
pub(super) async fn failed(visit: &Visit, how: &'static str, why: &str) {
    tracing::info!(from = %visit.from, how, why, "a sign-in at the console failed");
    let Some(untold) = lock(&visit.console.told).next(Instant::now()) else { return };
    let mut info = json!({"from": visit.from.to_canonical(), "how": how, "reason": why});
    if untold > 0 {
        info["more_before"] = json!(untold);
    }
    if let Err(error) = publish(visit, "console.sign_in_failed", &info).await {
        tracing::warn!(error = format!("{error:#}"), "a failed sign-in is not in the log");
    }
}

fn about(visit: &Visit, person: &Person) -> Value {
    let mut info = json!({"by": person.shown(), "from": visit.from.to_canonical(), "how": person.how.word()});
    if !person.subject.is_empty() {
        info["subject"] = json!(person.subject);
    }
    info
}

async fn publish(visit: &Visit, what: &str, info: &Value) -> anyhow::Result<()> {
    if !visit.bus().is_connected() {
        let reason = "not connected".to_owned();
        return Err(BusError::NoAnswer { doing: "telling of a sign-in", reason }.into());
    }
    order::tell(visit.bus(), what, info).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_are_told_now_and_then_with_their_number() {
        let now = Instant::now();
        let mut told = Told::begin();
        let at_once = (0..1000).filter(|_| told.next(now).is_some()).count();
        assert_eq!(at_once, 20);
        assert_eq!(told.next(now + EVERY), Some(980));
        assert_eq!(told.next(now + EVERY), None);
        assert_eq!(told.next(now + EVERY * 2), Some(1));
    }
}

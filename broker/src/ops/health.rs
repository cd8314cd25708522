//! Whether a broker is well, and whether it can do its work. Pure: time is an argument.

use std::time::{Duration, Instant};

use emote_proto::Name;

use crate::engine::{Role, Status};

/// The core gives a sign of life at least every few seconds, whatever it waits for; after this long it is stuck.
const CORE_SILENT: Duration = Duration::from_secs(60);
/// So does a target's worker.
pub(super) const WORKER_SILENT: Duration = Duration::from_secs(120);
/// Whoever leads writes the checkpoint every second, and whoever stands by reads it twice as often.
const LOG_SILENT: Duration = Duration::from_secs(15);
/// A broker that stands by further behind than this would take long to take over.
const MAX_BEHIND: u64 = 10_000;

/// What readiness is told from.
pub(super) struct Readiness<'a> {
    /// Whether the streams are there and answer, or what they say instead.
    pub(super) streams: Result<(), String>,
    /// What the core is doing.
    pub(super) status: &'a Status,
    /// Whether webhooks are taken.
    pub(super) taking: bool,
}

/// What only starting the process anew would mend. `began`: when the process did.
pub(super) fn unhealthy(status: &Status, silent: &[Name], began: Instant, now: Instant) -> Vec<String> {
    let mut reasons = Vec::new();
    let core = now.saturating_duration_since(status.alive.unwrap_or(began));
    if status.ended {
        reasons.push("the core has ended".to_owned());
    } else if core > CORE_SILENT {
        reasons.push(format!("the core is stuck: it gave no sign of life for {} s", core.as_secs()));
    }
    reasons.extend(silent.iter().map(|name| {
        format!("the worker of the target {name} is stuck: it gave no sign of life for {} s", WORKER_SILENT.as_secs())
    }));
    reasons
}

/// What keeps it from its work.
pub(super) fn unready(seen: &Readiness<'_>, now: Instant) -> Vec<String> {
    let Readiness { streams, status, taking } = seen;
    let mut reasons: Vec<String> = streams.clone().err().into_iter().collect();
    match status.role {
        Role::Starting => {
            let why = status.trouble.as_deref().unwrap_or("it is looking for the checkpoint");
            reasons.push(format!("it neither leads nor stands by: {why}"));
        }
        Role::StandingBy if status.behind > MAX_BEHIND => {
            reasons.push(format!("it stands by {} entries behind the one that leads, and catches up", status.behind));
        }
        Role::StandingBy | Role::Leading => {}
    }
    let silence = status.heard.map(|heard| now.saturating_duration_since(heard));
    if let Some(silence) = silence.filter(|silence| *silence > LOG_SILENT) {
        reasons.push(format!("it heard nothing from the log for {} s", silence.as_secs()));
    }
    if !taking {
        reasons.push("it takes no webhooks yet: the rules in force are not known".to_owned());
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_core_or_a_worker_without_a_sign_of_life_is_stuck() {
        let began = Instant::now();
        let now = began + seconds(100);
        let alive = |ago| Status { alive: Some(now - seconds(ago)), ..Status::default() };
        let reasons = |status: &Status| unhealthy(status, &[], began, now);
        assert_eq!(reasons(&alive(59)), Vec::<String>::new());
        assert_eq!(reasons(&alive(61)), ["the core is stuck: it gave no sign of life for 61 s"]);
        assert_eq!(reasons(&Status::default()), ["the core is stuck: it gave no sign of life for 100 s"]);
        assert_eq!(reasons(&Status { ended: true, ..alive(0) }), ["the core has ended"]);
        let slack = [Name::new("slack").unwrap()];
        let told = ["the worker of the target slack is stuck: it gave no sign of life for 120 s"];
        assert_eq!(unhealthy(&alive(0), &slack, began, now), told);
    }

    #[test]
    fn readiness_says_everything_that_is_missing() {
        let now = Instant::now() + seconds(100);
        let heard = |role, behind| Status { role, behind, heard: Some(now - seconds(1)), ..Status::default() };
        let reasons =
            |streams: Result<(), String>, status: &Status, taking| unready(&Readiness { streams, status, taking }, now);
        for ready in [heard(Role::Leading, 1_000_000), heard(Role::StandingBy, 10_000)] {
            assert_eq!(reasons(Ok(()), &ready, true), Vec::<String>::new(), "who leads may have much to do");
        }
        let told = ["it stands by 10001 entries behind the one that leads, and catches up"];
        assert_eq!(reasons(Ok(()), &heard(Role::StandingBy, 10_001), true), told);
        let silent = Status { heard: Some(now - seconds(16)), ..heard(Role::Leading, 0) };
        assert_eq!(reasons(Ok(()), &silent, true), ["it heard nothing from the log for 16 s"]);
        let starting = Status { trouble: Some("no answer".to_owned()), ..Status::default() };
        let told = reasons(Err("NATS is not connected".to_owned()), &starting, false);
        assert_eq!(told[..2], ["NATS is not connected", "it neither leads nor stands by: no answer"]);
        assert_eq!(told.len(), 3);
    }
}

//! Targets: what became of their jobs as the log has it, and what this broker's workers are doing.

use emote_proto::Name;

use super::{
    super::{observe::Observed, page::Kind, page::Page},
    flag,
    rules::{RESULTS, of_log},
};
use crate::{
    core::{EMIT_TARGET, Tallied, Tally},
    deliver::{Latency, Running, TargetSnapshot},
};

type OfLog = fn(&Tally) -> u64;
type OfBroker = fn(&TargetSnapshot) -> u64;
type Times = fn(&TargetSnapshot) -> &Latency;

const IN_LOG: [(&str, &str, OfLog); 3] = [
    ("emote_target_jobs_total", "Jobs for the target, held ones included.", |of| of.jobs),
    ("emote_target_held_total", "Jobs for the target that were held back for want of budget.", |of| of.held),
    ("emote_target_refused_total", "Jobs that the target's guard refused: too old, or not trusted enough.", |of| {
        of.refused
    }),
];

const IN_BROKER: [(Kind, &str, &str, OfBroker); 4] = [
    (
        Kind::Counter,
        "emote_target_retries_total",
        "Attempts by this broker that were not the first at their job.",
        |of| of.retries,
    ),
    (
        Kind::Counter,
        "emote_target_result_errors_total",
        "Times that this broker could not store a job's end at once.",
        |of| of.not_stored,
    ),
    (Kind::Gauge, "emote_target_in_flight", "Attempts that this broker is making.", |of| of.in_flight as u64),
    (Kind::Gauge, "emote_target_parked", "Jobs at this broker that wait for another one of their node.", |of| {
        of.parked as u64
    }),
];

const ATTEMPTS: [(&str, OfBroker); 3] =
    [("done", |of| of.succeeded), ("retry", |of| of.failed.saturating_sub(of.never)), ("never", |of| of.never)];

const TIMES: [(&str, &str, Times); 2] = [
    ("emote_target_attempt_seconds", "How long this broker's attempts took.", |of| &of.latency),
    (
        "emote_target_event_to_delivery_seconds",
        "How long it was from an event, by its source's clock, until this broker had it delivered.",
        |of| &of.since_event,
    ),
];

const STATES: [&str; 7] = ["working", "paused", "probing", "waiting_for_rate", "standing_by", "not_ready", "removed"];

pub(super) fn write(page: &mut Page, seen: &Observed) {
    let targets: Vec<&Name> = seen.targets.iter().filter(|name| name.as_str() != EMIT_TARGET).collect();
    let nothing = Tally::default();
    let tally = |target: &Name| seen.tallies.get(&Tallied::Target(target.to_string())).unwrap_or(&nothing);
    for (name, help, of) in IN_LOG {
        let mut family = page.family(Kind::Counter, name, &of_log(help));
        for target in &targets {
            family.sample(&[("target", target.as_str())], of(tally(target)) as f64);
        }
    }
    let help = of_log("Jobs for the target that ended, by how.");
    let mut family = page.family(Kind::Counter, "emote_target_results_total", &help);
    for target in &targets {
        for (result, of) in RESULTS {
            family.sample(&[("target", target.as_str()), ("result", result)], of(tally(target)) as f64);
        }
    }
    // The one that tells what the core has to say is worked on like any other.
    let live: Vec<(&str, &TargetSnapshot)> =
        seen.targets.iter().filter_map(|name| Some((name.as_str(), seen.live.get(name)?))).collect();
    of_this_broker(page, &live);
}

fn of_this_broker(page: &mut Page, live: &[(&str, &TargetSnapshot)]) {
    for (kind, name, help, of) in IN_BROKER {
        let mut family = page.family(kind, name, help);
        for (target, snapshot) in live {
            family.sample(&[("target", target)], of(snapshot) as f64);
        }
    }
    let help = "Attempts by this broker at jobs, by how they ended: `retry` is tried again, `never` would not help.";
    let mut family = page.family(Kind::Counter, "emote_target_attempts_total", help);
    for (target, snapshot) in live {
        for (result, of) in ATTEMPTS {
            family.sample(&[("target", target), ("result", result)], of(snapshot) as f64);
        }
    }
    let help = "The target's breaker at this broker: 0 closed, 1 one attempt is made to see, 2 open.";
    let mut family = page.family(Kind::Gauge, "emote_target_breaker_state", help);
    for (target, snapshot) in live {
        let state = match snapshot.state {
            Running::Paused { .. } => 2.0,
            Running::Probing => 1.0,
            _ => 0.0,
        };
        family.sample(&[("target", target)], state);
    }
    let mut family =
        page.family(Kind::Gauge, "emote_target_state", "1 for what this broker's workers of the target are doing.");
    for (target, snapshot) in live {
        for state in STATES {
            family.sample(&[("target", target), ("state", state)], flag(word(&snapshot.state) == state));
        }
    }
    for (name, help, times) in TIMES {
        let mut family = page.family(Kind::Histogram, name, help);
        for (target, snapshot) in live {
            family.latency(&[("target", target)], times(snapshot));
        }
    }
}

fn word(state: &Running) -> &'static str {
    match state {
        Running::Running => "working",
        Running::Paused { .. } => "paused",
        Running::Probing => "probing",
        Running::WaitingForRate { .. } => "waiting_for_rate",
        Running::StandingBy => "standing_by",
        Running::NotReady { .. } => "not_ready",
        Running::Gone => "removed",
    }
}

//! All metrics: one file a subject. Pure: what was observed goes in, the page comes out.
//!
//! Counts of rules and targets that are kept in the log are the same at every broker (`max by (rule)`, not `sum`), and
//! begin anew where a broker's records do. What is said to be of this broker is summed over brokers.

mod archive;
mod engine;
mod folders;
mod identity;
mod polls;
mod rules;
mod sources;
mod streams;
mod targets;

use emote_proto::Time;

use super::{
    observe::Observed,
    page::{Kind, Page},
};

/// What is not in the configuration any more is counted together under this name.
const OTHER: &str = "other";

/// The page of all metrics.
pub(super) fn page(seen: &Observed) -> String {
    let mut page = Page::default();
    page.family(Kind::Gauge, "emote_build_info", "Always 1; which version this is.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    page.family(Kind::Gauge, "process_start_time_seconds", "When the process began, in seconds since 1970.")
        .value(seconds(seen.started));
    page.family(Kind::Gauge, "emote_nats_connected", "Whether NATS is connected.").value(flag(seen.connected));
    engine::write(&mut page, seen);
    sources::write(&mut page, seen);
    polls::write(&mut page, seen);
    folders::write(&mut page, seen);
    rules::write(&mut page, seen);
    targets::write(&mut page, seen);
    streams::write(&mut page, seen);
    identity::write(&mut page, seen);
    archive::write(&mut page, seen);
    page.text()
}

/// Seconds since 1970.
fn seconds(time: Time) -> f64 {
    time.as_millis() as f64 / 1000.0
}

/// How long ago, in seconds; not less than nothing, whatever the clocks say.
fn age(since: Time, now: Time) -> f64 {
    now.millis_since(since).max(0) as f64 / 1000.0
}

fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests;

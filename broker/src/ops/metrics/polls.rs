//! What this broker fetches.

use super::{
    super::{observe::Observed, page::Kind, page::Page},
    age, flag,
};
use crate::poll::PollReport;

type Of = fn(&PollReport) -> u64;

const COUNTS: [(&str, &str, Of); 6] = [
    ("emote_poll_rounds_total", "Rounds of fetching that ended well at this broker.", |of| of.rounds),
    ("emote_poll_failed_total", "Rounds of fetching that failed at this broker.", |of| of.failed),
    ("emote_poll_pages_total", "Pages that this broker fetched.", |of| of.pages),
    ("emote_poll_items_total", "Items on the pages that this broker fetched.", |of| of.items),
    ("emote_poll_events_total", "New events that fetched items became.", |of| of.events),
    ("emote_poll_refused_total", "Fetched items that no event could be made of.", |of| of.refused),
];

pub(super) fn write(page: &mut Page, seen: &Observed) {
    for (name, help, of) in COUNTS {
        let mut family = page.family(Kind::Counter, name, help);
        for ((source, kind), report) in &seen.polls {
            family.sample(&[("source", source), ("kind", kind.key())], of(report) as f64);
        }
    }
    let help = "Whether the last round of fetching failed; only of the broker that leads.";
    let mut family = page.family(Kind::Gauge, "emote_poll_failing", help);
    for ((source, kind), report) in seen.polls.iter().filter(|(_, report)| report.state != "standing_by") {
        family.sample(&[("source", source), ("kind", kind.key())], flag(report.failures > 0));
    }
    let help = "How long ago everything was last fetched, in seconds; only of the broker that leads.";
    let mut family = page.family(Kind::Gauge, "emote_poll_age_seconds", help);
    for ((source, kind), report) in seen.polls.iter().filter(|(_, report)| report.state != "standing_by") {
        if let Some(at) = report.last_success {
            family.sample(&[("source", source), ("kind", kind.key())], age(at, seen.now));
        }
    }
}

//! Agents' credentials. The fleet is told of by the broker that leads; answers are of each broker.

use super::super::{
    observe::Observed,
    page::{Kind, Page},
};

/// Every outcome there is, so that each is there from the beginning.
const ENROLLMENTS: [&str; 8] =
    ["enrolled", "pending", "denied", "forged", "malformed", "wrong_time", "limited", "unavailable"];
const RENEWALS: [&str; 3] = ["issued", "refused", "passed_over"];

pub(super) fn write(page: &mut Page, seen: &Observed) {
    let Some(counted) = &seen.identity else { return };
    let help = "Answers to Macs that asked this broker for a credential, by outcome.";
    let mut family = page.family(Kind::Counter, "emote_enrollments_total", help);
    for outcome in ENROLLMENTS {
        family.sample(&[("outcome", outcome)], counted.enrollments.get(outcome).copied().unwrap_or(0) as f64);
    }
    let help = "Answers of this broker to agents that asked for their next credential, by outcome.";
    let mut family = page.family(Kind::Counter, "emote_credential_renewals_total", help);
    for outcome in RENEWALS {
        family.sample(&[("outcome", outcome)], counted.renewals.get(outcome).copied().unwrap_or(0) as f64);
    }
    let Some(fleet) = &counted.fleet else { return };
    let mut family = page.family(Kind::Gauge, "emote_agents", "Macs that ever asked for a credential, by state.");
    for (state, count) in &fleet.states {
        family.sample(&[("state", state)], *count as f64);
    }
    for (name, help, count) in [
        ("emote_agents_waiting", "Macs of which a key waits for somebody's word.", fleet.waiting),
        ("emote_credentials_expiring", "Credentials of enrolled Macs that end within a week.", fleet.expiring),
        ("emote_credentials_expired", "Enrolled Macs whose credentials are over.", fleet.expired),
        ("emote_revocations_unpushed", "Keys that are shut out and that NATS was not told of.", fleet.unpushed),
    ] {
        page.family(Kind::Gauge, name, help).value(count as f64);
    }
}

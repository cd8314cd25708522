//! `destructive`, `guard`, `max_age` and `ordered` of a target file: what the core asks before it gives a job out.

use std::time::Duration;

use emote_proto::Trust;

use super::DeliverySettings;
use crate::{
    config::fields::Fields,
    core::{Guard, MAX_LIMIT, MAX_WINDOW, Policy},
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How the end of a job that waits for another is known for so long only.
const LONGEST_IN_ORDER: Duration = Duration::from_secs(36 * 3600);

pub(super) fn read(fields: &mut Fields<'_>, delivery: &DeliverySettings) -> Policy {
    let destructive = fields.flag("destructive").unwrap_or_default();
    let mut guard = Guard::default();
    fields.object("guard", |fields| {
        if !destructive {
            fields.problem("", "a guard is for targets that say destructive: true");
        }
        if let Some(limit) = fields.number("limit", 0..=MAX_LIMIT) {
            (guard.limit, guard.rule_limit) = (limit, limit);
        }
        if let Some(limit) = fields.number("rule_limit", 0..=MAX_LIMIT) {
            guard.rule_limit = limit;
        }
        if let Some(window) = fields.duration("window", SECOND..=millis(MAX_WINDOW)) {
            guard.window = in_millis(window);
        }
        guard.trust = fields.words("trust", &["verified", "authenticated"]).map(|word| match word {
            "verified" => Trust::Verified,
            _ => Trust::Authenticated,
        });
    });
    let max_age = fields.duration("max_age", SECOND..=30 * DAY).map(in_millis);
    let ordered = fields.flag("ordered").unwrap_or_default();
    if ordered && delivery.retry.max_age > LONGEST_IN_ORDER {
        fields.problem("ordered", "retry.max_age may be 36h at most where order is kept: the jobs behind wait for it");
    }
    Policy { guard: destructive.then_some(guard), max_age, ordered, installs_agent: false }
}

fn in_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(millis.unsigned_abs())
}

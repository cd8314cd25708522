//! What became of rules, as the log has it. A rule that never matched is there with 0.

use super::{
    super::{observe::Observed, page::Kind, page::Page},
    seconds,
};
use crate::core::{Tallied, Tally};

type Of = fn(&Tally) -> u64;

const COUNTS: [(&str, &str, Of); 5] = [
    ("emote_rule_matched_total", "Events that the rule matched.", |of| of.matched),
    ("emote_rule_jobs_total", "Jobs that the rule made, held ones included.", |of| of.jobs),
    ("emote_rule_held_total", "Jobs of the rule that were held back for want of budget.", |of| of.held),
    ("emote_rule_refused_total", "Jobs of the rule that a guard refused: too old, or not trusted enough.", |of| {
        of.refused
    }),
    ("emote_rule_loops_stopped_total", "Times that the rule would have gone on without end.", |of| of.loops_stopped),
];

/// How jobs end.
pub(super) const RESULTS: [(&str, Of); 4] =
    [("done", |of| of.done), ("dead", |of| of.dead), ("skipped", |of| of.skipped), ("denied", |of| of.denied)];

pub(super) fn write(page: &mut Page, seen: &Observed) {
    let nothing = Tally::default();
    let tally = |rule: &emote_proto::Name| seen.tallies.get(&Tallied::Rule(rule.to_string())).unwrap_or(&nothing);
    for (name, help, of) in COUNTS {
        let mut family = page.family(Kind::Counter, name, &of_log(help));
        for rule in &seen.rules {
            family.sample(&[("rule", rule.as_str())], of(tally(rule)) as f64);
        }
    }
    let help = of_log("Jobs of the rule that ended, by how.");
    let mut family = page.family(Kind::Counter, "emote_rule_results_total", &help);
    for rule in &seen.rules {
        for (result, of) in RESULTS {
            family.sample(&[("rule", rule.as_str()), ("result", result)], of(tally(rule)) as f64);
        }
    }
    let help = "When the rule last matched, in seconds since 1970; not there where it never did.";
    let mut family = page.family(Kind::Gauge, "emote_rule_last_matched_timestamp_seconds", help);
    for rule in &seen.rules {
        if let Some(last) = tally(rule).last_matched {
            family.sample(&[("rule", rule.as_str())], seconds(last));
        }
    }
}

/// Says that a count is of the log.
pub(super) fn of_log(help: &str) -> String {
    format!("{help} Counted in the log: the same at every broker.")
}

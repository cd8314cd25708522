//! The core of this broker.

use super::{
    super::{observe::Observed, page::Kind, page::Page},
    flag,
};
use crate::{
    core::State,
    engine::{Role, Status},
};

type Of = fn(&Status) -> f64;

const COUNTS: [(&str, &str, Of); 8] = [
    ("emote_events_folded_total", "Entries of the log that this broker folded while it led.", |of| of.entries as f64),
    ("emote_jobs_committed_total", "Jobs that this broker stored while it led.", |of| of.jobs as f64),
    ("emote_commits_total", "Times that this broker stored jobs, or the checkpoint.", |of| of.commits as f64),
    ("emote_fold_seconds_total", "Time this broker spent folding and committing.", |of| of.folding.as_secs_f64()),
    ("emote_poisoned_entries_total", "Entries that were no events or could not be folded.", |of| of.poisoned as f64),
    ("emote_takeovers_total", "Times that this broker began to lead.", |of| of.takeovers as f64),
    ("emote_interruptions_total", "Times that trouble stopped this broker's core, to begin again.", |of| {
        of.stops as f64
    }),
    ("emote_commit_errors_total", "Times that the stream did not take what this broker sent, or not for sure.", |of| {
        of.commit_errors as f64
    }),
];

pub(super) fn write(page: &mut Page, seen: &Observed) {
    let Some(status) = &seen.engine else { return };
    let leads = status.role == Role::Leading;
    page.family(Kind::Gauge, "emote_leader", "Whether this broker leads: one of all does.").value(flag(leads));
    let mut roles = page.family(Kind::Gauge, "emote_role", "1 for the part that this broker takes.");
    for (role, word) in [(Role::Leading, "leading"), (Role::StandingBy, "standing_by"), (Role::Starting, "starting")] {
        roles.sample(&[("role", word)], flag(status.role == role));
    }
    for (name, help, of) in COUNTS {
        page.family(Kind::Counter, name, help).value(of(status));
    }
    page.family(Kind::Gauge, "emote_log_position", "The last entry of the log in this broker's records.")
        .value(seen.position as f64);
    let behind = "Entries that this broker knew to be before it: of the log where it leads, else of the checkpoint.";
    page.family(Kind::Gauge, "emote_behind_entries", behind).value(status.behind as f64);
    if let Some(silence) = seen.silence {
        let help = "How long this broker has heard nothing from the log; where all is well about a second at most.";
        page.family(Kind::Gauge, "emote_log_silence_seconds", help).value(silence.as_secs_f64());
    }
    if let Some(nodes) = seen.nodes {
        page.family(Kind::Gauge, "emote_nodes", "Nodes in this broker's records.").value(nodes as f64);
    }
    if !seen.installs.is_empty() {
        let help = "Nodes by how far the last install of the agent is that was ordered for them.";
        let mut installs = page.family(Kind::Gauge, "emote_agent_installs", help);
        for state in State::ALL {
            installs.sample(&[("state", state.word())], seen.installs.get(&state).copied().unwrap_or(0) as f64);
        }
    }
    if let Some(bytes) = seen.store {
        page.family(Kind::Gauge, "emote_store_bytes", "Size of the file of this broker's records.").value(bytes as f64);
    }
}

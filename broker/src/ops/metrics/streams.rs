//! What NATS knows: the same whichever broker is asked, and not there while NATS does not answer.

use std::collections::BTreeMap;

use emote_proto::{Time, stream};

use super::{
    super::{observe::InNats, observe::Observed, page::Kind, page::Page},
    OTHER, age,
};
use crate::bus::{Backlog, StreamState};

type Of = fn(&StreamState) -> u64;

const STREAMS: [(&str, &str, Of); 2] = [
    ("emote_stream_messages", "Messages in the stream.", |of| of.messages),
    ("emote_stream_bytes", "Bytes in the stream.", |of| of.bytes),
];

pub(super) fn write(page: &mut Page, seen: &Observed) {
    let Some(nats) = &seen.nats else { return };
    let now = seen.now;
    for (name, help, of) in STREAMS {
        let mut family = page.family(Kind::Gauge, name, help);
        for (stream, state) in &nats.streams {
            family.sample(&[("stream", stream)], of(state) as f64);
        }
    }
    log(page, nats, now);
    let known: Vec<&str> = seen.targets.iter().map(|target| target.as_str()).collect();
    let backlogs = nats.backlogs.iter().map(|(name, backlog)| (name.as_str(), *backlog));
    waiting(page, &together(&known, backlogs, of_both), now);
    for (name, help, counts) in [
        ("emote_held_jobs", "Jobs for the target that are held until somebody says a word.", nats.held.as_ref()),
        ("emote_dead_letters", "Dead letters of the target that are kept.", Some(&nats.dead)),
    ] {
        let Some(counts) = counts else { continue };
        let counts = counts.iter().map(|(name, count)| (name.as_str(), *count));
        let mut family = page.family(Kind::Gauge, name, help);
        for (target, count) in together(&known, counts, |one, other| one + other) {
            family.sample(&[("target", target)], count as f64);
        }
    }
}

fn log(page: &mut Page, nats: &InNats, now: Time) {
    let last = nats.streams.get(stream::EVENTS).map_or(0, |events| events.last);
    page.family(Kind::Gauge, "emote_log_end", "The last entry of the log.").value(last as f64);
    page.family(Kind::Gauge, "emote_checkpoint_lag_entries", "Entries of the log behind the checkpoint.")
        .value(nats.behind as f64);
    let help = "How long the first entry behind the checkpoint has been in the log; 0 where there is none.";
    page.family(Kind::Gauge, "emote_checkpoint_lag_seconds", help)
        .value(nats.behind_since.map_or(0.0, |since| age(since, now)));
}

fn waiting(page: &mut Page, backlogs: &BTreeMap<&str, Backlog>, now: Time) {
    let mut family =
        page.family(Kind::Gauge, "emote_target_backlog", "Jobs for the target that have not ended, at all brokers.");
    for (target, backlog) in backlogs {
        family.sample(&[("target", target)], backlog.jobs as f64);
    }
    let help = "How long the target's oldest job that has not ended has been there; 0 where there is none.";
    let mut family = page.family(Kind::Gauge, "emote_target_oldest_waiting_seconds", help);
    for (target, backlog) in backlogs {
        family.sample(&[("target", target)], backlog.oldest.map_or(0.0, |since| age(since, now)));
    }
}

/// What is of targets by their names: each of those known, with nothing where there is nothing, the others as one.
fn together<'a, T: Default>(
    known: &[&'a str],
    of_each: impl Iterator<Item = (&'a str, T)>,
    add: fn(T, T) -> T,
) -> BTreeMap<&'a str, T> {
    let mut all: BTreeMap<&str, T> = known.iter().map(|name| (*name, T::default())).collect();
    for (name, of) in of_each {
        let entry = all.entry(if known.contains(&name) { name } else { OTHER }).or_default();
        *entry = add(std::mem::take(entry), of);
    }
    all
}

fn of_both(one: Backlog, other: Backlog) -> Backlog {
    let oldest = one.oldest.into_iter().chain(other.oldest).min();
    Backlog { jobs: one.jobs.saturating_add(other.jobs), oldest }
}

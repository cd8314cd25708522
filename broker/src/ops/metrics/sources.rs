//! Webhooks and messages that this broker took or refused, and the sockets where it listens for these.

use super::{
    super::{observe::Observed, page::Kind, page::Page},
    OTHER,
};
use crate::ingest::SourceCounts;

type Of = fn(&SourceCounts) -> u64;

const COUNTS: [(&str, &str, Of); 3] = [
    ("emote_ingest_accepted_total", "Webhooks and messages that this broker took.", |of| of.taken),
    ("emote_ingest_events_total", "Events that webhooks and messages became.", |of| of.events),
    (
        "emote_ingest_publish_errors_total",
        "Times that the stream did not take the events of webhooks or messages.",
        |of| of.not_published,
    ),
];

pub(super) fn write(page: &mut Page, seen: &Observed) {
    for (name, help, of) in COUNTS {
        let mut family = page.family(Kind::Counter, name, help);
        for (source, counts) in &seen.sources {
            family.sample(&[("source", source)], of(counts) as f64);
        }
    }
    let help = "Webhooks and messages that this broker refused or dropped, by reason; `no_source` went to a name that is no source.";
    let mut family = page.family(Kind::Counter, "emote_ingest_refused_total", help);
    for (source, counts) in &seen.sources {
        for (reason, count) in &counts.refused {
            family.sample(&[("source", source), ("reason", reason)], *count as f64);
        }
    }
    family.sample(&[("source", OTHER), ("reason", "no_source")], seen.nowhere as f64);
    let help = "Whether this broker listens for a source, by socket.";
    let mut family = page.family(Kind::Gauge, "emote_ingest_listening", help);
    for (source, socket) in &seen.sockets {
        family.sample(&[("source", source), ("socket", &socket.name)], f64::from(u8::from(socket.listens)));
    }
    let help = "Connections that are open at a source's socket.";
    let mut family = page.family(Kind::Gauge, "emote_ingest_connections", help);
    for (source, socket) in seen.sockets.iter().filter(|(_, socket)| !socket.name.starts_with("udp")) {
        family.sample(&[("source", source), ("socket", &socket.name)], socket.connections as f64);
    }
}

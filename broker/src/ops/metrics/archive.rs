//! The archive. How far it is behind, NATS knows; what was done, the broker that leads tells, and each counts its own.

use super::{
    super::{
        observe::Observed,
        page::{Kind, Page},
    },
    age, flag,
};

pub(super) fn write(page: &mut Page, seen: &Observed) {
    if let Some(backlog) = seen.nats.as_ref().and_then(|nats| nats.archive) {
        let help = "Entries of EVENTS that are not archived yet.";
        page.family(Kind::Gauge, "emote_archive_behind", help).value(backlog.jobs as f64);
        let help = "For how long the first entry that is not archived yet has been in EVENTS.";
        let oldest = backlog.oldest.map_or(0.0, |oldest| age(oldest, seen.now));
        page.family(Kind::Gauge, "emote_archive_oldest_seconds", help).value(oldest);
    }
    let Some(status) = &seen.archive else { return };
    page.family(Kind::Gauge, "emote_archive_active", "Whether this broker is archiving.").value(flag(status.active));
    for (name, help, count) in [
        ("emote_archive_events_total", "Entries that this broker archived.", status.events),
        ("emote_archive_segments_total", "Segments that this broker stored.", status.segments),
        ("emote_archive_stored_bytes_total", "Bytes of segments that this broker stored.", status.stored_bytes),
        ("emote_archive_stops_total", "Times that trouble stopped this broker's archiving.", status.stops),
    ] {
        page.family(Kind::Counter, name, help).value(count as f64);
    }
}

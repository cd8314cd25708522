//! What is shown while a simulation runs, and its sums.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::sync::Arc;
use std::time::Duration;

use emote_proto::Time;
use serde::Serialize;
use tokio::time::interval;

use crate::simulate::{Moment, Show, Sums, Tally};

/// What is printed at the end.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    seed: u64,
    macs: u32,
    from: Time,
    /// Moment of the day that was reached.
    reached: Option<Time>,
    seconds: f64,
    stored_per_second: f64,
    #[serde(flatten)]
    pub(super) sums: Sums,
}

/// A line each second, where somebody looks.
pub(super) async fn show_moments(tally: Arc<Tally>, show: Show, print: bool) {
    if print || !std::io::stderr().is_terminal() {
        return;
    }
    let (mut tick, mut before) = (interval(Duration::from_secs(1)), 0);
    loop {
        tick.tick().await;
        let sums = tally.sums();
        let line = line(&tally.moment(), &sums, sums.stored - before, &show);
        before = sums.stored;
        let mut terminal = std::io::stderr().lock();
        // Whoever looked is gone: nobody misses the line.
        write!(terminal, "\r\x1b[K{line}").and_then(|()| terminal.flush()).ok();
    }
}

fn line(moment: &Moment, sums: &Sums, rate: u64, show: &Show) -> String {
    let clock = Time::from_millis(moment.clock).map_or_else(String::new, |time| time.to_string());
    let waiting = if moment.due > 0 { format!(", {} Macs wait", moment.due) } else { String::new() };
    format!(
        "{}  {} of {} Macs awake  {} sent, {} stored, {rate}/s  {} under way{waiting}  slowest answer {}",
        clock.get(..16).unwrap_or(&clock),
        moment.awake,
        show.macs,
        sums.sent,
        sums.stored,
        sums.waiting,
        millis(moment.worst_us),
    )
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn millis(micros: u64) -> String {
    format!("{:.1} ms", micros as f64 / 1_000.0)
}

impl Report {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    pub(super) fn new(show: &Show, tally: &Tally, took: Duration) -> Self {
        let (sums, seconds) = (tally.sums(), took.as_secs_f64());
        let per_second = if seconds > 0.0 { sums.stored as f64 / seconds } else { 0.0 };
        Self {
            seed: show.world.seed,
            macs: show.macs,
            from: show.world.start,
            reached: Time::from_millis(tally.moment().clock),
            seconds: (seconds * 1_000.0).round() / 1_000.0,
            stored_per_second: per_second.round(),
            sums,
        }
    }

    pub(super) fn table(&self) -> String {
        let sums = &self.sums;
        let reached = self.reached.map_or_else(String::new, |time| time.to_string());
        let mut rows = vec![
            ("Macs", format!("{}, seed {}", self.macs, self.seed)),
            ("played", format!("{} to {reached} in {:.1} s", self.from, self.seconds)),
            ("events", format!("{}, of which {} were in the stream before", sums.events, sums.found)),
            ("stored", format!("{}, {:.0} a second", sums.stored, self.stored_per_second)),
            ("waiting", sums.waiting.to_string()),
            (
                "answers",
                format!(
                    "half within {}, 99 % within {}, slowest {}",
                    millis(sums.ack_p50_us),
                    millis(sums.ack_p99_us),
                    millis(sums.ack_worst_us)
                ),
            ),
        ];
        if sums.refused > 0 {
            rows.push(("refused", format!("{}, for their size", sums.refused)));
        }
        if let Some(trouble) = &sums.trouble {
            rows.push(("trouble", format!("{trouble}; the stream was asked {} times", sums.asked_again)));
        }
        let mut text = String::new();
        for (key, value) in rows {
            // Writing to a string cannot fail.
            writeln!(text, "{key:<12}{value}").ok();
        }
        text
    }
}

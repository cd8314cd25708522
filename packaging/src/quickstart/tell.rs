//! How the quickstart speaks while it works, and how it waits: aloud, once that takes longer than people like.

use std::{io::Write, time::Duration};

use anstyle::{AnsiColor, Style};
use tokio::time::Instant;

pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(super) const BOLD: Style = Style::new().bold();
pub(super) const DIM: Style = Style::new().dimmed();

const EVERY: Duration = Duration::from_millis(100);
const ALOUD_AFTER: Duration = Duration::from_secs(2);
const ALOUD_EVERY: Duration = Duration::from_secs(5);

/// One line of progress, on standard error. That nobody reads it any more is no reason to stop.
pub(super) fn tell(line: &str) {
    writeln!(anstream::stderr(), "{DIM}·{DIM:#} {line}").ok();
}

/// What was asked for, on standard output, in the same way.
pub(super) fn show(text: &str) {
    writeln!(anstream::stdout(), "{text}").ok();
}

/// Asks `look` again and again until it gives something.
pub(super) async fn wait_for<T>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let began = Instant::now();
    let mut aloud = began + ALOUD_AFTER;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        let now = Instant::now();
        anyhow::ensure!(now < began + within, "waited {} s in vain for {what}", within.as_secs());
        if now >= aloud {
            tell(&format!("… still waiting for {what} ({} s)", now.duration_since(began).as_secs()));
            aloud = now + ALOUD_EVERY;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The last lines of a log, for an error.
pub(super) fn tail(log: &std::path::Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

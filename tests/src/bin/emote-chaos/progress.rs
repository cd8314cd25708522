//! One line that tells how far it is, on a terminal only.

use std::{
    io::{IsTerminal, Write},
    sync::{PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use crate::{stage::Stage, strike::Record};

const EVERY: Duration = Duration::from_millis(500);

/// Shows the progress until it is dropped, and looks after programs that end by themselves.
pub(crate) async fn follow(stage: &Stage, length: Duration, struck: &Record) {
    let began = Instant::now();
    let mut every = tokio::time::interval(EVERY);
    loop {
        every.tick().await;
        for service in stage.services() {
            if let Err(error) = service.look_after().await {
                stage.senders.ledger.wrong(format!("{error:#}"));
            }
        }
        let (sent, acknowledged) = stage.senders.ledger.counts();
        let faults: u64 = struck.lock().unwrap_or_else(PoisonError::into_inner).done.values().sum();
        let phase = if stage.senders.over.load(Ordering::Relaxed) { "ending" } else { "breaking" };
        show(&format!(
            "{:>4}/{} s {phase}: {sent} sent, {acknowledged} acknowledged, {} delivered, {faults} faults",
            began.elapsed().as_secs(),
            length.as_secs(),
            stage.target.accepted(),
        ));
    }
}

/// Replaces the line that is there.
pub(crate) fn show(line: &str) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        write!(out, "\r\x1b[K{line}").and_then(|()| out.flush()).ok();
    }
}

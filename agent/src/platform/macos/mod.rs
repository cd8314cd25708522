//! What only macOS offers: thin calls into the system, nothing that decides.

use super::signals::{QUEUE, Signals};

/// Begins to listen.
pub(super) fn listen() -> Signals {
    let (sender, signals) = tokio::sync::mpsc::channel(QUEUE);
    std::mem::forget(sender);
    signals
}

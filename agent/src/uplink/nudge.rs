//! What the system tells that concerns the connection: what stood before is worth little, and waiting is worth nothing.

use tokio::sync::watch;

/// How often each has happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Nudge {
    /// The machine woke: whatever connection there was is probably half open.
    pub(crate) woke: u32,
    /// The network changed: what failed a moment ago may do now.
    pub(crate) network: u32,
}

/// Until the machine wakes; for ever when nobody is left to tell.
pub(crate) async fn woken(nudges: &mut watch::Receiver<Nudge>) {
    let before = nudges.borrow_and_update().woke;
    loop {
        if nudges.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        if nudges.borrow_and_update().woke != before {
            return;
        }
    }
}

//! What concerns the connection from outside: what stood before is worth little, or waiting is worth nothing.

use tokio::sync::watch;

/// How often each has happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Nudge {
    /// The machine woke: whatever connection there was is probably half open.
    pub(crate) woke: u32,
    /// The network changed: what failed a moment ago may do now.
    pub(crate) network: u32,
    /// An administrator has said so: whoever waits for a credential asks at once.
    pub(crate) asked: u32,
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

//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

/// Long enough for a job whose worker was killed to be given to another one (its time-out and half a minute).
pub const DEADLINE: Duration = Duration::from_secs(90);

/// Waits until `condition` holds; fails with `what` when it does not within [`DEADLINE`].
pub async fn until<F: Future<Output = bool>>(what: &str, condition: impl FnMut() -> F) {
    until_within(DEADLINE, what, condition).await;
}

/// Like [`until`], with a deadline of one's own.
pub async fn until_within<F: Future<Output = bool>>(deadline: Duration, what: &str, mut condition: impl FnMut() -> F) {
    let begun = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(25));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if condition().await {
            return;
        }
        assert!(begun.elapsed() < deadline, "not within {deadline:?}: {what}");
    }
}

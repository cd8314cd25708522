//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

/// Long enough for a job whose worker was killed to be given to another one (its time-out and half a minute).
pub const DEADLINE: Duration = Duration::from_secs(90);

/// Waits until `condition` holds; fails with `what` when it does not within [`DEADLINE`].
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    until_some(what, async || condition().await.then_some(())).await;
}

/// Waits until somebody takes connections at this port of loopback; `what` says who.
pub async fn until_listening(what: &str, port: u16) {
    let listens = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
    until(&format!("{what} takes connections"), listens).await;
}

/// Waits until `find` finds something.
pub async fn until_some<T>(what: &str, mut find: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(25));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Some(found) = find().await {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
    }
}

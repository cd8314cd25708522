//! How fast a backlog goes to the stream, and how an event fares that is emitted meanwhile: the real program, a real
//! nats-server on loopback. Fills the spool without a server, then times a start with one.
//!
//! `cargo bench -p emote-agent --bench drain`; needs nats-server as `tests/it` does.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that finds something missing has failed")]

#[path = "../tests/it/programs.rs"]
mod programs;
#[path = "../tests/it/exactly_once/proxy.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod proxy;
#[path = "../tests/it/exactly_once/stack.rs"]
#[expect(dead_code, reason = "shared with the tests, which use all of it")]
mod stack;

use programs::until;
use stack::Stack;
use tokio::time::Instant;

const BACKLOG: u64 = 10_000;
/// Emitted one after the other while the backlog goes.
const FRESH: u64 = 20;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut stack = Stack::start().await;
    stack.with_heartbeats();
    stack.kill_server().await;
    stack.start_agent().await;
    let mut written = 0;
    while written < BACKLOG {
        written += u64::try_from(stack.emit_all(written + 1..=(written + 50).min(BACKLOG)).await.len()).unwrap_or(0);
    }
    stack.kill_agent();
    stack.reap_agent().await;
    stack.start_server().await;

    let begun = Instant::now();
    stack.start_agent().await;
    let waiting = stack.waiting().await.unwrap_or_default();
    let mut latencies = Vec::new();
    for n in BACKLOG + 1..=BACKLOG + FRESH {
        let emitted = Instant::now();
        stack.emit(n).await.ok();
        latencies.push(emitted.elapsed());
    }
    let left = stack.waiting().await.unwrap_or_default();
    until("everything is stored", || async { stack.waiting().await == Some(0) }).await;
    let drained = begun.elapsed();
    latencies.sort();
    let mut numbers = stack.numbers().await;
    let last = numbers.split_off(usize::try_from(BACKLOG).unwrap());
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(1..=BACKLOG) && last.into_iter().eq(BACKLOG + 1..=BACKLOG + FRESH), "each once");
    let (median, longest) = (latencies[latencies.len() / 2], latencies[latencies.len() - 1]);
    println!("{waiting} events waited; all stored {drained:.2?} after the start of the agent, fresh ones included");
    println!(
        "an event emitted meanwhile was on the disk after {median:.2?} (median of {FRESH}), {longest:.2?} at most"
    );
    println!("{left} still waited when the last of these was written");
}

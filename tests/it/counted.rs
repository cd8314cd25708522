//! Things that are counted: a rule about them, targets that are told of them.

use emote_tests::{Stack, StandIn};
use serde_json::json;

pub(crate) const COUNTED: &str = "pattern: {scope: [test], action: [counted]}\n";
const INPUT: &str = "input: '{serial: .event.device.uuid, n: .event.info.n}'";

/// A rule that gives these targets what is counted.
pub(crate) fn rule(targets: &[&str]) -> String {
    let targets = targets.iter().map(|target| format!("  - {{target: {target}, {INPUT}}}\n"));
    format!("{COUNTED}targets:\n{}", targets.collect::<String>())
}

/// An `http` target with quick retries, and more.
pub(crate) fn target(stand_in: &StandIn, more: &str) -> String {
    let retry = "retry: {max_attempts: 10000, backoff: {initial: 10ms, max: 50ms}}";
    format!("kind: http\nurl: {}/hook\ntimeout: 2s\n{retry}\n{more}\n", stand_in.url)
}

/// The `n`th thing that is counted, at this Mac.
pub(crate) async fn count(stack: &Stack, serial: &str, n: u64) {
    let event = json!({"scope": "test", "action": "counted", "device": {"uuid": serial}, "info": {"n": n}});
    stack.streams.publish(&format!("events.manual.{serial}.test.counted"), event.to_string()).await;
}

//! What is said in a run: event number n, from the seed and from nothing else.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

/// Devices that belong to users.
pub(crate) const DEVICES: u64 = 12;
/// Users, of three devices each.
pub(crate) const USERS: u64 = 4;

/// How an event comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// An agent's socket.
    Agent,
    /// A webhook.
    Webhook,
    /// A plain publish into EVENTS.
    Publish,
}

impl Way {
    /// In words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent emit",
            Self::Webhook => "webhook",
            Self::Publish => "publish",
        }
    }
}

/// An event before it is sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    /// Its number in the run.
    pub(crate) n: u64,
    /// How it comes in.
    pub(crate) way: Way,
    /// The word by which it is found again, in `info.key`.
    pub(crate) key: String,
    /// Its subject's node.
    pub(crate) node: String,
    /// The event.
    pub(crate) event: Value,
}

/// The serial number of the device.
pub(crate) fn device(n: u64) -> String {
    format!("D{n:03}")
}

/// The owner of the device.
pub(crate) fn owner(device: u64) -> String {
    format!("u{}@chaos", device % USERS)
}

/// What is published before everything else: whose the devices are. Subject and event.
pub(crate) fn prologue() -> Vec<(String, Value)> {
    let about = |n| {
        let event = json!({"scope": "asset", "action": "updated", "info": {"set": {"owner": owner(n)}}});
        (format!("events.manual.{}.asset.updated", device(n)), event)
    };
    (0..DEVICES).map(about).collect()
}

/// Event number `n` of the run.
pub(crate) fn line(seed: u64, n: u64) -> Line {
    let mut random = StdRng::seed_from_u64(seed.rotate_left(17) ^ n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let way = match random.random_range(0..10) {
        0..4 => Way::Agent,
        4..7 => Way::Webhook,
        _ => Way::Publish,
    };
    let key = format!("{seed:x}-{n}");
    let mut info = json!({"key": key});
    let what = random.random_range(0..100);
    let node = device(random.random_range(0..DEVICES));
    if what < 5 && way != Way::Agent {
        let user = owner(random.random_range(0..USERS));
        let event = json!({"scope": "user", "action": "gone", "user": {"id": user}, "info": info});
        return Line { n, way, key, node: user, event };
    }
    let action = if (5..8).contains(&what) { "doom" } else { "tick" };
    match what {
        8..18 => info["pair"] = json!(true),
        18..20 => info["refuse"] = json!(true),
        20..22 => info["padding"] = json!("x".repeat(random.random_range(1_000..100_000))),
        _ => {}
    }
    let mut event = json!({"scope": "chaos", "action": action, "info": info});
    if way != Way::Agent {
        event["device"] = json!({"uuid": node});
    }
    Line { n, way, key, node, event }
}

impl Line {
    /// Its subject, as whoever publishes into EVENTS by hand has it.
    pub(crate) fn subject(&self) -> String {
        let word = |field: &str| self.event[field].as_str().unwrap_or_default().to_owned();
        format!("events.manual.{}.{}.{}", self.node, word("scope"), word("action"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_says_the_same_and_a_short_run_says_everything() {
        let lines: Vec<Line> = (0..2_000).map(|n| line(3, n)).collect();
        assert_eq!(lines[17], line(3, 17));
        assert_ne!(lines[17].event, line(4, 17).event);
        for way in [Way::Agent, Way::Webhook, Way::Publish] {
            assert!(lines.iter().filter(|line| line.way == way).count() > 400);
        }
        for (pointer, value) in [
            ("/action", json!("doom")),
            ("/action", json!("gone")),
            ("/info/pair", json!(true)),
            ("/info/refuse", json!(true)),
        ] {
            let found = lines.iter().filter(|line| line.event.pointer(pointer) == Some(&value)).count();
            assert!(found >= 10, "{value}: {found}");
        }
        assert!(lines.iter().all(|line| line.subject().parse::<emote_proto::Subject>().is_ok()));
    }
}

//! What the running agent says of itself: whether it runs, its connection, what waits.

use emote_proto::Time;

use super::Finding;
use crate::VERSION;
use crate::health::Status;

/// A clock farther from the broker's is worth a word.
const FAR_MS: i64 = 5_000;
/// Events that wait longer than this while connected are worth a word.
const OLD_MS: i64 = 10 * 60 * 1000;

const START: &str = "start it: on a Mac, `launchctl bootstrap system /Library/LaunchDaemons/io.emote.agent.plist`; else `emote-agent run`";
const NOT_MINE: &str = "run the doctor as that user, on a Mac as root";

/// The findings of a status, or of the reason why there is none.
pub(crate) fn running(status: Result<&Status, &str>, now: Time) -> Vec<Finding> {
    match status {
        Err(problem) => vec![
            Finding::fail("agent", problem, if problem.contains("permission denied") { NOT_MINE } else { START }),
            Finding::skipped("spool", "only the running agent knows"),
            Finding::skipped("clock", "only the running agent knows"),
        ],
        Ok(status) => vec![agent(status), uplink(status), spool(status, now), clock(status)],
    }
}

fn agent(status: &Status) -> Finding {
    let said = format!("{} runs, pid {}, serial {}", status.version, status.pid, status.serial);
    if status.version == VERSION {
        return Finding::ok("agent", said);
    }
    let remedy = format!("restart it to run {VERSION}: `launchctl kickstart -k system/io.emote.agent`");
    Finding::warn("agent", said, remedy)
}

fn uplink(status: &Status) -> Finding {
    let uplink = &status.uplink;
    match (&uplink.server, &uplink.last_error) {
        (Some(server), None) if uplink.connected => Finding::ok("uplink", format!("connected to {server}")),
        (Some(server), Some(error)) if uplink.connected => Finding::fail(
            "uplink",
            format!("connected to {server}, and events are not taken: {error}"),
            "look at the stream, `nats stream info EVENTS`, and at what this Mac's credential may publish",
        ),
        (_, error) => Finding::fail(
            "uplink",
            format!("not connected{}", error.as_ref().map(|error| format!(": {error}")).unwrap_or_default()),
            "see the checks of identity and of each server below",
        ),
    }
}

fn spool(status: &Status, now: Time) -> Finding {
    let spool = &status.spool;
    let oldest = spool.oldest.map_or(0, |oldest| now.millis_since(oldest).max(0));
    let said = match spool.count {
        0 => "nothing waits".to_owned(),
        count => format!(
            "{count} events wait, {} of {} KiB, the oldest for {} min",
            spool.bytes >> 10,
            spool.quota >> 10,
            oldest / 60_000
        ),
    };
    if spool.bytes.saturating_mul(10) > spool.quota.saturating_mul(9) {
        return Finding::fail(
            "spool",
            said,
            "events are about to be dropped, heartbeats first: see to the connection, or raise `quota`",
        );
    }
    if status.uplink.connected && oldest > OLD_MS {
        return Finding::warn("spool", said, "the server is there and does not take them: see `emote-agent status`");
    }
    Finding::ok("spool", said)
}

fn clock(status: &Status) -> Finding {
    let Some(clock) = status.uplink.clock else {
        return Finding::skipped("clock", "no broker has told the time yet: it is asked with each heartbeat");
    };
    let said = format!("{} ms from the broker's, give or take {} ms", clock.offset_ms, clock.uncertainty_ms);
    if clock.offset_ms.saturating_abs() < FAR_MS {
        return Finding::ok("clock", said);
    }
    let remedy = "set it: System Settings, Date & Time, or `sudo sntp -sS time.apple.com`";
    Finding::warn("clock", said, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;
    use crate::health::{ClockStatus, SpoolStatus, UplinkStatus};

    fn status() -> Status {
        Status {
            version: VERSION.into(),
            uplink: UplinkStatus { connected: true, server: Some("n1 2.15.1".into()), ..UplinkStatus::default() },
            spool: SpoolStatus { quota: 1_000, ..SpoolStatus::default() },
            ..Status::default()
        }
    }

    fn check(status: &Status, expected: [Outcome; 4]) {
        let outcomes: Vec<_> =
            running(Ok(status), Time::from_millis(3_600_000).unwrap()).iter().map(|f| f.outcome).collect();
        assert_eq!(outcomes, expected, "{status:?}");
    }

    #[test]
    fn each_trouble_of_a_running_agent_is_told() {
        use Outcome::{Fail, Ok, Skipped, Warn};
        check(&status(), [Ok, Ok, Ok, Skipped]);
        check(&Status { version: "0.0.1".into(), ..status() }, [Warn, Ok, Ok, Skipped]);
        for (offset_ms, outcome) in [(-4_999, Ok), (5_000, Warn), (i64::MIN, Warn)] {
            let mut status = status();
            status.uplink.clock = Some(ClockStatus { offset_ms, uncertainty_ms: 3 });
            check(&status, [Ok, Ok, Ok, outcome]);
        }
        let mut denied = status();
        denied.uplink.last_error = Some("denied".into());
        denied.spool = SpoolStatus { count: 3, bytes: 100, quota: 1_000, oldest: Time::from_millis(0) };
        check(&denied, [Ok, Fail, Warn, Skipped]);
        let mut away = denied.clone();
        (away.uplink.connected, away.spool.bytes) = (false, 950);
        check(&away, [Ok, Fail, Fail, Skipped]);
        for (problem, remedy) in [("nobody answers", START), ("a/agent.sock: permission denied: run this as", NOT_MINE)]
        {
            let found = &running(Err(problem), Time::from_millis(0).unwrap())[0];
            assert_eq!((found.outcome, found.remedy.as_deref()), (Fail, Some(remedy)));
        }
    }
}

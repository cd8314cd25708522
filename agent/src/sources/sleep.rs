//! Sleeps and wakes of the machine, as people see them: what it does by itself in between (dark wakes, maintenance) is
//! left out. They are told as they happen; the system's own log tells those that happened while nobody listened, with
//! their reasons. What both tell is one.
//!
//! The lines of `pmset -g log` are as in public logs of macOS 12 to 26.

use std::time::Duration;

use emote_proto::{Draft, Time};
use jiff::fmt::strtime;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ObserveError, Source};
use crate::platform::{Happening, Host, System, tools};
use crate::vocabulary::Kind;

/// Turns that are kept to know again.
const KEPT: usize = 64;
/// The log knows of a sleep when all have agreed to it: up to 30 s after it was told.
const TOLERANCE_MS: i64 = 60_000;
/// Reasons for which a machine that was asleep for people goes on sleeping.
const BACK_TO_SLEEP: &[&str] = &["Maintenance Sleep", "Sleep Service Back to Sleep"];
/// `2026-09-26 22:29:58 -0700`.
const STAMP: &str = "%Y-%m-%d %H:%M:%S %z";
const STAMP_LENGTH: usize = 25;
const REASON_LENGTH: usize = 100;

/// The newest turns that are known, oldest first.
pub(crate) type Snapshot = Vec<Turn>;

/// Falling asleep, or waking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Turn {
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) asleep: bool,
    pub(crate) reason: Option<String>,
}

pub(crate) struct Sleep;

impl Source for Sleep {
    const NAME: &'static str = "sleep";
    const ABOUT: &'static str = "sleeps and wakes, and why";
    const VERSION: u8 = 1;
    const ON: &'static [System] = &[System::Mac];
    /// The log takes the system seconds to print, and only tells what was missed.
    const INTERVAL: Duration = Duration::from_secs(6 * 3_600);
    const DEBOUNCE: Duration = Duration::from_secs(60);
    type Snapshot = Snapshot;

    fn observe(host: &dyn Host, old: Option<&Snapshot>) -> Result<Snapshot, ObserveError> {
        let text = host.run(&tools::PMSET_LOG)?.successful(&tools::PMSET_LOG)?;
        let log = parse(&text)?;
        Ok(match old {
            Some(old) => with(old, missed(old, &log)),
            None => with(&[], log),
        })
    }

    fn blank() -> Option<Snapshot> {
        Some(Vec::new())
    }

    fn told(old: Option<&Snapshot>, what: Happening, at: Time) -> Option<Snapshot> {
        let old = old.map(Vec::as_slice).unwrap_or_default();
        let turn = |asleep| Turn { at: at.as_millis(), asleep, reason: None };
        let turn = match what {
            Happening::WillSleep => turn(true),
            Happening::Woke => turn(false),
            _ => return None,
        };
        // A clock that was set back leaves turns that are still to come.
        let last = old.iter().rfind(|last| last.at <= turn.at).filter(|last| last.asleep == turn.asleep);
        // To go on sleeping is no falling asleep. That a wake was missed, the log will tell.
        let is_known = last.is_some_and(|last| turn.asleep || turn.at - last.at < TOLERANCE_MS);
        (!is_known).then(|| with(old, vec![turn]))
    }

    fn diff(old: &Snapshot, new: &Snapshot) -> Vec<Draft> {
        let before = std::iter::once(None).chain(new.iter().map(Some));
        let turns = before.zip(new).filter(|(_, turn)| !old.contains(turn));
        turns.map(|(before, turn)| turn.draft(before)).collect()
    }

    fn inventory(snapshot: &Snapshot) -> Value {
        match snapshot.last() {
            Some(last) => {
                let time = Time::from_millis(last.at).map(|time| time.to_string());
                json!({"last": if last.asleep { "sleep" } else { "wake" }, "time": time, "reason": last.reason})
            }
            None => json!({}),
        }
    }
}

impl Turn {
    fn draft(&self, before: Option<&Self>) -> Draft {
        let kind = if self.asleep { Kind::DeviceSleep } else { Kind::DeviceWake };
        let mut info = json!({});
        if let Some(reason) = &self.reason {
            info["reason"] = reason.as_str().into();
        }
        if let Some(slept) = before.filter(|before| before.asleep && !self.asleep) {
            info["slept_seconds"] = ((self.at - slept.at) / 1000).into();
        }
        let mut draft = kind.draft(info);
        draft.time = Time::from_millis(self.at);
        draft
    }
}

/// The turns of the log that `old` does not have. One is the same as what was told if that was said from a little before
/// it until the next one. What is older than all that is known was known once.
fn missed(old: &[Turn], log: &[Turn]) -> Vec<Turn> {
    let since = old.first().map_or(i64::MIN, |oldest| oldest.at.saturating_add(TOLERANCE_MS));
    let next = log.iter().skip(1).map(|turn| turn.at).chain(std::iter::once(i64::MAX));
    let is_missed = |turn: &Turn, next: i64| {
        let told = turn.at.saturating_sub(TOLERANCE_MS)..next.max(turn.at.saturating_add(1));
        turn.at > since && !old.iter().any(|old| old.asleep == turn.asleep && told.contains(&old.at))
    };
    log.iter().zip(next).filter(|(turn, next)| is_missed(turn, *next)).map(|(turn, _)| turn.clone()).collect()
}

/// `old` and `more` in order of time, as many as are kept.
fn with(old: &[Turn], more: Vec<Turn>) -> Vec<Turn> {
    let mut turns = [old, &more].concat();
    turns.sort_by_key(|turn| (turn.at, turn.asleep));
    turns.split_off(turns.len().saturating_sub(KEPT))
}

/// Reads the log: `2026-09-26 22:29:58 -0700 Sleep  \tEntering Sleep state due to 'Clamshell Sleep':TCPKeepAlive=active…`,
/// `… Wake  \tDarkWake to FullWake from Deep Idle [CDNVA] : due to HID Activity Using AC (Charge:80%)`, in order of time.
fn parse(text: &str) -> Result<Vec<Turn>, ObserveError> {
    let mut reader = Reader::default();
    let mut is_log = text.contains("Time stamp");
    for (at, domain, message) in text.lines().filter_map(entry) {
        is_log = true;
        if domain == "Start" {
            reader = Reader { turns: reader.turns, asleep: Some(false), dark: None };
        } else if message.starts_with("Entering DarkWake state") {
            reader.dark(Turn { at, asleep: true, reason: sleep_reason(message) });
        } else if message.starts_with("Entering Sleep state") {
            reader.sleep(Turn { at, asleep: true, reason: sleep_reason(message) });
        } else if message.starts_with("Wake from") || message.starts_with("DarkWake to FullWake") {
            reader.wake(Turn { at, asleep: false, reason: wake_reason(message) });
        }
    }
    if is_log { Ok(with(&[], reader.turns)) } else { Err(ObserveError::Answer("pmset printed no log".into())) }
}

/// What the lines before said.
#[derive(Default)]
struct Reader {
    turns: Vec<Turn>,
    /// For people; unknown at first, as the log begins somewhere.
    asleep: Option<bool>,
    /// The screen went dark: the machine is about to sleep, or will think better of it.
    dark: Option<Turn>,
}

impl Reader {
    fn dark(&mut self, turn: Turn) {
        if self.asleep != Some(true) {
            self.dark = Some(turn);
        }
    }

    fn sleep(&mut self, turn: Turn) {
        if self.asleep != Some(true) {
            let goes_on = turn.reason.as_deref().is_some_and(|reason| BACK_TO_SLEEP.contains(&reason));
            self.turns.extend(self.dark.take().or(Some(turn).filter(|_| !goes_on)));
        }
        self.asleep = Some(true);
    }

    fn wake(&mut self, turn: Turn) {
        if self.dark.take().is_none() && self.asleep != Some(false) {
            self.turns.push(turn);
        }
        self.asleep = Some(false);
    }
}

/// Milliseconds since 1970, domain and message of a line; `None` for one that has no time.
fn entry(line: &str) -> Option<(i64, &str, &str)> {
    let stamp = strtime::parse(STAMP, line.get(..STAMP_LENGTH)?).ok()?;
    let at = stamp.to_timestamp().ok()?.as_millisecond();
    let (domain, message) = line.get(STAMP_LENGTH..)?.trim_start().split_once(char::is_whitespace)?;
    Some((at, domain, message.trim()))
}

/// `… due to 'Software Sleep pid=388':TCPKeepAlive=active …`: the process is gone when anybody reads of it.
fn sleep_reason(message: &str) -> Option<String> {
    let (_, quoted) = message.split_once('\'')?;
    let (reason, _) = quoted.split_once('\'')?;
    bounded(reason.split(" pid=").next()?)
}

/// `… : due to HID Activity Using AC (Charge:80%)`.
fn wake_reason(message: &str) -> Option<String> {
    let (_, reason) = message.split_once("due to ")?;
    bounded(reason.split(" Using ").next()?)
}

fn bounded(reason: &str) -> Option<String> {
    let reason: String = reason.trim().chars().take(REASON_LENGTH).collect();
    Some(reason).filter(|reason| !reason.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use proptest::prelude::*;

    const LOG: &str = "\
Time stamp                Domain              \tMessage                                                           Duration\n\
2026-09-26 22:15:12 +0700 Assertions          \tSummary- [System: PrevIdle DeclUser kDisp] Using AC(Charge: 100)\n\
2026-09-26 22:29:58 +0700 Sleep               \tEntering Sleep state due to 'Clamshell Sleep':TCPKeepAlive=active Using Batt (Charge:81%) 31 secs   \n\
2026-09-26 22:30:29 +0700 DarkWake            \tDarkWake from Deep Idle [CDN] : due to smc.sysState.Wake Using BATT (Charge:81%) 45 secs\n\
2026-09-26 22:30:30 +0700 Wake Requests       \t[process=mDNSResponder request=Maintenance deltaSecs=7198]\n\
2026-09-26 22:31:14 +0700 Sleep               \tEntering Sleep state due to 'Maintenance Sleep':TCPKeepAlive=active Using Batt (Charge:81%)\n\
2026-09-26 23:40:00 +0700 Wake                \tDarkWake to FullWake from Deep Idle [CDNVA] : due to HID Activity Using BATT (Charge:80%)\n\
\x20 a line that goes on\n\
2026-09-26 23:50:00 +0700 Sleep               \tEntering DarkWake state due to 'Software Sleep pid=2832':TCPKeepAlive=disabled Using AC (Charge:82%)\n\
2026-09-26 23:50:14 +0700 Sleep               \tEntering Sleep state due to 'Sleep Service Back to Sleep':TCPKeepAlive=active\n\
2026-09-27 01:00:00 +0700 Wake                \tWake from Standby [CDNVA] : due to EC.LidOpen/Lid Open Using AC (Charge:90%)\n";

    fn at(time: &str) -> i64 {
        time.parse::<Time>().unwrap().as_millis()
    }

    fn turn(time: &str, asleep: bool, reason: Option<&str>) -> Turn {
        Turn { at: at(time), asleep, reason: reason.map(str::to_owned) }
    }

    fn told(old: &[Turn], what: Happening, time: &str) -> Option<Snapshot> {
        Sleep::told(Some(&old.to_vec()), what, time.parse().unwrap())
    }

    fn observe(log: &str, old: &[Turn]) -> Snapshot {
        Sleep::observe(&Recorded::mac().tool(&tools::PMSET_LOG, log), Some(&old.to_vec())).unwrap()
    }

    #[test]
    fn the_log_has_the_turns_that_people_see() {
        let expected = [
            turn("2026-09-26T15:29:58Z", true, Some("Clamshell Sleep")),
            turn("2026-09-26T16:40:00Z", false, Some("HID Activity")),
            turn("2026-09-26T16:50:00Z", true, Some("Software Sleep")),
            turn("2026-09-26T18:00:00Z", false, Some("EC.LidOpen/Lid Open")),
        ];
        assert_eq!(parse(LOG).unwrap(), expected);
        let maintained = "2026-09-26 22:31:14 +0700 Sleep  \tEntering Sleep state due to 'Maintenance Sleep'\n";
        assert_eq!(parse(maintained).unwrap(), [], "the log begins in the middle of a sleep");
        let started = "2026-09-26 22:00:00 +0700 Sleep  \tEntering Sleep state due to 'Idle Sleep'\n\
            2026-09-26 23:00:00 +0700 Start  \tpowerd process is started\n\
            2026-09-26 23:30:00 +0700 Sleep  \tEntering Sleep state due to 'Idle Sleep'\n";
        assert_eq!(parse(started).unwrap().len(), 2, "a machine that was started is awake");
        let aborted = "2026-09-26 09:31:20 +0800 Sleep  \tEntering DarkWake state due to 'Idle Sleep':x Using AC 2 secs\n\
            2026-09-26 09:31:22 +0800 Wake  \tDarkWake to FullWake from Invalid [CDNVA] : due to HID Activity\n";
        assert_eq!(parse(aborted).unwrap(), [], "it did not sleep after all");
    }

    #[test]
    fn a_log_without_entries_is_one_and_anything_else_is_an_error() {
        assert_eq!(parse("Time stamp  Domain  Message\n").unwrap(), []);
        for text in ["", "pmset: error", "2026-09-26 22:29:58 Sleep Entering Sleep state due to 'x'"] {
            assert!(parse(text).is_err(), "{text}");
        }
        let failed = Recorded::mac().tool_code(&tools::PMSET_LOG, LOG, 1);
        assert!(Sleep::observe(&failed, None).is_err());
    }

    #[test]
    fn the_first_look_takes_stock_and_later_ones_tell_what_was_missed_with_its_time() {
        let first = Sleep::observe(&Recorded::mac().tool(&tools::PMSET_LOG, LOG), None).unwrap();
        assert_eq!(Sleep::inventory(&first)["reason"], "EC.LidOpen/Lid Open");
        assert_eq!(observe(LOG, &first), first);
        let more = "2026-09-27 02:00:00 +0700 Sleep  \tEntering Sleep state due to 'Idle Sleep':x Using AC\n\
            2026-09-27 03:00:00 +0700 Wake  \tWake from Deep Idle [CDNVA] : due to HID Activity\n";
        let second = observe(&format!("{LOG}{more}"), &first);
        let drafts = Sleep::diff(&first, &second);
        let infos: Vec<Value> = drafts.iter().map(|draft| draft.info.clone().unwrap().into_value()).collect();
        assert_eq!(infos, [json!({"reason": "Idle Sleep"}), json!({"reason": "HID Activity", "slept_seconds": 3600})]);
        assert_eq!(drafts[0].time.unwrap().to_string(), "2026-09-26T19:00:00.000Z");
        assert!(Kind::DeviceSleep.is(&drafts[0]) && Kind::DeviceWake.is(&drafts[1]));
    }

    #[test]
    fn what_was_told_as_it_happened_is_not_told_again() {
        let slept = told(&[], Happening::WillSleep, "2026-09-26T15:29:30Z").unwrap();
        assert_eq!(told(&slept, Happening::WillSleep, "2026-09-26T15:31:10Z"), None, "it goes on sleeping");
        let woke = told(&slept, Happening::Woke, "2026-09-26T16:40:02Z").unwrap();
        assert_eq!(told(&woke, Happening::Woke, "2026-09-26T16:40:09Z"), None, "twice");
        let drafts = Sleep::diff(&slept, &woke);
        assert_eq!(drafts[0].info.clone().unwrap().into_value(), json!({"slept_seconds": 4232}));
        let ahead = with(&woke, vec![turn("2026-12-01T00:00:00Z", true, None)]);
        assert_eq!(told(&ahead, Happening::WillSleep, "2026-09-27T00:00:00Z").unwrap().len(), 4, "the clock was ahead");
        let all = observe(LOG, &woke);
        assert_eq!(all.len(), 4, "the sleep after it was missed");
        assert_eq!(observe(LOG, &all), all);
    }

    #[test]
    fn a_dark_wake_that_was_told_is_no_second_sleep_in_the_log() {
        let turns = ["15:29:58", "15:30:30", "15:31:15", "16:40:00", "16:50:15", "18:00:01"];
        let turns = turns.iter().enumerate();
        let turns: Vec<Turn> = turns.map(|(n, time)| turn(&format!("2026-09-26T{time}Z"), n % 2 == 0, None)).collect();
        assert_eq!(observe(LOG, &turns), turns);
    }

    #[test]
    fn what_was_forgotten_is_not_told_again() {
        let day = |day: u32| {
            format!(
                "2026-08-{day:02} 10:00:00 +0000 Sleep  \tEntering Sleep state due to 'Idle Sleep'\n\
                2026-08-{day:02} 11:00:00 +0000 Wake  \tWake from Deep Idle\n2026-08-{day:02} 12:00:00 +0000 Sleep  \t\
                Entering Sleep state due to 'Idle Sleep'\n2026-08-{day:02} 13:00:00 +0000 Wake  \tWake from Deep Idle\n"
            )
        };
        let log: String = (1..=30).map(day).collect();
        let all = observe(&log, &[]);
        assert_eq!(all.len(), KEPT);
        assert_eq!(observe(&log, &all), all);
    }

    fn any_turns() -> impl Strategy<Value = Vec<Turn>> {
        let turn = (0_i64..200, any::<bool>(), prop::option::of("[ab]"));
        let turn = turn.prop_map(|(minutes, asleep, reason)| Turn { at: minutes * 30_000, asleep, reason });
        prop::collection::vec(turn, 0..80).prop_map(|turns| with(&[], turns))
    }

    fn replay(old: &[Turn], drafts: &[Draft]) -> Snapshot {
        let turns = drafts.iter().map(|draft| Turn {
            at: draft.time.unwrap().as_millis(),
            asleep: Kind::DeviceSleep.is(draft),
            reason: draft.info.clone().unwrap().into_value()["reason"].as_str().map(str::to_owned),
        });
        with(old, turns.collect())
    }

    proptest! {
        #[test]
        fn replaying_the_events_over_the_old_snapshot_gives_the_new(old in any_turns(), log in any_turns()) {
            let new = with(&old, missed(&old, &log));
            let drafts = Sleep::diff(&old, &new);
            prop_assert_eq!(drafts.is_empty(), old == new);
            prop_assert_eq!(&replay(&old, &drafts), &new);
            prop_assert_eq!(missed(&new, &log).len(), 0, "once");
        }

        #[test]
        fn no_text_panics(text in any::<String>(), reason in any::<String>()) {
            let _ = parse(&text);
            let _ = parse(&format!("2026-09-26 22:29:58 -0700 Sleep \tEntering Sleep state due to '{reason}"));
            let _ = parse(&format!("2026-09-26 22:29:58 -0700 Wake \tWake from x due to {reason}"));
        }
    }
}

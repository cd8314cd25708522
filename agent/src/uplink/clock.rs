//! How far this machine's clock is from the brokers': asked with fresh heartbeats, told when it is far, and when no more.
//!
//! A heartbeat of the backlog does not ask. The time of the answer is held against the middle of the way there and back,
//! which leaves half of that way uncertain; a slow answer says nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::Client;
use emote_proto::{ClockAnswer, subjects};
use futures_util::StreamExt;
use serde_json::json;

use crate::health::{ClockStatus, Health};
use crate::journal::{Entry, Journal};
use crate::platform::{Clocks, Host};
use crate::sources::seconds;
use crate::spool::{Class, Record, Spool, SpoolError};
use crate::vocabulary::Kind;
use emote_proto::Serial;

/// Where it is kept whether it was told that the clock is off.
const SNAPSHOT: &str = "uplink.clock";
const VERSION: u8 = 1;
/// Farther is told.
const FAR_MS: i64 = 5_000;
/// Nearer is told again.
const NEAR_MS: i64 = 2_000;
/// A longer way there and back says too little.
const SLOW_MS: i64 = 3_000;
/// An older heartbeat does not ask.
const FRESH_MS: i64 = 10_000;
const LONGEST_ANSWER: usize = 1024;

/// A question under way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    word: String,
    at: Clocks,
}

/// What an answer says, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offset {
    /// The broker's time less this machine's.
    millis: i64,
    uncertainty: i64,
}

#[derive(Debug, Default)]
struct State {
    asked: Option<Asked>,
    /// Whether it was told that the clock is off.
    drifted: bool,
}

/// Asks and judges.
pub(crate) struct Clock {
    host: Arc<dyn Host>,
    journal: Journal,
    health: Arc<Health>,
    state: Mutex<State>,
}

impl Clock {
    /// Goes on with what `spool` remembers.
    pub(crate) fn new(
        host: Arc<dyn Host>,
        journal: Journal,
        health: Arc<Health>,
        spool: &Spool,
    ) -> Result<Self, SpoolError> {
        let drifted = spool.snapshot(SNAPSHOT)?.is_some_and(|bytes| bytes == [VERSION, 1]);
        Ok(Self { host, journal, health, state: Mutex::new(State { asked: None, drifted }) })
    }

    /// The word to send with `record`, if it may ask.
    pub(super) fn ask(&self, record: &Record) -> Option<String> {
        let at = self.host.clocks();
        if record.class != Class::Heartbeat || at.wall_ms.abs_diff(record.time.as_millis()) > FRESH_MS.unsigned_abs() {
            return None;
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).ok()?;
        let word = data_encoding::HEXLOWER.encode(&random);
        self.lock().asked = Some(Asked { word: word.clone(), at });
        Some(word)
    }

    /// Hears what brokers answer over `client`, for ever.
    pub(super) async fn listen(&self, client: &Client, serial: &Serial) {
        match client.subscribe(subjects::clock(serial.as_str())).await {
            Ok(mut answers) => {
                while let Some(answer) = answers.next().await {
                    self.hear(&answer.payload, self.host.clocks()).await;
                }
            }
            Err(error) => tracing::warn!(%error, "the time cannot be asked for"),
        }
        std::future::pending::<()>().await;
    }

    async fn hear(&self, payload: &[u8], now: Clocks) {
        if payload.len() > LONGEST_ANSWER {
            return;
        }
        let Ok(answer) = serde_json::from_slice::<ClockAnswer>(payload) else { return };
        let (told, offset) = {
            let mut state = self.lock();
            let Some(asked) = state.asked.take_if(|asked| asked.word == answer.word) else { return };
            let Some(offset) = measure(&asked, &answer, now) else { return };
            (judge(state.drifted, offset), offset)
        };
        self.health.clock(ClockStatus { offset_ms: offset.millis, uncertainty_ms: offset.uncertainty });
        let Some(kind) = told else { return };
        let drifted = kind == Kind::ClockDrifted;
        let info = json!({"seconds": seconds(offset.millis), "uncertainty": seconds(offset.uncertainty)});
        let mut entry = Entry::event(kind.draft(info));
        entry.snapshots.push((SNAPSHOT.into(), vec![VERSION, drifted.into()]));
        // At once: it is written even if the connection is lost, and this dropped, while the disk is waited for.
        self.lock().drifted = drifted;
        if let Err(error) = self.journal.write(entry).await {
            self.lock().drifted = !drifted;
            tracing::warn!(%error, "clock");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None` when the answer took too long, or the clock was set meanwhile.
fn measure(asked: &Asked, answer: &ClockAnswer, now: Clocks) -> Option<Offset> {
    let way = now.running_ms.saturating_sub(asked.at.running_ms);
    let by_wall = now.wall_ms.saturating_sub(asked.at.wall_ms);
    if !(0..=SLOW_MS).contains(&way) || way.abs_diff(by_wall) > 500 {
        return None;
    }
    let middle = asked.at.wall_ms.saturating_add(way / 2);
    Some(Offset { millis: answer.time.as_millis().saturating_sub(middle), uncertainty: way - way / 2 })
}

/// What is to be told, if anything.
fn judge(drifted: bool, offset: Offset) -> Option<Kind> {
    let far = i64::try_from(offset.millis.unsigned_abs()).unwrap_or(i64::MAX);
    match drifted {
        false if far.saturating_sub(offset.uncertainty) > FAR_MS => Some(Kind::ClockDrifted),
        true if far.saturating_add(offset.uncertainty) < NEAR_MS => Some(Kind::ClockSynced),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::platform::Real;
    use emote_proto::Time;
    use futures_util::FutureExt;

    fn check(way: i64, by_wall: i64, server: i64, offset: Option<(i64, i64)>) {
        let at = Clocks { wall_ms: 1_000_000, running_ms: 50_000 };
        let asked = Asked { word: "w".into(), at };
        let answer = ClockAnswer { word: "w".into(), time: Time::from_millis(server).unwrap() };
        let now = Clocks { wall_ms: 1_000_000 + by_wall, running_ms: 50_000 + way };
        let measured = measure(&asked, &answer, now).map(|offset| (offset.millis, offset.uncertainty));
        assert_eq!(measured, offset, "{way} {by_wall} {server}");
    }

    #[test]
    fn the_middle_of_the_way_is_compared_and_half_of_it_is_uncertain() {
        check(100, 100, 1_000_050, Some((0, 50)));
        check(100, 100, 1_007_050, Some((7_000, 50)));
        check(101, 101, 990_050, Some((-10_000, 51)));
        check(3_000, 3_000, 1_000_000, Some((-1_500, 1_500)));
        check(3_001, 3_001, 1_000_000, None);
        check(100, 5_000, 1_000_000, None);
        check(-1, -1, 1_000_000, None);
    }

    #[test]
    fn far_is_told_once_and_near_again_once() {
        let mut drifted = false;
        for (millis, uncertainty, told) in [
            (4_900, 10, None),
            (5_500, 600, None),
            (-5_100, 50, Some(Kind::ClockDrifted)),
            (-9_000, 50, None),
            (3_000, 50, None),
            (1_990, 50, None),
            (-1_900, 50, Some(Kind::ClockSynced)),
            (4_000, 50, None),
            (i64::MIN, 0, Some(Kind::ClockDrifted)),
        ] {
            assert_eq!(judge(drifted, Offset { millis, uncertainty }), told, "{millis}");
            drifted = told.map_or(drifted, |kind| kind == Kind::ClockDrifted);
        }
    }

    #[tokio::test]
    async fn a_connection_lost_while_it_is_written_does_not_let_it_be_told_twice() {
        let (dir, now) = (tempfile::tempdir().unwrap(), Time::from_millis(0).unwrap());
        let spool = Arc::new(Spool::open(dir.path(), 1 << 20, now, Box::new(|_| None)).unwrap().spool);
        let identity = Arc::new(Identity::new("C02".parse().unwrap(), emote_proto::Device::default()));
        let (written, _) = tokio::sync::watch::channel(0);
        let (journal, writer) = Journal::new(Arc::clone(&spool), identity, written, Arc::default());
        let clock = Clock::new(Arc::new(Real), journal, Arc::default(), &spool).unwrap();
        let hear = || {
            let at = Clocks { wall_ms: 1_000_000, running_ms: 50_000 };
            clock.lock().asked = Some(Asked { word: "w".into(), at });
            clock.hear(br#"{"word":"w","time":"2026-11-23T06:41:00.000Z"}"#, at)
        };
        // It waits for the disk when it is dropped.
        assert!(hear().now_or_never().is_none());
        let writer = tokio::spawn(writer.run());
        hear().await;
        drop(clock);
        writer.await.unwrap();
        assert_eq!(spool.totals().count, 1);
    }
}

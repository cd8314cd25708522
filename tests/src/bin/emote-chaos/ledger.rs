//! What was sent, and what came of it as whoever sent it was told.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{check::Sent, story::Way};

/// What was acknowledged longer ago is not sent again: the stream remembers ids for two minutes only.
const AGAIN_WITHIN: Duration = Duration::from_secs(60);
/// Messages remembered for being sent again.
const REMEMBERED: usize = 500;

/// Something that was acknowledged and can be sent again as it was.
#[derive(Debug, Clone)]
pub(crate) enum Again {
    /// Into the stream: subject, `Nats-Msg-Id`, body.
    Publish(String, String, Vec<u8>),
    /// A webhook's body.
    Webhook(String),
}

/// The ledger, shared by everybody who sends.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    sent: BTreeMap<String, (Way, bool)>,
    refused: BTreeMap<(Way, String), u64>,
    again: VecDeque<(Instant, Again)>,
    acknowledged: Vec<Instant>,
    wrong: Vec<String>,
    duplicates: u64,
    garbage: u64,
}

impl Ledger {
    /// Somebody is about to send this.
    pub(crate) fn begin(&self, key: &str, way: Way) {
        self.pages().sent.entry(key.to_owned()).or_insert((way, false));
    }

    /// It is stored, whoever took it says.
    pub(crate) fn acknowledged(&self, key: &str, again: Option<Again>) {
        let mut pages = self.pages();
        if let Some((_, acknowledged)) = pages.sent.get_mut(key) {
            *acknowledged = true;
        }
        let now = Instant::now();
        pages.acknowledged.push(now);
        pages.again.extend(again.map(|again| (now, again)));
        if pages.again.len() > REMEMBERED {
            pages.again.pop_front();
        }
    }

    /// It was not taken this time.
    pub(crate) fn refused(&self, way: Way, why: impl Into<String>) {
        *self.pages().refused.entry((way, why.into())).or_default() += 1;
    }

    /// Something that must not be.
    pub(crate) fn wrong(&self, what: String) {
        self.pages().wrong.push(what);
    }

    /// What may be sent again, the newest last.
    pub(crate) fn recent(&self) -> Vec<Again> {
        let pages = self.pages();
        let recent = pages.again.iter().filter(|(at, _)| at.elapsed() < AGAIN_WITHIN);
        recent.map(|(_, again)| again.clone()).collect()
    }

    /// Notes that so many things were sent again.
    pub(crate) fn sent_again(&self, count: u64) {
        self.pages().duplicates += count;
    }

    /// Notes that so much garbage was sent.
    pub(crate) fn sent_garbage(&self, count: u64) {
        self.pages().garbage += count;
    }

    /// How much was sent and acknowledged.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let pages = self.pages();
        (pages.sent.len(), pages.acknowledged.len())
    }

    /// All that was sent, for the check.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        let pages = self.pages();
        let sent = pages.sent.iter();
        sent.map(|(key, (_, acknowledged))| Sent { key: key.clone(), acknowledged: *acknowledged }).collect()
    }

    /// For the table.
    pub(crate) fn sum(&self) -> Sum {
        let pages = self.pages();
        let mut ways: BTreeMap<Way, (u64, u64)> = BTreeMap::new();
        for (way, acknowledged) in pages.sent.values() {
            let sum = ways.entry(*way).or_default();
            sum.0 += 1;
            sum.1 += u64::from(*acknowledged);
        }
        Sum {
            ways,
            refused: pages.refused.clone(),
            acknowledged: pages.acknowledged.clone(),
            wrong: pages.wrong.clone(),
            duplicates: pages.duplicates,
            garbage: pages.garbage,
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ledger in sum.
pub(crate) struct Sum {
    /// Sent and acknowledged, by way.
    pub(crate) ways: BTreeMap<Way, (u64, u64)>,
    /// How often it was not taken, and why.
    pub(crate) refused: BTreeMap<(Way, String), u64>,
    /// When something was acknowledged.
    pub(crate) acknowledged: Vec<Instant>,
    /// What must not be.
    pub(crate) wrong: Vec<String>,
    /// Sent again though acknowledged.
    pub(crate) duplicates: u64,
    /// Sent though it is nothing.
    pub(crate) garbage: u64,
}

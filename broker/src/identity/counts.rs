//! What is counted of agents' credentials, for the metrics.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use emote_proto::Time;

use super::record::{DeviceRecord, State};

/// A credential that ends within this time, in ms, is said to.
const SOON: i64 = 7 * 24 * 3600 * 1000;

/// Counts of one broker; all clones are the same.
#[derive(Clone, Default)]
pub struct Counts(Arc<Mutex<Counted>>);

/// As of now.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// Answers to Macs that ask for a credential, by outcome.
    pub enrollments: BTreeMap<&'static str, u64>,
    /// Answers to agents that ask for their next one, by outcome.
    pub renewals: BTreeMap<&'static str, u64>,
    /// The fleet, where this broker keeps it in view.
    pub fleet: Option<Fleet>,
}

/// The registry in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Devices by state.
    pub states: BTreeMap<&'static str, u64>,
    /// Devices of which a key waits for somebody's word.
    pub waiting: u64,
    /// Credentials that end within a week.
    pub expiring: u64,
    /// Credentials that are over.
    pub expired: u64,
    /// Keys that are shut out, and NATS was not told.
    pub unpushed: u64,
}

impl Fleet {
    /// Of all devices.
    pub fn of<'a>(devices: impl IntoIterator<Item = &'a DeviceRecord>, now: Time) -> Self {
        let mut fleet = Self { states: State::ALL.map(|state| (state.word(), 0)).into(), ..Self::default() };
        for device in devices {
            *fleet.states.entry(device.state.word()).or_default() += 1;
            fleet.waiting += u64::from(device.waits());
            let out = device.shut.iter().filter(|shut| shut.from <= now && shut.until > now && !shut.pushed);
            fleet.unpushed += out.count() as u64;
            if let (State::Enrolled, Some(key)) = (device.state, &device.key) {
                let left = key.expires.millis_since(now);
                fleet.expired += u64::from(left <= 0);
                fleet.expiring += u64::from(left > 0 && left < SOON);
            }
        }
        fleet
    }
}

impl Counts {
    /// As of now.
    pub fn counted(&self) -> Counted {
        self.lock().clone()
    }

    pub(super) fn enrollment(&self, outcome: &'static str) {
        *self.lock().enrollments.entry(outcome).or_default() += 1;
    }

    pub(super) fn renewal(&self, outcome: &'static str) {
        *self.lock().renewals.entry(outcome).or_default() += 1;
    }

    pub(super) fn fleet(&self, fleet: Option<Fleet>) {
        self.lock().fleet = fleet;
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

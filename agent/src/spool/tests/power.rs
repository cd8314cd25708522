//! The power goes at any operation of the disk: what was confirmed is there, and what was not is there whole or not at all.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::contents::Contents;
use super::disk::{Disk, Fault, Unsynced};
use super::*;

const QUOTA: u64 = 12_000;

#[derive(Debug, Clone)]
enum Act {
    /// Sizes, and whether each is a heartbeat; whether a snapshot and the run state come with them.
    Commit(Vec<(usize, bool)>, bool),
    /// So many of the first that are no heartbeats are taken, and so many behind them are in flight.
    Settle(u64, u64),
    Reopen,
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => (prop::collection::vec((0_usize..900, any::<bool>()), 0..5), any::<bool>())
            .prop_map(|(records, snapshot)| Act::Commit(records, snapshot)),
        2 => (0_u64..12, 0_u64..4).prop_map(|(taken, flight)| Act::Settle(taken, flight)),
        1 => Just(Act::Reopen),
    ]
}

/// After how many operations of the disk the power goes, what becomes of what was not synced, and the seed of the tearing.
fn losses() -> impl Strategy<Value = Option<(u64, Unsynced, u64)>> {
    let unsynced = prop_oneof![1 => Just(Unsynced::Dropped), 1 => Just(Unsynced::Kept), 3 => Just(Unsynced::Torn)];
    prop_oneof![2 => Just(None), 3 => (0_u64..14, unsynced, 1..u64::MAX).prop_map(Some)]
}

/// The spool under test and what it must hold.
struct Machine {
    dir: TempDir,
    disk: Disk,
    spool: Option<Spool>,
    contents: Contents,
    used: u64,
    numbers: u64,
}

impl Machine {
    fn new() -> Self {
        let (dir, disk) = (TempDir::new().unwrap(), Disk::default());
        let spool = open_on(&disk, &dir, QUOTA).unwrap().spool;
        let contents = Contents::of(&spool);
        Self { dir, disk, spool: Some(spool), contents, used: 0, numbers: 0 }
    }

    fn act(&mut self, act: &Act, loss: Option<(u64, Unsynced, u64)>) {
        if let Some((operations, ..)) = loss {
            self.disk.fail_after(operations, Fault::PowerLoss);
        }
        let (commit, taken, saved) = (self.commit(act), self.taken(act), self.saved(act));
        let done = match (act, &self.spool) {
            (Act::Commit(..), Some(spool)) => spool.commit(&commit).is_ok(),
            (Act::Settle(..), Some(spool)) => spool.settle(&taken, &saved).is_ok(),
            _ => {
                self.spool = None;
                self.spool = open_on(&self.disk, &self.dir, QUOTA).ok().map(|opened| opened.spool);
                false
            }
        };
        if let Some((_, unsynced, seed)) = loss {
            self.spool = None;
            self.disk.power_on(unsynced, random(seed));
        } else {
            assert!(done || matches!(act, Act::Reopen));
        }
        let spool = self.spool.get_or_insert_with(|| {
            let Opened { spool, previous } = open_on(&self.disk, &self.dir, QUOTA).unwrap();
            assert_ne!(previous, Previous::Lost);
            spool
        });
        let now = Contents::of(spool);
        if now == self.contents && !(done && matches!(act, Act::Commit(..))) {
            assert!(!done || now == self.contents.settled(&taken, &saved), "settled and forgotten");
            return;
        }
        match act {
            Act::Commit(..) => self.contents.leads_to(&now, &commit, &mut self.used).unwrap(),
            Act::Settle(..) => assert_eq!(now, self.contents.settled(&taken, &saved)),
            Act::Reopen => assert_eq!(now, self.contents),
        }
        self.contents = now;
    }

    fn commit(&mut self, act: &Act) -> Commit {
        let Act::Commit(records, snapshot) = act else { return Commit::default() };
        let numbers = self.numbers + 1..;
        self.numbers += 1 + records.len() as u64;
        let class = |heartbeat| if heartbeat { Class::Heartbeat } else { Class::Lifecycle };
        let records = numbers.zip(records).map(|(number, (size, heartbeat))| record(class(*heartbeat), number, *size));
        let (alive, number) = (i64::try_from(self.numbers).unwrap(), self.numbers.to_le_bytes().to_vec());
        let run = RunState { version: "1".into(), clean: false, alive, observed: BTreeMap::new() };
        Commit {
            records: records.collect(),
            snapshots: snapshot.then(|| ("disk".to_owned(), number)).into_iter().collect(),
            run: snapshot.then_some(run),
        }
    }

    fn lifecycle(&self) -> impl Iterator<Item = u64> + Clone {
        self.contents.records.keys().copied().filter(|key| sequence(*key) == *key)
    }

    fn taken(&self, act: &Act) -> Vec<RangeInclusive<u64>> {
        let Act::Settle(taken, _) = act else { return Vec::new() };
        let taken = self.lifecycle().take(usize::try_from(*taken).unwrap());
        taken.clone().min().zip(taken.max()).map(|(first, last)| first..=last).into_iter().collect()
    }

    fn saved(&self, act: &Act) -> Saved {
        let Act::Settle(taken, flight) = act else { return Saved::default() };
        let first = self.lifecycle().nth(usize::try_from(*taken).unwrap()).filter(|_| *flight > 0);
        let flight = first.map(|first| crate::uplink::Flight { first, last: first + flight - 1, tried_at: 7 });
        Saved { servers: "a".into(), expectation: self.numbers, flight }
    }
}

/// xorshift64: `seed` is not 0.
pub(super) fn random(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed >> 11
    }
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("EMOTE_SPOOL_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(48);
    let seed = std::env::var("EMOTE_SPOOL_SEED").ok().and_then(|text| text.parse().ok());
    ProptestConfig { rng_seed: seed.map_or(RngSeed::Random, RngSeed::Fixed), ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn whenever_the_power_goes_what_was_confirmed_is_there_once_and_the_rest_whole_or_not_at_all(
        acts in prop::collection::vec((acts(), losses()), 1..30),
    ) {
        let mut machine = Machine::new();
        for (act, loss) in &acts {
            machine.act(act, *loss);
        }
    }
}

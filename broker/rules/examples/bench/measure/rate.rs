//! Events a second, in many short slices. The middle one of them is worth more than the sum: this machine has other
//! things to do.

use super::{Events, Warm};
use std::time::{Duration, Instant};

/// Slices of each engine.
const SLICES: u32 = 25;
/// Events between two looks at the clock.
const STRIDE: usize = 32;

/// Events a second of each slice, in the order in which they were measured.
#[derive(Debug)]
pub(super) struct Rates(Vec<f64>);

impl Rates {
    pub(super) fn median(&self) -> f64 {
        median(self.0.clone())
    }

    pub(super) fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(super) fn most(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    /// How many times as fast as another engine, in the middle.
    pub(super) fn ratio(&self, other: &Self) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(ours, theirs)| ours / theirs).collect())
    }
}

pub(super) fn in_turns(one: &mut Warm, other: &mut Warm, events: &Events, time: Duration) -> (Rates, Rates) {
    let slice = time / SLICES / 2;
    let pairs = (0..SLICES).map(|_| (one.slice(events, slice), other.slice(events, slice)));
    let (one, other) = pairs.unzip();
    (Rates(one), Rates(other))
}

pub(super) fn alone(engine: &mut Warm, events: &Events, time: Duration) -> Rates {
    Rates((0..SLICES).map(|_| engine.slice(events, time / SLICES)).collect())
}

impl Warm {
    /// Goes on where the last slice ended, round and round, for so long. Events a second.
    fn slice(&mut self, events: &Events, time: Duration) -> f64 {
        let mut count = 0;
        let mut elapsed = Duration::ZERO;
        // Counting allocations costs time too.
        allocation_counter::opt_out(|| {
            let began = Instant::now();
            while elapsed < time && events.len() > 0 {
                let stride = STRIDE.min(events.len() - self.next);
                std::hint::black_box(self.engine.run(events, self.next, stride));
                self.next = (self.next + stride) % events.len();
                count += stride;
                elapsed = began.elapsed();
            }
        });
        count as f64 / elapsed.as_secs_f64()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

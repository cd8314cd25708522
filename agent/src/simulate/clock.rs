//! How fast the day passes.

use std::str::FromStr;
use std::time::Duration;

use tokio::time::Instant;

/// Times as fast as the world, or as fast as it goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times as fast as the world.
    Times(f64),
    /// As fast as the events are stored.
    Max,
}

impl FromStr for Speed {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let times = || text.strip_suffix('x').unwrap_or(text).parse().ok();
        match text {
            "max" => Ok(Self::Max),
            _ => times()
                .filter(|times| (0.001..=1e6).contains(times))
                .map(Self::Times)
                .ok_or_else(|| format!("{text:?} is no speed: write 1x, 60x (an hour in a minute) or max")),
        }
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Times(times) => write!(f, "{times}x"),
            Self::Max => f.write_str("max"),
        }
    }
}

/// Which moment of the played day it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    begun: Instant,
    from: i64,
    speed: Speed,
}

impl Clock {
    /// It is `from` (milliseconds since 1970) now.
    pub(super) fn new(speed: Speed, from: i64) -> Self {
        Self { begun: Instant::now(), from, speed }
    }

    /// Until when things have happened; `None` for as far as one likes.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a day of milliseconds is exact")]
    pub(super) fn now(&self) -> Option<i64> {
        match self.speed {
            Speed::Max => None,
            Speed::Times(times) => Some(self.from + (self.begun.elapsed().as_millis() as f64 * times) as i64),
        }
    }

    /// When `at` comes.
    #[expect(clippy::cast_precision_loss, reason = "a day of milliseconds is exact")]
    pub(super) fn when(&self, at: i64) -> Instant {
        match self.speed {
            Speed::Max => self.begun,
            Speed::Times(times) => {
                self.begun + Duration::from_secs_f64((at - self.from).max(0) as f64 / times / 1_000.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read() {
        for (text, speed) in [("60x", Speed::Times(60.0)), ("0.5", Speed::Times(0.5)), ("max", Speed::Max)] {
            assert_eq!(text.parse(), Ok(speed));
        }
        for bad in ["", "x", "fast", "-1x", "0", "NaN", "inf"] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
    }
}

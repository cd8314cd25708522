//! How much one token may ask for. Pure: the time is an argument.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use emote_proto::enroll::TokenId;

use crate::rate::{Bucket, Rate};

/// With one token so many ask at once,
const BURST: u32 = 100;
/// and then one in so long.
const EVERY: Duration = Duration::from_millis(50);
/// Tokens that are kept apart. NATS lets only tokens ask that somebody made.
const MAX_TOKENS: usize = 10_000;
/// What was told is remembered of so many.
const MAX_TOLD: usize = 10_000;

/// Of one token so many refusals are told at once, and then one in so long: keys and serial numbers to be refused for cost
/// whoever has a token nothing.
const TOLD_BURST: u32 = 50;
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// How often something is done with each token.
pub(super) struct Rates {
    rate: Rate,
    buckets: HashMap<TokenId, Bucket>,
}

impl Rates {
    /// How often each asks.
    pub(super) fn of_requests() -> Self {
        Self { rate: Rate { every: EVERY, burst: BURST }, buckets: HashMap::new() }
    }

    /// How often it is told of each that somebody was refused.
    pub(super) fn of_refusals() -> Self {
        Self { rate: Rate { every: TOLD_EVERY, burst: TOLD_BURST }, buckets: HashMap::new() }
    }

    /// Whether it may be done now with this token; that it is done is counted.
    pub(super) fn allow(&mut self, token: &TokenId, now: Instant) -> bool {
        if self.buckets.len() >= MAX_TOKENS {
            self.buckets.retain(|_, bucket| !bucket.until_full(now).is_zero());
        }
        if let Some(bucket) = self.buckets.get_mut(token) {
            return bucket.try_take(now);
        }
        let mut bucket = Bucket::new(self.rate);
        let allowed = bucket.try_take(now);
        if self.buckets.len() < MAX_TOKENS {
            self.buckets.insert(token.clone(), bucket);
        }
        allowed
    }
}

/// What was told lately, so that it is not told with each of many tries.
pub(super) struct Told<K>(HashMap<K, Instant>);

impl<K> Default for Told<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Told<K> {
    /// It could not be told after all.
    pub(super) fn forget(&mut self, what: &K) {
        self.0.remove(what);
    }

    /// Whether this is news, not told within `span`; it is then taken as told. Where there is no room for more, nothing is.
    pub(super) fn is_news(&mut self, what: K, span: Duration, now: Instant) -> bool {
        if self.0.len() >= MAX_TOLD {
            self.0.retain(|_, told| now.saturating_duration_since(*told) < span);
        }
        let told = self.0.get(&what);
        let is_news = told.is_none_or(|told| now.saturating_duration_since(*told) >= span);
        let has_room = told.is_some() || self.0.len() < MAX_TOLD;
        if is_news && has_room {
            self.0.insert(what, now);
        }
        is_news && has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_cannot_take_the_place_of_another() {
        let (one, two) = (TokenId::new("fleet2026").unwrap(), TokenId::new("fleet2027").unwrap());
        let (mut rates, now) = (Rates::of_requests(), Instant::now());
        let allowed = (0..500).filter(|_| rates.allow(&one, now)).count();
        assert_eq!(allowed, BURST as usize);
        assert!(rates.allow(&two, now));
        assert!(rates.allow(&one, now + EVERY) && !rates.allow(&one, now + EVERY));
    }

    #[test]
    fn whoever_has_a_token_cannot_fill_the_log_with_refusals() {
        let (one, two) = (TokenId::new("fleet2026").unwrap(), TokenId::new("fleet2027").unwrap());
        let (mut rates, now) = (Rates::of_refusals(), Instant::now());
        assert_eq!((0..5_000).filter(|_| rates.allow(&one, now)).count(), TOLD_BURST as usize);
        assert!(rates.allow(&two, now));
        let day = (0..24 * 3600 * 20).filter(|n| rates.allow(&one, now + EVERY * *n)).count();
        assert!(day <= 24 * 60 + 1, "{day}");
        let (mut told, hour) = (Told::default(), Duration::from_secs(3600));
        assert_eq!((0..20_000).filter(|key| told.is_news(*key, hour, now)).count(), MAX_TOLD);
        assert!(told.is_news(20_000, hour, now + hour) && told.is_news(0, hour, now + hour));
    }

    #[test]
    fn what_is_told_again_and_again_is_news_once() {
        let (mut told, now, hour) = (Told::default(), Instant::now(), Duration::from_secs(3600));
        assert!(told.is_news("C02", hour, now) && !told.is_news("C02", hour, now + hour / 2));
        assert!(told.is_news("C03", hour, now) && told.is_news("C02", hour, now + hour));
        told.forget(&"C03");
        assert!(told.is_news("C03", hour, now) && !told.is_news("C03", hour, now));
    }
}

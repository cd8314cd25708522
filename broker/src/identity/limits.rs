//! How much one token may ask for. Pure: the time is an argument.

use std::{
    collections::HashMap,
    hash::Hash,
    time::{Duration, Instant},
};

use emote_proto::enroll::TokenId;

/// With one token so many ask at once,
const BURST: u32 = 100;
/// and then one in so long.
const EVERY: Duration = Duration::from_millis(50);
/// Tokens that are kept apart. NATS lets only tokens ask that somebody made.
const MAX_TOKENS: usize = 10_000;
/// What was told is remembered of so many.
const MAX_TOLD: usize = 10_000;

/// How often each token asks.
#[derive(Default)]
pub(super) struct Rates(HashMap<TokenId, Instant>);

impl Rates {
    /// Whether one may ask now with this token; that it does is counted.
    pub(super) fn allow(&mut self, token: &TokenId, now: Instant) -> bool {
        if self.0.len() >= MAX_TOKENS {
            self.0.retain(|_, full_at| *full_at > now);
        }
        let full_at = self.0.get(token).copied().unwrap_or(now).max(now);
        let allowed = full_at.saturating_duration_since(now) < EVERY * BURST;
        if allowed && (self.0.len() < MAX_TOKENS || self.0.contains_key(token)) {
            self.0.insert(token.clone(), full_at + EVERY);
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
    /// Whether this is news, not told within `span`; it is then taken as told.
    pub(super) fn is_news(&mut self, what: K, span: Duration, now: Instant) -> bool {
        if self.0.len() >= MAX_TOLD {
            self.0.retain(|_, told| now.saturating_duration_since(*told) < span);
        }
        let is_news = self.0.get(&what).is_none_or(|told| now.saturating_duration_since(*told) >= span);
        if is_news && self.0.len() < MAX_TOLD {
            self.0.insert(what, now);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_cannot_take_the_place_of_another() {
        let (one, two) = (TokenId::new("fleet2026").unwrap(), TokenId::new("fleet2027").unwrap());
        let (mut rates, now) = (Rates::default(), Instant::now());
        let allowed = (0..500).filter(|_| rates.allow(&one, now)).count();
        assert_eq!(allowed, BURST as usize);
        assert!(rates.allow(&two, now));
        assert!(rates.allow(&one, now + EVERY) && !rates.allow(&one, now + EVERY));
    }

    #[test]
    fn what_is_told_again_and_again_is_news_once() {
        let (mut told, now, hour) = (Told::default(), Instant::now(), Duration::from_secs(3600));
        assert!(told.is_news("C02", hour, now) && !told.is_news("C02", hour, now + hour / 2));
        assert!(told.is_news("C03", hour, now) && told.is_news("C02", hour, now + hour));
    }
}

//! The keys of an issuer over time: how long they serve, and when they are fetched. Time is an argument.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Refused, key::Key};

/// Up to this age there are no others.
const FRESH: Duration = Duration::from_secs(10);
/// At this age they are fetched again.
const OLD: Duration = Duration::from_secs(3600);
/// At this age they no longer serve.
const DEAD: Duration = Duration::from_secs(24 * 3600);
/// Between one fetch and the next.
const BETWEEN: Duration = Duration::from_secs(60);

/// What was fetched last, and what was tried since.
#[derive(Debug, Default)]
pub(super) struct Cache {
    keys: Option<(Arc<[Key]>, Instant)>,
    tried: Option<Instant>,
    failure: Option<String>,
}

impl Cache {
    /// The keys that serve at `now`.
    pub(super) fn keys(&self, now: Instant) -> Result<Arc<[Key]>, Refused> {
        match &self.keys {
            Some((keys, at)) if now.duration_since(*at) < DEAD => Ok(Arc::clone(keys)),
            _ => Err(Refused::NoKeys(self.failure.clone().unwrap_or_else(|| "they were not fetched yet".to_owned()))),
        }
    }

    /// Whether it is time to fetch what is there anew.
    pub(super) fn is_old(&self, now: Instant) -> bool {
        self.keys.as_ref().is_some_and(|(_, at)| now.duration_since(*at) >= OLD) && self.may_fetch(now)
    }

    /// Whether a key that is not among them is none of the issuer's: they were fetched just now. Later it may be a new one
    /// that there was no leave to fetch yet.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.keys.as_ref().is_some_and(|(_, at)| now.duration_since(*at) < FRESH)
    }

    /// Whether the last fetch was long enough ago.
    pub(super) fn may_fetch(&self, now: Instant) -> bool {
        self.tried.is_none_or(|at| now.duration_since(at) >= BETWEEN)
    }

    /// Takes what a fetch gave.
    pub(super) fn fetched(&mut self, keys: Result<Vec<Key>, String>, now: Instant) {
        self.tried = Some(now);
        match keys {
            Ok(keys) => (self.keys, self.failure) = (Some((keys.into(), now)), None),
            Err(failure) => self.failure = Some(failure),
        }
    }

    /// As though the last fetch were a minute ago.
    #[cfg(test)]
    pub(super) fn age(&mut self) {
        self.tried = self.tried.and_then(|at| at.checked_sub(BETWEEN));
        self.keys = self.keys.take().and_then(|(keys, at)| Some((keys, at.checked_sub(BETWEEN)?)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn keys_serve_for_an_hour_then_for_a_day_and_no_longer() {
        let start = Instant::now();
        let mut cache = Cache::default();
        assert!(cache.keys(start).is_err() && cache.may_fetch(start) && !cache.is_old(start));
        cache.fetched(Ok(Vec::new()), start);
        for (minutes, serves, old) in
            [(0, true, false), (59, true, false), (60, true, true), (1439, true, true), (1440, false, true)]
        {
            let now = start + MINUTE * minutes;
            assert_eq!((cache.keys(now).is_ok(), cache.is_old(now)), (serves, old), "{minutes}");
            assert_eq!(cache.is_fresh(now), minutes == 0);
        }
        // Fetching fails: the old ones serve on, and it is tried each minute.
        let later = start + MINUTE * 120;
        cache.fetched(Err("away".to_owned()), later);
        assert!(cache.keys(later).is_ok() && !cache.is_old(later) && cache.is_old(later + MINUTE));
        let refused = cache.keys(start + MINUTE * 1440).unwrap_err();
        assert_eq!(refused, Refused::NoKeys("away".to_owned()));
    }

    #[test]
    fn it_is_fetched_once_a_minute_at_most() {
        let start = Instant::now();
        for result in [Ok(Vec::new()), Err("away".to_owned())] {
            let mut cache = Cache::default();
            cache.fetched(result, start);
            assert!(!cache.may_fetch(start + MINUTE - Duration::from_millis(1)));
            assert!(cache.may_fetch(start + MINUTE));
        }
    }
}

//! How often somebody may try to sign in: per address, and all together. Pure; the time is an argument.
//!
//! A try takes a token at once, and gets it back when it succeeds, so that many tries at a time are no way around it.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::{
    listen::network,
    rate::{Bucket, Rate},
};

/// Addresses that are remembered.
const MAX_ADDRESSES: usize = 4096;

/// The tries so far.
#[derive(Debug)]
pub(super) struct Limiter {
    each: Rate,
    by_address: HashMap<IpAddr, Bucket>,
    together: Bucket,
}

impl Limiter {
    /// So much for each address, so much for all of them.
    pub(super) fn new(each: Rate, all: Rate) -> Self {
        Self { each, by_address: HashMap::new(), together: Bucket::new(all) }
    }

    /// Takes a token for a try from `from`, or says how long there is none.
    pub(super) fn admit(&mut self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        let from = network(from);
        let mut own = self.by_address.get(&from).copied().unwrap_or(Bucket::new(self.each));
        let wait = own.wait(now).max(self.together.wait(now));
        if !wait.is_zero() {
            return Err(wait);
        }
        self.make_room(from, now);
        own.take(now);
        self.by_address.insert(from, own);
        self.together.take(now);
        Ok(())
    }

    /// The try that was admitted last from `from` succeeded.
    pub(super) fn succeeded(&mut self, from: IpAddr) {
        if let Some(own) = self.by_address.get_mut(&network(from)) {
            own.give_back();
        }
        self.together.give_back();
    }

    /// Forgets addresses that have all their tokens; where that is none, the one that is nearest to it.
    fn make_room(&mut self, from: IpAddr, now: Instant) {
        if self.by_address.len() < MAX_ADDRESSES || self.by_address.contains_key(&from) {
            return;
        }
        self.by_address.retain(|_, bucket| !bucket.until_full(now).is_zero());
        if self.by_address.len() >= MAX_ADDRESSES
            && let Some(nearest) =
                self.by_address.iter().min_by_key(|(_, bucket)| bucket.until_full(now)).map(|(ip, _)| *ip)
        {
            self.by_address.remove(&nearest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EACH: Rate = Rate { burst: 3, every: Duration::from_secs(10) };
    const ALL: Rate = Rate { burst: 5, every: Duration::from_secs(1) };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn tries_are_counted_by_address_and_together() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut limiter = Limiter::new(EACH, ALL);
        for _ in 0..3 {
            assert_eq!(limiter.admit(ip("192.0.2.1"), now), Ok(()));
        }
        assert_eq!(limiter.admit(ip("192.0.2.1"), now), Err(Duration::from_secs(10)));
        assert_eq!(limiter.admit(ip("::ffff:192.0.2.1"), now), Err(Duration::from_secs(10)), "the same address");
        for _ in 0..2 {
            assert_eq!(limiter.admit(ip("2001:db8::1"), now), Ok(()));
        }
        assert_eq!(limiter.admit(ip("198.51.100.1"), now), Err(Duration::from_secs(1)), "all together");
        assert_eq!(limiter.admit(ip("2001:db8::2"), at(2)), Ok(()));
        assert!(limiter.admit(ip("2001:db8::3"), at(4)).is_err(), "one network");
        assert_eq!(limiter.admit(ip("192.0.2.1"), at(10)), Ok(()));
        assert!(limiter.admit(ip("192.0.2.1"), at(10)).is_err());
    }

    #[test]
    fn what_succeeds_costs_nothing() {
        let now = Instant::now();
        let mut limiter = Limiter::new(EACH, ALL);
        for _ in 0..100 {
            assert_eq!(limiter.admit(ip("192.0.2.1"), now), Ok(()));
            limiter.succeeded(ip("192.0.2.1"));
        }
    }

    #[test]
    fn however_many_addresses_there_are_few_are_remembered() {
        let now = Instant::now();
        let all = Rate { burst: 1_000_000, every: Duration::from_millis(1) };
        let mut limiter = Limiter::new(EACH, all);
        for n in 0..3 * MAX_ADDRESSES {
            let last = u32::try_from(n).unwrap();
            limiter.admit(IpAddr::from(std::net::Ipv4Addr::from_bits(last)), now).unwrap();
            assert!(limiter.by_address.len() <= MAX_ADDRESSES);
        }
    }
}

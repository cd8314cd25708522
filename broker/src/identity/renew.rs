//! Whether an agent gets its next JWT. Pure. The request was signed by both keys; whose they are, the registry says.
//!
//! A request is known by its time: one that was answered before, or that is older than the last one answered, is given
//! what is in force and changes nothing. So a request may come twice, and old ones may come late.
//!
//! The key before stays good until the new one is seen in use ([`DeviceRecord::in_use`]) or its JWT ends: a Mac may have
//! gone to sleep before the answer came, and is not to be locked out for it.

use emote_proto::{
    Time,
    enroll::{RenewRequest, TIME_WINDOW_MS, UserKey},
};

use super::{
    admit::after,
    record::{DeviceRecord, Issued, State},
};

/// A request may be so old when the stream stores it, in ms: it may have waited for a connection.
pub const MAX_AGE: i64 = 24 * 3600 * 1000;
/// Keys of one device that are shut out and whose JWTs are not over yet.
const MAX_SHUT: usize = 32;

/// What it comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// This is in force now, the same as before or new; the record where it changes.
    Issued(Box<Issued>, Option<Box<DeviceRecord>>),
    /// It gets none.
    Refused(Refused),
    /// Nobody is told anything: the request is too old, or from a time to come.
    PassedOver,
}

/// Why an agent gets no other JWT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The registry does not know it.
    #[error("this serial number is not enrolled")]
    Unknown,
    /// It was revoked or denied.
    #[error("its credential was revoked")]
    Revoked,
    /// It is known by another key.
    #[error("this serial number is known by another key")]
    OtherKey,
    /// The next key was one of its keys before.
    #[error("the next key was used before: make a new one")]
    UsedBefore,
    /// It changes its key all the time.
    #[error("it changes its key too often")]
    TooOften,
}

/// Decides. `received` is when the stream stored the request, `lifetime` in ms.
pub fn renew(
    device: Option<&DeviceRecord>,
    request: &RenewRequest,
    received: Time,
    now: Time,
    lifetime: i64,
) -> Renewal {
    let age = received.millis_since(request.time);
    if !(-TIME_WINDOW_MS..=MAX_AGE).contains(&age) {
        return Renewal::PassedOver;
    }
    let Some((device, current)) = device.and_then(|device| Some((device, device.key.as_ref()?))) else {
        return Renewal::Refused(Refused::Unknown);
    };
    if device.state != State::Enrolled {
        return Renewal::Refused(Refused::Revoked);
    }
    let answered = current.request.is_some_and(|last| request.time <= last);
    let changed_over = request.next_key == current.key && device.shut.iter().any(|shut| shut.key == request.public_key);
    if (answered && request.public_key == current.key) || changed_over {
        return Renewal::Issued(Box::new(current.clone()), None);
    }
    if request.public_key != current.key {
        return Renewal::Refused(Refused::OtherKey);
    }
    if request.next_key == current.key {
        return extend(device, current, request.time, now, lifetime);
    }
    change_over(device, current, request, now, lifetime)
}

impl DeviceRecord {
    /// The key in force is used: those before it are shut out. Says whether there were any.
    pub fn in_use(&mut self, key: &UserKey, now: Time) -> bool {
        let is_current = self.state == State::Enrolled && self.key.as_ref().is_some_and(|current| current.key == *key);
        let mut changed = false;
        for shut in self.shut.iter_mut().filter(|_| is_current) {
            changed |= shut.bring_forward(now);
        }
        changed
    }
}

/// The same key; before half of its life is over there is no need.
fn extend(device: &DeviceRecord, current: &Issued, request: Time, now: Time, lifetime: i64) -> Renewal {
    if !current.is_past(now, 1, 2) {
        return Renewal::Issued(Box::new(current.clone()), None);
    }
    let expires = after(now, lifetime);
    let next = Issued { issued: now, expires, request: Some(request), told: false, ..current.clone() };
    let mut device = DeviceRecord { key: Some(next.clone()), ..device.clone() };
    device.tidy(now);
    Renewal::Issued(Box::new(next), Some(Box::new(device)))
}

/// Another key.
fn change_over(device: &DeviceRecord, current: &Issued, request: &RenewRequest, now: Time, lifetime: i64) -> Renewal {
    let mut device = device.clone();
    device.tidy(now);
    if device.shut.iter().any(|shut| shut.key == request.next_key) {
        return Renewal::Refused(Refused::UsedBefore);
    }
    if device.shut.len() >= MAX_SHUT {
        return Renewal::Refused(Refused::TooOften);
    }
    device.shut_key(current.expires);
    device.asked.retain(|asked| asked.key != request.next_key);
    let next = Issued {
        key: request.next_key.clone(),
        since: now,
        issued: now,
        expires: after(now, lifetime),
        token: None,
        agent: current.agent.clone(),
        request: Some(request.time),
        told: false,
    };
    (device.key, device.rotate) = (Some(next.clone()), None);
    Renewal::Issued(Box::new(next), Some(Box::new(device)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use emote_proto::Serial;
    use nkeys::KeyPair;

    const LIFETIME: i64 = 30 * 24 * 3600 * 1000;

    fn at(ms: i64) -> Time {
        Time::from_millis(ms).unwrap()
    }

    fn serial() -> Serial {
        Serial::new("C02").unwrap()
    }

    fn request(current: &KeyPair, next: &KeyPair, ms: i64) -> RenewRequest {
        RenewRequest::sign(&serial(), current, next, at(ms)).unwrap()
    }

    fn enrolled(pair: &KeyPair) -> DeviceRecord {
        let key = UserKey::new(pair.public_key()).unwrap();
        let (issued, expires) = (at(0), at(LIFETIME));
        let key = Issued {
            key,
            since: issued,
            issued,
            expires,
            token: None,
            agent: "1.0".to_owned(),
            request: None,
            told: true,
        };
        DeviceRecord { state: State::Enrolled, key: Some(key), ..DeviceRecord::new(serial()) }
    }

    fn ask(device: &DeviceRecord, request: &RenewRequest, now: i64) -> Renewal {
        renew(Some(device), request, at(now), at(now), LIFETIME)
    }

    fn changed(renewal: Renewal) -> (Issued, DeviceRecord) {
        let Renewal::Issued(issued, Some(device)) = renewal else { panic!("{renewal:?}") };
        (*issued, *device)
    }

    #[test]
    fn a_request_that_comes_again_or_late_is_given_what_is_in_force() {
        let pair = KeyPair::new_user();
        let (due, second) = (LIFETIME / 3 * 2, LIFETIME / 3 * 2 + 5_000);
        let (first, device) = changed(ask(&enrolled(&pair), &request(&pair, &pair, due), due));
        assert_eq!((first.issued, first.expires, first.told), (at(due), at(due + LIFETIME), false));
        for again in [due, due - 5_000, second] {
            assert_eq!(
                ask(&device, &request(&pair, &pair, again), second),
                Renewal::Issued(Box::new(first.clone()), None)
            );
        }
    }

    #[test]
    fn nothing_is_renewed_before_half_of_its_life_is_over() {
        let pair = KeyPair::new_user();
        let device = enrolled(&pair);
        let renewal = ask(&device, &request(&pair, &pair, 1_000), 1_000);
        assert_eq!(renewal, Renewal::Issued(Box::new(device.key.clone().unwrap()), None));
        changed(ask(&device, &request(&pair, &pair, LIFETIME / 2), LIFETIME / 2));
    }

    #[test]
    fn the_key_before_is_shut_out_once_the_new_one_is_used() {
        let (old, new) = (KeyPair::new_user(), KeyPair::new_user());
        let mut device = enrolled(&old);
        device.rotate = Some(at(1));
        let (issued, mut device) = changed(ask(&device, &request(&old, &new, 2_000), 2_000));
        assert_eq!(issued.key.as_str(), new.public_key());
        assert_eq!((device.shut[0].key.as_str(), device.shut[0].from), (old.public_key().as_str(), at(LIFETIME)));
        assert_eq!(device.rotate, None);
        let again = ask(&device, &request(&old, &new, 2_000), 3_000);
        assert_eq!(
            again,
            Renewal::Issued(Box::new(issued), None),
            "the answer was lost, and it asks again with the old key"
        );
        let third = KeyPair::new_user();
        assert_eq!(ask(&device, &request(&old, &third, 4_000), 4_000), Renewal::Refused(Refused::OtherKey));
        assert_eq!(ask(&device, &request(&new, &old, 4_000), 4_000), Renewal::Refused(Refused::UsedBefore));
        assert!(!device.in_use(&UserKey::new(old.public_key()).unwrap(), at(5_000)));
        let new = UserKey::new(new.public_key()).unwrap();
        assert!(device.in_use(&new, at(5_000)) && !device.in_use(&new, at(6_000)));
        assert_eq!(device.shut[0].from, at(5_000));
    }

    #[test]
    fn a_key_is_shut_out_for_all_that_was_issued_by_a_clock_that_runs_ahead() {
        let (old, new) = (KeyPair::new_user(), KeyPair::new_user());
        let mut device = enrolled(&old);
        device.key.as_mut().unwrap().issued = at(60_000);
        let (_, changed) = changed(ask(&device, &request(&old, &new, 61_000), 61_000));
        let (mut in_use, mut revoked) = (changed.clone(), changed);
        assert!(in_use.in_use(&UserKey::new(new.public_key()).unwrap(), at(5_000)));
        let by = crate::identity::record::Ordered { what: "revoke".into(), by: "ada".into(), reason: None, at: at(0) };
        let id = emote_proto::EventId::derived(&["revoke"]);
        revoked.follow(id, crate::identity::order::What::Revoke, None, by, at(5_000)).unwrap();
        for device in [in_use, revoked] {
            let shut = device.shut.iter().find(|shut| shut.key.as_str() == old.public_key()).unwrap();
            assert_eq!(shut.from, at(60_000), "the JWT of that second would hold still");
        }
    }

    #[test]
    fn who_is_not_known_or_revoked_gets_none() {
        let (pair, other) = (KeyPair::new_user(), KeyPair::new_user());
        let asks = request(&pair, &pair, 1);
        assert_eq!(renew(None, &asks, at(1), at(1), LIFETIME), Renewal::Refused(Refused::Unknown));
        assert_eq!(ask(&enrolled(&other), &asks, 1), Renewal::Refused(Refused::OtherKey));
        for state in [State::Revoked, State::Denied, State::Pending] {
            let device = DeviceRecord { state, ..enrolled(&pair) };
            assert_eq!(ask(&device, &asks, 1), Renewal::Refused(Refused::Revoked), "{state:?}");
        }
    }

    #[test]
    fn requests_of_another_time_are_passed_over() {
        let pair = KeyPair::new_user();
        let device = enrolled(&pair);
        let window = TIME_WINDOW_MS;
        for (made, received) in [(0, MAX_AGE + 1), (window + 1, 0)] {
            let asks = request(&pair, &pair, made);
            assert_eq!(renew(Some(&device), &asks, at(received), at(received), LIFETIME), Renewal::PassedOver);
        }
    }

    #[test]
    fn a_key_cannot_be_changed_without_end() {
        let mut pair = KeyPair::new_user();
        let mut device = enrolled(&pair);
        for n in 1..=40 {
            let next = KeyPair::new_user();
            match ask(&device, &request(&pair, &next, n), n) {
                Renewal::Issued(_, Some(changed)) => (device, pair) = (*changed, next),
                refused => {
                    assert_eq!((refused, device.shut.len()), (Renewal::Refused(Refused::TooOften), MAX_SHUT));
                    return;
                }
            }
        }
        panic!("it was never refused");
    }
}

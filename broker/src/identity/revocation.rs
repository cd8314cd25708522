//! What an account's JWT has to say about keys that are shut out. Pure: the registry's records go in, the claims to be
//! signed come out.
//!
//! NATS keeps `revocations`: public key → seconds since 1970; JWTs of that key issued up to then do not hold. Only keys
//! of the registry are added, and taken out once their JWTs are over; what others put there stays.

use std::collections::BTreeMap;

use emote_proto::{Time, enroll::UserKey, jwt::Claims};
use nkeys::KeyPair;
use serde_json::{Map, Value};

use super::{
    jwt::{SignError, Validity, signed},
    record::{DeviceRecord, TokenRecord},
};

/// Keys by what is to become of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// To be shut out, with the second up to which their JWTs do not hold.
    pub out: BTreeMap<UserKey, i64>,
    /// Shut out, but their JWTs are over: no need to say so any longer.
    pub over: BTreeMap<UserKey, i64>,
    /// When the next key is to be shut out.
    pub next: Option<Time>,
}

impl Wanted {
    /// What a device's record says.
    pub fn device(&mut self, device: &DeviceRecord, now: Time) {
        for shut in &device.shut {
            self.key(&shut.key, shut.from, shut.until, now);
        }
    }

    /// What a token's record says.
    pub fn token(&mut self, token: &TokenRecord, now: Time) {
        if let Some(revoked) = token.revoked {
            self.key(&token.key, revoked, token.expires, now);
        }
    }

    fn key(&mut self, key: &UserKey, from: Time, until: Time, now: Time) {
        let second = from.as_millis().div_euclid(1000);
        if from > now {
            self.next = Some(self.next.map_or(from, |next| next.min(from)));
        } else if until > now {
            self.out.insert(key.clone(), second);
        } else {
            self.over.insert(key.clone(), second);
        }
    }

    /// The account's `nats` claims with what is wanted; nothing where they say so already.
    pub fn applied_to(&self, claims: &Claims) -> Option<Value> {
        let mut nats = claims.nats.clone();
        let before: Map<String, Value> =
            nats.get("revocations").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut after = before.clone();
        for key in self.over.keys().filter(|key| !self.out.contains_key(*key)) {
            after.remove(key.as_str());
        }
        for (key, second) in &self.out {
            let said = after.get(key.as_str()).and_then(Value::as_i64).unwrap_or(i64::MIN);
            after.insert(key.as_str().to_owned(), said.max(*second).into());
        }
        if after == before {
            return None;
        }
        let claims = nats.as_object_mut()?;
        if after.is_empty() {
            claims.remove("revocations");
        } else {
            claims.insert("revocations".to_owned(), after.into());
        }
        Some(nats)
    }
}

/// Whether these claims shut a key out that was shut out `from` then.
pub fn says(claims: &Claims, key: &UserKey, from: Time) -> bool {
    let said = claims.nats.get("revocations").and_then(|revocations| revocations.get(key.as_str()));
    said.and_then(Value::as_i64).is_some_and(|said| said >= from.as_millis().div_euclid(1000))
}

/// The account's JWT anew, with other `nats` claims. The resolver keeps the newest, so it is never older than the last.
pub fn resign(claims: &Claims, nats: Value, operator: &KeyPair, now: Time) -> Result<String, SignError> {
    let last = Time::from_millis(claims.iat.saturating_mul(1000)).unwrap_or(now);
    let mut validity = Validity::from(now.max(last));
    if let Some(end) = claims.exp.and_then(|exp| Time::from_millis(exp.saturating_mul(1000))) {
        validity = validity.until(end);
    }
    signed(&claims.name, &claims.sub, operator, validity, nats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::record::Shut;
    use emote_proto::Serial;
    use serde_json::json;

    fn at(seconds: i64) -> Time {
        Time::from_millis(seconds * 1000).unwrap()
    }

    fn key() -> UserKey {
        UserKey::new(KeyPair::new_user().public_key()).unwrap()
    }

    fn wanted(shut: &[(&UserKey, i64, i64)], now: i64) -> Wanted {
        let mut device = DeviceRecord::new(Serial::new("C02").unwrap());
        device.shut = shut
            .iter()
            .map(|(key, from, until)| Shut {
                key: (*key).clone(),
                from: at(*from),
                until: at(*until),
                issued: None,
                pushed: false,
            })
            .collect();
        let mut wanted = Wanted::default();
        wanted.device(&device, at(now));
        wanted
    }

    fn claims(revocations: Value) -> Claims {
        let mut nats = json!({"type": "account", "version": 2, "limits": {"conn": -1}});
        if !revocations.is_null() {
            nats["revocations"] = revocations;
        }
        serde_json::from_value(json!({"iss": "O", "sub": "A", "name": "DEVICES", "iat": 500, "nats": nats})).unwrap()
    }

    #[test]
    fn keys_are_shut_out_from_their_time_to_the_end_of_their_jwts() {
        let (coming, out, over) = (key(), key(), key());
        let wanted = wanted(&[(&coming, 200, 900), (&out, 50, 900), (&over, 50, 100)], 100);
        assert_eq!(wanted.out, BTreeMap::from([(out, 50)]));
        assert_eq!(wanted.over, BTreeMap::from([(over, 50)]));
        assert_eq!(wanted.next, Some(at(200)));
    }

    #[test]
    fn what_others_put_there_stays_and_what_is_said_already_changes_nothing() {
        let (ours, over, foreign) = (key(), key(), key());
        let wanted = wanted(&[(&ours, 50, 900), (&over, 50, 100)], 100);
        let before = claims(json!({foreign.as_str(): 7, "*": 3, over.as_str(): 50}));
        let nats = wanted.applied_to(&before).unwrap();
        assert_eq!(nats["revocations"], json!({foreign.as_str(): 7, "*": 3, ours.as_str(): 50}));
        assert_eq!(nats["limits"], json!({"conn": -1}));
        let after = Claims { nats, ..before };
        assert_eq!(wanted.applied_to(&after), None);
        assert!(says(&after, &ours, at(50)) && !says(&after, &ours, at(51)) && !says(&after, &over, at(50)));
        let later = claims(json!({ours.as_str(): 60}));
        assert_eq!(wanted.applied_to(&later), None, "a later word is not taken back");
    }

    #[test]
    fn the_last_one_that_is_over_leaves_nothing_behind() {
        let over = key();
        let wanted = wanted(&[(&over, 50, 100)], 100);
        let nats = wanted.applied_to(&claims(json!({over.as_str(): 50}))).unwrap();
        assert!(nats.get("revocations").is_none());
        assert_eq!(wanted.applied_to(&claims(Value::Null)), None);
    }

    #[test]
    fn a_jwt_is_signed_anew_as_it_was_and_never_older() {
        let operator = KeyPair::new_operator();
        let claims = Claims { exp: Some(9_000), ..claims(json!({"*": 3})) };
        let jwt = resign(&claims, claims.nats.clone(), &operator, at(100)).unwrap();
        let signed = Claims::verified(&jwt).unwrap();
        assert_eq!((signed.iss.as_str(), signed.iat, signed.exp), (operator.public_key().as_str(), 500, Some(9_000)));
        assert_eq!((signed.sub, signed.name, signed.nats), (claims.sub, claims.name, claims.nats));
    }
}

//! What the registry keeps: enrolment tokens, and devices with their keys. In the bucket `emote-identity`, JSON:
//!
//! | key | value |
//! |---|---|
//! | `token.<id>` | [`TokenRecord`] |
//! | `device.<serial>` | [`DeviceRecord`] |
//!
//! No secret is in either: public keys and names. EVENTS is kept for 30 days, so this is no fold of it; yet every step
//! that changes a record is an event too.

use emote_proto::{
    EventId, Serial, Time,
    enroll::{TokenId, UserKey},
};
use serde::{Deserialize, Serialize};

use super::Policy;

/// Keys that may wait for one serial number.
pub(super) const MAX_ASKED: usize = 4;
/// Orders that are remembered as carried out.
const MAX_ORDERS: usize = 16;
/// For so long a key is remembered behind the end of its last JWT, so that its revocation can be taken back, in ms.
const KEPT_BEHIND: i64 = 24 * 3600 * 1000;

/// An enrolment token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its id: the name of its NATS user.
    pub id: TokenId,
    /// For people.
    pub name: String,
    /// The public key of its NATS user.
    pub key: UserKey,
    /// How many Macs it lets ask.
    pub uses: u32,
    /// How many asked: each with each of its keys counts, let in or not.
    #[serde(default)]
    pub used: u32,
    /// When it was made.
    pub created: Time,
    /// Until when it holds.
    pub expires: Time,
    /// The only serial number that may ask with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<Serial>,
    /// At least so strict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Who made it.
    #[serde(default)]
    pub by: String,
    /// Since when it holds no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Time>,
}

/// Where a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It asked, and waits.
    Pending,
    /// It has a credential.
    Enrolled,
    /// An administrator does not want it.
    Denied,
    /// An administrator took its credential away.
    Revoked,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Enrolled, Self::Denied, Self::Revoked];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Enrolled => "enrolled",
            Self::Denied => "denied",
            Self::Revoked => "revoked",
        }
    }
}

/// A machine that asked for a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// Under which it speaks.
    pub serial: Serial,
    /// Where it is.
    pub state: State,
    /// The key it is, or was, known by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Issued>,
    /// Keys that asked and are not, or not yet, that one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<Asked>,
    /// Keys that are shut out, or will be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shut: Vec<Shut>,
    /// Since when it is to change its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<Time>,
    /// What an administrator last ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered: Option<Ordered>,
    /// The orders that were carried out last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<EventId>,
    /// That a second machine speaks under this serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Duplicate>,
}

/// A key with its credential. The JWT itself is not kept: the same key, times and signer make the same text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The key.
    pub key: UserKey,
    /// When it was let in.
    pub since: Time,
    /// When its JWT was issued.
    pub issued: Time,
    /// When that ends.
    pub expires: Time,
    /// The token it was let in with; none where it followed another key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenId>,
    /// The agent's version when it enrolled.
    #[serde(default)]
    pub agent: String,
    /// When the request was made that the JWT answers, where it renewed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Time>,
    /// Whether the event that tells of it is stored.
    #[serde(default)]
    pub told: bool,
}

/// A key that asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The key.
    pub key: UserKey,
    /// When it first asked.
    pub at: Time,
    /// With which token; none where an administrator lets a key in again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenId>,
    /// The agent's version.
    #[serde(default)]
    pub agent: String,
    /// What an administrator said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<Word>,
    /// Whether the event that tells of it is stored.
    #[serde(default)]
    pub told: bool,
}

/// An administrator's word on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It is let in when it next asks.
    Approved,
    /// It is not.
    Denied,
}

/// A key that is shut out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shut {
    /// The key.
    pub key: UserKey,
    /// From when on; not before its last JWT was issued.
    pub from: Time,
    /// When its last JWT ends.
    pub until: Time,
    /// When that was issued, by the clock of the broker that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Time>,
    /// Whether NATS was told.
    #[serde(default)]
    pub pushed: bool,
}

/// What an administrator ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// `approve`, `deny`, `revoke` or `rotate`.
    pub what: String,
    /// Who.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was stored.
    pub at: Time,
}

/// That two machines speak under one serial number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duplicate {
    /// When it was first seen.
    pub first: Time,
    /// When it was last told of.
    pub told: Time,
    /// What shows it.
    pub seen: String,
}

impl Shut {
    /// Shuts it out by `now`, or as soon as its last JWT is issued by a clock that runs ahead; whether that is earlier
    /// than it was to be.
    pub(super) fn bring_forward(&mut self, now: Time) -> bool {
        let from = self.issued.map_or(now, |issued| issued.max(now));
        let is_earlier = from < self.from;
        self.from = from.min(self.from);
        is_earlier
    }
}

impl DeviceRecord {
    /// Of a machine that was not heard of before.
    pub fn new(serial: Serial) -> Self {
        let (asked, shut, orders) = (Vec::new(), Vec::new(), Vec::new());
        let state = State::Pending;
        Self { serial, state, key: None, asked, shut, rotate: None, ordered: None, orders, duplicate: None }
    }

    /// The key that asked, if it did.
    pub(super) fn asked(&self, key: &UserKey) -> Option<&Asked> {
        self.asked.iter().find(|asked| asked.key == *key)
    }

    /// Whether somebody's word is waited for: a key asked, and nobody has said anything of it.
    pub fn waits(&self) -> bool {
        self.asked.iter().any(|asked| asked.word.is_none())
    }

    /// Notes an order as carried out.
    pub(super) fn carried_out(&mut self, id: EventId, order: Ordered) {
        self.orders.push(id);
        let over = self.orders.len().saturating_sub(MAX_ORDERS);
        self.orders.drain(..over);
        self.ordered = Some(order);
    }

    /// Shuts the key in force out from `from` on, at the earliest; it stays as the last one known.
    pub fn shut_key(&mut self, from: Time) {
        if let Some(Issued { key, issued, expires, .. }) = &self.key {
            let (until, issued) = (*expires, *issued);
            self.shut.retain(|shut| shut.key != *key);
            self.shut.push(Shut {
                key: key.clone(),
                from: from.max(issued),
                until,
                issued: Some(issued),
                pushed: false,
            });
        }
    }

    /// Forgets keys whose JWTs ended long ago.
    pub(super) fn tidy(&mut self, now: Time) {
        self.shut.retain(|shut| now.millis_since(shut.until) < KEPT_BEHIND);
    }

    /// The first time from `now` on at which a JWT of this key may be issued: NATS shuts out by the second.
    pub(super) fn issue_at(&self, key: &UserKey, now: Time) -> Time {
        let of_key = self.shut.iter().filter(|shut| shut.key == *key && shut.from <= now).map(|shut| shut.from);
        let after = of_key.max().and_then(|from| Time::from_millis((from.as_millis().div_euclid(1000) + 1) * 1000));
        after.map_or(now, |after| after.max(now))
    }
}

//! What is known of this machine's credential, and how it changes. Pure.
//!
//! A credential that is there is replaced in two steps: what is new is kept as the next one, and becomes the current one
//! when a server has taken it. So the old one is never lost before the new one has worked.

use emote_proto::enroll::UserKey;
use emote_proto::{Serial, Time};
use serde::{Deserialize, Serialize};

use super::check::{CheckError, Checked, account};
use crate::health::IdentityStatus;

/// Between two requests for the same thing, at most, in milliseconds.
const HOUR_MS: i64 = 3_600_000;
/// The first requests for the JWT of another key come faster: the old one may not hold for long.
const HURRY_MS: i64 = 30_000;

/// All of it, as it is on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Of this format.
    pub(super) version: u8,
    /// For whom it was made.
    pub(super) machine: Machine,
    /// What a server has taken.
    pub(super) current: Option<Pair>,
    /// What comes after it.
    pub(super) next: Option<Pair>,
    /// A change that was not told yet.
    #[serde(default)]
    pub(super) untold: Option<Change>,
}

/// The machine that it was made for: a disk image that is copied to another one takes no identity along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Under which it speaks.
    pub(crate) serial: Serial,
    /// IOPlatformUUID, or the firmware's, when it was known.
    pub(crate) hardware_uuid: Option<String>,
}

/// A key, and the JWT for it when there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pair {
    /// Its seed is in the secret store under this name.
    pub(super) key: UserKey,
    #[serde(default)]
    pub(super) jwt: Option<Jwt>,
}

/// A JWT that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Jwt {
    pub(super) text: String,
    /// Whose user it is: the account's public key.
    pub(super) account: String,
    /// Seconds since 1970, by the clock of whoever signed it.
    pub(super) issued: i64,
    pub(super) expires: Option<i64>,
    /// Milliseconds since 1970, by this machine's clock.
    pub(super) received: i64,
    /// On which way.
    #[serde(default)]
    pub(super) came: Came,
}

/// On which way a JWT came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Came {
    /// It was asked for with an enrolment token.
    ByToken,
    /// It was asked for over a connection that the one before it had opened.
    #[default]
    ByConnection,
}

/// How a credential came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// With an enrolment token.
    Enrolled,
    /// With an enrolment token, by a machine that had a credential: it was revoked or over.
    Reenrolled,
    /// The same key goes on.
    Renewed,
    /// Another key.
    Rotated,
}

impl Machine {
    /// Whether `other` is another machine. What is not known makes no difference.
    pub(crate) fn differs(&self, other: &Self) -> bool {
        let known = self.hardware_uuid.as_ref().zip(other.hardware_uuid.as_ref());
        self.serial != other.serial || known.is_some_and(|(one, other)| one != other)
    }
}

impl Jwt {
    /// How long it holds in milliseconds; `None`: for ever.
    fn lifetime(&self) -> Option<i64> {
        let seconds = self.expires?.saturating_sub(self.issued).max(0);
        Some(seconds.saturating_mul(1_000))
    }

    /// When the next one is to be asked for, at two thirds of its life, each machine at its own moment of the twelfth
    /// behind. By its own times or by when it came, whichever is earlier: this machine's clock may be wrong.
    fn due(&self, serial: &Serial) -> Option<i64> {
        let life = self.lifetime()?;
        let wait = life / 12 * 8 + life / 12 * spread(serial) / 1_000;
        Some(self.issued.saturating_mul(1_000).min(self.received).saturating_add(wait))
    }

    /// Whether it is over by `now`, as far as this machine's clock can tell.
    fn is_over(&self, now: i64) -> bool {
        self.expires.is_some_and(|expires| expires.saturating_mul(1_000) <= now)
    }
}

/// From 0 to 999, always the same for a machine (FNV-1a).
fn spread(serial: &Serial) -> i64 {
    let mix = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let sum = serial.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    i64::try_from(sum % 1_000).unwrap_or(0)
}

impl State {
    /// Of a machine that has none.
    pub(super) fn new(machine: Machine) -> Self {
        Self { version: 1, machine, current: None, next: None, untold: None }
    }

    /// Whether it was made for another machine.
    pub(super) fn is_of_another(&self, machine: &Machine) -> bool {
        self.machine.differs(machine)
    }

    /// The key to ask with: the next one when there is one, so that whoever was locked out while keys changed asks with
    /// the one that the broker may know.
    pub(super) fn key_to_enrol(&self) -> Option<&UserKey> {
        self.next.as_ref().or(self.current.as_ref()).map(|pair| &pair.key)
    }

    /// Every key whose seed is needed.
    pub(super) fn keys(&self) -> impl Iterator<Item = &UserKey> {
        self.current.iter().chain(&self.next).map(|pair| &pair.key)
    }

    /// What may be connected with, best first: `next` only while it has not failed.
    pub(super) fn usable(&self, next_failed: bool) -> Option<(Which, &Pair, &Jwt)> {
        let of = |which, pair: &'_ Option<Pair>| pair.as_ref().is_some_and(|pair| pair.jwt.is_some()).then_some(which);
        let which = of(Which::Next, &self.next).filter(|_| !next_failed).or(of(Which::Current, &self.current))?;
        let pair = if which == Which::Next { self.next.as_ref() } else { self.current.as_ref() };
        pair.and_then(|pair| Some((which, pair, pair.jwt.as_ref()?)))
    }

    /// Begins with a new key, whose seed is kept already.
    pub(super) fn with_next_key(&self, key: UserKey) -> Self {
        Self { next: Some(Pair { key, jwt: None }), ..self.clone() }
    }

    /// Takes in a JWT that came at `now`. One that there is already changes nothing.
    pub(super) fn with_jwt(&self, checked: Checked, came: Came, now: i64) -> Result<Self, CheckError> {
        let Checked { key, text, account, issued, expires } = checked;
        if self.key_to_enrol() != Some(&key) {
            return Err(CheckError::Key);
        }
        let mut jwts = self.current.iter().chain(&self.next).filter_map(|pair| pair.jwt.as_ref());
        if jwts.any(|jwt| jwt.text == text) {
            return Ok(self.clone());
        }
        let jwt = Jwt { text, account, issued, expires, received: now, came };
        Ok(Self { next: Some(Pair { key, jwt: Some(jwt) }), ..self.clone() })
    }

    /// A server has taken the next one: it is the current one now.
    pub(super) fn promoted(&self) -> Self {
        let Some(next) = self.next.clone() else { return self.clone() };
        let Some(came) = next.jwt.as_ref().map(|jwt| jwt.came) else { return self.clone() };
        let change = match &self.current {
            Some(_) if came == Came::ByToken => Change::Reenrolled,
            Some(current) if current.key == next.key => Change::Renewed,
            Some(_) => Change::Rotated,
            None => Change::Enrolled,
        };
        Self { current: Some(next), next: None, untold: Some(change), ..self.clone() }
    }

    /// No server takes the next one, and the current one still holds: it is asked for again.
    pub(super) fn with_next_refused(&self) -> Self {
        let other = |next: &Pair| self.current.as_ref().is_none_or(|current| current.key != next.key);
        let next = self.next.clone().filter(other).map(|next| Pair { jwt: None, ..next });
        Self { next, ..self.clone() }
    }

    /// Whether another key is under way.
    pub(super) fn is_changing_keys(&self) -> bool {
        self.current.is_some() && self.next.as_ref().is_some_and(|next| next.jwt.is_none())
    }

    /// When the next JWT is to be asked for, after `asks` requests, the last of them at `asked`: milliseconds since 1970.
    pub(super) fn ask_at(&self, asked: Option<i64>, asks: u32) -> Option<i64> {
        let jwt = self.current.as_ref()?.jwt.as_ref()?;
        if self.is_changing_keys() {
            let pause = HURRY_MS.saturating_mul(1 << asks.saturating_sub(1).min(10)).min(HOUR_MS);
            return Some(asked.map_or(i64::MIN, |asked| asked.saturating_add(pause)));
        }
        // One that came and was not taken up yet is none to ask for.
        let due = jwt.due(&self.machine.serial).filter(|_| self.next.is_none())?;
        let again = (jwt.lifetime()? / 12).clamp(1_000, HOUR_MS);
        Some(asked.map_or(due, |asked| due.max(asked.saturating_add(again))))
    }

    /// Whether what there is must be over, as far as this machine's clock can tell.
    pub(super) fn is_over(&self, now: i64) -> bool {
        let mut jwts = self.current.iter().chain(&self.next).filter_map(|pair| pair.jwt.as_ref());
        jwts.all(|jwt| jwt.is_over(now))
    }

    /// When the current one ends.
    pub(super) fn expires(&self) -> Option<Time> {
        let expires = self.current.as_ref()?.jwt.as_ref()?.expires?;
        Time::from_millis(expires.saturating_mul(1_000))
    }

    /// What people are told of it.
    pub(super) fn status(&self) -> IdentityStatus {
        let key = self.current.as_ref().or(self.next.as_ref()).map(|pair| &pair.key);
        IdentityStatus {
            public_key: key.map(ToString::to_string),
            fingerprint: key.map(UserKey::fingerprint),
            expires: self.expires(),
            changing_keys: self.is_changing_keys(),
            ..IdentityStatus::default()
        }
    }

    /// Whose user this machine is.
    pub(super) fn account(&self) -> Option<&str> {
        self.current.as_ref()?.jwt.as_ref().map(|jwt| jwt.account.as_str())
    }
}

/// Of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// What a server has taken before.
    Current,
    /// What none has taken yet.
    Next,
}

/// Reads the account that a token's JWT is of.
pub(super) fn account_of_token(jwt: &str) -> Option<String> {
    emote_proto::jwt::Claims::unverified(jwt).ok().map(|claims| account(&claims))
}

#[cfg(test)]
mod tests;

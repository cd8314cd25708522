//! A session: who is signed in, since when, and until when that is good. Pure; the time is an argument.
//!
//! A browser holds the session's id, 256 random bits, in a cookie; all that is kept of it is its SHA-256, so that nobody
//! who reads the bucket can be anybody. Forms carry a second word that is made of the id and says that a page of ours sent
//! them.

use std::time::Duration;

use anyhow::Context;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use emote_proto::{NodeKey, Time};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// No session is good for longer.
pub(super) const ABSOLUTE: Duration = Duration::from_secs(12 * 3600);
/// Nor where it was not used for so long.
pub(super) const IDLE: Duration = Duration::from_secs(3600);
/// That it is used is noted so often at most.
const TOUCHED_EVERY: Duration = Duration::from_secs(60);

/// 256 random bits. Never logged, never kept, overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct SessionId(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionId(…)")
    }
}

impl SessionId {
    /// A new one.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// Reads what a cookie holds.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() != 43 {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// What a cookie holds.
    pub(super) fn to_cookie(&self) -> String {
        BASE64URL_NOPAD.encode(&*self.0)
    }

    /// Under what it is kept.
    pub(super) fn key(&self) -> String {
        format!("session.{}", hash(&*self.0))
    }

    /// The word that a form of this session carries.
    pub(super) fn form_word(&self) -> String {
        // A key of any length will do for HMAC, so this cannot fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&*self.0) else { return String::new() };
        mac.update(b"emote console: a form of this session");
        BASE64URL_NOPAD.encode(&mac.finalize().into_bytes())
    }

    /// Whether a form's word is of this session.
    pub(super) fn is_form_word(&self, word: &str) -> bool {
        let own = self.form_word();
        !own.is_empty() && bool::from(own.as_bytes().ct_eq(word.as_bytes()))
    }
}

/// SHA-256 in hex.
pub(super) fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// How somebody showed who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    /// With the token in the data folder.
    LocalToken,
    /// At the identity provider.
    Oidc,
}

impl How {
    /// As it stands in events.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::LocalToken => "local_token",
            Self::Oidc => "oidc",
        }
    }
}

/// Somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Person {
    /// How they signed in.
    pub(super) how: How,
    /// What people call them: an e-mail address where there is one.
    pub(super) name: String,
    /// The provider's own id for them, with its issuer; never given to somebody else.
    pub(super) subject: String,
    /// Values of the claim that roles come from, as far as the configuration named them.
    pub(super) groups: Vec<String>,
}

impl Person {
    /// Whoever has the local token.
    pub(super) fn local() -> Self {
        Self { how: How::LocalToken, name: "local token".to_owned(), subject: String::new(), groups: Vec::new() }
    }

    /// As it stands in orders and events: `ada@example.com (oidc)`, `local token`.
    pub(super) fn shown(&self) -> String {
        match self.how {
            How::LocalToken => self.name.clone(),
            How::Oidc => format!("{} (oidc)", self.name),
        }
    }

    /// The name under which they give orders: the same, in lower case.
    pub(super) fn signs(&self) -> Result<NodeKey, anyhow::Error> {
        NodeKey::new(self.shown().to_lowercase()).context("the name to sign with")
    }

    /// Under what is kept since when their sessions count.
    pub(super) fn key(&self) -> String {
        format!("person.{}", hash(format!("{}\n{}", self.how.word(), self.subject).as_bytes()))
    }
}

/// What is kept of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    /// Whose it is.
    pub(super) person: Person,
    /// When they signed in.
    pub(super) began: Time,
    /// When it was last used, to the minute.
    pub(super) seen: Time,
    /// How often, in a manner, its person had signed out everywhere by then; see [`Session::is_good`].
    pub(super) round: i64,
}

impl Session {
    /// Whether it is still good; `round` is its person's now: signing out everywhere moves that on.
    pub(super) fn is_good(&self, round: i64, now: Time) -> bool {
        let within = |since: Time, long: Duration| {
            let age = now.millis_since(since);
            // A clock that was set back makes no session older, nor does another broker's that is a little ahead.
            age >= -60_000 && u128::try_from(age.max(0)).is_ok_and(|age| age < long.as_millis())
        };
        self.round >= round && within(self.began, ABSOLUTE) && within(self.seen, IDLE)
    }

    /// Whether that it is used should be noted.
    pub(super) fn wants_touch(&self, now: Time) -> bool {
        u128::try_from(now.millis_since(self.seen)).is_ok_and(|age| age >= TOUCHED_EVERY.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn at(millis: i64) -> Time {
        Time::from_millis(1_000_000_000_000 + millis).unwrap()
    }

    #[test]
    fn a_session_ends_by_age_by_idleness_and_by_word() {
        let good = |began, seen, round, round_now| {
            let session = Session { person: Person::local(), began: at(began), seen: at(seen), round };
            session.is_good(round_now, at(0))
        };
        for (began, seen, round, round_now, expected) in [
            (0, 0, 0, 0, true),
            (-11 * HOUR, -HOUR / 2, 0, 0, true),
            (-12 * HOUR, 0, 0, 0, false),
            (-2 * HOUR, -HOUR, 0, 0, false),
            (-2 * HOUR, -HOUR + 1, 0, 0, true),
            (0, 0, 4, 5, false),
            (0, 0, 5, 5, true),
            (0, 0, 5, 0, true),
            (30_000, 30_000, 0, 0, true),
            (HOUR, HOUR, 0, 0, false),
        ] {
            assert_eq!(good(began, seen, round, round_now), expected, "{began} {seen} {round} {round_now}");
        }
    }

    #[test]
    fn ids_are_kept_as_hashes_and_forms_know_their_session() {
        let (one, other) = (SessionId::random().unwrap(), SessionId::random().unwrap());
        assert_eq!(SessionId::parse(&one.to_cookie()).as_ref(), Some(&one));
        assert!(!one.key().contains(&one.to_cookie()) && one.key() != other.key());
        assert!(one.is_form_word(&one.form_word()));
        for wrong in [other.form_word(), String::new(), one.to_cookie(), one.form_word().to_lowercase()] {
            assert!(!one.is_form_word(&wrong), "{wrong}");
        }
        for text in ["", "x", &"A".repeat(42), &"A".repeat(44), &format!("{}=", "A".repeat(42)), &"é".repeat(22)] {
            assert_eq!(SessionId::parse(text), None, "{text}");
        }
        assert_eq!(format!("{one:?}"), "SessionId(…)");
    }
}

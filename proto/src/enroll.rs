//! How a Mac comes to a credential of its own, and how it keeps it: what agent and broker say to each other.
//!
//! An enrolment token is a NATS user that may publish `enroll.<token id>` and read `_ENROLL.<token id>.>`, nothing else. So
//! nats-server proves that the sender has the token's seed, and the subject tells the broker which token it is. The request
//! carries the public key of a pair that was made on the Mac, and a signature by it ([`EnrollRequest::sign`]).
//!
//! Later the Mac asks with an event of its own (`agent.credential_due`, [`RenewRequest`] in its `info`), and is told under
//! [`crate::subjects::identity`] ([`IdentityNotice`]). Nothing in either is a secret: a JWT is of no use without its seed.

use std::{fmt, str::FromStr};

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Serial, Time, jwt::Claims, nkey};

/// Largest request or answer in bytes of JSON.
pub const MAX_MESSAGE: usize = 16 * 1024;
/// How far the time in a request may lie from the broker's, either way, in milliseconds.
pub const TIME_WINDOW_MS: i64 = 15 * 60 * 1000;
/// Begins an enrolment token's text.
const TOKEN_PREFIX: &str = "emote1:";

/// Why something said about enrolment cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrollError {
    /// Not `[a-z0-9]{8,32}`.
    #[error("{0:?} is no id of an enrolment token: 8 to 32 of a-z and 0-9")]
    TokenId(String),
    /// Not `emote1:<jwt>:<seed>` of one user. Says nothing of its content, which is a secret.
    #[error(
        "it is no enrolment token, which begins with emote1: and is one line, as `emote agents token create` prints it: {0}"
    )]
    Token(&'static str),
    /// Not the public key of a user.
    #[error("{0:?} is no public key of a NATS user, which begins with U")]
    PublicKey(String),
    /// The signature is not by the key that the request names.
    #[error("the signature is not by the key that the request names")]
    Signature,
    /// Made at another time than now.
    #[error("the request was made at {0}, too far from now: is the clock of the Mac right?")]
    Time(Time),
}

/// The name of an enrolment token: `[a-z0-9]{8,32}`, so never a wildcard and never two subject tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(String);

impl TokenId {
    /// Checks and takes the id.
    pub fn new(id: impl Into<String>) -> Result<Self, EnrollError> {
        let id = id.into();
        let fits = (8..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if fits { Ok(Self(id)) } else { Err(EnrollError::TokenId(id)) }
    }

    /// The id itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The public key of a NATS user: `U` and 55 of base32, checksum included.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserKey(String);

impl UserKey {
    /// Checks and takes the key.
    pub fn new(key: impl Into<String>) -> Result<Self, EnrollError> {
        let key = key.into();
        let fits = key.len() == 56 && key.starts_with('U') && nkey::public_key(&key).is_some();
        if fits { Ok(Self(key)) } else { Err(EnrollError::PublicKey(key)) }
    }

    /// The key as NATS writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What people compare: the 16 characters behind the `U`, in fours, `ABCD-EFGH-IJKL-MNOP`. 77 bits of the key.
    pub fn fingerprint(&self) -> String {
        let parts: Vec<&str> = (1..17).step_by(4).filter_map(|at| self.0.get(at..at + 4)).collect();
        parts.join("-")
    }

    fn signed(&self, text: &str, signature: &str) -> Result<(), EnrollError> {
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).map_err(|_| EnrollError::Signature)?;
        let key = nkey::public_key(&self.0).ok_or(EnrollError::Signature)?;
        if nkey::is_signed(key, text.as_bytes(), &signature) { Ok(()) } else { Err(EnrollError::Signature) }
    }
}

/// What lets a Mac ask for a credential: one line of text, `emote1:<jwt>:<seed>`. Whoever has it can ask.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrollmentToken {
    id: TokenId,
    jwt: String,
    seed: Zeroizing<String>,
}

impl EnrollmentToken {
    /// Of a user's JWT, whose name is the token's id, and the seed of that user's key.
    pub fn new(jwt: impl Into<String>, seed: impl Into<String>) -> Result<Self, EnrollError> {
        let (jwt, seed) = (jwt.into(), Zeroizing::new(seed.into()));
        let claims = Claims::unverified(&jwt).map_err(|_| EnrollError::Token("its JWT is damaged"))?;
        let id = TokenId::new(claims.name).map_err(|_| EnrollError::Token("its JWT is not that of a token"))?;
        let pair = KeyPair::from_seed(&seed).map_err(|_| EnrollError::Token("its seed is damaged"))?;
        if pair.public_key() == claims.sub {
            Ok(Self { id, jwt, seed })
        } else {
            Err(EnrollError::Token("its seed and its JWT are of two"))
        }
    }

    /// The token's name.
    pub fn id(&self) -> &TokenId {
        &self.id
    }

    /// The JWT to connect with.
    pub fn jwt(&self) -> &str {
        &self.jwt
    }

    /// The seed to connect with: the secret.
    pub fn seed(&self) -> &str {
        &self.seed
    }

    /// The line that people carry: a secret.
    pub fn to_line(&self) -> String {
        format!("{TOKEN_PREFIX}{}:{}", self.jwt, *self.seed)
    }
}

impl FromStr for EnrollmentToken {
    type Err = EnrollError;

    fn from_str(line: &str) -> Result<Self, EnrollError> {
        let rest = line.trim().strip_prefix(TOKEN_PREFIX).ok_or(EnrollError::Token("it does not begin so"))?;
        let (jwt, seed) = rest.split_once(':').ok_or(EnrollError::Token("its second half is missing"))?;
        Self::new(jwt, seed)
    }
}

impl fmt::Debug for EnrollmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EnrollmentToken").field(&self.id.as_str()).finish()
    }
}

/// What a Mac asks under [`crate::subjects::enroll`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollRequest {
    /// Under which it wants to speak.
    pub serial: Serial,
    /// Of the pair that was made on the Mac.
    pub public_key: UserKey,
    /// When it was asked.
    pub time: Time,
    /// The agent's version.
    pub agent: String,
    /// By the key, over the token's id, serial, key and time; base64url without padding.
    pub signature: String,
}

impl EnrollRequest {
    /// Asks with `token` for `pair`, which must hold its seed.
    pub fn sign(token: &TokenId, serial: Serial, pair: &KeyPair, time: Time, agent: &str) -> Result<Self, EnrollError> {
        let public_key = UserKey::new(pair.public_key())?;
        let signature = signature(pair, &enroll_text(token, &serial, &public_key, time))?;
        Ok(Self { serial, public_key, time, agent: agent.to_owned(), signature })
    }

    /// Whether the key's owner asked so, with this token, about now.
    pub fn verify(&self, token: &TokenId, now: Time) -> Result<(), EnrollError> {
        about_now(self.time, now)?;
        self.public_key.signed(&enroll_text(token, &self.serial, &self.public_key, self.time), &self.signature)
    }
}

/// What a Mac is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum EnrollAnswer {
    /// It has a credential now.
    Enrolled {
        /// For the key that it asked for.
        jwt: String,
    },
    /// Not yet: somebody has to approve it, or the MDM has to know it.
    Pending {
        /// What is waited for.
        reason: String,
        /// Seconds until it is worth asking again.
        retry_after: u32,
    },
    /// No, and asking again with this token will not help until an administrator does something.
    Denied {
        /// Why.
        reason: String,
    },
    /// The broker could not answer now.
    Unavailable {
        /// Why.
        reason: String,
        /// Seconds until it is worth asking again.
        retry_after: u32,
    },
}

/// How a Mac asks for its next JWT: the `info` of the event `agent.credential_due`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewRequest {
    /// The key it is known by.
    pub public_key: UserKey,
    /// The key it wants to be known by: another one where it changes keys, else the same.
    pub next_key: UserKey,
    /// When it was asked.
    pub time: Time,
    /// By the key it is known by.
    pub signature: String,
    /// By the next key.
    pub next_signature: String,
}

impl RenewRequest {
    /// Asks for a JWT of `next`, by `current`; both must hold their seeds.
    pub fn sign(serial: &Serial, current: &KeyPair, next: &KeyPair, time: Time) -> Result<Self, EnrollError> {
        let (public_key, next_key) = (UserKey::new(current.public_key())?, UserKey::new(next.public_key())?);
        let text = renew_text(serial, &public_key, &next_key, time);
        let (signature, next_signature) = (signature(current, &text)?, signature(next, &text)?);
        Ok(Self { public_key, next_key, time, signature, next_signature })
    }

    /// Whether both keys' owner asked so. How old it may be is for the caller to say: an event may have waited.
    pub fn verify(&self, serial: &Serial) -> Result<(), EnrollError> {
        let text = renew_text(serial, &self.public_key, &self.next_key, self.time);
        self.public_key.signed(&text, &self.signature)?;
        self.next_key.signed(&text, &self.next_signature)
    }
}

/// What a Mac is told under [`crate::subjects::identity`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum IdentityNotice {
    /// Its next JWT, for the next key of its [`RenewRequest`].
    Issued {
        /// To connect with from now on.
        jwt: String,
    },
    /// An administrator wants it to change its key: make one, and ask.
    Rotate,
    /// It is not given another JWT.
    Refused {
        /// Why.
        reason: String,
    },
}

fn about_now(time: Time, now: Time) -> Result<(), EnrollError> {
    if now.millis_since(time).unsigned_abs() <= TIME_WINDOW_MS.unsigned_abs() {
        Ok(())
    } else {
        Err(EnrollError::Time(time))
    }
}

fn signature(pair: &KeyPair, text: &str) -> Result<String, EnrollError> {
    let signature = pair.sign(text.as_bytes()).map_err(|_| EnrollError::Signature)?;
    Ok(BASE64URL_NOPAD.encode(&signature))
}

// No part can hold a line break: what is signed can be read in one way only.

fn enroll_text(token: &TokenId, serial: &Serial, key: &UserKey, time: Time) -> String {
    format!("emote-enroll-1\n{}\n{serial}\n{}\n{time}", token.as_str(), key.as_str())
}

fn renew_text(serial: &Serial, key: &UserKey, next: &UserKey, time: Time) -> String {
    format!("emote-renew-1\n{serial}\n{}\n{}\n{time}", key.as_str(), next.as_str())
}

macro_rules! text_newtype {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = EnrollError;
            fn from_str(text: &str) -> Result<Self, EnrollError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = EnrollError;
            fn try_from(text: String) -> Result<Self, EnrollError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }
    };
}

text_newtype!(TokenId);
text_newtype!(UserKey);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn serial() -> Serial {
        Serial::new("C02XL0GTJGH5").unwrap()
    }

    fn at(millis: i64) -> Time {
        Time::from_millis(millis).unwrap()
    }

    fn token(name: &str, pair: &KeyPair) -> (String, String) {
        let part = |value: serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let body = json!({"iss": KeyPair::new_account().public_key(), "name": name, "sub": pair.public_key()});
        (format!("{}.{}.c2ln", part(json!({"alg": "ed25519-nkey"})), part(body)), pair.seed().unwrap())
    }

    #[test]
    fn a_request_holds_for_its_token_serial_key_and_time_only() {
        let (id, other) = (TokenId::new("fleet2026").unwrap(), TokenId::new("fleet2027").unwrap());
        let pair = KeyPair::new_user();
        let request = EnrollRequest::sign(&id, serial(), &pair, at(1_000), "1.0").unwrap();
        assert_eq!(request.verify(&id, at(1_000 + TIME_WINDOW_MS)), Ok(()));
        assert_eq!(request.verify(&other, at(1_000)), Err(EnrollError::Signature));
        assert_eq!(request.verify(&id, at(1_001 + TIME_WINDOW_MS)), Err(EnrollError::Time(at(1_000))));
        let changed = |change: fn(&mut EnrollRequest)| {
            let mut request = request.clone();
            change(&mut request);
            request.verify(&id, at(1_000))
        };
        assert_eq!(changed(|request| request.serial = Serial::new("C03").unwrap()), Err(EnrollError::Signature));
        assert_eq!(changed(|request| request.time = at(1_001)), Err(EnrollError::Signature));
        let foreign = |request: &mut EnrollRequest| {
            request.public_key = UserKey::new(KeyPair::new_user().public_key()).unwrap();
        };
        assert_eq!(changed(foreign), Err(EnrollError::Signature));
        assert_eq!(changed(|request| request.signature.clear()), Err(EnrollError::Signature));
    }

    #[test]
    fn a_renewal_needs_both_keys() {
        let (current, next, foreign) = (KeyPair::new_user(), KeyPair::new_user(), KeyPair::new_user());
        let request = RenewRequest::sign(&serial(), &current, &next, at(0)).unwrap();
        assert_eq!(request.verify(&serial()), Ok(()));
        assert_eq!(request.verify(&Serial::new("C03").unwrap()), Err(EnrollError::Signature));
        let other = RenewRequest::sign(&serial(), &foreign, &next, at(0)).unwrap();
        let forged = RenewRequest { public_key: request.public_key.clone(), ..other };
        assert_eq!(forged.verify(&serial()), Err(EnrollError::Signature));
        let stolen = RenewRequest { next_key: UserKey::new(foreign.public_key()).unwrap(), ..request };
        assert_eq!(stolen.verify(&serial()), Err(EnrollError::Signature));
    }

    #[test]
    fn a_token_is_one_line_and_its_debug_form_tells_no_secret() {
        let (jwt, seed) = token("fleet2026", &KeyPair::new_user());
        let token = EnrollmentToken::new(jwt, seed.clone()).unwrap();
        assert_eq!(format!("  {}\n", token.to_line()).parse(), Ok(token.clone()));
        assert_eq!(format!("{token:?}"), "EnrollmentToken(\"fleet2026\")");
        assert!(!format!("{token:?}").contains(&seed));
    }

    #[test]
    fn what_is_no_token_is_told_without_its_content() {
        let (pair, other) = (KeyPair::new_user(), KeyPair::new_user());
        let ((jwt, seed), (_, foreign)) = (token("fleet2026", &pair), token("fleet2026", &other));
        let (of_device, _) = token("C02XL0GTJGH5", &pair);
        for line in [
            seed.clone(),
            format!("emote1:{jwt}"),
            format!("emote1:{jwt}:{foreign}"),
            format!("emote1:{of_device}:{seed}"),
            format!("emote1:{}:{seed}", &jwt[..20]),
            format!("emote1:{jwt}:{}", &seed[..20]),
        ] {
            let error = line.parse::<EnrollmentToken>().unwrap_err().to_string();
            assert!(error.contains("emote agents token create") && !error.contains(&seed[..20]), "{error}");
        }
    }

    #[test]
    fn a_fingerprint_is_the_beginning_of_the_key_in_fours() {
        let key = UserKey::new("UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4").unwrap();
        assert_eq!(key.fingerprint(), "DXU4-RCSJ-NZOI-QHZN");
    }

    #[test]
    fn only_keys_of_users_are_taken() {
        assert!(UserKey::new(KeyPair::new_user().public_key()).is_ok());
        for bad in
            [KeyPair::new_account().public_key(), KeyPair::new_user().seed().unwrap(), "U".repeat(56), String::new()]
        {
            assert!(UserKey::new(bad.clone()).is_err(), "{bad}");
        }
        for bad in ["", "short", "Fleet2026", "fleet.2026", "fleet-2026", "*", ">"] {
            assert!(TokenId::new(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(text: String, bytes: Vec<u8>) {
            prop_assert!(text.parse::<EnrollmentToken>().is_err());
            let read = serde_json::from_slice::<EnrollRequest>(&bytes).is_ok()
                || serde_json::from_slice::<EnrollAnswer>(&bytes).is_ok()
                || serde_json::from_slice::<IdentityNotice>(&bytes).is_ok();
            prop_assert!(!read);
        }
    }
}

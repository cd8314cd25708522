//! Writes NATS JWTs, version 2: operators, accounts and users. Reading them is [`emote_proto::jwt`]'s.
//!
//! The fields are those of nats-io/jwt v2. A limit of -1 is none. A user signed by a scoped key carries no permissions of
//! its own: the server takes the key's template, and refuses a user that brings any.

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use emote_proto::{
    NodeKey, Serial, Time,
    enroll::{TokenId, UserKey},
    jwt::ALGORITHM,
};
use nkeys::KeyPair;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::role::Role;

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key has no seed with it.
    #[error("the key {0} is a public one: it cannot sign")]
    NoSeed(String),
}

/// From when to when a JWT holds, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    issued: i64,
    expires: Option<i64>,
}

impl Validity {
    /// From `now` on, without an end.
    pub fn from(now: Time) -> Self {
        Self { issued: now.as_millis().div_euclid(1000), expires: None }
    }

    /// Until `end`.
    pub fn until(self, end: Time) -> Self {
        Self { expires: Some(end.as_millis().div_euclid(1000)), ..self }
    }
}

/// An account's key for users: a signing key, or the account's own.
pub struct AccountKey {
    pair: KeyPair,
    account: String,
}

impl AccountKey {
    /// `pair` signs for the account with this public key.
    pub fn new(pair: KeyPair, account: impl Into<String>) -> Self {
        Self { pair, account: account.into() }
    }

    /// The account's public key.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The public key of the pair.
    pub fn public_key(&self) -> String {
        self.pair.public_key()
    }

    /// A Mac, by a key with the template of [`Role::Device`]: there its name becomes part of subjects, so it must be one
    /// that is neither a wildcard nor two tokens.
    pub fn device(&self, serial: &Serial, user: &UserKey, validity: Validity) -> Result<String, SignError> {
        self.user(serial.as_str(), user, validity, json!({}))
    }

    /// An enrolment token, by a key with the template of [`Role::Enroll`].
    pub fn token(&self, id: &TokenId, user: &UserKey, validity: Validity) -> Result<String, SignError> {
        self.user(id.as_str(), user, validity, json!({}))
    }

    /// A user that may do what its role says under its name.
    pub fn user_of(&self, role: Role, name: &NodeKey, user: &UserKey, validity: Validity) -> Result<String, SignError> {
        self.user(name.as_str(), user, validity, role.of(name))
    }

    fn user(&self, name: &str, user: &UserKey, validity: Validity, mut claims: Value) -> Result<String, SignError> {
        claims["type"] = "user".into();
        claims["version"] = 2.into();
        if self.pair.public_key() != self.account {
            claims["issuer_account"] = self.account.as_str().into();
        }
        signed(name, user.as_str(), &self.pair, validity, claims)
    }
}

/// The JWT of an operator: it signs its own. `signing_keys` are public keys that may sign for it; `system` is the public key
/// of its system account.
pub fn operator(
    name: &str,
    operator: &KeyPair,
    signing_keys: &[String],
    system: &str,
    validity: Validity,
) -> Result<String, SignError> {
    let claims = json!({"type": "operator", "version": 2, "signing_keys": signing_keys, "system_account": system});
    signed(name, &operator.public_key(), operator, validity, claims)
}

/// Signs claims about `subject`. The id is a hash of all else, as nats-io/jwt has it.
pub fn signed(
    name: &str,
    subject: &str,
    issuer: &KeyPair,
    validity: Validity,
    nats: Value,
) -> Result<String, SignError> {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let mut claims =
        json!({"iat": validity.issued, "iss": issuer.public_key(), "name": name, "sub": subject, "nats": nats});
    if let Some(expires) = validity.expires {
        claims["exp"] = expires.into();
    }
    claims["jti"] = BASE32_NOPAD.encode(&Sha256::digest(claims.to_string())).into();
    let text = format!("{}.{}", part(&json!({"typ": "JWT", "alg": ALGORITHM})), part(&claims));
    let signature = issuer.sign(text.as_bytes()).map_err(|_| SignError::NoSeed(issuer.public_key()))?;
    Ok(format!("{text}.{}", BASE64URL_NOPAD.encode(&signature)))
}

/// The text of a `.creds` file: a user's JWT and the seed of its key.
pub fn credentials_file(jwt: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         ************************* IMPORTANT *************************\n\
         The seed below is a secret: whoever has it is this user.\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use emote_proto::jwt::Claims;

    fn at(seconds: i64) -> Time {
        Time::from_millis(seconds * 1000).unwrap()
    }

    #[test]
    fn a_device_has_a_name_an_end_and_nothing_of_its_own() {
        let (account, key) = (KeyPair::new_account(), KeyPair::new_account());
        let signer = AccountKey::new(key, account.public_key());
        let user = UserKey::new(KeyPair::new_user().public_key()).unwrap();
        let jwt = signer.device(&Serial::new("C02").unwrap(), &user, Validity::from(at(10)).until(at(20))).unwrap();
        let claims = Claims::verified(&jwt).unwrap();
        assert_eq!((claims.name.as_str(), claims.sub.as_str(), claims.exp), ("C02", user.as_str(), Some(20)));
        assert_eq!(claims.iss, signer.public_key());
        let expected = json!({"type": "user", "version": 2, "issuer_account": account.public_key()});
        assert_eq!(claims.nats, expected);
        assert!(jwt.len() < 700, "{}", jwt.len());
    }

    #[test]
    fn ids_are_of_the_content_and_a_public_key_signs_nothing() {
        let operator = KeyPair::new_operator();
        let id =
            |validity| Claims::verified(&super::operator("o", &operator, &[], "A", validity).unwrap()).unwrap().jti;
        assert_eq!(id(Validity::from(at(1))), id(Validity::from(at(1))));
        assert_ne!(id(Validity::from(at(1))), id(Validity::from(at(2))));
        let public = KeyPair::from_public_key(&operator.public_key()).unwrap();
        assert!(super::operator("o", &public, &[], "A", Validity::from(at(1))).is_err());
    }
}

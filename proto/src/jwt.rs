//! NATS JWTs, version 2 (nats-io/jwt, ADR-14): three parts in base64url without padding, the last an Ed25519 signature by
//! the issuer's nkey over the first two. Read and checked here; only the broker signs any.

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::nkey;

/// Longest JWT that is read, in bytes. An account's with thousands of revocations is the longest there is.
pub const MAX_JWT: usize = 2 * 1024 * 1024;
/// The only algorithm there is; the header says it.
pub const ALGORITHM: &str = "ed25519-nkey";

/// Why a text is no JWT that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not three parts of base64url with JSON in the first two, or too long.
    #[error("it is no NATS JWT: {0}")]
    Shape(&'static str),
    /// Another algorithm than [`ALGORITHM`].
    #[error("it is signed in a way that NATS does not know")]
    Algorithm,
    /// The signature is not the issuer's.
    #[error("its signature is not that of the issuer it names")]
    Signature,
}

/// The claims that every NATS JWT has. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Unique id.
    #[serde(default)]
    pub jti: String,
    /// When it was issued.
    #[serde(default)]
    pub iat: i64,
    /// From when on it does not hold; none: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
    /// Public key of whoever signed it.
    pub iss: String,
    /// The name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Public key of whom it is about.
    pub sub: String,
    /// What it says of an operator, account or user.
    #[serde(default)]
    pub nats: Value,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

impl Claims {
    /// Reads the claims and checks that their issuer signed them. Whether that issuer may is for the caller to know.
    pub fn verified(jwt: &str) -> Result<Self, JwtError> {
        let (signed, signature) = jwt.rsplit_once('.').ok_or(JwtError::Shape("it does not have three parts"))?;
        let claims = Self::unverified(jwt)?;
        let signature = decoded(signature)?;
        let issuer = nkey::public_key(&claims.iss).ok_or(JwtError::Shape("its issuer is no key"))?;
        if nkey::is_signed(issuer, signed.as_bytes(), &signature) { Ok(claims) } else { Err(JwtError::Signature) }
    }

    /// Reads the claims without asking who signed them: enough for one's own, which the server judges.
    pub fn unverified(jwt: &str) -> Result<Self, JwtError> {
        if jwt.len() > MAX_JWT {
            return Err(JwtError::Shape("it is too long"));
        }
        let mut parts = jwt.split('.');
        let (Some(header), Some(body), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(JwtError::Shape("it does not have three parts"));
        };
        let header: Header =
            serde_json::from_slice(&decoded(header)?).map_err(|_| JwtError::Shape("its header is none"))?;
        if header.alg != ALGORITHM {
            return Err(JwtError::Algorithm);
        }
        serde_json::from_slice(&decoded(body)?).map_err(|_| JwtError::Shape("its claims are none"))
    }
}

fn decoded(part: &str) -> Result<Vec<u8>, JwtError> {
    BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| JwtError::Shape("a part of it is not base64url"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nkeys::KeyPair;
    use proptest::prelude::*;
    use serde_json::json;

    fn jwt(header: &Value, issuer: &KeyPair) -> String {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let body = json!({"jti": "j", "iat": 7, "exp": 9, "iss": issuer.public_key(), "name": "C02", "sub": "U"});
        let signed = format!("{}.{}", part(header), part(&body));
        let signature = BASE64URL_NOPAD.encode(&issuer.sign(signed.as_bytes()).unwrap());
        format!("{signed}.{signature}")
    }

    #[test]
    fn what_its_issuer_signed_is_read_and_nothing_else() {
        let issuer = KeyPair::new_account();
        let good = jwt(&json!({"typ": "JWT", "alg": ALGORITHM}), &issuer);
        let claims = Claims::verified(&good).unwrap();
        assert_eq!((claims.name.as_str(), claims.iat, claims.exp), ("C02", 7, Some(9)));
        let none = jwt(&json!({"typ": "JWT", "alg": "none"}), &issuer);
        assert_eq!(Claims::verified(&none), Err(JwtError::Algorithm));
        let other = jwt(&json!({"typ": "JWT", "alg": ALGORITHM}), &KeyPair::new_account());
        let (signed, _) = good.rsplit_once('.').unwrap();
        let (_, foreign) = other.rsplit_once('.').unwrap();
        assert_eq!(Claims::verified(&format!("{signed}.{foreign}")), Err(JwtError::Signature));
        assert!(matches!(Claims::verified(signed), Err(JwtError::Shape(_))));
    }

    proptest! {
        #[test]
        fn a_changed_byte_is_noticed_and_foreign_text_never_panics(at in 0_usize..200, to in "[A-Za-z0-9_.-]", text: String) {
            let good = jwt(&json!({"alg": ALGORITHM}), &KeyPair::new_account());
            let at = at % good.len();
            let changed = format!("{}{to}{}", &good[..at], &good[at + 1..]);
            prop_assert_eq!(Claims::verified(&changed).is_ok(), changed == good);
            prop_assert!(Claims::verified(&text).is_err());
        }
    }
}

//! Whether a JWT may become this machine's. Pure: from bytes that a server sent to [`Checked`].
//!
//! What is signed is the server's to judge; here it is seen to that nothing useless replaces what works: it must be a
//! user's, for the key that was asked for, under this machine's serial number, and of the account that was asked.

use emote_proto::Serial;
use emote_proto::enroll::{MAX_MESSAGE, UserKey};
use emote_proto::jwt::{Claims, JwtError};
use serde_json::Value;

/// Why a JWT is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CheckError {
    #[error(transparent)]
    Jwt(#[from] JwtError),
    #[error("it is longer than {MAX_MESSAGE} bytes")]
    Length,
    #[error("it is for another key than was asked for")]
    Key,
    #[error("it is for {0:?}, not for this machine")]
    Serial(String),
    #[error("it is not a user's")]
    Kind,
    #[error("it is a user's of another account than was asked")]
    Account,
    #[error("it does not hold at any time")]
    Never,
}

/// A JWT that this machine can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(super) key: UserKey,
    pub(super) text: String,
    pub(super) account: String,
    pub(super) issued: i64,
    pub(super) expires: Option<i64>,
}

/// Checks `jwt` for `serial`; `of` is the account that it must be a user's of, when one is known.
pub(super) fn check(jwt: &str, serial: &Serial, of: Option<&str>) -> Result<Checked, CheckError> {
    if jwt.len() > MAX_MESSAGE {
        return Err(CheckError::Length);
    }
    let claims = Claims::verified(jwt)?;
    if claims.nats.get("type").and_then(Value::as_str) != Some("user") {
        return Err(CheckError::Kind);
    }
    if claims.name != serial.as_str() {
        return Err(CheckError::Serial(claims.name.chars().take(64).collect()));
    }
    let account = account(&claims);
    if of.is_some_and(|of| of != account) {
        return Err(CheckError::Account);
    }
    if claims.exp.is_some_and(|expires| expires <= claims.iat) {
        return Err(CheckError::Never);
    }
    let key = UserKey::new(claims.sub).map_err(|_| CheckError::Key)?;
    Ok(Checked { key, text: jwt.to_owned(), account, issued: claims.iat, expires: claims.exp })
}

/// The account that a user is of: a signing key names the account that it signs for.
pub(super) fn account(claims: &Claims) -> String {
    claims.nats.get("issuer_account").and_then(Value::as_str).unwrap_or(&claims.iss).to_owned()
}

//! A sign-in that was begun. Pure, but for random bytes.

use data_encoding::BASE64URL_NOPAD;
use emote_proto::Time;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::FLOW_WITHIN;
use crate::{console::http::path::LocalPath, random};

/// What is kept of it until the browser comes back.
#[derive(Serialize, Deserialize)]
pub(super) struct Flow {
    /// Comes back in the token.
    pub(super) nonce: String,
    /// What the challenge is made of; shown to the provider with the code (RFC 7636).
    pub(super) verifier: String,
    /// Hash of the browser's cookie.
    pub(super) browser: String,
    /// Where they go afterwards.
    pub(super) next: String,
    began: Time,
}

impl Flow {
    /// A new one, and its state.
    pub(super) fn begin(next: &LocalPath, browser: String, now: Time) -> Result<(String, Self), getrandom::Error> {
        let next = next.as_str().to_owned();
        let word = || random::secret().map(|word| word.to_string());
        let flow = Self { nonce: word()?, verifier: word()?, browser, next, began: now };
        Ok((word()?, flow))
    }

    /// The challenge: base64url of the verifier's SHA-256.
    pub(super) fn challenge(&self) -> String {
        BASE64URL_NOPAD.encode(&Sha256::digest(&self.verifier))
    }

    /// Whether it is not over.
    pub(super) fn is_good(&self, now: Time) -> bool {
        let age = now.millis_since(self.began);
        age >= -60_000 && u128::try_from(age.max(0)).is_ok_and(|age| age < FLOW_WITHIN.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_the_one_of_the_rfc() {
        // RFC 7636, appendix B.
        let flow = Flow {
            nonce: String::new(),
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
            browser: String::new(),
            next: "/".to_owned(),
            began: Time::from_millis(0).unwrap(),
        };
        assert_eq!(flow.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        let at = |seconds: i64| flow.is_good(Time::from_millis(seconds * 1000).unwrap());
        assert!(at(0) && at(599) && at(-30) && !at(600) && !at(-3600));
    }
}

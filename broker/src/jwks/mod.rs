//! Who signed this? JSON web signatures (RFC 7515) and tokens (RFC 7519), checked against the keys that their issuer
//! publishes (RFC 7517).
//!
//! ```text
//! token ─ parse ─→ Jws ─ key of the set, algorithm of the caller ─→ payload ─ Expected ─→ claims
//! ```
//!
//! - **Algorithms are the caller's choice**, never the token's: RS256/384/512, PS256, ES256, EdDSA (Ed25519). There is no
//!   `none`, and no HMAC for which a public key could be passed off as the secret. A key serves for one kind only.
//! - **Keys are fetched**, over https (plain http on loopback only, no redirects, at most 256 KiB within five seconds), kept
//!   for an hour, and then fetched again while the old ones serve on. A signature that no known key made has them fetched at
//!   once, but at most each minute and by one at a time: whoever sends made-up key ids makes nobody else wait. Until they
//!   may be fetched again, an unknown key is one that cannot be had ([`Refused::NoKeys`], come again), not a wrong one.
//! - **Rotation**: what was fetched replaces what was there, so a key that its issuer has taken back is gone within an
//!   hour. While fetching fails the last keys serve for a day.
//! - It never follows `jku`, `x5u`, `jwk` or `x5c` of a token, and refuses `crit`.
//!
//! Why not the crate jsonwebtoken: its signatures come from aws-lc or the `rsa` crate; here there is ring, for all of TLS.

mod cache;
mod claims;
mod fetch;
mod jws;
mod key;
#[cfg(test)]
pub(crate) mod testing;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use emote_proto::Time;
use serde_json::{Map, Value};

pub use claims::{Expected, Expiry};
pub use fetch::{Fetch, KeysUrl};
pub use jws::MAX_TOKEN;
pub use key::Algorithm;

use cache::Cache;
use jws::Jws;

/// Why a token is not believed. Says nothing of what the token holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no signed token at all.
    #[error("this is no signed token: {0}")]
    Malformed(&'static str),
    /// Its header asks for what is not done here.
    #[error("the header of the token is not one that is taken: {0}")]
    Header(&'static str),
    /// No key of the issuer fits it.
    #[error("the token names a key that is none of its issuer's")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the signature of the token is wrong")]
    Signature,
    /// It is signed, by another issuer or for somebody else.
    #[error("the token's {claim} is {problem}")]
    Claim {
        /// `iss`, `aud`, `exp`, …
        claim: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There are no keys to check it with.
    #[error("the keys of the issuer cannot be had: {0}")]
    NoKeys(String),
}

/// The keys of one issuer. Clones share them.
#[derive(Clone)]
pub struct Jwks(Arc<Inner>);

struct Inner {
    fetch: Box<dyn Fetch>,
    cache: Mutex<Cache>,
    /// Held by whoever fetches.
    fetching: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Jwks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Jwks").finish_non_exhaustive()
    }
}

impl Jwks {
    /// The keys published at `url`. Nothing is fetched yet. Whoever asks for the same address shares the keys, also with
    /// who asked before and is about to go: applying a configuration forgets no keys.
    pub fn at(url: &KeysUrl) -> Result<Self, String> {
        static KNOWN: Mutex<BTreeMap<String, Weak<Inner>>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inner) = known.get(&url.to_string()).and_then(Weak::upgrade) {
            return Ok(Self(inner));
        }
        let jwks = Self::from(fetch::Https::new(url)?);
        known.retain(|_, inner| inner.strong_count() > 0);
        known.insert(url.to_string(), Arc::downgrade(&jwks.0));
        Ok(jwks)
    }

    /// The keys that `fetch` gives.
    pub fn from(fetch: impl Fetch + 'static) -> Self {
        Self(Arc::new(Inner { fetch: Box::new(fetch), cache: Mutex::default(), fetching: tokio::sync::Mutex::new(()) }))
    }

    /// The claims of `token`, if one of the issuer's keys signed it and they are what is `expected`. Fetches keys where
    /// that may help.
    pub async fn verify(&self, token: &str, expected: &Expected, now: Time) -> Result<Map<String, Value>, Refused> {
        self.prepare(token, expected).await;
        self.verify_now(token, expected, now)
    }

    /// As [`Self::verify`], with the keys that are there now.
    pub fn verify_now(&self, token: &str, expected: &Expected, now: Time) -> Result<Map<String, Value>, Refused> {
        let jws = Jws::parse(token)?;
        self.signed(&jws, &expected.algorithms)?;
        expected.check(&jws, now)
    }

    /// Sees to it that the keys are there which `token` needs, as far as they can be had.
    pub async fn prepare(&self, token: &str, expected: &Expected) {
        // What is no token, or one that will be refused whatever the keys, has nothing fetched.
        let Ok(jws) = Jws::parse(token) else { return };
        match self.signed(&jws, &expected.algorithms) {
            Ok(()) if self.cache().is_old(Instant::now()) => {
                let this = self.clone();
                tokio::spawn(async move { this.refresh().await });
            }
            Err(Refused::UnknownKey | Refused::NoKeys(_)) => self.refresh().await,
            _ => {}
        }
    }

    fn signed(&self, jws: &Jws<'_>, algorithms: &[Algorithm]) -> Result<(), Refused> {
        let algorithm = jws.algorithm(algorithms)?;
        let now = Instant::now();
        let (keys, fresh) = {
            let cache = self.cache();
            (cache.keys(now)?, cache.is_fresh(now))
        };
        let mut fitting = keys.iter().filter(|key| key.fits(algorithm, jws.key_id())).peekable();
        let unknown = fitting.peek().is_none();
        if fitting.any(|key| key.verify(algorithm, jws.signed().as_bytes(), jws.signature())) {
            return Ok(());
        }
        match (unknown, jws.key_id()) {
            (false, Some(_)) => Err(Refused::Signature),
            _ if !fresh => {
                Err(Refused::NoKeys("the token's key may be a new one: they are fetched once a minute".to_owned()))
            }
            (true, _) => Err(Refused::UnknownKey),
            (false, None) => Err(Refused::Signature),
        }
    }

    /// Fetches, unless somebody has just done so. Whoever waits for another's fetch takes what that one got.
    async fn refresh(&self) {
        let _one = self.0.fetching.lock().await;
        if !self.cache().may_fetch(Instant::now()) {
            return;
        }
        let fetched = self.0.fetch.fetch().await.and_then(|text| key::read_set(&text));
        if let Err(error) = &fetched {
            tracing::warn!(%error, "the keys of an issuer could not be fetched");
        }
        self.cache().fetched(fetched, Instant::now());
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

//! How a sender proves who it is: one file a scheme, one line a scheme in [`VerifySpec`].
//!
//! A scheme is read from YAML without its secrets, validated, and later resolved into a [`Check`] that holds them.
//! What a check compares with a secret it compares in constant time.

mod basic;
mod bearer;
mod fixed;
mod hmac;

use std::path::Path;

use emote_proto::{Time, Trust};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Denied, Request, Unverified};
use crate::config::{Problems, Secret, SecretRef};

/// The `verify` of a source.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifySpec {
    /// Anyone may send; events are unverified.
    None,
    /// `Authorization: Bearer TOKEN`.
    Bearer(bearer::Spec),
    /// `Authorization: Basic …`.
    Basic(basic::Spec),
    /// A header with a fixed value.
    Header(fixed::HeaderSpec),
    /// A query parameter with a fixed value, for senders that can only be told a URL.
    Query(fixed::QuerySpec),
    /// A signature over the body.
    Hmac(hmac::Spec),
}

/// What every scheme's settings can do.
trait Scheme {
    /// Notes what is wrong with the settings, secrets left aside.
    fn validate(&self, problems: &mut Problems);

    /// Fetches the secrets.
    fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>>;
}

/// A scheme with its secrets, ready to check requests.
pub trait Check: Send + Sync {
    /// How far the sender can be trusted, or why not at all.
    fn check(&self, request: &Request<Unverified>, now: Time) -> Result<Trust, Denied>;

    /// The header that holds the credential, in lower case; it is kept from maps.
    fn secret_header(&self) -> Option<&str> {
        None
    }

    /// The query parameter that holds the credential; it is kept from maps.
    fn secret_query(&self) -> Option<&str> {
        None
    }
}

impl VerifySpec {
    fn scheme(&self) -> Option<&dyn Scheme> {
        match self {
            Self::None => None,
            Self::Bearer(spec) => Some(spec),
            Self::Basic(spec) => Some(spec),
            Self::Header(spec) => Some(spec),
            Self::Query(spec) => Some(spec),
            Self::Hmac(spec) => Some(spec),
        }
    }

    /// Notes what is wrong with the settings, secrets left aside.
    pub fn validate(&self, problems: &mut Problems) {
        if let Some(scheme) = self.scheme() {
            scheme.validate(problems);
        }
    }

    /// Fetches the secrets; relative files are taken from `folder`.
    pub fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>> {
        match self.scheme() {
            None => Some(Box::new(Anyone)),
            Some(scheme) => scheme.resolve(folder, problems),
        }
    }
}

struct Anyone;

impl Check for Anyone {
    fn check(&self, _: &Request<Unverified>, _: Time) -> Result<Trust, Denied> {
        Ok(Trust::Unverified)
    }
}

fn secret(path: &str, reference: &SecretRef, folder: &Path, problems: &mut Problems) -> Option<Secret> {
    problems.take(path, reference.resolve(folder))
}

/// Whether two texts are the same, in a time that depends on neither their content nor their common length.
fn same(given: &[u8], expected: &Secret) -> bool {
    Sha256::digest(given).ct_eq(&Sha256::digest(expected.expose().as_bytes())).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderMap, HeaderName, HeaderValue};
    use bytes::Bytes;
    use proptest::prelude::*;

    /// A spec whose secrets are `secret` (and `user` for a name), resolved.
    fn check(yaml: &str) -> Box<dyn Check> {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        for (name, value) in [("secret", "s3cret:x"), ("user", "ada"), ("old", "older")] {
            let path = folder.path().join(name);
            std::fs::write(&path, value).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        let spec: VerifySpec = serde_saphyr::from_str(yaml).unwrap();
        let mut problems = Problems::default();
        spec.validate(&mut problems);
        let check = spec.resolve(folder.path(), &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        check.unwrap()
    }

    fn request(headers: &[(&str, &str)], query: &str) -> Request<Unverified> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        Request::new(map, query, Bytes::from_static(b"{}"))
    }

    const BEARER: &str = "bearer: {token: '${file:secret}'}";
    const BASIC: &str = "basic: {username: '${file:user}', password: '${file:secret}'}";
    const HEADER: &str = "header: {name: Authorization, value: '${file:secret}'}";
    const QUERY: &str = "query: {name: key, value: '${file:secret}'}";

    const HMAC: &str = "hmac: {secret: '${file:secret}', header: Authorization, encoding: base64, message: '{timestamp}{body}', timestamp_header: Authorization}";

    #[test]
    fn the_right_credential_is_taken_and_every_other_is_not() {
        let basic = format!("Basic {}", data_encoding::BASE64.encode(b"ada:s3cret:x"));
        let wrong_user = format!("Basic {}", data_encoding::BASE64.encode(b"bob:s3cret:x"));
        let wrong_password = format!("Basic {}", data_encoding::BASE64.encode(b"ada:s3cret"));
        for (yaml, headers, query, trust) in [
            ("none", vec![], "", Some(Trust::Unverified)),
            (BEARER, vec![("authorization", "Bearer s3cret:x")], "", Some(Trust::Authenticated)),
            (BEARER, vec![("authorization", "bearer  s3cret:x")], "", Some(Trust::Authenticated)),
            (BEARER, vec![("authorization", "Bearer s3cret")], "", None),
            (BEARER, vec![("authorization", "s3cret:x")], "", None),
            (BEARER, vec![("authorization", "Bearer s3cret:x"), ("authorization", "Bearer s3cret:x")], "", None),
            (BEARER, vec![], "", None),
            (BASIC, vec![("authorization", &basic)], "", Some(Trust::Authenticated)),
            (BASIC, vec![("authorization", &wrong_user)], "", None),
            (BASIC, vec![("authorization", &wrong_password)], "", None),
            (BASIC, vec![("authorization", "Basic %%%")], "", None),
            (BASIC, vec![("authorization", "Bearer s3cret:x")], "", None),
            (HEADER, vec![("authorization", "s3cret:x")], "", Some(Trust::Authenticated)),
            (HEADER, vec![("authorization", "Bearer s3cret:x")], "", None),
            (HEADER, vec![], "", None),
            (QUERY, vec![], "key=s3cret%3Ax", Some(Trust::Authenticated)),
            (QUERY, vec![], "key=s3cret", None),
            (QUERY, vec![], "key=s3cret%3Ax&key=s3cret%3Ax", None),
            (QUERY, vec![], "", None),
        ] {
            let now = Time::from_millis(0).unwrap();
            let result = request(&headers, query).verify(&*check(yaml), now);
            assert_eq!(result.as_ref().map(Request::trust).ok(), trust, "{yaml} {headers:?} {query}");
            if let Err(denied) = result {
                assert!(!format!("{denied:?}").contains("s3cret"), "{denied:?}");
            }
        }
    }

    #[test]
    fn unknown_schemes_and_keys_are_refused_and_secrets_are_references() {
        for (yaml, said) in [
            ("magic: {}", "magic"),
            ("bearer: {tokn: '${env:X}'}", "tokn"),
            ("bearer: {token: abc}", "by reference"),
            ("hmac: {secret: '${env:X}', header: a, encoding: rot13}", "rot13"),
        ] {
            let error = serde_saphyr::from_str::<VerifySpec>(yaml).unwrap_err().to_string();
            assert!(error.contains(said), "{yaml}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics_a_check(value in proptest::collection::vec(0x20_u8..=0xff, 0..60), query in any::<String>()) {
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            for yaml in [BEARER, BASIC, HEADER, QUERY, HMAC] {
                let mut request = request(&[], &query);
                request.headers.insert("authorization", value.clone());
                prop_assert!(request.verify(&*check(yaml), Time::from_millis(0).unwrap()).is_err());
            }
        }
    }
}

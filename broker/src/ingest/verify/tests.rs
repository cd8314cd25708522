//! The credentials: what is right, what is not, and that nothing is told of them.

use super::*;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use proptest::prelude::*;

/// A spec whose secrets are `secret` (and `user` for a name), resolved.
fn check(yaml: &str) -> Box<dyn Check> {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in [("secret", "s3cret:x"), ("user", "ada"), ("old", "older")] {
        crate::testing::secret(&folder.path().join(name), value);
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

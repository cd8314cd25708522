//! Published signatures, and every change to what they sign.

use std::collections::BTreeSet;

use super::*;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

struct Vector {
    yaml: &'static str,
    secret: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    now: &'static str,
}

/// The vendors' own published vectors; the one for NanoMDM was made with another implementation of HMAC.
const VECTORS: [Vector; 5] = [
    Vector {
        yaml: "{header: X-Hub-Signature-256, encoding: hex, prefix: 'sha256='}",
        secret: "It's a Secret to Everybody",
        headers: &[("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")],
        body: "Hello, World!",
        now: "2026-01-01T00:00:00Z",
    },
    Vector {
        yaml: "{header: X-Slack-Signature, encoding: hex, prefix: v0=, message: 'v0:{timestamp}:{body}', timestamp_header: X-Slack-Request-Timestamp}",
        secret: "8f742231b10e8888abcd99yyyzzz85a5",
        headers: &[
            ("X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
            ("X-Slack-Request-Timestamp", "1531420618"),
        ],
        body: "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
        now: "2018-07-12T18:36:58Z",
    },
    Vector {
        yaml: "{header: X-Zendesk-Webhook-Signature, encoding: base64, message: '{timestamp}{body}', timestamp_header: X-Zendesk-Webhook-Signature-Timestamp}",
        secret: "HRkRd4BeOAoUkfZr-mhauJT64rvBASlJRoIyPsd3zeA=",
        headers: &[
            ("X-Zendesk-Webhook-Signature", "Rry/4TtIdFyawtXXp8QdI6tlAUUQ/5kL1OTp5qo/ZIk="),
            ("X-Zendesk-Webhook-Signature-Timestamp", "2021-07-25T10:00:00Z"),
        ],
        body: r#"{"say": "hello"}"#,
        now: "2021-07-25T10:04:59Z",
    },
    Vector {
        yaml: "{secret_encoding: base64, header: webhook-signature, encoding: base64, prefix: 'v1,', message: '{header:webhook-id}.{timestamp}.{body}', timestamp_header: webhook-timestamp}",
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        headers: &[
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,AAAA v1a,x v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ],
        body: r#"{"test": 2432232314}"#,
        now: "2021-02-25T15:02:10Z",
    },
    Vector {
        yaml: "{header: X-Hmac-Signature, encoding: base64}",
        secret: "correct horse",
        headers: &[("X-Hmac-Signature", "YT/ZBWY/3cjzNP80xpszEwPnmfn5LOm2tG9DWeVFYc8=")],
        body: "{\"topic\":\"mdm.Connect\"}\n",
        now: "2026-01-01T00:00:00Z",
    },
];

fn spec(yaml: &str) -> Spec {
    serde_saphyr::from_str(&yaml.replacen('{', "{secret: '${env:UNUSED}', ", 1)).unwrap()
}

fn signature(yaml: &str, secret: &str) -> Signature {
    let spec = spec(yaml);
    Signature {
        keys: vec![key(secret, spec.secret_encoding).unwrap()],
        header: spec.header.to_lowercase(),
        encoding: spec.encoding,
        prefix: spec.prefix.clone(),
        message: pieces(&spec.message).unwrap(),
        timestamp: spec.timestamp_header.as_ref().map(|name| (name.to_lowercase(), spec.tolerance)),
    }
}

fn request(headers: &[(&str, &str)], body: &str) -> Request<Unverified> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    Request::new(map, "", Bytes::copy_from_slice(body.as_bytes()))
}

#[test]
fn published_signatures_are_taken() {
    for Vector { yaml, secret, headers, body, now } in VECTORS {
        let mut problems = Problems::default();
        spec(yaml).validate(&mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        let signature = signature(yaml, secret);
        let proof = signature.check(&request(headers, body), now.parse().unwrap()).unwrap();
        assert_eq!(proof.trust, Trust::Verified, "{yaml}");
        let signed: BTreeSet<String> = proof.signed.unwrap().into_iter().collect();
        let beside: BTreeSet<String> = headers.iter().map(|(name, _)| name.to_lowercase()).collect();
        assert_eq!(signed, beside.into_iter().filter(|name| *name != signature.header).collect(), "{yaml}");
    }
}

#[test]
fn a_changed_body_secret_header_or_time_is_refused() {
    for Vector { yaml, secret, headers, body, now } in VECTORS {
        let now: Time = now.parse().unwrap();
        let right = signature(yaml, secret);
        let refused = |check: &Signature, headers: &[(&str, &str)], body: &str, now| {
            let denied = check.check(&request(headers, body), now).unwrap_err();
            assert!(!denied.to_string().contains(secret), "{denied:?}");
        };
        refused(&right, headers, &format!("{body} "), now);
        refused(&right, headers, &body[1..], now);
        refused(&signature(yaml, "AAAA"), headers, body, now);
        refused(&right, &[], body, now);
        for leave in 0..headers.len() {
            let some: Vec<_> = headers.iter().enumerate().filter(|(at, _)| *at != leave).map(|(_, h)| *h).collect();
            refused(&right, &some, body, now);
            let twice: Vec<_> = headers.iter().copied().chain([headers[leave]]).collect();
            refused(&right, &twice, body, now);
            let mut changed = headers.to_vec();
            changed[leave].1 = "1";
            refused(&right, &changed, body, now);
        }
        if right.timestamp.is_some() {
            for offset in [-600_000, 600_000] {
                refused(&right, headers, body, Time::from_millis(now.as_millis() + offset).unwrap());
            }
        }
    }
}

#[test]
fn settings_that_prove_nothing_are_refused() {
    for (yaml, path, said) in [
        ("{header: 'a b', encoding: hex}", "hmac.header", "header"),
        ("{header: a, encoding: hex, message: x}", "hmac.message", "{body}"),
        ("{header: a, encoding: hex, message: '{body'}", "hmac.message", "without"),
        ("{header: a, encoding: hex, message: '{body}{x}'}", "hmac.message", "{x} is none of"),
        ("{header: a, encoding: hex, message: '{timestamp}{body}'}", "hmac.timestamp_header", "needed"),
        ("{header: a, encoding: hex, timestamp_header: t}", "hmac.message", "{timestamp}"),
        ("{header: a, encoding: hex, tolerance: 0s}", "hmac.tolerance", "longer"),
    ] {
        let mut problems = Problems::default();
        spec(yaml).validate(&mut problems);
        let all: Vec<_> = problems.iter().collect();
        assert!(all.iter().any(|p| p.path == path && p.message.contains(said)), "{yaml}: {all:?}");
    }
}

#[test]
fn an_empty_key_is_none() {
    for secret in ["whsec_", "=", "===="] {
        assert!(key(secret, SecretEncoding::Base64).is_err(), "{secret}: anybody could sign with it");
    }
    assert_eq!(key("whsec_AAAA", SecretEncoding::Base64).unwrap().as_slice(), [0, 0, 0]);
}

#[test]
fn a_real_nanomdm_payload_beside_the_project_is_taken() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/samples/nanomdm/mdm.Authenticate.json");
    let Ok(body) = std::fs::read_to_string(path) else { return };
    let check = signature("{header: X-Hmac-Signature, encoding: base64}", "supersecret");
    let headers = [("X-Hmac-Signature", "WRcwWidpXn+ENDBjsqZqgSpqTAVp7RgD/GJ19hg+Uak=")];
    let proof = check.check(&request(&headers, &body), Time::from_millis(0).unwrap());
    assert_eq!(proof.map(|proof| proof.trust), Ok(Trust::Verified));
}

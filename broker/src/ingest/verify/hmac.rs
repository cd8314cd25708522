//! An HMAC over the body and, where the sender signs one, a timestamp.
//!
//! `message` says what is signed: text with `{body}`, `{timestamp}` and `{header:NAME}` in it. GitHub and NanoMDM sign
//! `{body}`, Slack `v0:{timestamp}:{body}`, Zendesk `{timestamp}{body}`, Standard Webhooks
//! `{header:webhook-id}.{timestamp}.{body}`. The header may hold several signatures with spaces between them; one that
//! matches is enough. A timestamp is one in seconds since 1970 or in RFC 3339.

use std::path::Path;

use emote_proto::{Time, Trust};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::SignedDuration;
use serde::Deserialize;
use sha2::Sha256;

use super::{Check, Scheme, secret};
use crate::{
    config::{Problems, SecretRef},
    ingest::{Denied, Request, Unverified, verify_header_name},
};

/// `hmac: {secret, header, encoding, prefix, message, timestamp_header, tolerance}`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    secret: SecretRef,
    /// How the secret's text gives the key.
    #[serde(default)]
    secret_encoding: SecretEncoding,
    #[serde(default)]
    algorithm: Algorithm,
    /// The header that holds the signature.
    header: String,
    encoding: Encoding,
    /// What stands before each signature, such as `sha256=`.
    #[serde(default)]
    prefix: String,
    #[serde(default = "body_only")]
    message: String,
    timestamp_header: Option<String>,
    /// How far the timestamp may lie from now, either way.
    #[serde(default = "five_minutes")]
    tolerance: SignedDuration,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SecretEncoding {
    /// The text's bytes are the key.
    #[default]
    Text,
    /// The text is the key in base64, perhaps behind `whsec_`.
    Base64,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Algorithm {
    #[default]
    Sha256,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Encoding {
    Hex,
    Base64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Body,
    Timestamp,
    Header(String),
}

struct Signature {
    key: Vec<u8>,
    header: String,
    encoding: Encoding,
    prefix: String,
    message: Vec<Piece>,
    timestamp: Option<(String, SignedDuration)>,
}

fn body_only() -> String {
    "{body}".to_owned()
}

fn five_minutes() -> SignedDuration {
    SignedDuration::from_mins(5)
}

impl Scheme for Spec {
    fn validate(&self, problems: &mut Problems) {
        // There is one algorithm; a second one makes the compiler point here.
        let Algorithm::Sha256 = self.algorithm;
        verify_header_name("hmac.header", &self.header, problems);
        if let Some(name) = &self.timestamp_header {
            verify_header_name("hmac.timestamp_header", name, problems);
        }
        let Some(message) = problems.take("hmac.message", pieces(&self.message)) else { return };
        let signs = |piece| message.contains(&piece);
        if !signs(Piece::Body) {
            problems.add("hmac.message", "must hold {body}: a signature that leaves it out proves nothing about it");
        }
        match (signs(Piece::Timestamp), &self.timestamp_header) {
            (true, None) => problems.add("hmac.timestamp_header", "is needed, because the message holds {timestamp}"),
            (false, Some(_)) => {
                problems.add("hmac.message", "must hold {timestamp}: one that is not signed proves nothing");
            }
            _ => {}
        }
        if self.tolerance <= SignedDuration::ZERO {
            problems.add("hmac.tolerance", "must be longer than nothing, such as 5m");
        }
    }

    fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>> {
        let secret = secret("hmac.secret", &self.secret, folder, problems)?;
        let key = problems.take("hmac.secret", key(secret.expose(), self.secret_encoding))?;
        let message = problems.take("hmac.message", pieces(&self.message))?;
        let timestamp = self.timestamp_header.as_ref().map(|name| (name.to_lowercase(), self.tolerance));
        let (header, prefix) = (self.header.to_lowercase(), self.prefix.clone());
        Some(Box::new(Signature { key, header, encoding: self.encoding, prefix, message, timestamp }))
    }
}

impl Check for Signature {
    fn check(&self, request: &Request<Unverified>, now: Time) -> Result<Trust, Denied> {
        let given = self.required(request, &self.header)?;
        let timestamp = self.checked_timestamp(request, now)?;
        // HMAC takes keys of any length: this cannot fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return Err(denied("no usable key")) };
        for piece in &self.message {
            match piece {
                Piece::Text(text) => mac.update(text.as_bytes()),
                Piece::Body => mac.update(&request.body),
                Piece::Timestamp => mac.update(timestamp.as_bytes()),
                Piece::Header(name) => mac.update(self.required(request, name)?.as_bytes()),
            }
        }
        let signatures = given.split(' ').filter_map(|word| word.strip_prefix(&self.prefix));
        let mut decoded = signatures.filter_map(|text| self.encoding.decode(text));
        if decoded.any(|signature| mac.clone().verify_slice(&signature).is_ok()) {
            Ok(Trust::Verified)
        } else {
            Err(denied(format!("the signature in {} does not match the body", self.header)))
        }
    }

    fn secret_header(&self) -> Option<&str> {
        Some(&self.header)
    }
}

impl Signature {
    fn required<'r>(&self, request: &'r Request<Unverified>, name: &str) -> Result<&'r str, Denied> {
        request.header(name).ok_or_else(|| denied(format!("the header {name} is missing, or stands there twice")))
    }

    /// The timestamp as it was sent, once it was found to be of now.
    fn checked_timestamp<'r>(&self, request: &'r Request<Unverified>, now: Time) -> Result<&'r str, Denied> {
        let Some((name, tolerance)) = &self.timestamp else { return Ok("") };
        let text = self.required(request, name)?;
        let at = time_of(text).ok_or_else(|| denied(format!("the timestamp in {name} is none")))?;
        if i128::from(at.millis_since(now).unsigned_abs()) > tolerance.as_millis() {
            return Err(denied(format!("the timestamp in {name} is further than {tolerance:#} from now")));
        }
        Ok(text)
    }
}

impl Encoding {
    fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok(),
            Self::Base64 => data_encoding::BASE64.decode(text.as_bytes()).ok(),
        }
    }
}

fn denied(problem: impl Into<String>) -> Denied {
    Denied { problem: problem.into(), challenge: None }
}

fn time_of(text: &str) -> Option<Time> {
    match text.parse::<i64>() {
        Ok(seconds) => Time::from_millis(seconds.checked_mul(1000)?),
        Err(_) => text.parse().ok(),
    }
}

fn key(secret: &str, encoding: SecretEncoding) -> Result<Vec<u8>, &'static str> {
    match encoding {
        SecretEncoding::Text => Ok(secret.as_bytes().to_vec()),
        SecretEncoding::Base64 => {
            let text = secret.strip_prefix("whsec_").unwrap_or(secret).trim_end_matches('=');
            let key = data_encoding::BASE64_NOPAD.decode(text.as_bytes());
            key.map_err(|_| "the secret is not base64, as `secret_encoding: base64` says it is")
        }
    }
}

fn pieces(template: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("a { without its }")?;
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        pieces.push(match name.split_once(':') {
            None if name == "body" => Piece::Body,
            None if name == "timestamp" => Piece::Timestamp,
            Some(("header", header)) if !header.is_empty() => Piece::Header(header.to_lowercase()),
            _ => return Err(format!("{{{name}}} is none of {{body}}, {{timestamp}}, {{header:NAME}}")),
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
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
            headers: &[(
                "X-Hub-Signature-256",
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            )],
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
            key: key(secret, spec.secret_encoding).unwrap(),
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
            let result = signature(yaml, secret).check(&request(headers, body), now.parse().unwrap());
            assert_eq!(result, Ok(Trust::Verified), "{yaml}");
        }
    }

    #[test]
    fn a_changed_body_secret_header_or_time_is_refused() {
        for Vector { yaml, secret, headers, body, now } in VECTORS {
            let now: Time = now.parse().unwrap();
            let right = signature(yaml, secret);
            let refused = |check: &Signature, headers: &[(&str, &str)], body: &str, now| {
                let denied = check.check(&request(headers, body), now).unwrap_err();
                assert!(!denied.problem.contains(secret), "{denied:?}");
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
    fn a_real_nanomdm_payload_beside_the_project_is_taken() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/samples/nanomdm/mdm.Authenticate.json");
        let Ok(body) = std::fs::read_to_string(path) else { return };
        let check = signature("{header: X-Hmac-Signature, encoding: base64}", "supersecret");
        let headers = [("X-Hmac-Signature", "WRcwWidpXn+ENDBjsqZqgSpqTAVp7RgD/GJ19hg+Uak=")];
        assert_eq!(check.check(&request(&headers, &body), Time::from_millis(0).unwrap()), Ok(Trust::Verified));
    }
}

//! A webhook to a source of each scheme: the first line names the scheme, then come headers, an empty line, and the body.
//! Nothing panics; and where a signature is taken, the body is the one that was signed.
#![no_main]

use std::{collections::BTreeMap, sync::LazyLock, time::Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use emote::ingest::{Moment, NoAliases, Request, Source, SourceSpec};
use emote_proto::{Name, Time};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// Scheme, settings with SECRET in them, the secret, the body that is signed in the seeds, and the time it was signed; as
/// the tests of ingest have them.
const SCHEMES: [(&str, &str, &str, Option<&str>, i64); 13] = [
    ("github", r#"{"secret": SECRET}"#, "It's a Secret to Everybody", Some("Hello, World!"), 0),
    ("slack", r#"{"secret": SECRET}"#, "8f742231b10e8888abcd99yyyzzz85a5", Some("token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"), 1_531_420_618),
    ("zendesk", r#"{"secret": SECRET}"#, "HRkRd4BeOAoUkfZr-mhauJT64rvBASlJRoIyPsd3zeA=", Some(r#"{"say": "hello"}"#), 1_627_207_200),
    ("kolide", r#"{"secret": SECRET}"#, "kolide-secret", Some(r#"{"data": {"id": "1"}, "event": "devices.created"}"#), 0),
    ("nanomdm", r#"{"secret": SECRET}"#, "correct horse", Some("{\"topic\":\"mdm.Connect\"}\n"), 0),
    ("app_store_connect", r#"{"secret": SECRET}"#, "asc-secret", Some(r#"{"data":{"type":"webhookPingCreated","id":"1"}}"#), 0),
    ("standard_webhooks", r#"{"secret": SECRET, "public_key": "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="}"#, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", Some(r#"{"test": 2432232314}"#), 1_614_265_330),
    ("svix", r#"{"secret": SECRET}"#, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", Some(r#"{"test": 2432232314}"#), 1_614_265_330),
    ("hmac", r#"{"secret": SECRET, "header": "X-Signature", "encoding": "hex", "message": "{timestamp}:{header:X-Id}:{body}", "timestamp_header": "X-Time"}"#, "key", Some("{}"), 1_614_265_330),
    ("okta", r#"{"secret": SECRET}"#, "s3cret", None, 0),
    ("basic", r#"{"username": SECRET, "password": SECRET}"#, "s3cret", None, 0),
    ("bearer", r#"{"token": SECRET}"#, "s3cret", None, 0),
    ("graph", r#"{"client_state": SECRET}"#, "s3cret", None, 0),
];

struct Edge {
    source: Source,
    body: Option<&'static str>,
    now: i64,
}

static EDGES: LazyLock<BTreeMap<&str, Edge>> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("emote-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let edges = SCHEMES.iter().map(|(name, settings, secret, body, now)| {
        let path = folder.join(name);
        std::fs::write(&path, secret).expect("a file");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its mode");
        let settings = settings.replace("SECRET", &format!("\"${{file:{name}}}\""));
        let settings: Value = serde_json::from_str(&settings).expect("JSON");
        let spec = json!({"verify": {*name: settings}, "decode": "auto", "map": "{scope: \"a\", action: \"b\", info: {is: .}}"});
        let spec: SourceSpec = serde_json::from_value(spec).expect("a source");
        let plan = spec.validate(&Name::new("it").expect("a name")).expect("a right source");
        (*name, Edge { source: plan.resolve(&folder).expect("its secrets"), body: *body, now: *now })
    });
    let edges = edges.collect();
    std::fs::remove_dir_all(&folder).expect("the folder goes");
    edges
});

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let Some(edge) = lines.next().and_then(|name| EDGES.get(std::str::from_utf8(name).ok()?)) else { return };
    let (mut headers, mut rest) = (HeaderMap::new(), data.len());
    for line in lines.by_ref() {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            // The body begins behind this line.
            rest = line.as_ptr() as usize - data.as_ptr() as usize + line.len() + 1;
            break;
        };
        let pair = HeaderName::from_bytes(&line[..colon]).ok().zip(HeaderValue::from_bytes(&line[colon + 1..]).ok());
        if let Some((name, value)) = pair {
            headers.append(name, value);
        }
    }
    let body = data.get(rest..).unwrap_or_default();
    let request = Request::new(headers, "", Bytes::copy_from_slice(body));
    let moment = Moment { now: Time::from_millis(edge.now * 1000).expect("a time"), random: [0; 16] };
    let taken = edge.source.take(request, &NoAliases, &moment, Instant::now());
    let refused_before = taken.as_ref().err().is_some_and(|refusal| refusal.word() == "denied");
    if let (Some(signed), false) = (edge.body, refused_before) {
        assert_eq!(body, signed.as_bytes(), "a body that nobody signed: {taken:?}");
    }
});

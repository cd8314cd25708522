//! Every scheme through the router: what its vendor signs is taken, and every change to it is not.

use axum::http::{Request as HttpRequest, StatusCode};
use hmac::{KeyInit as _, Mac as _};
use tower::ServiceExt as _;

use super::{
    testing::{Edge, Headers},
    *,
};
use crate::jwks::{Algorithm, testing::Signer};

struct Vector {
    /// The scheme's settings with `SECRET` in it.
    verify: &'static str,
    secret: &'static str,
    headers: Headers<'static>,
    body: &'static str,
    now: &'static str,
    /// So far from `now` it is still taken, a second further it is not; seconds.
    window: Option<(i64, i64)>,
}

const SVIX_BODY: &str = r#"{"test": 2432232314}"#;
const SVIX_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SVIX_PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";
const SVIX_V1A: &str = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";
const MINUTES: Option<(i64, i64)> = Some((-300, 300));

/// Vendors' published vectors; those for Kolide, PagerDuty and App Store Connect were made with another implementation of HMAC.
const VECTORS: [Vector; 11] = [
    Vector {
        verify: "github: {secret: SECRET}",
        secret: "It's a Secret to Everybody",
        headers: &[
            ("X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
            ("content-type", "application/x-www-form-urlencoded"),
        ],
        body: "Hello, World!",
        now: "2026-01-01T00:00:00Z",
        window: None,
    },
    Vector {
        verify: "slack: {secret: SECRET}",
        secret: "8f742231b10e8888abcd99yyyzzz85a5",
        headers: &[
            ("X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
            ("X-Slack-Request-Timestamp", "1531420618"),
            ("content-type", "application/x-www-form-urlencoded"),
        ],
        body: "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
        now: "2018-07-12T18:36:58Z",
        window: MINUTES,
    },
    Vector {
        verify: "zendesk: {secret: SECRET, tolerance: 10m}",
        secret: "HRkRd4BeOAoUkfZr-mhauJT64rvBASlJRoIyPsd3zeA=",
        headers: &[
            ("X-Zendesk-Webhook-Signature", "Rry/4TtIdFyawtXXp8QdI6tlAUUQ/5kL1OTp5qo/ZIk="),
            ("X-Zendesk-Webhook-Signature-Timestamp", "2021-07-25T10:00:00Z"),
        ],
        body: r#"{"say": "hello"}"#,
        now: "2021-07-25T10:00:00Z",
        window: Some((-600, 600)),
    },
    Vector {
        verify: "kolide: {secret: SECRET}",
        secret: "kolide-secret",
        headers: &[("Authorization", "06821cb90636aeaa84b1c7fdc46d42a0be167b22da0c4f693d25879c4e22b7d6")],
        body: r#"{"data": {"id": "1"}, "event": "devices.created"}"#,
        now: "2026-01-01T00:00:00Z",
        window: None,
    },
    Vector {
        verify: "hmac: {secret: SECRET, header: X-PagerDuty-Signature, encoding: hex, prefix: 'v1='}",
        secret: "pd-secret",
        headers: &[(
            "X-PagerDuty-Signature",
            "v1=00,v1=0adc41c5a6f9abe37cbdc1e9cd2fd9de6dc004b83c4700cac45a7b5c4d617a55",
        )],
        body: r#"{"event":{"id":"01","event_type":"pagey.ping"}}"#,
        now: "2026-01-01T00:00:00Z",
        window: None,
    },
    Vector {
        verify: "nanomdm: {secret: SECRET}",
        secret: "correct horse",
        headers: &[("X-Hmac-Signature", "YT/ZBWY/3cjzNP80xpszEwPnmfn5LOm2tG9DWeVFYc8=")],
        body: "{\"topic\":\"mdm.Connect\"}\n",
        now: "2026-01-01T00:00:00Z",
        window: None,
    },
    Vector {
        verify: "app_store_connect: {secret: SECRET}",
        secret: "asc-secret",
        headers: &[(
            "X-Apple-Signature",
            "hmacsha256=f6377c2e185f51cc8255e3d7dee92b4029cff6f49bab98891c37d086c002884a",
        )],
        body: r#"{"data":{"type":"webhookPingCreated","id":"1"}}"#,
        now: "2026-01-01T00:00:00Z",
        window: None,
    },
    Vector {
        verify: "standard_webhooks: {secret: SECRET}",
        secret: SVIX_SECRET,
        headers: &[
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,AAAA v1a,x v2 v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ],
        body: SVIX_BODY,
        now: "2021-02-25T15:02:10Z",
        window: MINUTES,
    },
    Vector {
        verify: "svix: {secret: SECRET}",
        secret: SVIX_SECRET,
        headers: &[
            ("svix-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("svix-timestamp", "1614265330"),
            ("svix-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ],
        body: SVIX_BODY,
        now: "2021-02-25T15:02:10Z",
        window: MINUTES,
    },
    Vector {
        verify: "standard_webhooks: {secret: SECRET}",
        secret: SVIX_PUBLIC,
        headers: &[
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", SVIX_V1A),
        ],
        body: SVIX_BODY,
        now: "2021-02-25T15:02:10Z",
        window: MINUTES,
    },
    Vector {
        verify: "hmac: {secret: SECRET, header: X-Signature, encoding: hex, message: '{timestamp}:{header:X-Id}:{body}', timestamp_header: X-Time}",
        secret: "key",
        headers: &[
            ("X-Signature", "9fdd1fc9ba873b4b95f5589fa0f16c7091e0f0b80e59b2c856a49b8fbcbd80e4"),
            ("X-Time", "1614265330"),
            ("X-Id", "7"),
        ],
        body: "{}",
        now: "2021-02-25T15:02:10Z",
        window: MINUTES,
    },
];

impl Vector {
    fn edge(&self, reference: &str) -> Edge {
        self.edge_at(reference, self.now)
    }

    fn edge_at(&self, reference: &str, now: &str) -> Edge {
        Edge::new(&format!("{{{}}}", self.verify.replacen("SECRET", reference, 1)), self.secret, now)
    }

    /// `now`, and so many seconds.
    fn later(&self, seconds: i64) -> String {
        let now = self.now.parse::<Time>().unwrap().as_millis();
        Time::from_millis(now + seconds * 1000).unwrap().to_string()
    }
}

const RIGHT: &str = "'${file:secret}'";

#[tokio::test]
async fn what_a_vendor_signs_is_taken_and_its_replay_is_the_same_event() {
    for vector in VECTORS {
        let edge = vector.edge(RIGHT);
        let (status, answer) = edge.post(vector.headers, vector.body).await;
        assert_eq!(status, StatusCode::OK, "{}: {answer}", vector.verify);
        let again = edge.post(vector.headers, vector.body).await;
        assert_eq!(again, (status, answer), "{}", vector.verify);
        let [event] = &edge.stored()[..] else { panic!("{}: {:?}", vector.verify, edge.stored()) };
        assert_eq!(event["trust"], "verified", "{}", vector.verify);
    }
}

#[tokio::test]
async fn what_was_signed_with_an_id_or_a_time_is_one_event_even_where_bodies_are_not_told_apart() {
    for vector in VECTORS.iter().filter(|vector| vector.window.is_some()) {
        let verify = vector.verify.replacen("SECRET", RIGHT, 1);
        let yaml = format!("verify: {{{verify}}}\ndedupe: none\nmap: '{{scope: \"a\", action: \"b\"}}'");
        let edge = Edge::of(&yaml, vector.secret, vector.now);
        let (_, answer) = edge.post(vector.headers, vector.body).await;
        assert_eq!(edge.post(vector.headers, vector.body).await, (StatusCode::OK, answer), "{}", vector.verify);
        assert_eq!(edge.stored().len(), 1, "{}", vector.verify);
    }
}

#[tokio::test]
async fn while_a_secret_is_changed_the_old_and_the_new_one_are_right_and_no_other() {
    for vector in VECTORS {
        for (secrets, right) in [
            ("['${file:secret}', '${file:other}']", true),
            ("['${file:other}', '${file:secret}']", true),
            ("['${file:other}']", false),
            ("'${file:other}'", false),
        ] {
            let edge = vector.edge(secrets);
            let (status, answer) = edge.post(vector.headers, vector.body).await;
            let expected = if right { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
            assert_eq!(status, expected, "{} {secrets}: {answer}", vector.verify);
        }
    }
}

#[tokio::test]
async fn a_body_that_is_changed_cut_or_too_large_is_refused() {
    for vector in VECTORS {
        let edge = vector.edge(RIGHT);
        let body = vector.body;
        for changed in [
            format!("{body} "),
            body[1..].to_owned(),
            body[..body.len() - 1].to_owned(),
            String::new(),
            format!("\n{body}"),
        ] {
            let (status, answer) = edge.post(vector.headers, changed).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{}: {answer}", vector.verify);
            assert!(!answer.contains(vector.secret), "{answer}");
        }
        let (status, _) = edge.post(vector.headers, body.repeat(2000)).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{}", vector.verify);
        assert_eq!(edge.stored(), Vec::<serde_json::Value>::new());
    }
}

#[tokio::test]
async fn a_header_that_is_left_out_doubled_or_changed_is_refused() {
    for vector in VECTORS {
        let edge = vector.edge(RIGHT);
        let signing = vector.headers.iter().filter(|(name, _)| *name != "content-type");
        for (at, (name, value)) in signing.enumerate() {
            let without: Vec<_> =
                vector.headers.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, h)| *h).collect();
            let with = |value| without.iter().copied().chain([(*name, value)]).collect::<Vec<_>>();
            let twice: Vec<_> = vector.headers.iter().copied().chain([(*name, *value)]).collect();
            let (longer, spaced) = (format!("{value}0"), format!("x {}", &value[..value.len() - 1]));
            for headers in [without.clone(), twice, with(""), with("1"), with(&longer), with(&spaced)] {
                let (status, answer) = edge.post(&headers, vector.body).await;
                assert_eq!(status, StatusCode::UNAUTHORIZED, "{} {headers:?}: {answer}", vector.verify);
            }
        }
        assert_eq!(edge.stored(), Vec::<serde_json::Value>::new());
    }
}

#[tokio::test]
async fn a_signed_time_must_be_of_now() {
    for vector in VECTORS {
        let Some((early, late)) = vector.window else { continue };
        for (seconds, right) in
            [(early, true), (late, true), (early - 1, false), (late + 1, false), (86_400 * 365, false)]
        {
            let edge = vector.edge_at(RIGHT, &vector.later(seconds));
            let (status, answer) = edge.post(vector.headers, vector.body).await;
            assert_eq!(status == StatusCode::OK, right, "{} {seconds}: {answer}", vector.verify);
        }
    }
}

#[tokio::test]
async fn a_body_and_its_time_cannot_be_cut_elsewhere() {
    // What is signed is `a.1614265330.1614265331.b`: neither dot may be taken for the other.
    let verify = "{standard_webhooks: {public_key: 'KEY'}}";
    let signer = Signer::new("1", Algorithm::EdDsa);
    let point = signer.jwk()["x"].as_str().unwrap().to_owned();
    let point = data_encoding::BASE64URL_NOPAD.decode(point.as_bytes()).unwrap();
    let verify = verify.replace("KEY", &format!("whpk_{}", data_encoding::BASE64.encode(&point)));
    let signature = signer.sign(Algorithm::EdDsa, b"a.1614265330.1614265331.b=c");
    let signature = format!("v1a,{}", data_encoding::BASE64.encode(&signature));
    let edge = Edge::new(&verify, "x", "2021-02-25T15:02:10Z");
    let headers = |id, time| {
        [
            ("webhook-id", id),
            ("webhook-timestamp", time),
            ("webhook-signature", signature.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ]
    };
    let (status, _) = edge.post(&headers("a.1614265330", "1614265331"), "b=c").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, answer) = edge.post(&headers("a", "1614265330"), "1614265331.b=c").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test]
async fn slacks_question_is_answered_when_it_is_signed() {
    let edge = Edge::new("{slack: {secret: '${file:secret}'}}", "key", "2021-02-25T15:02:10Z");
    let post = async |body: &str, signed: &str| {
        let mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"key").unwrap();
        let mac = mac.chain_update(format!("v0:1614265330:{signed}")).finalize().into_bytes();
        let signature = format!("v0={}", data_encoding::HEXLOWER.encode(&mac));
        let headers = [("X-Slack-Signature", signature.as_str()), ("X-Slack-Request-Timestamp", "1614265330")];
        edge.post(&headers, body.to_owned()).await
    };
    let question = r#"{"token":"t","type":"url_verification","challenge":"3eZbrw1aB10FEMAGAZd4FyFQ"}"#;
    assert_eq!(post(question, question).await, (StatusCode::OK, "3eZbrw1aB10FEMAGAZd4FyFQ".to_owned()));
    assert_eq!(post(question, "{}").await.0, StatusCode::UNAUTHORIZED);
    assert!(edge.stored().is_empty());
    let event = r#"{"type":"event_callback","challenge":"x"}"#;
    assert_eq!(post(event, event).await.0, StatusCode::OK);
    assert_eq!(edge.stored().len(), 1);
}

#[tokio::test]
async fn each_notification_of_graph_holds_the_state_that_was_agreed_and_it_goes_no_further() {
    let edge =
        Edge::new("{graph: {client_state: ['${file:other}', '${file:secret}']}}", "s3cret", "2026-01-01T00:00:00Z");
    let item = |state: &str| format!(r#"{{"changeType":"updated","clientState":"{state}","resource":"Users/1"}}"#);
    let body = |items: &[String]| format!(r#"{{"value":[{}]}}"#, items.join(","));
    let (right, wrong) = (item("s3cret"), item("guess"));
    for (name, refused) in [
        ("none", body(&[])),
        ("wrong", body(std::slice::from_ref(&wrong))),
        ("one of two", body(&[right.clone(), wrong.clone()])),
        ("first of two", body(&[wrong, right.clone()])),
        ("missing", body(&[right.clone(), r#"{"changeType":"updated"}"#.to_owned()])),
        ("null", body(&[r#"{"clientState":null}"#.to_owned()])),
        ("twice", body(&[r#"{"clientState":"guess","clientState":"s3cret"}"#.to_owned()])),
        ("no list", r#"{"value":{"clientState":"s3cret"}}"#.to_owned()),
        ("above", r#"{"clientState":"s3cret","value":[]}"#.to_owned()),
        ("cut", body(std::slice::from_ref(&right)).trim_end_matches('}').to_owned()),
        ("other", "[]".to_owned()),
    ] {
        let (status, answer) = edge.post(&[], refused).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{name}: {answer}");
    }
    assert!(edge.stored().is_empty());
    let (status, answer) = edge.post(&[], body(&[right.clone(), right])).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let [event] = &edge.stored()[..] else { panic!("{:?}", edge.stored()) };
    assert_eq!(event["trust"], "authenticated");
    assert_eq!(event["info"]["is"]["value"][1], json!({"changeType": "updated", "resource": "Users/1"}));
    let question =
        HttpRequest::post("/in/it?validationToken=a%20b%3C").header("content-type", "text/plain; charset=utf-8");
    let response = edge.router.clone().oneshot(question.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &"text/plain; charset=utf-8".parse().unwrap())
    );
    assert_eq!(axum::body::to_bytes(response.into_body(), 100).await.unwrap(), "a b<");
}

use std::sync::{Arc, Mutex};

use axum::{Json, Router, extract::State, routing::any};
use serde_json::{Value, json};

use super::super::{
    Kind,
    testing::{ByHand, InMemory},
};
use crate::{
    ingest::SourceSpec,
    jwks::{Algorithm, testing::Signer},
};

const NOW: &str = "2026-03-04T05:06:07Z";

/// A transmitter that gives what was not acknowledged, the oldest first.
#[derive(Default)]
struct Transmitter {
    waiting: Mutex<Vec<(String, String)>>,
    acknowledged: Mutex<Vec<String>>,
    errs: Mutex<Vec<Value>>,
    asked: Mutex<Vec<Value>>,
    /// None where they cannot be had.
    keys: Mutex<Option<Value>>,
}

struct Played {
    transmitter: Arc<Transmitter>,
    url: String,
    signer: Signer,
}

impl Played {
    async fn new() -> Self {
        let signer = Signer::new("k1", Algorithm::Es256);
        let transmitter = Arc::new(Transmitter::default());
        *transmitter.keys.lock().unwrap() = Some(json!({"keys": [signer.jwk()]}));
        let app =
            Router::new().route("/poll", any(poll)).route("/keys", any(keys)).with_state(Arc::clone(&transmitter));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { transmitter, url, signer }
    }

    fn source(&self, more: &Value) -> Value {
        let mut poll =
            json!({"url": format!("{}/poll", self.url), "auth": {"bearer": "${file:token}"}, "protocol": "sets"});
        poll.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({
            "map": "{scope: \"user\", action: \"said\", info: {jti, n: .events.n}}", "decode": "json", "poll": poll,
            "verify": {"jws": {
                "jwks": format!("{}/keys", self.url), "issuer": "https://idp.example.com", "audience": "emote",
                "authorization": "${file:pushed}",
            }},
        })
    }

    fn claims(jti: &str, n: u64) -> Value {
        let now = jiff::Timestamp::now().as_second();
        json!({"iss": "https://idp.example.com", "aud": "emote", "jti": jti, "iat": now, "events": {"n": n}})
    }

    fn token(&self, claims: &Value) -> String {
        self.signer.token(Algorithm::Es256, claims)
    }

    fn has(&self, jti: &str, set: String) {
        self.transmitter.waiting.lock().unwrap().push((jti.to_owned(), set));
    }

    fn has_some(&self, range: std::ops::Range<u64>) {
        for n in range {
            let jti = format!("j{n}");
            self.has(&jti, self.token(&Self::claims(&jti, n)));
        }
    }

    fn acknowledged(&self) -> Vec<String> {
        self.transmitter.acknowledged.lock().unwrap().clone()
    }

    /// What was asked since it was last looked: `maxEvents`, and whether an answer was wanted at once.
    fn asked(&self) -> Vec<(u64, bool)> {
        let asked = std::mem::take(&mut *self.transmitter.asked.lock().unwrap());
        asked.iter().map(|body| (body["maxEvents"].as_u64().unwrap(), body["returnImmediately"] == true)).collect()
    }
}

async fn poll(State(at): State<Arc<Transmitter>>, Json(body): Json<Value>) -> Json<Value> {
    let said: Vec<String> =
        body["ack"].as_array().into_iter().flatten().map(|jti| jti.as_str().unwrap().to_owned()).collect();
    let errs = body["setErrs"].as_object().cloned().unwrap_or_default();
    let mut waiting = at.waiting.lock().unwrap();
    waiting.retain(|(jti, _)| !said.contains(jti) && !errs.contains_key(jti));
    at.acknowledged.lock().unwrap().extend(said);
    at.errs.lock().unwrap().extend(errs.into_iter().map(|(jti, err)| json!([jti, err["err"]])));
    let most = usize::try_from(body["maxEvents"].as_u64().unwrap()).unwrap();
    at.asked.lock().unwrap().push(body);
    let sets: serde_json::Map<String, Value> =
        waiting.iter().take(most).map(|(jti, set)| (jti.clone(), Value::from(set.as_str()))).collect();
    Json(json!({"moreAvailable": waiting.len() > most, "sets": sets}))
}

async fn keys(State(at): State<Arc<Transmitter>>) -> Result<Json<Value>, http::StatusCode> {
    at.keys.lock().unwrap().clone().map(Json).ok_or(http::StatusCode::BAD_GATEWAY)
}

fn told(log: &InMemory) -> Vec<u64> {
    let mut told: Vec<u64> = log.told().iter().filter_map(|event| event["info"]["n"].as_u64()).collect();
    told.sort_unstable();
    told
}

#[tokio::test]
async fn what_is_told_is_acknowledged_with_the_next_request_and_asked_for_until_there_is_no_more() {
    let played = Played::new().await;
    played.has_some(0..5);
    let log = Arc::new(InMemory::default());
    let mut source = ByHand::new("idp", &played.source(&json!({"max_events": 2})), Kind::Poll, &log);
    assert_eq!(source.round(NOW).await, "whole");
    assert_eq!(told(&log), [0, 1, 2, 3, 4]);
    assert_eq!(played.acknowledged(), ["j0", "j1", "j2", "j3", "j4"]);
    assert_eq!(played.asked(), [(2, false), (2, true), (2, true), (2, true)], "it is waited for the first alone");
    let first = log.stored().into_iter().find(|event| event["scope"] == "user").unwrap();
    assert_eq!((&first["trust"], &first["info"]["jti"]), (&json!("verified"), &json!("j0")));
    assert_eq!(log.own("polled").len(), 1, "a sign of life");
    assert_eq!(source.round(NOW).await, "whole");
    assert_eq!((played.asked(), log.own("polled").len()), (vec![(2, false)], 1));
    let report = source.report();
    assert_eq!((report.pages, report.items, report.events, report.refused), (3, 5, 5, 0));
}

#[tokio::test]
async fn a_round_that_is_long_acknowledges_what_it_has_told_and_asks_for_no_more() {
    let played = Played::new().await;
    played.has_some(0..5);
    let log = Arc::new(InMemory::default());
    let file = played.source(&json!({"max_events": 2, "max_pages": 2, "long_poll": false}));
    let mut source = ByHand::new("idp", &file, Kind::Poll, &log);
    assert_eq!(source.round(NOW).await, "cut");
    assert_eq!(played.asked(), [(2, true), (2, true), (0, true)]);
    assert_eq!((told(&log).len(), played.acknowledged().len()), (4, 4));
    source.restart();
    assert_eq!(source.round(NOW).await, "whole");
    assert_eq!(told(&log), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn nothing_is_acknowledged_that_is_not_stored_and_what_comes_again_is_told_once() {
    for stored in 0..=3 {
        let played = Played::new().await;
        played.has_some(0..3);
        let log = Arc::new(InMemory::default());
        let mut source = ByHand::new("idp", &played.source(&json!({})), Kind::Poll, &log);
        log.away_after(Some(stored));
        let ended = source.round(NOW).await;
        assert!(ended.starts_with("here: "), "{ended}");
        // Of three the answer is one, and so is its acknowledgement: all of it, or nothing.
        assert_eq!(played.acknowledged().len(), if stored == 3 { 3 } else { 0 });
        log.away_after(None);
        source.restart();
        assert_eq!(source.round(NOW).await, "whole");
        assert_eq!((told(&log), played.acknowledged().len()), (vec![0, 1, 2], 3), "{stored}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_with_the_word_for_it_and_keeps_nothing_else_back() {
    let played = Played::new().await;
    let claims = |jti: &str, key: &str, value: Value| {
        let mut claims = Played::claims(jti, 9);
        claims[key] = value;
        played.token(&claims)
    };
    let forged = Signer::new("k1", Algorithm::Es256).token(Algorithm::Es256, &Played::claims("forged", 9));
    let mut broken = played.token(&Played::claims("claims", 9));
    broken.push('x');
    for (jti, set) in [
        ("forged", forged),
        ("garbage", "not.a.token".to_owned()),
        ("none", String::new()),
        ("issuer", claims("issuer", "iss", "https://evil.example.com".into())),
        ("audience", claims("audience", "aud", "others".into())),
        ("old", claims("old", "iat", 1_000.into())),
        ("other", claims("another", "n", 1.into())),
        ("broken", broken),
    ] {
        played.has(jti, set);
    }
    played.has_some(0..1);
    let log = Arc::new(InMemory::default());
    let mut source = ByHand::new("idp", &played.source(&json!({})), Kind::Poll, &log);
    assert_eq!(source.round(NOW).await, "whole");
    assert_eq!((told(&log), played.acknowledged()), (vec![0], vec!["j0".to_owned()]));
    let mut errs: Vec<String> = played.transmitter.errs.lock().unwrap().iter().map(Value::to_string).collect();
    errs.sort();
    insta::assert_snapshot!(errs.join("\n"), @r#"
    ["audience","invalid_audience"]
    ["broken","invalid_request"]
    ["forged","authentication_failed"]
    ["garbage","invalid_request"]
    ["issuer","invalid_issuer"]
    ["none","invalid_request"]
    ["old","invalid_request"]
    ["other","invalid_request"]
    "#);
    let refused = log.own("set_refused");
    assert_eq!(refused.len(), 8);
    assert!(refused.iter().all(|info| info["description"].is_string() && info["err"].is_string()), "{refused:?}");
    assert_eq!(source.report().refused, 8);
}

#[tokio::test]
async fn without_the_issuers_keys_nothing_is_acknowledged_and_nothing_refused() {
    let played = Played::new().await;
    let keys = played.transmitter.keys.lock().unwrap().take();
    played.has_some(0..2);
    played.has("garbage", "no".to_owned());
    let log = Arc::new(InMemory::default());
    let mut source = ByHand::new("idp", &played.source(&json!({})), Kind::Poll, &log);
    let ended = source.round(NOW).await;
    assert!(ended.starts_with("there: the keys of the token's issuer cannot be had"), "{ended}");
    assert_eq!((played.acknowledged().len(), played.transmitter.waiting.lock().unwrap().len()), (0, 2));
    assert_eq!(log.own("poll_failed").len(), 1);
    *played.transmitter.keys.lock().unwrap() = keys;
    // Keys are fetched at most once a minute: another process has not tried yet.
    let other = format!("{}/keys?", played.url);
    let mut file = played.source(&json!({}));
    file["verify"]["jws"]["jwks"] = other.into();
    let mut source = ByHand::new("idp", &file, Kind::Poll, &log);
    assert_eq!(source.round(NOW).await, "whole");
    assert_eq!((told(&log), played.acknowledged().len()), (vec![0, 1], 2));
}

#[tokio::test]
async fn what_is_no_answer_of_this_protocol_is_trouble() {
    use super::super::testing::{Exchange, StandIn};
    let stand_in = StandIn::new(vec![
        Exchange { answer: json!({"sets": []}), ..Exchange::default() },
        Exchange { status: Some(401), answer: json!({"error": "who?"}), ..Exchange::default() },
        Exchange { status: Some(204), ..Exchange::default() },
    ])
    .await;
    let played = Played::new().await;
    let mut file = played.source(&json!({}));
    file["poll"]["url"] = stand_in.url.clone().into();
    let log = Arc::new(InMemory::default());
    let mut source = ByHand::new("idp", &file, Kind::Poll, &log);
    for said in ["there: `sets` of the answer is no object", "there: answered 401", "whole"] {
        let ended = source.round(NOW).await;
        assert!(ended.starts_with(said), "{ended}");
    }
}

#[test]
fn events_that_are_polled_must_be_checked_and_have_no_pages() {
    let poll = json!({"protocol": "sets", "url": "https://idp.example.com/poll"});
    let with_items = json!({"protocol": "sets", "url": "https://idp.example.com/poll", "items": "."});
    for (file, path, said) in [
        (json!({"map": ".", "poll": poll}), "poll.protocol", "verify: {jws"),
        (json!({"map": ".", "poll": with_items}), "poll.items", "unknown key"),
        (
            json!({"map": ".", "poll": {"protocol": "x", "url": "https://x.example.com"}}),
            "poll.protocol",
            "expected pages",
        ),
        (
            json!({"map": ".", "verify": "none", "reconcile": {"protocol": "sets", "url": "https://x.example.com"}}),
            "reconcile.protocol",
            "expected pages",
        ),
    ] {
        let spec: SourceSpec = serde_json::from_value(file.clone()).unwrap();
        let problems = spec.validate(&emote_proto::Name::new("x").unwrap()).unwrap_err();
        let found = problems.iter().any(|problem| problem.path == path && problem.message.contains(said));
        assert!(found, "{file}: {problems:?}");
    }
}

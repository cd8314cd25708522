//! A transmitter of security events that signs with its own keys: its stream is made and tried from the command line, its
//! events are pushed or polled.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use emote_tests::{Key, Reply, Seen, Signed, Stack, StandIn, emote, planted, until, until_some};
use serde_json::{Map, Value, json};

const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

/// A transmitter that is polled (RFC 8936): it gives what was not acknowledged, and notes what was.
struct Polled {
    stand_in: StandIn,
    key: Key,
    waiting: Arc<Mutex<BTreeMap<String, String>>>,
    /// Names, with the word of those that were refused.
    answered: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Polled {
    async fn start() -> Self {
        let (stand_in, key) = (StandIn::fine("{}").await, Key::new("1"));
        let (waiting, answered) = (Arc::default(), Arc::default());
        let this = Self { stand_in, key, waiting, answered };
        let (url, keys) = (this.stand_in.url.clone(), this.key.public());
        let (waiting, answered, key) = (Arc::clone(&this.waiting), Arc::clone(&this.answered), Key::new("1"));
        this.stand_in.answer(move |seen: &Seen| {
            let fine = |body: Value| (200, Vec::new(), body.to_string());
            let delivery = json!({"method": "urn:ietf:rfc:8936", "endpoint_url": format!("{url}/poll/s1")});
            match seen.path.as_str() {
                "/.well-known/ssf-configuration" => fine(json!({
                    "issuer": url, "jwks_uri": format!("{url}/keys"), "configuration_endpoint": format!("{url}/stream"),
                    "verification_endpoint": format!("{url}/verify"),
                })),
                "/keys" => fine(json!({"keys": keys})),
                "/stream" => fine(json!({"stream_id": "s1", "aud": "emote", "delivery": delivery})),
                "/verify" => {
                    let set = signed(&key, &url, "v1", json!({VERIFICATION: {"state": seen.json()["state"]}}));
                    waiting.lock().unwrap().insert("v1".to_owned(), set);
                    (204, Vec::new(), String::new())
                }
                "/poll/s1" => poll(&mut waiting.lock().unwrap(), &mut answered.lock().unwrap(), seen),
                other => panic!("{other}"),
            }
        });
        this
    }

    fn source(&self) -> String {
        let issuer = &self.stand_in.url;
        format!(
            "preset: ssf\nsettings: {{issuer: \"{issuer}\", jwks: \"{issuer}/keys\", audience: emote, \
             poll_url: \"{issuer}/poll/s1\", poll_token: \"${{file:secrets/ssf-token}}\"}}\n\
             poll: {{every: 1s, long_poll: false, max_events: 3}}\n"
        )
    }

    /// The transmitter has the `n`th thing to tell.
    fn tells(&self, n: u64) {
        let event = json!({REVOKED: {"subject": {"format": "email", "email": format!("u{n}@example.com")}, "n": n}});
        let jti = format!("j{n:03}");
        let set = signed(&self.key, &self.stand_in.url, &jti, event);
        self.waiting.lock().unwrap().insert(jti, set);
    }

    fn answered(&self) -> Vec<(String, Value)> {
        self.answered.lock().unwrap().clone()
    }
}

fn signed(key: &Key, issuer: &str, jti: &str, events: Value) -> String {
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({"iss": issuer, "aud": "emote", "jti": jti, "iat": now, "events": events});
    key.sign(Signed::Rs256, &claims)
}

fn poll(waiting: &mut BTreeMap<String, String>, answered: &mut Vec<(String, Value)>, seen: &Seen) -> Reply {
    let body = seen.json();
    let acks = body["ack"].as_array().into_iter().flatten();
    let acks = acks.map(|jti| (jti.as_str().unwrap().to_owned(), Value::Null));
    let errs = body["setErrs"].as_object().into_iter().flatten();
    for (jti, word) in acks.chain(errs.map(|(jti, err)| (jti.clone(), err["err"].clone()))) {
        waiting.remove(&jti);
        answered.push((jti, word));
    }
    let most = usize::try_from(body["maxEvents"].as_u64().unwrap()).unwrap();
    let sets = waiting.iter().take(most).map(|(jti, set)| (jti.clone(), Value::from(set.as_str())));
    let sets: Map<String, Value> = sets.collect();
    (200, Vec::new(), json!({"moreAvailable": waiting.len() > most, "sets": sets}).to_string())
}

#[tokio::test]
async fn a_stream_is_made_and_the_event_that_tries_it_is_awaited() {
    let key = Key::new("1");
    let transmitter = StandIn::fine("{}").await;
    let issuer = transmitter.url.clone();
    let source = format!("preset: ssf\nsettings: {{issuer: \"{issuer}\", jwks: \"{issuer}/keys\", audience: emote}}\n");
    let stack = Stack::new().secret("ssf-token").file("sources/idp.yaml", &source).start().await;
    let (at, here, keys) = (issuer.clone(), stack.url("idp"), key.public());
    let (push, pushes) = std::sync::mpsc::channel::<Value>();
    transmitter.answer(move |seen: &Seen| {
        let fine = |body: Value| (200, Vec::new(), body.to_string());
        match seen.path.as_str() {
            "/.well-known/ssf-configuration" => fine(json!({
                "issuer": at, "jwks_uri": format!("{at}/keys"), "configuration_endpoint": format!("{at}/stream"),
                "verification_endpoint": format!("{at}/verify"),
            })),
            "/keys" => fine(json!({"keys": keys})),
            "/stream" => fine(json!({"stream_id": "s1", "aud": "emote"})),
            "/verify" => {
                push.send(seen.json()["state"].clone()).unwrap();
                (204, Vec::new(), String::new())
            }
            other => panic!("{other}"),
        }
    });
    let token = format!("${{file:{}}}", stack.config.join("secrets/ssf-token").display());
    let asked = ["--issuer", &issuer, "--token", &token];
    let made = emote(&[&["source", "ssf", "create", "--endpoint", &here][..], &asked].concat()).await;
    assert!(made.status.success() && String::from_utf8_lossy(&made.stdout).contains("s1"), "{made:?}");
    let wanted = transmitter.seen().into_iter().find(|seen| seen.path == "/stream").unwrap().json()["delivery"].clone();
    assert_eq!(wanted, json!({"method": "urn:ietf:rfc:8935", "endpoint_url": here}));

    let pushed = async {
        let state = tokio::task::spawn_blocking(move || pushes.recv().unwrap()).await.unwrap();
        let events = json!({"https://schemas.openid.net/secevent/ssf/event-type/verification": {"state": state}});
        let now = jiff::Timestamp::now().as_second();
        let claims = json!({"iss": issuer, "aud": "emote", "jti": "v1", "iat": now, "events": events});
        let body = key.sign(Signed::Rs256, &claims);
        stack.send(stack.http.post(&here).header("Content-Type", "application/secevent+jwt").body(body)).await
    };
    let verify = [&["source", "ssf", "verify", "idp", "s1"][..], &asked].concat();
    let (verified, pushed) = tokio::join!(stack.shown(&verify), pushed);
    assert_eq!(pushed.status, 202);
    assert!(verified.contains("The stream works"), "{verified}");
    let bearer = format!("Bearer {}", planted("ssf-token"));
    let asked = transmitter.seen().into_iter().find(|seen| seen.path == "/verify").unwrap();
    assert!(asked.headers.iter().any(|(name, value)| name.as_str() == "authorization" && *value == bearer));
}

#[tokio::test]
async fn a_stream_that_is_polled_is_made_and_tried_and_what_is_forged_is_refused() {
    let transmitter = Polled::start().await;
    let issuer = transmitter.stand_in.url.clone();
    let stack = Stack::new().secret("ssf-token").file("sources/idp.yaml", &transmitter.source()).start().await;
    let token = format!("${{file:{}}}", stack.config.join("secrets/ssf-token").display());
    let asked = ["--issuer", &issuer, "--token", &token];
    let made = emote(&[&["source", "ssf", "create", "--poll"][..], &asked].concat()).await;
    assert!(made.status.success(), "{made:?}");
    let settings = String::from_utf8_lossy(&made.stderr);
    assert!(
        settings.contains(&format!("poll_url: \"{issuer}/poll/s1\"")) && settings.contains("poll: true"),
        "{settings}"
    );
    let seen = transmitter.stand_in.seen();
    let wanted = seen.iter().find(|seen| seen.path == "/stream").unwrap().json()["delivery"].clone();
    assert_eq!(wanted, json!({"method": "urn:ietf:rfc:8936"}));
    let neither = emote(&[&["source", "ssf", "create"][..], &asked].concat()).await;
    assert!(!neither.status.success());

    let verified = stack.shown(&[&["source", "ssf", "verify", "idp", "s1"][..], &asked].concat()).await;
    assert!(verified.contains("The stream works"), "{verified}");
    let claims = json!({"iss": issuer, "aud": "emote", "jti": "f1", "iat": 0, "events": {REVOKED: {}}});
    let forged = transmitter.key.sign(Signed::Spoiled, &claims);
    transmitter.waiting.lock().unwrap().insert("f1".to_owned(), forged);
    let refused = until_some("what is forged is told", async || {
        stack.streams.read("EVENTS", "events.idp.-.source.set_refused").await.into_iter().next()
    })
    .await;
    assert_eq!(refused.json()["info"]["jti"], "f1");
    until("the transmitter hears of it", async || {
        transmitter.answered().iter().any(|(jti, word)| jti == "f1" && word.is_string())
    })
    .await;
    let bearer = format!("Bearer {}", planted("ssf-token"));
    let polled = transmitter.stand_in.seen().into_iter().find(|seen| seen.path == "/poll/s1").unwrap();
    assert!(polled.headers.iter().any(|(name, value)| name.as_str() == "authorization" && *value == bearer));
}

#[tokio::test]
async fn a_broker_killed_while_it_polls_acknowledges_what_is_stored_and_tells_it_once() {
    const EVENTS: u64 = 60;
    let transmitter = Polled::start().await;
    let builder = Stack::new().secret("ssf-token").file("sources/idp.yaml", &transmitter.source());
    let mut stack = builder.start().await;
    let mut broker = stack.take_broker();
    for round in 0..6_u64 {
        (round * 10..round * 10 + 10).for_each(|n| transmitter.tells(n));
        // Somewhere between asking, telling and acknowledging.
        tokio::time::sleep(Duration::from_millis(230 * round)).await;
        broker.kill();
        broker.start().await;
    }
    until("everything is acknowledged", async || transmitter.waiting.lock().unwrap().is_empty()).await;
    let told = stack.streams.read("EVENTS", "events.idp.*.session.revoked").await;
    let mut numbers: Vec<u64> = told.iter().map(|event| event.json()["info"]["n"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..EVENTS).collect::<Vec<_>>());
    assert!(transmitter.answered().iter().all(|(_, word)| word.is_null()), "{:?}", transmitter.answered());
    broker.kill();
}

use std::path::Path;

use emote_proto::{Draft, Event};

use super::*;
use crate::targets::testing::{job, problems, show, validate};

fn said(yaml: &str, job: &Job, input: &Value) -> Result<Shown, String> {
    let script = Arc::new(Script::showing());
    let target = validate(yaml).unwrap().with_script(Path::new("/"), &script).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let outcome = show(&runtime.block_on(target.deliver(job, input)));
    script.seen().pop().ok_or(outcome)
}

#[test]
fn a_job_is_a_message_whose_subject_it_cannot_leave() {
    let input = json!({"a": "b.c >*", "text": "hello"});
    let base = "kind: nats\nsubject: tickets.macs";
    let plain = said(base, &job(), &input).unwrap();
    assert_eq!((plain.method.as_str(), plain.url.as_str()), ("PUBLISH", "tickets.macs at nats://127.0.0.1:4222"));
    assert_eq!(plain.headers, [("Nats-Msg-Id".to_owned(), job().id.to_string())]);
    assert_eq!(serde_json::from_str::<Value>(&plain.body).unwrap(), input);
    let more = "\ntokens: '[.event.scope, .input.a, 7]'\nheaders: '{\"X-A\": [1, .rule]}'\nbody: .input.text";
    let more = said(&format!("{base}{more}"), &job(), &input).unwrap();
    assert_eq!(more.url, "tickets.macs.device.b%2Ec%20%3E%2A.7 at nats://127.0.0.1:4222");
    assert_eq!(
        (&more.headers[1..], more.body.as_str()),
        (&[("X-A".to_owned(), "1".to_owned()), ("X-A".to_owned(), "the-rule".to_owned())][..], "hello")
    );
    for (field, said_) in [
        ("tokens: '[\"\"]'", "never tokens: a node key cannot be empty"),
        ("tokens: '{}'", "never tokens: the program gave an object"),
        ("tokens: '[range(17)]'", "never tokens: 17 of them"),
        ("tokens: '[range(16)] | map(\"x\" * 100)'", "never the subject has"),
        ("headers: '{\"nats-rollup\": \"sub\"}'", "never headers: nats-rollup is not for programs to say"),
        ("body: error(\"no\")", "never body: no"),
    ] {
        let outcome = said(&format!("{base}\n{field}"), &job(), &input).unwrap_err();
        assert!(outcome.starts_with(said_), "{outcome}");
    }
}

#[test]
fn nothing_is_published_into_emotes_own_streams() {
    for subject in [
        "events.okta.-.user.created",
        "events",
        "deliver.a.b",
        "held.a",
        "checkpoint.0",
        "dead.a.b",
        "enroll.x",
        "emote.api.nodes",
        "$JS.API.STREAM.DELETE.EVENTS",
        "$KV.emote-config.current",
        "_INBOX.x",
        "_ENROLL.x",
        "a..b",
        "a.*",
        "a.>",
        "a b",
        "",
        ".a",
    ] {
        let told = problems(&format!("kind: nats\nsubject: '{subject}'"));
        assert!(told.starts_with("subject: "), "{subject}: {told}");
    }
    insta::assert_snapshot!(problems("kind: nats\nemote: {source: agent}\nsubject: a\nnats: {insecure: true}"), @r#"
    nats.servers: is missing: for example servers: ["tls://nats.example.com"]
    emote.source: is a source of Emote's own: name this one, for example after its place
    subject: means nothing beside `emote`, which is given the event as it is
    "#);
    insta::assert_snapshot!(problems("kind: nats"), @"subject: is missing: for example subject: tickets.macs");
    let told = problems("kind: nats\nsubject: a\nnats: {servers: ['nats://a@b'], token: x, user: ada}");
    for said in [
        "nats.servers[0]: a NATS address holds no user or password",
        "nats.token: a secret is given by reference",
        "nats: user and password go together",
    ] {
        assert!(told.contains(said), "{told}");
    }
}

fn event(json: Value) -> Event {
    serde_json::from_value(json).unwrap()
}

#[test]
fn another_emote_is_told_an_event_as_one_of_this_ones_name() {
    let name = |text: &str| Name::new(text).unwrap();
    let first = job().event.clone();
    let told = carried::event(&first, &name("berlin")).unwrap();
    assert_eq!((told.subject.as_str(), told.id), ("events.berlin.C02XL0GTJGH5.device.enroll", first.id.to_string()));
    let draft = Draft::parse(&told.body).unwrap();
    assert_eq!((draft.id, draft.source.as_ref().map(Name::as_str)), (Some(first.id), Some("berlin")));
    assert_eq!(draft.other["origin"], json!({"source": "jamf", "path": ["berlin"]}));
    let second = event(serde_json::from_slice(&told.body).unwrap());
    let further = carried::event(&second, &name("munich")).unwrap();
    let draft = Draft::parse(&further.body).unwrap();
    assert_eq!(draft.other["origin"], json!({"source": "jamf", "path": ["berlin", "munich"]}));
}

#[test]
fn what_came_round_and_what_is_an_effect_is_told_to_nobody() {
    let of = |more: Value| {
        let mut event = serde_json::to_value(&*job().event).unwrap();
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        carried::event(&self::event(event), &Name::new("berlin").unwrap()).unwrap_err()
    };
    assert!(of(json!({"origin": {"path": ["munich", "berlin"]}})).contains("it came from here"));
    assert!(of(json!({"origin": {"path": ["a", "b", "c", "d"]}})).contains("went through 4 Emotes"));
    assert!(of(json!({"origin": {"path": "x"}})).contains("is not as it must be"));
    let id = job().event.id;
    let cause = json!({"event": id, "rule": "r", "target": "t", "root": id, "depth": 1});
    assert!(of(json!({"cause": cause})).contains("effects are each Emote's own"));
}

#[test]
fn a_stream_of_emotes_own_is_known_by_its_name() {
    let own =
        ["EVENTS", "DELIVERIES", "DEAD", "KV_emote-config", "KV_emote-scim", "KV_emote-schemas", "OBJ_emote-packages"];
    assert_eq!(own.map(is_own_stream), [true; 7]);
    assert_eq!(["TICKETS", "KV_config", "events", "emote-schemas"].map(is_own_stream), [false; 4]);
}

#[tokio::test]
async fn once_a_message_was_stored_among_emotes_own_none_is_sent() {
    let own = NatsSettings { servers: vec!["nats://127.0.0.1:1".to_owned()], ..NatsSettings::default() };
    let own = own.resolve_with(Path::new("/"), "test", |_| unreachable!("there is no secret")).unwrap();
    let subject = "tickets".to_owned();
    let what = What::Message { subject, tokens: None, headers: None, body: None, is_kept: true };
    let nats = Nats {
        what: Arc::new(what),
        servers: String::new(),
        outbound: Outbound::new(own.clone()),
        own,
        led_astray: OnceLock::from("it was stored in EVENTS".to_owned()),
        script: None,
    };
    // Nobody is at that address: what is tried to be sent would be tried again.
    let outcome = show(&nats.deliver(&job(), &json!({})).await);
    assert!(outcome.starts_with("never it was stored in EVENTS; nothing more is sent"), "{outcome}");
}

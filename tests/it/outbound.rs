//! Messages that leave: to a server of somebody else's, and to another Emote.

use emote_tests::{NatsServer, Stack, Streams, emote, planted, until, until_some};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::counted::{count, rule};

/// What lets in at the other server.
const TOKEN: &str = "other-token";
const RETRY: &str = "retry: {max_attempts: 2, backoff: {initial: 20ms, max: 20ms}}\n";

/// Another server, that lets in whoever has the token.
async fn other(folder: &TempDir) -> (NatsServer, Streams) {
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let mut server = NatsServer::stopped(&folder.path().join("nats"), &logs);
    server.configure(&format!("authorization {{token: {:?}}}\n", planted(TOKEN)));
    server.start_again().await;
    let streams = Streams::connect_by_token(&server.url(), &planted(TOKEN)).await;
    (server, streams)
}

/// A stream that takes `tickets.>`.
async fn make_tickets(there: &Streams) {
    let (name, subjects) = ("TICKETS".to_owned(), vec!["tickets.>".to_owned()]);
    let config = async_nats::jetstream::stream::Config { name, subjects, ..Default::default() };
    there.js.create_stream(config).await.unwrap();
}

/// The events that Emote stored, about what its targets of this kind did.
async fn told(stack: &Stack, action: &str) -> Vec<Value> {
    let events = stack.streams.events().await.into_iter().map(|event| event.json());
    events.filter(|event| event["scope"] == "nats" && event["action"] == action).collect()
}

#[tokio::test]
async fn a_job_is_a_message_at_another_server_and_an_event_one_of_another_emote() {
    let folder = TempDir::with_prefix("emote-test-").unwrap();
    let (server, there) = other(&folder).await;
    make_tickets(&there).await;
    there.make_events().await;
    let mut heard = there.client.subscribe("plain.>").await.unwrap();
    let nats =
        format!("kind: nats\n{RETRY}nats: {{servers: ['{}'], token: '${{file:secrets/other-token}}'}}\n", server.url());
    let kept = format!(
        "{nats}subject: tickets.macs\ntokens: '[.event.device.uuid, \"a.b\"]'\nheaders: '{{\"X-N\": .input.n}}'\n"
    );
    let mut stack = Stack::new()
        .secret(TOKEN)
        .file("targets/kept.yaml", &kept)
        .file(
            "targets/plain.yaml",
            &format!("{nats}subject: plain.macs\njetstream: false\nbody: '\"n is \\(.input.n)\"'\n"),
        )
        .file("targets/nowhere.yaml", &format!("{nats}subject: nowhere\n"))
        .file("targets/munich.yaml", &format!("{nats}emote: {{source: berlin}}\n"))
        .file("rules/count.yaml", &rule(&["kept", "plain", "nowhere", "munich"]))
        .start()
        .await;
    count(&stack, "C02XL0GTJGH5", 1).await;

    let message = until_some("the message is there", async || there.read("TICKETS", ">").await.pop()).await;
    assert_eq!(message.subject, "tickets.macs.C02XL0GTJGH5.a%2Eb");
    assert_eq!((message.json()["n"].clone(), message.header("X-N")), (json!(1), "1".to_owned()));
    assert!(message.header("Nats-Msg-Id").ends_with("/count/kept"), "{message:?}");
    let plain = heard.next().await.unwrap();
    assert_eq!((plain.subject.as_str(), plain.payload.as_ref()), ("plain.macs", &b"n is 1"[..]));

    let event = until_some("the other Emote has the event", async || there.events().await.pop()).await;
    assert_eq!(event.subject, "events.berlin.C02XL0GTJGH5.test.counted");
    let id = event.json()["id"].clone();
    assert_eq!(event.json()["origin"], json!({"source": "manual", "path": ["berlin"]}));
    let published = until_some("all is told", async || {
        let told = told(&stack, "published").await;
        (told.len() == 3).then_some(told)
    })
    .await;
    assert!(published.iter().all(|event| event["cause"]["event"] == id), "{published:?}");
    assert!(published.iter().any(|event| event["info"]["stream"] == "TICKETS"), "{published:?}");

    let dead = until_some("what no stream takes is given up", async || stack.streams.dead().await.pop()).await;
    let reason = dead.json()["reason"].to_string();
    assert!(dead.subject == "dead.nowhere.count" && reason.contains("no stream there takes nowhere"), "{reason}");

    // The same job once more: the stream knows it again.
    let mut broker = stack.take_broker();
    broker.kill();
    broker.start().await;
    count(&stack, "C02XL0GTJGH5", 2).await;
    until("the second is there", async || there.read("TICKETS", ">").await.len() == 2).await;

    // To itself it tells nothing.
    let own = format!("kind: nats\nnats: {{servers: ['{}']}}\nemote: {{source: berlin}}\n", stack.nats.url());
    std::fs::write(stack.config.join("targets/own.yaml"), own).unwrap();
    let folder = stack.config.to_str().unwrap();
    let ran = emote(&["target", "test", "own", "--folder", folder, "--send", "-o", "json"]).await;
    let text = String::from_utf8(ran.stdout).unwrap();
    assert!(text.contains("what is there is this Emote itself"), "{text}");
    let own = stack.streams.events().await.into_iter().filter(|event| event.subject.starts_with("events.berlin."));
    assert_eq!(own.count(), 0);
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    let folder = TempDir::with_prefix("emote-test-").unwrap();
    let logs = folder.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    let mut server = NatsServer::stopped(&folder.path().join("nats"), &logs);
    let target = format!(
        "kind: nats\nretry: {{max_attempts: 1000, backoff: {{initial: 20ms, max: 200ms}}}}\nbreaker: {{failures: 0}}\n\
         nats: {{servers: ['{}']}}\nsubject: tickets.macs\n",
        server.url()
    );
    let stack =
        Stack::new().file("targets/kept.yaml", &target).file("rules/count.yaml", &rule(&["kept"])).start().await;
    count(&stack, "C02XL0GTJGH5", 1).await;
    until("it was tried", async || stack.broker.logged("will try again") > 0).await;
    server.start_again().await;
    let there = Streams::connect(&server.url()).await;
    make_tickets(&there).await;
    until("it is told", async || told(&stack, "published").await.len() == 1).await;
    assert_eq!(there.read("TICKETS", ">").await.len(), 1);
}

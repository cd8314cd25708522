//! Programs killed at any moment: nothing is lost, nothing doubled.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use emote::bus::{Bus, BusSettings, Reader, StreamSettings};
use emote_tests::{Agent, Process, Stack, Wire, free_port, until, until_listening, until_some, webhook};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

/// A rule whose target is called for every event, so that jobs are under way at every moment.
const EVERYTHING: &str = "pattern: {scope: [{anything-but: [communicate, log, delivery, mdm]}]}\ntargets: [log]\n";
/// Its log target is not turned over while a test counts its lines.
const LOG: &str = "kind: log\npath: events.jsonl\nmax_size: 100MiB\nkeep: 1\ntimeout: 1s\n\
                   retry: {max_attempts: 20, backoff: {initial: 20ms, max: 200ms}}\n";

fn seeded() -> StdRng {
    let seed = std::env::var("EMOTE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_123);
    eprintln!("EMOTE_TEST_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

async fn short_while(random: &mut StdRng, millis: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(random.random_range(millis))).await;
}

/// Posts until it is taken, as a vendor that sends again does. Gives the ids of the events.
async fn insist(stack: &Stack, payload: &Value) -> Vec<String> {
    until_some("the webhook is taken", async || {
        let posted = stack.okta(payload).await;
        assert!(matches!(posted.status, 0 | 200 | 503), "{posted:?}");
        (posted.status == 200).then(|| posted.events())
    })
    .await
}

/// Emits until it is taken, as a script that tries again does.
async fn emit_until_taken(agent: &Agent, n: u64) -> String {
    let event = || json!({"scope": "test", "action": "counted", "info": {"n": n}});
    until_some("the agent takes the event", async || agent.emit(event()).await).await
}

#[tokio::test]
async fn a_broker_killed_again_and_again_loses_and_doubles_nothing() {
    let mut random = seeded();
    let builder =
        Stack::new().agent("C02XL0GTJGH5").file("rules/everything.yaml", EVERYTHING).file("targets/log.yaml", LOG);
    let mut stack = builder.lines("targets/mdm-lock.yaml", "guard: {limit: 15}\n").start().await;
    let record = json!({"serial": "C02XL0GTJGH5", "name": "ada-mbp", "owner": "ada@example.com"});
    assert_eq!(stack.asset(&record).await.status, 200);
    let known = webhook::authenticate("C02XL0GTJGH5", "U-1", "a");
    assert_eq!(stack.nanomdm(&known).await.status, 200);

    // The killer takes the broker; what is left in its place only knows the port.
    let mut broker = stack.take_broker();
    let done = Arc::new(AtomicBool::new(false));
    let killer = async {
        let mut kills = 0;
        while !done.load(Ordering::Relaxed) {
            short_while(&mut random, 50..900).await;
            broker.kill();
            kills += 1;
            broker.start().await;
        }
        kills
    };
    let webhooks = async {
        let mut acknowledged = Vec::new();
        for n in 0..150 {
            let user = if n % 10 == 0 { "ada@example.com" } else { "nobody@example.com" };
            acknowledged
                .extend(insist(&stack, &webhook::okta_deactivated(&[user, "x@example.com"], &format!("h{n}"))).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        acknowledged
    };
    let emits = async {
        let mut acknowledged = Vec::new();
        for n in 0..150 {
            acknowledged.push(emit_until_taken(&stack.agents[0], n).await);
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        acknowledged
    };
    let flow = async {
        let taken = tokio::join!(webhooks, emits);
        done.store(true, Ordering::Relaxed);
        taken
    };
    let (kills, (by_webhook, by_agent)) = tokio::join!(killer, flow);
    stack.broker = broker;
    assert!(kills >= 4, "{kills} kills");
    assert_eq!((by_webhook.len(), by_agent.len()), (300, 150));

    let agent = &stack.agents[0];
    until("the agent's spool is empty", || async { agent.waiting().await == Some(0) }).await;
    let events = stack.settled().await;
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for event in &events {
        *counted.entry(event.json()["id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    for id in by_webhook.iter().chain(&by_agent) {
        assert_eq!(counted.get(id), Some(&1), "{id}");
    }
    let locks: std::collections::BTreeSet<String> = stack.mdm.accepted().iter().map(|seen| seen.key()).collect();
    assert_eq!(locks.len(), 15, "each of her deactivations locks her Mac under its own key");

    let (folded, shown) = stack.records().await;
    assert_eq!(folded, shown, "the store is what the log says");
    assert_eq!(stack.broker.stop().await, Some(0));
    std::fs::remove_file(stack.broker.store()).unwrap();
    stack.broker.start().await;
    stack.settled().await;
    let (_, rebuilt) = stack.records().await;
    assert_eq!(rebuilt, shown, "and so is one that was made anew");
}

#[tokio::test]
async fn an_agent_killed_again_and_again_loses_and_doubles_nothing() {
    let mut random = seeded();
    let mut stack = Stack::new().agent("C02XL0GTJGH5").file("rules/everything.yaml", EVERYTHING).start().await;
    let (mut acknowledged, mut n) = (Vec::new(), 0);
    for _ in 0..12 {
        let agent = &mut stack.agents[0];
        for _ in 0..random.random_range(1..20) {
            n += 1;
            acknowledged.extend(agent.emit(json!({"scope": "test", "action": "counted", "info": {"n": n}})).await);
        }
        short_while(&mut random, 0..30).await;
        agent.kill();
        agent.start().await;
    }
    let agent = &stack.agents[0];
    until("the agent's spool is empty", || async { agent.waiting().await == Some(0) }).await;
    let events = stack.has_each_once(&acknowledged).await;
    let counted: Vec<u64> = events.iter().filter_map(|event| event.json()["info"]["n"].as_u64()).collect();
    assert!(counted.is_sorted_by(|one, next| one < next), "in order and each once: {counted:?}");
    let (folded, shown) = stack.records().await;
    assert_eq!(folded, shown);
}

#[tokio::test]
async fn a_nats_server_killed_in_the_middle_loses_nothing() {
    let mut random = seeded();
    let mut stack = Stack::new().agent("C02XL0GTJGH5").file("rules/everything.yaml", EVERYTHING).start().await;
    let mut acknowledged = Vec::new();
    for round in 0..4 {
        for n in 0..15 {
            let id = format!("h{round}-{n}");
            acknowledged.extend(insist(&stack, &webhook::okta_deactivated(&["nobody@example.com"], &id)).await);
            acknowledged.push(emit_until_taken(&stack.agents[0], round * 100 + n).await);
        }
        stack.nats.kill();
        short_while(&mut random, 0..300).await;
        stack.nats.start_again().await;
    }
    let agent = &stack.agents[0];
    until("the agent's spool is empty", || async { agent.waiting().await == Some(0) }).await;
    stack.has_each_once(&acknowledged).await;
}

#[tokio::test]
async fn entries_and_jobs_lost_on_the_way_to_the_broker_come_again() {
    let mut random = seeded();
    let stack = Stack::new().without_broker().file("rules/everything.yaml", EVERYTHING).file("targets/log.yaml", LOG);
    // What the NATS library says of a connection that ends while it is being made, later and sooner.
    let stack = stack.expect_error("connection closed unexpectedly").expect_error("expected INFO, got nothing");
    let mut stack = stack.start().await;
    let wire = Wire::to(stack.nats.port).await;
    stack.lead_broker_to(&wire.url);
    stack.broker.start().await;
    let event = |n: u64| {
        // As an agent says it, whose events the core does not hold against those it has seen.
        json!({"scope": "test", "action": "counted", "info": {"n": n, "padding": "x".repeat(2_000)}}).to_string()
    };
    for n in 0..1_500 {
        let published = stack.streams.js.publish("events.agent.C02.test.counted", event(n).into()).await.unwrap();
        if n % 50 == 25 {
            wire.cut();
        }
        if n % 50 == 0 {
            published.await.unwrap();
            short_while(&mut random, 100..250).await;
        }
    }
    stack.settled().await;
    let (folded, shown) = stack.records().await;
    assert_eq!(folded, shown);
    assert_eq!(stack.streams.read("EVENTS", "events.agent.>").await.len(), 1_500);
}

#[tokio::test]
async fn the_last_entry_lost_on_the_way_is_read_again_though_none_comes_behind_it() {
    let stack = Stack::new().without_broker().start().await;
    let wire = Wire::to(stack.nats.port).await;
    let bus = Bus::connect(&BusSettings::local(&wire.url, "reader")).await.unwrap();
    bus.ensure_streams(&StreamSettings::default()).await.unwrap();
    let next = async |reader: &mut Reader| {
        let run =
            tokio::time::timeout(Duration::from_secs(30), reader.next_run()).await.expect("reading goes on or ends");
        run.map(|run| run.iter().map(|entry| entry.sequence).collect::<Vec<_>>())
    };
    let mut reader = bus.read_events(0, 0).await.unwrap();
    stack.streams.publish("events.test.-.a.b", "1").await;
    assert_eq!(next(&mut reader).await.unwrap(), [1]);
    wire.hold();
    stack.streams.publish("events.test.-.a.b", "2").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    wire.cut();
    tokio::time::sleep(Duration::from_millis(300)).await;
    wire.mend();
    next(&mut reader).await.unwrap_err();
    let mut reader = until_some("reading begins again", async || bus.read_events(0, 1).await.ok()).await;
    assert_eq!(next(&mut reader).await.unwrap(), [2]);
}

#[tokio::test]
async fn two_brokers_on_one_nats_fold_every_event_once() {
    let mut stack = Stack::new().file("rules/everything.yaml", EVERYTHING).start().await;
    let mut other = stack.other_broker();
    other.start().await;
    for n in 0..60 {
        insist(&stack, &webhook::okta_deactivated(&["ada@example.com"], &format!("h{n}"))).await;
    }
    stack.settled().await;
    stack.broker.kill();
    for n in 60..80 {
        stack
            .streams
            .publish(
                "events.manual.-.test.counted",
                json!({"scope": "test", "action": "counted", "info": {"n": n}}).to_string(),
            )
            .await;
    }
    stack.settled().await;
    other.kill();
}

/// Starts `emote dev` and waits until it takes webhooks; where its NATS is.
async fn start_dev(stack: &Stack, ports: (u16, u16)) -> Process {
    let mut command =
        std::process::Command::new(std::env::current_exe().unwrap().parent().unwrap().with_file_name("emote"));
    command.arg("dev").arg(&stack.config).args(["--nats-port", &ports.0.to_string()]);
    command.args(["--listen", &format!("127.0.0.1:{}", ports.1)]);
    let process = Process::start("dev", command, &stack.logs);
    until_listening("emote dev", ports.1).await;
    process
}

#[tokio::test]
async fn emote_dev_killed_takes_its_nats_along_and_goes_on_at_the_next_start() {
    let mut stack = Stack::new()
        .without_nats()
        .file("sources/net.yaml", "preset: syslog\nlisten: {transport: udp, address: \"127.0.0.1:0\"}\n")
        .file("sources/waits.yaml", "preset: okta\nsettings: {secret: \"${env:EMOTE_TEST_IS_NOT_SET}\"}\n")
        .start()
        .await;
    stack.nats.port = free_port();
    stack.streams = emote_tests::Streams::connect(&stack.nats.url()).await;
    let ports = (stack.nats.port, free_port());
    stack.broker.port = ports.1;
    for round in 0..3 {
        let mut dev = start_dev(&stack, ports).await;
        for n in 0..5 {
            insist(&stack, &webhook::okta_deactivated(&["ada@example.com"], &format!("h{round}-{n}"))).await;
        }
        if round == 0 {
            let log = dev.log();
            let waits =
                "sources/waits.yaml:2:20: settings.secret: the environment variable EMOTE_TEST_IS_NOT_SET is not set";
            assert!(log.contains(waits), "{log}");
            assert!(log.contains("udp       127.0.0.1:0 (net)") && !log.contains("/in/net"), "{log}");
            std::fs::remove_file(stack.config.join("sources/waits.yaml")).unwrap();
        }
        if round == 2 {
            let events = stack.settled().await;
            assert_eq!(events.iter().filter(|event| event.subject.contains("deactivated")).count(), 15);
            assert_eq!(dev.stop().await.code(), Some(0));
        } else {
            dev.kill();
        }
        until("nats-server is gone", || async {
            tokio::net::TcpStream::connect(("127.0.0.1", ports.0)).await.is_err()
        })
        .await;
    }
}

//! The archive: every entry of the stream once, whatever happens to those who write it; and playing it again.

use std::{collections::BTreeSet, time::Duration};

use emote_tests::{Broker, Process, Stack, emote, free_port, private_file, required, until};
use serde_json::{Value, json};

const NOTED: &str = "pattern: {scope: [test]}\ntargets: [log]\n";

/// `emote archive …` in the stack's folder, which must end well: its lines of JSON.
async fn archive(stack: &Stack, args: &[&str]) -> Vec<Value> {
    let config = stack.config.to_str().unwrap();
    let output = emote(&[&["archive"], args, &["-o", "json", "--config", config]].concat()).await;
    assert!(output.status.success(), "emote archive {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn publish(stack: &Stack, from: u64, to: u64) {
    for n in from..to {
        let (source, text) = (["manual", "script", "other"][usize::try_from(n % 3).unwrap()], "x".repeat(200));
        let event = json!({"scope": "test", "action": "noted", "info": {"n": n, "text": text}});
        stack.streams.publish(&format!("events.{source}.C{}.test.noted", n % 7), event.to_string()).await;
    }
}

/// Waits until nothing happens any more and all of it is archived; then compares.
async fn all_archived(stack: &Stack) -> Value {
    let stored = stack.settled().await.len() as u64;
    until("all of the stream is archived", async || {
        let days = archive(stack, &["ls"]).await;
        days.iter().map(|day| day["events"].as_u64().unwrap()).sum::<u64>() >= stored
    })
    .await;
    let verified = archive(stack, &["verify"]).await.remove(0);
    assert_eq!(verified["fine"], true, "{verified}");
    let stored = stack.streams.read("EVENTS", "events.>").await;
    assert_eq!(verified["found"]["events"], json!(stored.len()), "{verified}");
    assert_eq!(verified["found"]["absent"], 0);
    let noted: Vec<u64> = archive(stack, &["get", "--scope", "test"])
        .await
        .iter()
        .map(|event| event["info"]["n"].as_u64().unwrap())
        .collect();
    let once: BTreeSet<u64> = noted.iter().copied().collect();
    assert_eq!(once.len(), noted.len(), "each is archived once");
    verified
}

#[tokio::test]
async fn a_broker_that_is_killed_again_and_again_archives_each_event_once() {
    let settings = "archive: {to: archive, size: 4KiB, age: 1s}\n";
    let stack = Stack::new().file("rules/noted.yaml", NOTED).lines("emote.yaml", settings);
    let mut stack = stack.without_broker().start().await;
    for round in 0..8 {
        stack.broker.start().await;
        publish(&stack, round * 40, round * 40 + 40).await;
        // Long enough to begin with its work, and each time a little longer.
        tokio::time::sleep(Duration::from_millis(50 + round * 120)).await;
        stack.broker.kill();
    }
    stack.broker.start().await;
    let verified = all_archived(&stack).await;
    assert!(verified["found"]["manifests"].as_u64().unwrap() >= 8, "{verified}");
    let metrics = stack.http.get(format!("http://127.0.0.1:{}/metrics", stack.broker.ops)).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("emote_archive_behind 0") && metrics.contains("emote_archive_active 1"), "{metrics}");
    assert!(stack.shown(&["targets"]).await.contains("archive  0 events not archived yet"));
}

/// Where it is ended is where a file stands in the way of a folder: of the cut's, of a segment's, of the manifest's.
#[tokio::test]
async fn a_broker_that_is_killed_between_two_steps_goes_on_there() {
    let settings = "archive: {to: archive, size: 4KiB, age: 1s}\n";
    let stack = Stack::new().file("rules/noted.yaml", NOTED).lines("emote.yaml", settings);
    let mut stack = stack.start().await;
    let events = stack.streams.js.get_stream("EVENTS").await.unwrap();
    let stream = events.cached_info().created.unix_timestamp_nanos();
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let places = [format!("_cuts/{stream}"), "script".to_owned(), format!("_manifests/{stream}/{day}")];
    stack.broker.kill();
    for (round, place) in (0..).zip(places) {
        let (archived, obstacle) = (stack.config.join("archive"), stack.config.join("archive").join(place));
        let aside = archived.join("aside");
        std::fs::create_dir_all(obstacle.parent().unwrap()).unwrap();
        let was_there = obstacle.exists();
        if was_there {
            std::fs::rename(&obstacle, &aside).unwrap();
        }
        std::fs::write(&obstacle, "").unwrap();
        stack.broker.start().await;
        publish(&stack, round * 40, round * 40 + 40).await;
        until("it is stopped there", async || {
            let metrics =
                stack.http.get(format!("http://127.0.0.1:{}/metrics", stack.broker.ops)).send().await.unwrap();
            let metrics = metrics.text().await.unwrap();
            metrics.lines().any(|line| line.starts_with("emote_archive_stops_total ") && !line.ends_with(" 0"))
        })
        .await;
        stack.broker.kill();
        std::fs::remove_file(&obstacle).unwrap();
        if was_there {
            std::fs::rename(&aside, &obstacle).unwrap();
        }
        stack.broker.start().await;
        all_archived(&stack).await;
        stack.broker.kill();
    }
    assert!(stack.logged().contains("going on with a cut that was begun before"));
}

#[tokio::test]
async fn whoever_leads_archives_and_who_comes_back_does_not_archive_again() {
    let mut stack = Stack::new().file("rules/noted.yaml", NOTED).without_broker().start().await;
    let at = stack.config.join("archive");
    // Each cuts in its own way.
    let settings = |size: &str| format!("archive: {{to: {:?}, size: {size}, age: 1s}}\n", at.to_str().unwrap());
    let other = stack.other_broker();
    stack.broker.add_settings(&settings("3KiB"));
    other.add_settings(&settings("7KiB"));
    let mut brokers = [stack.take_broker(), other];
    for broker in &mut brokers {
        broker.start().await;
    }
    until("somebody leads", async || brokers.iter().any(|broker| broker.last_led().is_some())).await;
    let leader = |brokers: &[Broker]| brokers.iter().enumerate().max_by_key(|(_, broker)| broker.last_led()).unwrap().0;
    for round in 0..4 {
        let index = leader(&brokers);
        let led = brokers[1 - index].last_led();
        publish(&stack, round * 50, round * 50 + 50).await;
        if round % 2 == 0 {
            brokers[index].freeze(true);
        } else {
            brokers[index].kill();
        }
        until("the other one leads", async || brokers[1 - index].last_led() > led).await;
        publish(&stack, 1_000 + round * 50, 1_000 + round * 50 + 50).await;
        if round % 2 == 0 {
            brokers[index].freeze(false);
        } else {
            brokers[index].start().await;
        }
    }
    all_archived(&stack).await;
    brokers.iter_mut().for_each(Broker::kill);
}

async fn told(stack: &Stack, what: &str) -> Vec<Value> {
    stack.streams.read("EVENTS", &format!("events.broker.*.{what}")).await.iter().map(|event| event.json()).collect()
}

async fn jobs(stack: &Stack, target: &str) -> usize {
    stack.streams.read("DELIVERIES", &format!("deliver.{target}.*")).await.len()
}

#[tokio::test]
async fn what_happened_is_played_again_from_the_archive_and_from_the_stream() {
    let danger = "kind: log\npath: danger.jsonl\ndestructive: true\nguard: {limit: 100}\n";
    let stack = Stack::new()
        .file("targets/danger.yaml", danger)
        .file("targets/other.yaml", "kind: log\npath: other.jsonl\n")
        .file("rules/noted.yaml", NOTED)
        .file("rules/other.yaml", "pattern: {scope: [test]}\ntargets: [other]\n")
        .file("rules/danger.yaml", "pattern: {scope: [test]}\ntargets: [danger]\n")
        .lines("emote.yaml", "archive: {to: archive, age: 1s}\n");
    let stack = stack.start().await;
    publish(&stack, 0, 6).await;
    stack.settled().await;
    let before = [jobs(&stack, "log").await, jobs(&stack, "other").await, jobs(&stack, "danger").await];
    assert_eq!(before[1..], [6, 6]);
    until("it is archived", async || archive(&stack, &["get", "--scope", "test"]).await.len() == 6).await;

    let config = stack.config.to_str().unwrap().to_owned();
    let replay = async |args: &[&str]| {
        let pattern = r#"{"scope": ["test"]}"#;
        let usual = ["replay", "--from", "1h", "--pattern", pattern, "--config", &config, "-o", "json"];
        stack.shown(&[&usual[..], args].concat()).await
    };
    let dry = replay(&["--dry-run"]).await;
    let dry: Vec<Value> = dry.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |rule: &str| {
        dry.iter().find(|row| row["rule"] == rule).map(|row| (row["jobs"].clone(), row["refused"].clone()))
    };
    assert_eq!(of("danger"), Some((json!(0), json!(6))), "{dry:?}");
    assert_eq!(of("other"), Some((json!(6), json!(0))), "{dry:?}");
    assert!(stack.streams.read("EVENTS", "events.admin.*.event.replayed").await.is_empty(), "nothing is ordered");

    let ordered = replay(&["--rules", "other,danger", "--id", "r1", "--by", "ada", "-m", "it was away"]).await;
    assert_eq!(serde_json::from_str::<Value>(&ordered).unwrap()["ordered"]["replayed"], 6);
    stack.settled().await;
    let after = [jobs(&stack, "log").await, jobs(&stack, "other").await, jobs(&stack, "danger").await];
    assert_eq!(after, [before[0], 12, 6], "only the rules that were named act, and nothing destructive");
    let refused = told(&stack, "guard.refused").await;
    assert_eq!(refused.len(), 6);
    assert!(refused[0]["info"]["reason"].as_str().unwrap().contains("danger is destructive"), "{}", refused[0]);
    let again = replay(&["--rules", "other,danger", "--id", "r1", "--by", "ada"]).await;
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!((&again["ordered"]["replayed"], &again["ordered"]["already"]), (&json!(0), &json!(6)));
    let orders = stack.streams.read("EVENTS", "events.admin.ada.event.replayed").await;
    assert_eq!((orders.len(), orders[0].json()["info"]["reason"].clone()), (6, json!("it was away")));
    assert_eq!(
        stack.streams.read("EVENTS", "events.admin.ada.replay.ordered").await.len(),
        2,
        "who ordered it is told"
    );

    replay(&["--rules", "danger", "--destructive", "--id", "r2"]).await;
    stack.settled().await;
    assert_eq!(jobs(&stack, "danger").await, 12);
    // What is archived may have left the stream.
    stack.streams.js.get_stream("EVENTS").await.unwrap().purge().filter("events.manual.>").await.unwrap();
    let gone: Value = serde_json::from_str(&replay(&["--rules", "other", "--id", "r3"]).await).unwrap();
    assert_eq!(gone["ordered"]["replayed"], 6);
    until("they are done", async || jobs(&stack, "other").await == 18).await;
    let traced = stack.shown(&["trace", orders[0].json()["id"].as_str().unwrap()]).await;
    assert!(traced.contains("test.noted") && traced.contains("other"), "{traced}");
    assert!(!stack.emote(&["replay", "--from", "1h", "--rules", "nope"]).await.status.success());
    let none = stack.emote(&["replay", "--from", "1h", "--source", "nobody", "--config", &config]).await;
    assert_eq!(none.status.code(), Some(5));
}

/// What speaks S3, with a bucket; nothing where it is not installed.
async fn s3(logs: &std::path::Path) -> Option<(Process, String)> {
    let moto = required("moto/bin/moto_server")?;
    let port = free_port().to_string();
    let mut command = std::process::Command::new(moto);
    command.args(["-H", "127.0.0.1", "-p", &port]);
    let server = Process::start("moto", command, logs);
    let url = format!("http://127.0.0.1:{port}");
    let made = async || {
        let signed =
            "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x";
        let request = reqwest::Client::new().put(format!("{url}/emote-archive")).header("Authorization", signed);
        request.send().await.is_ok_and(|answer| answer.status().is_success())
    };
    until("there is a bucket", made).await;
    Some((server, url))
}

#[tokio::test]
async fn an_archive_in_s3_is_as_good_and_its_key_is_nowhere() {
    let mut stack = Stack::new().file("rules/noted.yaml", NOTED).secret("s3-key").without_broker().start().await;
    let Some((mut server, url)) = s3(&stack.logs).await else { return };
    stack.broker.add_settings(&format!(
        "archive:\n  to: s3://emote-archive/em/ote\n  endpoint: {url}\n  insecure: true\n  region: us-east-1\n  \
         access_key_id: AKIAEXAMPLE\n  secret_access_key: ${{file:secrets/s3-key}}\n  size: 4KiB\n  age: 1s\n"
    ));
    for round in 0..3 {
        stack.broker.start().await;
        publish(&stack, round * 40, round * 40 + 40).await;
        tokio::time::sleep(Duration::from_millis(300 + round * 300)).await;
        stack.broker.kill();
    }
    stack.broker.start().await;
    let verified = all_archived(&stack).await;
    assert!(verified["found"]["segments"].as_u64().unwrap() > 5, "{verified}");
    private_file(&stack.config.join("secrets/s3-key"), "");
    let check = emote(&["check", "--secrets", stack.config.to_str().unwrap()]).await;
    assert_eq!(check.status.code(), Some(3));
    assert!(
        String::from_utf8_lossy(&check.stdout).contains(": archive.secret_access_key: the secret file"),
        "{check:?}"
    );
    stack.broker.kill();
    server.kill();
}

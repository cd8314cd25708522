//! Records, in a Kafka that is not ours (`kafka/main.go`), read by a client that is not ours either.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Command,
};

use emote_tests::{Process, Stack, emote, free_port, planted, required, until, until_listening, until_some};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    counted::{COUNTED, count, rule},
    tls::authority::{Authority, Valid},
};

const RECORDS: u64 = 120;
const QUICK: &str =
    "timeout: 5s\nbreaker: {failures: 0}\nretry: {max_attempts: 10000, backoff: {initial: 10ms, max: 100ms}}\n";

/// A cluster of three with a certificate that its own CA vouches for.
struct Cluster {
    ports: [u16; 3],
    folder: TempDir,
    program: PathBuf,
    process: Option<Process>,
}

impl Cluster {
    /// `None`, loudly, where there is none.
    async fn start() -> Option<Self> {
        let (program, folder) = (required("emote-kfake")?, TempDir::with_prefix("emote-test-").unwrap());
        let authority = Authority::new();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        authority.give(folder.path(), "server", &["127.0.0.1"], Valid::Now);
        let ports = [free_port(), free_port(), free_port()];
        let mut cluster = Self { ports, folder, program, process: None };
        cluster.start_again().await;
        Some(cluster)
    }

    async fn start_again(&mut self) {
        let at = |name: &str| self.folder.path().join(name);
        let mut command = Command::new(&self.program);
        command.arg(self.ports.map(|port| port.to_string()).join(","));
        command.args([at("server.pem"), at("server.key"), at("log"), at("records")]);
        command.env("KAFKA_PASSWORD", planted("kafka-password"));
        self.process = Some(Process::start("kafka", command, self.folder.path()));
        for port in self.ports {
            until_listening("a broker of Kafka", port).await;
        }
    }

    fn kill(&mut self) {
        self.process.take().unwrap().kill();
    }

    /// What lies in the topic, once each: the client begins anew where the cluster does.
    fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("records")).unwrap_or_default();
        // The last line may be under way.
        let read = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let by_place: BTreeMap<_, _> =
            read.map(|record| ((record["partition"].as_i64(), record["offset"].as_i64()), record)).collect();
        by_place.into_values().collect()
    }

    /// A target that logs in as `user` by `mechanism`.
    fn target(&self, user: &str, mechanism: &str, more: &str) -> String {
        format!(
            "kind: kafka\nbrokers: [{}]\ntls: {{ca: {}}}\nmechanism: {mechanism}\n\
            auth: {{basic: {{user: {user}, password: \"${{file:secrets/kafka-password}}\"}}}}\n{more}",
            self.ports.map(|port| format!("\"127.0.0.1:{port}\"")).join(", "),
            self.folder.path().join("ca.pem").display()
        )
    }
}

/// Whatever dies and whoever leads, each job has its record, under its node's key and with its own id.
#[tokio::test]
async fn each_job_is_a_record_though_both_sides_are_killed_and_leaders_change() {
    let Some(mut cluster) = Cluster::start().await else { return };
    let target = cluster.target(
        "emote",
        "scram-sha-512",
        &format!("topic: emote.counted\ncompress: gzip\nbatch: {{max: 10, wait: 20ms}}\n{QUICK}"),
    );
    let mut stack = Stack::new()
        .secret("kafka-password")
        .file("targets/kafka.yaml", &target)
        .file("rules/count.yaml", &rule(&["kafka"]))
        .start()
        .await;
    for n in 0..RECORDS {
        count(&stack, &format!("C02-{}", n % 7), n).await;
        match n {
            40 => {
                until("some have come", async || cluster.records().len() > 5).await;
                cluster.kill();
            }
            60 => {
                until("one was tried in vain", async || stack.broker.logged("will try again") > 0).await;
                cluster.start_again().await;
            }
            80 => {
                until("more have come", async || cluster.records().len() > 45).await;
                stack.broker.kill();
                stack.broker.start().await;
            }
            _ => {}
        }
    }
    stack.settled().await;
    let has_all = async || {
        let records = cluster.records();
        let found: BTreeSet<u64> = records.iter().map(|record| said(record)["n"].as_u64().unwrap()).collect();
        (found.len() as u64 == RECORDS).then_some(records)
    };
    let records = until_some("every record is read", has_all).await;
    let (mut ids, mut places) = (BTreeMap::new(), BTreeMap::new());
    for record in &records {
        let (n, serial) = (said(record)["n"].as_u64().unwrap(), said(record)["serial"].clone());
        let partition = record["partition"].as_u64().unwrap();
        assert_eq!(record["key"], serial, "{record}");
        assert_eq!(places.entry(serial.to_string()).or_insert(partition), &partition);
        let headers = &record["headers"];
        let id = headers["idempotency-key"].as_str().unwrap();
        assert_eq!(ids.entry(n).or_insert(id), &id, "{record}");
        assert!(id.starts_with(headers["event-id"].as_str().unwrap()) && id.ends_with("/count/kafka"), "{record}");
        assert_eq!(headers["content-type"], "application/json");
    }
    assert_eq!(ids.values().collect::<BTreeSet<_>>().len() as u64, RECORDS, "each job has an id of its own");
    assert!(places.values().collect::<BTreeSet<_>>().len() > 1, "all in one partition: {places:?}");
    assert_eq!(stack.streams.dead().await.len(), 0);
    let reported = stack.streams.events().await.into_iter().filter(|event| event.json()["action"] == "produced");
    assert_eq!(reported.count() as u64, RECORDS);
}

fn said(record: &Value) -> Value {
    serde_json::from_str(record["value"].as_str().unwrap()).unwrap()
}

/// What a cluster will never take is given up with its word for it, and takes nothing with it; what it may take later waits.
#[tokio::test]
async fn what_a_cluster_refuses_is_given_up_alone() {
    let Some(cluster) = Cluster::start().await else { return };
    let with = |user: &str, mechanism: &str, topic: &str, more: &str| {
        cluster.target(user, mechanism, &format!("topic: {topic}\n{QUICK}{more}"))
    };
    let body = "body: 'if .event.info.n == 3 then \"x\" * 30000 else .input end'\nbatch: {max: 10, wait: 500ms}\n";
    let rule = format!("{COUNTED}targets: [large, plain, guest, stranger, nowhere]\n");
    let stranger = with("stranger", "scram-sha-256", "emote.counted", "");
    let stack = Stack::new()
        .secret("kafka-password")
        .file("targets/large.yaml", &with("emote", "scram-sha-256", "emote.counted", body))
        .file("targets/plain.yaml", &with("emote", "plain", "emote.counted", "body: '\"plain\"'\n"))
        .file("targets/guest.yaml", &with("guest", "plain", "emote.counted", ""))
        .file("targets/stranger.yaml", &stranger)
        .file("targets/nowhere.yaml", &with("emote", "plain", "emote.nowhere", ""))
        .file("rules/count.yaml", &rule)
        .start()
        .await;
    for n in 0..6 {
        count(&stack, "C02XL0GTJGH5", n).await;
    }
    let dead = until_some("what is refused is given up", async || {
        let dead = stack.streams.dead().await;
        (dead.len() == 1 + 6).then_some(dead)
    })
    .await;
    for letter in &dead {
        let target = letter.subject.split('.').nth(1).unwrap();
        let expected = match target {
            "large" => "MESSAGE_TOO_LARGE (10)",
            _ => "TOPIC_AUTHORIZATION_FAILED (29)",
        };
        let reason = letter.json()["reason"].to_string();
        assert!(reason.contains(expected), "{target}: {reason}");
    }
    until("all others are stored", async || cluster.records().len() == 5 + 6).await;
    let records = cluster.records();
    let mut plain = records.iter().filter(|record| record["value"] == "plain");
    assert!(plain.all(|record| record["headers"]["content-type"] == "text/plain; charset=utf-8"), "{records:?}");
    // This cluster closes the connection where others would say that they refuse a login.
    for (target, reason) in [("nowhere", "create the topic"), ("stranger", "during the login: check `auth`")] {
        until("what waits says why", async || {
            let output = emote(&["targets", "show", target, "-o", "json", "--server", &stack.nats.url()]).await;
            String::from_utf8_lossy(&output.stdout).contains(reason)
        })
        .await;
    }
}

//! A JetStream cluster of three: servers that are killed or started again, and clients that are parted from them.
//! `emote` and the agent go on by themselves, nothing is lost, nothing doubled.

use std::{collections::BTreeMap, time::Duration};

use emote_tests::{Agent, Cluster, Stack, Wire, until, until_some, webhook};
use serde_json::json;

const EVERYTHING: &str =
    "pattern: {scope: [{anything-but: [communicate, log, delivery, mdm, config]}]}\ntargets: [log]\n";
const LOG: &str = "kind: log\npath: events.jsonl\nmax_size: 100MiB\nkeep: 1\ntimeout: 1s\n\
                   retry: {max_attempts: 50, backoff: {initial: 20ms, max: 200ms}}\n";
/// What servers log of another one that is away, and the NATS library of a connection that ends while it is being made.
const OF_CONNECTIONS: [&str; 4] = [
    "Error trying to connect to route",
    "Error flushing: writev",
    "expected INFO, got nothing",
    "connection closed unexpectedly",
];

/// A cluster, a broker and an agent on it, and what was acknowledged. The cluster goes before the folder that it is in.
struct Trial {
    cluster: Cluster,
    stack: Stack,
    acknowledged: Vec<String>,
    n: u64,
}

/// The wires of a broker and of an agent, a wire to each server.
struct Wires {
    broker: Vec<Wire>,
    agent: Vec<Wire>,
}

impl Trial {
    async fn start() -> (Self, Wires) {
        let builder =
            OF_CONNECTIONS.iter().fold(Stack::new().without_nats(), |builder, text| builder.expect_error(text));
        let builder = builder.file("rules/everything.yaml", EVERYTHING).file("targets/log.yaml", LOG);
        let mut stack = builder.start().await;
        let cluster = Cluster::start(stack.config.parent().unwrap(), &stack.logs).await;
        stack.streams = cluster.connect().await;
        let wires = Wires { broker: wires(&cluster).await, agent: wires(&cluster).await };
        stack.lead_broker_to_cluster(&urls(&wires.broker));
        stack.broker.start().await;
        cluster.whole(&stack.streams).await;
        let mut agent = stack.new_agent("C02XL0GTJGH5", &urls(&wires.agent).join(","));
        agent.start().await;
        stack.agents.push(agent);
        (Self { cluster, stack, acknowledged: Vec::new(), n: 0 }, wires)
    }

    /// So many webhooks and as many events of the agent, each sent until it is taken.
    async fn speak(&mut self, times: u64) {
        for _ in 0..times {
            self.n += 1;
            let hook = webhook::okta_deactivated(&["nobody@example.com"], &format!("h{}", self.n));
            let taken = until_some("the webhook is taken", async || {
                let posted = self.stack.okta(&hook).await;
                assert!(matches!(posted.status, 0 | 200 | 503), "{posted:?}");
                (posted.status == 200).then(|| posted.events())
            });
            let taken = taken.await;
            self.acknowledged.extend(taken);
            let event = json!({"scope": "test", "action": "counted", "info": {"n": self.n}});
            let agent: &Agent = &self.stack.agents[0];
            self.acknowledged.extend(agent.emit(event).await);
        }
    }

    /// Every event that was acknowledged is there once, every job is there once and has ended, in the order of the log.
    async fn check(self) {
        let agent = &self.stack.agents[0];
        until("the agent's spool is empty", || async { agent.waiting().await == Some(0) }).await;
        let events = self.stack.settled().await;
        let mut counted: BTreeMap<String, usize> = BTreeMap::new();
        for event in &events {
            *counted.entry(event.json()["id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        assert_eq!(self.acknowledged.len() as u64, 2 * self.n, "each webhook and each event of the agent was taken");
        for id in &self.acknowledged {
            assert_eq!(counted.get(id), Some(&1), "{id}");
        }
        let numbers: Vec<u64> = events.iter().filter_map(|event| event.json()["info"]["n"].as_u64()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "in order and each once: {numbers:?}");
    }
}

async fn wires(cluster: &Cluster) -> Vec<Wire> {
    let mut wires = Vec::new();
    for member in &cluster.members {
        wires.push(Wire::to(member.port).await);
    }
    wires
}

fn urls(wires: &[Wire]) -> Vec<String> {
    wires.iter().map(|wire| wire.url.clone()).collect()
}

#[tokio::test]
async fn leaders_of_events_and_of_deliveries_are_killed_and_nothing_is_lost() {
    let (mut trial, _wires) = Trial::start().await;
    trial.speak(5).await;
    for stream in ["EVENTS", "DELIVERIES"] {
        let killed = trial.cluster.kill_leader(&trial.stack.streams, stream).await;
        trial.speak(10).await;
        trial.cluster.start_member(killed).await;
        trial.cluster.whole(&trial.stack.streams).await;
        trial.speak(5).await;
    }
    trial.check().await;
}

/// A message of somebody else's among the core's, at every place that there is.
#[tokio::test]
async fn what_others_write_into_deliveries_does_the_cluster_no_harm() {
    let (mut trial, _wires) = Trial::start().await;
    let (js, (stop, mut stopped)) = (trial.stack.streams.js.clone(), tokio::sync::oneshot::channel::<()>());
    let writing = tokio::spawn(async move {
        let mut written = 0_u64;
        while stopped.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
            let sent = js.publish("checkpoint.99", "somebody else's".into()).await.unwrap();
            written += u64::from(sent.await.is_ok());
        }
        written
    });
    trial.speak(40).await;
    stop.send(()).unwrap();
    let written = writing.await.unwrap();
    assert!(written > 100, "{written}");
    trial.check().await;
}

#[tokio::test]
async fn servers_are_started_again_one_after_the_other_and_nothing_is_lost() {
    let (mut trial, _wires) = Trial::start().await;
    trial.speak(5).await;
    for index in 0..3 {
        trial.cluster.stop(index).await;
        trial.speak(5).await;
        trial.cluster.start_member(index).await;
        trial.cluster.whole(&trial.stack.streams).await;
    }
    trial.speak(5).await;
    trial.check().await;
}

#[tokio::test]
async fn a_broker_and_an_agent_that_were_parted_from_the_cluster_go_on() {
    let (mut trial, wires) = Trial::start().await;
    trial.speak(5).await;
    wires.broker.iter().for_each(Wire::part);
    let hook = webhook::okta_deactivated(&["nobody@example.com"], "while-parted");
    until("the broker notices", || async { trial.stack.okta(&hook).await.status == 503 }).await;
    let seen = trial.stack.streams.events().await.len();
    for n in 0..10 {
        let event = json!({"scope": "test", "action": "counted"}).to_string();
        trial.stack.streams.publish(&format!("events.manual.D{n}.test.counted"), event).await;
    }
    assert_eq!(trial.stack.streams.events().await.len(), seen + 10, "the cluster goes on without the broker");
    tokio::time::sleep(Duration::from_secs(3)).await;
    wires.broker.iter().for_each(Wire::mend);
    trial.speak(5).await;

    wires.agent.iter().for_each(Wire::part);
    let agent = &trial.stack.agents[0];
    let id = agent.emit(json!({"scope": "test", "action": "kept"})).await.expect("it takes events without a server");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(agent.waiting().await > Some(0), "parted is parted");
    wires.agent.iter().for_each(Wire::mend);
    trial.speak(5).await;
    let agent = &trial.stack.agents[0];
    until("the agent's spool is empty", || async { agent.waiting().await == Some(0) }).await;
    let events = trial.stack.streams.read("EVENTS", "events.agent.*.test.kept").await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].json()["id"], json!(id));
    trial.check().await;
}

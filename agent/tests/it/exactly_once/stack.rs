//! A nats-server with an EVENTS stream and an agent, each in its own folder, ended with the test.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitStatus;

use async_nats::jetstream;
use emote_agent::health::Status;
use emote_agent::socket::{Answer, Ask, CallError, call};
use emote_proto::{Draft, EventId, header};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::proxy::Proxy;
use crate::programs::{DEADLINE, agent, events, free_port, nats_server, until, until_it_listens};

/// Simulated ones.
const MACS: u32 = 25;
pub(crate) struct Stack {
    dir: TempDir,
    port: u16,
    /// Where the agent connects to.
    agent_port: u16,
    /// Between two heartbeats.
    heartbeat: &'static str,
    server: Option<Child>,
    agent: Option<Child>,
}

impl Stack {
    pub(crate) async fn start() -> Self {
        let port = free_port();
        let mut stack =
            Self { dir: TempDir::new().unwrap(), port, agent_port: port, heartbeat: "5m", server: None, agent: None };
        stack.start_server().await;
        stack.jetstream().await.create_stream(events()).await.unwrap();
        stack
    }

    pub(crate) async fn start_server(&mut self) {
        let store = self.dir.path().join("nats");
        let mut command = nats_server();
        command.args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"]).arg(store);
        self.server = Some(command.spawn().unwrap());
        until_it_listens(self.port).await;
    }

    /// The agent is to connect to a proxy that loses so many answers.
    pub(crate) async fn put_proxy_between(&mut self, cuts: usize) -> Proxy {
        let proxy = Proxy::start(self.port, cuts).await;
        self.agent_port = proxy.port;
        proxy
    }

    /// So often that there are always some among the events.
    pub(crate) fn with_heartbeats(&mut self) {
        self.heartbeat = "1s";
    }

    pub(crate) async fn kill_server(&mut self) {
        self.server.take().unwrap().kill().await.unwrap();
    }

    pub(crate) async fn start_agent(&mut self) {
        let server = format!("nats://127.0.0.1:{}", self.agent_port);
        let mut command = agent();
        command
            .args([
                "run",
                "--log-stderr",
                "--serial",
                "T1",
                "--server",
                &server,
                "--heartbeat",
                self.heartbeat,
                "--state-dir",
            ])
            .arg(self.state());
        self.agent = Some(command.spawn().unwrap());
        let socket = self.socket();
        until("the agent answers", || async { call(&socket, &Ask::Status {}).await.is_ok() }).await;
    }

    /// Without a server in its flags: what it is to do is in `agent.toml` and `managed.plist`, which may be missing.
    pub(crate) async fn start_agent_by_files(&mut self) {
        let mut command = agent();
        command.args(["run", "--serial", "T1", "--state-dir"]).arg(self.state());
        command.arg("--managed").arg(self.dir.path().join("managed.plist"));
        command.arg("--config").arg(self.dir.path().join("agent.toml"));
        self.agent = Some(command.spawn().unwrap());
        let socket = self.socket();
        until("the agent answers", || async { call(&socket, &Ask::Status {}).await.is_ok() }).await;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Has the agent look at its settings now.
    pub(crate) fn nudge(&self) {
        let pid = self.agent.as_ref().and_then(Child::id).unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    pub(crate) async fn status(&self) -> Option<Status> {
        match call(&self.socket(), &Ask::Status {}).await {
            Ok(Answer::Status(status)) => Some(*status),
            _ => None,
        }
    }

    /// The `info` of every event of this scope and action in the stream, in order.
    pub(crate) async fn told(&self, kind: &str) -> Vec<Value> {
        let messages = self.messages().await.into_iter();
        let events = messages.filter(|(subject, ..)| subject.ends_with(kind)).map(|(_, _, payload)| payload);
        events.map(|payload| Draft::parse(&payload).unwrap().info.map_or(Value::Null, Value::from)).collect()
    }

    /// Sends SIGKILL; [`Self::reap_agent`] waits for the end.
    pub(crate) fn kill_agent(&mut self) {
        self.agent.as_mut().unwrap().start_kill().unwrap();
    }

    pub(crate) async fn kill_agent_after_first_answer(&self) {
        let pid = self.agent.as_ref().and_then(Child::id).unwrap();
        call(&self.socket(), &Ask::Status {}).await.ok();
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    pub(crate) async fn reap_agent(&mut self) {
        self.agent.take().unwrap().wait().await.unwrap();
    }

    pub(crate) async fn stop_agent(&mut self) -> ExitStatus {
        let mut agent = self.agent.take().unwrap();
        let waited = || async { self.waiting().await == Some(0) && self.subjects().await.len() > 1 };
        until("the inventory is stored", waited).await;
        let pid = rustix::process::Pid::from_raw(i32::try_from(agent.id().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        agent.wait().await.unwrap()
    }

    pub(crate) async fn emit(&self, n: u64) -> Result<Answer, CallError> {
        let draft = Draft::from_value(json!({"scope": "test", "action": "counted", "info": {"n": n}})).unwrap();
        call(&self.socket(), &Ask::Emit(Box::new(draft))).await
    }

    /// Emits all at once; returns what was confirmed, in no order.
    pub(crate) async fn emit_all(&self, numbers: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let emitted = join_all(numbers.into_iter().map(|n| async move { (n, self.emit(n).await) })).await;
        emitted.into_iter().filter(|(_, answer)| matches!(answer, Ok(Answer::Id(_)))).map(|(n, _)| n).collect()
    }

    /// How many events wait, when the agent answers.
    pub(crate) async fn waiting(&self) -> Option<u64> {
        match call(&self.socket(), &Ask::Status {}).await {
            Ok(Answer::Status(status)) => Some(status.spool.count),
            _ => None,
        }
    }

    /// A day of a few Macs, to be sent as fast as it goes.
    pub(crate) fn simulation(&self) -> Command {
        let mut command = simulate(MACS);
        command.args(["--server", &self.url(), "--speed", "max", "-o", "json"]);
        command
    }

    /// The same, played to the end: the sums.
    pub(crate) async fn simulated(&self) -> Value {
        let output = self.simulation().output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// How many messages the stream holds.
    pub(crate) async fn count(&self) -> u64 {
        self.jetstream().await.get_stream("EVENTS").await.unwrap().cached_info().state.messages
    }

    /// Spool sequence and id of every event in the stream, by serial number, in order.
    pub(crate) async fn by_serial(&self) -> BTreeMap<String, Vec<(u64, EventId)>> {
        let mut found = BTreeMap::<_, Vec<_>>::new();
        for (subject, spool, payload) in self.messages().await {
            let serial = subject.split('.').nth(2).unwrap().to_owned();
            found.entry(serial).or_default().push((spool, Draft::parse(&payload).unwrap().id.unwrap()));
        }
        found
    }

    /// Waits until everything is stored, then: each confirmed number once; every spool sequence once, without a gap, and in
    /// order but for heartbeats.
    pub(crate) async fn check(&self, confirmed: &[u64]) {
        until("everything is stored", || async { self.waiting().await == Some(0) }).await;
        let numbers = self.numbers().await;
        for n in confirmed {
            assert_eq!(
                numbers.iter().filter(|found| *found == n).count(),
                1,
                "event {n} of {confirmed:?} in {numbers:?}"
            );
        }
        let messages = self.messages().await;
        let (beats, others): (Vec<_>, Vec<_>) = messages
            .iter()
            .map(|message| (&message.0, message.1))
            .partition(|(subject, _)| subject.ends_with(".heartbeat"));
        assert!(others.is_sorted_by(|a, b| a.1 < b.1), "{others:?}");
        let mut sequences: Vec<u64> = beats.iter().chain(&others).map(|message| message.1).collect();
        sequences.sort_unstable();
        assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());
    }

    /// The emitted numbers in the stream, in order.
    pub(crate) async fn numbers(&self) -> Vec<u64> {
        let messages = self.messages().await;
        let events = messages.iter().map(|(_, _, payload)| Draft::parse(payload).unwrap());
        events.filter_map(|event| event.info?.get("n")?.as_u64()).collect()
    }

    pub(crate) async fn subjects(&self) -> Vec<String> {
        self.messages().await.into_iter().map(|message| message.0).collect()
    }

    pub(crate) async fn publish(&self, subject: &str) {
        self.jetstream().await.publish(subject.to_owned(), "{}".into()).await.unwrap().await.unwrap();
    }

    pub(crate) async fn purge(&self) {
        self.jetstream().await.get_stream("EVENTS").await.unwrap().purge().await.unwrap();
    }

    /// Subject, spool sequence and payload of everything in the stream.
    async fn messages(&self) -> Vec<(String, u64, Vec<u8>)> {
        let mut stream = self.jetstream().await.get_stream("EVENTS").await.unwrap();
        let state = stream.info().await.unwrap().state.clone();
        let mut messages = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            let Ok(message) = stream.get_raw_message(sequence).await else { continue };
            let spool = message.headers.get(header::SPOOL_SEQUENCE).map_or(0, |value| value.as_str().parse().unwrap());
            messages.push((message.subject.to_string(), spool, message.payload.to_vec()));
        }
        messages
    }

    async fn jetstream(&self) -> jetstream::Context {
        let url = self.url();
        let connected =
            timeout(DEADLINE, async_nats::ConnectOptions::new().retry_on_initial_connect().connect(url)).await;
        jetstream::new(connected.expect("nats-server takes connections").unwrap())
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// What the agent has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.state().join("agent.log")).unwrap_or_default()
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("agent")
    }

    fn socket(&self) -> PathBuf {
        self.state().join("agent.sock")
    }
}

/// A day of so many Macs, always the same.
pub(crate) fn simulate(macs: u32) -> Command {
    let mut command = agent();
    command.args(["simulate", "--day", "2026-11-23", "--macs", &macs.to_string()]).kill_on_drop(true);
    command
}

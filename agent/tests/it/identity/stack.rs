//! A nats-server in operator mode, a stand-in for the broker, and an agent that has nothing but an enrolment token.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::{Client, ConnectOptions, jetstream};
use emote_agent::health::{Standing, Status};
use emote_agent::socket::{Answer as Said, Ask, call};
use emote_proto::enroll::{EnrollmentToken, UserKey};
use emote_proto::{Draft, EventId, header};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Child;

use super::authority::{Authority, User};
use super::broker::{Answer, Broker};
use crate::programs::{agent, events, free_port, nats_server, until, until_it_listens};

pub(crate) struct Stack {
    dir: TempDir,
    port: u16,
    pub(crate) authority: Arc<Authority>,
    pub(crate) broker: Broker,
    pub(crate) service: Client,
    admin: Client,
    server: Child,
    agent: Option<Child>,
    /// Connections that were taken of the account, and those that were not.
    connects: Arc<AtomicUsize>,
    refusals: Arc<AtomicUsize>,
}

impl Drop for Stack {
    /// What the agent said of a test that failed.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

impl Stack {
    /// Without an agent. JWTs hold so many seconds.
    pub(crate) async fn start(answer: Answer, seconds: i64) -> Self {
        let (dir, port, authority) = (TempDir::new().unwrap(), free_port(), Arc::new(Authority::new()));
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\nserver_name: s1\njetstream {{ store_dir: js }}\n{}",
            authority.configuration()
        );
        std::fs::write(dir.path().join("nats.conf"), text).unwrap();
        let server = serve(&dir, port).await;
        let (service, admin) = (connect(port, &authority.service()).await, connect(port, &authority.admin()).await);
        jetstream::new(service.clone()).create_stream(events()).await.unwrap();
        let count = async |subject: String| {
            let counter = Arc::new(AtomicUsize::new(0));
            let mut seen = admin.subscribe(subject).await.unwrap();
            let mine = Arc::clone(&counter);
            tokio::spawn(async move {
                while seen.next().await.is_some() {
                    mine.fetch_add(1, Ordering::Relaxed);
                }
            });
            counter
        };
        let connects = count(format!("$SYS.ACCOUNT.{}.CONNECT", authority.account())).await;
        let refusals = count("$SYS.SERVER.*.CLIENT.AUTH.ERR".into()).await;
        admin.flush().await.unwrap();
        let broker = Broker::start(service.clone(), Arc::clone(&authority), answer, seconds).await;
        let agent = None;
        Self { dir, port, authority, broker, service, admin, server, agent, connects, refusals }
    }

    pub(crate) async fn restart_server(&mut self) {
        self.server.kill().await.unwrap();
        self.server = serve(&self.dir, self.port).await;
    }

    pub(crate) fn settings(&self, token: Option<&EnrollmentToken>) {
        let token = token.map_or_else(String::new, |token| format!("enrollment_token = {:?}\n", token.to_line()));
        let server = format!("server = 'nats://127.0.0.1:{}'\n", self.port);
        std::fs::write(self.path("agent.toml"), format!("{server}{token}")).unwrap();
    }

    pub(crate) async fn start_agent(&mut self) {
        let mut command = agent();
        command.args(["run", "--serial", "T1", "--heartbeat", "1s", "--state-dir"]).arg(self.path("agent"));
        command.arg("--config").arg(self.path("agent.toml"));
        self.agent = Some(command.spawn().unwrap());
        until("the agent answers", || async { self.status().await.is_some() }).await;
    }

    /// With a token of the authority's, until it is enrolled and everything is stored.
    pub(crate) async fn enrol_agent(&mut self) -> EnrollmentToken {
        let token = self.authority.token("fleet2026");
        self.settings(Some(&token));
        self.start_agent().await;
        self.until_standing(Standing::Enrolled).await;
        self.until_stored().await;
        token
    }

    /// Sends SIGKILL.
    pub(crate) async fn kill_agent(&mut self) {
        self.agent.take().unwrap().kill().await.unwrap();
    }

    /// Has the agent look at its settings.
    pub(crate) fn nudge(&self) {
        let pid = self.agent.as_ref().and_then(Child::id).unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    pub(crate) async fn status(&self) -> Option<Status> {
        match call(&self.path("agent/agent.sock"), &Ask::Status {}).await {
            Ok(Said::Status(status)) => Some(*status),
            _ => None,
        }
    }

    pub(crate) async fn until_standing(&self, standing: Standing) {
        let stands = || async { self.status().await.is_some_and(|status| status.identity.standing == standing) };
        until(&format!("it stands at {standing:?}"), stands).await;
    }

    pub(crate) async fn until_trouble(&self, said: &str) {
        let said_so = |status: Status| status.uplink.last_error.is_some_and(|error| error.contains(said));
        until(said, || async { self.status().await.is_some_and(said_so) }).await;
    }

    pub(crate) async fn until_stored(&self) {
        let stored = |status: Status| status.uplink.connected && status.spool.count == 0;
        until("everything is stored", || async { self.status().await.is_some_and(stored) }).await;
    }

    pub(crate) async fn key(&self) -> Option<String> {
        self.status().await?.identity.public_key
    }

    pub(crate) async fn emit(&self, n: u64) -> EventId {
        let draft = Draft::from_value(json!({"scope": "test", "action": "counted", "info": {"n": n}})).unwrap();
        match call(&self.path("agent/agent.sock"), &Ask::Emit(Box::new(draft))).await {
            Ok(Said::Id(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    /// The `info` of every event of this scope and action in the stream, in order.
    pub(crate) async fn told(&self, kind: &str) -> Vec<Value> {
        let messages = self.messages().await.into_iter();
        let events = messages.filter(|(subject, ..)| subject.ends_with(kind)).map(|(_, _, payload)| payload);
        events.map(|payload| Draft::parse(&payload).unwrap().info.map_or(Value::Null, Value::from)).collect()
    }

    /// Every spool sequence is there once, and none is missing.
    pub(crate) async fn check(&self) {
        self.until_stored().await;
        let mut sequences: Vec<u64> = self.messages().await.into_iter().map(|message| message.1).collect();
        sequences.sort_unstable();
        assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());
    }

    async fn messages(&self) -> Vec<(String, u64, Vec<u8>)> {
        let mut stream = jetstream::new(self.service.clone()).get_stream("EVENTS").await.unwrap();
        let last = stream.info().await.unwrap().state.last_sequence;
        let mut messages = Vec::new();
        for sequence in 1..=last {
            let message = stream.get_raw_message(sequence).await.unwrap();
            let spool = message.headers.get(header::SPOOL_SEQUENCE).map_or(0, |value| value.as_str().parse().unwrap());
            messages.push((message.subject.to_string(), spool, message.payload.to_vec()));
        }
        messages
    }

    /// Gives the server an account's JWT in which these keys are revoked.
    pub(crate) async fn revoke(&self, keys: &[UserKey]) {
        let jwt = self.authority.emote(Some(keys));
        let answer = self.admin.request("$SYS.REQ.CLAIMS.UPDATE", jwt.into()).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        assert_eq!(answer["data"]["code"], 200, "{answer}");
    }

    /// Connections so far that were taken, and that were not.
    pub(crate) fn connections(&self) -> (usize, usize) {
        (self.connects.load(Ordering::Relaxed), self.refusals.load(Ordering::Relaxed))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the agent has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("agent/agent.log")).unwrap_or_default()
    }
}

async fn serve(dir: &TempDir, port: u16) -> Child {
    let child = nats_server().arg("-c").arg("nats.conf").current_dir(dir.path()).spawn().unwrap();
    until_it_listens(port).await;
    child
}

async fn connect(port: u16, user: &User) -> Client {
    let pair = nkeys::KeyPair::from_seed(&user.pair.seed().unwrap()).unwrap();
    let pair = Arc::new(pair);
    let options = ConnectOptions::with_jwt(user.jwt.clone(), move |nonce| {
        let signed = pair.sign(&nonce).map_err(async_nats::AuthError::new);
        std::future::ready(signed)
    });
    options.retry_on_initial_connect().connect(format!("nats://127.0.0.1:{port}")).await.unwrap()
}

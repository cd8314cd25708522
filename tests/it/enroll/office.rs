//! A secure nats-server with a broker that gives out credentials.

use std::{path::Path, process::Output};

use emote_proto::enroll::EnrollmentToken;
use emote_tests::{
    Broker, Cluster, Member, Secure, Stored, Streams, User, Wire, copy_folder, emote, free_port, until_some,
};
use serde_json::Value;

/// What `emote init --secure` says in emote.yaml.
const POLICY: &str = "enrollment: approve ";
const LIFETIME: &str = "lifetime: 30d";

pub(crate) struct Office {
    pub(crate) secure: Secure,
    pub(crate) streams: Streams,
    /// What the broker speaks to NATS through, in the clear, so that it can be stopped at what it is about to say.
    wire: Option<Wire>,
}

impl Office {
    /// With this policy.
    pub(crate) async fn open(policy: &str) -> Self {
        Self::with(policy, "30d").await
    }

    /// With this policy and lifetime of credentials.
    pub(crate) async fn with(policy: &str, lifetime: &str) -> Self {
        let mut secure = configured(policy, lifetime).await;
        secure.start_again().await;
        secure.broker.start().await;
        let streams = secure.streams().await;
        Self { secure, streams, wire: None }
    }

    /// On a cluster of three servers.
    pub(crate) async fn in_cluster(policy: &str) -> (Cluster, Self) {
        let mut secure = configured(policy, "30d").await;
        let cluster = Cluster::start_secure(&mut secure).await;
        secure.broker.start().await;
        let streams = secure.streams().await;
        cluster.whole(&streams).await;
        (cluster, Self { secure, streams, wire: None })
    }

    /// From now on everybody but the broker and who is connected already goes to this server of the cluster.
    pub(crate) async fn go_to(&mut self, member: &Member) {
        self.secure.port = member.port;
        self.streams = self.secure.streams().await;
    }

    /// Puts a line of trust.yaml in force.
    pub(crate) async fn believes(&self, line: &str) {
        let trust = self.secure.file("trust.yaml");
        let more = format!("{}{line}\n", std::fs::read_to_string(&trust).unwrap());
        std::fs::write(trust, more).unwrap();
        self.told(&["apply", self.secure.config.to_str().unwrap(), "-m", "a test"]).await;
    }

    /// One whose broker can be stopped at what it is about to say.
    pub(crate) async fn on_a_wire() -> Self {
        let mut secure = configured("open", "30d").await;
        let (wire, url) = (Wire::to(secure.port).await, secure.url());
        change(&secure.config, &url, &wire.url);
        let server = secure.file("nats/nats-server.conf");
        let text = std::fs::read_to_string(&server).unwrap();
        let (before, tls) = text.split_once("\ntls {").unwrap();
        let (_, after) = tls.split_once("\n}\n").unwrap();
        std::fs::write(&server, format!("{before}\n{after}")).unwrap();
        secure.start_again().await;
        secure.broker.start().await;
        let admin = secure.user("nats/admin.creds");
        let streams = Streams::of(plain(&secure, &admin).await.unwrap());
        Self { secure, streams, wire: Some(wire) }
    }

    /// The wire.
    pub(crate) fn wire(&self) -> &Wire {
        self.wire.as_ref().unwrap()
    }

    /// Connects in the clear.
    pub(crate) async fn plain(&self, user: &User) -> Result<async_nats::Client, async_nats::ConnectError> {
        plain(&self.secure, user).await
    }

    /// `emote` as an administrator.
    pub(crate) async fn emote(&self, args: &[&str]) -> Output {
        let (creds, ca) = (self.secure.file("nats/admin.creds"), self.secure.file("nats/ca.pem"));
        let url = match self.wire {
            Some(_) => self.secure.url().replace("tls:", "nats:"),
            None => self.secure.url(),
        };
        let nats = ["--server", &url, "--creds", creds.to_str().unwrap(), "--ca", ca.to_str().unwrap()];
        emote(&[args, &nats[..]].concat()).await
    }

    /// What it prints, where it does what it is told.
    pub(crate) async fn told(&self, args: &[&str]) -> String {
        let output = self.emote(args).await;
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it says, where it does not.
    pub(crate) async fn refused(&self, args: &[&str]) -> String {
        let output = self.emote(args).await;
        assert!(!output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// `emote agents token create` with more arguments.
    pub(crate) async fn token(&self, args: &[&str]) -> EnrollmentToken {
        let config = self.secure.config.to_str().unwrap();
        let line = self.told(&[&["agents", "token", "create", "--config", config], args].concat()).await;
        line.parse().unwrap()
    }

    /// A device's record.
    pub(crate) async fn device(&self, serial: &str) -> Value {
        let shown = self.told(&["agents", "show", serial, "-o", "json"]).await;
        serde_json::from_str::<Value>(&shown).unwrap()["device"].take()
    }

    /// A token's record.
    pub(crate) async fn token_record(&self, token: &EnrollmentToken) -> Value {
        let listed = self.told(&["agents", "token", "ls", "-o", "json"]).await;
        let mut records = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.find(|record| record["id"] == token.id().as_str()).unwrap()
    }

    /// The broker's events about agents with this action.
    pub(crate) async fn events(&self, serial: &str, action: &str) -> Vec<Stored> {
        self.streams.read("EVENTS", &format!("events.broker.{serial}.agent.{action}")).await
    }

    /// The first of them, once it is there.
    pub(crate) async fn event(&self, serial: &str, action: &str) -> Value {
        until_some(&format!("agent.{action} of {serial}"), async || {
            self.events(serial, action).await.first().map(Stored::json)
        })
        .await
    }

    /// The last sequence of EVENTS.
    pub(crate) async fn last(&self) -> u64 {
        self.streams.js.get_stream("EVENTS").await.unwrap().cached_info().state.last_sequence
    }

    /// A second broker on the same NATS, with a store of its own. Not started.
    pub(crate) fn other_broker(&self) -> Broker {
        let [hooks, ops, console] = [(); 3].map(|()| free_port());
        let config = self.secure.config.with_file_name(format!("other-broker-{hooks}"));
        copy_folder(&self.secure.config, &config, &["data", "jetstream", "accounts"]);
        let own = &self.secure.broker;
        for (from, to) in [(own.port, hooks), (own.ops, ops), (own.console, console)] {
            change(&config, &format!("127.0.0.1:{from}"), &format!("127.0.0.1:{to}"));
        }
        Broker::of(&config, &self.secure.logs, (hooks, ops, console))
    }
}

async fn configured(policy: &str, lifetime: &str) -> Secure {
    let elsewhere = "http://127.0.0.1:9";
    let secure = Secure::stopped(&["--slack-webhook", elsewhere, "--mdm-url", elsewhere]).await;
    change(&secure.config, POLICY, &format!("enrollment: {policy} "));
    change(&secure.config, LIFETIME, &format!("lifetime: {lifetime}"));
    secure
}

async fn plain(secure: &Secure, user: &User) -> Result<async_nats::Client, async_nats::ConnectError> {
    secure.options(user).require_tls(false).connect(format!("nats://127.0.0.1:{}", secure.port)).await
}

/// Changes emote.yaml of a folder.
pub(crate) fn change(config: &Path, from: &str, to: &str) {
    emote_tests::change(&config.join("emote.yaml"), &[(from, to)]);
}

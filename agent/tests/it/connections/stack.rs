//! A nats-server with a plain and a WebSocket port, an agent, and the certificates between them, each ended with the test.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream;
use emote_agent::health::{ClockStatus, Status};
use emote_agent::socket::{Answer, Ask, call};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::Child;
use tokio::time::timeout;

use super::broker::Broker;
use crate::programs::{agent, events, free_port, nats_server, until, until_it_listens};

/// The agent gives its last events two seconds where they can be sent, and nothing else any.
const SOON: Duration = Duration::from_secs(2);

/// A certificate for one name, and the authority that gave it.
pub(crate) struct Certificates {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Certificates {
    pub(crate) fn new(name: &str) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let roots = authority.self_signed(&key).unwrap().pem();
        let certificates = Self { dir: TempDir::new().unwrap(), issuer: Issuer::new(authority, key) };
        certificates.file("ca.pem", &roots);
        let (certificate, key) = certificates.issue(name, false);
        certificates.file("cert.pem", &certificate);
        certificates.file("key.pem", &key);
        certificates
    }

    /// A certificate of this authority and its key, PEM; one that is over, too.
    pub(crate) fn issue(&self, name: &str, over: bool) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if over {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A private file.
    pub(crate) fn secret(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }
}

pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) web: u16,
    _dir: TempDir,
    _child: Child,
}

impl Server {
    /// With an EVENTS stream.
    pub(crate) async fn start(certificates: &Certificates) -> Self {
        let server = Self::start_with(certificates, "jetstream { store_dir: js }\n").await;
        server.jetstream().await.create_stream(events()).await.unwrap();
        server
    }

    pub(crate) async fn start_with(certificates: &Certificates, more: &str) -> Self {
        let (dir, port, web) = (TempDir::new().unwrap(), free_port(), free_port());
        let config = dir.path().join("nats.conf");
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\n\
             websocket {{ listen: \"127.0.0.1:{web}\", tls {{ cert_file: {cert:?}, key_file: {key:?} }} }}\n{more}",
            cert = certificates.path("cert.pem"),
            key = certificates.path("key.pem"),
        );
        std::fs::write(&config, text).unwrap();
        let child = nats_server().arg("-c").arg(config).current_dir(dir.path()).spawn().unwrap();
        for port in [port, web] {
            until_it_listens(port).await;
        }
        Self { port, web, _dir: dir, _child: child }
    }

    pub(crate) fn wss(&self) -> String {
        format!("wss://localhost:{}", self.web)
    }

    /// How many events are in the stream.
    pub(crate) async fn stored(&self) -> u64 {
        self.jetstream().await.get_stream("EVENTS").await.unwrap().cached_info().state.messages
    }

    /// The subjects of all events, in order.
    pub(crate) async fn subjects(&self) -> Vec<String> {
        let stream = self.jetstream().await.get_stream("EVENTS").await.unwrap();
        let mut subjects = Vec::new();
        for sequence in 1..=stream.cached_info().state.last_sequence {
            subjects.push(stream.get_raw_message(sequence).await.unwrap().subject.to_string());
        }
        subjects
    }

    /// Somebody who answers heartbeats with the time as it is `ahead`.
    pub(crate) async fn tell_time(&self, ahead: Duration) -> Broker {
        Broker::start(self.port, ahead).await
    }

    async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(async_nats::connect(format!("nats://127.0.0.1:{}", self.port)).await.unwrap())
    }
}

pub(crate) struct Agent {
    dir: TempDir,
    child: Child,
}

impl Agent {
    /// Trusts the authority of `certificates`.
    pub(crate) async fn start(certificates: &Certificates, arguments: &[&str]) -> Self {
        let ca = certificates.path("ca.pem");
        Self::start_trusting(&[&["--ca", ca.to_str().unwrap()], arguments].concat()).await
    }

    /// Trusts whom the arguments say.
    pub(crate) async fn start_trusting(arguments: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let mut command = agent();
        command.args(["run", "--serial", "T1", "--state-dir"]).arg(dir.path().join("agent")).args(arguments);
        let agent = Self { child: command.spawn().unwrap(), dir };
        until("the agent answers", || async { agent.status().await.is_some() }).await;
        agent
    }

    pub(crate) async fn until_connected(&self) {
        until("the agent is connected", || async { self.status().await.is_some_and(|status| status.uplink.connected) })
            .await;
    }

    pub(crate) async fn until_stored(&self) {
        let stored = |status: Status| status.uplink.last_ack.is_some() && status.spool.count == 0;
        until("everything is stored", || async { self.status().await.is_some_and(stored) }).await;
    }

    pub(crate) async fn until_trouble(&self, said: &str) {
        let said_so = |status: Status| status.uplink.last_error.is_some_and(|error| error.contains(said));
        until(said, || async { self.status().await.is_some_and(said_so) }).await;
    }

    /// Whether it ends as it should, and soon, when it is told to.
    pub(crate) async fn ends(mut self) -> bool {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).unwrap())).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        timeout(SOON, self.child.wait()).await.is_ok_and(|status| status.unwrap().success())
    }

    pub(crate) async fn clock(&self) -> Option<ClockStatus> {
        self.status().await?.uplink.clock
    }

    async fn status(&self) -> Option<Status> {
        match call(&self.dir.path().join("agent/agent.sock"), &Ask::Status {}).await {
            Ok(Answer::Status(status)) => Some(*status),
            _ => None,
        }
    }
}

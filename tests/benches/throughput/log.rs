//! A nats-server with EVENTS filled.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use async_nats::{HeaderMap, jetstream};
use emote::bus::{Bus, BusSettings, StreamSettings};
use emote_proto::{EventId, bucket, header, stream};
use serde_json::json;
use tempfile::TempDir;

use crate::{RULES, spent::Moment};

/// Publishes under way at once.
const AHEAD: usize = 2_000;

/// The server, and connections to it.
pub(crate) struct Log {
    pub(crate) folder: TempDir,
    pub(crate) url: String,
    pub(crate) bus: Bus,
    pub(crate) js: jetstream::Context,
    pub(crate) client: async_nats::Client,
    server: Child,
}

impl Log {
    pub(crate) async fn start() -> Self {
        let folder = TempDir::with_prefix("emote-throughput-").unwrap();
        let port = emote_tests::free_port();
        let url = format!("nats://127.0.0.1:{port}");
        let server = start_server(folder.path(), port);
        let bus = loop {
            match Bus::connect(&BusSettings::local(&url, "throughput")).await {
                Ok(bus) => break bus,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        bus.ensure_streams(&StreamSettings::default()).await.unwrap();
        let client = async_nats::connect(&url).await.unwrap();
        let js = jetstream::context::ContextBuilder::new().timeout(Duration::from_secs(30));
        let js = js.max_ack_inflight(2 * AHEAD).build(client.clone());
        Self { folder, url, bus, js, client, server }
    }

    /// Publishes `count` events, of `nodes` nodes in turn; the size of one in bytes.
    pub(crate) async fn fill(&self, count: u64, nodes: u64) -> usize {
        let mut acks = std::collections::VecDeque::with_capacity(AHEAD);
        let mut size = 0;
        for n in 0..count {
            let (id, subject, body) = event(n, nodes);
            size = body.len();
            let mut headers = HeaderMap::new();
            headers.insert(header::MSG_ID, id);
            acks.push_back(self.js.publish_with_headers(subject, headers, body.into()).await.unwrap().into_future());
            if acks.len() >= AHEAD {
                acks.pop_front().unwrap().await.unwrap();
            }
        }
        for ack in acks {
            ack.await.unwrap();
        }
        size
    }

    /// Now, and what was used of the processors.
    pub(crate) fn moment(&self) -> Moment {
        Moment::now(self.server_id())
    }

    /// The server's process.
    pub(crate) fn server_id(&self) -> u32 {
        self.server.id()
    }

    /// How many entries EVENTS has.
    pub(crate) async fn length(&self) -> u64 {
        self.js.get_stream(stream::EVENTS).await.unwrap().cached_info().state.messages
    }

    /// DELIVERIES as at the beginning, and no rules in force.
    pub(crate) async fn forget_jobs(&self) {
        self.js.delete_key_value(bucket::CONFIG).await.unwrap();
        self.bus.ensure_streams(&StreamSettings::default()).await.unwrap();
        self.js.get_stream(stream::DELIVERIES).await.unwrap().purge().await.unwrap();
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

/// Id, subject and some 600 bytes, as an agent tells of an app that was installed.
pub(crate) fn event(n: u64, nodes: u64) -> (String, String, Vec<u8>) {
    let serial = format!("C02{:09}", n % nodes);
    let id = EventId::derived(&["throughput", &n.to_string()]).to_string();
    let body = json!({
        "id": id,
        "time": "2026-11-25T12:00:00.000Z", "source": "manual", "scope": "bench", "action": "installed",
        "device": {"uuid": serial, "name": format!("mac-{}", n % nodes), "model": "Mac14,2", "os_version": "15.1"},
        "info": {
            "kind": format!("k{}", n % RULES), "name": "Some Application", "version": "12.4.1",
            "path": "/Applications/Some Application.app", "bundle": "com.example.some-application",
            "signed_by": "Developer ID Application: Example Limited (ABCDE12345)", "size": 123_456_789,
            "notes": "x".repeat(120),
        },
    });
    (id, format!("events.manual.{serial}.bench.installed"), body.to_string().into_bytes())
}

fn start_server(folder: &Path, port: u16) -> Child {
    let mut command = Command::new(emote::localnats::find().unwrap().path);
    command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"]).arg(folder.join("nats"));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

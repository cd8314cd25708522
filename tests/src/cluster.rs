//! A JetStream cluster: three real nats-servers, each with its own ports and folder, which they keep when they are
//! started again.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Process, Streams, free_port, until, until_some};

/// One server of a cluster, or a server alone.
#[derive(Debug, Clone)]
pub struct Member {
    /// As it calls itself: `n1`.
    pub name: String,
    /// Where clients connect, on loopback.
    pub port: u16,
    /// Where the other servers connect.
    pub route: u16,
    /// Where it keeps its streams and its configuration.
    pub folder: PathBuf,
}

impl Member {
    /// As many as are wanted, on ports that nobody listens on, in folders of `folder`.
    pub fn several(count: usize, folder: &Path) -> Vec<Self> {
        let member = |name: String| Self {
            port: free_port(),
            route: free_port(),
            folder: folder.join(format!("nats-{name}")),
            name,
        };
        (1..=count).map(|n| member(format!("n{n}"))).collect()
    }

    /// `nats://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its configuration file, as one of `all`. It does not tell clients where the others are, so that a client that is
    /// led through a wire stays on the wire. `jetstream` is added to that section.
    pub fn configuration(&self, all: &[Self], jetstream: &str) -> String {
        let (name, port, store) = (&self.name, self.port, self.folder.join("store"));
        let mut text = format!(
            "server_name: {name:?}\nlisten: \"127.0.0.1:{port}\"\n\
             jetstream {{ store_dir: {store:?}, max_memory_store: 64MB {jetstream} }}\n"
        );
        if all.len() > 1 {
            let others = all.iter().filter(|other| other.name != self.name);
            let routes: Vec<String> = others.map(|other| format!("\"nats://127.0.0.1:{}\"", other.route)).collect();
            let (route, routes) = (self.route, routes.join(", "));
            text += &format!(
                "cluster {{ name: emote, listen: \"127.0.0.1:{route}\", no_advertise: true, routes: [{routes}] }}\n"
            );
        }
        text
    }
}

/// The cluster; servers are named by their index.
pub struct Cluster {
    /// Its servers, running or not.
    pub members: Vec<Member>,
    logs: PathBuf,
    processes: Vec<Option<Process>>,
}

impl Cluster {
    /// Starts three servers and waits until they have JetStream's leader.
    pub async fn start(folder: &Path, logs: &Path) -> Self {
        let members = Member::several(3, folder);
        let mut cluster = Self { processes: members.iter().map(|_| None).collect(), members, logs: logs.to_owned() };
        for index in 0..cluster.members.len() {
            cluster.start_member(index).await;
        }
        let streams = cluster.connect().await;
        until("the cluster has JetStream", async || streams.js.query_account().await.is_ok()).await;
        cluster
    }

    /// Starts a server, on its ports and folder, and waits until it takes connections.
    pub async fn start_member(&mut self, index: usize) {
        let member = &self.members[index];
        std::fs::create_dir_all(&member.folder).unwrap();
        let file = member.folder.join("nats.conf");
        std::fs::write(&file, member.configuration(&self.members, "")).unwrap();
        let found = emote::localnats::find().unwrap_or_else(|error| panic!("{error}"));
        let mut command = Command::new(found.path);
        command.arg("-c").arg(&file);
        let port = member.port;
        self.processes[index] = Some(Process::start(&format!("nats-{}", member.name), command, &self.logs));
        until("nats-server takes connections", || async move {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
    }

    /// `kill -9`.
    pub fn kill(&mut self, index: usize) {
        if let Some(mut process) = self.processes[index].take() {
            process.kill();
        }
    }

    /// Ends a server with SIGTERM.
    pub async fn stop(&mut self, index: usize) {
        if let Some(mut process) = self.processes[index].take() {
            process.stop().await;
        }
    }

    /// Ends and starts one server after the other, each once the others have caught up.
    pub async fn restart_all(&mut self, streams: &Streams) {
        for index in 0..self.members.len() {
            self.stop(index).await;
            self.start_member(index).await;
            self.whole(streams).await;
        }
    }

    /// The index of the server that leads this stream.
    pub async fn leader(&self, streams: &Streams, stream: &str) -> usize {
        let leader = until_some("the stream has a leader", async || {
            let found = streams.js.get_stream(stream).await.ok()?;
            found.cached_info().cluster.clone()?.leader
        })
        .await;
        self.members.iter().position(|member| member.name == leader).unwrap()
    }

    /// Kills the server that leads this stream; its index.
    pub async fn kill_leader(&mut self, streams: &Streams, stream: &str) -> usize {
        let leader = self.leader(streams, stream).await;
        self.kill(leader);
        leader
    }

    /// Waits until every stream has a leader and every copy of it is up to date.
    pub async fn whole(&self, streams: &Streams) {
        until("every copy is up to date", async || streams.are_whole(self.members.len()).await).await;
    }

    /// Where its servers are.
    pub fn urls(&self) -> Vec<String> {
        self.members.iter().map(Member::url).collect()
    }

    /// A connection to whichever server is there.
    pub async fn connect(&self) -> Streams {
        Streams::connect_to(&self.urls()).await.unwrap()
    }
}

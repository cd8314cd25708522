//! A JetStream cluster: three real nats-servers, each with its own ports and folder, which they keep when they are
//! started again. In the clear and for anyone, or as the folder that `emote init --secure` writes describes one.

use std::path::{Path, PathBuf};

use emote::identity::files;

use crate::{Process, Secure, Streams, free_port, nats::start_nats_in, until, until_some};

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

    /// The configuration of `server`, which that folder has, made that of one of `all`: as its comments say.
    fn secure_configuration(&self, all: &[Self], server: &str, [port, web]: [u16; 2]) -> String {
        let (before, cluster) = server.split_once("\n# cluster {\n").expect("the cluster's section");
        let cluster: String = cluster.lines().map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
        let mut text = format!("{before}\ncluster {{\n{cluster}");
        let mut put = |from: &str, to: &str| {
            assert!(text.contains(from), "{from} is not in {text}");
            text = text.replace(from, to);
        };
        put("\"emote-1\"", &format!("{:?}", self.name));
        put(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{}", self.port));
        put(&format!("127.0.0.1:{web}"), &format!("127.0.0.1:{}", free_port()));
        put("\nhttp: ", "\n# http: ");
        put("0.0.0.0:6222", &format!("127.0.0.1:{}", self.route));
        for (n, member) in (1..).zip(all) {
            put(&format!("nats{n}.example.com:6222"), &format!("127.0.0.1:{}", member.route));
        }
        text
    }
}

/// How a cluster's servers are set up.
enum Setup {
    Plain,
    /// As this folder has it: the configuration of its only server, and where that would be.
    Secure {
        config: PathBuf,
        server: String,
        ports: [u16; 2],
    },
}

/// The cluster; servers are named by their index.
pub struct Cluster {
    /// Its servers, running or not.
    pub members: Vec<Member>,
    setup: Setup,
    logs: PathBuf,
    processes: Vec<Option<Process>>,
}

impl Cluster {
    /// Starts three servers and waits until they have JetStream's leader.
    pub async fn start(folder: &Path, logs: &Path) -> Self {
        let mut cluster = Self::of(Setup::Plain, folder, logs);
        cluster.start_all().await;
        cluster.has_jetstream(&cluster.connect().await).await;
        cluster
    }

    /// The same three, as `secure` describes one; its broker and whoever asks it are led there.
    pub async fn start_secure(secure: &mut Secure) -> Self {
        let setup = Setup::Secure {
            config: secure.config.clone(),
            server: secure.text(files::SERVER),
            ports: [secure.port, secure.web],
        };
        let folder = secure.config.parent().unwrap();
        let mut cluster = Self::of(setup, folder, &secure.logs);
        cluster.start_all().await;
        let servers = cluster.members.iter().map(|member| format!("\"tls://127.0.0.1:{}\"", member.port));
        let servers = servers.collect::<Vec<_>>().join(", ");
        secure.change("emote.yaml", &format!("\"{}\"", secure.url()), &servers);
        secure.change("emote.yaml", "\n# streams: {replicas: 1,", "\nstreams: {replicas: 3,");
        secure.port = cluster.members[0].port;
        cluster.has_jetstream(&secure.streams().await).await;
        cluster
    }

    fn of(setup: Setup, folder: &Path, logs: &Path) -> Self {
        let members = Member::several(3, folder);
        Self { processes: members.iter().map(|_| None).collect(), members, setup, logs: logs.to_owned() }
    }

    async fn start_all(&mut self) {
        for index in 0..self.members.len() {
            self.start_member(index).await;
        }
    }

    async fn has_jetstream(&self, streams: &Streams) {
        until("the cluster has JetStream", async || streams.js.query_account().await.is_ok()).await;
    }

    /// Starts a server, on its ports and folder, and waits until it takes connections.
    pub async fn start_member(&mut self, index: usize) {
        let member = &self.members[index];
        let file = member.folder.join(files::SERVER);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let configuration = match &self.setup {
            Setup::Plain => member.configuration(&self.members, ""),
            Setup::Secure { config, server, ports } => {
                for name in [files::IDENTITY, files::CA, files::CERTIFICATE, files::KEY] {
                    std::fs::copy(config.join(name), member.folder.join(name)).unwrap();
                }
                member.secure_configuration(&self.members, server, *ports)
            }
        };
        std::fs::write(&file, configuration).unwrap();
        let name = format!("nats-{}", member.name);
        self.processes[index] = Some(start_nats_in(&member.folder, &name, &self.logs, member.port).await);
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

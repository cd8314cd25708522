//! Everything that runs: servers, brokers, agents, the target, and what sends events.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use emote_tests::{CHANGING, Streams, free_port};

use crate::{
    args::Options,
    child::Program,
    nats::Nats,
    place::Place,
    programs::{Answers, Service},
    rules,
    send::Senders,
    story,
    target::Target,
};

/// Everything that runs.
pub(crate) struct Stage {
    /// Where it all is.
    pub(crate) folder: PathBuf,
    /// The servers.
    pub(crate) nats: Nats,
    /// `emote serve`.
    pub(crate) brokers: Vec<Service>,
    /// `emote-agent run`.
    pub(crate) agents: Vec<Service>,
    /// What is delivered to.
    pub(crate) target: Target,
    /// The streams themselves.
    pub(crate) streams: Streams,
    /// What sends events.
    pub(crate) senders: Arc<Senders>,
}

impl Stage {
    /// Starts all of it, and says whose the devices are.
    pub(crate) async fn start(options: &Options, seed: u64, place: &Place) -> anyhow::Result<Self> {
        let programs = programs(options)?;
        let target = Target::start(seed, options.trouble).await?;
        let nats = Nats::start(options.servers(), options.count(), &place.folder, &place.logs).await?;
        let streams =
            Streams::connect_to(&nats.urls()).await.map_err(|error| anyhow!("connecting to NATS: {error}"))?;
        nats.prepare(&streams).await?;
        let (mut brokers, mut hooks) = (Vec::new(), Vec::new());
        for n in 1..=options.brokers() {
            let (broker, hook) = broker(n, &programs, &nats, &target.url, place).await?;
            broker.start().await?;
            brokers.push(broker);
            hooks.push(hook);
        }
        nats.whole(&streams).await?;
        let (mut agents, mut sockets) = (Vec::new(), Vec::new());
        for n in 1..=options.agents() {
            let (agent, socket) = agent(n, &programs, &nats, place).await;
            agent.start().await?;
            agents.push(agent);
            sockets.push(socket);
        }
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(12)).build()?;
        let (ledger, js) = (Arc::default(), streams.js.clone());
        let senders = Arc::new(Senders { ledger, js, http, hooks, sockets, over: false.into() });
        let stage = Self { folder: place.folder.clone(), nats, brokers, agents, target, streams, senders };
        for (subject, event) in story::prologue() {
            let id = format!("prologue-{subject}");
            let stored = stage.senders.publish_once(&subject, &id, event.to_string().as_bytes()).await;
            stored.map_err(|error| anyhow!("the first events: {error}"))?;
        }
        Ok(stage)
    }

    /// Everything that may end by itself.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Service> {
        self.nats.services.iter().chain(&self.brokers).chain(&self.agents)
    }
}

async fn broker(
    n: usize,
    programs: &Path,
    nats: &Nats,
    target: &str,
    place: &Place,
) -> anyhow::Result<(Service, String)> {
    let name = format!("broker-{n}");
    let (folder, wires, port) = (place.folder.join(&name), nats.wires().await, free_port());
    let servers: Vec<String> = wires.iter().map(|wire| wire.url.clone()).collect();
    rules::write(&rules::Place { folder: &folder, nats: &servers, replicas: servers.len(), port, target })?;
    let args = vec!["serve".into(), "--config".into(), folder.into()];
    let program = Program { name, path: programs.join("emote"), args, logs: place.logs.clone() };
    let hook = format!("http://127.0.0.1:{port}/in/hooks");
    Ok((Service::new(program, Answers::Port(port), wires), hook))
}

async fn agent(n: usize, programs: &Path, nats: &Nats, place: &Place) -> (Service, PathBuf) {
    let (name, wires) = (format!("agent-{n}"), nats.wires().await);
    let folder = place.folder.join(&name);
    let socket = folder.join("agent.sock");
    let mut args = vec!["run".into(), "--log-stderr".into(), "--serial".into(), format!("A{n:03}").into()];
    args.extend(["--state-dir".into(), folder.into(), "--disable".into(), CHANGING.into()]);
    for wire in &wires {
        args.extend(["--server".into(), wire.url.clone().into()]);
    }
    let program = Program { name, path: programs.join("emote-agent"), args, logs: place.logs.clone() };
    (Service::new(program, Answers::Socket(socket.clone()), wires), socket)
}

/// The folder of `emote` and `emote-agent`.
fn programs(options: &Options) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program itself")?;
    let beside = own.parent().unwrap_or(Path::new("."));
    let folder = options.programs.clone().unwrap_or_else(|| beside.to_owned());
    for program in ["emote", "emote-agent"] {
        let path = folder.join(program);
        if !path.is_file() {
            let release = if folder.ends_with("release") { " --release" } else { "" };
            bail!(
                "{} is not there: build it with `cargo build{release} --workspace`, or say --programs DIR",
                path.display()
            );
        }
    }
    folder.canonicalize().context("the folder of the programs")
}

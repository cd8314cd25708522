//! The nats-servers, and the storage that can be filled.

use std::{path::Path, time::Duration};

use anyhow::{Context, anyhow, bail};
use async_nats::jetstream::{self, stream};
use emote_tests::{Member, Streams, Wire};
use tokio::sync::Mutex;

use crate::{
    child::Program,
    programs::{Answers, Service},
};

const MIB: u64 = 1 << 20;
/// The stream that takes up room.
const FILLER: &str = "FILLER";
const PIECE: usize = 512 * 1024;
/// A cluster that takes longer than this to be whole again has another problem than chaos.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);

/// One server, or three.
pub(crate) struct Nats {
    /// The servers.
    pub(crate) services: Vec<Service>,
    members: Vec<Member>,
    /// Most bytes that are stored, each counted once.
    quota: u64,
    /// One trouble at a time: with two of three servers gone there is nothing to be proved.
    pub(crate) trouble: Mutex<()>,
}

impl Nats {
    /// Starts `count` servers with room for so many events.
    pub(crate) async fn start(count: usize, events: u64, folder: &Path, logs: &Path) -> anyhow::Result<Self> {
        let found = emote::localnats::find()?;
        let members = Member::several(count, folder);
        // What buckets set aside; events, jobs, results and what the server adds, four times over.
        let quota = 96 * MIB + events * 16 * 1024;
        let mut services = Vec::new();
        for member in &members {
            let file = member.folder.join("nats.conf");
            let text = configuration(member, &members, quota);
            std::fs::create_dir_all(&member.folder).and_then(|()| std::fs::write(&file, text)).context("nats.conf")?;
            let args = vec!["-c".into(), file.into()];
            let (name, path, logs) = (format!("nats-{}", member.name), found.path.clone(), logs.to_owned());
            let service = Service::new(Program { name, path, args, logs }, Answers::Port(member.port), Vec::new());
            service.start().await?;
            services.push(service);
        }
        Ok(Self { services, members, quota, trouble: Mutex::default() })
    }

    /// Where they are.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.members.iter().map(Member::url).collect()
    }

    /// Wires to all of them, for one client.
    pub(crate) async fn wires(&self) -> Vec<Wire> {
        let mut wires = Vec::new();
        for member in &self.members {
            wires.push(Wire::to(member.port).await);
        }
        wires
    }

    /// Waits until JetStream answers, and makes the stream that takes up room.
    pub(crate) async fn prepare(&self, streams: &Streams) -> anyhow::Result<()> {
        let config = stream::Config {
            name: FILLER.to_owned(),
            subjects: vec!["filler".to_owned()],
            num_replicas: self.members.len(),
            ..stream::Config::default()
        };
        let make = async {
            while streams.js.create_stream(config.clone()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(WHOLE_WITHIN, make).await.context("JetStream does not answer: see the logs of nats-server")
    }

    /// Kills one of them, and waits until the others have what they need of it again.
    pub(crate) async fn kill(&self, whom: usize, lasts: Duration, streams: &Streams) -> anyhow::Result<()> {
        let service = &self.services[whom % self.services.len()];
        service.kill(lasts, || Ok(())).await?;
        service.wait_until_there().await?;
        self.whole(streams).await
    }

    /// Waits until every stream has a leader and every copy is up to date.
    pub(crate) async fn whole(&self, streams: &Streams) -> anyhow::Result<()> {
        let whole = async {
            while !streams.are_whole(self.members.len()).await {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(WHOLE_WITHIN, whole).await.context("the copies of the streams do not become equal again")
    }

    /// Fills the storage until the server refuses, waits, and makes room.
    pub(crate) async fn fill(&self, lasts: Duration, streams: &Streams) -> anyhow::Result<()> {
        let filled = self.fill_up(streams).await;
        if filled.is_ok() {
            tokio::time::sleep(lasts).await;
        }
        self.purge(streams).await?;
        filled
    }

    async fn fill_up(&self, streams: &Streams) -> anyhow::Result<()> {
        let (pieces, mut failed) = (self.quota / PIECE as u64 + 64, 0);
        for _ in 0..pieces {
            match fill_in(&streams.js).await {
                Ok(()) => {}
                Err(error) if error.to_string().contains("resource") => return Ok(()),
                // Its leader may be away.
                Err(_) if failed < 25 => {
                    failed += 1;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                Err(error) => return Err(error.context("filling the storage")),
            }
        }
        bail!("the storage could not be filled: {pieces} pieces of {PIECE} bytes are stored")
    }

    async fn purge(&self, streams: &Streams) -> anyhow::Result<()> {
        let mut last = anyhow!("not tried");
        for _ in 0..50 {
            match purge(&streams.js).await {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(last.context("making room again"))
    }
}

/// A server alone refuses what is too much for it, and goes on. In a cluster it ends its JetStream for good when what the
/// others have accepted is too much for it; there the account's limit, which is looked at before, does the refusing.
fn configuration(member: &Member, members: &[Member], quota: u64) -> String {
    if members.len() == 1 {
        return member.configuration(members, &format!(", max_file_store: {quota}"));
    }
    let limit = quota * members.len() as u64;
    let accounts = format!(
        "accounts {{ E {{ jetstream: {{ max_file: {limit}, max_mem: {MIB} }}, users: [{{user: e, password: e}}] }},\n\
         SYS {{ users: [{{user: s, password: s}}] }} }}\nno_auth_user: e\nsystem_account: SYS\n"
    );
    member.configuration(members, "") + &accounts
}

async fn fill_in(js: &jetstream::Context) -> anyhow::Result<()> {
    js.publish("filler", vec![b'x'; PIECE].into()).await?.await?;
    Ok(())
}

async fn purge(js: &jetstream::Context) -> anyhow::Result<()> {
    js.get_stream(FILLER).await?.purge().await?;
    Ok(())
}

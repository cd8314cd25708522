//! A run: start everything, speak and break, stop, wait until it has settled, judge.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use emote_tests::{Streams, free_port};
use tempfile::TempDir;

use crate::{
    args::Options,
    check::{self, Evidence, Finding},
    child::Program,
    gather::gather,
    nats::Nats,
    plan::{Planned, plan},
    programs::{Answers, Service},
    progress,
    report::{self, Story},
    rules,
    send::Senders,
    story,
    strike::{Record, strike},
    target::Target,
};

/// What settled must still hold after this long.
const STILL: Duration = Duration::from_secs(3);

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

/// Runs it. Says whether everything holds.
pub(crate) async fn run(options: Options) -> anyhow::Result<bool> {
    rustls::crypto::ring::default_provider().install_default().map_err(|_| anyhow!("setting up TLS"))?;
    let seed = options.seed.unwrap_or_else(|| rand::random::<u64>() % 1_000_000);
    let length = Duration::from_secs(options.seconds);
    let planned = plan(seed, length, options.every, &options.faults);
    println!("{}", again(&options, seed));
    let place = Place::new(&options)?;
    place.note("plan.txt", planned.iter().map(|fault| format!("{fault}\n")).collect())?;
    let stage = Arc::new(Stage::start(&options, seed, &place).await?);
    let struck = Record::default();
    let began = Instant::now();
    breaking(&stage, &options, (seed, length), planned, &struck).await;
    let lasted = began.elapsed();
    let (evidence, findings, settled) = settle(&stage, Duration::from_secs(options.settle)).await?;
    place.panics(&stage);
    let sum = stage.senders.ledger.sum();
    let asked = stage.target.record().1;
    let struck = std::mem::take(&mut *struck.lock().unwrap_or_else(PoisonError::into_inner));
    let (struck, sum, evidence, findings, asked) = (&struck, &sum, &evidence, &findings, &asked[..]);
    let story = Story { struck, sum, evidence, findings, asked, began, lasted, settled };
    progress::show("");
    report::print(&story);
    let holds = sum.wrong.is_empty() && findings.iter().all(|finding| finding.problems.is_empty());
    drop(stage);
    place.end(holds, &again(&options, seed));
    Ok(holds)
}

/// Events and faults, until the time is over and everything under way has ended.
async fn breaking(
    stage: &Arc<Stage>,
    options: &Options,
    (seed, length): (u64, Duration),
    planned: Vec<Planned>,
    struck: &Record,
) {
    let (count, rate) = (options.count(), options.rate);
    let sending = async {
        let sender = tokio::spawn(Arc::clone(&stage.senders).run(seed, count, rate));
        // With fewer events than there is time for, the faults end with them.
        let speaking = length.min(Duration::from_millis(count * 1_000 / rate));
        tokio::time::sleep(speaking).await;
        stage.senders.over.store(true, Ordering::Relaxed);
        sender.await.ok();
    };
    let both = async {
        tokio::join!(sending, strike(stage, planned, struck));
    };
    tokio::select! {
        () = both => {}
        () = progress::follow(stage, length, struck) => {}
    }
}

/// Waits until everything holds, and whether it still does a little later.
async fn settle(stage: &Stage, within: Duration) -> anyhow::Result<(Evidence, Vec<Finding>, Duration)> {
    stage.target.recover();
    let began = Instant::now();
    let mut held = None;
    loop {
        let looked = Instant::now();
        let judged = gather(stage).await.map(|evidence| (check::judge(&evidence), evidence));
        let ended = began.elapsed() > within;
        match judged {
            Ok((findings, evidence)) => {
                let open: usize = findings.iter().map(|finding| finding.problems.len()).sum();
                progress::show(&format!("{:>4} s settling: {open} things are open", began.elapsed().as_secs()));
                match held {
                    Some(settled) => return Ok((evidence, findings, settled)),
                    None if open == 0 => held = Some(began.elapsed()),
                    None if ended => return Ok((evidence, findings, began.elapsed())),
                    None => {}
                }
            }
            Err(error) if ended => return Err(error.context("what is in the streams cannot be read")),
            Err(_) => {}
        }
        let pause = if held.is_some() { STILL } else { Duration::from_secs(1).max(looked.elapsed()) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = look_after(stage) => {}
        }
    }
}

/// Programs that end while nothing is done to them any more are wrong, too.
async fn look_after(stage: &Stage) {
    let mut every = tokio::time::interval(Duration::from_millis(500));
    loop {
        every.tick().await;
        for service in stage.services() {
            if let Err(error) = service.look_after().await {
                stage.senders.ledger.wrong(format!("{error:#}"));
            }
        }
    }
}

impl Stage {
    async fn start(options: &Options, seed: u64, place: &Place) -> anyhow::Result<Self> {
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
    let mut args = vec!["run".into(), "--serial".into(), format!("A{n:03}").into()];
    args.extend(["--state-dir".into(), folder.into(), "--disable".into(), "disk,network,accounts".into()]);
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

/// The command that does this run again.
fn again(options: &Options, seed: u64) -> String {
    let names: Vec<&str> = options.faults.iter().map(|kind| kind.name()).collect();
    let faults = if names.is_empty() { "none".to_owned() } else { names.join(",") };
    format!(
        "emote-chaos --seed {seed} --seconds {} --rate {} --events {} --nats {} --brokers {} --agents {} --every {}ms \
         --trouble {} --faults {faults}",
        options.seconds,
        options.rate,
        options.count(),
        options.servers(),
        options.brokers(),
        options.agents(),
        options.every.as_millis(),
        options.trouble,
    )
}

/// The folder of a run.
struct Place {
    folder: PathBuf,
    logs: PathBuf,
    temporary: Option<TempDir>,
}

impl Place {
    fn new(options: &Options) -> anyhow::Result<Self> {
        let (folder, temporary) = match &options.keep {
            Some(folder) => {
                if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
                    bail!("--keep {}: it holds something already; name a new folder", folder.display());
                }
                (std::path::absolute(folder)?, None)
            }
            None => {
                let made = TempDir::with_prefix("emote-chaos-").context("making a folder to work in")?;
                (made.path().to_owned(), Some(made))
            }
        };
        let logs = folder.join("logs");
        std::fs::create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
        Ok(Self { folder, logs, temporary })
    }

    fn note(&self, file: &str, text: String) -> anyhow::Result<()> {
        let path = self.folder.join(file);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// A panic is a mistake, even where the program goes on.
    fn panics(&self, stage: &Stage) {
        for service in stage.services() {
            let name = &service.program.name;
            let log = std::fs::read_to_string(self.logs.join(format!("{name}.log"))).unwrap_or_default();
            for line in log.lines().filter(|line| line.contains("panicked at") || line.contains("[FTL]")) {
                stage.senders.ledger.wrong(format!("{name}: {line}"));
            }
        }
    }

    fn end(self, holds: bool, again: &str) {
        if holds {
            println!("\neverything holds");
        } else {
            println!("\nsomething does NOT hold; to do it again: {again}");
        }
        match self.temporary {
            Some(temporary) if !holds => {
                println!("plan, logs, stores and streams are kept in {}", temporary.keep().display());
            }
            Some(_) => {}
            None => println!("plan, logs, stores and streams are in {}", self.folder.display()),
        }
    }
}

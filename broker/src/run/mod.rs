//! What `emote dev` and `emote serve` have in common: everything started together, stopped together.

mod deployed;
mod workers;

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    archive::{Archiver, SpecError},
    bus::{Bus, BusError, StreamSettings},
    cli::Exit,
    config::{Folder, Report, Set, Settings},
    console::{
        self,
        http::{Bound, Served},
    },
    deliver::Targets,
    deploy,
    engine::{Engine, Library, Parts, Shared, Timers},
    identity::{self, Office},
    ingest,
    listen::Listener,
    ops::{Ops, Taken, Watched},
    schema::discover::Discovery,
    store::{Opened, Store},
};

/// How long stopping may take before what is left is dropped.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How often a parent is looked for.
const PARENT_EVERY: Duration = Duration::from_millis(500);

/// The partition folded here; there is one.
const PARTITION: u32 = 0;

/// What is to run.
pub struct Start {
    /// The configuration folder: secrets and relative paths are taken from it.
    pub root: PathBuf,
    /// This machine's own settings.
    pub settings: Settings,
    /// The rules that are in force if none were ever applied.
    pub first: Option<Set>,
    /// The data folder.
    pub data: PathBuf,
    /// What to do where the console's address is taken.
    pub taken: Taken,
}

/// Everything that runs.
pub struct Running {
    tasks: JoinSet<anyhow::Result<()>>,
    bus: Bus,
    listens: SocketAddr,
    tls: bool,
    shutdown: CancellationToken,
    engine: Shared,
    targets: Targets,
    ops: Ops,
    console: Option<ConsoleAt>,
}

/// Where the console is, and what opens it.
#[derive(Debug, Clone)]
pub struct ConsoleAt {
    /// `http://127.0.0.1:8482`
    pub url: String,
    /// The file with the local token, where that opens it.
    pub token_file: Option<PathBuf>,
}

/// Says what of the folder cannot act yet because a secret or a file is missing. That keeps back what it is of, and nothing
/// else: it is tried again.
pub fn tell_what_waits(folder: &Folder) {
    if let Err(report) = folder.resolve() {
        tracing::warn!("not all of this folder acts yet; what is for it waits, and it is tried again:\n{report}");
    }
}

/// Listens for those who ask how this broker is, which they may do before NATS is there.
pub fn ops(settings: &Settings, root: &Path, taken: Taken, shutdown: &CancellationToken) -> anyhow::Result<Ops> {
    Ops::start(settings.ops.as_ref(), root, taken, shutdown).context("emote.yaml: ops")
}

/// Starts ingest, core, delivery and answers on `bus`; tells nobody how they are, and has no console.
pub async fn start(bus: Bus, mut start: Start, shutdown: &CancellationToken) -> anyhow::Result<Running> {
    start.settings.console = None;
    let ops = Ops::start(None, &start.root, Taken::Fail, shutdown)?;
    start_watched(bus, start, ops, shutdown).await
}

/// Starts ingest, core, delivery and answers on `bus`; `ops` tells how they are.
pub async fn start_watched(bus: Bus, start: Start, ops: Ops, shutdown: &CancellationToken) -> anyhow::Result<Running> {
    let Start { root, settings, first, data, taken } = start;
    let in_force = prepare(&bus, &settings.streams, shutdown).await?;
    may_run(&bus, &root, &settings, in_force.as_ref().or(first.as_ref()))?;
    private_folder(&data)?;
    let (store, opened) = Store::open(&data.join("store.redb"))?;
    if let Opened::SetAside(aside) = opened {
        tracing::warn!(set_aside = %aside.display(), "the store was damaged or of another version; it is rebuilt from the log");
    }
    let store = Arc::new(store);
    let mut tasks = JoinSet::new();
    let console = settings.console.as_ref().map(|spec| Bound::bind(spec, &root, &data, taken)).transpose();
    let console = console.context("emote.yaml: console")?;
    let listener = Listener::bind(&settings.ingest, &root).context("emote.yaml: ingest")?;
    let (listens, tls) = (listener.address(), settings.ingest.certificate.is_some());
    let console_at = console.as_ref().map(|console| ConsoleAt { url: console.url(), token_file: console.token_file() });
    let replicas = settings.streams.replicas;
    let proxies = settings.trusted_proxies.clone();
    let keys = Folder::identity(&root, &settings)?;
    if keys.as_ref().is_some_and(|keys| keys.enroll_key.is_none()) {
        tracing::info!("identity.enroll_key is not here: tokens are made where it is, and their key is not looked at");
    }
    let mdm = keys.as_ref().map(|keys| keys.mdm.clone());
    let gives_credentials = keys.is_some();
    let archive = settings.archive.clone().map(|spec| {
        spec.make(&root)?;
        Ok::<_, SpecError>((spec.open(&root)?, spec))
    });
    let archive = archive.transpose().context("emote.yaml: archive")?;
    let wants_schemas = settings.schemas.clone();
    let library = Library::new(bus.clone(), root, settings);
    let engine =
        Engine::new(Parts { bus: bus.clone(), store: Arc::clone(&store), library, first, partition: PARTITION });
    let (rules, shared) = (engine.rules(), engine.shared());
    let (stop, until_it_ends) = (shutdown.clone(), shared.until_it_ends());
    tasks.spawn(async move {
        let _until_it_ends = until_it_ends;
        engine.run(stop).await;
        Ok(())
    });

    let archiver = archive.map(|(depot, spec)| Archiver::new(bus.clone(), depot, spec, shared.leads()));
    let sources = Arc::new(ingest::Sources::default());
    let id = crate::random::name::<4>();
    let here = (bus.clone(), id.clone());
    let workers = workers::Workers::new(here, Arc::clone(&store), Arc::clone(&sources), shared.leads());
    let targets = workers.targets();
    let (mut ready, stop) = (workers.ready(), shutdown.clone());
    let watched = Watched {
        bus: bus.clone(),
        store: Arc::clone(&store),
        engine: shared.clone(),
        partition: PARTITION,
        targets: targets.clone(),
        rules: rules.clone(),
        sources: Arc::clone(&sources),
        polls: workers.polls(),
        sockets: workers.sockets(),
        folders: workers.folders(),
        taking: workers.ready(),
        identity: keys.is_some().then(identity::Counts::default),
        archive: archiver.as_ref().map(Archiver::telling),
    };
    if let Some(archiver) = archiver {
        let stop = shutdown.clone();
        tasks.spawn(async move {
            archiver.run(stop).await;
            Ok(())
        });
    }
    if let (Some(identity), Some(counts)) = (keys, watched.identity.clone()) {
        let (bus, store, leads) = (bus.clone(), Arc::clone(&store), shared.leads());
        let office = Office { bus, store, leads, identity, counts };
        let stop = shutdown.clone();
        tasks.spawn(async move { office.run(stop).await.context("emote.yaml: identity") });
    }
    ops.watch(watched.clone());
    if wants_schemas.discover || !wants_schemas.report.is_empty() {
        let (in_force, mut known) = (rules.clone(), rules.clone());
        let vocabulary = move || in_force.borrow().as_ref()?.folder.vocabulary.clone();
        let (bus, leads, stop) = (bus.clone(), shared.leads(), shutdown.clone());
        let discovery = Discovery { bus, settings: wants_schemas, vocabulary: Box::new(vocabulary), leads };
        tasks.spawn(async move {
            // Events are held against the schemas of these rules: they must be known.
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                known = known.wait_for(Option::is_some) => drop(known),
            }
            discovery.run(stop).await;
            Ok(())
        });
    }
    let timers = Timers { bus: bus.clone(), store: Arc::clone(&store), rules: rules.clone(), leads: shared.leads() };
    let until = shutdown.clone();
    tasks.spawn(async move {
        timers.run(until).await;
        Ok(())
    });
    tasks.spawn(workers.run(rules, stop));
    let stream = Arc::new(bus.clone());
    let untold = ingest::Untold { directory: Arc::<Bus>::clone(&stream), publisher: Arc::<Bus>::clone(&stream) };
    let until = shutdown.clone();
    tasks.spawn(async move {
        untold.run(until).await;
        Ok(())
    });
    let (publisher, spoken_for) = (Arc::<Bus>::clone(&stream), proxies.clone());
    let router = ingest::router(sources, publisher, Arc::clone(&store) as _, proxies, stream);
    let shelf = deploy::Shelf::new(bus.clone(), data.join("packages"));
    let deployed = Arc::new(deployed::Known::new(Arc::clone(&store), watched.rules.clone()));
    let router = router.merge(deploy::router(Arc::new(shelf), deployed, spoken_for));
    // Webhooks are taken once it is known from whom.
    let stop = shutdown.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            known = ready.wait_for(|ready| *ready) => drop(known),
        }
        Ok(listener.serve(router, stop.cancelled_owned()).await?)
    });

    if let Some(console) = console {
        let (bus, stop, served) = (bus.clone(), shutdown.clone(), Served { replicas, gives_credentials });
        tasks.spawn(async move { console.serve(bus, served, stop.cancelled_owned()).await.context("the console") });
    }

    let (clock, stop) = (bus.clone(), shutdown.clone());
    tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            told = clock.tell_time(|| jiff::Timestamp::now().into()) => Ok(told?),
        }
    });

    let (who, stop) = ((id, ops.started()), shutdown.clone());
    tasks.spawn(async move { Ok(console::answer(watched, who, mdm, stop).await?) });
    Ok(Running {
        tasks,
        bus,
        listens,
        tls,
        shutdown: shutdown.clone(),
        engine: shared,
        targets,
        ops,
        console: console_at,
    })
}

/// Refuses to start where the rules must not run. What else is wrong with them is for the core to tell.
fn may_run(bus: &Bus, root: &Path, settings: &Settings, set: Option<&Set>) -> Result<(), Report> {
    let Some(set) = set.filter(|_| bus.takes_anyone()) else { return Ok(()) };
    Folder::of_set(root, settings.clone(), set).map_or(Ok(()), |folder| folder.may_run_where(true))
}

/// Makes sure of the streams, and gives the rules in force; a server that does not answer is asked again.
async fn prepare(bus: &Bus, streams: &StreamSettings, shutdown: &CancellationToken) -> anyhow::Result<Option<Set>> {
    loop {
        let prepared = async {
            bus.check_level().await?;
            bus.ensure_streams(streams).await?;
            let Some(now) = bus.in_force().await? else { return Ok(None) };
            let json = bus.load_set(&now.hash).await?;
            Ok(json.and_then(|json| Set::from_json(&json, &now.hash).ok()))
        };
        match prepared.await {
            Err(error @ BusError::NoAnswer { .. }) if !shutdown.is_cancelled() => {
                tracing::warn!(%error, "waiting for JetStream");
            }
            ended => return Ok(ended?),
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

impl Running {
    /// What its core is doing.
    pub fn engine(&self) -> &Shared {
        &self.engine
    }

    /// What its targets are doing.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Where webhooks are taken: `http://127.0.0.1:8480`.
    pub fn webhooks(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.listens)
    }

    /// Where health and metrics are told; `None` where they are not.
    pub fn ops(&self) -> Option<SocketAddr> {
        self.ops.address()
    }

    /// Where the console is; `None` where it is off.
    pub fn console(&self) -> Option<&ConsoleAt> {
        self.console.as_ref()
    }

    /// Waits until it was told to stop and has, or until a part fails, which stops the others.
    pub async fn wait(mut self) -> anyhow::Result<Exit> {
        let mut ended = Ok(Exit::Ok);
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            part = self.tasks.join_next() => {
                if !self.shutdown.is_cancelled() {
                    ended = part_ended(part);
                }
            }
        }
        self.shutdown.cancel();
        let rest = async {
            while let Some(part) = self.tasks.join_next().await {
                if let Ok(Err(error)) = part {
                    tracing::warn!(error = format!("{error:#}"), "stopping");
                }
            }
        };
        if tokio::time::timeout(STOP_WITHIN, rest).await.is_err() {
            tracing::warn!("not everything stopped in time; what was under way comes again at the next start");
        }
        self.bus.close().await;
        ended
    }
}

fn part_ended(part: Option<Result<anyhow::Result<()>, tokio::task::JoinError>>) -> anyhow::Result<Exit> {
    match part {
        None | Some(Ok(Ok(()))) => Err(anyhow::anyhow!("a part of emote ended without being told to")),
        Some(Ok(Err(error))) => Err(error),
        Some(Err(error)) => Err(anyhow::anyhow!("a part of emote ended unexpectedly: {error}")),
    }
}

/// Has the system write no image of this process when it crashes: secrets are in it. A program that takes images instead of
/// the system (`kernel.core_pattern` with a pipe) may not ask.
pub fn no_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    match setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        Ok(()) => tracing::debug!("no core dumps are written: secrets would be in them"),
        Err(error) => tracing::warn!(%error, "core dumps cannot be turned off: secrets would be in them"),
    }
}

/// A token that is cancelled by SIGINT, SIGTERM or, where given, when the parent process is no longer this one.
pub fn shutdown_on_signal(parent: Option<fn() -> Option<i32>>) -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let shutdown = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let token = shutdown.clone();
    tokio::spawn(async move {
        let orphaned = async {
            let Some(parent) = parent else { return std::future::pending().await };
            let first = parent();
            let mut every = tokio::time::interval(PARENT_EVERY);
            while parent() == first {
                every.tick().await;
            }
            tracing::warn!("the program that started emote has ended; stopping (--stay goes on)");
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = orphaned => {}
        }
        token.cancel();
    });
    Ok(shutdown)
}

/// The parent process's id.
pub fn parent() -> Option<i32> {
    rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get())
}

/// Keeps two `emote dev` off one data folder. Held until dropped, and by nothing but the living process.
pub fn lock(data: &Path) -> anyhow::Result<File> {
    let path = data.join("lock");
    let file = File::create(&path).with_context(|| format!("{}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            anyhow::bail!(
                "another `emote dev` runs on the data folder {}: stop it, or use another folder",
                data.display()
            )
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

/// Makes a folder that only its owner can enter.
pub fn private_folder(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let doing = || format!("the data folder {}", path.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(doing)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).with_context(doing)
}

/// Logs to standard error; `EMOTE_LOG` says how much, else `default`.
pub fn log_to_stderr(default: &str) {
    use std::io::IsTerminal;
    use tracing_subscriber::EnvFilter;
    let filter =
        // What async-nats logs as an error it also gives as one, and that is told with what to do.
        EnvFilter::try_from_env("EMOTE_LOG").unwrap_or_else(|_| EnvFilter::new(format!("{default},async_nats=off")));
    let logging = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if logging.try_init().is_err() {
        tracing::debug!("logging is set up already");
    }
}

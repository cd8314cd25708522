//! What `emote dev` and `emote serve` have in common: everything started together, stopped together.

use std::{fs::File, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use emote_proto::Name;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    bus::Bus,
    cli::Exit,
    config::Parts,
    console,
    core::EMIT_TARGET,
    deliver::{Delivery, Inputs, Work},
    engine::Engine,
    ingest,
    store::{Opened, Store},
    targets::DeliverySettings,
};

/// How long stopping may take before what is left is dropped.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How often a parent is looked for.
const PARENT_EVERY: Duration = Duration::from_millis(500);

/// The partition folded here; there is one.
const PARTITION: u32 = 0;

/// Everything that runs.
pub struct Running {
    tasks: JoinSet<anyhow::Result<()>>,
    bus: Bus,
    listens: SocketAddr,
    tls: bool,
    shutdown: CancellationToken,
}

/// Starts ingest, core, delivery and answers on `bus`. `data` is the data folder.
pub async fn start(bus: Bus, parts: Parts, data: &Path, shutdown: &CancellationToken) -> anyhow::Result<Running> {
    bus.check_level().await?;
    bus.ensure_streams(&parts.settings.streams).await?;
    private_folder(data)?;
    let (store, opened) = Store::open(&data.join("store.redb"))?;
    if let Opened::SetAside(aside) = opened {
        tracing::warn!(set_aside = %aside.display(), "the store was damaged; it is rebuilt from the log");
    }
    let store = Arc::new(store);
    let mut tasks = JoinSet::new();
    let listener = ingest::Listener::bind(&parts.settings.ingest, &parts.root).context("emote.yaml: ingest")?;
    let (listens, tls) = (listener.address(), parts.settings.ingest.certificate.is_some());
    let router =
        ingest::router(Arc::new(ingest::Sources::new(parts.sources)), Arc::new(bus.clone()), Arc::clone(&store) as _);
    let stop = shutdown.clone();
    tasks.spawn(async move { Ok(listener.serve(router, stop.cancelled_owned()).await?) });

    let engine = Engine::new(bus.clone(), Arc::clone(&store), parts.core, PARTITION);
    let stop = shutdown.clone();
    tasks.spawn(async move {
        engine.run(stop).await;
        Ok(())
    });

    let emit = (Name::new(EMIT_TARGET)?, DeliverySettings::default(), Work::Emit);
    let targets =
        parts.targets.into_iter().map(|(name, settings, target)| (name, settings, Work::Target(Arc::from(target))));
    let inputs = Arc::new(Inputs::default());
    for (target, settings, work) in targets.chain([emit]) {
        let delivery = Delivery {
            bus: bus.clone(),
            store: Arc::clone(&store),
            target,
            work,
            settings,
            inputs: Arc::clone(&inputs),
            under_way: Arc::default(),
        };
        let stop = shutdown.clone();
        tasks.spawn(async move {
            delivery.run(stop).await;
            Ok(())
        });
    }

    let (asked, stop) = (bus.clone(), shutdown.clone());
    tasks.spawn(async move { Ok(console::answer(asked, store, stop).await?) });
    Ok(Running { tasks, bus, listens, tls, shutdown: shutdown.clone() })
}

impl Running {
    /// Where webhooks are taken: `http://127.0.0.1:8480`.
    pub fn webhooks(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.listens)
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
        EnvFilter::try_from_env("EMOTE_LOG").unwrap_or_else(|_| EnvFilter::new(format!("{default},async_nats=error")));
    let logging = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if logging.try_init().is_err() {
        tracing::debug!("logging is set up already");
    }
}

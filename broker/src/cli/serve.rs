//! `emote serve`

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Exit;
use crate::{
    bus::{Bus, BusError, BusSettings, InForce, StreamSettings},
    config::{Folder, Report, Set, Settings},
    ops::Taken,
    run,
};

/// Names the data folder.
const DATA: &str = "EMOTE_DATA";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
NATS is where emote.yaml says (nats: {servers: [tls://nats.example.com:4222], credentials: emote.creds}); it must be
nats-server 2.12 or newer with JetStream. While it cannot be reached, emote waits for it. SIGTERM and Ctrl-C end it.
Off this machine it is TLS: ca names the only CA to trust, certificate and key go to servers that want them. All of these
files, credentials too, are read anew at every connection; insecure: true allows plain text, and is said at every start.

What runs is what was applied last (`emote apply DIR`, `emote config history`). Where nothing ever was, it is this
folder. emote.yaml and secrets are always this folder's. Any number of brokers may serve on one NATS: one folds, the
others stand by and take over within seconds; webhooks are taken and jobs are delivered by all of them.

How it is, is told on http://127.0.0.1:8481 (emote.yaml: ops): /healthz says whether starting it anew would help, /readyz
whether it can do its work now and what keeps it, /metrics everything in numbers, for Prometheus.

systemd is told that it runs and that it is well (Type=notify, WatchdogSec=).
It writes no core dumps (RLIMIT_CORE 0): secrets are in its memory.")]
pub(super) struct Args {
    /// The configuration folder
    #[arg(long, short, value_name = "DIR")]
    config: PathBuf,
    /// The data folder, in place of emote.yaml's `data`
    #[arg(long, value_name = "DIR", env = DATA)]
    data: Option<PathBuf>,
}

/// Puts another data folder in place of emote.yaml's: relative to where it is said, and not to the configuration folder.
fn take_data(settings: &mut Settings, data: &Path) -> anyhow::Result<()> {
    settings.data = std::path::absolute(data).with_context(|| format!("the data folder {}", data.display()))?;
    Ok(())
}

/// As `emote serve` takes it, for commands that do what it would.
pub(super) fn take_data_of_environment(settings: &mut Settings) -> anyhow::Result<()> {
    match std::env::var_os(DATA).filter(|data| !data.is_empty()) {
        Some(data) => take_data(settings, Path::new(&data)),
        None => Ok(()),
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    run::log_to_stderr("info");
    run::no_core_dumps();
    let mut settings = Folder::settings(&args.config)?;
    if let Some(data) = &args.data {
        take_data(&mut settings, data)?;
    }
    let nats = Folder::nats(&args.config, &settings.nats, "emote serve")?;
    nats.are_of_the_streams().context("emote.yaml: nats")?;
    // NATS may be long in coming; a key that is missing is told at once.
    Folder::identity(&args.config, &settings)?;
    let shutdown = run::shutdown_on_signal(None)?;
    let ops = run::ops(&settings, &args.config, Taken::Fail, &shutdown)?;
    ops.tell_systemd(&shutdown);
    let own = Folder::load(&args.config).and_then(|folder| Ok((folder, Set::read(&args.config)?)));
    if let Err(report) = &own {
        tracing::warn!("this folder's rules have problems:\n{report}");
    }
    let Some((bus, in_force)) = connect_patiently(&nats, &settings.streams, &shutdown).await? else {
        return Ok(Exit::Ok);
    };
    let first = own_rules(in_force, own)?;
    let data = args.config.join(&settings.data);
    let start = run::Start { root: args.config, settings, first, data, taken: Taken::Fail };
    let running = run::start_watched(bus, start, ops.clone(), &shutdown).await?;
    ops.tell_systemd_that_it_serves();
    let ops = running.ops().map_or_else(|| "off".to_owned(), |ops| ops.to_string());
    let console = running.console().map_or("off", |console| console.url.as_str());
    let token = running.console().and_then(|console| console.token_file.as_ref());
    let token = token.map_or_else(|| "none".to_owned(), |file| file.display().to_string());
    tracing::info!(webhooks = %running.webhooks(), ops, console, token_file = token, "emote serves");
    running.wait().await
}

/// The folder's own rules, where they are to be in force if none were applied. What is wrong with them is an error only
/// where they would be.
fn own_rules(in_force: Option<InForce>, own: Result<(Folder, Set), Report>) -> anyhow::Result<Option<Set>> {
    match (in_force, own) {
        (None, own) => {
            let (folder, set) = own?;
            run::tell_what_waits(&folder);
            Ok(Some(set))
        }
        (Some(in_force), Ok((folder, set))) if set.hash() == in_force.hash => {
            run::tell_what_waits(&folder);
            Ok(Some(set))
        }
        (Some(in_force), own) => {
            let folder =
                if own.is_ok() { "this folder's rules are other ones" } else { "this folder's rules have problems" };
            tracing::info!(rules = %in_force.hash.get(..12).unwrap_or_default(), "what runs is what was applied last; {folder} (`emote plan`, `emote apply`)");
            Ok(own.ok().map(|(_, set)| set))
        }
    }
}

/// Waits for NATS and its JetStream as long as it takes; what waiting cannot mend is an error at once.
async fn connect_patiently(
    settings: &BusSettings,
    streams: &StreamSettings,
    shutdown: &tokio_util::sync::CancellationToken,
) -> anyhow::Result<Option<(Bus, Option<InForce>)>> {
    loop {
        match connect(settings, streams).await {
            Ok(connected) => return Ok(Some(connected)),
            Err(error @ (BusError::Settings(_) | BusError::Unfit(_))) => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "waiting for NATS"),
        }
        tokio::select! {
            () = tokio::time::sleep(std::time::Duration::from_secs(2)) => {}
            () = shutdown.cancelled() => return Ok(None),
        }
    }
}

async fn connect(settings: &BusSettings, streams: &StreamSettings) -> Result<(Bus, Option<InForce>), BusError> {
    let bus = Bus::connect(settings).await?;
    bus.check_level().await?;
    bus.ensure_streams(streams).await?;
    let in_force = bus.in_force().await?;
    Ok((bus, in_force))
}

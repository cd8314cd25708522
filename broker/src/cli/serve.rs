//! `emote serve`

use std::path::PathBuf;

use anyhow::Context;

use super::Exit;
use crate::{
    bus::{Bus, BusError, BusSettings, StreamSettings},
    config::Folder,
    run,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
NATS is where emote.yaml says (nats: {servers: [tls://nats.example.com:4222], credentials: emote.creds}); it must be
nats-server 2.12 or newer with JetStream. While it cannot be reached, emote waits for it. SIGTERM and Ctrl-C end it.")]
pub(super) struct Args {
    /// The configuration folder
    #[arg(long, short, value_name = "DIR")]
    config: PathBuf,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    run::log_to_stderr("info");
    let folder = Folder::load(&args.config)?;
    let parts = folder.resolve()?;
    let settings = folder.settings.nats.resolve(&args.config, "emote serve").context("emote.yaml: nats")?;
    let shutdown = run::shutdown_on_signal(None)?;
    let streams = &folder.settings.streams;
    let Some(bus) = connect_patiently(&settings, streams, &shutdown).await? else { return Ok(Exit::Ok) };
    let data = args.config.join(&folder.settings.data);
    let running = run::start(bus, parts, &data, &shutdown).await?;
    tracing::info!(webhooks = %running.webhooks(), rules = folder.rules.len(), "emote serves");
    running.wait().await
}

/// Waits for NATS and its JetStream as long as it takes; what waiting cannot mend is an error at once.
async fn connect_patiently(
    settings: &BusSettings,
    streams: &StreamSettings,
    shutdown: &tokio_util::sync::CancellationToken,
) -> anyhow::Result<Option<Bus>> {
    loop {
        match connect(settings, streams).await {
            Ok(bus) => return Ok(Some(bus)),
            Err(error @ (BusError::Settings(_) | BusError::Unfit(_))) => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "waiting for NATS"),
        }
        tokio::select! {
            () = tokio::time::sleep(std::time::Duration::from_secs(2)) => {}
            () = shutdown.cancelled() => return Ok(None),
        }
    }
}

async fn connect(settings: &BusSettings, streams: &StreamSettings) -> Result<Bus, BusError> {
    let bus = Bus::connect(settings).await?;
    bus.check_level().await?;
    bus.ensure_streams(streams).await?;
    Ok(bus)
}

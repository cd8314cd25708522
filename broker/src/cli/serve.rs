//! `emote serve`

use std::path::PathBuf;

use anyhow::Context;

use super::Exit;
use crate::{
    bus::{Bus, BusSettings},
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
    let Some(bus) = connect_patiently(&settings, &shutdown).await? else { return Ok(Exit::Ok) };
    let data = args.config.join(&folder.settings.data);
    let running = run::start(bus, parts, &data, &shutdown).await?;
    tracing::info!(webhooks = %running.webhooks(), rules = folder.rules.len(), "emote serves");
    running.wait().await
}

/// Waits for NATS as long as it takes; settings that cannot work are an error at once.
async fn connect_patiently(
    settings: &BusSettings,
    shutdown: &tokio_util::sync::CancellationToken,
) -> anyhow::Result<Option<Bus>> {
    loop {
        match Bus::connect(settings).await {
            Ok(bus) => return Ok(Some(bus)),
            Err(error @ crate::bus::BusError::Unreachable { .. }) => tracing::warn!(%error, "waiting for NATS"),
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            () = tokio::time::sleep(std::time::Duration::from_secs(2)) => {}
            () = shutdown.cancelled() => return Ok(None),
        }
    }
}

//! The connections, each as an agent makes it, shared by the Macs or one for each. One that is lost is made anew.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::play::PlayError;
use crate::health::Health;
use crate::platform::Real;
use crate::settings::Settings;
use crate::uplink::backoff::{delay_ms, random};
use crate::uplink::connect::{As, Connector};
use crate::uplink::servers::Servers;
use emote_proto::Serial;

/// How long a connection may take at the start; later ones are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that are begun and do not stand yet.
const TOGETHER: usize = 64;

/// A connection that stands, or did.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) client: Client,
    /// Whether it stands.
    pub(super) link: watch::Receiver<bool>,
}

/// One connection after the other.
#[derive(Debug, Clone)]
pub(super) struct Line(watch::Receiver<Option<Standing>>);

impl Line {
    /// The connection, as soon as one stands.
    pub(super) async fn up(&mut self) -> Standing {
        loop {
            let standing = self.0.borrow_and_update().clone();
            if let Some(standing) = standing.filter(|standing| *standing.link.borrow()) {
                return standing;
            }
            if self.0.changed().await.is_err() {
                // Nobody connects any more: the program is about to end.
                std::future::pending::<()>().await;
            }
        }
    }

    async fn begin(settings: Arc<Settings>, serial: Serial, health: Arc<Health>) -> Result<Self, PlayError> {
        let (current, line) = watch::channel(None);
        let mut line = Self(line);
        let names = settings.server_names();
        let connector = Connector { settings, serial, host: Arc::new(Real), health: Arc::clone(&health) };
        tokio::spawn(keep(connector, current));
        let stands = timeout(PATIENCE, line.up()).await;
        let trouble = || health.trouble().unwrap_or_else(|| format!("no answer within {} s", PATIENCE.as_secs()));
        stands.map(|_| line).map_err(|_| PlayError::Connect(format!("{names}: {}", trouble())))
    }
}

/// Connects as long as the program runs.
async fn keep(connector: Connector, current: watch::Sender<Option<Standing>>) {
    let settings = &connector.settings;
    let mut servers = Servers::new(&settings.servers, random(), settings.needs_tls());
    let mut failures = 0_u32;
    loop {
        if let Some(server) = servers.next() {
            match connector.connect(&server, As::Settings).await {
                Ok(connection) => {
                    failures = 0;
                    servers.learn(&connection.client.server_info().connect_urls);
                    let mut link = connection.link.clone();
                    current.send_replace(Some(Standing { client: connection.client.clone(), link: link.clone() }));
                    link.wait_for(|stands| !stands).await.ok();
                    current.send_replace(None);
                }
                Err(trouble) => connector.health.set_error(Some(trouble.to_string())),
            }
        }
        failures = failures.saturating_add(1);
        let wait = delay_ms(failures.div_ceil(servers.count()), random());
        sleep(Duration::from_millis(wait)).await;
    }
}

/// Connects once for each name.
pub(super) async fn connect(settings: Settings, names: Vec<Serial>) -> Result<Vec<Line>, PlayError> {
    // Someone else in this process may have chosen already, which is as good.
    rustls::crypto::ring::default_provider().install_default().ok();
    let (settings, health) = (Arc::new(settings), Arc::new(Health::default()));
    let (mut lines, mut begun) = (Vec::with_capacity(names.len()), JoinSet::new());
    let mut names = names.into_iter().enumerate();
    loop {
        while begun.len() < TOGETHER
            && let Some((place, name)) = names.next()
        {
            let line = Line::begin(Arc::clone(&settings), name, Arc::clone(&health));
            begun.spawn(async move { (place, line.await) });
        }
        match begun.join_next().await {
            None => break,
            Some(Ok((place, line))) => lines.push((place, line?)),
            Some(Err(error)) => return Err(PlayError::Ended(error.to_string())),
        }
    }
    lines.sort_by_key(|(place, _)| *place);
    Ok(lines.into_iter().map(|(_, line)| line).collect())
}

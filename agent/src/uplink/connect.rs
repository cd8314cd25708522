//! One connection to NATS: every option, and why it differs from the library's default.
//!
//! A client lives as long as its first connection. The library would connect again by itself, but it says little of why
//! it could not, cannot be told to try at once, and knows no proxy: its second connection is to nowhere, which ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ReconnectToServer, ServerAddr};
use nkeys::KeyPair;
use percent_encoding::percent_decode_str;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::proxy::{self, ProxyError, Relay};
use super::secret::{self, SecretError};
use super::tls::{self, TlsError};
use super::trouble;
use crate::credential::Usable;
use crate::health::Health;
use crate::platform::Host;
use crate::settings::{Settings, server_name};
use emote_proto::creds::{self, Credentials, CredentialsError};
use emote_proto::enroll::EnrollmentToken;
use emote_proto::{Serial, subjects};

/// Oldest server that knows atomic batches.
const BATCHES_SINCE: (u32, u32) = (2, 12);
/// No connection takes longer than this to stand.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An address that refuses at once and is nobody's.
const NOWHERE: &str = "nats://127.0.0.1:0";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectTrouble {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("{path}: not a NATS credentials file: {problem}")]
    Credentials { path: String, problem: CredentialsError },
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It says no to who connects.
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Server(String),
}

/// As whom a connection is made.
pub(crate) enum As<'a> {
    /// As the settings say: a credentials file, a token, a certificate, what the address holds; or nobody.
    Settings,
    /// As this machine, with a credential of its own.
    Machine(Box<Usable>),
    /// As whoever has this enrolment token.
    Token(&'a EnrollmentToken),
}

/// A connection that stands, or did.
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// Whether it stands.
    pub(crate) link: watch::Receiver<bool>,
    /// Gives it up.
    pub(crate) lose: watch::Sender<bool>,
    /// Ends with it.
    _relay: Option<Relay>,
}

/// Who connects, and how.
pub(crate) struct Connector {
    pub(crate) settings: Arc<Settings>,
    pub(crate) serial: Serial,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) health: Arc<Health>,
}

impl Connector {
    /// Tries once.
    pub(crate) async fn connect(&self, server: &ServerAddr, who: As<'_>) -> Result<Connection, ConnectTrouble> {
        let (lose, link) = watch::channel(true);
        // Whoever only asks for a credential is not connected to anything that takes events.
        let speaks = !matches!(who, As::Token(_));
        let inbox = match who {
            As::Token(token) => subjects::enroll_inbox(token.id()),
            // A credential limited to one machine may subscribe to nothing else.
            _ => format!("_INBOX.{}", self.serial),
        };
        let options = self.identified(server, who).await?.custom_inbox_prefix(inbox);
        let options = self.options(options, lose.clone(), speaks).await?;
        let (address, relay) = match proxy::choose(&self.settings, &self.host, server).await {
            Some(proxy) => {
                let (address, relay) = proxy::open(&proxy, server, &self.settings, TIMEOUT).await?;
                (address, Some(relay))
            }
            None => (server.clone(), None),
        };
        let told = |error: String| trouble::explain(&server_name(server), &self.settings, &error);
        let nowhere: ServerAddr =
            NOWHERE.parse().map_err(|error: std::io::Error| ConnectTrouble::Server(told(error.to_string())))?;
        let options = only(options, address.clone(), nowhere.clone());
        let client = options.connect(vec![address, nowhere]).await.map_err(|error| match error.kind() {
            ConnectErrorKind::AuthorizationViolation => ConnectTrouble::Denied(told(error.to_string())),
            _ => ConnectTrouble::Server(told(error.to_string())),
        })?;
        Ok(Connection { client, link, lose, _relay: relay })
    }

    async fn options(
        &self,
        options: ConnectOptions,
        lose: watch::Sender<bool>,
        speaks: bool,
    ) -> Result<ConnectOptions, ConnectTrouble> {
        let (serial, health) = (&self.serial, Arc::clone(&self.health));
        let options = options
            .name(format!("emote-agent {serial}"))
            .require_tls(self.settings.needs_tls())
            .ignore_discovered_servers()
            // A half-open connection is noticed after three pings.
            .ping_interval(Duration::from_secs(25))
            .connection_timeout(TIMEOUT)
            // Memory: nothing is published without the spool behind it.
            .client_capacity(64)
            .subscription_capacity(256)
            .read_buffer_capacity(8 * 1024)
            .event_callback(move |event| {
                match &event {
                    // Of a client that was given up.
                    _ if lose.is_closed() => {}
                    Event::Connected if speaks => tracing::info!("connected"),
                    Event::Connected => tracing::debug!("connected to ask for a credential"),
                    Event::Disconnected | Event::Closed => {
                        if speaks {
                            tracing::info!("not connected");
                        }
                        lose.send_replace(false);
                    }
                    // Also how a denied publish shows: its answer never comes.
                    other if *lose.borrow() => {
                        tracing::warn!(%other, "connection");
                        health.set_error(Some(other.to_string()));
                    }
                    _ => {}
                }
                std::future::ready(())
            });
        if !tls::is_usual(&self.settings) {
            return Ok(options.tls_client_config(tls::config(&self.settings).await?));
        }
        let Some(roots) = &self.settings.ca else { return Ok(options) };
        // The library would wait for ever for whoever writes to a pipe.
        secret::read_anyway(roots).await?;
        Ok(options.add_root_certificates(roots.clone()))
    }

    /// Files are read at every connection, so that new ones are found without a restart.
    async fn identified(&self, server: &ServerAddr, who: As<'_>) -> Result<ConnectOptions, ConnectTrouble> {
        match who {
            As::Machine(usable) => return Ok(signing(usable.jwt, usable.pair)),
            As::Token(token) => {
                let pair = KeyPair::from_seed(token.seed());
                // It was read as one.
                let pair = pair.map_err(|error| ConnectTrouble::Denied(error.to_string()))?;
                return Ok(signing(token.jwt().to_owned(), pair));
            }
            As::Settings => {}
        }
        if let Some(path) = &self.settings.credentials {
            let text = Zeroizing::new(secret::read(path).await?);
            let trouble = |problem| ConnectTrouble::Credentials { path: path.display().to_string(), problem };
            let Credentials { jwt, key } = creds::parse(&text).map_err(trouble)?;
            return Ok(signing(jwt.to_owned(), key));
        }
        match &self.settings.token_file {
            Some(path) => Ok(ConnectOptions::with_token(secret::read_anyway(path).await?.to_string())),
            None => Ok(self.login(server).unwrap_or_default()),
        }
    }

    /// A server that another one has told of takes whom that one takes.
    fn login(&self, server: &ServerAddr) -> Option<ConnectOptions> {
        let configured = &self.settings.servers;
        if configured.contains(server) { login(server) } else { configured.iter().find_map(login) }
    }
}

/// Proves with `pair` to be whom `jwt` is of.
fn signing(jwt: String, pair: KeyPair) -> ConnectOptions {
    let pair = Arc::new(pair);
    ConnectOptions::with_jwt(jwt, move |nonce| {
        let signed = pair.sign(&nonce).map_err(async_nats::AuthError::new);
        std::future::ready(signed)
    })
}

/// Who connects, as an address says it: `user:password@`, or `token@`. The library leaves that to its caller.
fn login(server: &ServerAddr) -> Option<ConnectOptions> {
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = decoded(server.username()?);
    Some(match server.password() {
        Some(password) => ConnectOptions::with_user_and_password(user, decoded(password)),
        None => ConnectOptions::with_token(user),
    })
}

/// Whether the server on the other end knows atomic batches.
pub(crate) fn knows_batches(client: &Client) -> bool {
    is_new_enough(&client.server_info().version)
}

/// From `2.12.0` or `v2.12.0-RC.1`. The library's own comparison brings a regular expression engine of 0.5 MB.
fn is_new_enough(version: &str) -> bool {
    let mut parts = version.trim_start_matches('v').split(['.', '-']).map(str::parse);
    matches!((parts.next(), parts.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= BATCHES_SINCE)
}

/// Connects to `address` once and then no more.
fn only(options: ConnectOptions, address: ServerAddr, nowhere: ServerAddr) -> ConnectOptions {
    let begun = AtomicBool::new(false);
    options.max_reconnects(1).reconnect_to_server_callback(move |_, _| {
        let addr = if begun.swap(true, Ordering::Relaxed) { nowhere.clone() } else { address.clone() };
        std::future::ready(Some(ReconnectToServer { addr, delay: Some(Duration::ZERO) }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_since_2_12_know_batches() {
        for (version, knows) in [
            ("2.12.0", true),
            ("v2.15.1-RC.2", true),
            ("3.0.0", true),
            ("2.11.9", false),
            ("1.99.0", false),
            ("2", false),
            ("", false),
            ("next", false),
        ] {
            assert_eq!(is_new_enough(version), knows, "{version}");
        }
    }
}

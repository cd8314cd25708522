//! What goes to a socket whose other end answers nothing: `udp://`, `tcp://`, `tls://`.
//!
//! A connection is kept, and opened anew when it is gone. **Nothing is acknowledged**: that something was sent means that
//! this system has taken it for sending, and that the other side had not closed the connection before and a moment after.
//! What was on its way when a connection broke may be lost, and was reported as sent.

mod connection;
mod said;
mod tls;

use std::path::Path;

use reqwest::Url;
use tokio::sync::Mutex;

use self::connection::Connection;
pub(super) use self::said::{Level, host, text_of};
use super::{Outcome, Role, Script, Shown, connections::Tls, spec::Setup};
use crate::{config::fields::Fields, loopback::is_loopback};

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) transport: Transport,
    host: String,
    port: u16,
}

impl Address {
    /// From `tls://logs.example.com:6514`; `port` gives the one that holds where none is said. Plain text stays on this
    /// machine, unless it was said that this is fine.
    pub(super) fn parse(text: &str, insecure: bool, port: fn(Transport) -> u16) -> Result<Self, String> {
        const EXPECTED: &str =
            "expected udp://, tcp:// or tls://, a host and perhaps a port: tls://logs.example.com:6514";
        let url: Url = text.parse().map_err(|_| EXPECTED.to_owned())?;
        let transport = match url.scheme() {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            "tls" => Transport::Tls,
            _ => return Err(EXPECTED.to_owned()),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(EXPECTED)?;
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        if !is_bare || !url.username().is_empty() || url.password().is_some() {
            return Err(EXPECTED.to_owned());
        }
        if transport != Transport::Tls && !insecure && !is_loopback(host) {
            return Err(
                "plain text would show the messages to everyone on the way: use tls://, or say `insecure: true`"
                    .to_owned(),
            );
        }
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host).to_owned();
        Ok(Self { transport, host: bare, port: url.port().unwrap_or_else(|| port(transport)) })
    }

    /// Reads it at `address`, with what belongs to it.
    pub(super) fn read(fields: &mut Fields<'_>, insecure: bool, port: fn(Transport) -> u16) -> Option<Self> {
        let address = fields.parsed("address", |value| Self::parse(value.as_str().unwrap_or_default(), insecure, port));
        fields.require("address", address, "address: tls://logs.example.com:6514")
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

/// What is sent at once.
pub(super) struct Parcel {
    /// The bytes: over a connection in one piece, over UDP a datagram each.
    pub(super) frames: Vec<Vec<u8>>,
    /// What they say, for people.
    pub(super) text: String,
}

/// Sends to one server.
pub(super) struct Sender {
    address: Address,
    tls: Tls,
    terms: Terms,
    /// Taken while it is used: what was broken off is not gone on with.
    open: Mutex<Option<Connection>>,
}

struct Terms {
    timeout: std::time::Duration,
    script: Option<std::sync::Arc<Script>>,
}

impl Sender {
    /// For that server. No connection is made yet; an error where the certificates cannot be used.
    pub(super) fn new(setup: &Setup<'_>, address: Address, tls: &Tls) -> Result<Self, String> {
        let at = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| Path::new(setup.folder).join(path));
        let tls = Tls { certificate: at(&tls.certificate), key: at(&tls.key), ca: at(&tls.ca) };
        let stands_in = setup.script.is_some_and(|script| script.stands_in());
        if address.transport == Transport::Tls && !stands_in {
            tls::config(&tls)?;
        }
        let terms = Terms { timeout: setup.delivery.timeout, script: setup.script.cloned() };
        Ok(Self { address, tls, terms, open: Mutex::new(None) })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Sends it; an error is what it means for the job.
    pub(super) async fn send(&self, parcel: Parcel) -> Result<(), Outcome> {
        if let Some(script) = &self.terms.script {
            let frames = parcel.frames.iter().map(|frame| frame.escape_ascii().to_string()).collect();
            let shown = Shown {
                role: Role::Job,
                method: "SEND".to_owned(),
                url: self.address.to_string(),
                headers: Vec::new(),
                body: parcel.text.clone(),
                frames,
                answer: None,
            };
            if !script.put(shown) {
                return Ok(());
            }
        }
        let mut open = self.open.lock().await;
        let reason = |error: connection::Failed| {
            let told = format!("{}: {error}", self.address);
            if error.is_for_good() { Outcome::never(told) } else { Outcome::retry(told) }
        };
        let kept = match open.take() {
            Some(mut kept) => kept.is_good().await.then_some(kept),
            None => None,
        };
        let mut connection = match kept {
            Some(kept) => kept,
            None => Connection::open(&self.address, &self.tls, self.terms.timeout).await.map_err(reason)?,
        };
        connection.send(&parcel.frames).await.map_err(reason)?;
        *open = Some(connection);
        Ok(())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let Some(connection) = self.open.get_mut().take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(connection.close());
        }
    }
}

#[cfg(test)]
mod tests;

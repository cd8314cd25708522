//! What goes to a socket whose other end answers nothing: `udp://`, `tcp://`, `tls://`.
//!
//! A connection is kept, and opened anew when it is gone. **Nothing is acknowledged**: that something was sent means that
//! this system has taken it for sending, and that the other side had not closed the connection before and a moment after.
//! What was on its way when a connection broke may be lost, and was reported as sent.

mod connection;
mod said;

use std::sync::Arc;

use reqwest::Url;
use rustls::ClientConfig;
use tokio::sync::Mutex;

use self::connection::{Connection, Failed, TooLong};
pub(super) use self::said::{Level, host, text_of};
use super::{
    Outcome, Role, Script, Shown,
    connections::{Kept, Tls},
    spec::Setup,
};
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

/// One message.
pub(super) struct Parcel {
    /// Its bytes: over a connection in one piece, over UDP a datagram each.
    pub(super) frames: Vec<Vec<u8>>,
    /// What they say, for people.
    pub(super) text: String,
}

/// Sends to one server.
pub(super) struct Sender {
    address: Address,
    /// None where it is not spoken.
    tls: Kept<Option<Arc<ClientConfig>>>,
    terms: Terms,
    /// Taken while it is used: what was broken off is not gone on with.
    open: Mutex<Option<Connection>>,
}

struct Terms {
    timeout: std::time::Duration,
    script: Option<Arc<Script>>,
}

impl Sender {
    /// For that server. No connection is made yet; an error where the certificates cannot be used.
    pub(super) fn new(setup: &Setup<'_>, address: Address, tls: &Tls) -> Result<Self, String> {
        let is_tls = address.transport == Transport::Tls;
        let tls = Kept::new(setup, tls, move |tls| is_tls.then(|| tls.client_config().map(Arc::new)).transpose())?;
        let terms = Terms { timeout: setup.delivery.timeout, script: setup.script.cloned() };
        Ok(Self { address, tls, terms, open: Mutex::new(None) })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Sends what could be made of each job, all in one write, and says how each ends: as `done` has it where it was sent.
    /// What could not be made is left out.
    pub(super) async fn send_each<T>(
        &self,
        made: Vec<Result<(Parcel, T), String>>,
        done: impl Fn(T) -> Outcome,
    ) -> Vec<Outcome> {
        let mut parcels = Vec::with_capacity(made.len());
        let mut keep = |(parcel, about): (Parcel, T)| {
            parcels.push(parcel);
            about
        };
        let made: Vec<Result<T, String>> = made.into_iter().map(|made| made.map(&mut keep)).collect();
        let mut sent = self.send(&parcels).await.into_iter();
        let outcome = |made: Result<T, String>| match made {
            Err(reason) => Outcome::never(reason),
            Ok(about) => match sent.next() {
                Some(Ok(())) => done(about),
                Some(Err(outcome)) => outcome,
                None => Outcome::retry("nothing was sent"),
            },
        };
        made.into_iter().map(outcome).collect()
    }

    /// For each, whether it was sent; an error is what that means for the job.
    async fn send(&self, parcels: &[Parcel]) -> Vec<Result<(), Outcome>> {
        if parcels.is_empty() || !self.is_wanted(parcels) {
            return parcels.iter().map(|_| Ok(())).collect();
        }
        let never = |error: TooLong| Outcome::never(format!("{}: {error}", self.address));
        match self.try_send(parcels).await {
            Ok(sent) => sent.into_iter().map(|sent| sent.map_err(never)).collect(),
            Err(error) => {
                let outcome = Outcome::retry(format!("{}: {error}", self.address));
                parcels.iter().map(|_| Err(outcome.clone())).collect()
            }
        }
    }

    /// Shows it to whoever asked for it; whether it is to be sent too.
    fn is_wanted(&self, parcels: &[Parcel]) -> bool {
        let Some(script) = &self.terms.script else { return true };
        let frames = parcels.iter().flat_map(|parcel| &parcel.frames);
        script.put(Shown {
            role: Role::Job,
            method: "SEND".to_owned(),
            url: self.address.to_string(),
            headers: Vec::new(),
            body: parcels.iter().map(|parcel| parcel.text.as_str()).collect::<Vec<_>>().join("\n"),
            frames: frames.map(|frame| frame.escape_ascii().to_string()).collect(),
            answer: None,
        })
    }

    async fn try_send(&self, parcels: &[Parcel]) -> Result<Vec<Result<(), TooLong>>, Failed> {
        let mut open = self.open.lock().await;
        let kept = match open.take() {
            Some(mut kept) => kept.is_good().await.then_some(kept),
            None => None,
        };
        let mut connection = match kept {
            Some(kept) => kept,
            None => Connection::open(&self.address, self.tls.current(), self.terms.timeout).await?,
        };
        let sent = connection.send(parcels).await?;
        *open = Some(connection);
        Ok(sent)
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

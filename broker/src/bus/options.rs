//! How a connection to NATS is made: which servers, by which way, as whom.
//!
//! Plain text is for servers of this machine, unless `insecure` is spelled out: every other address is one of TLS, whatever
//! the server says that it requires. A server's first word (INFO) comes in plain text, so that whoever is on the way can
//! write anything into it: that it needs no TLS, which is not listened to, and that there are more servers elsewhere. Those
//! are used only where a CA of one's own says who they are. Certificates, the CA's too, are read anew at every connection,
//! and so are credentials.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::{AuthError, ConnectOptions, Server, ServerAddr};

use super::{BusError, BusSettings, REQUEST_TIMEOUT, credentials, trouble};
use crate::{
    loopback::is_loopback,
    outage::Outage,
    private::{self, Readers},
    random,
};

/// Wait before the first attempt to connect again; it doubles.
const RECONNECT_FIRST: Duration = Duration::from_millis(100);
/// Longest wait between attempts. Nothing happens without NATS, and a handful of brokers that come at once hurt no server.
const RECONNECT_MAX: Duration = Duration::from_secs(2);
/// How often it is said that attempts fail.
const UNREACHABLE_SAID_EVERY: Duration = Duration::from_secs(60);

/// What goes over the way to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// TLS, or it is not gone.
    Tls,
    /// Plain text that does not leave this machine.
    Here,
    /// Plain text that does.
    Plain,
}

/// Says what is wrong with the address of a server, if anything is. `insecure` allows plain text off this machine.
pub fn check_address(server: &str, insecure: bool) -> Result<(), String> {
    address(server, insecure).map(drop)
}

/// The servers, each with TLS in its address where it must be.
pub(super) fn addresses(settings: &BusSettings) -> Result<Vec<ServerAddr>, BusError> {
    let read = |server: &String| {
        let (address, way) = address(server, settings.insecure).map_err(BusError::Settings)?;
        if way == Way::Plain {
            tracing::warn!(%server, "insecure: true: events and credentials go over the network in the clear");
        }
        Ok(address)
    };
    settings.servers.iter().map(read).collect()
}

fn address(server: &str, insecure: bool) -> Result<(ServerAddr, Way), String> {
    if server.contains('@') {
        // It is not repeated: what is before the @ is a secret.
        return Err(
            "a NATS address holds no user or password: give nats.user and nats.password, or credentials".to_owned()
        );
    }
    let expected = |error: &dyn std::fmt::Display| {
        format!("nats server {server:?}: {error}: expected an address such as tls://nats.example.com:4222")
    };
    let parse = |text: &str| text.parse::<ServerAddr>().map_err(|error| expected(&error));
    let address = parse(server)?;
    if address.host().is_empty() {
        return Err(expected(&"it names no server"));
    }
    match (way(&address), address.scheme()) {
        (Way::Plain, _) if insecure => Ok((address, Way::Plain)),
        (Way::Plain, "ws") => Err(format!(
            "nats server {server:?}: ws:// off this machine is plain text: use wss://, or say insecure: true (--insecure)"
        )),
        (Way::Plain, _) => {
            let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
            Ok((parse(&format!("tls://{rest}"))?, Way::Tls))
        }
        (way, _) => Ok((address, way)),
    }
}

fn way(address: &ServerAddr) -> Way {
    match address.scheme() {
        "tls" | "wss" => Way::Tls,
        _ if is_loopback(address.host()) => Way::Here,
        _ => Way::Plain,
    }
}

/// Everything else that a connection needs.
///
/// Once `closes` is true, a connection that ends is what was wanted.
pub(super) fn options(
    settings: &BusSettings,
    servers: &[ServerAddr],
    closes: Arc<AtomicBool>,
) -> Result<ConnectOptions, BusError> {
    let all = |way: Way| servers.iter().all(|server| self::way(server) == way);
    let rounds = Arc::new(Rounds::new(settings.ca.clone()));
    let of_events = Arc::clone(&rounds);
    let mut options = identified(settings)?
        .name(&settings.name)
        .ping_interval(Duration::from_secs(25))
        .connection_timeout(Duration::from_secs(5))
        .request_timeout(Some(REQUEST_TIMEOUT))
        .require_tls(all(Way::Tls))
        .reconnect_delay_callback(reconnect_delay)
        .reconnect_to_server_callback(move |servers, _| {
            rounds.begin(&servers);
            std::future::ready(None)
        })
        .event_callback(move |event| {
            log_event(&event, &of_events, &closes);
            std::future::ready(())
        });
    let vouched_for = all(Way::Tls) && settings.ca.is_some() && servers.iter().all(|server| !server.is_websocket());
    if !vouched_for && !all(Way::Plain) {
        options = options.ignore_discovered_servers();
    }
    if let Some(path) = &settings.ca {
        check_certificates("the CA", path)?;
        options = options.add_root_certificates(path.clone());
    }
    if let Some((certificate, key)) = &settings.certificate {
        check_certificates("the client certificate", certificate)?;
        check_key(key)?;
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options)
}

/// Who connects. A file of credentials is looked at now, to say what is wrong with it, and read at every connection.
fn identified(settings: &BusSettings) -> Result<ConnectOptions, BusError> {
    if let Some(path) = &settings.credentials {
        let path = path.clone();
        credentials::sign(&path, b"").map_err(|error| BusError::Settings(format!("credentials: {error}")))?;
        return Ok(ConnectOptions::with_auth_callback(move |nonce| signed(path.clone(), nonce)));
    }
    let options = ConnectOptions::new();
    Ok(match (&settings.user, &settings.token) {
        (Some((user, password)), _) => options.user_and_password(user.clone(), password.expose().to_owned()),
        (None, Some(token)) => options.token(token.expose().to_owned()),
        (None, None) => options,
    })
}

async fn signed(path: PathBuf, nonce: Vec<u8>) -> Result<async_nats::Auth, AuthError> {
    let signing = tokio::task::spawn_blocking(move || credentials::sign(&path, &nonce));
    match signing.await {
        Ok(signed) => signed.map_err(AuthError::new),
        Err(error) => Err(AuthError::new(error)),
    }
}

/// The library takes a file without certificates for one with none to trust, and says only that nobody is trusted.
fn check_certificates(what: &str, path: &Path) -> Result<(), BusError> {
    private::certificates(path).map(drop).map_err(|error| BusError::Settings(format!("{what} {error}")))
}

fn check_key(path: &Path) -> Result<(), BusError> {
    private::key(path, Readers::Owner).map(drop).map_err(|error| BusError::Settings(format!("the key {error}")))
}

/// [`RECONNECT_FIRST`] doubling to [`RECONNECT_MAX`], up to half of it less at random. `attempts` counts from 1.
fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1).min(12)).unwrap_or(12);
    let longest = RECONNECT_FIRST.saturating_mul(1 << doublings).min(RECONNECT_MAX);
    longest.mul_f64(0.5 + random::chance() / 2.0)
}

/// Rounds of attempts at all servers. Of one that failed the library's event tells no reason; the servers that the next
/// round begins with do.
struct Rounds {
    ca: Option<PathBuf>,
    state: Mutex<State>,
}

struct State {
    outage: Outage,
    failed: bool,
    /// What was told of this outage so far that somebody can do something about.
    told: BTreeSet<String>,
}

impl Rounds {
    fn new(ca: Option<PathBuf>) -> Self {
        let outage = Outage::said_every(UNREACHABLE_SAID_EVERY);
        Self { ca, state: Mutex::new(State { outage, failed: false, told: BTreeSet::new() }) }
    }

    fn worked(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failed = false;
        state.told.clear();
        state.outage.worked();
    }

    fn failed(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failed = true;
    }

    /// Tells of the round before, where it failed.
    fn begin(&self, servers: &[Server]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::take(&mut state.failed) {
            return;
        }
        let error = servers.iter().find_map(|server| server.last_error.as_deref()).unwrap_or_default();
        let about = trouble::explain(error, self.ca.as_deref());
        let is_news = about.as_ref().is_some_and(|about| state.told.insert(about.clone()));
        let about = about.map(|about| format!(": {about}")).unwrap_or_default();
        match state.outage.failed(Instant::now()) {
            Some(failed) => tracing::warn!(failed, error, "NATS cannot be reached{about}"),
            None if is_news => tracing::warn!(error, "NATS cannot be reached{about}"),
            None => tracing::debug!(error, "NATS cannot be reached{about}"),
        }
    }
}

fn log_event(event: &async_nats::Event, rounds: &Rounds, closes: &AtomicBool) {
    use async_nats::{ClientError, Event};
    match event {
        Event::Connected => {
            rounds.worked();
            tracing::info!("connected to NATS");
        }
        Event::Disconnected if closes.load(Ordering::Relaxed) => tracing::debug!("the connection to NATS has ended"),
        Event::Disconnected => tracing::warn!("the connection to NATS is lost; reconnecting"),
        Event::SlowConsumer(id) => tracing::warn!(subscription = id, "NATS: messages dropped, a reader is too slow"),
        Event::ServerError(error) => tracing::warn!(%error, "NATS"),
        // Once for each round of attempts at all servers.
        Event::ClientError(ClientError::Other(_)) => rounds.failed(),
        Event::ClientError(error) => tracing::warn!(%error, "NATS client"),
        other => tracing::debug!(event = %other, "NATS"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_for_this_machine_only() {
        for (server, insecure, expected) in [
            ("nats://127.0.0.1:4222", false, Ok(("nats://127.0.0.1:4222", Way::Here))),
            ("localhost:4222", false, Ok(("nats://localhost:4222", Way::Here))),
            ("ws://[::1]:8080", false, Ok(("ws://[::1]:8080/", Way::Here))),
            ("nats://[::1]:4222", true, Ok(("nats://[::1]:4222", Way::Here))),
            ("tls://nats.example.com", false, Ok(("tls://nats.example.com", Way::Tls))),
            ("wss://nats.example.com", true, Ok(("wss://nats.example.com/", Way::Tls))),
            ("tls://127.0.0.1:4222", false, Ok(("tls://127.0.0.1:4222", Way::Tls))),
            ("nats://localhost.example.com:4222", false, Ok(("tls://localhost.example.com:4222", Way::Tls))),
            ("NATS://nats.example.com", false, Ok(("tls://nats.example.com", Way::Tls))),
            ("127.example.com", false, Ok(("tls://127.example.com", Way::Tls))),
            ("nats://0.0.0.0:4222", false, Ok(("tls://0.0.0.0:4222", Way::Tls))),
            ("nats://nats.example.com", true, Ok(("nats://nats.example.com", Way::Plain))),
            ("ws://nats.example.com", true, Ok(("ws://nats.example.com/", Way::Plain))),
            ("ws://nats.example.com", false, Err("is plain text: use wss://")),
            ("WS://nats.example.com", false, Err("is plain text: use wss://")),
            ("http://nats.example.com", true, Err("expected an address such as")),
            ("", false, Err("expected an address such as")),
            ("nats://ada:hunter2@nats.example.com", true, Err("a NATS address holds no user or password")),
        ] {
            match (address(server, insecure), expected) {
                (Ok((address, way)), Ok((text, expected))) => {
                    assert_eq!((address.as_url_str(), way), (text, expected), "{server}");
                }
                (Err(problem), Err(said)) => {
                    assert!(problem.contains(said) && !problem.contains("hunter2"), "{problem}");
                }
                (found, _) => panic!("{server}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_before_anything_is_sent() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str, mode: u32| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let (empty, open, none) = (file("empty.pem", "", 0o600), file("open", "x", 0o644), folder.path().join("none"));
        let local = || BusSettings::local("tls://localhost", "test");
        for (settings, said) in [
            (BusSettings { ca: Some(empty.clone()), ..local() }, "empty.pem: there is no certificate in it"),
            (BusSettings { ca: Some(none.clone()), ..local() }, "the CA "),
            (BusSettings { credentials: Some(open), ..local() }, "take that right away with chmod 600"),
            (BusSettings { credentials: Some(empty.clone()), ..local() }, "there is no user JWT in it"),
            (BusSettings { certificate: Some((none, empty)), ..local() }, "the client certificate "),
        ] {
            let servers = addresses(&settings).unwrap();
            let error = options(&settings, &servers, Arc::default()).err().unwrap().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn reconnecting_slows_down_a_little_and_is_spread() {
        for (attempts, longest) in
            [(0, 100), (1, 100), (2, 200), (5, 1_600), (6, 2_000), (40, 2_000), (usize::MAX, 2_000)]
        {
            let longest = Duration::from_millis(longest);
            let delays: Vec<Duration> = (0..100).map(|_| reconnect_delay(attempts)).collect();
            assert!(delays.iter().all(|delay| *delay >= longest / 2 && *delay <= longest), "{attempts}: {delays:?}");
            assert!(delays.iter().any(|delay| *delay != delays[0]), "{attempts}: {delays:?}");
        }
    }
}

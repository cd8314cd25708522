//! The way to each server: its name, a connection, and the word of NATS at the other end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_nats::ServerAddr;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::Finding;
use crate::credential::look;
use crate::platform::Host;
use crate::settings::{Settings, server_name};
use crate::uplink::{self, As};
use emote_proto::Serial;
use emote_proto::enroll::EnrollmentToken;

const PATIENCE: Duration = Duration::from_secs(5);

/// Tries each server as the uplink would, and where that fails, how far the way to it leads.
pub(crate) async fn servers(settings: &Arc<Settings>, host: &Arc<dyn Host>, serial: &Serial) -> Vec<Finding> {
    let mut findings = Vec::new();
    let token = uplink::read_token(settings).await.ok().flatten();
    for server in &settings.servers {
        let check = format!("server {}", server_name(server));
        let (who, taken) = who(settings, token.as_ref());
        let said = match timeout(PATIENCE * 3, uplink::probe(settings, host, server, serial, who)).await {
            Ok(Ok(said)) => {
                findings.push(Finding::ok(check, format!("{said}, {taken}")));
                continue;
            }
            Ok(Err(error)) => error,
            Err(_) => "nothing is said".to_owned(),
        };
        findings.push(match reach(server).await {
            Ok(way) => Finding::fail(check, format!("{said} ({way})"), remedy(&said)),
            Err((way, remedy)) => Finding::fail(check, format!("{said} ({way})"), remedy),
        });
    }
    findings
}

/// As whom the agent would connect, and what it means that a server takes it so.
fn who<'a>(settings: &Settings, token: Option<&'a EnrollmentToken>) -> (As<'a>, String) {
    if settings.say_who() {
        return (As::Settings, "takes whom the settings name".into());
    }
    let found = look(&settings.state_dir).ok().flatten().and_then(|found| found.usable);
    match (found, token) {
        (Some(usable), _) => (As::Machine(Box::new(usable)), "takes this machine's credential".into()),
        (None, Some(token)) => (As::Token(token), format!("takes the enrolment token {}", token.id())),
        (None, None) => (As::Settings, "takes anyone".into()),
    }
}

/// What was seen on the way, or why it ends and what to do.
async fn reach(server: &ServerAddr) -> Result<String, (String, &'static str)> {
    let (host, port) = (server.host().trim_matches(['[', ']']), server.port());
    let found = timeout(PATIENCE, lookup_host((host, port))).await;
    let found = found.map_err(|_| ("its name is not resolved in time".to_owned(), "look at this machine's DNS"))?;
    let found =
        found.map_err(|error| (format!("its name is not resolved: {error}"), "look at the name, and at DNS"))?;
    let addresses: Vec<SocketAddr> = found.collect();
    let mut last = "it has no address".to_owned();
    for address in &addresses {
        let begun = Instant::now();
        match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(format!("{address} answers in {} ms", begun.elapsed().as_millis())),
            Ok(Err(error)) => last = format!("{address}: {error}"),
            Err(_) => last = format!("{address} does not answer"),
        }
    }
    Err((last, "look at firewalls on the way; where only 443 is open, let NATS speak wss:// and say so in `server`"))
}

/// By what the library says; its errors have no finer kinds than these words.
fn remedy(error: &str) -> &'static str {
    let error = error.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| error.contains(word));
    if says(&["proxy"]) {
        return "look at `proxy`, and whether it lets this machine through to that port";
    }
    // The name of the server is in it too, with its `tls://`.
    if says(&["unknownissuer", "unknown issuer", "certificate", "tls error", "handshake", "fatal alert"]) {
        return "look at `ca` and `ca_certificates`, at the server's certificate and its names, at `certificate` where the \
                server asks for one, and at what breaks TLS on the way";
    }
    if says(&["authorization", "authentication", "permission", "credentials file", "no such file", "chmod"]) {
        return "look at `credentials` or `token_file`, and whether the server knows what is in it; of a credential of its own \
                see the check identity";
    }
    "is it NATS that listens there? See the server's log"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_way_that_ends_says_where() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = |text: String| text.parse::<ServerAddr>().unwrap();
        assert!(reach(&server(format!("nats://127.0.0.1:{port}"))).await.unwrap().contains("answers in"));
        drop(listener);
        let (said, remedy) = reach(&server(format!("nats://127.0.0.1:{port}"))).await.unwrap_err();
        assert!(said.contains("refused") && remedy.contains("firewalls"), "{said}");
        let (said, _) = reach(&server("nats://no-such-host.invalid:1".into())).await.unwrap_err();
        assert!(said.contains("not resolved"), "{said}");
    }

    #[test]
    fn each_refusal_has_its_remedy() {
        for (error, said) in [
            ("invalid peer certificate: UnknownIssuer", "`ca`"),
            ("tls://a:4222: TLS error: No such file or directory", "`ca`"),
            ("tls://a:4222: authorization violation: nats: authorization violation", "`credentials`"),
            ("/b.creds: not a NATS credentials file: there is no user JWT in it", "`credentials`"),
            ("/token: No such file or directory (os error 2)", "`token_file`"),
            ("/token: permission denied", "`token_file`"),
            ("the proxy a:9 cannot be reached: Connection refused", "`proxy`"),
            ("tls://a:8443: timed out", "log"),
            ("strange", "log"),
        ] {
            assert!(remedy(error).contains(said), "{error}");
        }
    }
}

//! Addresses of servers. They may hold passwords: nothing said of one does.

use async_nats::ServerAddr;

use super::keys::Context;
use super::value::Value;

/// Of an address.
const EXPECTED: &str = "expected tls://HOST or wss://HOST, or nats://HOST or ws://HOST";

/// Checks every address of a list.
pub(super) fn check(value: &Value, context: Context) -> Result<(), String> {
    let Value::Texts(texts) = value else { return Ok(()) };
    let mut servers = Vec::new();
    for (place, text) in (1..).zip(texts) {
        // What the library says of a text that is none holds the text.
        let server = text
            .parse::<ServerAddr>()
            .map_err(|_| format!("address {place} of the list is not understood: {EXPECTED}"))?;
        let name = name(&server);
        if is_exposed(&server) && !context.insecure {
            return Err(format!(
                "{name} is not encrypted: use tls:// or wss://, or insecure where the network itself is trusted"
            ));
        }
        servers.push(server);
    }
    if servers.iter().any(ServerAddr::is_websocket) && !servers.iter().all(ServerAddr::is_websocket) {
        return Err("wss:// and ws:// cannot be mixed with tls:// and nats://".into());
    }
    Ok(())
}

/// Whether what is said to it leaves this machine in the clear.
pub(super) fn is_exposed(server: &ServerAddr) -> bool {
    !["tls", "wss"].contains(&server.scheme()) && !is_loopback(server.host())
}

/// An address without password.
pub fn name(server: &ServerAddr) -> String {
    format!("{}://{}:{}", server.scheme(), server.host(), server.port())
}

/// Whether it is on this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_addresses_are_said_without_their_passwords() {
        let check = |texts: &[&str], insecure| {
            check(
                &Value::Texts(texts.iter().map(|text| (*text).to_owned()).collect()),
                Context { insecure, ..Context::default() },
            )
        };
        assert_eq!(check(&["tls://a", "nats://127.0.0.1", "nats://[::1]:4"], false), Ok(()));
        assert_eq!(check(&["nats://a.example.com"], true), Ok(()));
        assert_eq!(check(&["wss://a/nats", "ws://localhost"], false), Ok(()));
        assert!(check(&["wss://a", "tls://b"], true).unwrap_err().contains("cannot be mixed"));
        for (text, said) in [
            ("nats://u:hunter2@a", "nats://a:4222 is not encrypted"),
            ("ws://u:hunter2@a:1", "ws://a:1 is not encrypted"),
            ("ftp://u:hunter2@a:1", "address 2 of the list is not understood: expected tls://HOST or wss://HOST"),
            ("tls://hunter2:hunter2", "address 2 of the list is not understood"),
        ] {
            let error = check(&["tls://a", text], false).unwrap_err();
            assert!(error.contains(said) && !error.contains("hunter2"), "{error}");
        }
    }
}

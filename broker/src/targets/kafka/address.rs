//! Where a broker is.

use reqwest::Url;

use crate::loopback::is_loopback;

/// The longest name of a host, in bytes (RFC 1035, 2.3.4).
const MAX_HOST: usize = 255;

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Address {
    /// Without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// From `kafka-1.example.com:9093`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let expected = || "expected a host and its port: kafka-1.example.com:9093".to_owned();
        let url: Url = format!("kafka://{text}").parse().map_err(|_| expected())?;
        let bare = Self::of(url.host_str().unwrap_or_default(), url.port().unwrap_or_default());
        match bare.host.is_empty() || bare.port == 0 || bare.to_string() != text {
            true => Err(expected()),
            false => Ok(bare),
        }
    }

    /// Host and port, as a cluster says them; none where nobody can be.
    pub(super) fn said(host: &str, port: i32) -> Option<Self> {
        let is_host =
            !host.is_empty() && host.len() <= MAX_HOST && !host.contains(|c: char| c.is_control() || c == ' ');
        u16::try_from(port).ok().filter(|port| is_host && *port > 0).map(|port| Self::of(host, port))
    }

    fn of(host: &str, port: u16) -> Self {
        Self { host: host.trim_matches(['[', ']']).to_owned(), port }
    }

    /// Whether it is this machine.
    pub(super) fn is_here(&self) -> bool {
        is_loopback(&self.host)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_a_host_and_a_port() {
        for text in ["kafka-1.example.com:9093", "127.0.0.1:9092", "[::1]:9092", "localhost:1"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
        for text in
            ["", "kafka", "kafka:", ":9092", "kafka:0", "kafka:70000", "kafka:1/x", "a@kafka:1", "tls://kafka:1"]
        {
            assert!(Address::parse(text).is_err(), "{text}");
        }
        assert_eq!((Address::of("::1", 1).is_here(), Address::of("192.0.2.1", 1).is_here()), (true, false));
    }

    #[test]
    fn a_cluster_says_where_somebody_can_be() {
        assert_eq!(Address::said("::1", 9092).unwrap().to_string(), "[::1]:9092");
        for (host, port) in [("", 1), ("a", 0), ("a", -1), ("a", 65_536), ("a\nb", 1), (&*"a".repeat(256), 1)] {
            assert_eq!(Address::said(host, port), None, "{host:?} {port}");
        }
    }
}

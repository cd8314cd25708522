//! The system's proxy for https, as `scutil --proxy` prints it. Pure.
//!
//! Shape (general knowledge, not recorded on a Mac): `<dictionary> {`, then `  HTTPSEnable : 1`, `  HTTPSPort : 3128`,
//! `  HTTPSProxy : proxy.example.com`, `  ExcludeSimpleHostnames : 1`, and `  ExceptionsList : <array> {` with
//! `    0 : *.local` and `    1 : 169.254/16`. A proxy that only a script tells of (PAC) is not used: the agent runs none.

use std::net::Ipv4Addr;

use crate::settings::HttpProxy;

/// Exceptions that are read.
const MOST: usize = 256;

/// What is set.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SystemProxy {
    proxy: Option<HttpProxy>,
    exceptions: Vec<String>,
    exclude_simple: bool,
}

/// `None` when the text is not of the shape above.
pub(super) fn parse(text: &str) -> Option<SystemProxy> {
    let mut lines = text.lines().map(str::trim);
    lines.by_ref().find(|line| !line.is_empty()).filter(|line| line.starts_with("<dictionary> {"))?;
    let mut found = SystemProxy::default();
    let (mut enabled, mut host, mut port, mut depth, mut exceptions) = (false, None, None, 1_u32, false);
    for line in lines {
        if line == "}" {
            (depth, exceptions) = (depth.checked_sub(1)?, false);
            continue;
        }
        let Some((key, value)) = line.split_once(" : ") else { continue };
        if value.ends_with('{') {
            exceptions = depth == 1 && key == "ExceptionsList";
            depth += 1;
            continue;
        }
        match (depth, key) {
            (2, _) if exceptions && found.exceptions.len() < MOST => found.exceptions.push(value.to_ascii_lowercase()),
            (1, "HTTPSEnable") => enabled = value == "1",
            (1, "HTTPSProxy") => host = Some(value.to_owned()),
            (1, "HTTPSPort") => port = Some(value.parse().ok().filter(|port| *port != 0)?),
            (1, "ExcludeSimpleHostnames") => found.exclude_simple = value == "1",
            _ => {}
        }
    }
    if depth != 0 {
        return None;
    }
    if enabled {
        found.proxy = Some(HttpProxy { host: host?, port: port?, login: None });
    }
    Some(found)
}

impl SystemProxy {
    /// The proxy to reach `host` by, unless the settings exclude it.
    pub(super) fn for_host(self, host: &str) -> Option<HttpProxy> {
        let host = host.to_ascii_lowercase();
        let simple = self.exclude_simple && !host.contains(['.', ':']);
        let own = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if simple || own || self.exceptions.iter().any(|pattern| excludes(pattern, &host)) {
            return None;
        }
        self.proxy
    }
}

/// Whether `host` is of `pattern`: a name in which `*` is anything, or an IPv4 net whose last octets may be left out.
fn excludes(pattern: &str, host: &str) -> bool {
    match (net(pattern), host.parse::<Ipv4Addr>()) {
        (Some((net, mask)), Ok(address)) => u32::from(address) & mask == net & mask,
        _ => is_like(pattern, host),
    }
}

fn net(pattern: &str) -> Option<(u32, u32)> {
    let (address, bits) = pattern.split_once('/')?;
    let octets: Vec<u8> = address.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
    let mut all = [0; 4];
    all.get_mut(..octets.len())?.copy_from_slice(&octets);
    let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 32)?;
    Some((u32::from(Ipv4Addr::from(all)), u32::MAX.checked_shl(32 - bits).unwrap_or(0)))
}

fn is_like(pattern: &str, host: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == host };
    let Some(mut left) = host.strip_prefix(first) else { return false };
    let parts: Vec<&str> = rest.split('*').collect();
    let Some((last, between)) = parts.split_last() else { return true };
    for part in between {
        let Some(at) = left.find(part) else { return false };
        left = left.get(at + part.len()..).unwrap_or_default();
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OFFICE: &str = "<dictionary> {
  ExceptionsList : <array> {
    0 : *.local
    1 : 169.254/16
    2 : intra.example.com
    3 : www*.ex*.org
  }
  ExcludeSimpleHostnames : 1
  FTPPassive : 1
  HTTPEnable : 0
  HTTPSEnable : 1
  HTTPSPort : 3128
  HTTPSProxy : proxy.example.com
}
";

    #[test]
    fn the_systems_proxy_is_for_all_but_the_exceptions() {
        for (host, through) in [
            ("nats.example.com", true),
            ("printer.local", false),
            ("local", false),
            ("169.254.7.7", false),
            ("169.253.7.7", true),
            ("Intra.Example.com", false),
            ("x.intra.example.com", true),
            ("www7.example.org", false),
            ("www.org", true),
            ("nats", false),
            ("127.0.0.1", false),
            ("::1", false),
        ] {
            let found = parse(OFFICE).unwrap().for_host(host);
            assert_eq!(found.map(|proxy| proxy.to_string()).is_some(), through, "{host}");
        }
        assert_eq!(parse(OFFICE).unwrap().for_host("a.b").unwrap().to_string(), "proxy.example.com:3128");
    }

    #[test]
    fn a_system_without_a_proxy_is_told_from_one_that_is_not_understood() {
        for none in ["<dictionary> {\n}\n", "<dictionary> {\n  HTTPSEnable : 0\n  HTTPSProxy : x\n}\n"] {
            assert_eq!(parse(none).unwrap().for_host("a.b"), None, "{none}");
        }
        for bad in [
            "",
            "usage: scutil",
            "<dictionary> {\n  HTTPSEnable : 1\n}\n",
            "<dictionary> {\n",
            "<dictionary> {\n}\n}\n",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn foreign_text_never_panics(text: String, pattern in "[a*./0-9]{0,12}", host in "[a.0-9é]{0,12}") {
            let _ = parse(&text);
            let _ = parse(&format!("<dictionary> {{\n{text}\n}}\n"));
            excludes(&pattern, &host);
        }
    }
}

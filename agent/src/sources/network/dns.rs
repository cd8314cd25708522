//! Who is asked for names: what `scutil --dns` prints on macOS, and resolv.conf(5) on Linux.
//!
//! macOS has a list of resolvers, each for a domain or for all (`domain` absent); a VPN adds one for its own. Below `DNS
//! configuration (for scoped queries)` the same is said once more by interface, which is passed over, as are resolvers
//! without servers (multicast DNS).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::platform::{Host, System, tools};
use crate::sources::ObserveError;

/// What all names that have no resolver of their own are asked under.
const ALL: &str = ".";
const MOST_DOMAINS: usize = 64;
const MOST_SERVERS: usize = 16;
const LONGEST: usize = 256;

/// Servers by the domain they are asked about, in the order in which they are; and the domains that short names are tried in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dns {
    pub(crate) servers: BTreeMap<String, Vec<String>>,
    pub(crate) search: Vec<String>,
}

impl Dns {
    pub(super) fn observe(host: &dyn Host) -> Result<Self, ObserveError> {
        match host.system() {
            System::Mac => Self::of_scutil(&host.run(&tools::SCUTIL_DNS)?.successful(&tools::SCUTIL_DNS)?),
            System::Linux => match host.read_text("/etc/resolv.conf") {
                Err(error) if error.is_missing() => Ok(Self::default()),
                text => Ok(Self::of_resolv_conf(&text?)),
            },
        }
    }

    fn of_scutil(text: &str) -> Result<Self, ObserveError> {
        let mut lines = text.lines().map(str::trim).skip_while(|line| *line != "DNS configuration");
        if lines.next().is_none() {
            // Without any network it says so in a sentence.
            let none = text.contains("No DNS configuration available");
            let unknown = || ObserveError::Answer("scutil --dns: no DNS configuration is listed".into());
            return if none { Ok(Self::default()) } else { Err(unknown()) };
        }
        let mut dns = Self::default();
        let (mut domain, mut servers) = (ALL.to_owned(), Vec::new());
        for line in lines.take_while(|line| !line.starts_with("DNS configuration")) {
            if line.starts_with("resolver #") {
                dns.ask(std::mem::replace(&mut domain, ALL.to_owned()), std::mem::take(&mut servers));
            }
            let Some((key, value)) = line.split_once(" : ") else { continue };
            match key.trim().split('[').next().unwrap_or_default() {
                "domain" => domain = shortened(value),
                "nameserver" => servers.push(shortened(value)),
                "search domain" => dns.search_in(value),
                _ => {}
            }
        }
        dns.ask(domain, servers);
        Ok(dns)
    }

    fn of_resolv_conf(text: &str) -> Self {
        let mut dns = Self::default();
        let mut servers = Vec::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => servers.extend(words.next().map(shortened)),
                // The last line of its kind holds.
                Some("search" | "domain") => {
                    dns.search.clear();
                    words.for_each(|domain| dns.search_in(domain));
                }
                _ => {}
            }
        }
        dns.ask(ALL.to_owned(), servers);
        dns
    }

    /// The first resolver of a domain is the one that is asked.
    fn ask(&mut self, domain: String, mut servers: Vec<String>) {
        servers.truncate(MOST_SERVERS);
        if !servers.is_empty() && self.servers.len() < MOST_DOMAINS {
            self.servers.entry(domain).or_insert(servers);
        }
    }

    fn search_in(&mut self, domain: &str) {
        let domain = shortened(domain);
        if self.search.len() < MOST_DOMAINS && !self.search.contains(&domain) {
            self.search.push(domain);
        }
    }
}

fn shortened(text: &str) -> String {
    text.trim().chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SCUTIL: &str = "DNS configuration\n\nresolver #1\n  search domain[0] : example.com\n  \
        search domain[1] : corp.example.com\n  nameserver[0] : 192.168.1.1\n  nameserver[1] : fe80::1%en0\n  \
        if_index : 15 (en0)\n  flags    : Request A records, Request AAAA records\n  \
        reach    : 0x00020002 (Reachable,Directly Reachable Address)\n\nresolver #2\n  domain   : local\n  \
        options  : mdns\n  timeout  : 5\n\nresolver #3\n  domain   : corp.example.com\n  nameserver[0] : 10.0.0.53\n\n\
        DNS configuration (for scoped queries)\n\nresolver #1\n  nameserver[0] : 9.9.9.9\n  if_index : 15 (en0)\n";

    fn dns(servers: &[(&str, &[&str])], search: &[&str]) -> Dns {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Dns {
            servers: servers.iter().map(|(domain, servers)| ((*domain).to_owned(), list(servers))).collect(),
            search: list(search),
        }
    }

    #[test]
    fn each_domain_has_the_servers_that_are_asked_about_it() {
        let expected = dns(
            &[(".", &["192.168.1.1", "fe80::1%en0"]), ("corp.example.com", &["10.0.0.53"])],
            &["example.com", "corp.example.com"],
        );
        assert_eq!(Dns::of_scutil(SCUTIL).unwrap(), expected);
        assert_eq!(Dns::of_scutil("No DNS configuration available\n").unwrap(), Dns::default());
        assert_eq!(Dns::of_scutil("DNS configuration\n").unwrap(), Dns::default());
        assert!(Dns::of_scutil("").is_err(), "no answer is not no network");
    }

    #[test]
    fn a_resolv_conf_is_read() {
        let text = "# by somebody\nnameserver 1.1.1.1\nnameserver\n search old.example\nsearch a.example b.example\noptions edns0\n";
        assert_eq!(Dns::of_resolv_conf(text), dns(&[(".", &["1.1.1.1"])], &["a.example", "b.example"]));
        assert_eq!(Dns::of_resolv_conf(""), Dns::default());
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in "(DNS configuration\n)?(resolver #1\n|[ -~]{0,20} : [ -~]{0,300}\n|\\PC{0,40}\n){0,200}") {
            if let Ok(dns) = Dns::of_scutil(&text) {
                prop_assert!(dns.servers.len() <= MOST_DOMAINS && dns.search.len() <= MOST_DOMAINS);
            }
            Dns::of_resolv_conf(&text);
        }
    }
}

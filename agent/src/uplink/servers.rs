//! Which server is tried next: each in turn, those of the settings and those that a server has told of. Pure.

use async_nats::ServerAddr;

/// Servers told of that are remembered.
const MOST: usize = 16;

/// All servers that there are to try.
#[derive(Debug)]
pub(crate) struct Servers {
    all: Vec<ServerAddr>,
    configured: usize,
    next: usize,
    tls: bool,
}

impl Servers {
    /// `random` chooses the first, so that a fleet spreads over all; `tls`: connections must be encrypted.
    pub(crate) fn new(configured: &[ServerAddr], random: u32, tls: bool) -> Self {
        let next = usize::try_from(random).unwrap_or(0) % configured.len().max(1);
        Self { all: configured.to_vec(), configured: configured.len(), next, tls }
    }

    /// How many.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.all.len()).unwrap_or(u32::MAX).max(1)
    }

    /// The next one; `None` when there are none at all.
    pub(crate) fn next(&mut self) -> Option<ServerAddr> {
        let server = self.all.get(self.next % self.all.len().max(1)).cloned();
        self.next = self.next.wrapping_add(1);
        server
    }

    /// Takes `host:port` addresses that a server of a cluster tells of, in place of those told before. Through a web
    /// front they mean nothing, and no certificate is made out to an address.
    pub(crate) fn learn(&mut self, told: &[String]) {
        self.all.truncate(self.configured);
        let Some(first) = self.all.first().filter(|server| !server.is_websocket()) else { return };
        let scheme = first.scheme().to_owned();
        for server in told.iter().filter_map(|told| format!("{scheme}://{told}").parse::<ServerAddr>().ok()) {
            let usable = !server.host().is_empty() && (!self.tls || server.host().parse::<std::net::IpAddr>().is_err());
            if usable && self.all.len() < self.configured + MOST && !self.all.contains(&server) {
                self.all.push(server);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(configured: &[&str], tls: bool) -> Servers {
        Servers::new(&configured.iter().map(|server| server.parse().unwrap()).collect::<Vec<_>>(), 1, tls)
    }

    fn round(servers: &mut Servers) -> Vec<String> {
        (0..servers.count()).map(|_| servers.next().unwrap().host().to_owned()).collect()
    }

    #[test]
    fn each_is_tried_in_turn_and_so_are_those_told_of_that_can_be_used() {
        let told: Vec<String> = ["c.example.com:4222", "10.0.0.7:4222", "a:4222", "///"].map(str::to_owned).into();
        let mut two = servers(&["tls://a:4222", "tls://b"], true);
        assert_eq!(round(&mut two), ["b", "a"]);
        two.learn(&told);
        let mut all = round(&mut two);
        all.sort();
        assert_eq!(all, ["a", "b", "c.example.com"]);
        two.learn(&[]);
        assert_eq!(two.count(), 2);
        let mut plain = servers(&["nats://127.0.0.1"], false);
        plain.learn(&told);
        assert_eq!(plain.count(), 4);
        let mut web = servers(&["wss://a"], true);
        web.learn(&told);
        assert_eq!(round(&mut web), ["a"]);
    }
}

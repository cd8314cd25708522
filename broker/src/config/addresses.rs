//! Addresses at which two things of one machine would listen: only one of them gets it.

use std::net::SocketAddr;

use super::{Folder, Problems, Report, folder::in_settings};
use crate::intake::socket;

/// What listens on a machine: each with the key of its address.
struct Listener {
    what: &'static str,
    key: &'static str,
    address: SocketAddr,
}

/// Sockets of sources that collide with each other or with what `emote.yaml` has listen, and that with itself.
pub(super) fn check(folder: &Folder) -> Report {
    let listeners = listeners(folder);
    let mut problems = Problems::default();
    for (at, listener) in listeners.iter().enumerate() {
        let before = listeners.iter().take(at).find(|other| collide(other.address, listener.address));
        if let Some(other) = before {
            problems.add(listener.key, taken(&listener.address.to_string(), other.what));
        }
    }
    let mut report = if problems.is_empty() { Report::default() } else { in_settings(&folder.root, problems) };
    let mut sockets: Vec<(String, socket::Plan)> = Vec::new();
    for (name, spec) in &folder.sources {
        let mut problems = Problems::default();
        let plans = spec.validate(name).map(|plan| plan.sockets().to_vec()).unwrap_or_default();
        for (at, plan) in plans.iter().enumerate() {
            let of_source = sockets.iter().find(|(_, other)| other.collides_with(plan));
            let other = match of_source {
                Some((other, _)) => Some(other.as_str()),
                None => listeners.iter().find(|other| plan.collides_with_tcp(other.address)).map(|other| other.what),
            };
            let key =
                if spec.listens_at_several() { format!("listen[{at}].address") } else { "listen.address".to_owned() };
            if let Some(other) = other {
                problems.add(key, taken(&format!("{} {}", plan.transport(), plan.address()), other));
            }
            sockets.push((format!("the source {name}"), plan.clone()));
        }
        if !problems.is_empty() {
            report.append(folder.problems("sources", name, problems));
        }
    }
    report
}

fn listeners(folder: &Folder) -> Vec<Listener> {
    let settings = &folder.settings;
    let ops = settings.ops.as_ref().map(|ops| ("health and metrics", "ops.listen", ops.address));
    let console = settings.console.as_ref().map(|console| ("the console", "console.listen", console.listen.address));
    let all = [Some(("the webhooks", "ingest.listen", settings.ingest.address)), ops, console];
    all.into_iter().flatten().map(|(what, key, address)| Listener { what, key, address }).collect()
}

/// Whether only one of these can be had. Port 0 is whichever is free.
pub(crate) fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let all = one.ip().is_unspecified() || other.ip().is_unspecified();
    let same = one.ip() == other.ip() || all && one.is_ipv4() == other.is_ipv4();
    one.port() != 0 && one.port() == other.port() && same
}

fn taken(address: &str, other: &str) -> String {
    format!("{address} belongs to {other} already, and only one can listen there: give another port or address")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(settings: &str, sources: &[(&str, &str)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sources")).unwrap();
        std::fs::write(folder.path().join("emote.yaml"), settings).unwrap();
        for (name, listen) in sources {
            let text = format!("preset: syslog\nlisten: {listen}\n");
            std::fs::write(folder.path().join(format!("sources/{name}.yaml")), text).unwrap();
        }
        Folder::load(folder.path()).err().map(|report| report.to_string()).unwrap_or_default()
    }

    #[test]
    fn only_one_listens_at_an_address() {
        let udp = |address: &str| format!("{{transport: udp, address: \"{address}\", insecure: true}}");
        let tcp = |address: &str| udp(address).replace("udp", "tcp");
        for (settings, sources, said) in [
            ("{}", vec![("a", udp("127.0.0.1:5514")), ("b", udp("127.0.0.1:5515"))], ""),
            ("{}", vec![("a", udp("127.0.0.1:5514")), ("b", tcp("127.0.0.1:5514"))], ""),
            ("{}", vec![("a", udp("127.0.0.1:5514")), ("b", udp("127.0.0.2:5514"))], ""),
            ("{}", vec![("a", udp("127.0.0.1:0")), ("b", udp("127.0.0.1:0"))], ""),
            (
                "{}",
                vec![("a", udp("127.0.0.1:5514")), ("b", udp("127.0.0.1:5514"))],
                "sources/b.yaml:2:26: listen.address: udp 127.0.0.1:5514 belongs to the source a already, and only one",
            ),
            (
                "{}",
                vec![("a", tcp("0.0.0.0:5514")), ("b", tcp("127.0.0.1:5514"))],
                "sources/b.yaml:2:26: listen.address: tcp 127.0.0.1:5514 belongs to the source a already",
            ),
            (
                "{}",
                vec![("a", format!("[{0}, {0}]", udp("127.0.0.1:5514")))],
                "listen[1].address: udp 127.0.0.1:5514 belongs to the source a already",
            ),
            (
                "{}",
                vec![("a", tcp("127.0.0.1:8480"))],
                "listen.address: tcp 127.0.0.1:8480 belongs to the webhooks already",
            ),
            ("{}", vec![("a", udp("127.0.0.1:8480"))], ""),
            (
                "ops: {listen: 127.0.0.1:8480}",
                vec![],
                "emote.yaml:1:7: ops.listen: 127.0.0.1:8480 belongs to the webhooks",
            ),
            ("ops: {listen: off}\nconsole: {listen: off}\ningest: {listen: 127.0.0.1:8481}", vec![], ""),
        ] {
            let sources: Vec<_> = sources.iter().map(|(name, listen)| (*name, listen.as_str())).collect();
            let told = told(settings, &sources);
            assert!(if said.is_empty() { told.is_empty() } else { told.contains(said) }, "{sources:?}: {told}");
        }
    }
}

//! The kinds of faults: a line each, and what `strike` does for it.

use crate::args::Chosen;

/// What can be done to a running Emote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    BrokerKill,
    BrokerFreeze,
    CorruptStore,
    AgentKill,
    NatsKill,
    Cut,
    Part,
    Hold,
    DiskFull,
    Duplicates,
    Garbage,
}

/// Name, what it does, and how often it comes in comparison with the others.
const KINDS: [(Kind, &str, &str, u32); 11] = [
    (Kind::BrokerKill, "broker-kill", "kill -9 a broker and start it again", 4),
    (
        Kind::BrokerFreeze,
        "broker-freeze",
        "stop a broker (SIGSTOP) for some seconds, as a laptop's lid or a full swap does",
        1,
    ),
    (Kind::CorruptStore, "corrupt-store", "kill -9 a broker and damage its store before it starts again", 2),
    (Kind::AgentKill, "agent-kill", "kill -9 an agent and start it again", 3),
    (Kind::NatsKill, "nats-kill", "kill -9 a nats-server and start it again", 2),
    (Kind::Cut, "cut", "cut a broker's or an agent's connections; what is on the way is lost", 4),
    (
        Kind::Part,
        "part",
        "part a broker or an agent from NATS for some seconds: connections end, new ones are refused",
        2,
    ),
    (
        Kind::Hold,
        "hold",
        "let nothing through between a broker or an agent and NATS for some seconds, without a word",
        2,
    ),
    (Kind::DiskFull, "disk-full", "fill JetStream's storage until it refuses, then make room", 1),
    (Kind::Duplicates, "duplicates", "send again what was acknowledged: the same message ids, the same webhooks", 2),
    (
        Kind::Garbage,
        "garbage",
        "bad JSON, bad subjects, too large, too deep, binary: to the stream, webhooks, sockets, among jobs",
        2,
    ),
];

impl Kind {
    /// Its name on the command line and in the table.
    pub(crate) fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, ..)| *kind == self).map_or("?", |(_, name, ..)| name)
    }

    /// How often it comes.
    pub(crate) fn weight(self) -> u32 {
        KINDS.iter().find(|(kind, ..)| *kind == self).map_or(0, |(.., weight)| *weight)
    }

    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().map(|(kind, ..)| *kind)
    }

    /// The option's long help.
    pub(crate) fn help() -> String {
        let lines = KINDS.iter().map(|(_, name, about, _)| format!("  {name:<14} {about}\n"));
        format!(
            "`all`, `none`, or some of these, separated by commas; with a minus before a name, all but that one:\n{}",
            lines.collect::<String>()
        )
    }

    /// Reads the option's value.
    pub(crate) fn choose(text: &str) -> Result<Chosen, String> {
        let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        match words[..] {
            ["all"] => return Ok(Self::all().collect()),
            ["none"] => return Ok(Chosen::from([])),
            _ => {}
        }
        let (out, wanted): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.starts_with('-'));
        let out = out.iter().map(|word| Self::named(&word[1..])).collect::<Result<Vec<_>, _>>()?;
        let wanted = wanted.iter().filter(|word| **word != "all");
        let wanted = wanted.map(|word| Self::named(word)).collect::<Result<Vec<_>, _>>()?;
        let from_all = wanted.is_empty();
        Ok(Self::all().filter(|kind| (from_all || wanted.contains(kind)) && !out.contains(kind)).collect())
    }

    fn named(word: &str) -> Result<Self, String> {
        let found = KINDS.iter().find(|(_, name, ..)| *name == word);
        let names = || KINDS.map(|(_, name, ..)| name).join(", ");
        found
            .map(|(kind, ..)| *kind)
            .ok_or_else(|| format!("there is no fault {word:?}: expected all, none, {}", names()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_chosen_by_name_or_taken_out() {
        assert_eq!(Kind::choose("all").unwrap().len(), KINDS.len());
        assert!(Kind::choose("none").unwrap().is_empty());
        assert_eq!(*Kind::choose("cut, broker-kill").unwrap(), [Kind::BrokerKill, Kind::Cut]);
        assert_eq!(Kind::choose("-cut").unwrap().len(), KINDS.len() - 1);
        assert_eq!(Kind::choose("all,-cut,-part").unwrap().len(), KINDS.len() - 2);
        assert!(Kind::choose("rain").unwrap_err().contains("expected all, none, broker-kill"));
    }
}

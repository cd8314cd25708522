//! What jobs the rules of `rules.rs` demand for a log: the rules again, in plain code.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::Entry;
use crate::rules::BUDGET;

/// A job that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Its id.
    pub(crate) job: String,
    /// Whose.
    pub(crate) target: &'static str,
    /// Which rule's.
    pub(crate) rule: &'static str,
    /// The event that set it off.
    pub(crate) event: String,
    /// The event's place in the log.
    pub(crate) sequence: u64,
    /// How it must end.
    pub(crate) end: End,
}

/// How a job ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Delivered,
    /// The target refuses it for good.
    Dead,
    /// The budget was spent.
    Held,
}

/// The jobs for this log, by the order of its entries.
pub(crate) fn demands(log: &[Entry]) -> Vec<Demand> {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let (mut seen, mut demands, mut doomed) = (HashSet::new(), Vec::new(), 0);
    for entry in log.iter().filter(|entry| !entry.garbage && !entry.is_from_broker()) {
        // The same event again sets nothing off.
        if !seen.insert(entry.id.as_str()) {
            continue;
        }
        let refused = entry.is_flag("/info/refuse");
        let mut demand = |rule, target, device: Option<&str>, end| {
            let device = device.map(|device| format!("/{device}")).unwrap_or_default();
            let job = format!("{}/{rule}/{target}{device}", entry.id);
            demands.push(Demand { job, target, rule, event: entry.id.clone(), sequence: entry.sequence, end });
        };
        let end = if refused { End::Dead } else { End::Delivered };
        match (entry.word(3), entry.word(4)) {
            ("asset", "updated") => {
                owners.insert(entry.word(2).to_owned(), entry.text("/info/set/owner").to_owned());
            }
            ("user", "gone") => {
                let user = entry.text("/user/id");
                let devices: BTreeSet<&String> =
                    owners.iter().filter(|(_, owner)| *owner == user).map(|(device, _)| device).collect();
                for device in devices {
                    demand("gone", "mirror", Some(device), end);
                }
            }
            ("chaos", action) => {
                demand("each", "count", None, end);
                if entry.is_flag("/info/pair") {
                    demand("pair", "count", None, end);
                    demand("pair", "mirror", None, end);
                }
                if action == "doom" {
                    doomed += 1;
                    demand("doom", "doomed", None, if doomed > BUDGET { End::Held } else { end });
                }
            }
            _ => {}
        }
    }
    demands
}

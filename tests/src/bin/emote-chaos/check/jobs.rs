//! Of DELIVERIES: the jobs that the rules demand, once, in the order of the log, and no others.

use std::collections::HashMap;

use super::{
    Evidence, Finding, Job,
    oracle::{Demand, End},
    tally,
};

/// What the core itself has to say goes through DELIVERIES too; `ends` looks at what becomes of it.
const OWN: &str = "deliver.emit.";

fn others(evidence: &Evidence) -> impl Iterator<Item = &Job> {
    evidence.jobs.iter().filter(|job| !job.garbage && !job.subject.starts_with(OWN))
}

pub(super) fn demanded_once(evidence: &Evidence, demands: &[Demand]) -> Finding {
    let mut finding = Finding::new("every job that the rules demand is in DELIVERIES exactly once");
    let found = tally(others(evidence).map(|job| job.id.as_str()));
    for demand in demands {
        let times = found.get(demand.job.as_str()).copied().unwrap_or(0);
        finding.look(times == 1, || format!("the job {} is there {times} times", demand.job));
    }
    finding
}

pub(super) fn nothing_undemanded(evidence: &Evidence, demands: &[Demand]) -> Finding {
    let mut finding = Finding::new("no job is in DELIVERIES that no rule demands, and none twice");
    let mut left = tally(demands.iter().map(|demand| demand.job.as_str()));
    for job in others(evidence) {
        let wanted = left.get_mut(job.id.as_str()).filter(|times| **times > 0);
        let is_wanted = wanted.map(|times| *times -= 1).is_some();
        finding.look(is_wanted, || format!("{:?} at {} ({})", job.id, job.sequence, job.subject));
    }
    finding
}

pub(super) fn in_order(evidence: &Evidence, demands: &[Demand]) -> Finding {
    let mut finding = Finding::new("jobs are in DELIVERIES in the order of the events that set them off");
    let of: HashMap<&str, u64> = demands.iter().map(|demand| (demand.job.as_str(), demand.sequence)).collect();
    let mut last = 0;
    for job in others(evidence) {
        let Some(entry) = of.get(job.id.as_str()) else { continue };
        finding.look(*entry >= last, || format!("the job {} of entry {entry} came after one of {last}", job.id));
        last = last.max(*entry);
    }
    finding
}

pub(super) fn budget_held(evidence: &Evidence, demands: &[Demand]) -> Finding {
    let mut finding = Finding::new("the destructive target's budget held: what is over it waits, and an event says so");
    let subjects: HashMap<&str, &str> = others(evidence).map(|job| (job.id.as_str(), job.subject.as_str())).collect();
    let told = evidence.log.iter().filter(|entry| entry.is_from_broker() && entry.word(3) == "guard");
    let told = tally(told.map(|entry| entry.text("/info/job")));
    for demand in demands.iter().filter(|demand| demand.rule == "doom") {
        let subject = subjects.get(demand.job.as_str()).copied().unwrap_or_default();
        let times = told.get(demand.job.as_str()).copied().unwrap_or(0);
        let (begins, wanted) = match demand.end {
            End::Held => ("held.doomed.doom.", 1),
            _ => ("deliver.doomed.doom", 0),
        };
        finding.look(subject.starts_with(begins) && times == wanted, || {
            format!(
                "the job {} must be {begins}, told {wanted} times: it is {subject:?}, told {times} times",
                demand.job
            )
        });
    }
    finding
}

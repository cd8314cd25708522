//! How jobs ended: as they must, told once, seen by the target, and the dead kept.

use std::collections::{HashMap, HashSet};

use super::{
    Entry, Evidence, Finding, is_success,
    oracle::{Demand, End},
    tally,
};

/// The results in the log, by the job that they are of.
fn results(evidence: &Evidence) -> HashMap<&str, Vec<&Entry>> {
    let mut results: HashMap<&str, Vec<&Entry>> = HashMap::new();
    for entry in evidence.log.iter().filter(|entry| entry.is_from_broker()) {
        let job = entry.text("/cause/job");
        if !job.is_empty() {
            results.entry(job).or_default().push(entry);
        }
    }
    results
}

pub(super) fn told_once(evidence: &Evidence, demands: &[Demand]) -> Finding {
    let mut finding = Finding::new("every job ended as it must, and exactly one result tells it");
    let results = results(evidence);
    for demand in demands {
        let found = results.get(demand.job.as_str()).map_or(&[][..], Vec::as_slice);
        let words: Vec<(&str, &str)> = found.iter().map(|entry| (entry.word(3), entry.word(4))).collect();
        let wanted: &[(&str, &str)] = match demand.end {
            End::Delivered => &[("http", "request")],
            End::Dead => &[("delivery", "dead")],
            End::Held => &[],
        };
        finding
            .look(words == wanted, || format!("the job {} must end {:?}; results: {words:?}", demand.job, demand.end));
    }
    finding
}

pub(super) fn reached(evidence: &Evidence, demands: &[Demand]) -> Finding {
    let mut finding =
        Finding::new("the target accepted every job that was delivered, refused the dead, saw none that is held");
    let accepted = evidence.requests.iter().filter(|request| is_success(request.status));
    let accepted = tally(accepted.map(|request| request.job.as_str()));
    let seen = tally(evidence.requests.iter().map(|request| request.job.as_str()));
    for demand in demands {
        let times = |of: &HashMap<&str, usize>| of.get(demand.job.as_str()).copied().unwrap_or(0);
        let (accepted, seen) = (times(&accepted), times(&seen));
        let holds = match demand.end {
            End::Delivered => accepted >= 1,
            End::Dead => accepted == 0 && seen >= 1,
            End::Held => seen == 0,
        };
        finding.look(holds, || {
            format!("the job {} must end {:?}: seen {seen} times, accepted {accepted} times", demand.job, demand.end)
        });
    }
    finding
}

pub(super) fn letters(evidence: &Evidence, demands: &[Demand]) -> Finding {
    let mut finding = Finding::new("every job that died is in DEAD exactly once, and no other is");
    let letters = tally(evidence.dead.iter().map(|letter| letter.job.as_str()));
    let subjects: HashMap<&str, &str> =
        evidence.dead.iter().map(|letter| (letter.job.as_str(), letter.subject.as_str())).collect();
    for demand in demands {
        let times = letters.get(demand.job.as_str()).copied().unwrap_or(0);
        let subject = subjects.get(demand.job.as_str()).copied();
        let wanted = usize::from(demand.end == End::Dead);
        let expected = format!("dead.{}.{}", demand.target, demand.rule);
        let holds = times == wanted && subject.is_none_or(|subject| subject == expected);
        finding.look(holds, || format!("the job {} is in DEAD {times} times, not {wanted}: {subject:?}", demand.job));
    }
    finding
}

pub(super) fn requests_demanded(evidence: &Evidence, demands: &[Demand]) -> Finding {
    let mut finding = Finding::new("the target was asked for nothing but what a rule demands, about the right event");
    let wanted: HashSet<(&str, &str, &str)> =
        demands.iter().map(|demand| (demand.job.as_str(), demand.target, demand.event.as_str())).collect();
    for request in &evidence.requests {
        let asked = (request.job.as_str(), request.target.as_str(), request.event.as_str());
        finding.look(wanted.contains(&asked), || format!("{asked:?}"));
    }
    finding
}

pub(super) fn garbage_told_once(evidence: &Evidence) -> Finding {
    let mut finding =
        Finding::new("garbage in a stream is told once, or kept once in DEAD, and nothing else comes of it");
    let rejected = evidence.log.iter().filter(|entry| entry.is_from_broker() && entry.word(4) == "rejected");
    let mut told: HashMap<u64, usize> = HashMap::new();
    for sequence in rejected.filter_map(|entry| entry.body.pointer("/info/sequence")?.as_u64()) {
        *told.entry(sequence).or_default() += 1;
    }
    for entry in evidence.log.iter().filter(|entry| entry.garbage) {
        let times = told.remove(&entry.sequence).unwrap_or(0);
        finding.look(times == 1, || format!("the entry {} ({}) is told {times} times", entry.sequence, entry.subject));
    }
    for (sequence, times) in told {
        finding.look(false, || format!("the entry {sequence}, which is no garbage, is rejected {times} times"));
    }
    let junk = evidence.jobs.iter().filter(|job| job.garbage).count();
    let kept = evidence.dead.iter().filter(|letter| letter.subject == "dead.count.junk").count();
    finding.look(junk == kept, || format!("{junk} messages among the jobs are no jobs; {kept} of them are in DEAD"));
    finding
}

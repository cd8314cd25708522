//! The table at the end.

use std::time::{Duration, Instant};

use crate::{
    check::{self, Evidence, Finding},
    ledger::Sum,
    strike::Struck,
};

/// Problems shown of each check.
const SHOWN: usize = 5;

/// What there is to tell.
pub(crate) struct Story<'a> {
    pub(crate) struck: &'a Struck,
    pub(crate) sum: &'a Sum,
    pub(crate) evidence: &'a Evidence,
    pub(crate) findings: &'a [Finding],
    /// When the target was asked.
    pub(crate) asked: &'a [Instant],
    /// When the first event was sent.
    pub(crate) began: Instant,
    /// From then to the end of the faults.
    pub(crate) lasted: Duration,
    /// From that end until everything held.
    pub(crate) settled: Duration,
}

/// Prints it.
pub(crate) fn print(story: &Story<'_>) {
    println!("\nfaults");
    for (kind, times) in &story.struck.done {
        println!("  {:<22}{times:>9}", kind.name());
    }
    if story.struck.left_out > 0 {
        println!("  {:<22}{:>9}", "left out: time over", story.struck.left_out);
    }
    for failed in &story.struck.failed {
        println!("  could not be done: {failed}");
    }
    println!("\n{:<24}{:>9}{:>14}", "events", "sent", "acknowledged");
    for (way, (sent, acknowledged)) in &story.sum.ways {
        println!("  {:<22}{sent:>9}{acknowledged:>14}", way.name());
    }
    println!("  {:<22}{:>9}", "sent again", story.sum.duplicates);
    println!("  {:<22}{:>9}", "garbage", story.sum.garbage);
    println!("\n{:<24}{:>9}", "not taken, tried again", "times");
    for ((way, why), times) in &story.sum.refused {
        println!("  {:<22}{times:>9}  {why}", way.name());
    }
    figures(story);
    checks(story);
}

fn figures(story: &Story<'_>) {
    let seconds = story.lasted.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "to be read by people")]
    let rate = |count: usize| count as f64 / seconds;
    let delivered = story.evidence.requests.iter().filter(|request| request.status == 200).count();
    println!("\nfigures");
    let line = |what: &str, value: String| println!("  {what:<42}{value:>24}");
    line("acknowledged a second", format!("{:.1}", rate(story.sum.acknowledged.len())));
    line("delivered a second", format!("{:.1}", rate(delivered)));
    line("requests at the target", story.evidence.requests.len().to_string());
    line("deliveries that were repeated", check::repeated(story.evidence).to_string());
    let stall = |times: &[Instant]| {
        let (lasted, from) = longest(times);
        format!(
            "{} from {} on",
            seconds_of(lasted),
            from.map_or_else(String::new, |from| seconds_of(from - story.began))
        )
    };
    line("longest time without an acknowledgement", stall(&story.sum.acknowledged));
    line("longest time without a request", stall(story.asked));
    line("settled after the last fault in", seconds_of(story.settled));
}

fn checks(story: &Story<'_>) {
    println!("\nchecks");
    for finding in story.findings {
        let verdict = if finding.problems.is_empty() { "OK" } else { "FAILED" };
        println!("  {verdict:<7}{:>8}  {}", finding.count, finding.what);
        shown(&finding.problems);
    }
    let verdict = if story.sum.wrong.is_empty() { "OK" } else { "FAILED" };
    println!("  {verdict:<7}{:>8}  no program ended by itself, panicked or took what it must not", "");
    shown(&story.sum.wrong);
}

fn shown(problems: &[String]) {
    for problem in problems.iter().take(SHOWN) {
        println!("           {}", problem.replace('\n', "\n           "));
    }
    if problems.len() > SHOWN {
        println!("           … and {} more", problems.len() - SHOWN);
    }
}

/// The longest time between two of these, and when it began.
fn longest(times: &[Instant]) -> (Duration, Option<Instant>) {
    let mut times = times.to_vec();
    times.sort();
    let pauses = times.windows(2).map(|pair| (pair[1] - pair[0], Some(pair[0])));
    pauses.max().unwrap_or_default()
}

fn seconds_of(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

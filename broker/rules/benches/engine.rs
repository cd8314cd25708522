//! How fast patterns are matched, beside the crate `quamina`: one table, in a few seconds.
//!
//! `cargo bench -p emote-rules --bench engine [-- SECONDS]`; the example `bench` is the same with one's own data.

#[path = "../examples/bench/generate/mod.rs"]
mod generate;
#[path = "../examples/bench/measure/mod.rs"]
mod measure;

use std::process::ExitCode;
use std::time::Duration;

const EVENTS: usize = 5_000;

fn main() -> ExitCode {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5_u32);
    match run(Duration::from_secs(seconds.into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(time: Duration) -> Result<(), String> {
    let workloads = generate::workloads(1, EVENTS);
    let classes: usize = workloads.iter().map(|workload| workload.classes.len()).sum();
    let time = time.div_f64(classes.max(1) as f64);
    for workload in &workloads {
        let rows = workload.classes.iter().map(|class| measure::measure(class, &workload.events, time));
        measure::print(workload, &rows.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(())
}

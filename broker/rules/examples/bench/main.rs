//! How fast patterns are matched, beside the crate `quamina`:
//! `cargo run --release -p emote-rules --example bench -- --help`

mod arguments;
mod files;
mod generate;
mod measure;

use anyhow::{Context as _, Result};
use arguments::Arguments;
use clap::Parser as _;
use measure::Workload;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let workloads = match arguments.files() {
        Some((events, rules)) => vec![files::read(events, rules)?],
        None => generate::workloads(arguments.seed, arguments.count),
    };
    if let Some(folder) = &arguments.write {
        workloads.iter().try_for_each(|workload| files::write(folder, workload))?;
    }
    let wanted = arguments.wanted(workloads)?;
    let classes: usize = wanted.iter().map(|workload| workload.classes.len()).sum();
    let time = Duration::from_secs_f64(arguments.seconds / classes.max(1) as f64);
    wanted.iter().try_for_each(|workload| measure(workload, time))
}

fn measure(workload: &Workload, time: Duration) -> Result<()> {
    let mut rows = Vec::new();
    for class in &workload.classes {
        let row = measure::measure(class, &workload.events, time).map_err(anyhow::Error::msg);
        rows.push(row.with_context(|| format!("class {}", class.name))?);
    }
    measure::print(workload, &rows);
    Ok(())
}

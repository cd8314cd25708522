//! The command line.

use crate::measure::Workload;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Measures how fast emote-rules matches events, beside the crate quamina, in turns on the same data.
///
/// Without --events and --rules it makes up both: parcels of land shaped like the benchmark of the reference engine
/// (event-ruler), with five rules per operator, and a fleet of Macs with 100, 1,000 and 10,000 mixed rules.
#[derive(clap::Parser, Debug)]
#[command(after_long_help = "\
The columns:
  matches   rules matched, in one pass over all events
  events/s  single-threaded; the middle of 25 slices of time, and the slowest and fastest of them
  alloc.    allocations per event, once memory is warm
  compile   from the patterns' texts to being ready to match
  ratio     emote-rules over quamina, the middle of the 25 pairs of slices
  -         quamina refuses a pattern or panics; the reason is below the table
quamina does not validate the parts of an event that no rule names; emote-rules does.

Examples:
  bench                                          all classes on made-up data
  bench --class numeric --seconds 5              one class, closely
  bench --write data                             keep the data for other engines, or for later
  bench --events data/gis.events.jsonl.gz --rules data/gis.rules.json
  echo '{\"mine\": [{\"scope\": [\"device\"]}]}' > mine.json && bench --events events.jsonl --rules mine.json")]
pub(crate) struct Arguments {
    /// Events as JSON lines; with gzip too.
    #[arg(long, value_name = "FILE", requires = "rules")]
    events: Option<PathBuf>,

    /// Rules as JSON: {"CLASS": [PATTERN, …], …}. A pattern is an object, or its text in a string.
    #[arg(long, value_name = "FILE", requires = "events")]
    rules: Option<PathBuf>,

    /// Only this class.
    #[arg(long, value_name = "NAME")]
    class: Option<String>,

    /// How long to measure, for all classes together. Each class takes some time more to compile and to warm up.
    #[arg(long, value_name = "N", default_value_t = 30.0, value_parser = seconds)]
    pub(crate) seconds: f64,

    /// Events of each kind to make up.
    #[arg(long, value_name = "N", default_value_t = 20_000, conflicts_with = "events", value_parser = count)]
    pub(crate) count: usize,

    /// Other made-up data. With an odd number parcels are written with blanks behind colons and commas, else without.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "events")]
    pub(crate) seed: u64,

    /// Write what was made up into this folder: NAME.events.jsonl.gz and NAME.rules.json.
    #[arg(long, value_name = "FOLDER", conflicts_with = "events")]
    pub(crate) write: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number from 0.1 to 86400 is expected".to_owned()),
    }
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=10_000_000).contains(&count) => Ok(count),
        _ => Err("a number from 1 to 10000000 is expected".to_owned()),
    }
}

impl Arguments {
    pub(crate) fn files(&self) -> Option<(&Path, &Path)> {
        self.events.as_deref().zip(self.rules.as_deref())
    }

    /// What is to be measured, without the rest.
    pub(crate) fn wanted(&self, mut workloads: Vec<Workload>) -> Result<Vec<Workload>> {
        let Some(wanted) = &self.class else { return Ok(workloads) };
        let names = workloads.iter().flat_map(|workload| &workload.classes).map(|class| class.name.as_str());
        let names: Vec<String> = names.map(str::to_owned).collect();
        workloads.iter_mut().for_each(|workload| workload.classes.retain(|class| class.name == *wanted));
        workloads.retain(|workload| !workload.classes.is_empty());
        if workloads.is_empty() {
            bail!("there is no class {wanted}; expected one of {}", names.join(", "));
        }
        Ok(workloads)
    }
}

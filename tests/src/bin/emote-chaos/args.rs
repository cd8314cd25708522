//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

use crate::fault::Kind;

const AFTER: &str = "\
Examples:
  emote-chaos                                  a minute of everything, against one of each
  emote-chaos --seed 7 --seconds 600 --rate 500
  emote-chaos --nats 3 --brokers 3 --agents 8  a cluster, and brokers that take over from each other
  emote-chaos --faults broker-kill,cut --every 0.5s
  emote-chaos --seconds 1800 --rate 120        half an hour: build with --release for it, a debug build rebuilds too slowly

What it proves, when it has stopped breaking things and everything has settled:
  every event that was acknowledged is in EVENTS exactly once; every job that the rules demand is in DELIVERIES exactly
  once and in the order of the log; every job has ended delivered, dead or held, is told by exactly one result, and was
  seen by the target if it was delivered; a destructive target's budget held; each agent's events kept their order.
  The rules of the run are few enough to say again in a page of code that shares nothing with the broker's.

The same seed gives the same plan of faults and the same events. How they meet is up to this machine, so a failure may
take several tries to come again. Everything runs on loopback, in a folder of its own, and ends with this program.

Exit code: 0 everything holds, 1 something does not (its folder is kept), 2 usage, 130 interrupted.";

/// Break a whole Emote, by a plan, and prove that nothing was lost or doubled
#[derive(Debug, Clone, Parser)]
#[command(name = "emote-chaos", version, after_help = AFTER)]
pub(crate) struct Options {
    /// Gives the plan of faults and the events; any number [default: another one each time]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// How long to send events and to break things, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: u64,
    /// Events a second, of all senders together
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=20_000))]
    pub(crate) rate: u64,
    /// End after so many events, if that comes before the seconds are over
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=5_000_000))]
    pub(crate) events: Option<u64>,
    /// nats-servers: 1, or 3 for a cluster that keeps three copies of each stream
    #[arg(long, default_value = "1", value_parser = ["1", "3"])]
    nats: String,
    /// Brokers, each with its own data folder and the same rules
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=8))]
    brokers: u64,
    /// Agents
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    agents: u64,
    /// `all`, `none`, or some of them, separated by commas; one with a minus before it is taken out of all
    #[arg(long, default_value = "all", allow_hyphen_values = true, value_parser = Kind::choose, long_help = Kind::help())]
    pub(crate) faults: Chosen,
    /// Time between two faults, in the mean
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub(crate) every: Duration,
    /// Part of the target's answers that are none: 500, 503, silence, a closed connection
    #[arg(long, default_value_t = 0.15, value_parser = part)]
    pub(crate) trouble: f64,
    /// Longest time that everything may take to settle when the breaking has stopped, in seconds
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) settle: u64,
    /// Work in this folder and keep it, however it ends; it must not hold anything yet
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// The folder of `emote` and `emote-agent` [default: where this program is]
    #[arg(long, value_name = "DIR")]
    pub(crate) programs: Option<PathBuf>,
}

/// The kinds of faults that are wanted.
pub(crate) type Chosen = std::sync::Arc<[Kind]>;

impl Options {
    /// How many nats-servers.
    pub(crate) fn servers(&self) -> usize {
        if self.nats == "3" { 3 } else { 1 }
    }

    /// How many brokers.
    pub(crate) fn brokers(&self) -> usize {
        usize::try_from(self.brokers).unwrap_or(1)
    }

    /// How many agents.
    pub(crate) fn agents(&self) -> usize {
        usize::try_from(self.agents).unwrap_or(1)
    }

    /// How many events there are to be.
    pub(crate) fn count(&self) -> u64 {
        let most = self.rate.saturating_mul(self.seconds);
        self.events.unwrap_or(most).min(most)
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration from 50ms to 1h: write 500ms, 1.5s or 2s");
    let (number, unit) = text.split_at(text.find(char::is_alphabetic).unwrap_or(text.len()));
    let millis = match unit {
        "ms" => 1.0,
        "s" => 1_000.0,
        "m" => 60_000.0,
        _ => return Err(wrong()),
    };
    let number = number.trim().parse::<f64>().map_err(|_| wrong())? * millis;
    if (50.0..=3_600_000.0).contains(&number) { Ok(Duration::from_secs_f64(number / 1_000.0)) } else { Err(wrong()) }
}

fn part(text: &str) -> Result<f64, String> {
    let part = text.parse::<f64>().ok().filter(|part| (0.0..=0.9).contains(part));
    part.ok_or_else(|| format!("{text:?} is no number from 0 to 0.9"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound_and_wrong_values_are_usage() {
        use clap::CommandFactory;
        Options::command().debug_assert();
        for wrong in [["--nats", "2"], ["--every", "1"], ["--every", "1ms"], ["--faults", "rain"], ["--trouble", "1"]] {
            let error = Options::try_parse_from(["emote-chaos"].into_iter().chain(wrong)).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
    }

    #[test]
    fn events_end_with_whichever_comes_first() {
        for (args, count) in [(&["--seconds", "10", "--rate", "5"][..], 50), (&["--seconds", "10", "--events", "7"], 7)]
        {
            let options = Options::try_parse_from(["emote-chaos"].iter().chain(args)).unwrap();
            assert_eq!(options.count(), count);
        }
    }
}

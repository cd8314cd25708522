//! `emote-agent simulate`.

mod report;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use emote_proto::Time;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::{Exit, Failure, Output};
use crate::settings::{Layer, Origin, Problem, Settings, Tree, evaluate, parse_duration};
use crate::simulate::{PlayError, Show, Speed, Stage, Tally, World, play};
use crate::vocabulary::Kind;
use report::{Report, show_moments};

const EXAMPLES: &str = "\
Examples:
  emote-agent simulate --print --macs 1 | jq -c '[.time, .scope, .action]'
  emote-agent simulate --server nats://127.0.0.1:4222 --macs 200 --speed 60x
  emote-agent simulate --server nats://127.0.0.1:4222 --macs 10000 --speed max --day 2026-11-23
  emote-agent simulate --print --macs 500 --only device.boot --only 'disk.*'

Every Mac has a serial number that begins with SIM, an owner, a place to work and a time zone, and a day that is mostly \
quiet: it is opened and closed, moves between networks, now and then runs out of disk or of luck. Its agent is installed \
in the moment when the Mac is first awake, and speaks as `emote-agent run` does.

The same seed and day give the same events, ids too, however fast they are played and however many Macs there are \
besides. Nothing is kept on this machine: before it begins, the stream is asked for the last event of each Mac, so a \
second run doubles nothing, and one that was cut off goes on where it was. A day that lies before what the stream has of \
these Macs is refused. The credential must be allowed to ask: one that is limited to a single Mac is not enough.";

/// Play a day of many Macs that do not exist: for demonstrations, tests and load
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SimulateArgs {
    /// NATS server, tls:// or wss://, or on this machine nats://; repeat or separate by commas
    #[arg(long, value_name = "URL", env = "EMOTE_AGENT_SERVER", required_unless_present = "print")]
    server: Vec<String>,
    /// How many Macs
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    macs: u32,
    /// Other seeds are other Macs
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
    /// Day to play, from midnight to midnight UTC [default: today]
    #[arg(long, value_name = "DATE")]
    day: Option<jiff::civil::Date>,
    /// Moment from which on to play 24 hours, instead of --day
    #[arg(long, value_name = "TIME", conflicts_with = "day")]
    from: Option<Time>,
    /// 1x, 60x (an hour in a minute) or max [default: 60x; max with --print]
    #[arg(long)]
    speed: Option<Speed>,
    /// End after so long, though the day does not [default: when the day ends]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Between two heartbeats of a Mac
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    heartbeat: Duration,
    /// Connections that the Macs share, up to one for each [default: 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    connections: Option<u32>,
    /// Leave out all events but these; repeat for more. ACTION may be *
    #[arg(long, value_name = "SCOPE.ACTION")]
    only: Vec<String>,
    /// Write the events as JSON lines instead of sending them
    #[arg(long, conflicts_with_all = ["server", "connections"])]
    print: bool,
    /// How to print the sums
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Trust these roots (PEM) and no others
    #[arg(long, value_name = "FILE", env = "EMOTE_AGENT_CA")]
    ca: Option<PathBuf>,
    /// File with the token to connect with
    #[arg(long, value_name = "FILE", env = "EMOTE_AGENT_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// NATS credentials file (JWT and seed) to connect with
    #[arg(long, value_name = "FILE", env = "EMOTE_AGENT_CREDENTIALS")]
    credentials: Option<PathBuf>,
    /// Allow connections to other machines without TLS
    #[arg(long, env = "EMOTE_AGENT_INSECURE")]
    insecure: bool,
}

pub(super) async fn run(arguments: SimulateArgs) -> Result<(), Failure> {
    let show = arguments.show()?;
    let stage = arguments.stage()?;
    let tally = Arc::new(Tally::default());
    let ends = ends(arguments.duration)?;
    let begun = Instant::now();
    let shown = tokio::spawn(show_moments(Arc::clone(&tally), show.clone(), arguments.print));
    let played = play(show.clone(), stage, Arc::clone(&tally), ends).await;
    shown.abort();
    shown.await.ok();
    if std::io::stderr().is_terminal() && !arguments.print {
        eprint!("\r\x1b[K");
    }
    match played {
        Err(PlayError::Print(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
        Err(error) => return Err((exit(&error), error.into())),
        Ok(()) if arguments.print => return Ok(()),
        Ok(()) => {}
    }
    let report = Report::new(&show, &tally, begun.elapsed());
    super::print(&match arguments.output {
        Output::Table => report.table(),
        Output::Json => super::pretty(&report)?,
    })?;
    match report.sums.waiting {
        0 => Ok(()),
        n => Err((
            Exit::Failure,
            anyhow::anyhow!("{n} events are not known to be stored: the same command sends what is missing"),
        )),
    }
}

/// After the time is over, or when told to stop.
fn ends(duration: Option<Duration>) -> Result<impl Future<Output = ()>, Failure> {
    let failed = |error: std::io::Error| (Exit::Failure, error.into());
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        let over = async {
            match duration {
                Some(duration) => sleep(duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = over => {}
        }
    })
}

fn exit(error: &PlayError) -> Exit {
    match error {
        PlayError::Other { .. } => Exit::Usage,
        _ => Exit::Failure,
    }
}

impl SimulateArgs {
    fn show(&self) -> Result<Show, Failure> {
        let now = jiff::Timestamp::now();
        let day = self.day.unwrap_or_else(|| now.to_zoned(jiff::tz::TimeZone::UTC).date());
        let midnight = day.to_zoned(jiff::tz::TimeZone::UTC);
        let midnight = midnight.map_err(|error| (Exit::Usage, anyhow::anyhow!("--day {day}: {error}")))?;
        let start = self.from.unwrap_or_else(|| midnight.timestamp().into());
        let in_reach = (0..=4_102_444_800_000).contains(&start.as_millis());
        if !in_reach {
            return Err((Exit::Usage, anyhow::anyhow!("{start}: only days from 1970 to 2099 can be played")));
        }
        let speed = self.speed.unwrap_or(if self.print { Speed::Max } else { Speed::Times(60.0) });
        let only = self.only.iter().map(|text| only(text)).collect::<Result<_, _>>();
        let only = only.map_err(|problem| (Exit::Usage, anyhow::anyhow!("--only {problem}")))?;
        let world = World { seed: self.seed, start, heartbeat: self.heartbeat };
        Ok(Show { world, macs: self.macs, speed, only })
    }

    fn stage(&self) -> Result<Stage, Failure> {
        if self.print {
            return Ok(Stage::Print);
        }
        let settings = Box::new(self.settings()?);
        let connections = self.connections.unwrap_or_else(|| self.macs.min(16));
        if connections > self.macs {
            return Err((Exit::Usage, anyhow::anyhow!("--connections {connections}: at most one for each Mac")));
        }
        allow_files(u64::from(connections) + 64)?;
        Ok(Stage::Send { settings, connections })
    }

    /// From the flags alone: how the agent of this machine is set up concerns no simulated one.
    fn settings(&self) -> Result<Settings, Failure> {
        let mut flags = Tree::default();
        flags.set("server", self.server.clone().into());
        flags.set("insecure", self.insecure.into());
        let mut problems = Vec::new();
        for (key, path) in [("ca", &self.ca), ("token_file", &self.token_file), ("credentials", &self.credentials)] {
            let Some(path) = path else { continue };
            flags.set(key, path.to_string_lossy().into());
            let error = std::fs::metadata(path).err().map(|error| format!("{key}: {}: {error}", path.display()));
            problems.extend(error);
        }
        let (values, found) = evaluate(&[Layer::new(Origin::Flag, flags)]);
        problems.extend(found.into_iter().map(|problem| Problem { used: None, ..problem }.to_string()));
        let settings = Settings::of(&values);
        if settings.servers.is_empty() && problems.is_empty() {
            problems.push("server: say where NATS is, such as --server tls://nats.example.com".into());
        }
        if problems.is_empty() { Ok(settings) } else { Err((Exit::Usage, anyhow::anyhow!(problems.join("\n")))) }
    }
}

/// Connections are open files.
fn allow_files(wanted: u64) -> Result<(), Failure> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
    raised.map_err(|_| {
        let most = limit.maximum.map_or_else(String::new, |most| format!(", and {most} are allowed at most"));
        (Exit::Usage, anyhow::anyhow!("--connections: needs {wanted} open files{most}: see ulimit -n"))
    })
}

/// `SCOPE.ACTION`, as far as there is such an event.
fn only(text: &str) -> Result<(String, String), String> {
    let known = || Kind::ALL.iter().map(|kind| kind.words());
    let (scope, action) = text.split_once('.').ok_or_else(|| format!("{text:?}: expected SCOPE.ACTION"))?;
    if known().any(|(s, a)| s == scope && (a == action || action == "*")) {
        return Ok((scope.to_owned(), action.to_owned()));
    }
    let mut words: Vec<String> = known().map(|(scope, action)| format!("{scope}.{action}")).collect();
    words.sort_unstable();
    Err(format!("{text:?}: no such event; expected one of {}", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_takes_events_that_there_are() {
        assert_eq!(only("disk.low"), Ok(("disk".into(), "low".into())));
        assert_eq!(only("disk.*"), Ok(("disk".into(), "*".into())));
        for bad in ["disk", "disk.gone", "disc.*", "*.*"] {
            assert!(only(bad).unwrap_err().contains("expected"), "{bad}");
        }
    }
}

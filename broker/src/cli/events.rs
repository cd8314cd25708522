//! `emote events`

use std::{collections::VecDeque, time::Duration};

use clap::builder::RangedU64ValueParser;
use emote_proto::{Event, Filter, Name, NodeKey, Time, Token};

use super::{Exit, Output, connect::Asking, print_line, render};
use crate::{
    bus::{Bus, EventMessage, TailStart},
    console::view,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  emote events -f                           live, everything
  emote events -f --node C02XL0GTJGH5       one Mac, from every source
  emote events --scope user --since 24h     what the identity provider said in a day
  emote events -n 1000 -o json | jq .       the JSON that `nats sub 'events.>'` shows, completed")]
pub(super) struct Args {
    /// Go on as events come, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// Only this node: serial number, UDID or user
    #[arg(long, value_name = "KEY")]
    node: Option<NodeKey>,
    /// Only this source, such as agent, nanomdm, okta
    #[arg(long)]
    source: Option<Name>,
    /// Only this scope, such as device, user, mdm
    #[arg(long)]
    scope: Option<Token>,
    /// Only this action, such as enroll, lock
    #[arg(long)]
    action: Option<Token>,
    /// Only what was received in the last while, such as 15m, 24h, 7d
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Duration>,
    /// The last so many events, 100000 at most [default: 20; with --since or --follow: all that apply]
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = count())]
    last: Option<usize>,
    #[command(flatten)]
    ask: Asking,
}

/// What is told where reading takes long.
pub(super) const READING: Option<&str> = Some("reading events");

/// How many events are asked for; so many are held in memory at most.
pub(super) fn count() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(0..=100_000)
}

pub(super) fn parse_since(text: &str) -> Result<Duration, String> {
    crate::config::fields::duration(text)
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let bus = args.ask.connect().await?;
    let filters = filters(&bus, &args).await;
    let only_new = args.follow && args.since.is_none() && args.last.is_none();
    if args.ask.output == Output::Table {
        print_line(render::event_heading())?;
    }
    let mut behind = None;
    if !only_new {
        behind = show_stored(&bus, &args, filters.clone()).await?;
        if behind.is_none() {
            return Ok(Exit::Ok);
        }
    }
    if args.follow {
        follow(&bus, &args, filters, behind).await?;
    }
    Ok(Exit::Ok)
}

/// Shows what there is; how far the stream is read by then, or nothing if nobody reads on.
async fn show_stored(bus: &Bus, args: &Args, filters: Vec<String>) -> anyhow::Result<Option<u64>> {
    let start = match args.since {
        Some(since) => TailStart::Time(before_now(since)),
        None => TailStart::First,
    };
    let mut shown = 0_u64;
    let mut take = |sequence, event: &Event| {
        shown += 1;
        show(args, sequence, event)
    };
    let reached = match (args.last, args.since) {
        // All of them: each is shown as it is read, however many there are.
        (None, Some(_)) => read(bus, filters, start, None, |sequence, event| take(sequence, &event)).await?,
        (last, _) => {
            let (events, reached) = collect(bus, filters, start, last.unwrap_or(20)).await?;
            for (sequence, event) in &events {
                if !take(*sequence, event)? {
                    return Ok(None);
                }
            }
            Some(reached)
        }
    };
    if shown == 0 && !args.follow && args.ask.output == Output::Table {
        anstream::eprintln!("No such events. `emote events -f` waits for the next.");
    }
    Ok(reached)
}

/// The subject filters.
async fn filters(bus: &Bus, args: &Args) -> Vec<String> {
    let (source, scope, action) = (args.source.clone(), args.scope.clone(), args.action.clone());
    view::events::filters(bus, &Filter { source, node: args.node.clone(), scope, action }).await
}

/// The last `last` matching events from `start` on, and how far the stream is read by then.
pub(super) async fn collect(
    bus: &Bus,
    filters: Vec<String>,
    start: TailStart,
    last: usize,
) -> anyhow::Result<(VecDeque<(u64, Event)>, u64)> {
    let mut events = VecDeque::new();
    let reached = read(bus, filters, start, READING, |sequence, event| {
        events.push_back((sequence, event));
        if events.len() > last {
            events.pop_front();
        }
        Ok(true)
    });
    let reached = reached.await?.unwrap_or_default();
    Ok((events, reached))
}

/// Hands the matching events from `start` on to `take`, one in memory at a time, until it has seen all there are or wants no
/// more. How far the stream is read by then; nothing if `take` ended it. What takes long is told on a terminal as `doing`,
/// where `take` prints nothing that this would mix with.
pub(super) async fn read(
    bus: &Bus,
    filters: Vec<String>,
    start: TailStart,
    doing: Option<&'static str>,
    mut take: impl FnMut(u64, Event) -> anyhow::Result<bool>,
) -> anyhow::Result<Option<u64>> {
    let mut tail = bus.tail(filters, start).await?;
    let mut progress = doing.map(|doing| super::connect::Progress::new(doing, tail.pending));
    while let Some(message) = tail.read_there().await? {
        progress.iter_mut().for_each(|progress| progress.at(message.pending));
        if let Some(event) = open(&message)
            && !take(message.sequence, event)?
        {
            return Ok(None);
        }
    }
    Ok(Some(tail.read_to()))
}

async fn follow(bus: &Bus, args: &Args, filters: Vec<String>, behind: Option<u64>) -> anyhow::Result<()> {
    let mut start = behind.map_or(TailStart::New, |behind| TailStart::Sequence(behind + 1));
    loop {
        let mut tail = match bus.tail(filters.clone(), start).await {
            Ok(tail) => tail,
            Err(error) => {
                anstream::eprintln!("{error}; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        while let Ok(message) = tail.read().await {
            start = TailStart::Sequence(message.sequence + 1);
            if let Some(event) = open(&message)
                && !show(args, message.sequence, &event)?
            {
                return Ok(());
            }
        }
    }
}

fn show(args: &Args, sequence: u64, event: &Event) -> anyhow::Result<bool> {
    match args.ask.output {
        Output::Table => print_line(render::event_line(sequence, event)),
        Output::Json => print_line(String::from_utf8_lossy(&event.to_json())),
    }
}

/// The event in a message, completed; what is no event is told on standard error.
pub(super) fn open(message: &EventMessage) -> Option<Event> {
    match view::events::open(message) {
        Ok(event) => Some(event),
        Err(error) => {
            anstream::eprintln!("#{} {}: {error}", message.sequence, render::clip(&message.subject, 100));
            None
        }
    }
}

pub(super) fn before_now(since: Duration) -> Time {
    let now: Time = jiff::Timestamp::now().into();
    let since = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    Time::from_millis(now.as_millis().saturating_sub(since)).unwrap_or(now)
}

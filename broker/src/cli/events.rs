//! `emote events`

use std::{collections::VecDeque, time::Duration};

use emote_proto::{Event, Filter, Name, NodeKey, Time, Token};

use super::{Exit, Output, connect::ServerArgs, print_line, render};
use crate::{
    bus::{Bus, EventMessage, ReadError, TailStart},
    cli::ask,
    core::open_entry,
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
    /// The last so many events [default: 20; with --since or --follow: all that apply]
    #[arg(short = 'n', long, value_name = "COUNT")]
    last: Option<usize>,
    /// What to print
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

fn parse_since(text: &str) -> Result<Duration, String> {
    crate::config::fields::duration(text)
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let bus = args.server.connect().await?;
    let filters = filters(&bus, &args).await;
    let only_new = args.follow && args.since.is_none() && args.last.is_none();
    if args.output == Output::Table {
        print_line(render::event_heading())?;
    }
    let mut behind = 0;
    if !only_new {
        let start = match args.since {
            Some(since) => TailStart::Time(before_now(since)),
            None => TailStart::First,
        };
        let last = args.last.unwrap_or(if args.since.is_some() { usize::MAX } else { 20 });
        let (events, reached) = collect(&bus, filters.clone(), start, last).await?;
        behind = reached;
        for (sequence, event) in &events {
            if !show(&args, *sequence, event)? {
                return Ok(Exit::Ok);
            }
        }
        if events.is_empty() && !args.follow && args.output == Output::Table {
            anstream::eprintln!("No such events. `emote events -f` waits for the next.");
        }
    }
    if args.follow {
        follow(&bus, &args, filters, behind).await?;
    }
    Ok(Exit::Ok)
}

/// The subject filters: a node is asked for under its serial number and its UDID.
async fn filters(bus: &Bus, args: &Args) -> Vec<String> {
    let filter = |node: Option<NodeKey>| {
        let (source, scope, action) = (args.source.clone(), args.scope.clone(), args.action.clone());
        Filter { source, node, scope, action }.to_string()
    };
    let mut nodes = vec![args.node.clone()];
    if let Some(node) = &args.node
        && let Ok(Some(found)) = ask::node(bus, node.as_str()).await
    {
        let keys = ["serial", "udid"].iter().filter_map(|field| found.record[*field].as_str());
        nodes.extend(keys.filter_map(|key| NodeKey::new(key).ok()).filter(|key| key != node).map(Some));
    }
    nodes.into_iter().map(filter).collect()
}

/// The last `last` matching events from `start` on, and the stream's last sequence by then.
pub(super) async fn collect(
    bus: &Bus,
    filters: Vec<String>,
    start: TailStart,
    last: usize,
) -> Result<(VecDeque<(u64, Event)>, u64), ReadError> {
    let mut tail = bus.tail(filters, start).await?;
    let mut events = VecDeque::new();
    let mut left = tail.pending;
    let mut progress = super::connect::Progress::new("reading events", left);
    while left > 0 {
        let message = tail.read().await?;
        left = message.pending;
        progress.at(left);
        if let Some(event) = open(&message) {
            events.push_back((message.sequence, event));
        }
        if events.len() > last {
            events.pop_front();
        }
    }
    Ok((events, tail.last_sequence))
}

async fn follow(bus: &Bus, args: &Args, filters: Vec<String>, behind: u64) -> anyhow::Result<()> {
    let mut start = if behind == 0 { TailStart::New } else { TailStart::Sequence(behind + 1) };
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
    match args.output {
        Output::Table => print_line(render::event_line(sequence, event)),
        Output::Json => print_line(String::from_utf8_lossy(&event.to_json())),
    }
}

/// The event in a message, completed; what is no event is told on standard error.
pub(super) fn open(message: &EventMessage) -> Option<Event> {
    // What the body says of its trust is shown as it stands: this is for reading, nothing is decided on it.
    let writers = message.subject.split('.').nth(1).map(str::to_owned).into_iter().collect();
    match open_entry(&message.entry(), &writers) {
        Ok(event) => Some(event),
        Err(error) => {
            anstream::eprintln!("#{} {}: {error}", message.sequence, render::clip(&message.subject, 100));
            None
        }
    }
}

fn before_now(since: Duration) -> Time {
    let now: Time = jiff::Timestamp::now().into();
    let since = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    Time::from_millis(now.as_millis().saturating_sub(since)).unwrap_or(now)
}

//! `emote deploy watch`: an install, live, until the agent speaks.

use std::time::Duration;

use emote_proto::{Filter, Name, NodeKey, Time, Token, source};
use serde_json::Value;

use super::{
    Exit, ServerArgs, print_line, render,
    status::{of_node, step},
};
use crate::{bus::TailStart, core::State};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Ends with 0 once the agent runs, with 1 where the install failed or --timeout is over. An install that is overdue is waited for
further: a Mac that sleeps installs when it wakes.")]
pub(super) struct Args {
    /// Serial number or UDID
    node: NodeKey,
    /// Wait no longer than this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    timeout: Option<u64>,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let followed = follow(&args);
    match args.timeout.map(Duration::from_secs) {
        None => followed.await,
        Some(within) => tokio::time::timeout(within, followed).await.unwrap_or_else(|_| {
            anstream::eprintln!("Not installed within {} s.", within.as_secs());
            Ok(Exit::Failed)
        }),
    }
}

async fn follow(args: &Args) -> anyhow::Result<Exit> {
    let bus = args.server.connect().await?;
    let Some(known) = of_node(&bus, &args.node).await? else { return Ok(Exit::NotFound) };
    if let Some(exit) = end(known.state.word()) {
        let since = render::ago(known.since, Time::from(jiff::Timestamp::now()));
        let reason = known.reason.map_or_else(String::new, |reason| format!("  {}", render::clip(&reason, 120)));
        print_line(format!("{}  {}  {since} ago{reason}", known.state.word(), known.version))?;
        return Ok(exit);
    }
    let filter = Filter {
        source: Some(Name::new(source::BROKER)?),
        node: Some(NodeKey::new(known.key())?),
        scope: Some(Token::new("deploy")?),
        action: None,
    };
    // From its beginning: the record may be a moment behind what was told.
    let mut steps = bus.tail(vec![filter.to_string()], TailStart::Time(known.ordered)).await?;
    print_line(format!("ordered  {}", known.version))?;
    loop {
        let event: Value = serde_json::from_slice(&steps.read().await?.payload).unwrap_or_default();
        if event["info"]["job"].as_str() != Some(known.job.as_str()) {
            continue;
        }
        if !print_line(step(&event))? {
            return Ok(Exit::Ok);
        }
        if let Some(exit) = end(event["action"].as_str().unwrap_or_default()) {
            return Ok(exit);
        }
    }
}

/// How the command ends once an install is so far.
fn end(state: &str) -> Option<Exit> {
    match state {
        word if word == State::Installed.word() => Some(Exit::Ok),
        word if word == State::Failed.word() => Some(Exit::Failed),
        _ => None,
    }
}

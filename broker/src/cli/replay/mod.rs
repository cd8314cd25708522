//! `emote replay`: what happened is played again, for rules that came later and targets that were away.

mod dry;
mod select;

use anyhow::Context;
use emote_proto::{Name, Time};
use serde_json::json;

use super::{Exit, Output, applying::Signed, archive, connect::Asking, print_line, render};
use crate::{
    bus::Bus,
    config::{Folder, Settings},
    console::{
        order::replay::{self, AT_ONCE},
        view::in_force::stored,
    },
    core::{MAX_NAME, Terms},
};
use select::Selection;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Events come out of the archive, where the folder has one (emote.yaml: archive), and what is not archived yet out of the
stream. Each is ordered again as an event of the admin's, under an id that follows from the replay's name and its own: what is
ordered twice under one name is done once. What Emote reported itself, and what people ordered, is not played again.

Rules see the event as it was, with its own time and info.replay {id, original, time}; what it sets off has cause.replay.
Destructive targets refuse all of that (guard.refused), unless --destructive is given; max_age and budgets hold as ever.

  emote replay --from 2026-11-20 --to 2026-11-21 --pattern '{\"scope\":[\"device\"]}' --rules assets --dry-run
  emote replay --from 24h --rules assets -m 'the asset system was away' --id assets-2026-11-21")]
pub(super) struct Args {
    /// From when on, by when an event was received: a day, a moment (RFC 3339), or how long ago
    #[arg(long, value_name = "TIME", value_parser = archive::parse_time)]
    from: Time,
    /// Until when [default: now]
    #[arg(long, value_name = "TIME", value_parser = archive::parse_time)]
    to: Option<Time>,
    /// Only this source, such as agent, nanomdm, okta
    #[arg(long)]
    source: Option<Name>,
    /// Only events that this pattern matches: JSON, or @FILE with a pattern or a rule
    #[arg(long, value_name = "PATTERN")]
    pattern: Option<String>,
    /// Only these rules act, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    rules: Vec<Name>,
    /// Destructive targets act, too
    #[arg(long)]
    destructive: bool,
    /// Say what the rules in force would do, and order nothing
    #[arg(long)]
    dry_run: bool,
    /// The replay's name; with that of one that was cut off, it goes on [default: a new one]
    #[arg(long, value_name = "NAME", value_parser = parse_id)]
    id: Option<String>,
    /// More events than this are not played again
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    max: u64,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    ask: Asking,
}

fn parse_id(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err(format!("a name is made of letters, digits, ., _ and -, at most {MAX_NAME}"))
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    // Now is when it begins: what comes meanwhile is not of it.
    let to = args.to.unwrap_or_else(|| jiff::Timestamp::now().into());
    anyhow::ensure!(args.from < to, "--from is not before --to");
    let bus = args.ask.connect().await?;
    let folder = in_force(&bus).await?;
    for rule in &args.rules {
        anyhow::ensure!(folder.rules.iter().any(|known| known.name == *rule), "no rule {rule} is in force");
    }
    let id = args.id.clone().map_or_else(fresh_id, Ok)?;
    let terms = Terms { id, rules: args.rules.clone(), destructive: args.destructive };
    let selection = Selection::new(&bus, &args, to).await?;
    if args.dry_run {
        return dry::run(&selection, &folder, &terms, &args).await;
    }
    order(&bus, &selection, &terms, &args, to).await
}

/// The rules in force.
async fn in_force(bus: &Bus) -> anyhow::Result<Folder> {
    let now = bus.in_force().await?.context("no rules were ever applied: apply a folder with `emote apply DIR`")?;
    // Secrets and relative paths are not looked at.
    Ok(Folder::of_set(std::path::Path::new("."), Settings::default(), &stored(bus, &now.hash).await?)?)
}

fn fresh_id() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 5];
    getrandom::fill(&mut bytes)?;
    let day = jiff::Timestamp::now().strftime("%Y%m%d").to_string();
    Ok(format!("{day}-{}", data_encoding::HEXLOWER.encode(&bytes)))
}

/// What became of a replay.
#[derive(Debug, Default, serde::Serialize)]
struct Ordered {
    replayed: u64,
    already: u64,
    too_large: u64,
}

async fn order(bus: &Bus, selection: &Selection<'_>, terms: &Terms, args: &Args, to: Time) -> anyhow::Result<Exit> {
    let mut count = 0_u64;
    selection
        .each(async |_| {
            count += 1;
            Ok(count <= args.max)
        })
        .await?;
    anyhow::ensure!(
        count <= args.max,
        "more than {} events are chosen: choose fewer, or allow more with --max",
        args.max
    );
    if count == 0 {
        anstream::eprintln!("No such events.");
        return Ok(Exit::NotFound);
    }
    let signature = args.signed.signature(bus)?;
    let info = json!({"replay": terms.id, "from": args.from, "to": to, "source": args.source, "pattern": args.pattern,
        "rules": terms.rules, "destructive": terms.destructive, "events": count});
    signature.order(bus, "replay.ordered", info).await?;
    let already = if args.id.is_some() { replay::already(bus, &terms.id).await? } else { Default::default() };
    let (mut ordered, mut batch) = (Ordered::default(), Vec::with_capacity(AT_ONCE));
    selection
        .each(async |original| {
            if already.contains(&original.id) {
                ordered.already += 1;
                return Ok(true);
            }
            match replay::order(&signature, terms, &original)? {
                Some(order) => batch.push(order),
                None => {
                    ordered.too_large += 1;
                    anstream::eprintln!("#{} is too large to be carried by an order", original.entry.sequence);
                }
            }
            if batch.len() == AT_ONCE {
                ordered.replayed += batch.len() as u64;
                bus.publish_events(std::mem::take(&mut batch)).await.with_context(|| cut_off(&terms.id))?;
            }
            Ok(true)
        })
        .await?;
    ordered.replayed += batch.len() as u64;
    bus.publish_events(batch).await.with_context(|| cut_off(&terms.id))?;
    told(&ordered, terms, args.ask.output)?;
    Ok(if ordered.too_large == 0 { Exit::Ok } else { Exit::Failed })
}

fn cut_off(id: &str) -> String {
    format!("the replay {id} was cut off; the same with --id {id} goes on")
}

fn told(ordered: &Ordered, terms: &Terms, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Json => print_line(json!({"id": terms.id, "ordered": ordered}))?,
        Output::Table => {
            let more = [(ordered.already, "were already"), (ordered.too_large, "are too large")];
            let more: Vec<String> =
                more.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!(", {count} {what}")).collect();
            let dim = render::DIM;
            print_line(format!(
                "replayed {} as {}{} {dim}(emote events -f){dim:#}",
                ordered.replayed,
                terms.id,
                more.join("")
            ))?
        }
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_has_a_name_of_plain_words() {
        assert!(parse_id("assets-2026-11-21").is_ok() && parse_id(&fresh_id().unwrap()).is_ok());
        for text in ["", "a b", "ä", &"x".repeat(101)] {
            assert!(parse_id(text).is_err(), "{text}");
        }
    }
}

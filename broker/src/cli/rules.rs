//! `emote rules`: what became of the rules in force.

use emote_proto::{Name, Time};

use super::{Exit, Output, connect::Asking, print_line, render, table};
use crate::{
    console::{
        BrokerReport,
        view::rules::{RulesView, json_of, rows},
    },
    core::Tally,
    engine::Role,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show how often each rule matched and what became of it
    Stats(Stats),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
MATCHED are events, JOBS what was made of them: one for each target, and for each device where a rule asks for that. \
DONE and DEAD is how jobs ended; HELD were over a budget, REFUSED too old or not trusted enough, LOOPS is how often a rule \
was stopped because it would have gone on without end. All of it is counted in the log, by name: a rule that is changed \
goes on counting. A rule that never matched may have a mistake in its pattern: `emote explain RULE EVENT` says why it does \
not match an event.

The broker that leads is asked; one must run.

  emote rules stats
  emote rules stats --never
  emote rules stats --rule lock-leavers -o json")]
struct Stats {
    /// Only this rule; may be given more than once
    #[arg(long, value_name = "NAME")]
    rule: Vec<Name>,
    /// Only rules that never matched
    #[arg(long)]
    never: bool,
    #[command(flatten)]
    ask: Asking,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Stats(args) => stats(args).await,
    }
}

async fn stats(args: Stats) -> anyhow::Result<Exit> {
    let bus = args.ask.connect().await?;
    let RulesView { in_force, broker, tallies } = RulesView::ask(&bus).await?;
    if let Some(unknown) = args.rule.iter().find(|rule| !in_force.rules.contains(rule)) {
        anstream::eprintln!("No rule {unknown} is in force: `emote rules stats` lists those that are.");
        return Ok(Exit::NotFound);
    }
    let wanted = |rule: &&Name| args.rule.is_empty() || args.rule.contains(rule);
    let mut rows = rows(in_force.rules.iter().filter(wanted), &tallies);
    if args.never {
        rows.retain(|(_, tally)| tally.matched == 0);
    }
    match args.ask.output {
        Output::Json => {
            for (rule, tally) in &rows {
                print_line(json_of(rule, tally))?;
            }
        }
        Output::Table if in_force.rules.is_empty() => {
            print_line("No rules are in force: put a file into rules/ and apply the folder (`emote apply DIR`).")?;
        }
        Output::Table if rows.is_empty() => drop(print_line("Every rule has matched.")?),
        Output::Table => {
            print_line(shown(&rows, jiff::Timestamp::now().into()))?;
            for note in [never_matched(&rows), not_leading(&broker)].into_iter().flatten() {
                anstream::eprintln!("{}{note}{:#}", render::DIM, render::DIM);
            }
        }
    }
    Ok(Exit::Ok)
}

fn shown(rows: &[(&Name, Tally)], now: Time) -> String {
    let mut table =
        table::table(&["rule", "matched", "jobs", "done", "dead", "held", "refused", "loops", "last matched"]);
    for (rule, tally) in rows {
        let last = match (tally.matched, tally.last_matched) {
            (0, _) => "never".to_owned(),
            (_, None) => "-".to_owned(),
            (_, Some(last)) => format!("{} ago", render::ago(last, now)),
        };
        let counts =
            [tally.matched, tally.jobs, tally.done, tally.dead, tally.held, tally.refused, tally.loops_stopped];
        let cells = [render::clip(rule.as_str(), 40)].into_iter().chain(counts.map(|count| count.to_string()));
        table.add_row(cells.chain([last]));
    }
    table::lines(&mut table)
}

/// What an admin looks for: rules that do nothing.
fn never_matched(rows: &[(&Name, Tally)]) -> Option<String> {
    let never = rows.iter().filter(|(_, tally)| tally.matched == 0).count();
    (never > 0).then(|| {
        format!("{never} of {} never matched: `emote explain RULE EVENT` says why an event does not.", rows.len())
    })
}

fn not_leading(broker: &BrokerReport) -> Option<String> {
    (broker.role != Role::Leading).then(|| {
        format!("No broker leads: these are the counts of one that does not, up to entry #{}.", broker.position)
    })
}

#[cfg(test)]
mod tests {
    use crate::core::Tallied;

    use super::*;

    #[test]
    fn rules_that_never_matched_are_there_too() {
        let names = ["announce", "lock-leavers", "typo"].map(|name| Name::new(name).unwrap());
        let at = |seconds: i64| Time::from_millis(seconds * 1000).unwrap();
        let announce =
            Tally { matched: 120, jobs: 240, done: 238, dead: 1, last_matched: Some(at(40)), ..Tally::default() };
        let lock = Tally { matched: 3, jobs: 3, held: 1, refused: 2, loops_stopped: 4, ..Tally::default() };
        let tallies = [(&names[0], announce), (&names[1], lock)];
        let tallies = tallies.map(|(name, tally)| (Tallied::Rule(name.to_string()), tally)).into();
        let rows = rows(names.iter(), &tallies);
        insta::assert_snapshot!(shown(&rows, at(100)), @r"
        RULE          MATCHED  JOBS  DONE  DEAD  HELD  REFUSED  LOOPS  LAST MATCHED
        announce      120      240   238   1     0     0        0      60s ago
        lock-leavers  3        3     0     0     1     2        4      -
        typo          0        0     0     0     0     0        0      never
        ");
        assert!(never_matched(&rows).unwrap().starts_with("1 of 3 never matched"));
        assert_eq!(never_matched(&rows[..2]), None);
        assert_eq!(json_of(&names[2], &rows[2].1)["last_matched"], serde_json::Value::Null);
    }
}

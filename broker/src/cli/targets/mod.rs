//! `emote targets`: what each target is doing, at all brokers together, and what waits for it.

use emote_proto::{Name, Time};
use serde_json::json;

use super::{Exit, Output, connect::Asking, none_of, print_line, render, table};
use crate::{
    console::view::targets::{Row, State, View, archive_json, json_of, part, percent},
    deliver::Running,
};

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
STATE says whether jobs are worked on: a target that fails again and again is paused, its jobs wait, and one attempt \
shows how it is. BACKLOG is how many jobs have not ended, OLDEST how long the first of them waits; both are asked of NATS \
and true whether or not a broker runs. ATTEMPTS and SUCCESS are of all brokers together, since each was started. \
Where there is an archive, a last line tells what waits for it; of `-o json` it has the one key `archive`.

  emote targets
  emote targets show slack
  emote targets -o json | jq -r 'select(.backlog > 100).target'
  emote targets -o json | jq 'select(.archive).archive.backlog'"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    ask: Asking,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show one target: its rules, what became of its jobs, and what each broker does for it
    Show {
        /// Its name, as `emote targets` shows it
        target: Name,
        #[command(flatten)]
        ask: Asking,
    },
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        None => list(&View::ask(&args.ask.connect().await?).await?, args.ask.output),
        Some(Command::Show { target, ask }) => show(&View::ask(&ask.connect().await?).await?, &target, ask.output),
    }
}

fn list(view: &View, output: Output) -> anyhow::Result<Exit> {
    let rows = view.rows();
    match output {
        Output::Json => {
            for row in &rows {
                print_line(json_of(row, view))?;
            }
            if let Some(archive) = archive_json(view) {
                print_line(json!({"archive": archive}))?;
            }
        }
        Output::Table if rows.is_empty() => {
            print_line("There are no targets: put a file into targets/ and apply the folder (`emote apply DIR`).")?;
        }
        Output::Table => {
            print_line(shown(&rows, view.now, table::width().unwrap_or(200)))?;
            if let Some(archive) = archive_shown(view) {
                print_line(archive)?;
            }
            if let Some(note) = view.note() {
                anstream::eprintln!("{}{note}{:#}", render::DIM, render::DIM);
            }
        }
    }
    Ok(Exit::Ok)
}

/// What waits for the archive.
fn archive_shown(view: &View) -> Option<String> {
    let backlog = view.archive?;
    let oldest = backlog.oldest.map(|oldest| format!(", the oldest for {}", render::ago(oldest, view.now)));
    let dim = render::DIM;
    Some(format!("{dim}archive{dim:#}  {} events not archived yet{}", backlog.jobs, oldest.unwrap_or_default()))
}

/// The table; under each target that failed, how it did, in `width` columns.
fn shown(rows: &[Row], now: Time, width: usize) -> String {
    let mut table = table::table(&["target", "kind", "state", "backlog", "oldest", "attempts", "success"]);
    for row in rows {
        table.add_row([
            render::clip(row.name.as_str(), 32),
            row.kind.to_owned(),
            render::clip(&row.state.shown(now), 48),
            row.backlog.jobs.to_string(),
            row.backlog.oldest.map_or_else(|| "-".to_owned(), |oldest| render::ago(oldest, now)),
            if row.brokers == 0 { "-".to_owned() } else { row.attempts.to_string() },
            percent(row.succeeded, row.attempts),
        ]);
    }
    let remarks = rows.iter().map(|row| {
        let reason = row.state.reason().map(|reason| format!("not ready: {reason}"));
        let failed = row.last_error.as_ref();
        let failed = failed.map(|error| format!("{} ago: {}", render::ago(error.at, now), error.reason));
        reason.into_iter().chain(failed).collect()
    });
    table::with_remarks(&mut table, remarks, width)
}

fn show(view: &View, name: &Name, output: Output) -> anyhow::Result<Exit> {
    let rows = view.rows();
    let Some(row) = rows.iter().find(|row| row.name == *name) else {
        return Ok(none_of("target", name, rows.iter().map(|row| row.name.as_str())));
    };
    match output {
        Output::Json => print_line(json_of(row, view))?,
        Output::Table => print_line(one(row, view))?,
    };
    Ok(Exit::Ok)
}

fn one(row: &Row, view: &View) -> String {
    let (bold, dim, now) = (render::BOLD, render::DIM, view.now);
    let mut text = vec![format!("{bold}{}{bold:#}  {dim}{}{dim:#}", row.name, row.kind)];
    let mut line = |what: &str, words: String| text.push(format!("  {dim}{what:<14}{dim:#}{words}"));
    line("state", row.state.shown(now));
    if let Some(reason) = row.state.reason() {
        line("", render::clip(reason, 300));
    }
    let oldest = row.backlog.oldest.map(|oldest| format!(", the oldest for {}", render::ago(oldest, now)));
    line("waiting", format!("{} jobs{}", row.backlog.jobs, oldest.unwrap_or_default()));
    line("rules", if row.rules.is_empty() { "none gives it jobs".to_owned() } else { row.rules.join(", ") });
    match &row.tally {
        Some(tally) => line(
            "jobs",
            format!(
                "{} given out, {} done, {} given up, {} skipped, {} denied, {} refused by its guard",
                tally.jobs, tally.done, tally.dead, tally.skipped, tally.denied, tally.refused
            ),
        ),
        None => line("jobs", "not known: no broker is there to ask".to_owned()),
    }
    line("held", counted(row.held, "emote held ls", &row.name));
    line("dead letters", counted(row.dead, "emote dead ls", &row.name));
    let attempts = match (row.brokers, row.attempts) {
        (0, _) => "not known: no broker has it".to_owned(),
        (_, 0) => "none since the brokers were started".to_owned(),
        (_, attempts) => {
            let succeeded = percent(row.succeeded, attempts);
            format!("{attempts}, {succeeded} of them succeeded, {} were repeats", row.retries)
        }
    };
    line("attempts", attempts);
    if let Some(error) = &row.last_error {
        line("last error", format!("{} ago: {}", render::ago(error.at, now), render::clip(&error.reason, 300)));
    }
    let at = view.at_brokers(&row.name);
    if !at.is_empty() {
        let mut table =
            table::table(&["broker", "host", "part", "state", "attempts", "success", "mean", "now", "parked"]);
        for (broker, report) in at {
            let mean = report.took_ms.checked_div(report.attempts);
            table.add_row([
                broker.id.clone(),
                render::clip(&broker.host, 24),
                part(broker.role).to_owned(),
                match &report.state {
                    Running::StandingBy => "left to the leader".to_owned(),
                    running => State::at_one(running, row.backlog.jobs).shown(now),
                },
                report.attempts.to_string(),
                percent(report.succeeded, report.attempts),
                mean.map_or_else(|| "-".to_owned(), |mean| format!("{mean} ms")),
                report.in_flight.to_string(),
                report.parked.to_string(),
            ]);
        }
        text.push(format!("\n{}", table::lines(&mut table)));
    }
    text.join("\n")
}

fn counted(count: u64, command: &str, name: &Name) -> String {
    let dim = render::DIM;
    if count == 0 { "none".to_owned() } else { format!("{count} {dim}({command} --target {name}){dim:#}") }
}

#[cfg(test)]
mod tests;

//! `emote sources`: what comes from each source, at all brokers together, and how what is fetched is doing.

use emote_proto::{Name, Time};

use super::{Exit, Output, connect::Asking, none_of, print_line, render, table};
use crate::console::view::sources::{Row, View, json_of};

#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
HEARD is when the log last had an event of the source, asked of NATS and true whether or not a broker runs. EVENTS and \
REFUSED are of all brokers together, since each was started; files that were refused count. FETCHED is when everything \
was last fetched of a source that is polled.

  emote sources
  emote sources show okta
  emote sources -o json | jq -r 'select(.state == \"failing\").source'"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    ask: Asking,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show one source: its webhooks, its polls, and what went wrong last
    Show {
        /// Its name, as `emote sources` shows it
        source: Name,
        #[command(flatten)]
        ask: Asking,
    },
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        None => list(&View::ask(&args.ask.connect().await?).await?, args.ask.output),
        Some(Command::Show { source, ask }) => show(&View::ask(&ask.connect().await?).await?, &source, ask.output),
    }
}

fn list(view: &View, output: Output) -> anyhow::Result<Exit> {
    let rows = view.rows();
    match output {
        Output::Json => {
            for row in &rows {
                print_line(json_of(row))?;
            }
        }
        Output::Table if rows.is_empty() => {
            print_line("There are no sources: put a file into sources/ and apply the folder (`emote apply DIR`).")?;
        }
        Output::Table => {
            print_line(shown(&rows, view.now, table::width().unwrap_or(200)))?;
            if let Some(note) = view.note() {
                anstream::eprintln!("{}{note}{:#}", render::DIM, render::DIM);
            }
        }
    }
    Ok(Exit::Ok)
}

/// The table; under each source that failed, how it did, in `width` columns.
fn shown(rows: &[Row], now: Time, width: usize) -> String {
    let mut table = table::table(&["source", "kind", "state", "heard", "events", "refused", "fetched"]);
    let ago = |at: Option<Time>| at.map_or_else(|| "-".to_owned(), |at| render::ago(at, now));
    for row in rows {
        table.add_row([
            render::clip(row.name.as_str(), 32),
            row.kind.clone(),
            row.state.clone(),
            ago(row.heard),
            row.events.to_string(),
            refused(row).to_string(),
            ago(row.fetched),
        ]);
    }
    let remarks = rows.iter().map(|row| {
        let failed = row.last_error.as_ref();
        failed.map(|(at, reason)| format!("{} ago: {reason}", render::ago(*at, now))).into_iter().collect()
    });
    table::with_remarks(&mut table, remarks, width)
}

/// Webhooks and files.
fn refused(row: &Row) -> u64 {
    row.refused.values().sum::<u64>() + row.folder.as_ref().map_or(0, |folder| folder.refused)
}

fn show(view: &View, name: &Name, output: Output) -> anyhow::Result<Exit> {
    let rows = view.rows();
    let Some(row) = rows.iter().find(|row| row.name == *name) else {
        return Ok(none_of("source", name, rows.iter().map(|row| row.name.as_str())));
    };
    match output {
        Output::Json => print_line(json_of(row))?,
        Output::Table => print_line(one(row, view.now))?,
    };
    Ok(Exit::Ok)
}

fn one(row: &Row, now: Time) -> String {
    let (bold, dim) = (render::BOLD, render::DIM);
    let ago = |at: Option<Time>| at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", render::ago(at, now)));
    let mut text = vec![format!("{bold}{}{bold:#}  {dim}{}{dim:#}", row.name, row.kind)];
    let mut line = |what: &str, words: String| text.push(format!("  {dim}{what:<13}{dim:#} {words}"));
    if let Some(preset) = &row.preset {
        line("preset", preset.clone());
    }
    line("state", row.state.clone());
    line("last heard", ago(row.heard));
    if let Some(since) = row.silent {
        line("silent", format!("told {}", ago(Some(since))));
    }
    let what = if row.sockets.is_empty() { "webhooks" } else { "messages" };
    if row.folder.is_none() || row.taken > 0 {
        line(what, format!("{} taken", row.taken));
    }
    for (reason, count) in &row.refused {
        line("", format!("{count} refused: {reason}"));
    }
    for socket in &row.sockets {
        let state = match (socket.listens, socket.name.starts_with("udp")) {
            (false, _) => "does not listen".to_owned(),
            (true, true) => "listens".to_owned(),
            (true, false) => format!("listens; {} connections", socket.connections),
        };
        line(&socket.name, state);
    }
    for (kind, poll) in &row.polls {
        line(kind, format!("{}; all was fetched {}", poll.state.replace('_', " "), ago(poll.last_success)));
        let (rounds, failed, pages, items, events) = (poll.rounds, poll.failed, poll.pages, poll.items, poll.events);
        line("", format!("{rounds} rounds, {failed} failed; {pages} pages, {items} items, {events} new events"));
        if poll.refused > 0 {
            line("", format!("{} items that no event could be made of", poll.refused));
        }
    }
    if let Some(folder) = &row.folder {
        let (state, last) = (folder.state.replace('_', " "), ago(folder.last_success));
        line("folder", format!("{state}; the last file was taken {last}"));
        let (files, refused, waiting) = (folder.files, folder.refused, folder.waiting);
        line("", format!("{files} files taken, {refused} refused, {waiting} waiting; {} new events", folder.events));
    }
    if let Some((at, reason)) = &row.last_error {
        line("last error", format!("{} ago: {}", render::ago(*at, now), render::clip(reason, 300)));
    }
    text.join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{intake::folder::FolderReport, poll::PollReport};

    #[test]
    fn sources_are_shown_with_what_went_wrong_below() {
        let at = |seconds: i64| Time::from_millis(1_772_600_000_000 + seconds * 1000).unwrap();
        let poll = PollReport { state: "failing".to_owned(), failures: 2, events: 4, ..PollReport::default() };
        let row = |name: &str, kind: &str, state: &str| Row {
            name: Name::new(name).unwrap(),
            preset: None,
            kind: kind.to_owned(),
            state: state.to_owned(),
            heard: Some(at(0)),
            silent: None,
            silent_after_s: None,
            taken: 3,
            events: 7,
            refused: [("denied".to_owned(), 2)].into(),
            sockets: Vec::new(),
            polls: BTreeMap::new(),
            folder: None,
            fetched: None,
            last_error: None,
        };
        let failing = Row {
            polls: [("poll", poll)].into(),
            fetched: Some(at(-60)),
            last_error: Some((at(30), "answered 500 Internal Server Error".to_owned())),
            ..row("kandji", "poll", "failing")
        };
        let folder = FolderReport {
            state: "watching".to_owned(),
            files: 3,
            refused: 1,
            waiting: 2,
            events: 9,
            last_success: Some(at(80)),
            ..FolderReport::default()
        };
        let dropped =
            Row { folder: Some(folder), taken: 0, refused: BTreeMap::new(), ..row("hr", "folder", "watching") };
        let rows = [row("okta", "webhook", "taking"), failing];
        let text = anstream::adapter::strip_str(&shown(&rows, at(90), 80)).to_string();
        insta::assert_snapshot!(text, @r"
        SOURCE  KIND     STATE    HEARD  EVENTS  REFUSED  FETCHED
        okta    webhook  taking   90s    7       2        -
        kandji  poll     failing  90s    7       2        2m
            60s ago: answered 500 Internal Server Error
        ");
        let text = anstream::adapter::strip_str(&one(&rows[1], at(90))).to_string();
        insta::assert_snapshot!(text, @r"
        kandji  poll
          state         failing
          last heard    90s ago
          webhooks      3 taken
                        2 refused: denied
          poll          failing; all was fetched never
                        0 rounds, 0 failed; 0 pages, 0 items, 4 new events
          last error    60s ago: answered 500 Internal Server Error
        ");
        let text = anstream::adapter::strip_str(&one(&dropped, at(90))).to_string();
        insta::assert_snapshot!(text, @r"
        hr  folder
          state         watching
          last heard    90s ago
          folder        watching; the last file was taken 10s ago
                        3 files taken, 1 refused, 2 waiting; 9 new events
        ");
    }
}

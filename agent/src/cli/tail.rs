//! `emote-agent tail`.

use clap::Args;
use emote_proto::Draft;
use serde_json::Value;

use super::{Exit, Failure, Output, Place};
use crate::recent;
use crate::socket::{Answer, Tail};

/// Characters of one value in a line for people.
const WIDEST: usize = 120;

/// Show the agent's events as they are written, sent or not
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  emote-agent tail
  emote-agent tail -n 0 -o json | jq -c '{time, scope, action, info}'
  emote-agent tail --only disk --only app.installed

Ctrl-C ends it. What the stream has taken is seen by `nats sub 'events.agent.SERIAL.>'`.")]
pub(super) struct TailArgs {
    #[command(flatten)]
    place: Place,
    /// Begin with so many of the last events, as far as the agent remembers them
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=recent::KEPT as i64))]
    last: u16,
    /// Only events of this SCOPE or SCOPE.ACTION; repeat for more
    #[arg(long, value_name = "WHAT")]
    only: Vec<String>,
    /// Whole events as JSON lines, or a line for people
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub(super) async fn run(arguments: TailArgs) -> Result<(), Failure> {
    let path = arguments.place.socket();
    let failed = |error: std::io::Error| (Exit::Failure, error.into());
    let mut tail = Tail::begin(&path, arguments.last.into()).await.map_err(super::unanswered)?;
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()).map_err(failed)?;
    loop {
        let answer = tokio::select! {
            _ = interrupt.recv() => return Ok(()),
            answer = tail.next() => answer.map_err(failed)?,
        };
        let text = match answer {
            None => return Err((Exit::NotRunning, anyhow::anyhow!("the agent has stopped"))),
            Some(Answer::Event(json)) => match arguments.show(json.get()) {
                Some(text) => text,
                None => continue,
            },
            Some(Answer::Missed(count)) => {
                eprintln!("{count} events came too fast and are not shown");
                continue;
            }
            Some(Answer::Refused(problem) | Answer::Failed(problem)) => {
                return Err((Exit::Failure, anyhow::anyhow!(problem)));
            }
            Some(other) => return Err((Exit::Failure, anyhow::anyhow!("not an answer to tail: {other:?}"))),
        };
        if !super::print_or_end(&text)? {
            return Ok(());
        }
    }
}

impl TailArgs {
    fn show(&self, json: &str) -> Option<String> {
        let draft = Draft::parse(json.as_bytes()).ok()?;
        let (scope, action) = (draft.scope.as_str(), draft.action.as_str());
        let whole = format!("{scope}.{action}");
        if !self.only.is_empty() && !self.only.iter().any(|only| *only == whole || only == scope) {
            return None;
        }
        Some(match self.output {
            Output::Json => format!("{json}\n"),
            Output::Table => line(&draft, &whole, super::has_colours()),
        })
    }
}

/// Time, what happened, and what is known of it.
fn line(draft: &Draft, what: &str, colours: bool) -> String {
    let time = draft.time.map(|time| time.to_string()).unwrap_or_default();
    let mut text = match colours {
        true => format!("\x1b[2m{time}\x1b[0m  \x1b[1m{what:<24}\x1b[0m"),
        false => format!("{time}  {what:<24}"),
    };
    if let Some(Value::Object(info)) = draft.info.clone().map(Value::from) {
        for (key, value) in info {
            let value = match value {
                Value::String(text) if !text.is_empty() && !text.contains([' ', '"']) => text,
                other => other.to_string(),
            };
            let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
            text.extend(format!(" {key}={}", shortened(&value)).chars().map(printable));
        }
    }
    text + "\n"
}

fn shortened(value: &str) -> std::borrow::Cow<'_, str> {
    match value.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}… ({} bytes)", value.get(..end).unwrap_or_default(), value.len()).into(),
        None => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(only: &[&str]) -> TailArgs {
        use clap::Parser;
        #[derive(Parser)]
        struct Cli {
            #[command(flatten)]
            tail: TailArgs,
        }
        Cli::parse_from(["tail"].into_iter().chain(only.iter().flat_map(|only| ["--only", only]))).tail
    }

    #[test]
    fn an_event_is_a_line_and_others_are_left_out() {
        let json = r#"{"scope":"disk","action":"low","time":"2026-11-23T07:00:00.000Z","info":{"mount":"/a b","n":5}}"#;
        let expected = "2026-11-23T07:00:00.000Z  disk.low                 mount=\"/a b\" n=5\n";
        for only in [&[][..], &["disk"], &["app", "disk.low"]] {
            assert_eq!(arguments(only).show(json).as_deref(), Some(expected), "{only:?}");
        }
        for only in ["dis", "disk.mounted", "low"] {
            assert_eq!(arguments(&[only]).show(json), None, "{only}");
        }
    }

    #[test]
    fn an_event_cannot_steer_the_terminal() {
        let json = r#"{"scope":"a","action":"b","info":{"x":"\u001b[2J\u0007"}}"#;
        let text = arguments(&[]).show(json).unwrap();
        assert!(!text.trim_end().contains(char::is_control), "{text:?}");
    }
}

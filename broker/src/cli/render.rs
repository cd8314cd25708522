//! How events look on a terminal. Pure; what is printed goes through `anstream`, which takes the colours out where there
//! is no terminal.

use anstyle::{AnsiColor, Style};
use emote_proto::{Event, source};

use crate::console::view::words::node;
pub(crate) use crate::console::view::words::{ago, clip, clock, is_trouble, plain, summary};

pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const BOLD: Style = Style::new().bold();
const WARN: Style = AnsiColor::Red.on_default();
const EFFECT: Style = AnsiColor::Cyan.on_default();
const SOURCE: Style = AnsiColor::Green.on_default();

/// One line: sequence, time, source, node, what, details.
pub(crate) fn event_line(sequence: u64, event: &Event) -> String {
    let what = format!("{}.{}", event.scope, event.action);
    let (source, what_style) = match event.source.as_str() {
        source::BROKER if is_trouble(event) => (DIM, WARN),
        source::BROKER => (DIM, EFFECT),
        _ => (SOURCE, BOLD),
    };
    format!(
        "{DIM}{:>7}{DIM:#}  {}  {source}{:<10}{source:#}  {:<24}  {what_style}{:<26}{what_style:#}  {}",
        format!("#{sequence}"),
        clock(event.time),
        event.source.as_str(),
        clip(node(event), 24),
        what,
        summary(event),
    )
}

/// The heading above [`event_line`]s.
pub(crate) fn event_heading() -> String {
    format!(
        "{DIM}{:>7}  {:<12}  {:<10}  {:<24}  {:<26}  DETAILS{DIM:#}",
        "EVENT", "TIME (UTC)", "SOURCE", "NODE", "WHAT"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        let event = Event::parse(
            br#"{"id":"00000000-0000-7000-8000-000000000000","time":"2026-01-01T06:41:00.123Z","source":"nanomdm","scope":"device","action":"enroll",
            "device":{"uuid":"C02","name":"ada\u001b[31m-mbp","os_version":"15.1"},"info":{"topic":"mdm\nX","n":3},"communicate":true}"#,
        )
        .unwrap();
        let line = anstream::adapter::strip_str(&event_line(12, &event)).to_string();
        insta::assert_snapshot!(line.trim_end(), @"    #12  06:41:00.123  nanomdm     C02                       device.enroll               name=ada [31m-mbp os=15.1 n=3 topic=mdm X communicate");
    }
}

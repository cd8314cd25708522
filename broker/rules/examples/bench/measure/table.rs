//! The figures as a table, one class a line, and below it what is to be said about some.

use super::{Figures, Row, Workload};
use std::time::Duration;

pub(crate) fn print(workload: &Workload, rows: &[Row]) {
    let Workload { name, events, .. } = workload;
    println!("\n{name}: {} events of {} bytes", events.len(), events.mean_size());
    let names: Vec<&str> = rows.iter().map(|row| row.class.as_str()).chain(["class"]).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let engine = format!("{:>8}  {:>15}  {:>6}  {:>8}", "events/s", "least–most", "alloc.", "compile");
    println!("{:width$}  {:>6}  {:>9}  {:>7}  │  {:43}  │  {:43}  │", "", "", "", "", "emote-rules", "quamina 0.7");
    println!(
        "{:width$}  {:>6}  {:>9}  {:>7}  │  {engine}  │  {engine}  │  ratio",
        "class", "rules", "matches", "/event"
    );
    for row in rows {
        let matches = row.emote.tally.sum();
        let each = matches as f64 / row.events.max(1) as f64;
        let other = row.quamina.as_ref().map_or_else(|_| format!("{:^43}", "-"), Figures::to_columns);
        let ratio = row.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
        println!(
            "{:width$}  {:>6}  {matches:>9}  {each:>7.3}  │  {}  │  {other}  │  {ratio:>5}",
            row.class,
            row.rules,
            row.emote.to_columns()
        );
    }
    rows.iter()
        .flat_map(|row| row.notes().map(|note| format!("{}: {note}", row.class)))
        .for_each(|note| println!("{note}"));
}

impl Row {
    fn notes(&self) -> impl Iterator<Item = String> {
        let refused = self.emote.tally.refused;
        let refused = (refused > 0).then(|| format!("{refused} events are refused"));
        let other = match &self.quamina {
            Ok(other) => self.emote.tally.difference(&other.tally, "quamina"),
            Err(reason) => Some(format!("quamina: {reason}")),
        };
        refused.into_iter().chain(other)
    }
}

impl Figures {
    fn to_columns(&self) -> String {
        let Self { rates, allocations, compile, .. } = self;
        let range = format!("{}–{}", short(rates.least()), short(rates.most()));
        let compile = duration(*compile);
        format!("{:>8}  {range:>15}  {allocations:>6.1}  {compile:>8}", short(rates.median()))
    }
}

fn short(rate: f64) -> String {
    match rate {
        0.0..1e4 => format!("{:.2} K", rate / 1e3),
        1e4..1e6 => format!("{:.0} K", rate / 1e3),
        _ => format!("{:.2} M", rate / 1e6),
    }
}

fn duration(time: Duration) -> String {
    match time.as_secs_f64() * 1e3 {
        milliseconds @ 0.0..10.0 => format!("{milliseconds:.2} ms"),
        milliseconds @ 10.0..1e4 => format!("{milliseconds:.0} ms"),
        milliseconds => format!("{:.1} s", milliseconds / 1e3),
    }
}

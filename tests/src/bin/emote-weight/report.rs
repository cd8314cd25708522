//! The figures, for people and as JSON.

use serde_json::{Value, json};

use crate::watched::Cost;

/// One program.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Of its file.
    pub(crate) bytes: u64,
    pub(crate) cost: Cost,
    /// To the first stored event, in milliseconds; only of the agent.
    pub(crate) first_event: Option<f64>,
}

/// What the agent should stay below.
pub(crate) const GOALS: &[(&str, f64)] = &[
    ("rss_mib", 8.0),
    ("cpu_percent", 0.05),
    ("wakeups_per_second", 1.0),
    ("binary_mb", 4.5),
    ("written_mb_per_hour", 1.0),
    ("first_event_ms", 50.0),
];

/// Every column: its name in JSON, its head, its decimals.
const COLUMNS: &[(&str, &str, usize)] = &[
    ("rss_mib", "RSS MiB", 1),
    ("pss_mib", "PSS MiB", 1),
    ("cpu_percent", "CPU %", 3),
    ("wakeups_per_second", "wakeups/s", 2),
    ("preempted_per_second", "preempted/s", 2),
    ("written_mb_per_hour", "MB/h written", 2),
    ("binary_mb", "binary MB", 2),
    ("threads", "threads", 0),
    ("first_event_ms", "first event ms", 0),
];

impl Row {
    #[expect(clippy::cast_precision_loss, reason = "to be read by people")]
    fn figure(&self, name: &str) -> Option<f64> {
        let cost = &self.cost;
        Some(match name {
            "rss_mib" => cost.rss_kib as f64 / 1_024.0,
            "pss_mib" => cost.pss_kib as f64 / 1_024.0,
            "cpu_percent" => cost.cpu,
            "wakeups_per_second" => cost.wakeups,
            "preempted_per_second" => cost.preempted,
            "written_mb_per_hour" => cost.written / 1e6,
            "binary_mb" => self.bytes as f64 / 1e6,
            "threads" => cost.threads as f64,
            "first_event_ms" => return self.first_event,
            _ => return None,
        })
    }

    /// The goals that it misses.
    pub(crate) fn misses(&self) -> Vec<&'static str> {
        let above = |(name, most): &&(&'static str, f64)| self.figure(name).is_some_and(|figure| figure > *most);
        GOALS.iter().filter(above).map(|(name, _)| *name).collect()
    }
}

/// A table, with the goals below the agent.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut lines = vec![vec!["program".to_owned()]];
    lines[0].extend(COLUMNS.iter().map(|(_, head, _)| (*head).to_owned()));
    let shown = |figure: Option<f64>, decimals: usize| figure.map_or("-".to_owned(), |f| format!("{f:.decimals$}"));
    for (place, row) in rows.iter().enumerate() {
        let mut line = vec![format!("{} {}", row.name, row.version)];
        line.extend(COLUMNS.iter().map(|(name, _, decimals)| shown(row.figure(name), *decimals)));
        lines.push(line);
        if place == 0 {
            let goal = |name: &str| GOALS.iter().find(|(known, _)| *known == name).map(|(_, most)| *most);
            let mut line = vec!["  goal, at most".to_owned()];
            line.extend(COLUMNS.iter().map(|(name, _, decimals)| shown(goal(name), *decimals)));
            lines.push(line);
        }
    }
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..=COLUMNS.len()).map(width).collect();
    let text = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).enumerate();
        let cells = cells
            .map(|(at, (cell, width))| if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
        cells.collect::<Vec<_>>().join("  ") + "\n"
    };
    lines.iter().map(text).collect()
}

/// The same, and what it was measured with.
pub(crate) fn json(rows: &[Row], seconds: u64, nats: &str) -> Value {
    let row = |row: &Row| {
        let figures: Value = COLUMNS.iter().map(|(name, ..)| (*name, row.figure(name))).collect();
        json!({"program": row.name, "version": row.version, "figures": figures})
    };
    let goals: Value = GOALS.iter().map(|(name, most)| (*name, *most)).collect();
    json!({"seconds": seconds, "nats_server": nats, "goals": goals, "programs": rows.iter().map(row).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_columns_and_what_is_above_them_is_missed() {
        let cost =
            Cost { rss_kib: 9_000, pss_kib: 1, threads: 1, cpu: 0.1, wakeups: 0.5, preempted: 0.0, written: 0.0 };
        let row = Row { name: "a".into(), version: "1".into(), bytes: 10, cost, first_event: Some(20.0) };
        assert!(GOALS.iter().all(|(name, _)| row.figure(name).is_some()));
        assert_eq!(row.misses(), ["rss_mib", "cpu_percent"]);
        let table = table(&[row]);
        assert_eq!(table.lines().count(), 3);
        assert!(table.lines().all(|line| line.len() == table.lines().next().map_or(0, str::len)), "{table}");
    }
}

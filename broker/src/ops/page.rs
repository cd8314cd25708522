//! Prometheus' text format, version 0.0.4, as <https://prometheus.io/docs/instrumenting/exposition_formats/> has it.

use std::fmt::Write as _;

use crate::deliver::{BUCKETS_MS, Latency};

/// What kind of number a family holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows, until the process or what it counts begins anew.
    Counter,
    /// As of now.
    Gauge,
    /// How often something took how long.
    Histogram,
}

/// The text, as it grows.
#[derive(Default)]
pub(super) struct Page(String);

/// A family that takes samples.
pub(super) struct Family<'a> {
    page: &'a mut String,
    name: &'static str,
}

impl Page {
    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a text cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { page: &mut self.0, name }
    }

    /// The whole text.
    pub(super) fn text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// The one sample of a family without labels.
    pub(super) fn value(&mut self, value: f64) {
        self.sample(&[], value);
    }

    /// A sample with these labels.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.line("", labels, value);
    }

    /// What a histogram holds under these labels, in seconds.
    pub(super) fn latency(&mut self, labels: &[(&str, &str)], latency: &Latency) {
        for (bound, count) in BUCKETS_MS.iter().zip(latency.buckets) {
            let bound = (*bound as f64 / 1000.0).to_string();
            self.line("_bucket", &[labels, &[("le", &bound)]].concat(), count as f64);
        }
        self.line("_bucket", &[labels, &[("le", "+Inf")]].concat(), latency.count as f64);
        self.line("_sum", labels, latency.sum_ms as f64 / 1000.0);
        self.line("_count", labels, latency.count as f64);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.page, "{}{suffix}{labels} {value}", self.name);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_the_format_wants() {
        let mut page = Page::default();
        page.family(Kind::Gauge, "a", "One\nthing.").value(1.0);
        let mut family = page.family(Kind::Counter, "b_total", "Two \\ things.");
        family.sample(&[("x", "1"), ("y", "a\"b\\c\n")], 12_345_678_901.0);
        family.sample(&[("x", "2"), ("y", "")], 0.25);
        insta::assert_snapshot!(page.text(), @r#"
        # HELP a One\nthing.
        # TYPE a gauge
        a 1
        # HELP b_total Two \\ things.
        # TYPE b_total counter
        b_total{x="1",y="a\"b\\c\n"} 12345678901
        b_total{x="2",y=""} 0.25
        "#);
    }

    #[test]
    fn a_histogram_ends_with_everything() {
        let mut page = Page::default();
        let latency = Latency { sum_ms: 1500, count: 3, buckets: [2; BUCKETS_MS.len()] };
        page.family(Kind::Histogram, "h_seconds", "How long.").latency(&[("t", "a")], &latency);
        let text = page.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[2], "h_seconds_bucket{t=\"a\",le=\"0.005\"} 2");
        let end =
            ["h_seconds_bucket{t=\"a\",le=\"+Inf\"} 3", "h_seconds_sum{t=\"a\"} 1.5", "h_seconds_count{t=\"a\"} 3"];
        assert_eq!(lines[lines.len() - 3..], end);
    }
}

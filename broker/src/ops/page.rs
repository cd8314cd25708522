//! Families of metrics as they come together, and their text: Prometheus' own, version 0.0.4.

use prometheus::{
    TextEncoder,
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

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

/// All families.
#[derive(Default)]
pub(super) struct Page(Vec<MetricFamily>);

/// A family that takes samples.
pub(super) struct Family<'a> {
    kind: Kind,
    samples: &'a mut Vec<Metric>,
}

impl Page {
    /// Begins a family; its samples follow. One that gets none is left out.
    pub(super) fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Family<'_> {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(match kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        let family = self.0.push_mut(family);
        Family { kind, samples: family.mut_metric() }
    }

    /// The whole text.
    pub(super) fn text(mut self) -> String {
        self.0.retain(|family| !family.get_metric().is_empty());
        // What it refuses are families without a name or without samples.
        TextEncoder::new().encode_to_string(&self.0).unwrap_or_default()
    }
}

impl Family<'_> {
    /// The one sample of a family without labels.
    pub(super) fn value(&mut self, value: f64) {
        self.sample(&[], value);
    }

    /// A sample with these labels.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        let mut sample = labelled(labels);
        if self.kind == Kind::Counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            sample.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            sample.set_gauge(gauge);
        }
        self.samples.push(sample);
    }

    /// What a histogram holds under these labels, in seconds.
    pub(super) fn latency(&mut self, labels: &[(&str, &str)], latency: &Latency) {
        let buckets = BUCKETS_MS.iter().zip(latency.buckets).map(|(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound as f64 / 1000.0);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(latency.count);
        histogram.set_sample_sum(latency.sum_ms as f64 / 1000.0);
        let mut sample = labelled(labels);
        sample.set_histogram(histogram);
        self.samples.push(sample);
    }
}

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let pairs = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    Metric::from_label(pairs.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_the_format_wants() {
        let mut page = Page::default();
        page.family(Kind::Gauge, "a", "One\nthing.").value(1.0);
        page.family(Kind::Gauge, "nothing", "A family without samples.");
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

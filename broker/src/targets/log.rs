//! `log`: writes one JSON line a job, to a file that is put aside when it grows too large, or to stdout.
//!
//! ```yaml
//! kind: log
//! path: /var/log/emote/events.jsonl   # without it: stdout
//! max_size: 10MiB
//! keep: 5
//! ```
//! A relative path is taken from the data folder, where the broker may write.
//!
//! A line is `{"time", "job", "rule", "node", "event", "input"}`: when it was written, what for, the node's serial
//! number where one is known, the event, and the rule's input where it gives one. A job that is repeated after a crash
//! may be written twice; `job` tells.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use emote_proto::Time;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::rotate::{Lines, Rotation};
use super::spec::{Setup, Unresolved};
use super::{Outcome, Target, serial};
use crate::config::Problems;
use crate::config::fields::Fields;
use crate::core::Job;

const DEFAULT: Rotation = Rotation { max_size: 10 << 20, keep: 5 };

#[derive(Debug)]
struct Spec {
    path: Option<PathBuf>,
    rotation: Rotation,
}

enum Log {
    Stdout,
    File { path: String, lines: Arc<Lines>, rotation: Rotation },
}

#[derive(Serialize)]
struct Line<'a> {
    time: Time,
    job: &'a str,
    rule: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    event: &'a emote_proto::Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a Value>,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    let path = fields.text("path");
    if path.as_deref().is_some_and(|path| path.is_empty() || path.ends_with('/') || path.contains('\0')) {
        fields.problem("path", "must name a file, such as /var/log/emote/events.jsonl");
    }
    if let Some(rest) = path.as_deref().and_then(|path| path.strip_prefix("data/")) {
        fields.problem("path", format!("is taken from the data folder: say {rest:?}, or an absolute path"));
    }
    for key in ["max_size", "keep"] {
        if fields.has(key) && !fields.has("path") {
            fields.problem(key, "says how the file at `path` is put aside: there is none");
        }
    }
    let max_size = fields.size("max_size").unwrap_or(DEFAULT.max_size);
    let keep = fields.number("keep", 0..=1000).unwrap_or(DEFAULT.keep);
    Some(Box::new(Spec { path: path.map(PathBuf::from), rotation: Rotation { max_size, keep } }))
}

impl Unresolved for Spec {
    fn resolve(&self, setup: &Setup<'_>, _: &mut Problems) -> Option<Box<dyn Target>> {
        Some(Box::new(match &self.path {
            None => Log::Stdout,
            Some(path) => {
                let path = setup.data_folder().join(path);
                Log::File { path: path.display().to_string(), lines: Lines::at(&path), rotation: self.rotation }
            }
        }))
    }
}

#[async_trait::async_trait]
impl Target for Log {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        match to_json(job, input) {
            Ok(line) => self.write(line).await,
            Err(outcome) => outcome,
        }
    }

    fn batches(&self) -> bool {
        true
    }

    /// All lines in one write. A job that cannot be written as JSON is left out.
    async fn deliver_batch(&self, jobs: &[(&Job, &Value)]) -> Vec<Outcome> {
        let lines: Vec<Result<String, Outcome>> = jobs.iter().map(|(job, input)| to_json(job, input)).collect();
        let whole: Vec<&str> = lines.iter().flatten().map(String::as_str).collect();
        let written = if whole.is_empty() { Outcome::retry("") } else { self.write(whole.join("\n")).await };
        lines.into_iter().map(|line| line.map_or_else(|outcome| outcome, |_| written.clone())).collect()
    }
}

impl Log {
    /// Writes one line, or several with line breaks between them, at once.
    async fn write(&self, line: String) -> Outcome {
        let (info, written) = match self {
            Self::Stdout => (json!({}), tokio::task::spawn_blocking(move || print(line)).await),
            Self::File { path, lines, rotation } => {
                let (lines, rotation) = (Arc::clone(lines), *rotation);
                (json!({"path": path}), tokio::task::spawn_blocking(move || lines.append(&line, rotation)).await)
            }
        };
        match written.map_err(std::io::Error::other).flatten() {
            Ok(()) => Outcome::done("log", "written", info),
            Err(error) => Outcome::retry(format!("the line cannot be written: {error}")),
        }
    }
}

fn to_json(job: &Job, input: &Value) -> Result<String, Outcome> {
    serde_json::to_string(&line(job, input, Timestamp::now()))
        .map_err(|error| Outcome::never(format!("the line cannot be written as JSON: {error}")))
}

fn line<'a>(job: &'a Job, input: &'a Value, now: Timestamp) -> Line<'a> {
    let input = job.input.is_some().then_some(input);
    let (node, rule) = (serial(job), job.rule.as_str());
    Line { time: now.into(), job: job.id.as_str(), rule, node, event: &job.event, input }
}

fn print(mut line: String) -> std::io::Result<()> {
    line.push('\n');
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{deliver, job, problems, show, validate};
    use super::*;

    #[test]
    fn a_line_says_what_for_and_what() {
        let now = "2026-11-23T06:42:00.5Z".parse().unwrap();
        let shown = |job: &Job| serde_json::to_string(&line(job, &json!({"a": "b\nc"}), now)).unwrap();
        insta::assert_snapshot!(shown(&job()), @r#"{"time":"2026-11-23T06:42:00.500Z","job":"a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target","rule":"the-rule","node":"C02XL0GTJGH5","event":{"id":"a64c29d5-87af-5257-b215-b904e4a840d8","time":"2026-11-23T06:41:00.000Z","source":"jamf","scope":"device","action":"enroll","trust":"verified","device":{"uuid":"C02XL0GTJGH5"}},"input":{"a":"b\nc"}}"#);
        insta::assert_snapshot!(shown(&Job { input: None, node: None, ..job() }), @r#"{"time":"2026-11-23T06:42:00.500Z","job":"a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target","rule":"the-rule","node":"C02XL0GTJGH5","event":{"id":"a64c29d5-87af-5257-b215-b904e4a840d8","time":"2026-11-23T06:41:00.000Z","source":"jamf","scope":"device","action":"enroll","trust":"verified","device":{"uuid":"C02XL0GTJGH5"}}}"#);
    }

    #[tokio::test]
    async fn lines_go_to_the_file_and_it_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let target = validate("kind: log\npath: logs/a.jsonl\nmax_size: 1kB\nkeep: 1").unwrap();
        let target = target.resolve(folder.path()).unwrap();
        let path = folder.path().join("logs/a.jsonl");
        for number in 0..5 {
            let outcome = show(&deliver(target.as_ref(), &job(), &json!(number)).await);
            assert_eq!(outcome, format!("done log.written {}", json!({"path": path.display().to_string()})));
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.len() <= 1000 && text.ends_with("\"input\":4}\n"), "{text}");
        assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
        assert_eq!(std::fs::read_dir(folder.path().join("logs")).unwrap().count(), 2);
    }

    #[tokio::test]
    async fn several_jobs_are_one_write() {
        let folder = tempfile::tempdir().unwrap();
        let target = validate("kind: log\npath: a.jsonl").unwrap().resolve(folder.path()).unwrap();
        let (one, two) = (json!(1), json!(2));
        let outcomes = target.deliver_batch(&[(&job(), &one), (&job(), &two)]).await;
        assert!(outcomes.len() == 2 && outcomes.iter().all(|outcome| show(outcome).starts_with("done")));
        let text = std::fs::read_to_string(folder.path().join("a.jsonl")).unwrap();
        let inputs: Vec<Value> =
            text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["input"].clone()).collect();
        assert_eq!(inputs, [1, 2]);
    }

    #[tokio::test]
    async fn a_line_that_cannot_be_written_is_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let target = validate("kind: log\npath: file/a.jsonl").unwrap().resolve(folder.path()).unwrap();
        let outcome = show(&deliver(target.as_ref(), &job(), &Value::Null).await);
        assert!(outcome.starts_with("retry the line cannot be written"), "{outcome}");
    }

    #[tokio::test]
    async fn without_a_path_it_is_stdout() {
        let target = validate("kind: log").unwrap().resolve(std::path::Path::new("")).unwrap();
        assert_eq!(show(&deliver(target.as_ref(), &job(), &Value::Null).await), "done log.written {}");
    }

    #[test]
    fn the_settings_are_checked() {
        insta::assert_snapshot!(problems("kind: log\npath: /var/log/\nmax_size: 10 parsecs\nkeep: -1"), @r#"
        path: must name a file, such as /var/log/emote/events.jsonl
        max_size: expected a size such as 10MiB, 500kB or a number of bytes
        keep: expected a whole number from 0 to 1000
        "#);
        insta::assert_snapshot!(
            problems("kind: log\npath: data/events.jsonl"),
            @r#"path: is taken from the data folder: say "events.jsonl", or an absolute path"#
        );
        insta::assert_snapshot!(problems("kind: log\nmax_size: 1MiB"), @"max_size: says how the file at `path` is put aside: there is none");
    }
}

//! Metrics and log records, read by somebody else's decoders.

use std::process::Command;

use emote_proto::EventId;
use emote_tests::{Process, Stack, free_port, required, until_listening};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::counted::rule;

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/it/telemetry_server.py");
const EVENTS: u64 = 30;
const QUICK: &str = "retry: {max_attempts: 100, backoff: {initial: 10ms, max: 50ms}}\nbreaker: {failures: 0}\n";

/// What was taken at `path`, in the order of what was counted.
fn taken(lines: &str, path: &str, n: impl Fn(&Value) -> Option<u64>) -> Vec<(u64, Value)> {
    let all = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut of: Vec<_> = all.filter(|one| one["path"] == path).map(|one| (n(&one).unwrap(), one)).collect();
    of.sort_by_key(|(n, _)| *n);
    of
}

#[tokio::test]
async fn metrics_and_log_records_are_read_as_they_were_meant() {
    let Some(python) = required("receivers/bin/python") else { return };
    let (folder, port) = (TempDir::with_prefix("emote-test-").unwrap(), free_port());
    let kept = folder.path().join("taken");
    let mut command = Command::new(python);
    command.arg(SERVER).arg(port.to_string()).arg(&kept);
    let _server = Process::start("telemetry", command, folder.path());
    until_listening("telemetry", port).await;
    let url = format!("http://127.0.0.1:{port}");
    let batch = "batch: {max: 10, wait: 200ms}\n";
    let logs = format!(
        "kind: otlp\nurl: {url}\nseverity: '\"warn\"'\nattributes: '{{half: 0.5, list: [1, true, null]}}'\n{batch}{QUICK}"
    );
    let lines =
        format!("kind: otlp\nurl: {url}\nencoding: json\ncompress: gzip\nbody: '\"line \\(.input.n)\"'\n{QUICK}");
    let metrics = format!(
        "kind: otlp\nurl: {url}\nencoding: json\nsignal: metrics\nmetric: emote.counted\nunit: '{{event}}'\nvalue: .input.n\n\
        attributes: '{{n: .input.n}}'\nresource: {{deployment.environment.name: test}}\n{batch}{QUICK}"
    );
    let samples = format!(
        "kind: prometheus\nurl: {url}/api/v1/write\nmetric: emote_counted\nlabels: '{{node: .serial, n: .input.n}}'\n\
        value: .input.n\n{batch}{QUICK}"
    );
    let stack = Stack::new()
        .file("targets/logs.yaml", &logs)
        .file("targets/lines.yaml", &lines)
        .file("targets/metrics.yaml", &metrics)
        .file("targets/samples.yaml", &samples)
        .file("rules/count.yaml", &rule(&["logs", "lines", "metrics", "samples"]))
        .start()
        .await;
    let begun = jiff::Timestamp::now().as_millisecond();
    let event = |n: u64| {
        let time = jiff::Timestamp::from_millisecond(begun + n as i64).unwrap();
        (EventId::derived(&["telemetry", &n.to_string()]).to_string(), time)
    };
    for n in 0..EVENTS {
        let ((id, time), serial) = (event(n), format!("C02-{}", n % 3));
        let event = json!({
            "id": id, "time": time.to_string(), "scope": "test", "action": "counted", "device": {"uuid": serial},
            "info": {"n": n},
        });
        stack.streams.publish(&format!("events.manual.{serial}.test.counted"), event.to_string()).await;
    }
    stack.settled().await;
    let text = std::fs::read_to_string(&kept).unwrap();
    let number = |value: &Value| value.as_u64();
    let records = taken(&text, "/v1/logs", |one| number(&one["body"]["n"]).or(Some(EVENTS)));
    let (lines, records): (Vec<_>, Vec<_>) = records.into_iter().partition(|(n, _)| *n == EVENTS);
    let points = taken(&text, "/v1/metrics", |one| number(&one["attributes"]["n"]));
    let samples = taken(&text, "/api/v1/write", |one| one["labels"]["n"].as_str()?.parse().ok());
    for of in [&records, &points, &samples] {
        assert_eq!(of.iter().map(|(n, _)| *n).collect::<Vec<_>>(), (0..EVENTS).collect::<Vec<_>>());
    }
    assert_eq!(lines.len() as u64, EVENTS);
    for (n, record) in records {
        let ((id, time), serial) = (event(n), format!("C02-{}", n % 3));
        assert_eq!(record["attributes"]["emote.event.id"], id);
        let id = id.replace('-', "");
        assert_eq!(record["resource"], json!({"service.name": "emote", "host.id": serial}));
        assert_eq!(record["body"], json!({"serial": serial, "n": n}));
        assert_eq!(record["severity"], json!([13, "WARN"]));
        assert_eq!((&record["name"], &record["scope"]), (&json!("test.counted"), &json!("emote")));
        assert_eq!(record["time"].as_i64().map(i128::from), Some(time.as_nanosecond()));
        assert_eq!((record["trace"].as_str(), record["span"].as_str()), (Some(id.as_str()), Some(&id[16..])));
        assert_eq!(
            (&record["attributes"]["half"], &record["attributes"]["list"]),
            (&json!(0.5), &json!([1, true, null]))
        );
    }
    for (n, point) in points {
        let expected = json!({
            "path": "/v1/metrics", "name": "emote.counted", "unit": "{event}", "attributes": {"n": n}, "value": n,
            "interval": 1_000_000, "sum": [1, true],
            "resource": {"service.name": "emote", "host.id": format!("C02-{}", n % 3), "deployment.environment.name": "test"},
        });
        assert_eq!(point, expected);
    }
    for (n, sample) in samples {
        let labels = json!({"__name__": "emote_counted", "node": format!("C02-{}", n % 3), "n": n.to_string()});
        assert_eq!(sample["labels"], labels);
        assert_eq!(
            (sample["value"].as_f64(), sample["time"].as_i64()),
            (Some(n as f64), Some(event(n).1.as_millisecond()))
        );
    }
    assert_eq!(stack.streams.dead().await.len(), 0);
}

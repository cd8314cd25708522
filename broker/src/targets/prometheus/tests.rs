//! The kind against a server that answers as told.

use std::{collections::BTreeSet, sync::Mutex};

use axum::{body::Bytes, http::HeaderMap};
use emote_proto::{EventId, Time};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    super::testing::{Stand, job, problems, secrets, show, validate},
    proto::readable,
    *,
};
use crate::core::JobId;

const ONE: &str =
    "kind: prometheus\nurl: '%URL%/api/v1/write'\nmetric: emote_event\nlabels: .input.labels\nvalue: .input.value";

/// What was written, and the answers to it: a refusal for each request with a word in it, else 204.
#[derive(Clone, Default)]
struct Receiver {
    written: Arc<Mutex<Vec<String>>>,
    refused: Arc<Mutex<Vec<(&'static str, u16)>>>,
}

impl Receiver {
    async fn start(refused: &[(&'static str, u16)]) -> (Self, String) {
        let receiver = Self { refused: Arc::new(Mutex::new(refused.to_vec())), ..Self::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let own = receiver.clone();
        let app = axum::Router::new().fallback(move |headers: HeaderMap, body: Bytes| async move {
            for (name, value) in [
                ("content-type", "application/x-protobuf"),
                ("content-encoding", "snappy"),
                ("x-prometheus-remote-write-version", "0.1.0"),
            ] {
                assert_eq!(headers[name], value);
            }
            let text = readable(&body).unwrap();
            let refused = own.refused.lock().unwrap().iter().find(|(word, _)| text.contains(word)).copied();
            own.written.lock().unwrap().push(text);
            let status = refused.map_or(204, |(_, status)| status);
            (http::StatusCode::from_u16(status).unwrap(), if status == 204 { "" } else { "out of order sample" })
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        (receiver, url)
    }

    fn written(&self) -> Vec<String> {
        std::mem::take(&mut *self.written.lock().unwrap())
    }
}

/// Jobs of which each has an event of its own, at these times.
fn jobs(times: &[i64]) -> Vec<Job> {
    let of = |(index, time): (usize, &i64)| {
        let job = job();
        let mut event = (*job.event).clone();
        (event.id, event.time) = (EventId::derived(&[&index.to_string()]), Time::from_millis(*time).unwrap());
        Job { id: JobId::new(event.id, &job.rule, &job.target, None), event: event.into(), ..job }
    };
    times.iter().enumerate().map(of).collect()
}

async fn deliver_all(yaml: &str, url: &str, times: &[i64], inputs: &[Value]) -> Vec<String> {
    let folder = secrets();
    let target = validate(&yaml.replace("%URL%", url)).unwrap().resolve(folder.path()).unwrap();
    let jobs = jobs(times);
    let pairs: Vec<(&Job, &Value)> = jobs.iter().zip(inputs).collect();
    target.deliver_batch(&pairs).await.iter().map(show).collect()
}

const DONE: &str = r#"done telemetry.remote_write {"samples":1,"target":"the-target"}"#;

#[tokio::test]
async fn several_jobs_are_series_with_their_samples_in_order() {
    let (receiver, url) = Receiver::start(&[]).await;
    let said = |node: &str, value: i64| json!({"labels": {"node": node, "Zone": "b", "empty": "", "none": null}, "value": value});
    let inputs = [said("a", 3), said("b", 1), said("a", 1), said("a", 2), said("a", 1)];
    let outcomes = deliver_all(ONE, &url, &[3000, 500, 1000, 2000, 1000], &inputs).await;
    assert_eq!(outcomes, [DONE; 5]);
    // In the order of bytes capitals come before the name.
    insta::assert_snapshot!(receiver.written().join("\n---\n"), @r#"
    emote_event{Zone="b",node="a"} 1 1000
    emote_event{Zone="b",node="a"} 2 2000
    emote_event{Zone="b",node="a"} 3 3000
    emote_event{Zone="b",node="b"} 1 500
    "#);
}

#[tokio::test]
async fn one_bad_series_costs_nobody_else_theirs() {
    let (receiver, url) = Receiver::start(&[("bad", 400)]).await;
    let said = |node: &str| json!({"labels": {"node": node}, "value": 1});
    let inputs = [said("a"), said("bad"), said("b"), json!({"labels": {"0": "x"}, "value": 1})];
    let outcomes = deliver_all(ONE, &url, &[1000; 4], &inputs).await;
    let refused = "never answered 400 Bad Request: out of order sample";
    assert_eq!(
        outcomes,
        [DONE, refused, DONE, "never labels: \"0\" is no label's name: letters, digits and _, not a digit first"]
    );
    assert_eq!(receiver.written().len(), 4);
    for status in [429, 500, 503] {
        *receiver.refused.lock().unwrap() = vec![("bad", status)];
        let outcomes = deliver_all(ONE, &url, &[1000; 3], &inputs[..3]).await;
        assert!(
            outcomes.iter().all(|outcome| outcome.starts_with(&format!("retry answered {status}"))),
            "{outcomes:?}"
        );
        assert_eq!(receiver.written().len(), 1);
    }
    *receiver.refused.lock().unwrap() = vec![("emote", 401)];
    let outcomes = deliver_all(ONE, &url, &[1000; 3], &inputs[..3]).await;
    assert!(outcomes.iter().all(|outcome| outcome.starts_with("never answered 401")), "{outcomes:?}");
    assert_eq!(receiver.written().len(), 1, "who sends it is wrong, not what");
}

#[tokio::test]
async fn two_values_at_one_time_are_not_written_both() {
    let (receiver, url) = Receiver::start(&[]).await;
    let said = |value: i64| json!({"labels": {}, "value": value});
    let outcomes = deliver_all(ONE, &url, &[1000; 3], &[said(1), said(2), said(1)]).await;
    assert_eq!((outcomes[0].as_str(), outcomes[2].as_str()), (DONE, DONE));
    assert!(outcomes[1].starts_with("never a series of emote_event has two values at one time"), "{outcomes:?}");
    assert_eq!(receiver.written(), ["emote_event{} 1 1000"]);
    let several = "kind: prometheus\nurl: '%URL%'";
    let input = json!([{"metric": "a", "value": 1}, {"metric": "a", "value": 2}]);
    let outcomes = deliver_all(several, &url, &[1000], &[input]).await;
    assert!(outcomes[0].starts_with("never a series of a has two values"), "{outcomes:?}");
}

#[tokio::test]
async fn the_input_or_a_program_may_say_all_of_it() {
    for yaml in ["kind: prometheus\nurl: '%URL%'", "kind: prometheus\nurl: '%URL%'\nseries: .input"] {
        let (receiver, url) = Receiver::start(&[]).await;
        let input = json!([
            {"metric": "disk:free", "labels": {"node": "a \"b\"\\"}, "value": 1.5, "time": "2026-11-23T06:41:00.123Z"},
            {"metric": "up", "value": true},
        ]);
        let outcomes = deliver_all(yaml, &url, &[1000], &[input]).await;
        assert_eq!(outcomes, [r#"done telemetry.remote_write {"samples":2,"target":"the-target"}"#]);
        assert_eq!(receiver.written(), ["disk:free{node=\"a \\\"b\\\"\\\\\"} 1.5 1795416060123\nup{} 1 1000"]);
    }
    let stand = Stand::replying(&[(204, &[], "")]).await;
    for (input, said) in [
        (json!([]), "there is no series"),
        (json!("x"), "expected an object with metric, labels and value, found a text"),
        (json!({"value": 1}), "a series has no metric"),
        (json!({"metric": "a b"}), "\"a b\" is no metric's name"),
        (json!({"metric": "a", "tags": {}}), "a series has \"tags\": expected some of labels, metric, time, value"),
        (json!({"metric": "a", "value": "1"}), "value: expected a number, found a text"),
        (json!({"metric": "a", "labels": []}), "labels: expected an object, found a list"),
        (json!({"metric": "a", "labels": {"__name__": "b"}}), "labels: \"__name__\" begins with __"),
        (json!({"metric": "a", "labels": {"a:b": "b"}}), "labels: \"a:b\" is no label's name"),
        (json!({"metric": "a", "labels": {"a": {}}}), "labels.a: expected a text, found an object"),
        (json!({"metric": "a", "labels": {"a": "x".repeat(3000)}}), "labels.a: 3000 bytes; 2048 are allowed"),
        (json!({"metric": "a", "time": "soon"}), "time: "),
        (
            json!((0..101).map(|n| json!({"metric": format!("m{n}")})).collect::<Vec<_>>()),
            "101 series; a job may have 100",
        ),
    ] {
        let outcome = show(&stand.deliver("kind: prometheus\nurl: '%URL%'", &job(), &input).await);
        assert!(outcome.starts_with(&format!("never {said}")), "{outcome}");
    }
    assert_eq!(stand.seen(), "");
}

#[test]
fn the_settings_are_checked() {
    insta::assert_snapshot!(problems("kind: prometheus\nmetric: a-b\nseries: .x\nlabels: '{'"), @r#"
    url: is missing: for example url: https://prometheus.example.com/api/v1/write
    metric: "a-b" is no metric's name: letters, digits, _ and :, not a digit first
    labels: line 1, column 2: expected closing brace
    series: says which metrics there are: leave out `metric`, `labels` and `value`
    "#);
    insta::assert_snapshot!(problems("kind: prometheus\nurl: https://x.example\nlabels: .x\nauth: {}\nbody: x"), @r"
    auth: expected one of basic, bearer, duo, header, login, oauth2, signed
    metric: is missing: labels and value are of one metric, for example metric: emote_event
    body: unknown key: expected one of auth, batch, breaker, concurrency, destructive, guard, headers, insecure, kind, labels, max_age, metric, ordered, rate, retry, series, timeout, tls, url, value
    ");
}

proptest! {
    #[test]
    fn what_is_written_is_what_was_said(
        said in proptest::collection::vec((0_u8..3, 0_i64..5, 0_i64..3), 1..20)
    ) {
        let mut all = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for (at, (node, time, value)) in said.iter().enumerate() {
            let labels = Labels::from([(series::NAME.to_owned(), "m".to_owned()), ("node".to_owned(), node.to_string())]);
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let sampled = Sampled { labels, value: *value as f64, at: *time };
            if put(&mut all, at, vec![sampled]).is_ok() {
                taken.insert((*node, *time, *value));
            }
        }
        let all: Vec<_> = all.into_iter().collect();
        let request = WriteRequest { timeseries: all.iter().map(series).collect() };
        for series in &request.timeseries {
            prop_assert!(series.labels.is_sorted_by(|a, b| a.name < b.name));
            prop_assert!(series.samples.is_sorted_by(|a, b| a.timestamp < b.timestamp));
        }
        let lines = readable(&request.packed().unwrap()).unwrap();
        let lines: BTreeSet<&str> = lines.lines().collect();
        let expected: Vec<String> = taken.iter().map(|(n, t, v)| format!("m{{node=\"{n}\"}} {v} {t}")).collect();
        prop_assert_eq!(lines, expected.iter().map(String::as_str).collect());
    }
}

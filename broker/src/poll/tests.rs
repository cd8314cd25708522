//! Rounds against a server that answers as told and a log in memory.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Kind,
    poller::pause,
    testing::{ByHand, Exchange, InMemory, StandIn, get, trouble},
};
use crate::ingest::SourceSpec;

const MAP: &str =
    "if .skip then empty else {scope: \"user\", action: \"created\", event_id: .id, time: .at, user: {id: .who}} end";

/// A source with pages of an API that has cursors.
fn with_cursor(url: &str) -> Value {
    json!({"map": MAP, "poll": {
        "url": format!("{url}/v1"), "path": "\"events\"", "auth": {"bearer": "${file:token}"},
        "query": "{after: .cursor, since: (if .cursor then null else .since end)}",
        "items": ".page.data", "next": ".page.more", "cursor": ".page.data[-1].id", "start": "24h",
    }})
}

/// One that has a window of time alone.
fn by_time(url: &str) -> Value {
    json!({"map": MAP, "poll": {
        "url": format!("{url}/v1"), "query": "{from: .since, to: .until}", "items": ".page", "next": ".headers.link | link(\"next\")",
        "overlap": "1m", "start": "1h", "max_pages": 2,
    }})
}

fn item(id: &str) -> Value {
    json!({"id": id, "at": "2026-03-04T05:00:00Z", "who": format!("{id}@example.com")})
}

fn page(ids: &[&str], more: bool) -> Value {
    json!({"data": ids.iter().map(|id| item(id)).collect::<Vec<_>>(), "more": more})
}

fn users(log: &InMemory) -> Vec<String> {
    log.told().iter().map(|event| event["user"]["id"].as_str().unwrap().replace("@example.com", "")).collect()
}

fn right(stand_in: &StandIn) {
    assert_eq!((stand_in.wrong(), stand_in.left()), (vec![], 0));
}

#[tokio::test]
async fn pages_are_fetched_to_the_last_and_the_cursor_is_kept_behind_their_events() {
    let first = [("since", "2026-03-03T05:06:07.000Z")];
    let stand_in = StandIn::new(vec![
        Exchange {
            headers: [("authorization".to_owned(), "Bearer secret-token".to_owned())].into(),
            ..get("/v1/events", &first, page(&["a", "b"], true))
        },
        get("/v1/events", &[("after", "b")], page(&["c"], false)),
        get("/v1/events", &[("after", "c")], page(&[], false)),
        get("/v1/events", &[("after", "c")], page(&["d"], false)),
    ])
    .await;
    let log = Arc::new(InMemory::default());
    let mut source = ByHand::new("hr", &with_cursor(&stand_in.url), Kind::Poll, &log);
    assert_eq!(source.round("2026-03-04T05:06:07Z").await, "whole");
    assert_eq!(users(&log), ["a", "b", "c"]);
    let kept: Vec<Value> = log.own("polled").iter().map(|info| info["cursor"].clone()).collect();
    assert_eq!(kept, ["b", "c"]);
    // Nothing moves: nothing is written.
    assert_eq!(source.round("2026-03-04T05:11:07Z").await, "whole");
    assert_eq!(log.own("polled").len(), 2);
    // Another broker goes on from what the log says.
    source.restart();
    assert_eq!(source.round("2026-03-04T05:16:07Z").await, "whole");
    assert_eq!(users(&log), ["a", "b", "c", "d"]);
    right(&stand_in);
    let report = source.report();
    assert_eq!((report.pages, report.items, report.events, report.refused), (4, 4, 4, 0));
}

#[tokio::test]
async fn what_a_crash_leaves_between_a_page_and_its_cursor_is_fetched_again_and_told_once() {
    let first = [("since", "2026-03-03T05:06:07.000Z")];
    for stored in 0..=3 {
        let stand_in = StandIn::new(vec![
            get("/v1/events", &first, page(&["a", "b"], false)),
            get("/v1/events", if stored == 3 { &[("after", "b")] } else { &first }, page(&["a", "b"], false)),
        ])
        .await;
        let log = Arc::new(InMemory::default());
        let mut source = ByHand::new("hr", &with_cursor(&stand_in.url), Kind::Poll, &log);
        log.away_after(Some(stored));
        let ended = source.round("2026-03-04T05:06:07Z").await;
        assert_eq!(ended == "whole", stored == 3, "{ended}");
        log.away_after(None);
        source.restart();
        assert_eq!(source.round("2026-03-04T05:06:07Z").await, "whole", "{stored}");
        assert_eq!(users(&log), ["a", "b"], "{stored}");
        right(&stand_in);
    }
}

#[tokio::test]
async fn a_broker_that_does_not_lead_any_more_cannot_take_the_cursor_back() {
    let first = [("since", "2026-03-03T05:06:07.000Z")];
    let stand_in = StandIn::new(vec![
        get("/v1/events", &first, page(&["a"], false)),
        get("/v1/events", &[("after", "a")], page(&["b"], false)),
        get("/v1/events", &[("after", "a")], page(&["b"], false)),
        get("/v1/events", &[("after", "b")], page(&[], false)),
    ])
    .await;
    let log = Arc::new(InMemory::default());
    let mut old = ByHand::new("hr", &with_cursor(&stand_in.url), Kind::Poll, &log);
    let mut new = ByHand::new("hr", &with_cursor(&stand_in.url), Kind::Poll, &log);
    assert_eq!(old.round("2026-03-04T05:06:07Z").await, "whole");
    assert_eq!(new.round("2026-03-04T05:07:07Z").await, "whole");
    assert_eq!(old.round("2026-03-04T05:08:07Z").await, "here: another broker has polled meanwhile");
    let kept: Vec<Value> = log.own("polled").iter().map(|info| info["cursor"].clone()).collect();
    assert_eq!(kept, ["a", "b"]);
    assert_eq!(old.round("2026-03-04T05:09:07Z").await, "whole", "it has read what the log says");
    assert_eq!(users(&log), ["a", "b"]);
    right(&stand_in);
}

#[tokio::test]
async fn a_window_of_time_overlaps_and_a_round_that_is_cut_off_goes_on_where_it_was() {
    let window = |from: &'static str, to: &'static str| [("from", from), ("to", to)];
    let link = |exchange: Exchange, to: &str| Exchange {
        answer_headers: [(
            "link".to_owned(),
            format!("<%URL%/self>; rel=\"self\"\n<%URL%/v1?page={to}&a=b>; rel=\"next\""),
        )]
        .into(),
        ..exchange
    };
    let first = window("2026-03-04T04:00:00.000Z", "2026-03-04T05:00:00.000Z");
    let stand_in = StandIn::new(vec![
        link(get("/v1", &first, json!([item("a")])), "2"),
        link(get("/v1", &[("page", "2"), ("a", "b")], json!([item("b")])), "3"),
        get("/v1", &[("page", "3"), ("a", "b")], json!([item("c")])),
        get("/v1", &window("2026-03-04T05:04:00.000Z", "2026-03-04T05:10:00.000Z"), json!([item("c"), item("d")])),
    ])
    .await;
    let log = Arc::new(InMemory::default());
    let mut source = ByHand::new("hr", &by_time(&stand_in.url), Kind::Poll, &log);
    assert_eq!(source.round("2026-03-04T05:00:00Z").await, "cut");
    source.restart();
    assert_eq!(source.round("2026-03-04T05:05:00Z").await, "whole");
    assert_eq!(source.round("2026-03-04T05:10:00Z").await, "whole");
    assert_eq!(users(&log), ["a", "b", "c", "d"]);
    right(&stand_in);
    // A sign of life, where nothing moves for an hour.
    let before = log.own("polled").len();
    stand_in.also(vec![Exchange { answer: json!([]), ..Exchange::default() }]);
    assert_eq!(source.round("2026-03-04T05:15:00Z").await, "whole");
    assert_eq!(log.own("polled").len(), before);
    stand_in.also(vec![Exchange { answer: json!([]), ..Exchange::default() }]);
    assert_eq!(source.round("2026-03-04T06:15:00Z").await, "whole");
    assert_eq!(log.own("polled").len(), before + 1);
}

#[tokio::test]
async fn trouble_is_told_once_and_so_is_its_end() {
    let first = [("since", "2026-03-03T05:06:07.000Z")];
    let stand_in = StandIn::new(vec![
        trouble(429, &[("retry-after", "7")]),
        trouble(500, &[]),
        trouble(503, &[("retry-after", "9")]),
        trouble(403, &[]),
        Exchange { answer: json!("{"), ..Exchange::default() },
        get("/v1/events", &first, page(&["a"], false)),
        trouble(500, &[]),
    ])
    .await;
    let log = Arc::new(InMemory::default());
    let mut source = ByHand::new("hr", &with_cursor(&stand_in.url), Kind::Poll, &log);
    let now = "2026-03-04T05:06:07Z";
    let said = "there: answered 429 Too Many Requests: {\"error\":\"no\"} Some(7s)";
    assert_eq!(source.round(now).await, said);
    assert_eq!(log.own("poll_failed"), Vec::<Value>::new(), "being asked to slow down is no trouble yet");
    for said in ["there: answered 500", "there: answered 503", "there: answered 403", "there: the answer is not JSON"] {
        let ended = source.round(now).await;
        assert!(ended.starts_with(said), "{ended}");
        // Not even where another broker goes on.
        source.restart();
    }
    let told = json!({"reason": "answered 500 Internal Server Error: {\"error\":\"no\"}"});
    assert_eq!(log.own("poll_failed"), [told]);
    assert_eq!(source.round(now).await, "whole");
    let kept = &log.own("polled")[0];
    assert!(kept["failed_since"].is_string() && kept["cursor"] == "a", "{kept}");
    assert!(source.round(now).await.starts_with("there: answered 500"));
    assert_eq!(log.own("poll_failed").len(), 2);
    right(&stand_in);
    assert_eq!(source.log().told().len(), 1);
}

#[tokio::test]
async fn what_is_sent_is_for_this_server_alone() {
    let elsewhere = json!({"data": [item("a")], "more": "https://evil.example.com/v1?x"});
    let stand_in = StandIn::new(vec![Exchange { answer: elsewhere, ..Exchange::default() }]).await;
    let log = Arc::new(InMemory::default());
    let mut source = ByHand::new("hr", &with_cursor(&stand_in.url), Kind::Poll, &log);
    let ended = source.round("2026-03-04T05:06:07Z").await;
    assert_eq!(ended, "there: next: what the page names is an address of another server None");
}

#[tokio::test]
async fn what_webhooks_have_not_told_in_time_is_told_and_marked() {
    let answer = json!([
        item("told"), item("missed"), {"id": "fresh", "at": "2026-03-04T05:55:00Z", "who": "fresh@example.com"},
        {"id": "known", "at": "2026-03-04T05:00:00Z", "who": "known@example.com"},
    ]);
    let stand_in = StandIn::new(vec![
        get("/v1", &[("from", "2026-03-04T05:00:00.000Z"), ("to", "2026-03-04T05:50:00.000Z")], answer.clone()),
        get("/v1", &[("from", "2026-03-04T05:45:00.000Z"), ("to", "2026-03-04T06:20:00.000Z")], answer),
    ])
    .await;
    let file = json!({"verify": "none", "map": MAP, "reconcile": {
        "url": format!("{}/v1", stand_in.url), "query": "{from: .since, to: .until}", "start": "1h", "grace": "10m",
        "unless": ".node.known == true",
    }});
    let known = [("known@example.com".to_owned(), json!({"known": true}))].into();
    let log = Arc::new(InMemory::knowing(known));
    log.take(emote_proto::EventId::derived(&["source", "hr", "told"]));
    let mut source = ByHand::new("hr", &file, Kind::Reconcile, &log);
    assert_eq!(source.round("2026-03-04T06:00:00Z").await, "whole");
    assert_eq!(users(&log), ["missed"]);
    assert_eq!(log.told()[0]["info"], json!({"reconciled": true}));
    assert_eq!(source.round("2026-03-04T06:30:00Z").await, "whole");
    assert_eq!(users(&log), ["missed", "fresh"]);
    right(&stand_in);
}

/// A source that lists Macs, whatever has become of them.
fn listing(url: &str) -> Value {
    let map = r#"{scope: "device", action: "inventory", event_id: ([.serial, .name, .at] | tojson), time: .at, device: {uuid: .serial, name}}"#;
    json!({"map": map, "poll": {"url": format!("{url}/v1"), "items": ".page"}})
}

#[tokio::test]
async fn an_object_that_does_not_change_is_told_once_however_long_it_is_listed() {
    let mac = |serial: &str, name: &str, at: Value| json!({"serial": serial, "name": name, "at": at});
    let (old, none) = (json!("2026-01-02T03:04:05Z"), Value::Null);
    let both = |first: &str| json!([mac("C01", first, old.clone()), mac("C02", "bob", none.clone())]);
    let answers = [both("ada"), both("ada"), both("ada"), both("eve"), both("ada"), both("ada"), both("ada")];
    let exchanges = answers.into_iter().map(|answer| Exchange { answer, ..Exchange::default() });
    let stand_in = StandIn::new(exchanges.collect()).await;
    let log = Arc::new(InMemory::default());
    let mut source = ByHand::new("assets", &listing(&stand_in.url), Kind::Poll, &log);
    for (day, forgets) in [(4, false), (4, true), (6, true), (8, true), (9, false), (10, true), (12, true)] {
        if forgets {
            log.forget_ids();
            source.restart();
        }
        assert_eq!(source.round(&format!("2026-03-{day:02}T05:06:07Z")).await, "whole");
    }
    let told = log.told();
    let names: Vec<_> = told.iter().map(|event| event["device"]["name"].as_str().unwrap()).collect();
    // What it was before it changed, and is again, is news.
    assert_eq!(names, ["ada", "bob", "eve", "ada"]);
    right(&stand_in);
}

#[test]
fn a_source_that_is_polled_takes_webhooks_only_where_it_says_how_they_are_proven() {
    let poll = json!({"url": "https://x.example.com"});
    for (file, webhooks) in [
        (json!({"map": ".", "poll": poll}), false),
        (json!({"map": ".", "poll": poll, "verify": "none"}), true),
        (json!({"map": ".", "verify": "none"}), true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(super::testing::source("x", &file, folder.path()).takes_webhooks(), webhooks, "{file}");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let file = json!({"map": ".", "silent_after": "0s", "poll": {
        "url": "http://example.com", "every": "0s", "method": "DELETE", "items": "{", "auth": {"bearer": "hunter2"},
        "max_pages": 0, "grace": "1m", "body": ".",
    }, "reconcile": 3});
    let spec: SourceSpec = serde_json::from_value(file).unwrap();
    let problems = spec.validate(&emote_proto::Name::new("x").unwrap()).unwrap_err();
    let lines: Vec<String> = problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect();
    assert!(lines.iter().all(|line| !line.contains("hunter2")), "{lines:?}");
    insta::assert_snapshot!(lines.join("\n"), @r"
    poll.url: plain http would show the request to everyone on the way: use https, or say `insecure: true`
    poll.every: expected a length of time from 1s to 604800s
    poll.max_pages: expected a whole number from 1 to 10000
    poll.method: fetching changes nothing: expected GET or POST
    poll.auth.bearer: a secret is given by reference, ${env:NAME} or ${file:PATH}, never in the file itself
    poll.items: line 1, column 2: expected closing brace
    poll.grace: unknown key: expected one of auth, body, body_secrets, cursor, every, headers, insecure, items, max_pages, method, next, overlap, path, protocol, query, start, timeout, tls, url
    reconcile: expected an object, or true for what the preset says
    silent_after: a length of time from 1s to 90 days, such as 6h
    ");
}

#[test]
fn pauses_double_up_to_the_longest() {
    let minute = Duration::from_secs(60);
    let seconds = |failures, every, chance| pause(failures, every, chance).as_secs_f64();
    assert_eq!([1, 2, 3, 9, 99].map(|failures| seconds(failures, minute, 1.0)), [5.0, 10.0, 20.0, 900.0, 900.0]);
    assert_eq!(seconds(99, 60 * minute, 1.0), 3600.0);
    assert_eq!(seconds(1, minute, 0.0), 2.5);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever breaks wherever, everything is told once.
    #[test]
    fn whatever_breaks_everything_is_told_once(
        sizes in proptest::collection::vec(0_usize..4, 1..6),
        breaks in proptest::collection::vec((0_usize..6, any::<bool>()), 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let ids: Vec<Vec<String>> =
                sizes.iter().enumerate().map(|(at, size)| (0..*size).map(|n| format!("p{at}n{n}")).collect()).collect();
            let all: Vec<String> = ids.iter().flatten().cloned().collect();
            let app = axum::Router::new().fallback(move |uri: http::Uri| {
                let at: usize = uri.query().and_then(|query| query.strip_prefix("page=")?.parse().ok()).unwrap_or(0);
                let data: Vec<Value> = ids[at].iter().map(|id| item(id)).collect();
                let next = (at + 1 < ids.len()).then_some(at + 1);
                async move { axum::Json(json!({"data": data, "next": next, "at": at})) }
            });
            let url = crate::testing::serve(app).await;
            let file = json!({"map": MAP, "poll": {
                "url": url, "query": "{page: (.next // .cursor)}", "items": ".page.data", "next": ".page.next",
                "cursor": ".page.at",
            }});
            let log = Arc::new(InMemory::default());
            let mut source = ByHand::new("hr", &file, Kind::Poll, &log);
            for (room, restarts) in breaks {
                log.away_after(Some(room));
                source.round("2026-03-04T05:06:07Z").await;
                if restarts {
                    source.restart();
                }
            }
            log.away_after(None);
            for _ in 0..2 {
                assert_eq!(source.round("2026-03-04T05:06:07Z").await, "whole");
            }
            let mut told = users(&log);
            told.sort();
            let mut all = all;
            all.sort();
            assert_eq!(told, all);
        });
    }
}

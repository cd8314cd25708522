//! Sources that are fetched from: brokers killed at any moment tell everything once, and another one goes on where the log
//! says.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use emote_tests::{Broker, Stack, StandIn, until, until_some};
use serde_json::{Value, json};

/// Items of a page.
const PAGE: usize = 3;

/// What the vendor has so far, asked for behind a cursor.
async fn vendor(count: &Arc<AtomicUsize>) -> StandIn {
    let count = Arc::clone(count);
    StandIn::start(move |seen| {
        let after = seen.json()["after"].as_u64().map_or(0, |after| usize::try_from(after).unwrap());
        let to = (after + PAGE).min(count.load(Ordering::SeqCst));
        let items: Vec<Value> = (after..to).map(|n| json!({"id": format!("i{n}"), "n": n})).collect();
        let more = to < count.load(Ordering::SeqCst);
        (
            200,
            vec![("content-type", "application/json".to_owned())],
            json!({"items": items, "end": to, "more": more}).to_string(),
        )
    })
    .await
}

fn source(url: &str, more: &str) -> String {
    format!(
        "map: '{{scope: \"user\", action: \"created\", event_id: .id, user: {{id: (.id + \"@example.com\")}}, info: {{n}}}}'\n\
         poll:\n  url: {url}/v1/items\n  every: 1s\n  method: POST\n  body: '{{after: .cursor}}'\n  items: .page.items\n  \
         next: .page.more\n  cursor: .page.end\n  auth: {{bearer: '${{file:secrets/vendor-token}}'}}\n{more}"
    )
}

/// How often each item was told.
async fn told(stack: &Stack) -> BTreeMap<u64, usize> {
    let mut told = BTreeMap::new();
    for event in stack.streams.events().await {
        if event.subject.starts_with("events.hr.") && event.subject.ends_with(".user.created") {
            *told.entry(event.json()["info"]["n"].as_u64().unwrap()).or_default() += 1;
        }
    }
    told
}

async fn until_told(stack: &Stack, count: usize) {
    until("everything is told", async || told(stack).await.len() >= count).await;
    let told = told(stack).await;
    assert!(told.len() == count && told.values().all(|times| *times == 1), "{told:?}");
}

#[tokio::test]
async fn a_broker_killed_between_a_page_and_its_cursor_tells_everything_once() {
    let count = Arc::new(AtomicUsize::new(7));
    let vendor = vendor(&count).await;
    let builder = Stack::new().secret("vendor-token").file("sources/hr.yaml", &source(&vendor.url, ""));
    let mut stack = builder.start().await;
    let mut broker = stack.take_broker();
    until_told(&stack, 7).await;
    for round in 0..6_u64 {
        count.fetch_add(5, Ordering::SeqCst);
        // Somewhere between asking, telling and keeping.
        tokio::time::sleep(Duration::from_millis(250 * round)).await;
        broker.kill();
        broker.start().await;
    }
    until_told(&stack, 37).await;
    // What a page left: its events are there, and the cursor is not.
    let events = stack.streams.js.get_stream("EVENTS").await.unwrap();
    let last = events.get_last_raw_message_by_subject("events.hr.-.source.polled").await.unwrap();
    broker.kill();
    events.delete_message(last.sequence).await.unwrap();
    stack.streams.publish("events.manual.-.test.behind", r#"{"scope":"test","action":"behind"}"#).await;
    count.fetch_add(1, Ordering::SeqCst);
    broker.start().await;
    until_told(&stack, 38).await;
    broker.kill();
}

#[tokio::test]
async fn another_broker_goes_on_where_the_log_says_and_the_old_one_takes_nothing_back() {
    let count = Arc::new(AtomicUsize::new(4));
    let vendor = vendor(&count).await;
    let builder = Stack::new().secret("vendor-token").file("sources/hr.yaml", &source(&vendor.url, ""));
    let mut stack = builder.start().await;
    let mut brokers = [stack.take_broker(), stack.other_broker()];
    until_told(&stack, 4).await;
    brokers[1].start().await;
    let leader = |brokers: &[Broker]| (0..2).max_by_key(|index| brokers[*index].last_led()).unwrap();
    for round in 1..4 {
        let leading = leader(&brokers);
        if round == 2 {
            brokers[leading].freeze(true);
        } else {
            brokers[leading].kill();
        }
        count.fetch_add(4, Ordering::SeqCst);
        until_told(&stack, 4 + 4 * round).await;
        if round == 2 {
            brokers[leading].freeze(false);
        } else {
            brokers[leading].start().await;
        }
    }
    // Each cursor is behind the one before it.
    let mut ends = Vec::new();
    for event in stack.streams.events().await {
        if event.subject == "events.hr.-.source.polled" {
            ends.push(event.json()["info"]["cursor"].as_u64().unwrap());
        }
    }
    assert!(ends.is_sorted() && ends.last() == Some(&16), "{ends:?}");
    brokers.iter_mut().for_each(Broker::kill);
}

#[tokio::test]
async fn trouble_is_an_event_and_so_is_silence() {
    let count = Arc::new(AtomicUsize::new(1));
    let vendor = vendor(&count).await;
    let file = source(&vendor.url, "silent_after: 2s\n");
    let mut stack = Stack::new().secret("vendor-token").file("sources/hr.yaml", &file).start().await;
    until_told(&stack, 1).await;
    vendor.answer(|_| (500, vec![], "out of order".to_owned()));
    let one = async |subject: &str| {
        let events = stack.streams.events().await;
        let found: Vec<Value> =
            events.into_iter().filter(|event| event.subject == subject).map(|event| event.json()).collect();
        assert!(found.len() <= 1, "{subject} once: {found:?}");
        found.into_iter().next()
    };
    let failed = until_some("trouble is told", async || one("events.hr.-.source.poll_failed").await).await;
    assert_eq!(failed["info"]["reason"], "answered 500 Internal Server Error: out of order");
    let shown = stack.shown(&["sources"]).await;
    assert!(shown.contains("failing") && shown.contains("answered 500"), "{shown}");
    let page = stack.http.get(format!("http://127.0.0.1:{}/metrics", stack.broker.ops)).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("emote_poll_failing{source=\"hr\",kind=\"poll\"} 1"), "{page}");
    let silent = until_some("silence is told", async || one("events.broker.-.source.silent").await).await;
    assert_eq!(silent["info"]["source"], "hr");
    // A broker that begins anew in the middle of it says nothing again.
    let mut broker = stack.take_broker();
    broker.kill();
    let asked = vendor.seen().len();
    broker.start().await;
    until("it has asked twice in vain", async || vendor.seen().len() >= asked + 2).await;
    let now = Arc::clone(&count);
    vendor.answer(move |seen| {
        let after = seen.json()["after"].as_u64().map_or(0, |after| usize::try_from(after).unwrap());
        let items: Vec<Value> =
            (after..now.load(Ordering::SeqCst)).map(|n| json!({"id": format!("i{n}"), "n": n})).collect();
        (200, vec![], json!({"items": items, "end": now.load(Ordering::SeqCst), "more": false}).to_string())
    });
    count.fetch_add(1, Ordering::SeqCst);
    let recovered = until_some("its end is told", async || {
        let events = stack.streams.events().await;
        let silent = events.iter().filter(|event| event.subject == "events.broker.-.source.silent").count();
        assert_eq!(silent, 1, "silence is told once");
        events.into_iter().find(|event| event.subject == "events.broker.-.source.recovered")
    })
    .await;
    assert!(recovered.json()["info"]["silent_for_s"].as_u64().unwrap() >= 2, "{}", recovered.json());
    broker.kill();
}

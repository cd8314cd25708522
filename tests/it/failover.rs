//! Three brokers on one NATS: whoever leads is killed, again and again, and another one leads.

use std::time::{Duration, Instant};

use emote::{
    bus::{Bus, BusSettings},
    config::Set,
};
use emote_tests::{Stack, until, until_some, webhook};
use futures_util::StreamExt;
use serde_json::json;

const COUNTED: &str = "pattern: {scope: [test]}\ntargets: [log]\n";
/// What a broker logs when it begins to lead.
const LEADING: &str = "leading: this broker folds";
const SUBJECT: &str = "events.manual.-.test.counted";

/// Who leads by the checkpoint: `<data folder's name>.<run>`, nothing where nobody does.
async fn leading(stack: &Stack) -> Option<String> {
    checkpoint(stack).await?["broker"].as_str().filter(|broker| !broker.is_empty()).map(str::to_owned)
}

async fn checkpoint(stack: &Stack) -> Option<serde_json::Value> {
    let deliveries = stack.streams.js.get_stream("DELIVERIES").await.ok()?;
    let checkpoint = deliveries.get_last_raw_message_by_subject("checkpoint.0").await.ok()?;
    serde_json::from_slice(&checkpoint.payload).ok()
}

/// Publishes an event and waits for its job; how long that took.
async fn until_its_job(stack: &Stack, n: u64) -> Duration {
    let mut jobs = stack.streams.client.subscribe("deliver.log.counted").await.unwrap();
    stack.streams.client.flush().await.unwrap();
    let begun = Instant::now();
    let event = json!({"scope": "test", "action": "counted", "info": {"n": n}});
    stack.streams.publish(SUBJECT, event.to_string()).await;
    tokio::time::timeout(Duration::from_secs(30), jobs.next()).await.expect("a job within half a minute").unwrap();
    begun.elapsed()
}

/// With a second and a third broker, all of which have read the rules.
async fn three() -> (Stack, Vec<emote_tests::Broker>) {
    let mut stack = Stack::new().file("rules/counted.yaml", COUNTED).start().await;
    let first = stack.take_broker();
    let mut brokers = vec![first, stack.other_broker(), stack.other_broker()];
    for broker in &mut brokers[1..] {
        broker.start().await;
    }
    until("somebody leads", async || leading(&stack).await.is_some()).await;
    (stack, brokers)
}

/// The last entry in a broker's records, as its metrics say.
async fn position(stack: &Stack, broker: &emote_tests::Broker) -> Option<u64> {
    let page = stack.http.get(format!("http://127.0.0.1:{}/metrics", broker.ops)).send().await.ok()?;
    let page = page.text().await.ok()?;
    page.lines().find_map(|line| line.strip_prefix("emote_log_position "))?.parse().ok()
}

/// Which of them leads: whoever said so last.
fn leader(brokers: &[emote_tests::Broker]) -> usize {
    let led = brokers.iter().enumerate().filter_map(|(index, broker)| Some((broker.last_led()?, index)));
    led.max().expect("somebody leads").1
}

#[tokio::test]
async fn the_leading_broker_killed_again_and_again_is_followed_within_five_seconds() {
    let (stack, mut brokers) = three().await;
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let leading = leader(&brokers);
        brokers[leading].kill();
        let took = until_its_job(&stack, round).await;
        eprintln!("the leading broker killed: the next job after {took:?}");
        assert!(took < Duration::from_secs(5), "{took:?}");
        for (index, broker) in brokers.iter().enumerate().filter(|(index, _)| *index != leading) {
            let hook = webhook::okta_deactivated(&["nobody@example.com"], &format!("h{round}-{index}"));
            let posted = stack.okta_at(broker.port, &hook).await;
            assert_eq!(posted.status, 200, "a broker that stands by takes webhooks, too: {posted:?}");
            acknowledged.extend(posted.events());
        }
        brokers[leading].start().await;
    }
    stack.has_each_once(&acknowledged).await;
}

#[tokio::test]
async fn a_broker_that_is_stopped_hands_over_at_once() {
    let (stack, mut brokers) = three().await;
    for round in 0..3 {
        let index = leader(&brokers);
        let before = until_some("somebody leads", async || leading(&stack).await).await;
        assert_eq!(brokers[index].stop().await, Some(0));
        let took = until_its_job(&stack, round).await;
        eprintln!("the leading broker stopped: the next job after {took:?}");
        assert!(took < Duration::from_millis(1_500), "{took:?}");
        assert_ne!(leading(&stack).await, Some(before));
        brokers[index].start().await;
    }
    stack.settled().await;
    until("somebody leads", async || leading(&stack).await.is_some()).await;
}

/// Who stands by has nothing to read while it is of another log than the checkpoint.
#[tokio::test]
async fn who_takes_over_knows_that_events_was_made_anew() {
    let (stack, mut brokers) = three().await;
    for n in 0..20 {
        until_its_job(&stack, n).await;
    }
    stack.settled().await;
    for broker in &brokers {
        until("it has followed", async || position(&stack, broker).await >= Some(20)).await;
    }
    let js = &stack.streams.js;
    let config = js.get_stream("EVENTS").await.unwrap().cached_info().config.clone();
    js.delete_stream("EVENTS").await.unwrap();
    js.create_stream(config).await.unwrap();
    until_its_job(&stack, 20).await;
    let leading = leader(&brokers);
    brokers[leading].kill();
    until_its_job(&stack, 21).await;
    brokers.iter_mut().for_each(emote_tests::Broker::kill);
}

/// Copies know themselves by one name, and would take the lead from each other for ever.
#[tokio::test]
async fn a_broker_on_a_copy_of_anothers_data_folder_is_told_and_becomes_another() {
    let copied = "another broker runs on a copy of this one's data folder";
    let mut stack = Stack::new().file("rules/counted.yaml", COUNTED).expect_error(copied).start().await;
    until_its_job(&stack, 0).await;
    let (mut first, mut other) = (stack.take_broker(), stack.other_broker());
    assert_eq!(first.stop().await, Some(0));
    std::fs::create_dir_all(other.store().parent().unwrap()).unwrap();
    std::fs::copy(first.store(), other.store()).unwrap();
    for (n, broker) in (1..).zip([&mut first, &mut other]) {
        broker.start().await;
        until("it leads", async || broker.last_led().is_some()).await;
        until_its_job(&stack, n).await;
    }
    until("who led before says why it does no more", async || first.logged(copied) == 1).await;
    until("it stands by", async || first.logged("standing by: another broker folds") == 1).await;
    let leads = leading(&stack).await;
    for n in 3..23 {
        until_its_job(&stack, n).await;
    }
    assert_eq!((leading(&stack).await, first.logged(LEADING), other.logged(LEADING)), (leads.clone(), 2, 1));

    other.kill();
    until_its_job(&stack, 23).await;
    assert_eq!(first.logged(LEADING), 3);
    let names = [leads, leading(&stack).await].map(|id| id.unwrap().split_once('.').unwrap().0.to_owned());
    assert_ne!(names[0], names[1]);
    other.start().await;
    until("it stands by", async || other.logged("standing by: another broker folds") == 1).await;
    until_its_job(&stack, 24).await;
    assert_eq!(
        (first.logged(LEADING), first.logged(copied), other.logged(copied)),
        (3, 1, 0),
        "each is one of its own"
    );
    first.kill();
    other.kill();
}

/// The store is gone, and so is something of the log that it is made anew from: it is led again at once.
async fn is_led_again_without(gone: impl AsyncFnOnce(&Stack)) {
    async fn last(stack: &Stack) -> u64 {
        stack.streams.js.get_stream("EVENTS").await.unwrap().cached_info().state.last_sequence
    }
    let mut stack = Stack::new().file("rules/counted.yaml", COUNTED).start().await;
    until_its_job(&stack, 0).await;
    stack.settled().await;
    let all = last(&stack).await;
    until("the checkpoint says so", async || checkpoint(&stack).await.is_some_and(|found| found["sequence"] == all))
        .await;
    stack.broker.kill();
    std::fs::remove_file(stack.broker.store()).unwrap();
    gone(&stack).await;
    let (before, ended) = (leading(&stack).await, last(&stack).await);
    stack.broker.start().await;
    until("it leads", async || leading(&stack).await != before).await;
    assert_eq!(last(&stack).await, ended, "no event came to its help");
    until_its_job(&stack, 1).await;
}

#[tokio::test]
async fn a_store_made_anew_from_a_log_that_was_purged_keeps_nobody_from_leading() {
    is_led_again_without(async |stack| {
        stack.streams.js.get_stream("EVENTS").await.unwrap().purge().await.unwrap();
    })
    .await;
}

/// Nothing says that the checkpoint is reached: its entry is gone, and no other one is behind it.
#[tokio::test]
async fn a_checkpoint_whose_entry_was_deleted_keeps_nobody_from_leading() {
    is_led_again_without(async |stack| {
        let mut events = stack.streams.js.get_stream("EVENTS").await.unwrap();
        let last = events.info().await.unwrap().state.last_sequence;
        assert!(last > 1, "something is left in front of it");
        assert!(events.delete_message(last).await.unwrap());
    })
    .await;
}

/// Its order is there to be folded again, and by then the set may be there.
#[tokio::test]
async fn rules_that_were_refused_are_not_in_force_with_the_next_broker_either() {
    let mut stack = Stack::new().start().await;
    std::fs::write(stack.config.join("rules/counted.yaml"), COUNTED).unwrap();
    let set = Set::read(&stack.config).unwrap();
    let order = json!({"scope": "config", "action": "applied", "info": {"hash": set.hash()}});
    stack.streams.publish("events.admin.ada.config.applied", order.to_string()).await;
    until("it is refused", async || !stack.streams.read("EVENTS", "events.broker.*.config.refused").await.is_empty())
        .await;
    let bus = Bus::connect(&BusSettings::local(stack.nats.url(), "late")).await.unwrap();
    bus.store_set(&set.hash(), &set.to_json()).await.unwrap();
    let mut other = stack.other_broker();
    other.start().await;
    stack.broker.kill();
    until("the other one leads", async || other.last_led().is_some()).await;
    let event = json!({"scope": "test", "action": "counted"}).to_string();
    stack.streams.publish("events.manual.C02.test.counted", event).await;
    until("it is folded", async || stack.shown(&["nodes"]).await.contains("C02")).await;
    assert!(stack.streams.read("DELIVERIES", "deliver.log.counted").await.is_empty());
    other.kill();
}

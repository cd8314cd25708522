//! NATS away and back, without any program being started again.

use emote_tests::{Stack, until, webhook};
use serde_json::json;

#[tokio::test]
async fn while_nats_is_away_webhooks_are_told_to_come_again_and_agents_keep_their_events() {
    let mut stack = Stack::new().agent("C02XL0GTJGH5").start().await;
    let agent = &stack.agents[0];
    until("the agent has sent what it had", || async { agent.waiting().await == Some(0) }).await;
    stack.nats.stop().await;

    let hook = webhook::okta_deactivated(&["ada@example.com"], "h1");
    until("the broker notices", || async { stack.okta(&hook).await.status == 503 }).await;
    let refused = stack.okta(&hook).await;
    assert_eq!((refused.status, refused.retry_after.as_deref()), (503, Some("5")), "{refused:?}");
    for _ in 0..20 {
        assert_eq!(stack.okta(&hook).await.status, 503);
    }
    let agent = &stack.agents[0];
    let event = json!({"scope": "test", "action": "counted", "log": true});
    let id = agent.emit(event).await.expect("the agent takes events without a server");
    assert_eq!(agent.waiting().await, Some(1));

    stack.nats.start_again().await;
    until("a webhook is taken", || async { stack.okta(&hook).await.status == 200 }).await;
    let said = |what: &str| stack.logged().lines().filter(|line| line.contains(what)).count();
    assert_eq!((said("webhooks are taken again"), said("webhook refused")), (1, 0));
    let refused = said("webhooks are refused");
    assert!((1..5).contains(&refused), "said {refused} times that more than 20 were refused");
    let agent = &stack.agents[0];
    until("the spool is empty", || async { agent.waiting().await == Some(0) }).await;
    let log = stack.config.join("data/events.jsonl");
    until("the event is logged", || async { std::fs::read_to_string(&log).is_ok_and(|text| text.contains(&id)) }).await;
    let events = stack.settled().await;
    assert_eq!(events.iter().filter(|event| event.subject.contains("deactivated")).count(), 1);
    assert!(stack.broker.is_running());
}

#[tokio::test]
async fn a_broker_started_while_nats_is_away_waits_for_it() {
    let mut stack = Stack::new().without_nats().start().await;
    stack.broker.begin();
    until("the broker says that it waits", || async { stack.logged().contains("waiting for NATS") }).await;
    stack.nats.start_again().await;
    until("the broker takes webhooks", || async {
        stack.okta(&webhook::okta_deactivated(&["ada@example.com"], "h1")).await.status == 200
    })
    .await;
    stack.settled().await;
    assert_eq!(stack.broker.stop().await, Some(0));
}

#[tokio::test]
async fn jobs_that_ended_while_nats_was_away_are_reported_once() {
    let mut stack = Stack::new().start().await;
    let asset = json!({"serial": "C02XL0GTJGH5", "owner": "ada@example.com"});
    assert_eq!(stack.asset(&asset).await.status, 200);
    assert_eq!(stack.nanomdm(&webhook::authenticate("C02XL0GTJGH5", "U-1", "a")).await.status, 200);
    // The lock is taken while the MDM keeps the broker waiting; meanwhile NATS goes away.
    let (asked, ask) = std::sync::mpsc::channel::<()>();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    stack.mdm.answer(move |seen| {
        asked.send(()).ok();
        gone.recv_timeout(std::time::Duration::from_secs(1)).ok();
        Stack::enqueued(seen)
    });
    assert_eq!(stack.okta(&webhook::okta_deactivated(&["ada@example.com"], "h1")).await.status, 200);
    let ask = std::sync::Arc::new(std::sync::Mutex::new(ask));
    until("the MDM is asked", || {
        let asked = ask.lock().unwrap().try_recv().is_ok();
        async move { asked }
    })
    .await;
    stack.nats.kill();
    go.send(()).ok();
    stack.nats.start_again().await;
    let events = stack.settled().await;
    assert_eq!(events.iter().filter(|event| event.subject.ends_with("mdm.command_sent")).count(), 1);
}

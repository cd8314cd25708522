//! The real program and a real nats-server, either of them killed at any moment: every event that `emit` confirmed is in
//! the stream once, and in order.

mod proxy;
mod settings;
mod stack;

use std::collections::BTreeMap;
use std::time::Duration;

use emote_agent::socket::Answer;
use emote_proto::Draft;
use stack::{Stack, simulate};

use crate::programs::until;

/// Emits `n`, and notes it when it was confirmed.
async fn emit(stack: &Stack, n: u64, confirmed: &mut Vec<u64>) {
    if let Ok(Answer::Id(_)) = stack.emit(n).await {
        confirmed.push(n);
    }
}

#[tokio::test]
async fn the_agent_killed_while_events_are_emitted_loses_and_doubles_nothing() {
    let mut stack = Stack::start().await;
    let (mut confirmed, mut n) = (Vec::new(), 0);
    for round in 0..12 {
        stack.start_agent().await;
        for _ in 0..round * 3 + 1 {
            n += 1;
            emit(&stack, n, &mut confirmed).await;
        }
        // Together, so that some are cut off by the kill: those are not confirmed, and may be there or not.
        let late = n + 1..=n + 5;
        n += 5;
        let (emitted, ()) = tokio::join!(stack.emit_all(late), stack.kill_agent_after_first_answer());
        confirmed.extend(emitted);
        stack.reap_agent().await;
    }
    stack.start_agent().await;
    stack.check(&confirmed).await;
}

#[tokio::test]
async fn events_wait_while_the_server_is_away() {
    let mut stack = Stack::start().await;
    stack.start_agent().await;
    let (mut confirmed, mut n) = (Vec::new(), 0);
    for _ in 0..3 {
        for _ in 0..20 {
            n += 1;
            emit(&stack, n, &mut confirmed).await;
        }
        stack.kill_server().await;
        for _ in 0..150 {
            n += 1;
            emit(&stack, n, &mut confirmed).await;
        }
        stack.start_server().await;
    }
    assert_eq!(confirmed.len() as u64, n, "the agent confirms without a server");
    stack.check(&confirmed).await;
}

#[tokio::test]
async fn answers_lost_on_the_way_double_nothing() {
    let mut stack = Stack::start().await;
    stack.with_heartbeats();
    let proxy = stack.put_proxy_between(12).await;
    let (mut confirmed, mut n) = (Vec::new(), 0);
    stack.start_agent().await;
    while proxy.cuts() < 12 {
        n += 7;
        confirmed.extend(stack.emit_all(n - 6..=n).await);
        until("an answer is lost, or everything is stored", || async {
            proxy.cuts() >= 12 || stack.waiting().await == Some(0)
        })
        .await;
    }
    assert_eq!(confirmed.len() as u64, n);
    stack.check(&confirmed).await;
}

#[tokio::test]
async fn both_killed_in_turn_lose_and_double_nothing() {
    let mut stack = Stack::start().await;
    stack.with_heartbeats();
    let (mut confirmed, mut n) = (Vec::new(), 0);
    for round in 0..5 {
        stack.start_agent().await;
        for _ in 0..120 {
            n += 1;
            emit(&stack, n, &mut confirmed).await;
        }
        stack.kill_server().await;
        if round % 2 == 0 {
            stack.kill_agent();
            stack.reap_agent().await;
            stack.start_server().await;
        } else {
            stack.start_server().await;
            stack.kill_agent();
            stack.reap_agent().await;
        }
    }
    stack.start_agent().await;
    stack.check(&confirmed).await;
}

#[tokio::test]
async fn a_purged_stream_and_a_stranger_under_the_same_serial_number_do_not_stop_it() {
    let mut stack = Stack::start().await;
    stack.start_agent().await;
    let mut confirmed = Vec::new();
    emit(&stack, 1, &mut confirmed).await;
    until("the first is stored", || async { stack.waiting().await == Some(0) }).await;
    stack.publish("events.agent.T1.stranger.here").await;
    emit(&stack, 2, &mut confirmed).await;
    until("the second is stored", || async { stack.waiting().await == Some(0) }).await;
    stack.purge().await;
    emit(&stack, 3, &mut confirmed).await;
    until("the third is stored", || async { stack.waiting().await == Some(0) }).await;
    assert_eq!(stack.numbers().await, [3]);
}

#[tokio::test]
async fn told_to_stop_it_says_so_and_leaves_nothing_behind() {
    let mut stack = Stack::start().await;
    stack.start_agent().await;
    let status = tokio::time::timeout(Duration::from_secs(10), stack.stop_agent()).await.expect("stops in time");
    assert_eq!(status.code(), Some(0));
    let subjects = stack.subjects().await;
    let expected = ["agent.started", "device.inventory", "agent.stopped"].map(|kind| format!("events.agent.T1.{kind}"));
    assert_eq!(subjects, expected);
}

#[tokio::test]
async fn a_simulation_killed_twice_goes_on_where_it_was_and_doubles_nothing() {
    let stack = Stack::start().await;
    for enough in [150, 700] {
        let mut killed = stack.simulation().spawn().unwrap();
        until("some events are stored", || async { stack.count().await >= enough }).await;
        killed.kill().await.unwrap();
    }
    let (third, fourth) = (stack.simulated().await, stack.simulated().await);
    assert_eq!((&third["waiting"], &fourth["waiting"], &fourth["stored"]), (&0.into(), &0.into(), &0.into()));
    assert!(third["found"].as_u64() >= Some(700) && third["events"] == fourth["found"], "{third} {fourth}");

    // A larger fleet begins with the same Macs.
    let printed = simulate(26).arg("--print").output().await.unwrap().stdout;
    let mut expected = BTreeMap::<String, Vec<_>>::new();
    for line in printed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let event = Draft::parse(line).unwrap();
        let events = expected.entry(event.device.unwrap().uuid.unwrap()).or_default();
        events.push((events.len() as u64 + 1, event.id.unwrap()));
    }
    expected.retain(|serial, _| !serial.ends_with("00025"));
    assert_eq!(stack.by_serial().await, expected);
}

//! Settings that are wrong, and settings that change while the agent runs.

use emote_agent::socket::{Answer, Ask, call};
use serde_json::{Value, json};

use super::stack::Stack;
use crate::programs::until;

/// Has the agent look, until it has told so many times.
async fn nudge_until(stack: &Stack, kind: &str, times: usize) -> Vec<Value> {
    stack.nudge();
    until(&format!("{kind} {times} times"), || async { stack.told(kind).await.len() >= times }).await;
    let told = stack.told(kind).await;
    assert_eq!(told.len(), times, "{told:?}");
    told
}

/// Key and layer of each problem that an event tells of.
fn keys(info: &Value) -> Vec<[&str; 2]> {
    let problems = info["problems"].as_array().unwrap().iter();
    problems.map(|problem| ["key", "layer"].map(|field| problem[field].as_str().unwrap())).collect()
}

#[tokio::test]
async fn what_is_wrong_is_told_once_and_the_agent_runs_on() {
    let mut stack = Stack::start().await;
    stack.write("agent.toml", &format!("server = '{}'\nhartbeat = '5m'\nquota = '2MiB'", stack.url()));
    stack.write(
        "managed.plist",
        "<plist><dict><key>heartbeat</key><integer>300</integer><key>token_file</key><array><string>hunter2</string>
        </array><key>quota</key><string>3MiB</string></dict></plist>",
    );
    stack.start_agent_by_files().await;
    until("the problems are told", || async { stack.told("agent.misconfigured").await.len() == 1 }).await;
    let told = stack.told("agent.misconfigured").await;
    assert_eq!(keys(&told[0]), [["hartbeat", "file"], ["heartbeat", "managed"], ["token_file", "managed"]]);
    assert!(!told[0].to_string().contains("hunter2"));
    assert_eq!(stack.status().await.unwrap().spool.quota, 3 << 20, "what is managed goes over the file");

    stack.kill_agent();
    stack.reap_agent().await;
    stack.start_agent_by_files().await;
    until("it was started again", || async { stack.told("agent.started").await.len() == 2 }).await;
    assert_eq!(stack.told("agent.misconfigured").await.len(), 1, "not told again");

    stack.write("managed.plist", "<plist><dict/></plist>");
    stack.write("agent.toml", &format!("server = '{}'", stack.url()));
    let told = nudge_until(&stack, "agent.misconfigured", 2).await;
    assert_eq!(told[1], json!({"problems": []}));
    assert_eq!(stack.told("agent.reconfigured").await, [json!({"changed": ["quota"]})]);
    stack.check(&[]).await;
}

#[tokio::test]
async fn settings_change_under_events_and_none_is_lost() {
    let mut stack = Stack::start().await;
    let server = format!("server = '{}'\n", stack.url());
    stack.write("agent.toml", &server);
    stack.start_agent_by_files().await;
    let (mut confirmed, mut n) = (Vec::new(), 0);
    // The last two have the spool opened anew.
    for (round, keys) in ["heartbeat = '1h'", "poll = '30s'", "quota = '5MiB'", "quota = '6MiB'"].iter().enumerate() {
        stack.write("agent.toml", &format!("{server}{keys}"));
        stack.nudge();
        while stack.told("agent.reconfigured").await.len() <= round {
            n += 1;
            // Nobody listens for a moment: a client asks again, as the program does.
            if matches!(stack.emit(n).await, Ok(Answer::Id(_))) {
                confirmed.push(n);
            }
        }
    }
    assert!(confirmed.len() as u64 >= n - 10, "{} of {n}", confirmed.len());
    stack.check(&confirmed).await;
    assert_eq!(stack.told("agent.started").await.len(), 1);
    assert_eq!(stack.told("agent.stopped").await.len(), 0);
    let changed: Vec<String> =
        stack.told("agent.reconfigured").await.iter().map(|info| info["changed"].to_string()).collect();
    assert!(changed[0].contains("heartbeat") && changed[3] == "[\"quota\"]", "{changed:?}");
}

#[tokio::test]
async fn events_go_to_the_server_that_the_settings_name_and_wait_when_they_name_none() {
    let (mut stack, other) = (Stack::start().await, Stack::start().await);
    let name = |stack: &Stack| format!("server = '{}'", stack.url());
    stack.write("agent.toml", &name(&stack));
    stack.start_agent_by_files().await;
    until("it is connected", || async { stack.status().await.is_some_and(|status| status.uplink.connected) }).await;

    stack.write("agent.toml", &name(&other));
    stack.nudge();
    until("the other server is told", || async { other.told("agent.reconfigured").await.len() == 1 }).await;
    assert!(matches!(stack.emit(1).await, Ok(Answer::Id(_))));
    until("the event is there", || async { other.numbers().await == [1] }).await;

    stack.write("agent.toml", "server = [what is this\n");
    stack.nudge();
    let told = || async { stack.status().await.is_some_and(|status| !status.problems.is_empty()) };
    until("the slip is told", told).await;
    let status = stack.status().await.unwrap();
    assert!(status.uplink.connected && !status.uplink.servers.is_empty(), "what the file said before still holds");
    assert_eq!(status.problems.len(), 1, "{:?}", status.problems);
    assert!(status.problems[0].to_string().contains("line 1, column "), "{}", status.problems[0]);

    stack.write("agent.toml", "heartbeat = '1m'\n");
    stack.nudge();
    let known = || async { stack.status().await.is_some_and(|status| status.uplink.servers.is_empty()) };
    until("no server is known", known).await;
    let status = stack.status().await.unwrap();
    assert!(!status.uplink.connected && status.uplink.last_error.unwrap().contains("no server is known"));
    assert!(matches!(stack.emit(2).await, Ok(Answer::Id(_))));

    stack.write("agent.toml", &name(&other));
    stack.nudge();
    until("what waited is there", || async { other.numbers().await == [1, 2] }).await;
    let told = other.told("agent.misconfigured").await;
    assert_eq!(told.len(), 2);
    assert_eq!(told[1], json!({"problems": []}));
    assert_eq!(stack.numbers().await, [0_u64; 0]);
}

#[tokio::test]
async fn killed_at_any_moment_of_a_change_it_tells_of_it_all_the_same() {
    let mut stack = Stack::start().await;
    let server = format!("server = '{}'\n", stack.url());
    stack.write("agent.toml", &server);
    stack.start_agent_by_files().await;
    until("the first events are there", || async { !stack.told("device.inventory").await.is_empty() }).await;
    let (mut confirmed, rounds) = (Vec::new(), 10_u64);
    for round in 0..rounds {
        stack.write("agent.toml", &format!("{server}quota = '{}MiB'\nheartbeat = '{}m'", 70 + round, 70 + round));
        stack.nudge();
        if matches!(stack.emit(round).await, Ok(Answer::Id(_))) {
            confirmed.push(round);
        }
        let begun = || async { stack.log().matches("other settings").count() as u64 > round };
        until("the change is being applied", begun).await;
        stack.kill_agent();
        stack.reap_agent().await;
        stack.start_agent_by_files().await;
    }
    stack.check(&confirmed).await;
    let told = stack.told("agent.reconfigured").await;
    assert_eq!(told.len() as u64, rounds, "{told:?}");
    assert!(told.iter().all(|info| info["changed"] == json!(["heartbeat", "quota"])), "{told:?}");
}

#[tokio::test]
async fn a_place_that_cannot_be_used_is_tried_again_when_something_is_said() {
    let mut stack = Stack::start().await;
    let socket = stack.path("later/a.sock");
    let server = format!("server = '{}'\n", stack.url());
    stack.write("agent.toml", &server);
    stack.start_agent_by_files().await;
    until("the first events are there", || async { !stack.told("device.inventory").await.is_empty() }).await;
    let moved = format!("{server}socket = '{}'\n", socket.display());
    stack.write("agent.toml", &moved);
    let told = nudge_until(&stack, "agent.misconfigured", 1).await;
    assert_eq!(keys(&told[0]), [["socket", "file"]]);
    std::fs::create_dir(stack.path("later")).unwrap();
    stack.write("agent.toml", &format!("{moved}# Now it is there.\n"));
    let told = nudge_until(&stack, "agent.misconfigured", 2).await;
    assert_eq!(told[1], json!({"problems": []}));
    assert!(matches!(call(&socket, &Ask::Status {}).await, Ok(Answer::Status(_))), "it is put right as it says");
}

//! The admin's command line against a running stack: what it prints, and how it ends.

use emote_tests::{Stack, emote, free_port, until, webhook};
use serde_json::{Value, json};

#[tokio::test]
async fn a_broken_folder_is_told_with_file_line_and_column() {
    let stack = Stack::new().without_broker().start().await;
    let table = [
        ("emote.yaml", "nats: {servers: []}\n", "emote.yaml:1:"),
        ("emote.yaml", "ingest: {listen: nowhere}\n", "emote.yaml:1:"),
        ("emote.yaml", "ingest:\n  listen: 0.0.0.0:8480\n", "emote.yaml:2:"),
        ("emote.yaml", "ops:\n  listen: 0.0.0.0:8481\n", "emote.yaml:2:"),
        ("emote.yaml", "ops:\n  port: 8481\n", "emote.yaml:2:"),
        ("emote.yaml", "dta: data\n", "emote.yaml:1:1: "),
        ("emote.yaml", "a: [\n", "emote.yaml:"),
        ("rules/log.yaml", "targets: [log]\npattern:\n  log: true\n", "rules/log.yaml:3:8: pattern.log: "),
        ("rules/log.yaml", "pattern: {log: [true]}\ntargets: [lgo]\n", "rules/log.yaml:2:"),
        ("rules/log.yaml", "pattern: {log: [true]}\ntargets: [{target: log, input: '{'}]\n", "rules/log.yaml:2:"),
        ("rules/log.yaml", "pattern: {log: [{prefx: a}]}\ntargets: [log]\n", "rules/log.yaml:1:"),
        ("targets/log.yaml", "kind: lgo\n", "targets/log.yaml:1:"),
        ("targets/slack.yaml", "kind: slack\nwebhook: https://hooks.example.com/x\n", "targets/slack.yaml:2:"),
        ("sources/okta.yaml", "preset: okat\n", "sources/okta.yaml:1:"),
        ("sources/okta.yaml", "preset: okta\nsettings: {}\n", "sources/okta.yaml:"),
        ("tests/flags.yaml", "given: []\nexpect: [{rule: log, target: log}]\n", "tests/flags.yaml: "),
        (
            "targets/run.yaml",
            "kind: exec\nprogram: /opt/none/x\n",
            "targets/run.yaml:2:1: program: /opt/none/x is not among",
        ),
        (
            "sources/net.yaml",
            "preset: syslog\nlisten:\n- {transport: udp, address: \"127.0.0.1:0\"}\n- {transport: udp, adress: \"127.0.0.1:0\"}\n",
            "sources/net.yaml:4:",
        ),
        ("rules/Log.yaml", "pattern: {log: [true]}\ntargets: [log]\n", "rules/Log.yaml: "),
    ];
    let folder = stack.config.to_str().unwrap();
    assert_eq!(emote(&["check", folder]).await.status.code(), Some(0));
    for command in [&["apply", folder][..], &["plan", folder], &["events"]] {
        let output = stack.emote(command).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(4), "{command:?}: {said}");
        assert!(said.contains("no broker has ever run on this NATS: start `emote serve"), "{command:?}: {said}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = emote(&["dev", folder, "--nats-port", "0", "--listen", &address]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("error: emote.yaml: ingest: cannot listen on"), "this, and nothing before it: {said}");
    for (file, text, said) in table {
        let path = stack.config.join(file);
        let before = std::fs::read(&path).ok();
        std::fs::write(&path, text).unwrap();
        let output = emote(&["check", folder]).await;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(3), "{file} {text}: {output:?}");
        assert!(printed.contains(said), "{file} {text}: {printed}");
        let output = emote(&["check", folder, "-o", "json"]).await;
        let problems: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(problems["problems"][0]["file"], file, "{problems}");
        // Failing tests do not keep a broker from running, nor does a program that this machine does not allow; whatever else
        // is wrong does, where nothing was ever applied.
        if !file.starts_with("tests/") && file != "targets/run.yaml" {
            let served = emote(&["serve", "--config", folder]).await;
            assert_eq!(served.status.code(), Some(3), "{file} {text}: {served:?}");
        }
        match before {
            Some(before) => std::fs::write(&path, before).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
    }
}

#[tokio::test]
async fn the_screens_show_what_happened() {
    let stack = Stack::new().start().await;
    assert_eq!(stack.asset(&json!({"serial": "C02", "name": "ada-mbp", "owner": "ada@example.com"})).await.status, 200);
    assert_eq!(stack.nanomdm(&webhook::authenticate("C02", "U-1", "a")).await.status, 200);
    let posted = stack.nanomdm(&webhook::token_update("U-1", "t", 1)).await;
    stack.settled().await;

    let lines = |text: String| -> Vec<Value> { text.lines().map(|line| serde_json::from_str(line).unwrap()).collect() };
    let all = lines(stack.shown(&["events", "-o", "json"]).await);
    assert_eq!(all.len(), stack.streams.events().await.len());
    for (args, count) in [
        (&["--source", "nanomdm"][..], 2),
        (&["--node", "C02", "--action", "enroll"], 1),
        (&["--node", "U-1", "--action", "enroll"], 1),
        (&["--since", "1h", "--scope", "asset"], 2),
        (&["-n", "1"], 1),
        (&["--source", "nobody"], 0),
    ] {
        let found = lines(stack.shown(&[&["events", "-o", "json"], args].concat()).await);
        assert_eq!(found.len(), count, "{args:?}: {found:?}");
    }
    let table = stack.shown(&["events"]).await;
    assert!(table.contains("device.enroll") && table.contains("asset.updated"), "{table}");

    let nodes = lines(stack.shown(&["nodes", "-o", "json"]).await);
    assert_eq!((nodes.len(), &nodes[0]["record"]["name"]), (1, &json!("ada-mbp")));
    assert!(stack.shown(&["nodes"]).await.contains("ada@example.com"));
    let node = stack.shown(&["node", "C02"]).await;
    assert!(node.contains("nanomdm") && node.contains("device.enroll"), "{node}");

    let id = &posted.events()[0];
    let trace: Value = serde_json::from_str(&stack.shown(&["trace", id, "-o", "json"]).await).unwrap();
    let named = |value: &Value, field: &str| -> Vec<String> {
        let mut names: Vec<String> =
            value.as_array().unwrap().iter().map(|one| one[field].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(named(&trace["jobs"], "rule"), ["enrolled", "name-from-asset"]);
    assert_eq!(trace["results"].as_array().unwrap().len(), 2);
    let tree = stack.shown(&["trace", id]).await;
    assert!(tree.contains("enrolled") && tree.contains("mdm.command_sent"), "{tree}");
    let result = trace["results"][0]["event"]["id"].as_str().unwrap();
    let from_result: Value = serde_json::from_str(&stack.shown(&["trace", result, "-o", "json"]).await).unwrap();
    assert_eq!(from_result["root"], trace["root"], "an effect leads to its root");
}

#[tokio::test]
async fn commands_end_with_a_code_that_says_why() {
    let mut stack = Stack::new().start().await;
    let nowhere = format!("nats://127.0.0.1:{}", free_port());
    for command in [&["events"][..], &["nodes"], &["node", "C02"], &["trace", "1"]] {
        let output = emote(&[command, &["--server", &nowhere]].concat()).await;
        assert_eq!(output.status.code(), Some(4), "{command:?}: {output:?}");
    }
    let nobody = "018bcfe5-687b-7707-8707-070707070707";
    for (command, code) in [
        (&["node", "NOBODY"][..], 5),
        (&["trace", "4711"], 5),
        (&["trace", nobody], 5),
        (&["trace", "what"], 1),
        (&["events", "--scope", "NOT"], 2),
        (&["frobnicate"], 2),
    ] {
        let output = stack.emote(command).await;
        assert_eq!(output.status.code(), Some(code), "{command:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{command:?} says why");
    }
    // Without a broker, what only its store knows cannot be told; events can.
    stack.broker.stop().await;
    assert_eq!(stack.emote(&["events"]).await.status.code(), Some(0));
    assert_ne!(stack.emote(&["nodes"]).await.status.code(), Some(0));
}

#[tokio::test]
async fn following_shows_events_as_they_come() {
    let stack = Stack::new().start().await;
    let mut command =
        std::process::Command::new(std::env::current_exe().unwrap().parent().unwrap().with_file_name("emote"));
    command.args(["events", "-f", "-o", "json", "--server", &stack.nats.url()]);
    let following = emote_tests::Process::start("follow", command, &stack.logs);
    until("an event is shown as it comes", async || {
        stack.streams.publish("events.manual.C02.test.counted", r#"{"scope":"test","action":"counted"}"#).await;
        following.log().contains("\"counted\"")
    })
    .await;
}

#[tokio::test]
async fn a_nats_server_that_is_too_old_is_refused_with_what_to_do() {
    let Some(old) = std::env::var_os("EMOTE_TEST_OLD_NATS").map(std::path::PathBuf::from) else {
        eprintln!("LEFT OUT: EMOTE_TEST_OLD_NATS names no old nats-server; ./tests/run gets one where it can");
        assert!(std::env::var_os("CI").is_none(), "an old nats-server is missing, and in CI that is a failure");
        return;
    };
    let mut stack = Stack::new().without_nats().start().await;
    stack.nats.start_program(&old).await;
    stack.broker.begin();
    assert_eq!(stack.broker.wait().await, Some(1));
    assert!(stack.logged().contains("is too old: Emote needs 2.12 or newer"), "{}", stack.logged());
    assert!(stack.streams.js.get_stream("EVENTS").await.is_err(), "nothing was written");
}

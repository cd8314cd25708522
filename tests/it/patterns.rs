//! Patterns on the command line: `emote match`, `emote explain`, and what `emote check` says of a bad one.

use std::{path::Path, process::Output};

use emote_tests::{Stack, emote, emote_fed, emote_piped, free_port};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// Cases of the reference engine beside the project, where they are.
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/patterns");

const EVENTS: &str = r#"{"scope":"device","action":"enroll","device":{"model":"Mac14,2"},"n":1.50}
{
  "scope": "device",
  "action": "lock"
}
{"scope":"user"}{"scope":"User"}
"#;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Exit code, standard output and standard error.
fn ended(output: &Output) -> (i32, String, String) {
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn matching_prints_events_as_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let events = file("events.jsonl", EVENTS);
    let pattern = format!("@{}", file("pattern.json", r#"{"scope": ["device"]}"#));
    let rule = format!("@{}", file("rule.yaml", "pattern: {scope: [device]}\ntargets: [log]\n"));
    let (first, second) = EVENTS.split_at(EVENTS.find('\n').unwrap() + 1);
    let second = &second[..second.find("}\n").unwrap() + 2];
    for (args, code, printed) in [
        (&[r#"{"action": ["enroll"]}"#, &events][..], 0, first.to_owned()),
        (&[&pattern, &events], 0, format!("{first}{second}")),
        (&[&rule, &events, "-v"], 0, "{\"scope\":\"user\"}\n{\"scope\":\"User\"}\n".to_owned()),
        (&[&pattern, &events, &events, "--count"], 0, "4\n".to_owned()),
        (&[&pattern, &events, "-c", "-o", "json"], 0, "{\"count\":2}\n".to_owned()),
        (&[r#"{"scope": ["nothing"]}"#, &events], 1, String::new()),
        (&[r#"{"scope": ["nothing"]}"#, &events, "-c"], 1, "0\n".to_owned()),
    ] {
        let output = emote(&[&["match"], args].concat()).await;
        assert_eq!(ended(&output), (code, printed, String::new()), "{args:?}");
    }
    let from_stdin = emote_fed(&["match", r#"{"scope": ["user"]}"#], EVENTS).await;
    assert_eq!(ended(&from_stdin), (0, "{\"scope\":\"user\"}\n".to_owned(), String::new()));
    let dash = emote_fed(&["match", r#"{"scope": ["user"]}"#, "-", &events, "-c"], EVENTS).await;
    assert_eq!(ended(&dash), (0, "2\n".to_owned(), String::new()));
    let lines = emote_fed(&["match", &pattern, "-o", "json"], EVENTS).await;
    let (_, printed, _) = ended(&lines);
    assert_eq!(
        printed.lines().next().unwrap(),
        r#"{"file":"stdin","line":1,"matched":true,"event":{"scope":"device","action":"enroll","device":{"model":"Mac14,2"},"n":1.50}}"#
    );
    let second: Value = serde_json::from_str(printed.lines().nth(1).unwrap()).unwrap();
    assert_eq!((&second["line"], &second["event"]["action"]), (&json!(2), &json!("lock")));
}

#[tokio::test]
async fn what_does_not_match_is_explained_and_what_is_no_event_is_told_with_its_line() {
    let pattern = r#"{"scope": ["User"]}"#;
    let explained = emote_fed(&["match", "--explain", pattern], EVENTS).await;
    let (code, printed, said) = ended(&explained);
    assert_eq!((code, printed.as_str()), (0, "{\"scope\":\"User\"}\n"));
    assert!(said.contains("stdin:6: The event does not match.\n  ✗ scope: expected \"User\"; found \"user\"\n      \"user\" differs from \"User\" only in case"), "{said}");
    assert_eq!(said.matches("The event does not match.").count(), 3, "{said}");
    assert!(!said.contains('\u{1b}'), "no colours where there is no terminal: {said}");
    let as_json = emote_fed(&["match", "--explain", "-o", "json", pattern], EVENTS).await;
    let lines: Vec<Value> = ended(&as_json).1.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[2]["explanation"]["branches"][0]["fields"][0]["near"][0]["kind"], "case");

    let broken = format!(
        "hello\n{{\"scope\": \"User\"}}\n[{EVENTS}\n{{\"scope\": 01}}\n{{\"a\": \"\\u12\"}}\n{{\"scope\":\"User\""
    );
    let (code, printed, said) = ended(&emote_fed(&["match", pattern], broken).await);
    assert_eq!((code, printed.as_str()), (1, "{\"scope\": \"User\"}\n{\"scope\":\"User\"}\n"), "{said}");
    for (line, what) in [
        (1, "not a JSON object"),
        (3, "a list, where objects"),
        (10, "not JSON"),
        (11, "not JSON"),
        (12, "not JSON: EOF"),
    ] {
        assert!(said.contains(&format!("stdin:{line}: {what}")), "{line}: {said}");
    }
    let utf8 = emote_fed(&["match", pattern], b"{\"scope\":\"\xff\"}\n{\"scope\":\"User\"}").await;
    let (code, printed, said) = ended(&utf8);
    assert_eq!((code, printed.as_str()), (1, "{\"scope\":\"User\"}\n"));
    assert!(said.starts_with("stdin:1: the event is not UTF-8"), "{said}");
    let many = emote_fed(&["match", pattern], "x\n".repeat(100)).await;
    assert!(ended(&many).2.ends_with("and 80 more that cannot be read\n"));
    let (code, _, said) = ended(&emote(&["match", pattern, "not/there.jsonl"]).await);
    assert!(code == 1 && said.starts_with("not/there.jsonl: cannot be read"), "{said}");
}

#[tokio::test]
async fn a_bad_pattern_is_shown_with_a_caret() {
    let (code, printed, said) = ended(&emote_fed(&["match", r#"{"device": {"model": [{"prefix": 14}]}}"#], "{}").await);
    assert_eq!((code, printed.as_str()), (3, ""));
    assert_eq!(
        said,
        r#"error: PATTERN:1:34: device.model: prefix takes a string, not a number
  1 | {"device": {"model": [{"prefix": 14}]}}
    |                                  ^
  write {"prefix": "MacBook"}
"#
    );
    for (args, code) in [
        (&["match"][..], 2),
        (&["match", "--jsonl", "{}"], 2),
        (&["match", "{\"a\": [1]}", "--explain", "-c"], 2),
        (&["explain", "log"], 2),
        (&["explain", "log", "x.json", "--nearest"], 2),
        (&["explain", "{\"a\": 1}", "-"], 3),
        (&["explain", "--nearest", "-", "--config", "not/there"], 5),
        (&["explain", "--nearest", "-", "--limit", "0"], 2),
        (&["explain", "log", "x.json", "--limit", "3"], 2),
        (&["explain", "log", "x.json", "-n", "100001"], 2),
    ] {
        let output = emote(args).await;
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{args:?} says why");
    }
}

/// What is wrong with a file of a pattern has one exit code, whichever command reads it and whatever it is named.
#[tokio::test]
async fn a_file_without_a_pattern_ends_with_the_same_code_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["bad.json", "bad.yaml"] {
        std::fs::write(path(name), "{\"pattern\": {\"a\": 1}, \"targets\": 1}").unwrap();
    }
    std::fs::create_dir(path("folder.json")).unwrap();
    std::fs::create_dir(path("folder.yaml")).unwrap();
    for (file, code, said) in [
        (path("none.json"), 5, "none.json: cannot be read: No such file"),
        (path("none.yaml"), 5, "none.yaml: cannot be read: No such file"),
        (path("folder.json"), 3, "folder.json: is a folder"),
        (path("folder.yaml"), 3, "folder.yaml: is a folder"),
        (path("bad.json"), 3, "    |      "),
        (path("bad.yaml"), 3, "    |      "),
        ("/dev/zero".to_owned(), 3, "/dev/zero: is larger than 1 MiB"),
    ] {
        for command in ["match", "explain"] {
            let (found, printed, told) = ended(&emote_fed(&[command, &format!("@{file}"), "-"], "{}").await);
            assert!((found, printed.as_str()) == (code, "") && told.contains(said), "{command} {file}: {found} {told}");
        }
    }
}

#[tokio::test]
async fn help_shows_the_language_and_where_all_of_it_is() {
    for command in ["match", "explain"] {
        let (code, help, _) = ended(&emote(&[command, "--help"]).await);
        for said in ["{\"prefix\": \"Mac\"}", "{\"all-of\": [", "broker/rules/PATTERNS.md", "Exit codes: 0 "] {
            assert!(code == 0 && help.contains(said), "{said}: {help}");
        }
        let (_, short, _) = ended(&emote(&[command, "-h"]).await);
        assert!(short.len() < help.len() && short.contains("Exit codes: 0 ") && !short.contains("all-of"), "{short}");
    }
}

/// Order, repeated paths and digits count: as a rule file the pattern is the same.
#[tokio::test]
async fn a_pattern_means_the_same_in_a_rule_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (pattern, events) in [
        (r#"{"$or": [{"a": [2]}, {"b": [3]}], "a": [1]}"#, r#"{"a":1}{"a":2}{"a":1,"b":3}{"a":2,"b":3}"#),
        (r#"{"a.b": [1], "a": {"b": [2]}}"#, r#"{"a":{"b":1}}{"a":{"b":2}}"#),
        (
            r#"{"a": [123456789012345678901, 1e400]}"#,
            r#"{"a":123456789012345678901}{"a":1.2345678901234568e20}{"a":1e400}"#,
        ),
        (r#"{"a": [0.1234567890123456789]}"#, r#"{"a":0.1234567890123456789}{"a":0.12345678901234568}"#),
    ] {
        std::fs::write(path("p.json"), pattern).unwrap();
        std::fs::write(path("p.yaml"), format!("pattern: {pattern}\ntargets: [log]\n")).unwrap();
        let [json, yaml] = ["p.json", "p.yaml"].map(|name| format!("@{}", path(name)));
        let json = ended(&emote_fed(&["match", &json], events).await);
        assert_eq!(ended(&emote_fed(&["match", &yaml], events).await), json, "{pattern}");
        assert!(json.0 == 0 && json.1.lines().count() < events.matches("}{").count() + 1, "{pattern}: {json:?}");
    }
}

#[tokio::test]
async fn what_check_says_of_a_pattern_points_into_it() {
    let stack = Stack::new().without_nats().start().await;
    let rule = stack.config.join("rules/lock.yaml");
    std::fs::write(
        &rule,
        "description: x\npattern:\n  scope: [device]\n  device:\n    model: [{prefix: 14}]\ntargets: [log]\n",
    )
    .unwrap();
    let output = emote(&["check", stack.config.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        text(&output.stdout),
        r#"rules/lock.yaml:5:22: pattern.device.model: prefix takes a string, not a number; write {"prefix": "MacBook"}
  5 |     model: [{prefix: 14}]
    |                      ^
"#
    );
    let output = emote(&["check", stack.config.to_str().unwrap(), "-o", "json"]).await;
    let problem = serde_json::from_slice::<Value>(&output.stdout).unwrap()["problems"][0].take();
    assert_eq!(
        (&problem["line"], &problem["column"], &problem["path"]),
        (&json!(5), &json!(22), &json!("pattern.device.model"))
    );
}

#[tokio::test]
async fn rules_of_the_folder_are_explained_and_ranked() {
    let stack = Stack::new().without_nats().start().await;
    let folder = stack.config.to_str().unwrap();
    let event = json!({"scope": "user", "action": "deactivatd", "source": "okta"}).to_string();
    let (code, printed, _) = ended(&emote_fed(&["explain", "lock-leavers", "-", "-c", folder], &event).await);
    assert_eq!(
        (code, printed.as_str()),
        (
            1,
            "The event does not match.
  ✗ action: expected \"deactivated\"; found \"deactivatd\"
      \"deactivatd\" is one edit away from \"deactivated\": is one of them mistyped?
  ✓ scope: expected \"user\"; found \"user\"
  ✓ source: expected \"okta\"; found \"okta\"
"
        )
    );
    for (behind, said) in [
        (event.as_str(), "stdin:2: there is more than one event; the first is explained.\n"),
        ("{\"a\":", "stdin:2: not JSON: EOF"),
    ] {
        let (_, again, told) =
            ended(&emote_fed(&["explain", "lock-leavers", "-", "-c", folder], format!("{event}\n{behind}")).await);
        assert!(again == printed && told.starts_with(said), "{behind}: {told}");
        assert_eq!(told.contains("the event before it is explained"), said.contains("EOF"), "{told}");
    }
    let right = event.replace("deactivatd", "deactivated");
    let (code, printed, _) =
        ended(&emote_fed(&["explain", "lock-leavers", "-", "-c", folder, "-o", "json"], &right).await);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((code, &printed["rule"], &printed["explanation"]["matched"]), (0, &json!("lock-leavers"), &json!(true)));

    let (code, printed, _) = ended(&emote_fed(&["explain", "--nearest", "-", "-c", folder], &event).await);
    assert!(
        code == 1
            && printed
                .starts_with("Of 5 rules none matches. Almost:\n\nlock-leavers  1 of 3 fields, 1 nearly right.\n"),
        "{printed}"
    );
    let (code, printed, _) =
        ended(&emote_fed(&["explain", "--nearest", "-", "-c", folder, "-o", "json", "--limit", "1"], &event).await);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((code, &printed["matches"], printed["nearest"].as_array().unwrap().len()), (1, &json!([]), 1));
    assert_eq!((&printed["nearest"][0]["rule"], &printed["nearest"][0]["near"]), (&json!("lock-leavers"), &json!(1)));
    let empty = stack.config.join("secrets").display().to_string();
    for (args, code, said) in [
        (&["explain", "nope", "-", "-c", folder][..], 5, "of rules there are communicate, enrolled, "),
        (&["explain", "log", "nope.json", "-c", folder], 5, "neither a file nor an event id"),
        (&["explain", "log", folder, "-c", folder], 1, "it is a folder, name the files in it"),
        (
            &["explain", "nope", "-", "-c", "not/there"],
            5,
            "there is no folder not/there: name the configuration folder",
        ),
        (&["explain", "--nearest", "-", "-c", "not/there"], 5, "There is no folder not/there: name the configuration"),
        (&["explain", "--nearest", "-", "-c", &empty], 5, "There are no rules in "),
        (&["explain", "nope", "-", "-c", &empty], 5, "of rules there are none: name the configuration folder"),
        (&["explain", " {\"a\": 1}", "-"], 3, "PATTERN:1:8: a: a field's pattern is a list"),
        (&["match", "@", "-"], 3, "behind @ stands a file"),
        (&["match", "", "-"], 3, "PATTERN: is empty; a pattern is a JSON object"),
        (&["match", "{\"a\": [1]}", folder], 1, "it is a folder, name the files in it"),
        (&["explain", "log", "-", "-c", folder], 1, "stdin is empty"),
        (&["explain", "log", "17", "-c", folder, "--server", &format!("nats://127.0.0.1:{}", free_port())], 4, "error"),
    ] {
        let (found, printed, told) = ended(&emote(args).await);
        assert!((found, printed.as_str()) == (code, "") && told.contains(said), "{args:?}: {found} {told}");
    }
}

#[tokio::test]
async fn events_of_the_stream_are_explained_by_what_others_had() {
    let stack = Stack::new().start().await;
    for n in 0..20 {
        let event =
            json!({"scope": "device", "action": "counted", "device": {"uuid": "C02", "model": format!("Mac14,{n}")}});
        stack.streams.publish("events.manual.C02.device.counted", event.to_string()).await;
    }
    let id = "018bcfe5-687b-7707-8707-070707070707";
    let event = json!({"id": id, "scope": "user", "action": "counted"});
    stack.streams.publish("events.manual.-.user.counted", event.to_string()).await;
    stack.settled().await;
    let rule = r#"{"scope": ["user"], "device": {"modle": ["Mac14,2"]}}"#;
    for (event, options, said) in [
        (id, &[][..], "events had this path: is it mistyped in the rule? Did you mean device.model?"),
        (id, &["-n", "1"], "the last event did not have this path"),
        ("1", &[], "device is there, device.modle is not; did you mean device.model?"),
        ("#1", &["-n", "0"], "device is there, device.modle is not; did you mean device.model?"),
    ] {
        let (code, printed, told) = ended(&stack.emote(&[&["explain", rule, event], options].concat()).await);
        assert!(code == 1 && printed.contains(said), "{event} {options:?}: {printed}{told}");
    }
    let file = stack.config.join("event.json");
    std::fs::write(&file, event.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let (code, printed, _) = ended(&stack.emote(&["explain", rule, file, "-n", "100"]).await);
    assert!(code == 1 && printed.contains("events had this path"), "{printed}");
    let folder = stack.config.to_str().unwrap();
    // What the stream fills in is there to match: the source of the subject.
    let (code, _, _) = ended(&stack.emote(&["explain", r#"{"source": ["manual"]}"#, id, "-c", folder]).await);
    assert_eq!(code, 0);
    assert_eq!(stack.emote(&["explain", rule, "4711"]).await.status.code(), Some(5));
}

#[tokio::test]
async fn test_cases_are_answered_line_by_line() {
    let mut child = emote_piped(&["match", "--jsonl"]);
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
    for (line, answer) in [
        (
            r#"{"id":1,"rules":[{"name":"r","pattern":"{\"a\":[1]}"}],"event":"{\"a\":1}","matches":[]}"#,
            r#"{"id":1,"rules":[{"name":"r","pattern":"{\"a\":[1]}"}],"event":"{\"a\":1}","matches":["r"]}"#,
        ),
        (
            r#"{"id":2,"pattern":"{}","valid":true}"#,
            r#"{"id":2,"pattern":"{}","valid":false,"error":"the pattern (line 1, column 1): an empty object matches nothing; name at least one field, such as {\"scope\": [\"device\"]}"}"#,
        ),
        ("garbage", r#"{"error":"line 3: no case: expected value at line 1 column 1"}"#),
        (
            r#"{"id":4,"rules":[],"event":"{"}"#,
            r#"{"id":4,"rules":[],"event":"{","error":"the event is not JSON: the text ends too early (byte 1)"}"#,
        ),
    ] {
        // Each answer is there before the next line is given.
        input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        let answered =
            tokio::time::timeout(emote_tests::DEADLINE, output.next_line()).await.expect("an answer at once");
        assert_eq!(answered.unwrap().unwrap(), answer);
    }
    drop(input);
    assert_eq!(child.wait().await.unwrap().code(), Some(1), "one line was no case");
}

#[tokio::test]
async fn the_cases_of_the_reference_are_answered_as_expected() {
    for file in ["match.jsonl", "semantics.jsonl", "valid.jsonl"] {
        let Ok(cases) = std::fs::read_to_string(Path::new(CASES).join(file)) else {
            println!("{file}: not there, nothing run");
            continue;
        };
        let (code, answers, _) = ended(&emote_fed(&["match", "--jsonl"], &cases).await);
        assert_eq!((code, answers.lines().count()), (0, cases.lines().count()), "{file}");
        for (case, answer) in cases.lines().zip(answers.lines()) {
            let [case, answer]: [Value; 2] = [case, answer].map(|line| serde_json::from_str(line).unwrap());
            let right = match (&case["rejected"], case.get("valid")) {
                (_, Some(valid)) => answer["valid"] == *valid && answer.get("error").is_some() != (valid == true),
                (Value::Bool(true), _) => answer.get("error").is_some() && answer.get("matches").is_none(),
                _ => answer["matches"] == case["matches"],
            };
            assert!(right, "{file}: {case}\n{answer}");
            let kept = case
                .as_object()
                .unwrap()
                .iter()
                .filter(|(name, _)| !["matches", "valid", "error"].contains(&name.as_str()));
            assert!(kept.into_iter().all(|(name, value)| answer[name] == *value), "{answer}");
        }
        println!("{file}: {} cases", cases.lines().count());
    }
}

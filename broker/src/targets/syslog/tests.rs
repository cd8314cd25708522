use std::sync::Arc;

use serde_json::json;

use super::super::{
    Script,
    testing::{deliver, job, problems, show, validate},
};
use super::*;

/// What would be sent, as it would be, and how the job would end.
async fn shown(yaml: &str, input: &Value) -> (Vec<String>, String) {
    let script = Arc::new(Script::showing());
    let target = validate(yaml).unwrap().with_script(std::path::Path::new("/"), &script).unwrap();
    let outcome = deliver(target.as_ref(), &job(), input).await;
    (script.seen().into_iter().flat_map(|shown| shown.frames).collect(), show(&outcome))
}

#[tokio::test]
async fn a_message_says_what_for_and_what() {
    let (frames, outcome) = shown("kind: syslog\naddress: tls://logs.example.com", &json!({"a": "b\nc"})).await;
    insta::assert_snapshot!(frames.join("\n"), @r#"293 <134>1 2026-11-23T06:41:00.000Z C02XL0GTJGH5 emote - device.enroll [emote@32473 event=\"a64c29d5-87af-5257-b215-b904e4a840d8\" source=\"jamf\" rule=\"the-rule\" target=\"the-target\" job=\"a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target\" node=\"C02XL0GTJGH5\" serial=\"C02XL0GTJGH5\"] {\"a\":\"b\\nc\"}"#);
    insta::assert_snapshot!(outcome, @r#"done log.syslog_sent {"address":"tls://logs.example.com:6514","bytes":293}"#);
}

#[tokio::test]
async fn a_file_says_how_it_is_written() {
    let base = "kind: syslog\nstructured_data: false\nmessage: '\"two\\nlines\"'\naddress: ";
    for (more, expected) in [
        (
            "tcp://127.0.0.1\nframing: newline",
            r"<134>1 2026-11-23T06:41:00.000Z C02XL0GTJGH5 emote - device.enroll - two lines\n",
        ),
        (
            "udp://127.0.0.1\nfacility: 4\nseverity: ERROR",
            r"<35>1 2026-11-23T06:41:00.000Z C02XL0GTJGH5 emote - device.enroll - two\nlines",
        ),
        (
            "udp://127.0.0.1\nfacility: 'if .serial then \"auth\" else 3 end'\nseverity: '1 + 1'\nhostname: .node.name\nmsgid: '\"ID 47\"'\napp_name: my app",
            r"<34>1 2026-11-23T06:41:00.000Z ada-mbp my_app - ID_47 - two\nlines",
        ),
    ] {
        assert_eq!(shown(&format!("{base}{more}"), &json!(1)).await.0, [expected], "{more}");
    }
}

#[tokio::test]
async fn a_text_that_is_too_long_is_cut_and_that_is_reported() {
    let yaml = "kind: syslog\naddress: udp://127.0.0.1\nmax_size: 480";
    let (frames, outcome) = shown(yaml, &json!("ä".repeat(1000))).await;
    assert!(outcome.contains("\"bytes\":479") || outcome.contains("\"bytes\":480"), "{outcome}");
    assert!(outcome.contains("\"cut_from\":22"), "{outcome}");
    assert_eq!(frames.len(), 1);
    let long = format!("{yaml}\nhostname: '\"x\" * 250'\napp_name: {}", "y".repeat(60));
    let (frames, outcome) = shown(&long, &json!("text")).await;
    assert!(frames.is_empty() && outcome.starts_with("never header and structured data are"), "{outcome}");
}

#[tokio::test]
async fn several_jobs_are_one_write_and_what_cannot_be_written_is_left_out() {
    let script = Arc::new(Script::showing());
    let yaml = "kind: syslog\naddress: tcp://127.0.0.1\nseverity: .input\nbatch: {max: 3}";
    let target = validate(yaml).unwrap().with_script(std::path::Path::new("/"), &script).unwrap();
    let (job, inputs) = (job(), [json!("err"), json!("loud"), json!(6)]);
    let jobs: Vec<(&Job, &Value)> = inputs.iter().map(|input| (&job, input)).collect();
    let outcomes: Vec<String> = target.deliver_batch(&jobs).await.iter().map(show).collect();
    assert!(outcomes[0].starts_with("done log.syslog_sent") && outcomes[2].starts_with("done log.syslog_sent"));
    assert_eq!(outcomes[1], "never severity: the program gave loud, which is none");
    let seen = script.seen();
    assert!(seen.len() == 1 && seen[0].frames.len() == 2 && seen[0].body.lines().count() == 2, "{seen:?}");
}

#[test]
fn what_is_wrong_is_said() {
    insta::assert_snapshot!(problems("kind: syslog\naddress: udp://logs.example.com\nframing: newline\nfacility: loud\nseverity: '['\nmax_size: 100\nstructured_data: mine\nhostname: '('\ntls: {ca: x}"), @r"
    address: plain text would show the messages to everyone on the way: use tls://, or say `insecure: true`
    max_size: from 480 bytes, which every receiver takes, to 65507
    structured_data: expected false, or a name of at most 32 characters with your private enterprise number: emote@32473
    facility: expected one of kern, user, mail, daemon, auth, syslog, lpr, news, uucp, cron, authpriv, ftp, ntp, audit, alert, clock, local0, local1, local2, local3, local4, local5, local6, local7, 0 to 23, or a jq program that gives one
    severity: line 1, column 2: expected closing bracket
    hostname: line 1, column 2: expected closing parenthesis
    ");
    insta::assert_snapshot!(problems("kind: syslog\naddress: udp://127.0.0.1\nframing: newline\ntls: {ca: x}"), @r"
    tls: is for tls:// alone
    framing: a datagram is a message: leave it out
    ");
    insta::assert_snapshot!(problems("kind: syslog\naddress: tls://x\nframing: newline"), @"framing: over TLS octets are counted (RFC 5425): leave it out");
    insta::assert_snapshot!(problems("kind: syslog"), @"address: is missing: for example address: tls://logs.example.com:6514");
}

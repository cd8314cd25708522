use std::sync::Arc;

use super::super::{
    Script,
    testing::{Stand, deliver, job, problems, show, validate},
};
use super::*;

/// What would be sent, and how the job would end.
async fn shown(yaml: &str, input: &Value) -> (Vec<super::super::Shown>, String) {
    let script = Arc::new(Script::showing());
    let target = validate(yaml).unwrap().with_script(std::path::Path::new("/"), &script).unwrap();
    let outcome = deliver(target.as_ref(), &job(), input).await;
    (script.seen(), show(&outcome))
}

#[tokio::test]
async fn over_tcp_a_message_ends_with_nul() {
    let yaml = "kind: gelf\naddress: tls://graylog.example.com\nfull_message: '\"two\\nlines\"'\nlevel: warn\nfields: '{serial: null, note: .input}'";
    let (seen, outcome) = shown(yaml, &json!([1])).await;
    let message: Value = serde_json::from_str(&seen[0].body).unwrap();
    let expected = json!({
        "version": "1.1", "host": "C02XL0GTJGH5", "short_message": "device.enroll", "full_message": "two\nlines",
        "timestamp": 1795416060.0, "level": 4, "_event_id": "a64c29d5-87af-5257-b215-b904e4a840d8", "_scope": "device",
        "_action": "enroll", "_source": "jamf", "_rule": "the-rule", "_target": "the-target",
        "_job": "a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target", "_node": "C02XL0GTJGH5", "_note": "[1]",
    });
    assert_eq!(message, expected);
    assert!(seen[0].frames.len() == 1 && seen[0].frames[0].ends_with(r"}\x00"), "{seen:?}");
    assert!(outcome.starts_with("done log.gelf_sent"), "{outcome}");
}

#[tokio::test]
async fn over_udp_a_message_is_compressed_and_cut_into_chunks() {
    let random: String = (0..4000_u32).map(|n| format!("{:x}", n.wrapping_mul(2_654_435_761))).collect();
    let udp = "kind: gelf\naddress: udp://127.0.0.1\nfull_message: .input\n";
    let (seen, _) = shown(udp, &json!("short")).await;
    assert!(seen[0].frames.len() == 1 && seen[0].frames[0].starts_with(r"\x1f\x8b"), "{seen:?}");
    let (seen, outcome) = shown(&format!("{udp}compress: none\nchunk: 1000"), &json!(random)).await;
    assert!(seen[0].frames.len() > 20 && seen[0].frames.iter().all(|frame| frame.starts_with(r"\x1e\x0f")));
    assert!(outcome.starts_with("done log.gelf_sent"), "{outcome}");
    let (_, outcome) = shown(&format!("{udp}compress: none\nchunk: 480"), &json!(random.repeat(3))).await;
    assert!(outcome.starts_with("never ") && outcome.contains("more than 128 datagrams of 480"), "{outcome}");
}

#[tokio::test]
async fn over_http_the_answer_says_how_it_ended() {
    let stand = Stand::replying(&[(202, &[], "")]).await;
    let yaml = "kind: gelf\naddress: '%URL%'\nauth: {bearer: '${file:token}'}\nfull_message: false";
    assert_eq!(show(&stand.deliver(yaml, &job(), &json!({})).await), r#"done log.gelf_sent {"status":202}"#);
    let seen = stand.seen();
    assert!(seen.starts_with("POST /gelf\nauthorization: Bearer t0ken-hunter2\n"), "{seen}");
    stand.reply((503, &[("retry-after", "7")], "overloaded"));
    assert_eq!(
        show(&stand.deliver(yaml, &job(), &json!({})).await),
        "retry 7s answered 503 Service Unavailable: overloaded"
    );
    stand.reply((400, &[], "no"));
    assert_eq!(show(&stand.deliver(yaml, &job(), &json!({})).await), "never answered 400 Bad Request: no");
}

#[tokio::test]
async fn what_cannot_be_a_message_is_told() {
    for (more, said) in [
        ("fields: '{id: 1}'", "never fields: a field cannot be named id"),
        ("fields: '{\"a b\": 1}'", "never fields: \"a b\" is no name of a field"),
        ("fields: '[1]'", "never fields: expected an object, found a list"),
        ("level: .input", "never level: the program gave 99, which is none"),
        ("short_message: 'error(\"no\")'", "never short_message: no"),
    ] {
        let (_, outcome) = shown(&format!("kind: gelf\naddress: tls://graylog.example.com\n{more}"), &json!(99)).await;
        assert!(outcome.starts_with(said), "{more}: {outcome}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    insta::assert_snapshot!(problems("kind: gelf\naddress: tcp://127.0.0.1\ncompress: brotli\nchunk: 1000\nauth: {bearer: '${env:X}'}\ntls: {ca: x}\nlevel: loud"), @r"
    auth: is for https:// alone
    tls: is for tls:// and https:// alone
    compress: expected gzip, zlib or none
    compress: is for udp:// alone
    chunk: is for udp:// alone
    level: expected one of emerg, alert, crit, err, warning, notice, info, debug, 0 to 7, or a jq program that gives one
    ");
    insta::assert_snapshot!(problems("kind: gelf\naddress: http://graylog.example.com"), @"address: plain http would show the request to everyone on the way: use https, or say `insecure: true`");
    insta::assert_snapshot!(problems("kind: gelf\naddress: https://graylog.example.com/gelf\nbatch: {max: 10}"), @"batch: over HTTP a message is a request, and an answer is one message's: leave it out");
    assert!(validate("kind: gelf\naddress: tls://graylog.example.com\nbatch: {max: 10}").is_ok());
    insta::assert_snapshot!(problems("kind: gelf\naddress: graylog.example.com"), @"address: expected https://, or udp://, tcp:// or tls://, a host and perhaps a port: https://graylog.example.com:12201/gelf");
}

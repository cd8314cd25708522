//! The kind against a mail server that answers as told: what it is handed, and what its replies mean.

mod postbox;
mod tls;

use std::time::Duration;

use serde_json::{Value, json};

use self::postbox::Postbox;
use super::super::testing::{Stand, TOKEN, deliver, job, problems, secrets, show, validate};
use crate::{
    core::{Job, JobId},
    targets::Target,
};

const LOGIN: &str = "auth: {basic: {user: emote, password: '${file:token}'}}\n";

fn yaml(postbox: &Postbox, more: &str) -> String {
    let port = postbox.port;
    format!(
        "kind: email\nserver: smtp://127.0.0.1:{port}\nfrom: Emote <emote@example.com>\nto: [it@example.com]\n{more}"
    )
}

fn target(postbox: &Postbox, more: &str) -> Box<dyn Target> {
    let folder = secrets();
    validate(&yaml(postbox, more)).unwrap().resolve(folder.path()).unwrap()
}

async fn send(postbox: &Postbox, more: &str, input: &Value) -> String {
    show(&deliver(target(postbox, more).as_ref(), &job(), input).await)
}

/// The mail, without its date.
fn mail(postbox: &Postbox) -> String {
    let mails = postbox.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    let lines = mails[0].split("\r\n").filter(|line| !line.starts_with("Date: "));
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn what_the_server_says_decides() {
    let done = |reply: &str, more: &str| {
        format!(
            "done communicate.email_sent {{\"message_id\":\"<b86cb1ff@example.com>\",{more}\"reply\":\"{reply}\",\
            \"subject\":\"device enroll: ada-mbp (C02XL0GTJGH5)\",\"target\":\"the-target\",\"to\":[\"it@example.com\"]}}"
        )
    };
    for (replies, expected) in [
        (&[][..], done("250 2.0.0 queued as 4F1", "")),
        (&[("RCPT TO:<it", "550 5.1.1 no such user")], "never RCPT: the server says 550 5.1.1 no such user".to_owned()),
        (
            &[("RCPT TO:<eve", "550-5.1.1 no\r\n550 such user")],
            done("250 2.0.0 queued as 4F1", "\"refused\":{\"eve@example.com\":\"550 5.1.1 no such user\"},"),
        ),
        (&[("RCPT TO:<eve", "450 4.2.0 grey")], "retry RCPT: the server says 450 4.2.0 grey".to_owned()),
        (&[("connect", "421 busy")], "retry connecting: the server says 421 busy".to_owned()),
        (&[("connect", "554 go away")], "never connecting: the server says 554 go away".to_owned()),
        (&[("EHLO", "HTTP/1.1 400 Bad Request")], "retry EHLO: this is no mail server's reply".to_owned()),
        (&[("MAIL", "552 5.3.4 too large")], "never MAIL: the server says 552 5.3.4 too large".to_owned()),
        (&[("DATA", "451 4.3.0 later")], "retry DATA: the server says 451 4.3.0 later".to_owned()),
        (&[("DATA", "")], "retry DATA: the server has closed the connection".to_owned()),
        (&[(".", "554 5.7.1 spam %AUTH%")], "never DATA: the server says 554 5.7.1 spam %AUTH%".to_owned()),
        (&[(".", "452 4.3.1 full")], "retry DATA: the server says 452 4.3.1 full".to_owned()),
        (
            &[(".", "")],
            "retry DATA: the server has closed the connection; the mail may have arrived, and is sent again with the \
            same Message-ID"
                .to_owned(),
        ),
        (
            &[("AUTH", "535 5.7.8 bad t0ken-hunter2")],
            "never AUTH: the server says 535 5.7.8 bad …: check `auth`".to_owned(),
        ),
        (
            &[("AUTH", "535 no AGVtb3RlAHQwa2VuLWh1bnRlcjI=")],
            "never AUTH: the server says 535 no …: check `auth`".to_owned(),
        ),
        (&[("AUTH", "454 4.7.0 later")], "retry AUTH: the server says 454 4.7.0 later".to_owned()),
        (
            &[("EHLO", "250-mail.example.com\r\n250 AUTH GSSAPI")],
            "never the server does not take logins by PLAIN or LOGIN: check `server` and `auth`".to_owned(),
        ),
    ] {
        let postbox = Postbox::replying(replies).await;
        let cc = if replies.iter().any(|(line, _)| line.contains("eve")) { "cc: [eve@example.com]\n" } else { "" };
        let found = send(&postbox, &format!("{LOGIN}{cc}"), &json!("hi")).await;
        assert_eq!(shortened(&found), expected, "{replies:?}");
    }
}

/// With the first part of the Message-ID only.
fn shortened(text: &str) -> String {
    match (text.split_once("\"message_id\":\"<"), text.split_once("@example.com>\"")) {
        (Some((before, _)), Some((_, after))) => format!("{before}\"message_id\":\"<b86cb1ff@example.com>\"{after}"),
        _ => text.to_owned(),
    }
}

#[tokio::test]
async fn a_mail_is_handed_over_as_the_target_says_it() {
    let postbox = Postbox::replying(&[]).await;
    let more = r#"
cc: [Zoë <zoe@example.com>, it@bücher.example]
bcc: '.node.owner'
reply_to: ["IT, Helpdesk <help@example.com>"]
subject: '"\(.node.name): \(.event.action) ✓"'
text: '".\n\(.input.said)\n"'
html: '"<p>\(.input.said | @html)</p>"'
thread: node
hello: emote.example.com
headers: {X-SES-CONFIGURATION-SET: emote}
"#;
    send(&postbox, more, &json!({"said": "a < b"})).await;
    insta::assert_snapshot!(mail(&postbox), @r#"
    From: Emote <emote@example.com>
    Message-ID: <8b5f4430-4f82-5eb1-8545-b95f814854c8@example.com>
    To: it@example.com
    Cc: =?utf-8?b?Wm/Dqw==?= <zoe@example.com>, it@xn--bcher-kva.example
    Reply-To: =?utf-8?b?SVQsIEhlbHBkZXNr?= <help@example.com>
    In-Reply-To: <145041ae-b988-534e-99ec-4da8084bb239@example.com>
    References: <145041ae-b988-534e-99ec-4da8084bb239@example.com>
    Auto-Submitted: auto-generated
    X-SES-CONFIGURATION-SET: emote
    Subject: ada-mbp: enroll =?utf-8?b?4pyT?=
    MIME-Version: 1.0
    Content-Type: multipart/alternative;
     boundary="ecbf7108-d7a0-51bf-89f9-229d431ccb24"

    --ecbf7108-d7a0-51bf-89f9-229d431ccb24
    Content-Type: text/plain; charset=utf-8
    Content-Transfer-Encoding: 7bit

    .
    a < b

    --ecbf7108-d7a0-51bf-89f9-229d431ccb24
    Content-Type: text/html; charset=utf-8
    Content-Transfer-Encoding: 7bit

    <p>a &lt; b</p>
    --ecbf7108-d7a0-51bf-89f9-229d431ccb24--
    "#);
    insta::assert_snapshot!(postbox.said(), @r"
    EHLO emote.example.com
    MAIL FROM:<emote@example.com> SIZE=932
    RCPT TO:<ada@example.com>
    RCPT TO:<it@example.com>
    RCPT TO:<it@xn--bcher-kva.example>
    RCPT TO:<zoe@example.com>
    DATA
    .
    ");
}

#[tokio::test]
async fn the_input_says_what_the_target_does_not() {
    let both = json!({"to": ["ada@example.com"], "subject": "Hello", "html": "<b>hi</b>", "text": null});
    for (input, to, part) in [
        (json!("hi"), "<it@example.com>", "\r\n\r\nhi"),
        (both, "<ada@example.com>", "text/html"),
        (json!({"text": "hi", "cc": "Eve <eve@example.com>"}), "<eve@example.com>", "Cc: Eve <eve@example.com>"),
    ] {
        let postbox = Postbox::replying(&[]).await;
        let outcome = send(&postbox, "", &input).await;
        assert!(outcome.starts_with("done"), "{outcome}");
        let (said, mails) = (postbox.said(), postbox.mails());
        assert!(said.contains(&format!("RCPT TO:{to}")) && mails[0].contains(part), "{input}: {said} {mails:?}");
    }
    let postbox = Postbox::replying(&[]).await;
    for (more, input, said) in [
        ("", json!({"subject": "x"}), "never the input has neither text nor html"),
        ("", json!({"body": "x"}), "never the input has \"body\": expected some of bcc, cc, html"),
        ("", json!({"text": 1}), "never text: expected a text, found a number"),
        ("", json!([]), "never the input must be a text or an object"),
        ("", json!({"text": "x", "to": []}), "never there is nobody to send it to"),
        ("", json!({"text": "x", "to": "nobody"}), "never to: \"nobody\" is no address"),
        ("", json!({"text": "x", "cc": [1]}), "never cc: expected an address, found a number"),
        (
            "",
            json!({"text": "x", "cc": (0..101).map(|n| format!("u{n}@example.com")).collect::<Vec<_>>()}),
            "never 102 recipients; a mail may have 100",
        ),
        ("text: 'null'", json!(1), "never neither text nor html say anything"),
        ("text: 'empty'", json!(1), "never text: the program gave nothing"),
        ("text: '\"x\" * 2000000'", json!(1), "never text: more than"),
    ] {
        let outcome = send(&postbox, more, &input).await;
        assert!(outcome.starts_with(said), "{input}: {outcome}");
    }
    assert_eq!(postbox.connections(), 0);
}

#[tokio::test]
async fn a_rule_without_input_sends_a_summary() {
    let postbox = Postbox::replying(&[]).await;
    let job = Job { input: None, ..job() };
    deliver(target(&postbox, "").as_ref(), &job, &json!({"text": "no input"})).await;
    insta::assert_snapshot!(mail(&postbox).split_once("\n\n").unwrap().1, @r"
    device enroll

    Node: ada-mbp (C02XL0GTJGH5)
    Owner: ada@example.com
    Source: jamf
    Time: 2026-11-23T06:41:00.000Z

    rule the-rule =C2=B7 event a64c29d5-87af-5257-b215-b904e4a840d8
    ");
}

/// Line ends in whatever a job brings along add no header, no recipient and no second mail.
#[tokio::test]
async fn nothing_in_a_job_can_write_a_mail_of_its_own() {
    let evil = "x\r\nBcc: eve@example.com\r\n\r\n.\r\nMAIL FROM:<eve@example.com>\r\n";
    let texts = r#"
subject: '.input.evil'
text: '.input.evil'
html: '.input.evil'
"#;
    let postbox = Postbox::replying(&[]).await;
    let outcome = send(&postbox, texts, &json!({"evil": evil})).await;
    assert!(outcome.starts_with("done"), "{outcome}");
    let sent = mail(&postbox);
    let (head, _) = sent.split_once("\n\n").unwrap();
    assert!(head.contains("Subject: x Bcc: eve@example.com . MAIL FROM:<eve@example.com>"), "{head}");
    assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    let said = postbox.said();
    assert_eq!((said.matches("MAIL FROM").count(), said.matches("RCPT TO").count()), (1, 1), "{said}");
    for key in ["to", "cc", "bcc", "reply_to"] {
        for address in
            [format!("it@example.com{evil}"), format!("{evil} <it@example.com>"), format!("it@example.com> {evil}")]
        {
            let outcome = send(&postbox, "", &json!({"text": "x", key: address})).await;
            assert!(outcome.starts_with(&format!("never {key}: ")), "{key}: {outcome}");
        }
    }
    for said in [
        "from: \"e@example.com\\r\\nBcc: x@example.com\"",
        "headers: {X-A: \"a\\nb\"}",
        "hello: \"a\\r\\nMAIL\"",
        "to: [\"a@example.com\\nx\"]",
    ] {
        let found = problems(&format!("kind: email\nserver: smtps://x.example\n{said}"));
        assert!(found.lines().any(|line| line.starts_with(said.split(':').next().unwrap())), "{said}: {found}");
    }
    assert_eq!(postbox.said(), "");
}

#[tokio::test]
async fn an_address_beyond_ascii_needs_a_server_that_knows_it() {
    let input = json!({"text": "x", "to": "zoë@example.com"});
    let postbox = Postbox::replying(&[]).await;
    assert!(send(&postbox, "", &input).await.starts_with("done"));
    let said = postbox.said();
    assert!(said.contains("BODY=8BITMIME SMTPUTF8") && said.contains("RCPT TO:<zoë@example.com>"), "{said}");
    let old = Postbox::replying(&[("EHLO", "250 mail.example.com")]).await;
    let outcome = send(&old, "", &input).await;
    assert!(outcome.starts_with("never an address is not ASCII"), "{outcome}");
    assert!(!old.said().contains("MAIL"));
}

#[tokio::test]
async fn a_password_is_shown_as_the_server_takes_it() {
    for (ways, expected) in [
        ("PLAIN LOGIN", "AUTH PLAIN AGVtb3RlAHQwa2VuLWh1bnRlcjI="),
        ("LOGIN", "AUTH LOGIN\nZW1vdGU=\ndDBrZW4taHVudGVyMg=="),
    ] {
        let postbox = Postbox::replying(&[("EHLO", &format!("250-x\r\n250 AUTH {ways}"))]).await;
        assert!(send(&postbox, LOGIN, &json!("hi")).await.starts_with("done"));
        let said = postbox.said();
        assert!(said.contains(&format!("{expected}\nMAIL")), "{said}");
    }
    assert_eq!(TOKEN, "t0ken-hunter2");
}

#[tokio::test]
async fn a_token_is_asked_for_and_once_more_when_it_is_refused() {
    let first = (200, &[][..], r#"{"access_token":"one-hunter2","expires_in":3600}"#);
    let second = (200, &[][..], r#"{"access_token":"two-hunter2","expires_in":3600}"#);
    let auth = |stand: &Stand| {
        format!(
            "auth: {{oauth2: {{token_url: '{}/token', client_id: emote, client_secret: '${{file:token}}'}}}}\n",
            stand.url
        )
    };
    // user=emote@example.com ^A auth=Bearer one-hunter2 ^A ^A
    let one = "AUTH XOAUTH2 dXNlcj1lbW90ZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciBvbmUtaHVudGVyMgEB";
    let two = "AUTH XOAUTH2 dXNlcj1lbW90ZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB0d28taHVudGVyMgEB";
    let no = "334 eyJzdGF0dXMiOiI0MDAifQ==";
    for (replies, expected) in [
        (&[][..], "done"),
        (&[(one, no)], "done"),
        (&[("AUTH", no)], "never AUTH: the server says 535 5.7.8 no: check `auth`"),
    ] {
        let stand = Stand::replying(&[first, second]).await;
        let postbox = Postbox::replying(replies).await;
        postbox.refuse_empty_lines();
        let outcome = send(&postbox, &auth(&stand), &json!("hi")).await;
        assert!(outcome.starts_with(expected), "{outcome}");
        let said = postbox.said();
        assert!(said.contains(one) && said.contains(two) != replies.is_empty(), "{said}");
    }
}

#[tokio::test]
async fn one_conversation_is_for_many_mails_and_none_that_was_broken_off() {
    let postbox = Postbox::replying(&[]).await;
    let target = target(&postbox, LOGIN);
    let (job, input) = (job(), json!("hi"));
    for _ in 0..3 {
        assert!(show(&target.deliver(&job, &input).await).starts_with("done"));
    }
    assert_eq!((postbox.connections(), postbox.said().matches("AUTH").count()), (1, 1));
    // Whoever waits for it gives up in the midst of a mail: the reply that is still to come is nobody's.
    postbox.reply(&[(".", "…")]);
    let given_up = tokio::time::timeout(Duration::from_millis(200), target.deliver(&job, &input)).await;
    assert!(given_up.is_err());
    postbox.reply(&[]);
    assert!(show(&target.deliver(&job, &input).await).starts_with("done"));
    assert_eq!(postbox.connections(), 2);
    // A server that has gone away in the meantime is found again.
    postbox.reply(&[("NOOP", "")]);
    assert!(show(&target.deliver(&job, &input).await).starts_with("done"));
    assert_eq!(postbox.connections(), 3);
}

#[tokio::test]
async fn a_repeated_mail_has_the_id_of_the_first_and_mails_about_a_node_belong_together() {
    let postbox = Postbox::replying(&[]).await;
    let target = target(&postbox, "thread: node");
    let one = job();
    let again = Job { redriven: 1, ..one.clone() };
    let other = Job { id: JobId::new(one.event.id, &one.rule, &one.target, Some("x")), ..one.clone() };
    let elsewhere = Job { node: Some(json!({"serial": "FVFXQ2P3J1WK"}).into()), ..other.clone() };
    let mut ids = Vec::new();
    for job in [&one, &again, &other, &elsewhere] {
        deliver(target.as_ref(), job, &json!("hi")).await;
        let mail = mail(&postbox);
        let of = |name: &str| mail.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        assert_eq!(of("References: "), of("In-Reply-To: "));
        ids.push((of("Message-ID: "), of("References: ")));
    }
    assert_eq!(ids[0], ids[1]);
    assert!(ids[1].0 != ids[2].0 && ids[1].1 == ids[2].1 && ids[2].1 != ids[3].1, "{ids:?}");
}

#[test]
fn the_settings_are_checked() {
    insta::assert_snapshot!(problems("kind: email"), @r"
    server: is missing: for example server: smtps://smtp.example.com
    from: is missing: for example from: Emote <emote@example.com>
    ");
    insta::assert_snapshot!(problems(
        "kind: email\nserver: smtp://me:hunter2@x.example\nfrom: emote\nto: it@example.com\ncc: [x, 1]\nbcc: '.a ='\n\
        auth: {bearer: '${env:X}'}\nthread: rule\nheaders: {Subject: x, 'a b': x, X-A: 1}\ntext: '{'\nhello: 'a b'\nbody: x"
    ), @r#"
    hello: expected the name of this machine: for example emote.example.com
    server: a URL must not hold credentials: use `auth`
    auth: a mail server takes one of basic, login, oauth2, signed
    from: "emote" is no address: for example it@example.com or IT <it@example.com>
    to: addresses are a list, else this is a jq program: write [it@example.com]
    cc[0]: "x" is no address: for example it@example.com or IT <it@example.com>
    cc[1]: expected an address, found a number
    bcc: line 1, column 5: expected term
    thread: expected node or none
    headers.Subject: is set by Emote: there are fields such as `from`, `to`, `reply_to` and `thread`
    headers.X-A: expected a text on one line
    headers.a b: not the name of a header
    text: line 1, column 2: expected closing brace
    body: unknown key: expected one of auth, batch, bcc, breaker, cc, concurrency, destructive, from, guard, headers, hello, html, insecure, kind, max_age, ordered, rate, reply_to, retry, server, subject, text, thread, timeout, tls, to, user
    "#);
    for (server, said) in [
        ("smtp.example.com", "not a URL"),
        ("smtp:", "not a URL"),
        ("https://smtp.example.com", "expected smtps:// (TLS from the beginning) or smtp:// (STARTTLS)"),
        ("smtp://x.example/in", "expected a host and perhaps a port"),
        ("smtp://x.example?tls=no", "expected a host and perhaps a port"),
    ] {
        let found = problems(&format!("kind: email\nfrom: e@example.com\nserver: '{server}'"));
        assert!(found.starts_with("server: ") && found.contains(said), "{server}: {found}");
    }
}

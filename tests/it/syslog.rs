//! Syslog and GELF, both ways: what strangers' programs send arrives once, and what targets send arrives at a listener.

use std::{collections::BTreeMap, time::Duration};

use emote_tests::{Stack, emote, free_port, required, run, tool, until};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpStream, UdpSocket},
};

use crate::tls::authority::{Authority, Valid};

const SENDERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/it/syslog_senders.py");

/// The ports of two sources that listen: `logs` for syslog, `gelf`.
struct Ports {
    udp: u16,
    tcp: u16,
    tls: u16,
    gelf: u16,
}

impl Ports {
    fn free() -> Self {
        Self { udp: free_port(), tcp: free_port(), tls: free_port(), gelf: free_port() }
    }

    fn logs(&self) -> String {
        let Self { udp, tcp, tls, .. } = self;
        format!(
            "preset: syslog\nlisten:\n- {{transport: udp, address: '127.0.0.1:{udp}'}}\n\
             - {{transport: tcp, address: '127.0.0.1:{tcp}'}}\n\
             - {{transport: tls, address: '127.0.0.1:{tls}', certificate: tls/server.pem, key: tls/server.key, client_ca: tls/ca.pem}}\n"
        )
    }

    fn gelf(&self) -> String {
        let port = self.gelf;
        format!(
            "preset: gelf\nverify: none\nlisten: [{{transport: udp, address: '127.0.0.1:{port}'}}, \
             {{transport: tcp, address: '127.0.0.1:{port}'}}]\n"
        )
    }

    /// A broker with both sources, and these files more.
    async fn stack(&self, files: &[(&str, String)]) -> Stack {
        let mut builder = Stack::new().file("sources/logs.yaml", &self.logs()).file("sources/gelf.yaml", &self.gelf());
        for (path, text) in files {
            builder = builder.file(path, text);
        }
        let mut stack = builder.without_broker().start().await;
        let (authority, folder) = (Authority::new(), stack.config.join("tls"));
        emote_tests::private_file(&folder.join("ca.pem"), &authority.pem());
        authority.give(&folder, "server", &["localhost", "127.0.0.1"], Valid::Now);
        authority.give(&folder, "client", &["client"], Valid::Now);
        stack.broker.start().await;
        for port in [self.tcp, self.tls, self.gelf] {
            emote_tests::until_listening("a source", port).await;
        }
        stack
    }
}

/// How often each message was told, by what it says.
async fn told(stack: &Stack) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    for event in stack.streams.events().await {
        let event = event.json();
        if event["scope"] == "log" && event["action"] == "received" {
            *told.entry(event["info"]["message"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    told
}

async fn until_told(stack: &Stack, expected: &[&str]) {
    until("every message is told", async || told(stack).await.len() >= expected.len()).await;
    let expected: BTreeMap<String, usize> = expected.iter().map(|text| ((*text).to_owned(), 1)).collect();
    assert_eq!(told(stack).await, expected);
}

async fn one(stack: &Stack, message: &str) -> Value {
    let events = stack.streams.events().await;
    events.into_iter().map(|event| event.json()).find(|event| event["info"]["message"] == message).unwrap()
}

async fn datagram(port: u16, bytes: &[u8]) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(bytes, ("127.0.0.1", port)).await.unwrap();
}

async fn connection(port: u16, bytes: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // Who sends garbage is closed in the middle of it.
    stream.write_all(bytes).await.ok();
    stream.shutdown().await.ok();
}

#[tokio::test]
async fn what_comes_by_udp_tcp_and_tls_is_told_once_and_garbage_does_no_harm() {
    let Some(python) = required("python3") else { return };
    let ports = Ports::free();
    let stack = ports.stack(&[]).await;
    let noise: Vec<u8> = (0..5000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    for garbage in
        [&noise[..], b"GET / HTTP/1.1\r\n\r\n", b"99999999999 <14>x", b"12 <14>half", b"\x16\x03\x01\x00\x01"]
    {
        for port in [ports.tcp, ports.tls, ports.gelf] {
            connection(port, garbage).await;
        }
        for port in [ports.udp, ports.gelf] {
            datagram(port, garbage).await;
        }
    }
    datagram(ports.udp, b"<34>Oct 11 22:14:15 mymachine su[7]: from rust by udp").await;
    connection(ports.tcp, b"38 <14>1 - host app - - - counted by rust<14>trailed by rust").await;
    let folder = stack.config.join("tls").display().to_string();
    let numbers = [ports.udp, ports.tcp, ports.tls, ports.gelf].map(|port| port.to_string());
    let args: Vec<&str> = [SENDERS].into_iter().chain(numbers.iter().map(String::as_str)).chain([&*folder]).collect();
    let sent = run(&python, &args).await;
    assert!(sent.status.success(), "{sent:?}");
    let posted = stack
        .http
        .post(stack.url("gelf"))
        .json(&json!({"version": "1.1", "host": "h", "short_message": "gelf by http"}));
    assert_eq!(posted.send().await.unwrap().status(), 202);
    let mut expected = vec![
        "from rust by udp",
        "counted by rust",
        "trailed by rust",
        "python by udp: ä",
        "python by tcp",
        "python by tls 1",
        "python by tls 2",
        "gelf in chunks",
        "gelf by http",
    ];
    if let Some(logger) = tool("logger").filter(|_| cfg!(target_os = "linux")) {
        let port = ports.tcp.to_string();
        let args = ["-n", "127.0.0.1", "-P", &port, "-T", "--octet-count", "-t", "it", "--rfc5424", "logger by tcp"];
        let sent = run(&logger, &args).await;
        assert!(sent.status.success(), "{sent:?}");
        expected.push("logger by tcp");
    }
    until_told(&stack, &expected).await;
    let by_tls = one(&stack, "python by tls 1").await;
    assert_eq!((&by_tls["trust"], &by_tls["device"]["uuid"]), (&json!("authenticated"), &json!("C02XL0GTJGH5")));
    let by_udp = one(&stack, "python by udp: ä").await;
    assert_eq!((&by_udp["trust"], &by_udp["info"]["facility"]), (&json!("unverified"), &json!("local3")));
    assert_eq!(one(&stack, "gelf in chunks").await["info"]["full_message"].as_str().map(str::len), Some(20_000));
    let dropped = async || {
        let events = stack.streams.events().await;
        events.iter().any(|event| event.subject == "events.logs.-.source.dropped")
    };
    until("what was dropped is told", dropped).await;
    let shown = stack.shown(&["sources"]).await;
    assert!(shown.contains("udp, tcp, tls") && !shown.contains("failing"), "{shown}");
    let page = stack.http.get(format!("http://127.0.0.1:{}/metrics", stack.broker.ops)).send().await.unwrap();
    let page = page.text().await.unwrap();
    let line = format!("emote_ingest_listening{{source=\"logs\",socket=\"tls 127.0.0.1:{}\"}} 1", ports.tls);
    assert!(page.contains(&line) && page.contains("reason=\"undecodable\""), "{page}");
}

#[tokio::test]
async fn senders_wait_while_the_stream_is_away_and_a_port_moves_with_the_configuration() {
    const COUNT: usize = 400;
    let ports = Ports::free();
    let mut stack = ports.stack(&[]).await;
    connection(ports.tcp, b"<14>before\n").await;
    until_told(&stack, &["before"]).await;
    stack.nats.kill();
    let sender = tokio::spawn(async move {
        let mut stream = TcpStream::connect(("127.0.0.1", ports.tcp)).await.unwrap();
        let padding = "x".repeat(50_000);
        for n in 0..COUNT {
            let message = format!("<14>{n} {padding}");
            stream.write_all(format!("{} {message}", message.len()).as_bytes()).await.unwrap();
        }
        stream.shutdown().await.unwrap();
        ports
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!sender.is_finished(), "more than the system takes, and it waits");
    stack.nats.start_again().await;
    let ports = sender.await.unwrap();
    until("every message is told", async || told(&stack).await.len() > COUNT).await;
    let told = told(&stack).await;
    assert!(told.len() == COUNT + 1 && told.values().all(|times| *times == 1));

    let other = Ports { tcp: free_port(), ..ports };
    let moved = other.logs().replace("preset: syslog\n", "preset: syslog\nmax_body: 1000\n");
    std::fs::write(stack.config.join("sources/logs.yaml"), moved).unwrap();
    // Somebody else has that port.
    let taken = std::net::TcpListener::bind(("127.0.0.1", other.tcp)).unwrap();
    stack.shown(&["apply", stack.config.to_str().unwrap()]).await;
    until("that is told", async || {
        let shown = stack.shown(&["sources"]).await;
        shown.contains("failing") && shown.contains("cannot listen on 127.0.0.1")
    })
    .await;
    datagram(other.udp, b"<14>by another port meanwhile").await;
    until("the others go on", async || told_of(&stack, "by another port meanwhile").await == 1).await;
    drop(taken);
    emote_tests::until_listening("the source", other.tcp).await;
    connection(other.tcp, b"<14>after\n").await;
    until("the new port takes messages", async || told_of(&stack, "after").await == 1).await;
    assert!(TcpStream::connect(("127.0.0.1", ports.tcp)).await.is_err(), "the old one is closed");
}

async fn told_of(stack: &Stack, message: &str) -> usize {
    told(stack).await.get(message).copied().unwrap_or_default()
}

#[tokio::test]
async fn what_targets_send_arrives_at_listeners() {
    let ports = Ports::free();
    let by = |kind: &str, address: String, more: &str| format!("kind: {kind}\naddress: {address}\n{more}\n");
    let certificates = "tls: {ca: tls/ca.pem, certificate: tls/client.pem, key: tls/client.key}";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let by_tcp = format!("tcp://{}", listener.local_addr().unwrap());
    let files = [
        ("rules/forward.yaml", "pattern: {scope: [test]}\ntargets: [siem, graylog, lines]\n".to_owned()),
        ("targets/siem.yaml", by("syslog", format!("tls://localhost:{}", ports.tls), certificates)),
        ("targets/graylog.yaml", by("gelf", format!("udp://127.0.0.1:{}", ports.gelf), "chunk: 500")),
        (
            "targets/lines.yaml",
            by("syslog", by_tcp, "framing: newline\nmessage: .event.info.text\nretry: {backoff: {initial: 20ms}}"),
        ),
    ];
    let stack = ports.stack(&files).await;
    let event =
        json!({"scope": "test", "action": "said", "device": {"uuid": "C02XL0GTJGH5"}, "info": {"text": "hello"}});
    let say = async || stack.streams.publish("events.manual.C02XL0GTJGH5.test.said", event.to_string()).await;
    say().await;
    // This one closes the first connection, and the message comes again by another; unless the sender was done by then, for
    // nobody acknowledges syslog.
    drop(listener.accept().await.unwrap());
    let mut sent = 1;
    let stream = loop {
        if let Ok(accepted) = tokio::time::timeout(Duration::from_secs(3), listener.accept()).await {
            break accepted.unwrap().0;
        }
        assert!(sent < 5, "nothing comes by another connection");
        say().await;
        sent += 1;
    };
    let mut lines = tokio::io::BufReader::new(stream);
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut line).await.unwrap();
    assert!(
        line.starts_with("<134>1 ") && line.ends_with(" hello\n") && line.contains(" C02XL0GTJGH5 emote - test.said "),
        "{line}"
    );
    let found = async |name: &str| {
        let events = stack.streams.events().await;
        events.into_iter().map(|event| event.json()).find(|event| event["source"] == name && event["scope"] == "log")
    };
    until("both are back", async || found("logs").await.is_some() && found("gelf").await.is_some()).await;
    let (logs, gelf) = (found("logs").await.unwrap(), found("gelf").await.unwrap());
    assert_eq!((&logs["device"]["uuid"], &logs["trust"]), (&json!("C02XL0GTJGH5"), &json!("authenticated")));
    let said: Value = serde_json::from_str(logs["info"]["message"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&said["info"]["text"], &logs["info"]["structured_data"]["emote@32473"]["rule"]),
        (&json!("hello"), &json!("forward"))
    );
    assert_eq!((&gelf["device"]["uuid"], &gelf["info"]["fields"]["action"]), (&json!("C02XL0GTJGH5"), &json!("said")));
    let reported = async || {
        let events = stack.streams.events().await;
        let of = |event: &Value| event["scope"] == "log" && event["source"] == "broker";
        events.into_iter().map(|event| event.json()).filter(of).count()
    };
    until("all are reported", async || reported().await == 3 * sent).await;
    let folder = stack.config.display().to_string();
    let shown = emote(&["target", "test", "siem", "--folder", &folder]).await;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.contains("SEND tls://localhost:") && shown.contains("<134>1 ") && shown.contains("bytes: "),
        "{shown}"
    );
}

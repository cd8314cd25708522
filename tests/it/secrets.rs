//! Secrets stay where they belong: planted in every place that a configuration has for one, they are looked for in all that a
//! day leaves behind. Every other test ends with the same search.

use std::collections::BTreeMap;

use emote_tests::{
    NatsServer, Reply, Seen, Stack, StandIn, Streams, leaks_in, leaks_under, planted, private_file, until, webhook,
};
use serde_json::{Value, json};

use crate::counted::{COUNTED, count};

const BY_BASIC: &str = "verify: {basic: {username: \"${env:EMOTE_TEST_USER}\", password: \"${file:secrets/hr-password}\"}}\n\
                        decode: json\nmap: '{scope: \"user\", action: \"created\", user: {id: .mail}}'\n";
const BY_QUERY: &str = "verify: {query: {name: key, value: \"${file:secrets/query-key}\"}}\n\
                        decode: json\nmap: '{scope: \"user\", action: \"updated\", user: {id: .mail}}'\n";
const QUICK: &str = "timeout: 2s\nretry: {max_attempts: 3, backoff: {initial: 10ms, max: 20ms}}\n";
/// Every crate logs all that it can.
const ALL: &str = "trace";

/// Answers with all that it was told, as servers that explain their errors do.
fn echo(status: u16) -> impl FnMut(&Seen) -> Reply {
    move |seen| (status, Vec::new(), format!("{status} {} {:?} {}", seen.path, seen.headers, seen.text()))
}

/// Targets with a secret in every field that takes one. `down` fails, and says why with all that it was told.
async fn targets() -> (BTreeMap<&'static str, String>, [StandIn; 2]) {
    let (fine, down) = (StandIn::start(echo(200)).await, StandIn::start(echo(500)).await);
    let http =
        |url: &str, more: &str| format!("kind: http\nurl: {url}/hook/${{file:secrets/url-part}}\n{more}\n{QUICK}");
    let bearer = "auth: {bearer: \"${env:EMOTE_TEST_TOKEN}\"}\nheaders: {X-Api-Key: \"key ${file:secrets/api-key}\"}";
    let basic = "auth: {basic: {user: emote, password: \"${file:secrets/basic-password}\"}}";
    let slack =
        format!("kind: slack\ntoken: ${{env:EMOTE_TEST_SLACK}}\napi_base: {}\nchannel: \"#c\"\n{QUICK}", down.url);
    let files = BTreeMap::from([
        ("targets/fine.yaml", http(&fine.url, bearer)),
        ("targets/down.yaml", http(&down.url, bearer)),
        ("targets/down-basic.yaml", http(&down.url, basic)),
        ("targets/slack-api.yaml", slack),
        ("rules/count.yaml", format!("{COUNTED}targets: [fine, down, down-basic, slack-api]\n")),
    ]);
    (files, [fine, down])
}

/// Requests as they should be, and with the secret of somebody else.
async fn webhooks(stack: &Stack) {
    let wrong = planted("of-somebody-else");
    assert_eq!(stack.nanomdm(&webhook::authenticate("C02", "U-1", "a")).await.status, 200);
    assert_eq!(stack.nanomdm(&webhook::token_update("U-1", "b", 1)).await.status, 200);
    assert_eq!(stack.asset(&json!({"serial": "C02", "name": "ada-mbp", "owner": "ada@example.com"})).await.status, 200);
    assert_eq!(stack.okta(&webhook::okta_deactivated(&["ada@example.com"], "h1")).await.status, 200);
    let (mail, post) = (json!({"mail": "ada@example.com"}), |source: &str| stack.http.post(stack.url(source)));
    let (user, password, key) = (planted("user"), stack.secret("hr-password"), stack.secret("query-key"));
    let right =
        [post("hr").basic_auth(&user, Some(&password)).json(&mail), post(&format!("crm?key={key}")).json(&mail)];
    let wrong = [
        post("hr").basic_auth(&user, Some(&wrong)).json(&mail),
        post("hr").basic_auth(&wrong, Some(&password)).json(&mail),
        post(&format!("crm?key={wrong}")).json(&mail),
        post(&format!("crm?ky={key}")).json(&mail),
        post("okta").header("Authorization", &wrong).json(&mail),
        post("assets").bearer_auth(&wrong).body("{"),
        post("nanomdm").header("X-Hmac-Signature", &wrong).json(&mail),
        post(&format!("no-such-source/{wrong}")).json(&mail),
        stack.http.get(stack.url(&format!("crm?key={key}"))),
    ];
    for (requests, taken) in [(Vec::from(right), true), (Vec::from(wrong), false)] {
        for request in requests {
            let posted = stack.send(request).await;
            let (status, body) = (posted.status, posted.body);
            assert_eq!(status == 200, taken, "{status} {body}");
            assert!(leaks_in(body.to_string().as_bytes()).is_empty(), "{body}");
        }
    }
}

/// Everything that the command line shows of it; [`Stack::emote`] looks at what it prints.
async fn screens(stack: &Stack) {
    let folder = stack.config.to_str().unwrap();
    let dead: Vec<Value> = stack
        .shown(&["dead", "ls", "-o", "json"])
        .await
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let letter = dead.iter().find_map(|letter| letter["sequence"].as_u64()).unwrap_or(1).to_string();
    let event = stack.streams.events().await[0].sequence.to_string();
    for command in [
        &["events"][..],
        &["nodes"],
        &["node", "C02"],
        &["trace", &event],
        &["targets"],
        &["targets", "show", "down"],
        &["rules", "stats"],
        &["held", "ls"],
        &["dead", "ls"],
        &["dead", "show", &letter],
        &["config", "history"],
        &["config", "show"],
        &["plan", folder],
    ] {
        for output in ["table", "json"] {
            stack.shown(&[command, &["-o", output]].concat()).await;
        }
    }
    for path in ["healthz", "readyz", "metrics"] {
        let url = format!("http://127.0.0.1:{}/{path}", stack.broker.ops);
        let told = stack.http.get(url).send().await.unwrap().text().await.unwrap();
        assert!(leaks_in(told.as_bytes()).is_empty(), "{told}");
    }
}

/// What everybody on this machine sees of a program.
fn command_line(pid: Option<u32>) -> Vec<u8> {
    std::fs::read(format!("/proc/{}/cmdline", pid.unwrap())).unwrap()
}

#[tokio::test]
async fn nothing_that_a_day_leaves_behind_holds_a_secret() {
    let (files, [fine, down]) = targets().await;
    let mut builder = Stack::new()
        .env("EMOTE_LOG", ALL)
        .env("EMOTE_TEST_TOKEN", &planted("token"))
        .env("EMOTE_TEST_SLACK", &planted("slack-token"))
        .env("EMOTE_TEST_USER", &planted("user"))
        .file("sources/hr.yaml", BY_BASIC)
        .file("sources/crm.yaml", BY_QUERY);
    for (path, text) in &files {
        builder = builder.file(path, text);
    }
    for secret in ["hr-password", "query-key", "url-part", "api-key", "basic-password"] {
        builder = builder.secret(secret);
    }
    let stack = builder.start().await;
    webhooks(&stack).await;
    count(&stack, "C02", 1).await;
    until("what fails is given up", async || stack.streams.dead().await.len() == 3).await;
    let is_lock = |seen: &Seen| seen.text().contains("<key>PIN</key>");
    until("a Mac is locked", async || stack.mdm.accepted().iter().any(is_lock)).await;
    let name = stack.config.join("rules/log.yaml");
    std::fs::write(&name, std::fs::read_to_string(&name).unwrap() + "\n# another set\n").unwrap();
    stack.shown(&["apply", stack.config.to_str().unwrap(), "-m", "because"]).await;
    screens(&stack).await;

    // The other side was told each of them, and told them back.
    let told: String = [&fine, &down].map(|side| format!("{:?}", side.seen())).concat();
    for secret in ["token", "api-key", "url-part", "slack-token"] {
        assert!(told.contains(&planted(secret)), "{secret} was not even used");
    }
    let basic = data_encoding::BASE64.encode(format!("emote:{}", planted("basic-password")).as_bytes());
    assert!(told.contains(&format!("Basic {basic}")), "the basic password was not even used");
    assert!(stack.logged().contains("TRACE"), "everything is logged");

    let root = stack.config.parent().unwrap();
    assert_eq!(leaks_under(root), Vec::<String>::new());
    for stored in
        stack.streams.events().await.iter().chain(&stack.streams.jobs().await).chain(&stack.streams.dead().await)
    {
        let text = format!("{} {:?} {}", stored.subject, stored.headers, String::from_utf8_lossy(&stored.payload));
        assert!(leaks_in(text.as_bytes()).is_empty(), "{text}");
    }
    for pid in [stack.broker.pid(), stack.nats.pid()] {
        assert!(leaks_in(&command_line(pid)).is_empty());
    }
    // The search finds one where there is one: in a log, and in a stream as it lies on the disk.
    std::fs::write(stack.logs.join("leak.log"), format!("token={}", planted("token"))).unwrap();
    assert_eq!(leaks_under(root).len(), 1);
    std::fs::remove_file(stack.logs.join("leak.log")).unwrap();
}

#[tokio::test]
async fn nor_does_what_connects_to_nats_show_its_password_or_token() {
    let builder = Stack::new().env("EMOTE_LOG", ALL).password(&planted("nats-password"));
    let mut stack =
        builder.expect_error("uthorization violation").expect_error("authentication error - User").start().await;
    count(&stack, "C02", 1).await;
    stack.settled().await;

    // An agent with a token, on a NATS of its own: a server asks either for tokens or for users.
    let (token, folder) = (planted("agent-token"), stack.config.with_file_name("other"));
    let mut nats = NatsServer::stopped(&folder.join("nats"), &stack.logs);
    nats.configure(&format!("authorization {{token: {token:?}}}\n"));
    nats.start_again().await;
    let streams = Streams::connect_by_token(&nats.url(), &token).await;
    streams.make_events().await;
    let file = folder.join("secrets/token");
    private_file(&file, &token);
    let mut agent = stack.new_agent("C02", &nats.url());
    agent.env("EMOTE_LOG", ALL);
    agent.env("EMOTE_AGENT_TOKEN_FILE", file.to_str().unwrap());
    agent.start().await;
    until("the agent's events are stored", async || streams.events().await.len() >= 2).await;
    for pid in [stack.broker.pid(), stack.nats.pid(), nats.pid(), agent.pid()] {
        let line = command_line(pid);
        assert!(leaks_in(&line).is_empty(), "{}", String::from_utf8_lossy(&line));
    }
    let status = agent.shows(&["status", "-o", "json"]).await + &agent.shows(&["config", "show", "-o", "json"]).await;
    assert!(leaks_in(status.as_bytes()).is_empty() && status.contains("C02"), "{status}");
    agent.kill();
    nats.stop().await;

    // A wrong password is refused, and not told either.
    assert_eq!(stack.broker.stop().await, Some(0));
    private_file(&stack.config.join("secrets/nats-password"), &planted("wrong-password"));
    stack.broker.begin();
    assert_eq!(stack.broker.wait().await, Some(1));
    assert!(stack.logged().contains("does not let us in"));
    assert_eq!(leaks_under(stack.config.parent().unwrap()), Vec::<String>::new());
}

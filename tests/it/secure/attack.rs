//! A Mac that was taken over, or whoever has an enrolment token, tries everything.

use std::time::Duration;

use async_nats::{HeaderMap, Message, Subscriber};
use emote::identity::{
    files,
    jwt::{AccountKey, Validity},
    role::Role,
};
use emote_proto::{NodeKey, Time, enroll::UserKey, header};
use emote_tests::{Connected, Secure, Streams, User};
use futures_util::StreamExt;
use serde_json::{Value, json};

/// What an attacker sends.
const ATTACK: &str = r#"{"scope":"device","action":"enroll","info":{"by":"attacker"}}"#;

/// Subjects that belong to nobody who is a Mac or has a token.
const FOREIGN: [&str; 30] = [
    "events.agent.OTHER.device.enroll",
    "events.agent.OTHER",
    "events.agent.*.device.enroll",
    "events.okta.ada.user.deactivated",
    "events.broker.C01.agent.approve_ordered",
    "events.broker.-.config.applied",
    "events.nanomdm.C01.device.enroll",
    "events.manual.C01.device.enroll",
    "events",
    "deliver.mdm.lock",
    "held.mdm-lock.lock-leavers.x",
    "checkpoint.0",
    "dead.mdm.lock",
    "$KV.emote-config.current",
    "$KV.emote-identity.device.C01",
    "$O.emote.C.x",
    "emote.api.nodes",
    "emote.api.brokers",
    "enroll.fleet2027",
    "_INBOX.OTHER.identity",
    "_INBOX.OTHER.clock",
    "_INBOX.C01.identity",
    "_ENROLL.fleet2027.x",
    "_R_.x.y",
    "$SRV.PING",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.CLAIMS.UPDATE",
    "$SYS.REQ.CLAIMS.DELETE",
    "$SYS.REQ.USER.INFO.x",
    "$SYS.ACCOUNT.X.CONNECT",
];

/// Every request of JetStream's API, for EVENTS where it is about a stream.
const API: [&str; 38] = [
    "INFO",
    "STREAM.CREATE.EVENTS",
    "STREAM.UPDATE.EVENTS",
    "STREAM.NAMES",
    "STREAM.LIST",
    "STREAM.INFO.EVENTS",
    "STREAM.DELETE.EVENTS",
    "STREAM.PURGE.EVENTS",
    "STREAM.SNAPSHOT.EVENTS",
    "STREAM.RESTORE.EVENTS",
    "STREAM.MSG.DELETE.EVENTS",
    "STREAM.MSG.GET.EVENTS",
    "STREAM.PEER.REMOVE.EVENTS",
    "STREAM.LEADER.STEPDOWN.EVENTS",
    "STREAM.TEMPLATE.CREATE.x",
    "DIRECT.GET.EVENTS",
    "DIRECT.GET.EVENTS.events.agent.OTHER.device.enroll",
    "DIRECT.GET.EVENTS.events.agent.C01.test.ran",
    "CONSUMER.CREATE.EVENTS",
    "CONSUMER.CREATE.EVENTS.mine",
    "CONSUMER.CREATE.EVENTS.mine.events.agent.C01.>",
    "CONSUMER.DURABLE.CREATE.EVENTS.mine",
    "CONSUMER.NAMES.EVENTS",
    "CONSUMER.LIST.EVENTS",
    "CONSUMER.INFO.EVENTS.core-0",
    "CONSUMER.DELETE.EVENTS.core-0",
    "CONSUMER.PAUSE.EVENTS.core-0",
    "CONSUMER.RESET.EVENTS.core-0",
    "CONSUMER.UNPIN.EVENTS.core-0",
    "CONSUMER.MSG.NEXT.EVENTS.core-0",
    "CONSUMER.LEADER.STEPDOWN.EVENTS.core-0",
    "META.LEADER.STEPDOWN",
    "META.SERVER.REMOVE",
    "SERVER.REMOVE",
    "ACCOUNT.PURGE.x",
    "ACCOUNT.STREAM.MOVE.x.EVENTS",
    "ACCOUNT.STREAM.CANCEL_MOVE.x.EVENTS",
    "STREAM.INFO.KV_emote-config",
];

/// Subscriptions that belong to nobody who is a Mac or has a token.
const READING: [&str; 19] = [
    ">",
    "*",
    "*.>",
    "events.>",
    "events.agent.C01.>",
    "events.agent.OTHER.>",
    "_INBOX.>",
    "_INBOX.*",
    "_INBOX.*.>",
    "_INBOX.*.identity",
    "_INBOX.OTHER.>",
    "_INBOX.OTHER.identity",
    "_ENROLL.>",
    "_ENROLL.*.>",
    "enroll.*",
    "_R_.>",
    "$SYS.>",
    "$JS.>",
    "$KV.>",
];

/// Where JetStream's answers are to go, if an attacker had their way.
const REPLIES: [&str; 20] = [
    "$JS.API.STREAM.PURGE.EVENTS",
    "$JS.API.STREAM.DELETE.EVENTS",
    "$JS.API.STREAM.MSG.DELETE.EVENTS",
    "$JS.API.STREAM.UPDATE.EVENTS",
    "$JS.API.CONSUMER.DELETE.EVENTS.core-0",
    "events.agent.OTHER.device.enroll",
    "events.okta.ada.user.deactivated",
    "events.broker.C01.agent.approve_ordered",
    "deliver.mdm.lock",
    "held.mdm-lock.lock-leavers.x",
    "checkpoint.0",
    "dead.mdm.lock",
    "enroll.fleet2027",
    "$KV.emote-config.current",
    "$KV.emote-identity.device.OTHER",
    "emote.api.nodes",
    "$SRV.PING",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.CLAIMS.UPDATE",
    "_INBOX.OTHER.identity",
];

/// Everybody's messages, in the account of the streams and in that of devices.
struct Watch {
    streams: Streams,
    emote: Subscriber,
    devices: Subscriber,
    listener: Connected,
    /// How many messages each stream held at the beginning.
    before: Vec<(String, u64)>,
}

impl Watch {
    async fn begin(secure: &Secure) -> Self {
        let streams = Streams::of(secure.connect(&secure.user(files::BROKER)).await.client);
        let before = stored(&streams).await;
        let pair = nkeys::KeyPair::new_user();
        let validity = Validity::from(Time::from(jiff::Timestamp::now()));
        let account = AccountKey::new(secure.key("devices-account"), secure.devices());
        let (name, key) = (NodeKey::new("listener").unwrap(), UserKey::new(pair.public_key()).unwrap());
        let jwt = account.user_of(Role::Broker, &name, &key, validity).unwrap();
        let listener = secure.connect(&User { jwt, seed: pair.seed().unwrap(), inbox: None }).await;
        let (emote, devices) =
            (streams.client.subscribe(">").await.unwrap(), listener.client.subscribe(">").await.unwrap());
        round_trip(&streams.client).await;
        round_trip(&listener.client).await;
        Self { streams, emote, devices, listener, before }
    }

    /// What either account has seen until now.
    async fn seen(&mut self) -> (Vec<Message>, Vec<Message>) {
        (
            until_mark(&self.streams.client, &mut self.emote).await,
            until_mark(&self.listener.client, &mut self.devices).await,
        )
    }

    /// How many messages each stream holds more than at the beginning; only those that do.
    async fn added(&self) -> Vec<(String, u64)> {
        let both = self.before.iter().zip(stored(&self.streams).await);
        let added = both.map(|((name, before), (_, after))| (name.clone(), after - before));
        added.filter(|(_, count)| *count > 0).collect()
    }
}

async fn stored(streams: &Streams) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut all = streams.js.streams();
    while let Some(stream) = all.next().await {
        let info = stream.unwrap();
        found.push((info.config.name, info.state.messages));
    }
    found.sort();
    found
}

/// Waits until the server has dealt with what was sent: a library's flush says that it is sent.
async fn round_trip(client: &async_nats::Client) {
    let inbox = client.new_inbox();
    let mut mark = client.subscribe(inbox.clone()).await.unwrap();
    client.publish(inbox, "".into()).await.unwrap();
    mark.next().await.unwrap();
}

async fn until_mark(client: &async_nats::Client, seen: &mut Subscriber) -> Vec<Message> {
    let mark = client.new_inbox();
    client.publish(mark.clone(), "".into()).await.unwrap();
    let mut found = Vec::new();
    while let Some(message) = seen.next().await {
        if message.subject.as_str() == mark {
            break;
        }
        // Of the one who watches.
        if message.subject.starts_with("_INBOX.OTHER.") || !message.subject.starts_with("_INBOX.") {
            found.push(message);
        }
    }
    found
}

/// Publishing to any of these is refused, and said to be.
async fn may_not_publish(who: &Connected, subjects: impl Iterator<Item = String>) {
    for subject in subjects {
        who.client.publish(subject.clone(), ATTACK.into()).await.unwrap();
        who.told(&format!("Permissions Violation for Publish to \"{subject}\"")).await;
    }
}

/// So is subscribing, with and without a queue.
async fn may_not_read(who: &Connected, subjects: impl Iterator<Item = String>) {
    for subject in subjects {
        let reading = who.client.subscribe(subject.clone()).await.unwrap();
        who.told(&format!("Permissions Violation for Subscription to \"{subject}\"")).await;
        let queued = who.client.queue_subscribe(subject.clone(), "core-0".into()).await.unwrap();
        who.told(&format!("Permissions Violation for Subscription to \"{subject}\" using queue \"core-0\"")).await;
        drop((reading, queued));
    }
}

fn others<'a>(subjects: &'a [&str], own: &'a str) -> impl Iterator<Item = String> + 'a {
    subjects.iter().filter(move |subject| **subject != own).map(|subject| (*subject).to_owned())
}

fn api() -> impl Iterator<Item = String> {
    API.iter().map(|request| format!("$JS.API.{request}"))
}

#[tokio::test]
async fn a_device_speaks_for_itself_and_reads_its_own_inbox_and_nothing_else() {
    let secure = Secure::start().await;
    super::streams(&secure).await;
    let device = secure.connect(&secure.device("C01")).await;
    let (mut watch, before) = (Watch::begin(&secure).await, secure.streams().await);
    tries_everything(&device, &before).await;
    let (emote, devices) = watch.seen().await;
    let attacks = |seen: Vec<Message>| seen.into_iter().filter(|message| message.payload == ATTACK).count();
    assert_eq!((attacks(emote), attacks(devices)), (0, 0), "what is refused arrives nowhere");
}

/// All that is not the Mac C01's is refused, nothing of it is stored; what is its own is.
pub(super) async fn tries_everything(device: &Connected, streams: &Streams) {
    let before = stored(streams).await;
    may_not_publish(device, others(&FOREIGN, "")).await;
    may_not_publish(device, api()).await;
    may_not_publish(device, ["enroll.C01".to_owned(), "events.agent.C01".to_owned()].into_iter()).await;
    may_not_read(device, others(&READING, "")).await;
    assert_eq!(stored(streams).await, before);
    speaks(device, "C01").await;
    assert_eq!(streams.events().await.len(), 3);
}

/// The streams, where there is no `emote init --secure` to name the broker's credentials.
pub(super) async fn make_streams(broker: &Streams) {
    for (name, subjects) in [
        ("EVENTS", vec!["events.>"]),
        ("DELIVERIES", vec!["deliver.>", "held.>", "checkpoint.>"]),
        ("DEAD", vec!["dead.>"]),
        ("KV_emote-identity", vec!["$KV.emote-identity.>"]),
    ] {
        let config = async_nats::jetstream::stream::Config {
            name: name.to_owned(),
            subjects: subjects.into_iter().map(str::to_owned).collect(),
            allow_atomic_publish: true,
            allow_direct: true,
            ..Default::default()
        };
        broker.js.create_stream(config).await.unwrap();
    }
}

#[tokio::test]
async fn whoever_has_a_token_may_ask_and_nothing_else() {
    let secure = Secure::start().await;
    super::streams(&secure).await;
    let holder = secure.connect(&User::from(&secure.token("fleet2026"))).await;
    let mut watch = Watch::begin(&secure).await;
    may_not_publish(&holder, others(&FOREIGN, "")).await;
    may_not_publish(&holder, api()).await;
    may_not_publish(&holder, ["events.agent.C01.device.enroll", "enroll.fleet2026.x"].map(str::to_owned).into_iter())
        .await;
    may_not_read(&holder, others(&READING, "")).await;
    may_not_read(&holder, ["_INBOX.C01.>", "enroll.fleet2026"].map(str::to_owned).into_iter()).await;
    let (emote, devices) = watch.seen().await;
    assert!(emote.iter().chain(&devices).all(|message| message.payload != ATTACK));
    assert_eq!(watch.added().await, []);
    // What it may do works: the broker sees which token it is, and the answer comes.
    let mut asked = watch.streams.client.subscribe("enroll.*").await.unwrap();
    round_trip(&watch.streams.client).await;
    let answering = async {
        let request = asked.next().await.unwrap();
        watch.streams.client.publish(request.reply.clone().unwrap(), "answer".into()).await.unwrap();
        request
    };
    let (request, answer) = tokio::join!(answering, holder.client.request("enroll.fleet2026", "please".into()));
    assert_eq!((request.subject.as_str(), &request.payload[..]), ("enroll.fleet2026", &b"please"[..]));
    assert!(request.reply.unwrap().starts_with("_R_."), "a reply subject of the server's own");
    assert_eq!(&answer.unwrap().payload[..], b"answer");
}

/// One event, then a batch of two behind an expectation, as agents send them.
async fn speaks(device: &Connected, serial: &str) {
    let all = format!("events.agent.{serial}.>");
    let subject = format!("events.agent.{serial}.test.ran");
    let mut headers = HeaderMap::new();
    headers.insert(header::EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
    headers.insert(header::EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, all.as_str());
    let mut named = headers.clone();
    named.insert(header::MSG_ID, "018bcfe5-687b-7707-8707-070707070707");
    let ack = send(device, &subject, named).await;
    let first = ack["seq"].as_u64().unwrap_or_else(|| panic!("{ack}"));
    let stale = send(device, &subject, headers.clone()).await;
    assert_eq!(stale["error"]["err_code"], 10071, "the expectation is kept: {stale}");
    headers.insert(header::EXPECTED_LAST_SUBJECT_SEQUENCE, first.to_string());
    headers.insert(header::BATCH_ID, "b1");
    headers.insert(header::BATCH_SEQUENCE, "1");
    let request = async_nats::Request::new().headers(headers).payload("{}".into());
    let opened = device.client.send_request(subject.clone(), request).await.unwrap();
    assert!(opened.payload.is_empty(), "{opened:?}");
    let mut headers = HeaderMap::new();
    headers.insert(header::BATCH_ID, "b1");
    headers.insert(header::BATCH_SEQUENCE, "2");
    headers.insert(header::BATCH_COMMIT, "1");
    let ack = send(device, &subject, headers).await;
    assert_eq!((&ack["batch"], &ack["count"]), (&json!("b1"), &json!(2)), "{ack}");
}

/// JetStream's answer to a publishing.
async fn send(device: &Connected, subject: &str, headers: HeaderMap) -> Value {
    let request = async_nats::Request::new().headers(headers).payload("{}".into());
    let answer = device.client.send_request(subject.to_owned(), request).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

#[tokio::test]
async fn an_answer_goes_nowhere_its_asker_could_not_publish() {
    let secure = Secure::start().await;
    super::streams(&secure).await;
    let (device, other) = (secure.connect(&secure.device("C01")).await, secure.connect(&secure.device("OTHER")).await);
    let mut watch = Watch::begin(&secure).await;
    answers_go_nowhere(&device, &other, &secure.streams().await, 0).await;
    let (emote, _) = watch.seen().await;
    for message in &emote {
        let subject = message.subject.as_str();
        let fine = ["events.agent.C01.test.ran", "events.agent.OTHER.test.ran"].contains(&subject)
            || ["_R_.", "$JS.EVENT.ADVISORY.", "$JS.API."].iter().any(|prefix| subject.starts_with(prefix));
        assert!(fine, "{subject}");
        let api = subject.starts_with("$JS.API.");
        assert!(!api || message.reply.as_ref().is_some_and(|reply| reply.starts_with("_INBOX.")), "{message:?}");
    }
}

/// JetStream's answers to the Mac C01 go to no subject that it may not publish to; EVENTS holds `before` already.
pub(super) async fn answers_go_nowhere(device: &Connected, other: &Connected, streams: &Streams, before: u64) {
    let mut inbox = other.client.subscribe("_INBOX.OTHER.>").await.unwrap();
    // Answered, but not stored: the subscription stands.
    let mut headers = HeaderMap::new();
    headers.insert(header::EXPECTED_LAST_SEQUENCE, "777777");
    assert_eq!(send(other, "events.agent.OTHER.test.ran", headers).await["error"]["err_code"], 10071);
    inbox.next().await.unwrap();
    let held = stored(streams).await;
    let own = "events.agent.C01.test.ran";
    for reply in REPLIES {
        device.client.publish_with_reply(own, reply, ATTACK.into()).await.unwrap();
    }
    // An expectation that fails, and a batch, are answered elsewhere in the server.
    for reply in REPLIES {
        let mut headers = HeaderMap::new();
        headers.insert(header::EXPECTED_LAST_SEQUENCE, "777777");
        device.client.publish_with_reply_and_headers(own, reply, headers, "{}".into()).await.unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::BATCH_ID, "b2");
        headers.insert(header::BATCH_SEQUENCE, "1");
        headers.insert(header::BATCH_COMMIT, "1");
        device.client.publish_with_reply_and_headers(own, reply, headers, "{}".into()).await.unwrap();
    }
    for reply in ["$JS.ACK.EVENTS.core-0.1.1.1.1.0", "_R_.x.y"] {
        device.client.publish_with_reply(own, reply, ATTACK.into()).await.unwrap();
        device.told(&format!("Permissions Violation for Publish with Reply of \"{reply}\"")).await;
    }
    let ack = send(device, own, HeaderMap::new()).await;
    let added = u64::try_from(2 * REPLIES.len() + 1).unwrap();
    assert_eq!(ack["seq"], before + added, "its own events are there, and nothing else");
    let expected =
        held.into_iter().map(|(name, count)| (name.clone(), count + if name == "EVENTS" { added } else { 0 }));
    assert_eq!(stored(streams).await, expected.collect::<Vec<_>>());
    assert!(streams.events().await.iter().all(|event| event.subject == own));
    // What remains: another Mac's inbox can be sent JetStream's answer, which is none of the answers that are read there.
    let answer = inbox.next().await.unwrap();
    assert_eq!(answer.subject.as_str(), "_INBOX.OTHER.identity");
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    let known = ["stream", "seq", "error", "batch", "count"];
    assert!(answer.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{answer}");
    assert!(serde_json::from_value::<emote_proto::enroll::IdentityNotice>(answer).is_err());
}

#[tokio::test]
async fn an_answer_to_an_enrolment_is_no_event_either() {
    let secure = Secure::start().await;
    super::streams(&secure).await;
    let holder = secure.connect(&User::from(&secure.token("fleet2026"))).await;
    let mut watch = Watch::begin(&secure).await;
    let mut asked = watch.streams.client.subscribe("enroll.*").await.unwrap();
    round_trip(&watch.streams.client).await;
    for reply in REPLIES {
        holder.client.publish_with_reply("enroll.fleet2026", reply, "please".into()).await.unwrap();
        let request = asked.next().await.unwrap();
        assert_eq!(request.subject.as_str(), "enroll.fleet2026");
        watch.streams.client.publish(request.reply.unwrap(), ATTACK.into()).await.unwrap();
    }
    round_trip(&watch.streams.client).await;
    let (emote, _) = watch.seen().await;
    let subjects: Vec<&str> = emote.iter().map(|message| message.subject.as_str()).collect();
    let fine = |subject: &&str| *subject == "enroll.fleet2026" || subject.starts_with("_R_.");
    assert!(subjects.iter().all(fine), "{subjects:?}");
    assert_eq!(watch.added().await, []);
    let more = tokio::time::timeout(Duration::from_millis(300), asked.next()).await;
    assert!(more.is_err(), "nobody asked for another token: {more:?}");
}

#[tokio::test]
async fn headers_give_a_device_no_power_over_others() {
    let secure = Secure::start().await;
    super::streams(&secure).await;
    let device = secure.connect(&secure.device("C01")).await;
    let streams = secure.streams().await;
    streams.publish("events.manual.-.test.ran", "{}").await;
    let own = "events.agent.C01.test.ran";
    let refused = [
        ("Nats-Rollup", "all"),
        ("Nats-Rollup", "sub"),
        ("Nats-TTL", "1s"),
        ("Nats-Schedule", "@at 2030-01-01T00:00:00Z"),
        ("Nats-Incr", "+1"),
        ("Nats-Expected-Stream", "DELIVERIES"),
    ];
    for (name, value) in refused {
        let mut headers = HeaderMap::new();
        headers.insert(name, value);
        if name == "Nats-Schedule" {
            headers.insert("Nats-Schedule-Target", "events.okta.ada.user.deactivated");
        }
        let answer = send(&device, own, headers).await;
        assert!(answer["error"]["err_code"].is_u64(), "{name}: {value}: {answer}");
    }
    assert_eq!(streams.events().await.len(), 1);
    // Expectations about other Macs' subjects tell at most a sequence number, and that only where they fail.
    let mut headers = HeaderMap::new();
    headers.insert(header::EXPECTED_LAST_SUBJECT_SEQUENCE, "7");
    headers.insert(header::EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, "events.manual.>");
    let answer = send(&device, own, headers).await;
    assert_eq!(answer["error"]["err_code"], 10071, "{answer}");
    // Traces go only where the device may publish itself; what asks for another is dropped as a whole.
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Trace-Dest", "events.okta.ada.user.deactivated");
    device.client.publish_with_headers(own, headers, "{}".into()).await.unwrap();
    device.told("Permissions Violation").await;
    assert_eq!(streams.events().await.len(), 1);
}

#[tokio::test]
async fn a_broker_may_do_all_of_it_an_administrator_orders_under_its_name_and_the_system_user_does_little() {
    let secure = Secure::start_as("ada@example.com").await;
    super::streams(&secure).await;
    let broker = secure.connect(&secure.user(files::BROKER)).await;
    Streams::of(broker.client.clone()).publish("events.okta.ada.user.created", "{}").await;
    assert_eq!(broker.errors(), Vec::<String>::new());
    let admin = secure.connect(&secure.user(files::ADMIN)).await;
    let own = "events.admin.ada@example%2Ecom.held.approve_ordered";
    for subject in [own, "events.manual.C01.device.enroll"] {
        Streams::of(admin.client.clone()).publish(subject, "{}").await;
    }
    let manual = |subject: &&str| !subject.starts_with("events.manual.") && !subject.starts_with("emote.api.");
    let foreign = FOREIGN.into_iter().filter(manual).filter(|subject| *subject != "$KV.emote-config.current");
    may_not_publish(&admin, foreign.map(str::to_owned)).await;
    may_not_publish(&admin, ["events.admin.bob.held.approve_ordered".to_owned()].into_iter()).await;
    let system = secure.connect(&secure.user(files::SYSTEM)).await;
    let foreign = ["events.okta.x.y.z", "$SYS.REQ.CLAIMS.DELETE", "$SYS.REQ.SERVER.x.RELOAD"];
    may_not_publish(&system, foreign.into_iter().map(str::to_owned)).await;
    may_not_read(&system, [">", "$SYS.>", "events.>"].into_iter().map(str::to_owned)).await;
}

/// Why SECURITY.md says that an administrator who may use JetStream's API can forge: there is no way to forbid it but to
/// take that away. When this fails, say so there.
#[tokio::test]
async fn an_administrator_with_jetstreams_api_can_still_forge_an_event() {
    let secure = Secure::start().await;
    super::streams(&secure).await;
    let admin = secure.connect(&secure.user(files::ADMIN)).await;
    let streams = Streams::of(admin.client.clone());
    let sequence = streams.publish("events.manual.-.test.ran", ATTACK).await;
    let forged = "events.okta.ada.user.deactivated";
    let request = json!({"seq": sequence}).to_string();
    admin.client.publish_with_reply("$JS.API.DIRECT.GET.EVENTS", forged, request.into()).await.unwrap();
    emote_tests::until("the answer is stored as an event of Okta's", async || {
        streams.events().await.iter().any(|event| event.subject == forged && event.payload == ATTACK.as_bytes())
    })
    .await;
}

/// Why SECURITY.md says that ids have to be hard to guess: the window in which NATS takes a message for a repeated one is
/// that of the whole stream. When this fails, say so there.
#[tokio::test]
async fn a_device_that_knew_the_id_of_an_event_to_come_could_suppress_it() {
    let secure = Secure::start().await;
    super::streams(&secure).await;
    let device = secure.connect(&secure.device("C01")).await;
    let streams = Streams::of(secure.connect(&secure.user(files::BROKER)).await.client);
    let id = "018bcfe5-687b-7707-8707-070707070707";
    let mut headers = HeaderMap::new();
    headers.insert(header::MSG_ID, id);
    send(&device, "events.agent.C01.test.ran", headers.clone()).await;
    let publishing = streams.js.publish_with_headers("events.okta.ada.user.created", headers, "{}".into());
    assert!(publishing.await.unwrap().await.unwrap().duplicate);
}

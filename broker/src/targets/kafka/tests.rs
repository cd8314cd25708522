mod broker;

use insta::assert_snapshot;

use self::broker::{Broker, Login as Answer};
use super::*;
use crate::{
    core::JobId,
    targets::{
        Script,
        testing::{TOKEN, job, problems, secrets, show, validate},
    },
};

/// Jobs about these nodes.
fn jobs<const N: usize>(nodes: [&str; N]) -> [Job; N] {
    nodes.map(|node| {
        let job = job();
        let id = JobId::new(job.event.id, &job.rule, &job.target, Some(node));
        Job { id, node: Some(json!({"serial": node}).into()), ..job }
    })
}

fn target(broker: &Broker, yaml: &str) -> (Box<dyn Target>, tempfile::TempDir) {
    let folder = secrets();
    let timeout = if yaml.contains("timeout: ") { "" } else { "timeout: 5s\n" };
    let yaml = format!("kind: kafka\n{timeout}brokers: [\"{}\"]\n{yaml}", broker.address);
    (validate(&yaml).unwrap().resolve(folder.path()).unwrap(), folder)
}

async fn deliver_all(target: &dyn Target, jobs: &[Job]) -> String {
    let input = json!({"a": 1});
    let jobs: Vec<_> = jobs.iter().map(|job| (job, &input)).collect();
    let outcomes = target.deliver_batch(&jobs).await;
    let shown = outcomes.iter().map(show).collect::<Vec<_>>().join("\n");
    assert!(!shown.contains(TOKEN), "{shown}");
    shown
}

/// What `target test` shows of a job.
fn shown(yaml: &str, job: &Job, input: &Value) -> String {
    let script = Arc::new(Script::showing());
    let target = validate(&format!("kind: kafka\n{yaml}")).unwrap();
    let target = target.with_script(std::path::Path::new("/"), &script).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = show(&runtime.block_on(target.deliver(job, input)));
    let seen = script.seen();
    let said = seen.iter().map(|shown| {
        let headers = shown.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
        format!("{} {}\n{}\n{}\n", shown.method, shown.url, headers.collect::<String>(), shown.body)
    });
    said.chain([outcome]).collect()
}

#[test]
fn a_record_is_the_input_under_the_nodes_key() {
    let yaml = "brokers: [a.example.com:9093, b.example.com:9093]\ntopic: emote.events\nmechanism: scram-sha-512\n\
        auth: {basic: {user: emote, password: '${env:PASSWORD}'}}";
    assert_snapshot!(shown(yaml, &job(), &json!({"a": 1})), @r#"
    PRODUCE emote.events at a.example.com:9093, b.example.com:9093
    auth: SCRAM-SHA-512 emote:${env:PASSWORD}
    key: C02XL0GTJGH5
    content-type: application/json
    event-id: a64c29d5-87af-5257-b215-b904e4a840d8
    idempotency-key: a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target

    {"a":1}
    done kafka.produced {"target":"the-target","topic":"emote.events"}
    "#);
}

#[test]
fn programs_say_what_it_is_and_where_it_goes() {
    let yaml = "brokers: 'localhost:9092, 127.0.0.1:9092'\ntopic: '\"emote.\\(.event.scope)\"'\nkey: .node.owner\n\
        headers: '{rule, tags: [1, \"b\"]}'\nbody: '\"\\(.serial) is here\"'";
    assert_snapshot!(shown(yaml, &job(), &Value::Null), @r#"
    PRODUCE emote.device at localhost:9092, 127.0.0.1:9092
    key: ada@example.com
    content-type: text/plain; charset=utf-8
    event-id: a64c29d5-87af-5257-b215-b904e4a840d8
    idempotency-key: a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target
    rule: the-rule
    tags: 1
    tags: b

    C02XL0GTJGH5 is here
    done kafka.produced {"target":"the-target","topic":"emote.device"}
    "#);
}

#[test]
fn what_no_topic_and_no_header_can_be_is_given_up() {
    for (yaml, said) in [
        ("topic: .input", "topic: the program gave \"a b\": a topic has letters"),
        ("topic: '\"__consumer_offsets\"'", "are Kafka's own"),
        ("topic: a\nheaders: '{\"event-id\": 1}'", "headers: event-id is Emote's own"),
        ("topic: a\nheaders: '{a: (\"x\" * 20000)}'", "has more than 16384 bytes"),
        ("topic: a\nheaders: '[range(65)] | with_entries(.key |= tostring)'", "65 of them; 64 are the most"),
        ("topic: a\nbody: error(\"no\")", "no"),
    ] {
        let shown = shown(&format!("brokers: localhost:1\n{yaml}"), &job(), &"a b".into());
        assert!(shown.starts_with("never ") && shown.contains(said), "{yaml}: {shown}");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    assert_snapshot!(problems("kind: kafka"), @r#"
    brokers: is missing: for example brokers: [kafka-1.example.com:9093]
    topic: is missing: for example topic: emote.events
    "#);
    let yaml = "kind: kafka\nbrokers: [kafka]\ntopic: a b\nauth: {basic: {user: a, password: '${env:A}'}}\n\
        extensions: {auth: b}\nclient_id: ''\ncompress: zstd";
    assert_snapshot!(problems(yaml), @r"
    brokers: expected a host and its port: kafka-1.example.com:9093
    mechanism: is missing: say plain, scram-sha-256 or scram-sha-512, as the cluster has it
    extensions: are said beside a token: say bearer, login, oauth2 or signed in `auth`
    extensions.auth: an extension is called by letters alone, and none is auth
    client_id: expected 1 to 255 visible ASCII characters
    compress: expected gzip or none
    topic: a topic has letters, digits, dots, _ and -, 249 at most: emote.events
    ");
    let yaml =
        "kind: kafka\nbrokers: []\ntopic: __a\nauth: {bearer: '${env:A}'}\nmechanism: plain\nextensions: {a1: b}";
    assert_snapshot!(problems(yaml), @r"
    brokers: expected 1 to 16 brokers, each a host and its port: for example brokers: [kafka-1.example.com:9093]
    mechanism: is for a password alone: `auth: {basic: …}`
    extensions.a1: an extension is called by letters alone, and none is auth
    topic: topics that begin with __ are Kafka's own
    ");
    assert_snapshot!(problems("kind: kafka\nbrokers: a:1\ntopic: a\nauth: {header: {name: A, value: '${env:A}'}}"), @"auth: Kafka takes one of basic, bearer, login, oauth2, signed");
}

#[tokio::test]
async fn records_of_all_partitions_go_in_one_request_and_are_told_where_they_lie() {
    let broker = Broker::start(&[0, 0, 0]).await;
    let (target, _folder) = target(&broker, "topic: events");
    let told = deliver_all(target.as_ref(), &jobs(["one", "two", "three", "one"])).await;
    assert_snapshot!(told, @r#"
    done kafka.produced {"offset":0,"partition":2,"target":"the-target","topic":"events"}
    done kafka.produced {"offset":2,"partition":0,"target":"the-target","topic":"events"}
    done kafka.produced {"offset":3,"partition":1,"target":"the-target","topic":"events"}
    done kafka.produced {"offset":1,"partition":2,"target":"the-target","topic":"events"}
    "#);
    assert_eq!(broker.requests("Produce"), 1);
    deliver_all(target.as_ref(), &jobs(["one"])).await;
    assert_eq!((broker.requests("Produce"), broker.requests("ApiVersions"), broker.requests("Metadata")), (2, 1, 1));
}

#[tokio::test]
async fn what_cannot_be_stored_takes_nothing_with_it() {
    let broker = Broker::start(&[0]).await;
    broker.refuse_batches_with("bad");
    let (target, _folder) = target(&broker, "topic: events");
    let told = deliver_all(target.as_ref(), &jobs(["a", "b", "bad", "d", "e"])).await;
    let told: Vec<&str> = told.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(told, ["done", "done", "never", "done", "done"]);
    assert_eq!(broker.stored(), ["a", "b", "d", "e"]);
}

#[tokio::test]
async fn what_has_moved_is_looked_for_once() {
    let broker = Broker::start(&[0]).await;
    let (target, _folder) = target(&broker, "topic: events");
    broker.answer_with(&[6]);
    assert!(deliver_all(target.as_ref(), &jobs(["a"])).await.starts_with("done"));
    assert_eq!((broker.requests("Metadata"), broker.requests("Produce")), (2, 2));
    broker.answer_with(&[6, 6]);
    let told = deliver_all(target.as_ref(), &jobs(["a"])).await;
    assert_eq!(told, "retry the cluster says NOT_LEADER_OR_FOLLOWER (6)");
    assert_eq!(broker.requests("Produce"), 4);
}

#[tokio::test]
async fn an_answer_that_asks_to_slow_down_is_an_answer_and_nothing_is_sent_before_its_time() {
    let broker = Broker::start(&[0]).await;
    broker.throttle(60_000);
    let (target, _folder) = target(&broker, "topic: events\ntimeout: 1s");
    assert!(deliver_all(target.as_ref(), &jobs(["a"])).await.starts_with("done"));
    let told = deliver_all(target.as_ref(), &jobs(["b"])).await;
    assert!(told.starts_with("retry ") && told.ends_with("no answer in time"), "{told}");
    assert_eq!((broker.stored(), broker.requests("Produce")), (vec!["a".to_owned()], 1));
}

#[tokio::test]
async fn a_connection_that_broke_off_is_made_anew() {
    let broker = Broker::start(&[0]).await;
    let (target, _folder) = target(&broker, "topic: events");
    broker.hang_up(1);
    assert!(deliver_all(target.as_ref(), &jobs(["a"])).await.starts_with("done"));
    broker.hang_up(9);
    let told = deliver_all(target.as_ref(), &jobs(["a"])).await;
    assert!(told.starts_with("retry 127.0.0.1:") && told.ends_with("the broker has closed the connection"), "{told}");
}

#[tokio::test]
async fn a_broker_that_is_silent_takes_nothing_of_the_others_with_it() {
    let broker = Broker::start(&[0, 1, 0]).await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    broker.name_another(silent.local_addr().unwrap().port());
    let (target, _folder) = target(&broker, "topic: events\ntimeout: 2s");
    let told = deliver_all(target.as_ref(), &jobs(["one", "two", "three"])).await;
    let told: Vec<&str> = told.lines().collect();
    assert!(told[0].starts_with("done ") && told[1].starts_with("done "), "{told:?}");
    assert!(told[2].starts_with("retry ") && told[2].ends_with(": no answer in time"), "{told:?}");
    assert_eq!((broker.stored().len(), broker.requests("Produce")), (2, 1));
}

#[tokio::test]
async fn a_login_that_is_refused_is_given_up_and_one_that_is_cut_off_is_not() {
    let broker = Broker::start(&[0]).await;
    let login = |mechanism: &str| {
        format!("topic: events\nmechanism: {mechanism}\nauth: {{basic: {{user: emote, password: '${{file:token}}'}}}}")
    };
    let (plain, _folder) = target(&broker, &login("plain"));
    for (answer, expected) in [
        (
            Answer::Refused,
            "never BROKER does not take the login: SASL_AUTHENTICATION_FAILED (58): no: check `auth` and `mechanism`",
        ),
        (
            Answer::Cut,
            "retry BROKER: the broker has closed the connection during the login: check `auth` and `mechanism`",
        ),
    ] {
        broker.answer_logins(answer);
        let told = deliver_all(plain.as_ref(), &jobs(["a"])).await;
        assert_eq!(told.replace(&broker.address, "BROKER"), expected);
    }
    broker.answer_logins(Answer::Taken);
    assert!(deliver_all(plain.as_ref(), &jobs(["a"])).await.starts_with("done"));
    let (other, _folder) = target(&broker, &login("scram-sha-256"));
    let told = deliver_all(other.as_ref(), &jobs(["a"])).await;
    assert!(told.ends_with("it takes PLAIN, not SCRAM-SHA-256: check `auth` and `mechanism`"), "{told}");
}

#[tokio::test]
async fn plain_text_stays_on_this_machine_wherever_the_cluster_says_that_it_is() {
    let broker = Broker::start(&[0]).await;
    broker.call_itself("kafka.example.com");
    let (there, _folder) = target(&broker, "topic: events");
    let told = deliver_all(there.as_ref(), &jobs(["a"])).await;
    assert!(told.starts_with("never the cluster says that a broker is at kafka.example.com:"), "{told}");
    assert_eq!(broker.requests("Produce"), 0);
}

#[tokio::test]
async fn whoever_speaks_something_else_is_told_from_a_broker() {
    let broker = Broker::answering_http().await;
    let (target, _folder) = target(&broker, "topic: events");
    let told = deliver_all(target.as_ref(), &jobs(["a"])).await;
    assert!(told.ends_with("is it a Kafka broker?"), "{told}");
}

//! AWS, as moto plays it: each service gets what a rule gives it, signed so that moto lets it in.

use std::{path::Path, process::Command};

use emote_tests::{Process, Stack, free_port, required, until, until_listening};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::counted::{count, rule};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/it/aws/moto.py");
const RETRY: &str = "retry: {max_attempts: 20, backoff: {initial: 20ms, max: 200ms}}\n";

/// A moto of a test's own.
struct Moto {
    url: String,
    python: std::path::PathBuf,
    http: reqwest::Client,
    folder: TempDir,
    _server: Process,
}

impl Moto {
    /// `None`, loudly, where there is none.
    async fn start() -> Option<Self> {
        let (server, python) = (required("moto/bin/moto_server")?, required("moto/bin/python")?);
        rustls::crypto::ring::default_provider().install_default().ok();
        let (folder, port) = (TempDir::with_prefix("emote-test-").unwrap(), free_port());
        let mut command = Command::new(server);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).env("AWS_DEFAULT_REGION", "eu-central-1");
        let server = Process::start("moto", command, folder.path());
        until_listening("moto", port).await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Some(Self { url: format!("http://127.0.0.1:{port}"), python, http, folder, _server: server })
    }

    /// What the script says.
    async fn told(&self, what: &str) -> Value {
        let mut command = tokio::process::Command::new(&self.python);
        command.args([SCRIPT, &self.url, what]).env("NO_PROXY", "127.0.0.1").kill_on_drop(true);
        let output = command.output().await.unwrap();
        let log = std::fs::read_to_string(self.folder.path().join("moto.log")).unwrap_or_default();
        let end = log.len().saturating_sub(2000);
        assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), &log[end..]);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// After so many requests it lets nobody in whose signature it does not find right, and who may not.
    async fn checks_after(&self, requests: u32) {
        let request = self.http.post(format!("{}/moto-api/reset-auth", self.url)).body(requests.to_string());
        assert!(request.header("content-type", "text/plain").send().await.unwrap().status().is_success());
    }

    fn target(&self, fields: &str) -> String {
        format!("kind: aws\nregion: eu-central-1\nendpoint: {}\n{RETRY}{fields}\n", self.url)
    }
}

/// The results that AWS's targets reported.
async fn reported(stack: &Stack) -> Vec<Value> {
    let events = stack.streams.events().await.into_iter().map(|event| event.json());
    events.filter(|event| event["scope"] == "aws").collect()
}

#[tokio::test]
async fn each_service_gets_what_a_rule_gives_it() {
    let Some(moto) = Moto::start().await else { return };
    let made = moto.told("made").await;
    let of = |key: &str| made[key].as_str().unwrap().to_owned();
    let targets = [
        ("eventbridge", "service: eventbridge\nbus: macs\nbatch: {max: 20, wait: 200ms}".to_owned()),
        ("kinesis", "service: kinesis\nstream: macs\nbatch: {max: 20, wait: 200ms}".to_owned()),
        ("firehose", "service: firehose\nstream: macs\nbatch: {max: 20, wait: 200ms}".to_owned()),
        ("lambda", "service: lambda\nfunction: macs\nwait: true".to_owned()),
        ("logs", "service: logs\nlog_group: /macs\nbatch: {max: 20, wait: 200ms}".to_owned()),
        (
            "s3",
            "service: s3\nbucket: objects\nkey: '\"macs/\\(.node.serial // .event.device.uuid) \\(.input.n).json\"'"
                .to_owned(),
        ),
        (
            "sqs",
            format!(
                "service: sqs\nqueue_url: {}\nattributes: '{{scope: .event.scope}}'\nbatch: {{max: 20, wait: 200ms}}",
                of("plain")
            ),
        ),
        ("sqs-fifo", format!("service: sqs\nqueue_url: {}", of("fifo"))),
        ("sns", format!("service: sns\ntopic: {}\nattributes: '{{scope: .event.scope}}'", of("topic"))),
        ("stepfunctions", format!("service: stepfunctions\nstate_machine: {}", of("machine"))),
        ("batch", "service: batch\njob_queue: macs\njob_definition: macs".to_owned()),
        ("codebuild", "service: codebuild\nproject: macs".to_owned()),
        ("codepipeline", "service: codepipeline\npipeline: macs".to_owned()),
        (
            "ecs",
            format!(
                "service: ecs\ntask_definition: macs\ncluster: macs\ncontainer: main\nlaunch_type: FARGATE\nsubnets: [{}]",
                of("subnet")
            ),
        ),
        (
            "inspector",
            "service: inspector\noperation: enable\nresource_types: [EC2]\nbody: '{accountIds: [\"123456789012\"]}'"
                .to_owned(),
        ),
        ("timestream", "service: timestream\ndatabase: macs\ntable: events\ndiscovery: false".to_owned()),
        (
            "as-role",
            format!(
                "service: s3\nbucket: objects\nkey: '\"role/\\(.input.n)\"'\nrole: {{arn: '{}'}}\nsts_endpoint: {}",
                of("role"),
                moto.url
            ),
        ),
    ];
    let names: Vec<&str> = targets.iter().map(|(name, _)| *name).collect();
    let mut stack = Stack::new()
        .env("AWS_ACCESS_KEY_ID", &of("key"))
        .env("AWS_SECRET_ACCESS_KEY", &of("secret"))
        .file("rules/count.yaml", &rule(&names));
    for (name, fields) in &targets {
        stack = stack.file(&format!("targets/{name}.yaml"), &moto.target(fields));
    }
    let stack = stack.start().await;
    moto.checks_after(0).await;
    for n in 0..3 {
        count(&stack, "C02", n).await;
    }
    until("each target has its jobs", async || {
        let dead: Vec<String> =
            stack.streams.dead().await.iter().map(|dead| format!("{} {}", dead.subject, dead.json())).collect();
        assert!(dead.is_empty(), "{dead:#?}\n{}", log(moto.folder.path()));
        reported(&stack).await.len() >= 3 * targets.len()
    })
    .await;
    stack.settled().await;
    moto.checks_after(1_000_000_000).await;
    let reported = reported(&stack).await;
    assert_eq!(reported.len(), 3 * targets.len());

    let came = moto.told("came").await;
    let inputs: Vec<Value> = (0..3).map(|n| json!({"serial": "C02", "n": n})).collect();
    let sorted = |list: &Value, at: &str| {
        let list = list.as_array().unwrap();
        let mut found: Vec<Value> = list.iter().map(|entry| entry.pointer(at).unwrap().clone()).collect();
        found.sort_by_key(|value| value["n"].as_i64());
        found
    };
    assert_eq!(sorted(&came["bus"], "/detail"), inputs, "{came:#}");
    assert!(came["bus"][0]["source"] == "emote" && came["bus"][0]["detail-type"] == "test.counted", "{came:#}");
    assert_eq!(sorted(&came["kinesis"], "/data"), inputs);
    assert_eq!(came["kinesis"][0]["key"], "C02");
    assert_eq!(sorted(&came["logs"], ""), inputs);
    let streamed: Vec<Value> =
        came["streamed"].as_str().unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(sorted(&streamed.into(), ""), inputs);
    for queue in ["plain", "fifo", "topic"] {
        assert_eq!(sorted(&came[queue], "/body"), inputs, "{queue}");
    }
    for queue in ["plain", "topic"] {
        assert_eq!(came[queue][0]["attributes"]["scope"], "test");
    }
    assert_eq!(came["fifo"][0]["group"], "C02");
    for (n, input) in inputs.iter().enumerate() {
        for key in [format!("macs/C02 {n}.json"), format!("role/{n}")] {
            let object: Value = serde_json::from_str(came["objects"][&key].as_str().unwrap()).unwrap();
            assert_eq!(&object, input, "{key}");
        }
    }
    assert_eq!(sorted(&came["executions"], "/input"), inputs);
    assert_eq!(came["batch"].as_array().unwrap().len(), 3);
    assert_eq!(came["builds"], 3);
    let tasks = came["tasks"].as_array().unwrap();
    let told = |task: &Value| task.pointer("/containerOverrides/0/environment/0/name").cloned();
    assert!(tasks.len() == 3 && tasks.iter().all(|task| told(task) == Some(json!("EMOTE_EVENT"))), "{came:#}");
    assert!(came["inspector"] == "ENABLED" || came["inspector"] == "ENABLING", "{came:#}");
}

fn log(folder: &Path) -> String {
    let log = std::fs::read_to_string(folder.join("moto.log")).unwrap_or_default();
    log.lines().rev().take(40).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn who_is_not_known_is_refused_and_the_job_is_given_up() {
    let Some(moto) = Moto::start().await else { return };
    moto.told("made").await;
    let stack = Stack::new()
        .env("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN000000000")
        .env("AWS_SECRET_ACCESS_KEY", "wrong")
        .file("rules/count.yaml", &rule(&["kinesis"]))
        .file("targets/kinesis.yaml", &moto.target("service: kinesis\nstream: macs"))
        .start()
        .await;
    moto.checks_after(0).await;
    count(&stack, "C02", 0).await;
    until("the job is given up", async || !stack.streams.dead().await.is_empty()).await;
    let dead = stack.streams.dead().await[0].json().to_string();
    assert!(dead.contains("answered 403") && dead.contains("check the credentials"), "{dead}");
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let Some(moto) = Moto::start().await else { return };
    let made = moto.told("made").await;
    let missing = [
        ("s3", "service: s3\nbucket: nobody", "NoSuchBucket"),
        ("logs", "service: logs\nlog_group: /nobody", "ResourceNotFoundException"),
        ("sns", "service: sns\ntopic: arn:aws:sns:eu-central-1:123456789012:nobody", "NotFound"),
    ];
    let names: Vec<&str> = missing.iter().map(|(name, ..)| *name).collect();
    let mut stack = Stack::new()
        .env("AWS_ACCESS_KEY_ID", made["key"].as_str().unwrap())
        .env("AWS_SECRET_ACCESS_KEY", made["secret"].as_str().unwrap())
        .file("rules/count.yaml", &rule(&names));
    for (name, fields, _) in &missing {
        stack = stack.file(&format!("targets/{name}.yaml"), &moto.target(fields));
    }
    let stack = stack.start().await;
    count(&stack, "C02", 0).await;
    until("all are given up", async || stack.streams.dead().await.len() >= missing.len()).await;
    for dead in stack.streams.dead().await {
        let (name, _, code) = missing.iter().find(|(name, ..)| dead.subject.contains(name)).unwrap();
        assert!(dead.json().to_string().contains(code), "{name}: {}", dead.json());
    }
}

//! The kind against a server that answers as told: the exact requests, and what answers mean.

mod signing;

use serde_json::{Value, json};

use super::super::testing::{Reply, Stand, job, problems, show};
use crate::core::{Job, JobId};

const KEYS: &str =
    "\nregion: eu-central-1\nendpoint: '%URL%'\naccess_key_id: AKIDEXAMPLE\nsecret_access_key: '${file:token}'";
/// Different at each time.
const SIGNED: [&str; 3] = ["authorization: ", "x-amz-date: ", "x-amz-content-sha256: "];

fn yaml(service: &str) -> String {
    format!("kind: aws\nservice: {service}{KEYS}")
}

/// What was asked, without what differs at each time.
fn seen(stand: &Stand) -> String {
    let text = stand.seen();
    let lines = text.lines().filter(|line| !SIGNED.iter().any(|prefix| line.starts_with(prefix)));
    lines.collect::<Vec<_>>().join("\n")
}

async fn check(service: &str, reply: Reply, input: Value) -> (String, String) {
    let stand = Stand::replying(&[reply]).await;
    let outcome = stand.deliver(&yaml(service), &job(), &input).await;
    (seen(&stand), show(&outcome))
}

/// Jobs of which each has an event of its own.
fn jobs(count: usize) -> Vec<Job> {
    (0..count)
        .map(|index| {
            let job = job();
            let id = emote_proto::EventId::derived(&[&index.to_string()]);
            Job { id: JobId::new(id, &job.rule, &job.target, None), ..job }
        })
        .collect()
}

async fn deliver_all(stand: &Stand, yaml: &str, jobs: &[Job], inputs: &[Value]) -> Vec<String> {
    let target = stand.target(yaml);
    let pairs: Vec<(&Job, &Value)> = jobs.iter().zip(inputs).collect();
    target.deliver_batch(&pairs).await.iter().map(show).collect()
}

#[tokio::test]
async fn eventbridge_gets_the_input_as_detail() {
    let reply = (200, &[][..], r#"{"FailedEntryCount":0,"Entries":[{"EventId":"e-1"}]}"#);
    let (seen, outcome) = check("eventbridge\nbus: other", reply, json!({"a": 1})).await;
    insta::assert_snapshot!(seen, @r#"
    POST /
    content-type: application/x-amz-json-1.1
    x-amz-target: AWSEvents.PutEvents

    {"Entries":[{"Detail":"{\"a\":1}","DetailType":"device.enroll","EventBusName":"other","Source":"emote","Time":1795416060}]}
    "#);
    assert_eq!(
        outcome,
        r#"done aws.put_events {"id":"e-1","resource":"other","service":"eventbridge","target":"the-target"}"#
    );
    let (_, outcome) = check("eventbridge", reply, json!("text")).await;
    assert_eq!(outcome, "never body: the detail of an event is an object, found a text");
}

#[tokio::test]
async fn lambda_is_handed_the_input_or_waited_for() {
    let (seen, outcome) = check("lambda\nfunction: emote\nqualifier: live", (202, &[], ""), json!({"a": 1})).await;
    insta::assert_snapshot!(seen, @r#"
    POST /2015-03-31/functions/emote/invocations?Qualifier=live
    content-type: application/json
    x-amz-invocation-type: Event
    x-amz-log-type: None

    {"a":1}
    "#);
    assert_eq!(outcome, r#"done aws.invoke {"resource":"emote","service":"lambda","target":"the-target"}"#);
    let failed = (200, &[("X-Amz-Function-Error", "Unhandled")][..], r#"{"errorMessage":"boom"}"#);
    let (seen, outcome) = check("lambda\nfunction: emote\nwait: true", failed, json!({})).await;
    assert!(seen.contains("x-amz-invocation-type: RequestResponse"), "{seen}");
    assert_eq!(outcome, r#"retry the function failed (Unhandled): {"errorMessage":"boom"}"#);
}

#[tokio::test]
async fn s3_has_one_object_a_job() {
    let reply = (200, &[("etag", "\"abc\"")][..], "");
    let (seen, outcome) = check("s3\nbucket: emote\nkey: '\"a b/\\(.node.serial).json\"'", reply, json!("x")).await;
    insta::assert_snapshot!(seen, @r#"
    PUT /emote/a%20b/C02XL0GTJGH5.json
    content-type: application/json

    "x"
    "#);
    assert_eq!(
        outcome,
        r#"done aws.put_object {"etag":"\"abc\"","resource":"emote","service":"s3","target":"the-target"}"#
    );
    let (seen, _) = check("s3\nbucket: emote\ncontent_type: text/plain\nkms_key: k-1", reply, json!("x")).await;
    insta::assert_snapshot!(seen, @r#"
    PUT /emote/events/2026/11/23/6812eef6-aa73-57e8-9b62-6b1851d7486e.json
    content-type: text/plain
    x-amz-server-side-encryption-aws-kms-key-id: k-1
    x-amz-server-side-encryption: aws:kms

    x
    "#);
    let (seen, outcome) = check("s3\nbucket: emote\nkey: '\"../other/x\"'", reply, json!("x")).await;
    assert_eq!(seen, "");
    assert!(outcome.starts_with("never key: has . or .."), "{outcome}");
}

#[tokio::test]
async fn sns_speaks_forms_and_answers_in_xml() {
    let topic = "sns\ntopic: arn:aws:sns:eu-central-1:123456789012:emote.fifo\nsubject: '\"hi\"'\nattributes: '{scope: .event.scope, n: 1}'";
    let reply = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
        <MessageId>m-1</MessageId></PublishResult></PublishResponse>";
    let (seen, outcome) = check(topic, (200, &[], reply), json!({"a": 1})).await;
    insta::assert_snapshot!(seen, @"
    POST /
    content-type: application/x-www-form-urlencoded

    Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aeu-central-1%3A123456789012%3Aemote.fifo&Message=%7B%22a%22%3A1%7D&Subject=hi&MessageGroupId=C02XL0GTJGH5&MessageDeduplicationId=6812eef6-aa73-57e8-9b62-6b1851d7486e&MessageAttributes.entry.1.Name=n&MessageAttributes.entry.1.Value.DataType=Number&MessageAttributes.entry.1.Value.StringValue=1&MessageAttributes.entry.2.Name=scope&MessageAttributes.entry.2.Value.DataType=String&MessageAttributes.entry.2.Value.StringValue=device
    ");
    assert!(outcome.contains(r#""id":"m-1""#), "{outcome}");
    let error = "<ErrorResponse><Error><Type>Sender</Type><Code>Throttled</Code></Error></ErrorResponse>";
    let (_, outcome) = check(topic, (400, &[], error), json!({})).await;
    assert!(outcome.starts_with("retry answered 400"), "{outcome}");
}

#[tokio::test]
async fn what_is_started_is_started_once() {
    let mut all = Vec::new();
    for (service, reply, expected) in [
        (
            "stepfunctions\nstate_machine: arn:aws:states:eu-central-1:123456789012:stateMachine:m",
            r#"{"executionArn":"x-1"}"#,
            "AWSStepFunctions.StartExecution",
        ),
        ("batch\njob_queue: q\njob_definition: d:1", r#"{"jobId":"x-1"}"#, "/v1/submitjob"),
        ("codebuild\nproject: p\nsource_version: main", r#"{"build":{"id":"x-1"}}"#, "CodeBuild_20161006.StartBuild"),
        (
            "codepipeline\npipeline: p",
            r#"{"pipelineExecutionId":"x-1"}"#,
            "CodePipeline_20150709.StartPipelineExecution",
        ),
        (
            "ecs\ntask_definition: t:1\ncluster: c\ncontainer: main\nlaunch_type: FARGATE\nsubnets: [s-1]",
            r#"{"tasks":[{"taskArn":"x-1"}],"failures":[]}"#,
            "AmazonEC2ContainerServiceV20141113.RunTask",
        ),
        ("inspector\nbucket: b\nkms_key: k", r#"{"reportId":"x-1"}"#, "/reporting/create"),
    ] {
        let (seen, outcome) = check(service, (200, &[], reply), json!({"a": 1})).await;
        assert!(seen.contains(expected), "{seen}");
        assert!(outcome.starts_with("done aws.") && outcome.contains(r#""id":"x-1""#), "{service}: {outcome}");
        all.push(seen);
    }
    insta::assert_snapshot!(all.join("\n---\n"), @r#"
    POST /
    content-type: application/x-amz-json-1.0
    x-amz-target: AWSStepFunctions.StartExecution

    {"input":"{\"a\":1}","name":"6812eef6-aa73-57e8-9b62-6b1851d7486e","stateMachineArn":"arn:aws:states:eu-central-1:123456789012:stateMachine:m"}
    ---
    POST /v1/submitjob
    content-type: application/json

    {"containerOverrides":{"environment":[{"name":"EMOTE_EVENT","value":"{\"a\":1}"}]},"jobDefinition":"d:1","jobName":"emote-6812eef6-aa73-57e8-9b62-6b1851d7486e","jobQueue":"q"}
    ---
    POST /
    content-type: application/x-amz-json-1.1
    x-amz-target: CodeBuild_20161006.StartBuild

    {"environmentVariablesOverride":[{"name":"EMOTE_EVENT","type":"PLAINTEXT","value":"{\"a\":1}"}],"idempotencyToken":"6812eef6-aa73-57e8-9b62-6b1851d7486e","projectName":"p","sourceVersion":"main"}
    ---
    POST /
    content-type: application/x-amz-json-1.1
    x-amz-target: CodePipeline_20150709.StartPipelineExecution

    {"clientRequestToken":"6812eef6-aa73-57e8-9b62-6b1851d7486e","name":"p"}
    ---
    POST /
    content-type: application/x-amz-json-1.1
    x-amz-target: AmazonEC2ContainerServiceV20141113.RunTask

    {"clientToken":"6812eef6-aa73-57e8-9b62-6b1851d7486e","cluster":"c","count":1,"launchType":"FARGATE","networkConfiguration":{"awsvpcConfiguration":{"assignPublicIp":"DISABLED","securityGroups":[],"subnets":["s-1"]}},"overrides":{"containerOverrides":[{"environment":[{"name":"EMOTE_EVENT","value":"{\"a\":1}"}],"name":"main"}]},"taskDefinition":"t:1"}
    ---
    POST /reporting/create
    content-type: application/json

    {"reportFormat":"JSON","s3Destination":{"bucketName":"b","kmsKeyArn":"k"}}
    "#);
    let repeated = (400, &[][..], r#"{"__type":"ExecutionAlreadyExists","message":"x"}"#);
    let machine = "stepfunctions\nstate_machine: arn:aws:states:eu-central-1:123456789012:stateMachine:m";
    let (_, outcome) = check(machine, repeated, json!({})).await;
    assert!(outcome.starts_with("done aws.start_execution"), "{outcome}");
    let full = (200, &[][..], r#"{"tasks":[],"failures":[{"reason":"RESOURCE:MEMORY"}]}"#);
    let (_, outcome) = check("ecs\ntask_definition: t:1", full, json!({})).await;
    assert_eq!(outcome, "retry no task was started: RESOURCE:MEMORY");
}

#[tokio::test]
async fn a_body_adds_to_what_starts_something() {
    let body = "codepipeline\npipeline: p\nbody: '{variables: [{name: \"SERIAL\", value: .node.serial}]}'";
    let (seen, _) = check(body, (200, &[], "{}"), json!({})).await;
    assert!(seen.contains(r#""variables":[{"name":"SERIAL","value":"C02XL0GTJGH5"}]"#), "{seen}");
}

#[tokio::test]
async fn an_api_of_ones_own_gets_a_signed_request() {
    let (seen, outcome) =
        check("apigateway\napi: a1\nstage: prod\npath: macs/new\nmethod: PUT", (200, &[], ""), json!({"a": 1})).await;
    insta::assert_snapshot!(seen, @r#"
    PUT /prod/macs/new
    content-type: application/json
    idempotency-key: a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target

    {"a":1}
    "#);
    assert!(outcome.starts_with("done aws.invoke_api"), "{outcome}");
}

#[tokio::test]
async fn several_jobs_are_few_requests_and_each_has_its_own_outcome() {
    let reply = r#"{"FailedRecordCount":2,"Records":[{"SequenceNumber":"1"},
        {"ErrorCode":"ProvisionedThroughputExceededException","ErrorMessage":"slower"},{"ErrorCode":"Odd","ErrorMessage":"no"}]}"#;
    let stand = Stand::replying(&[(200, &[], reply)]).await;
    let inputs = [json!("a"), json!({"b": 1}), json!("c")];
    let outcomes = deliver_all(&stand, &yaml("kinesis\nstream: s"), &jobs(3), &inputs).await;
    insta::assert_snapshot!(seen(&stand), @r#"
    POST /
    content-type: application/x-amz-json-1.1
    x-amz-target: Kinesis_20131202.PutRecords

    {"Records":[{"Data":"YQ==","PartitionKey":"C02XL0GTJGH5"},{"Data":"eyJiIjoxfQ==","PartitionKey":"C02XL0GTJGH5"},{"Data":"Yw==","PartitionKey":"C02XL0GTJGH5"}],"StreamName":"s"}
    "#);
    assert_eq!(
        outcomes,
        [
            r#"done aws.put_records {"id":"1","resource":"s","service":"kinesis","target":"the-target"}"#,
            "retry ProvisionedThroughputExceededException: slower",
            "never Odd: no",
        ]
    );
}

#[tokio::test]
async fn sqs_answers_by_ids_and_in_a_fifo_queue_a_job_is_there_once() {
    let reply = r#"{"Successful":[{"Id":"1","MessageId":"m-1"}],"Failed":[{"Id":"0","Code":"Odd","SenderFault":true},
        {"Id":"2","Code":"Odd","Message":"x","SenderFault":false}]}"#;
    let stand = Stand::replying(&[(200, &[], reply)]).await;
    let queue =
        yaml("sqs\nqueue_url: https://sqs.eu-west-1.amazonaws.com/1/q.fifo\nattributes: '{scope: .event.scope}'");
    let outcomes = deliver_all(&stand, &queue, &jobs(4), &vec![json!({}); 4]).await;
    assert_eq!(outcomes[0], "never Odd:");
    assert!(outcomes[1].contains(r#""id":"m-1""#), "{outcomes:?}");
    assert_eq!(outcomes[2..], ["retry Odd: x", "retry the answer does not say what became of it"]);
    let seen = seen(&stand);
    let body: Value = serde_json::from_str(seen.rsplit_once("\n\n").unwrap().1).unwrap();
    insta::assert_snapshot!(body["Entries"][1], @r#"{"Id":"1","MessageAttributes":{"scope":{"DataType":"String","StringValue":"device"}},"MessageBody":"{}","MessageDeduplicationId":"ae31da22-07b2-57a1-8084-97081813dc1c","MessageGroupId":"C02XL0GTJGH5"}"#);
    let stand = Stand::replying(&[(200, &[], "{}")]).await;
    deliver_all(&stand, &queue, &jobs(25), &vec![json!({}); 25]).await;
    assert_eq!(stand.seen().split("\n---\n").count(), 3);
}

#[tokio::test]
async fn a_log_stream_that_is_missing_is_made() {
    let missing = r#"{"__type":"ResourceNotFoundException","message":"The specified log stream does not exist."}"#;
    let stand = Stand::replying(&[(400, &[], missing), (200, &[], ""), (200, &[], "{}")]).await;
    let outcome = stand.deliver(&yaml("logs\nlog_group: /emote"), &job(), &json!({"a": 1})).await;
    assert!(show(&outcome).starts_with("done aws.put_log_events"), "{outcome:?}");
    let seen = seen(&stand);
    let operations: Vec<&str> =
        seen.lines().filter_map(|line| line.strip_prefix("x-amz-target: Logs_20140328.")).collect();
    assert_eq!(operations, ["PutLogEvents", "CreateLogStream", "PutLogEvents"]);
    assert!(seen.contains(r#"{"logEvents":[{"message":"{\"a\":1}","timestamp":1795416060000}],"logGroupName":"/emote","logStreamName":"emote"}"#), "{seen}");
    let group = r#"{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}"#;
    let stand = Stand::replying(&[(400, &[], group)]).await;
    let outcome = stand.deliver(&yaml("logs\nlog_group: /emote"), &job(), &json!({"a": 1})).await;
    assert!(show(&outcome).starts_with("never answered 400"), "{outcome:?}");
    assert_eq!(stand.seen().split("\n---\n").count(), 1);
    let old = r#"{"rejectedLogEventsInfo":{"tooOldLogEventEndIndex":1}}"#;
    let stand = Stand::replying(&[(200, &[], old)]).await;
    let outcomes = deliver_all(&stand, &yaml("logs\nlog_group: /emote"), &jobs(2), &vec![json!({}); 2]).await;
    assert!(outcomes[0].starts_with("never older") && outcomes[1].starts_with("done"), "{outcomes:?}");
}

#[tokio::test]
async fn timestream_is_asked_where_it_is_and_names_what_it_rejects() {
    let stand = Stand::replying(&[]).await;
    let address = stand.url.strip_prefix("http://").unwrap();
    let endpoints: &'static str =
        format!(r#"{{"Endpoints":[{{"Address":"{address}","CachePeriodInMinutes":1440}}]}}"#).leak();
    let rejected = r#"{"__type":"RejectedRecordsException","RejectedRecords":[{"RecordIndex":1,"Reason":"too old"}]}"#;
    let gone = r#"{"__type":"InvalidEndpointException"}"#;
    let stand_replies = [
        (200, &[][..], endpoints),
        (200, &[], "{}"),
        (419, &[], rejected),
        (421, &[], gone),
        (200, &[], endpoints),
        (200, &[], "{}"),
    ];
    stand.script(&stand_replies);
    let target = stand.target(&yaml("timestream\ndatabase: d\ntable: t"));
    assert!(show(&target.deliver(&job(), &json!({})).await).starts_with("done aws.write_records"));
    let (all, input) = (jobs(2), json!({}));
    let pairs: Vec<(&Job, &Value)> = all.iter().map(|job| (job, &input)).collect();
    let outcomes: Vec<String> = target.deliver_batch(&pairs).await.iter().map(show).collect();
    assert!(outcomes[0].starts_with("done") && outcomes[1] == "never rejected: too old", "{outcomes:?}");
    assert!(show(&target.deliver(&job(), &json!({})).await).starts_with("retry the address"));
    assert!(show(&target.deliver(&job(), &json!({})).await).starts_with("done"));
    let seen = seen(&stand);
    let operations: Vec<&str> =
        seen.lines().filter_map(|line| line.strip_prefix("x-amz-target: Timestream_20181101.")).collect();
    assert_eq!(
        operations,
        ["DescribeEndpoints", "WriteRecords", "WriteRecords", "WriteRecords", "DescribeEndpoints", "WriteRecords"]
    );
    let elsewhere = r#"{"Endpoints":[{"Address":"localhost:1","CachePeriodInMinutes":1}]}"#;
    stand.reply((200, &[], elsewhere));
    let outcome = stand.deliver(&yaml("timestream\ndatabase: d\ntable: t"), &job(), &json!({})).await;
    assert_eq!(show(&outcome), "retry no address: the one that is named is not the endpoint's");
}

#[tokio::test]
async fn after_a_failure_that_passes_the_rest_is_not_tried() {
    let stand = Stand::replying(&[(503, &[], "")]).await;
    let outcomes = deliver_all(&stand, &yaml("eventbridge"), &jobs(25), &vec![json!({}); 25]).await;
    assert!(outcomes.iter().all(|outcome| outcome.starts_with("retry answered 503")), "{outcomes:?}");
    assert_eq!(stand.seen().split("\n---\n").count(), 1);
}

#[test]
fn the_settings_are_checked() {
    let keys = "\nregion: eu-central-1";
    for (yaml, expected) in [
        ("", "service: is missing: for example service: lambda"),
        ("\nservice: lambda", "function: is missing: for example function: emote-enrolled, or its ARN"),
        ("\nservice: lambda\nfunction: a/../b", "function: not the name or the ARN of a function"),
        (
            "\nservice: lambda\nfunction: f\nbatch: {max: 5}",
            "batch: lambda takes one job at a time: only eventbridge, firehose, kinesis, logs, sqs, timestream take several in one request",
        ),
        ("\nservice: s3\nbucket: b/c", "bucket: not the name of a bucket"),
        ("\nservice: eventbridge\nsource: aws.ec2", "source: only AWS itself is a source whose name begins with aws."),
        (
            "\nservice: eventbridge\nsecret_access_key: hunter2",
            "secret_access_key: a secret is given by reference, ${env:NAME} or ${file:PATH}, never in the file itself\naccess_key_id: is missing: for example access_key_id: ${env:EMOTE_AWS_KEY_ID}",
        ),
        (
            "\nservice: eventbridge\nrole: {}",
            "role.arn: is missing: for example arn: arn:aws:iam::123456789012:role/emote",
        ),
        (
            "\nservice: sqs\nqueue_url: q",
            "queue_url: not the URL of a queue: for example queue_url: https://sqs.eu-central-1.amazonaws.com/123456789012/emote",
        ),
        ("\nservice: inspector\noperation: enable", "resource_types: is missing: for example resource_types: [EC2]"),
        (
            "\nservice: ecs\ntask_definition: t\nsecurity_groups: [a]",
            "subnets: is missing: for example subnets: [subnet-0a1b2c]",
        ),
        (
            "\nservice: eventbridge\nendpoint: http://example.com",
            "endpoint: plain http would show the request to everyone on the way: use https, or say `insecure: true`",
        ),
    ] {
        assert_eq!(problems(&format!("kind: aws{keys}{yaml}")), expected, "{yaml}");
    }
    let named = problems(&format!("kind: aws{keys}\nservice: lambada"));
    assert!(named.contains("expected one of apigateway, batch, codebuild"), "{named}");
    let names: Vec<&str> = super::service::SERVICES.iter().map(|service| service.name).collect();
    assert!(names.is_sorted(), "{names:?}");
}

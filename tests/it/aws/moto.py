"""AWS as moto plays it: makes what targets send to, and tells what came. Run by tests/it/aws.rs: moto.py URL made|came."""

import io
import json
import sys
import urllib.request
import zipfile

import boto3

URL, REGION, ACCOUNT = sys.argv[1], "eu-central-1", "123456789012"


def of(service):
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, endpoint_url=URL, region_name=REGION, **keys)


def own(path, body):
    request = urllib.request.Request(f"{URL}/moto-api/{path}", data=body.encode(), method="POST")
    request.add_header("Content-Type", "application/json")
    urllib.request.urlopen(request).read()


def role(name):
    trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}]}
    made = of("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    of("iam").put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(allowed))
    return made["Role"]["Arn"]


def user():
    iam = of("iam")
    iam.create_user(UserName="emote")
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy(UserName="emote", PolicyName="all", PolicyDocument=json.dumps(allowed))
    key = iam.create_access_key(UserName="emote")["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def queue(name, **attributes):
    url = of("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def messages(name):
    sqs = of("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    found = []
    while more := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"], MessageAttributeNames=["All"]
    ).get("Messages"):
        for message in more:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            attributes = {key: value.get("StringValue") for key, value in message.get("MessageAttributes", {}).items()}
            group = message["Attributes"].get("MessageGroupId")
            found.append({"body": json.loads(message["Body"]), "attributes": attributes, "group": group})
    return found


def made():
    own("config", json.dumps({"batch": {"use_docker": False}, "lambda": {"use_docker": False}}))
    key, secret = user()
    service_role = role("service")
    assumed = role("assumed")
    plain, _ = queue("plain")
    fifo, _ = queue("ordered.fifo", FifoQueue="true")
    _, of_bus = queue("of-bus")
    _, of_topic = queue("of-topic")

    events = of("events")
    events.create_event_bus(Name="macs")
    events.put_rule(Name="all", EventBusName="macs", EventPattern=json.dumps({"source": ["emote"]}))
    events.put_targets(Rule="all", EventBusName="macs", Targets=[{"Id": "1", "Arn": of_bus}])

    topic = of("sns").create_topic(Name="macs")["TopicArn"]
    of("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=of_topic, Attributes={"RawMessageDelivery": "true"})

    s3 = of("s3")
    for bucket in ["objects", "streamed"]:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    of("kinesis").create_stream(StreamName="macs", ShardCount=1)
    of("firehose").create_delivery_stream(
        DeliveryStreamName="macs",
        ExtendedS3DestinationConfiguration={"RoleARN": service_role, "BucketARN": "arn:aws:s3:::streamed"},
    )
    of("logs").create_log_group(logGroupName="/macs")

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("main.py", "def handler(event, context): return event")
    of("lambda").create_function(
        FunctionName="macs", Runtime="python3.12", Role=service_role, Handler="main.handler",
        Code={"ZipFile": packed.getvalue()},
    )
    machine = of("stepfunctions").create_state_machine(
        name="macs", roleArn=service_role,
        definition=json.dumps({"StartAt": "end", "States": {"end": {"Type": "Pass", "End": True}}}),
    )["stateMachineArn"]

    batch = of("batch")
    environment = batch.create_compute_environment(
        computeEnvironmentName="macs", type="UNMANAGED", state="ENABLED", serviceRole=service_role
    )["computeEnvironmentArn"]
    batch.create_job_queue(
        jobQueueName="macs", state="ENABLED", priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment}],
    )
    batch.register_job_definition(
        jobDefinitionName="macs", type="container",
        containerProperties={"image": "busybox", "vcpus": 1, "memory": 128, "command": ["true"]},
    )

    of("codebuild").create_project(
        name="macs", serviceRole=service_role, artifacts={"type": "NO_ARTIFACTS"},
        source={"type": "S3", "location": "objects/source.zip"},
        environment={"type": "LINUX_CONTAINER", "image": "i", "computeType": "BUILD_GENERAL1_SMALL"},
    )
    trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                            "Principal": {"Service": "codepipeline.amazonaws.com"}}]}
    of("iam").create_role(RoleName="pipeline", AssumeRolePolicyDocument=json.dumps(trust))
    stage = {"name": "Source", "actions": [{"name": "s", "actionTypeId": {
        "category": "Source", "owner": "AWS", "provider": "S3", "version": "1"}}]}
    of("codepipeline").create_pipeline(pipeline={
        "name": "macs", "roleArn": f"arn:aws:iam::{ACCOUNT}:role/pipeline", "version": 1,
        "artifactStore": {"type": "S3", "location": "objects"}, "stages": [stage, {**stage, "name": "Build"}],
    })

    ecs = of("ecs")
    ecs.create_cluster(clusterName="macs")
    ecs.register_task_definition(
        family="macs", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
        containerDefinitions=[{"name": "main", "image": "busybox", "cpu": 256, "memory": 512}],
    )
    subnet = of("ec2").describe_subnets()["Subnets"][0]["SubnetId"]

    of("timestream-write").create_database(DatabaseName="macs")
    of("timestream-write").create_table(DatabaseName="macs", TableName="events")
    return {"key": key, "secret": secret, "role": assumed, "plain": plain, "fifo": fifo, "topic": topic,
            "machine": machine, "subnet": subnet}


def objects(bucket):
    s3 = of("s3")
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode() for key in keys}


def came():
    kinesis = of("kinesis")
    shard = kinesis.describe_stream(StreamName="macs")["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = kinesis.get_shard_iterator(StreamName="macs", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    records = kinesis.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    logs = of("logs").get_log_events(logGroupName="/macs", logStreamName="emote", startFromHead=True)["events"]
    states = of("stepfunctions")
    machine = states.list_state_machines()["stateMachines"][0]["stateMachineArn"]
    executions = states.list_executions(stateMachineArn=machine)["executions"]
    batch = of("batch")
    jobs = [job["jobId"] for status in ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED", "FAILED"]
            for job in batch.list_jobs(jobQueue="macs", jobStatus=status)["jobSummaryList"]]
    builds = of("codebuild").list_builds_for_project(projectName="macs")["ids"]
    ecs = of("ecs")
    tasks = ecs.describe_tasks(cluster="macs", tasks=ecs.list_tasks(cluster="macs")["taskArns"] or ["none"])["tasks"]
    account = of("inspector2").batch_get_account_status(accountIds=[ACCOUNT])["accounts"][0]
    return {
        "bus": [entry["body"] for entry in messages("of-bus")],
        "topic": messages("of-topic"),
        "plain": messages("plain"),
        "fifo": messages("ordered.fifo"),
        "objects": objects("objects"),
        "streamed": "".join(objects("streamed").values()),
        "kinesis": [{"key": record["PartitionKey"], "data": json.loads(record["Data"])} for record in records],
        "logs": [json.loads(event["message"]) for event in logs],
        "executions": [{"name": execution["name"], "input": json.loads(
            states.describe_execution(executionArn=execution["executionArn"])["input"])} for execution in executions],
        "batch": [job["jobName"] for job in batch.describe_jobs(jobs=jobs)["jobs"]],
        "builds": len(builds),
        "tasks": [task["overrides"] for task in tasks],
        "inspector": account["resourceState"]["ec2"]["status"],
    }


print(json.dumps({"made": made, "came": came}[sys.argv[2]]()))

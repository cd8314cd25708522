//! The services: one file each.

pub(super) mod apigateway;
pub(super) mod batch;
pub(super) mod codebuild;
pub(super) mod codepipeline;
pub(super) mod ecs;
pub(super) mod eventbridge;
pub(super) mod firehose;
pub(super) mod inspector;
pub(super) mod kinesis;
pub(super) mod lambda;
pub(super) mod logs;
pub(super) mod s3;
pub(super) mod sns;
pub(super) mod sqs;
pub(super) mod stepfunctions;
pub(super) mod timestream;

/// The variable by which what is started is told of a job.
const EVENT_VARIABLE: &str = "EMOTE_EVENT";

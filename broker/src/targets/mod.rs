//! Target kinds: one file a kind, one line a kind in [`KINDS`].
//!
//! A target file is read in two steps: [`TargetSpec::validate`] finds everything that is wrong without touching a
//! secret, [`Validated::resolve`] fetches the secrets and makes the [`Target`]. A target decides for one attempt at a
//! time how it ended; repeating, giving up and reporting are the delivery's. No outcome ever holds a secret.

use std::time::Duration;

use emote_proto::{Draft, Token};
use serde_json::Value;

use crate::core::Job;

pub(crate) mod address;
mod asset;
mod aws;
pub mod catalog;
pub(crate) mod connections;
mod dial;
mod email;
mod exec;
mod gelf;
mod hidden;
pub(crate) mod http;
mod kafka;
mod log;
mod mdm;
mod nats;
mod otlp;
mod policy;
mod preset;
mod program;
mod programs;
mod prometheus;
pub(crate) mod reply;
mod rotate;
mod script;
mod settings;
mod slack;
mod socket;
pub(crate) mod spec;
mod summary;
mod syslog;
#[cfg(test)]
mod testing;
mod wasm;
pub(crate) mod wire;

pub use exec::{Allowed, Bounds, LAUNCH_COMMAND, NOT_LAUNCHED, launch};
pub use mdm::pin_for;
pub use script::{Answered, Role, Script, Shown, Told};
pub use settings::{Backoff, Batch, BreakerSettings, DeliverySettings, Jitter, Retry};

pub use crate::rate::Rate;
pub use spec::{Kind, Machine, TargetSpec, Validated};

/// Every kind of target: its name in `kind:`, what it does, and what reads its fields.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "asset",
        about: "sets fields of the node's asset record, by an event",
        batches: false,
        sees_settings: false,
        read: asset::read,
    },
    Kind {
        name: "aws",
        about: "hands a job to a service of AWS",
        batches: true,
        sees_settings: false,
        read: aws::read,
    },
    Kind { name: "email", about: "sends a mail by SMTP", batches: false, sees_settings: false, read: email::read },
    Kind {
        name: "exec",
        about: "runs a program of this machine",
        batches: false,
        sees_settings: false,
        read: exec::read,
    },
    Kind {
        name: "gelf",
        about: "sends a log message to Graylog, or to what else takes GELF",
        batches: true,
        sees_settings: true,
        read: gelf::read,
    },
    Kind { name: "http", about: "sends an HTTP request", batches: true, sees_settings: true, read: http::read },
    Kind {
        name: "kafka",
        about: "writes a record to Apache Kafka, or to what speaks its protocol",
        batches: true,
        sees_settings: true,
        read: kafka::read,
    },
    Kind {
        name: "log",
        about: "writes a JSON line to a file or to stdout",
        batches: true,
        sees_settings: false,
        read: log::read,
    },
    Kind {
        name: "mdm",
        about: "sends a command through NanoMDM or MicroMDM",
        batches: false,
        sees_settings: false,
        read: mdm::read,
    },
    Kind {
        name: "nats",
        about: "publishes a message, or tells another Emote",
        batches: false,
        sees_settings: false,
        read: nats::read,
    },
    Kind {
        name: "otlp",
        about: "sends log records or metrics by OTLP",
        batches: true,
        sees_settings: false,
        read: otlp::read,
    },
    Kind {
        name: "prometheus",
        about: "writes samples by Prometheus' remote write",
        batches: true,
        sees_settings: false,
        read: prometheus::read,
    },
    Kind { name: "slack", about: "posts a message to Slack", batches: false, sees_settings: false, read: slack::read },
    Kind {
        name: "syslog",
        about: "sends a log message by syslog",
        batches: true,
        sees_settings: true,
        read: syslog::read,
    },
    Kind { name: "wasm", about: "runs a WebAssembly module", batches: false, sees_settings: false, read: wasm::read },
];

/// How one attempt at a job ended: what to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is done; this is what is reported.
    Done(Report),
    /// Not now: try again, after the given time where the other side named one.
    Retry {
        /// The other side's wish (`Retry-After`).
        after: Option<Duration>,
        /// Why, for the dead letter and the log; no secret in it.
        reason: String,
    },
    /// Trying again would not help.
    Never {
        /// Why, and what would help; no secret in it.
        reason: String,
    },
}

impl Outcome {
    fn never(reason: impl std::fmt::Display) -> Self {
        Self::Never { reason: reason.to_string() }
    }

    fn retry(reason: impl std::fmt::Display) -> Self {
        Self::Retry { after: None, reason: reason.to_string() }
    }

    /// That of the one job of a batch.
    fn of_one(outcomes: Vec<Self>) -> Self {
        outcomes.into_iter().next().unwrap_or_else(|| Self::retry("nothing became of it"))
    }

    /// Done; scope and action are the kind's own words.
    fn done(scope: &str, action: &str, info: Value) -> Self {
        match (Token::new(scope), Token::new(action)) {
            (Ok(scope), Ok(action)) => Self::Done(Report { scope, action, info, events: Vec::new() }),
            _ => Self::never(format!("{scope:?} {action:?} cannot be reported: not tokens")),
        }
    }
}

/// What a job's result event says: `{"scope":"communicate","action":"slack_post","info":{…}}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The event's scope.
    pub scope: Token,
    /// The event's action.
    pub action: Token,
    /// The event's info; the broker adds target, rule and attempts.
    pub info: Value,
    /// What else happened, as the target tells it: events before that one.
    pub events: Vec<Draft>,
}

/// A target, ready to act.
#[async_trait::async_trait]
pub trait Target: Send + Sync {
    /// Does what `job` asks. `input` is what the rule's input transform gave, or the event where the rule has none.
    /// Called again with the same job after a crash or a [`Outcome::Retry`].
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome;

    /// Whether it can take several jobs in one attempt; its [`Kind::batches`] says the same.
    fn batches(&self) -> bool {
        false
    }

    /// Does what these jobs ask, each with its input; an outcome for each, in their order.
    async fn deliver_batch(&self, jobs: &[(&Job, &Value)]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        for (job, input) in jobs {
            outcomes.push(self.deliver(job, input).await);
        }
        outcomes
    }
}

/// The serial number of the node that a job is about: its node's, else its event's.
fn serial(job: &Job) -> Option<&str> {
    let of_node = job.node.as_ref().and_then(|node| node.get("serial")).and_then(Value::as_str);
    of_node.or_else(|| job.event.serial()).filter(|serial| !serial.is_empty())
}

/// The UDID of the node that a job is about: its node's. The event's counts only where it is about the same node.
fn udid(job: &Job) -> Option<&str> {
    let of_node = job.node.as_ref().and_then(|node| node.get("udid")).and_then(Value::as_str);
    let same_node = job.node.is_none() || serial(job) == job.event.serial();
    of_node.or_else(|| job.event.udid().filter(|_| same_node)).filter(|udid| !udid.is_empty())
}

#[cfg(test)]
mod tests {
    use super::testing::{Stand, any_json, job};
    use super::*;
    use proptest::prelude::*;

    /// A target of each kind; every line of [`KINDS`] has one here.
    const EACH: [&str; 25] = [
        "kind: asset",
        "kind: aws\nservice: lambda\nfunction: f\nwait: true\nregion: eu-central-1\nendpoint: '%URL%'\n\
            access_key_id: AKIDEXAMPLE\nsecret_access_key: '${file:token}'",
        "kind: aws\nservice: sqs\nqueue_url: '%URL%/1/q.fifo'\nregion: eu-central-1\n\
            access_key_id: AKIDEXAMPLE\nsecret_access_key: '${file:token}'\nsession_token: '${file:pin}'",
        "kind: aws\nservice: timestream\ndatabase: d\ntable: t\nregion: eu-central-1\nendpoint: '%URL%'\n\
            access_key_id: AKIDEXAMPLE\nsecret_access_key: '${file:token}'",
        "kind: email\nserver: smtp://127.0.0.1:1\nfrom: e@example.com\nto: [it@example.com]\ncc: .input\nsubject: .node\n\
            auth: {basic: {user: emote, password: '${file:token}'}}",
        "kind: exec\nprogram: /opt/x\nargs: [a, {jq: .input}, --, {jq: .node}]\nenv: {A: '${file:token}'}",
        "kind: gelf\naddress: udp://127.0.0.1:9\nlevel: .input",
        "kind: gelf\naddress: '%URL%'\nauth: {header: {name: X-Key, value: '${file:token}'}}\nfields: .input",
        "kind: http\nurl: '%URL%'\nbody: .input",
        "kind: http\nurl: '%URL%'\nauth: {header: {name: X-Key, value: '${file:token}'}}\nbody_secrets: {a.b: '${file:path}'}\npin_key: '${file:pin}'\npin_in: body\nlookup: [{name: it, path: '[.input]', query: .node, take: .body}]\npath: .lookup.it\nquery: .input\nbody: '{pin, it: .lookup.it}'\nanswer: .body\nreport: {scope: a, action: b, info: .body}",
        "kind: kafka\nbrokers: ['127.0.0.1:1']\ntopic: .input\nkey: .node\nheaders: .input\nbody: .input\nmechanism: plain\nauth: {basic: {user: emote, password: '${file:token}'}}",
        "kind: kafka\nbrokers: 127.0.0.1:1\ntopic: a\ncompress: gzip\nextensions: {a: '${file:pin}'}\nauth: {bearer: '${file:token}'}",
        "kind: log\npath: log.jsonl\nmax_size: 2kB",
        "kind: mdm\nserver: nanomdm\nurl: '%URL%'\napi_key: '${file:token}'\npin_key: '${file:pin}'",
        "kind: mdm\nserver: micromdm\nurl: '%URL%'\napi_key: '${file:token}'\npin_key: '${file:pin}'",
        "kind: nats\nsubject: a\ntokens: .input\nheaders: .node\nbody: .input\nnats: {servers: ['nats://127.0.0.1'], token: '${file:token}'}",
        "kind: nats\nemote: {source: berlin}\nnats: {servers: ['nats://127.0.0.1'], user: a, password: '${file:token}'}",
        "kind: otlp\nurl: '%URL%'\nseverity: .input\nattributes: .node\nauth: {bearer: '${file:token}'}",
        "kind: otlp\nurl: '%URL%'\nsignal: metrics\nmetric: m\nvalue: .input\nencoding: json\ncompress: gzip",
        "kind: prometheus\nurl: '%URL%/${file:path}'",
        "kind: prometheus\nurl: '%URL%'\nmetric: m\nlabels: .node\nvalue: .input",
        "kind: slack\nwebhook: '%URL%/${file:path}'",
        "kind: slack\ntoken: '${file:token}'\nchannel: C1\napi_base: '%URL%'",
        "kind: syslog\naddress: udp://127.0.0.1:9\nhostname: .node\nmsgid: .input\nmessage: .node",
        "kind: wasm\nmodule: modules/x.wasm\nargs: [{jq: .node}]\nenv: {A: '${file:token}'}",
    ];

    /// Kinds that act on something else than the stand: of these it is shown what they would do.
    const SHOWN: [&str; 4] = ["kind: exec", "kind: kafka", "kind: nats", "kind: wasm"];

    fn target(stand: &Stand, yaml: &str) -> Box<dyn Target> {
        match SHOWN.iter().any(|kind| yaml.starts_with(kind)) {
            true => {
                let script = std::sync::Arc::new(Script::showing());
                testing::validate(yaml).unwrap().with_script(std::path::Path::new("/"), &script).unwrap()
            }
            false => stand.target(yaml),
        }
    }

    #[test]
    fn kinds_are_in_the_order_of_their_names() {
        let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        assert!(names.is_sorted(), "{names:?}");
        assert!(names.iter().all(|name| EACH.iter().any(|yaml| yaml.starts_with(&format!("kind: {name}")))));
    }

    #[tokio::test]
    async fn a_target_can_take_batches_where_its_kind_says_so() {
        let stand = Stand::replying(&[]).await;
        for yaml in EACH {
            let kind = KINDS.iter().find(|kind| yaml.starts_with(&format!("kind: {}", kind.name))).unwrap();
            assert_eq!(target(&stand, yaml).batches(), kind.batches, "{yaml}");
        }
    }

    #[test]
    fn no_input_and_no_reply_panics_or_shows_a_secret() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stand = runtime.block_on(Stand::replying(&[]));
        let targets = EACH.map(|yaml| target(&stand, yaml));
        proptest!(|(input in any_json(), node in any_json(), reply in any_json(), status in 200_u16..600)| {
            for text in [reply.to_string(), "%BODY% %AUTH% %PATH%".to_owned()] {
                stand.reply((status, &[], text.leak()));
                let jobs = [job(), Job { input: None, ..job() }, Job { node: Some(node.clone().into()), ..job() }];
                for (target, job) in targets.iter().flat_map(|target| jobs.iter().map(move |job| (target, job))) {
                    runtime.block_on(testing::deliver(target.as_ref(), job, &input));
                }
            }
        });
    }

    proptest! {
        #[test]
        fn no_target_file_panics(mut spec in any_json(), kind in 0..KINDS.len()) {
            if let Value::Object(map) = &mut spec {
                map.insert("kind".to_owned(), KINDS[kind].name.into());
            }
            if let Ok(spec) = serde_json::from_value::<TargetSpec>(spec) {
                let _ = spec.validate(emote_proto::Name::new("t").unwrap());
            }
        }

        #[test]
        fn no_file_with_a_preset_panics(
            mut file in any_json(), settings in any_json(), preset in 0..catalog::all().len(), action in 0..20_usize,
        ) {
            let entry = &catalog::all()[preset];
            if let Value::Object(map) = &mut file {
                map.insert("preset".to_owned(), entry.name.into());
                map.insert("action".to_owned(), entry.body.actions.keys().nth(action).cloned().into());
                let example = serde_json::to_value(TargetSpec::example(entry, None)).unwrap();
                let settings = if action % 2 == 0 { settings } else { example["settings"].clone() };
                map.insert("settings".to_owned(), settings);
            }
            if let Ok(spec) = serde_json::from_value::<TargetSpec>(file) {
                let _ = spec.validate(emote_proto::Name::new("t").unwrap());
            }
        }
    }
}

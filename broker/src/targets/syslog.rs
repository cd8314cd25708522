//! `syslog`: writes a message of RFC 5424 a job, over UDP, TCP or TLS.
//!
//! ```yaml
//! kind: syslog
//! address: tls://logs.example.com:6514
//! tls: {ca: logs-ca.pem, certificate: emote.pem, key: emote.key}
//! facility: local0
//! severity: 'if .event.action == "unenroll" then "warning" else "info" end'
//! app_name: emote
//! hostname: .serial                     # else the job's node
//! msgid: '"\(.event.scope).\(.event.action)"'
//! message: '"\(.node.name) \(.event.action)"'   # else the rule's input, or the event as JSON
//! structured_data: emote@32473          # its name; false for none
//! framing: octet_counting               # or newline, over TCP alone
//! max_size: 8KiB                        # 2 KiB over UDP: a text that is longer is cut
//! ```
//! Structured data has the event's id, its source, the rule, the target, the job and whom it is about. `job` is the same
//! where a job is repeated: syslog acknowledges nothing, so a message may come twice, or not at all (see
//! [`super::socket`]).

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Outcome, Target,
    connections::Tls,
    http::reading::tls,
    programs::{context, one_text, settings},
    serial,
    socket::{Address, Level, Parcel, Sender, Transport, host, text_of},
    spec::{Setup, Unresolved},
};
use crate::{
    config::{Problems, fields::Fields},
    core::Job,
    framing,
    jq::Program,
    syslog::{Element, FACILITIES, Form, Message, Priority, SEVERITIES, facility, severity},
};

const LOCAL0: u8 = 16;
const INFO: u8 = 6;
const APP_NAME: &str = "emote";
/// 32473 is nobody's number (RFC 5612): who has one of their own says so.
const SD_ID: &str = "emote@32473";
/// What every receiver must take (RFC 5424, section 6.1), and what a datagram can hold.
const SIZES: std::ops::RangeInclusive<u64> = 480..=65_507;
/// What receivers should take: RFC 5424, section 6.1, and RFC 5425, section 4.3.1.
const UDP_SIZE: u64 = 2048;
const STREAM_SIZE: u64 = 8192;

#[derive(Debug)]
struct Spec {
    address: Address,
    tls: Tls,
    plan: Arc<Plan>,
}

#[derive(Debug)]
struct Plan {
    facility: Level,
    severity: Level,
    app_name: String,
    hostname: Option<Program>,
    msgid: Option<Program>,
    message: Option<Program>,
    /// None where there is to be no structured data.
    sd_id: Option<String>,
    newline: bool,
    max_size: usize,
    settings: Value,
}

struct Syslog {
    sender: Sender,
    plan: Arc<Plan>,
}

/// Ports of RFC 5426, RFC 6587 and RFC 5425.
fn port(transport: Transport) -> u16 {
    match transport {
        Transport::Udp => 514,
        Transport::Tcp => 601,
        Transport::Tls => 6514,
    }
}

pub(super) fn read(fields: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    let insecure = fields.flag("insecure").unwrap_or_default();
    let address = Address::read(fields, insecure, port);
    let of_tls = fields.object("tls", tls);
    let transport = address.as_ref().map(|address| address.transport);
    if of_tls.is_some() && transport.is_some_and(|transport| transport != Transport::Tls) {
        fields.problem("tls", "is for tls:// alone");
    }
    let plan = plan(fields, transport);
    Some(Box::new(Spec { address: address?, tls: of_tls.unwrap_or_default(), plan: Arc::new(plan) }))
}

fn plan(fields: &mut Fields<'_>, transport: Option<Transport>) -> Plan {
    let newline = fields.parsed("framing", |value| match value.as_str() {
        Some("octet_counting") => Ok(false),
        Some("newline") => Ok(true),
        _ => Err("expected octet_counting or newline".to_owned()),
    });
    if newline.is_some() && transport == Some(Transport::Udp) {
        fields.problem("framing", "a datagram is a message: leave it out");
    }
    if newline == Some(true) && transport == Some(Transport::Tls) {
        fields.problem("framing", "over TLS octets are counted (RFC 5425): leave it out");
    }
    let usual = if transport == Some(Transport::Udp) { UDP_SIZE } else { STREAM_SIZE };
    let max_size = fields.size("max_size").unwrap_or(usual);
    if !SIZES.contains(&max_size) {
        fields.problem("max_size", "from 480 bytes, which every receiver takes, to 65507");
    }
    let sd_id = match fields.value("structured_data") {
        None => Some(SD_ID.to_owned()),
        Some(Value::Bool(false)) => None,
        Some(_) => fields.text("structured_data"),
    };
    let is_name = |id: &str| {
        let own = id.split_once('@').is_some_and(|(name, number)| !name.is_empty() && number.parse::<u32>().is_ok());
        own && id.len() <= 32 && id.bytes().all(|byte| byte.is_ascii_graphic() && !b"=]\"".contains(&byte))
    };
    if sd_id.as_deref().is_some_and(|id| !is_name(id)) {
        let expected =
            "expected false, or a name of at most 32 characters with your private enterprise number: emote@32473";
        fields.problem("structured_data", expected);
    }
    Plan {
        facility: Level::read(fields, "facility", &FACILITIES, facility).unwrap_or(Level::Fixed(LOCAL0)),
        severity: Level::read(fields, "severity", &SEVERITIES, severity).unwrap_or(Level::Fixed(INFO)),
        app_name: fields.text("app_name").unwrap_or_else(|| APP_NAME.to_owned()),
        hostname: fields.jq("hostname"),
        msgid: fields.jq("msgid"),
        message: fields.jq("message"),
        sd_id,
        newline: newline.unwrap_or_default(),
        max_size: usize::try_from(max_size).unwrap_or(usize::MAX),
        settings: settings(fields),
    }
}

impl Unresolved for Spec {
    fn is_shown(&self) -> bool {
        true
    }

    fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Box<dyn Target>> {
        let sender = problems.take("tls", Sender::new(setup, self.address.clone(), &self.tls))?;
        Some(Box::new(Syslog { sender, plan: Arc::clone(&self.plan) }))
    }
}

impl Syslog {
    /// A message, and what is reported of it.
    fn written(&self, job: &Job, input: &Value) -> Result<(Parcel, Value), String> {
        let plan = &self.plan;
        let context = Value::Object(context(job, input, &plan.settings));
        let priority = Priority::new(plan.facility.of("facility", &context)?, plan.severity.of("severity", &context)?);
        let priority = priority.ok_or("facility or severity is none")?;
        let usual = || format!("{}.{}", job.event.scope, job.event.action);
        let message = Message {
            time: Some(
                jiff::Timestamp::from_millisecond(job.event.time.as_millis()).map_err(|error| error.to_string())?,
            ),
            hostname: Some(host(plan.hostname.as_ref(), "hostname", job, &context)?),
            app_name: Some(plan.app_name.clone()),
            msgid: Some(one_text(plan.msgid.as_ref(), "msgid", &context)?.unwrap_or_else(usual)),
            structured_data: plan.sd_id.iter().map(|id| element(id, job)).collect(),
            text: text_of(plan.message.as_ref(), "message", &context)?,
            ..Message::new(priority, Form::Rfc5424)
        };
        let (line, cut_from) = message.write(plan.max_size).map_err(|error| error.to_string())?;
        let frame = match (self.sender.address().transport, plan.newline) {
            (Transport::Udp, _) => line.clone().into_bytes(),
            (_, true) => framing::trailed(line.as_bytes(), b'\n'),
            (_, false) => framing::counted(line.as_bytes()),
        };
        let mut info = json!({"address": self.sender.address().to_string(), "bytes": line.len()});
        if let (Value::Object(info), Some(cut_from)) = (&mut info, cut_from) {
            info.insert("cut_from".to_owned(), cut_from.into());
        }
        Ok((Parcel { frames: vec![frame], text: line }, info))
    }
}

/// What the message is about, for programs that read it.
fn element(id: &str, job: &Job) -> Element {
    let params = [
        ("event", Some(job.event.id.to_string())),
        ("source", Some(job.event.source.to_string())),
        ("rule", Some(job.rule.to_string())),
        ("target", Some(job.target.to_string())),
        ("job", Some(job.id.to_string())),
        ("node", job.node_key()),
        ("serial", serial(job).map(str::to_owned)),
        ("user", job.event.user_id().map(str::to_owned)),
    ];
    let said = params.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Element { id: id.to_owned(), params: said.collect() }
}

#[async_trait::async_trait]
impl Target for Syslog {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        Outcome::of_one(self.deliver_batch(&[(job, input)]).await)
    }

    fn batches(&self) -> bool {
        true
    }

    /// All messages in one write. What cannot be written is left out.
    async fn deliver_batch(&self, jobs: &[(&Job, &Value)]) -> Vec<Outcome> {
        let written = jobs.iter().map(|(job, input)| self.written(job, input)).collect();
        self.sender.send_each(written, |info| Outcome::done("log", "syslog_sent", info)).await
    }
}

#[cfg(test)]
mod tests;

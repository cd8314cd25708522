//! `mdm`: sends a command to the job's device through NanoMDM or MicroMDM.
//!
//! ```yaml
//! kind: mdm
//! server: nanomdm
//! url: https://mdm.example.com
//! api_key: ${env:NANOMDM_API_KEY}
//! pin_key: ${file:/etc/emote/pin.key}   # DeviceLock only: what its PINs are derived from
//! destructive: true
//! ```
//! The rule's input is the command: `{request_type: DeviceLock, message, phone_number}`, `{request_type: Settings, name}`,
//! `{request_type: DeviceInformation, queries}` or another of those that [`command`] knows. What the file says as `command`
//! goes over it: `command: {request_type: RestartDevice}` makes a target that restarts whatever its rules say. With
//! `push: true` it sends no command and wakes the device. EraseDevice is for targets that say `destructive: true`.
//! `InstallEnterpriseApplication` installs what `manifest_url` leads to; a target whose file says that request type and no
//! such address installs the agent that is deployed (`emote deploy`), from the manifest that the job brings along.
//!
//! The CommandUUID is the job's, so a repeated job is the same command. What a server makes of a second one (NanoMDM
//! 0.9): its key-value and SQL stores refuse it, which counts as done; its file store and MicroMDM queue it again.
//! NanoMDM answers 500 when it stored the command and only the push failed; that counts as done, too, since the device
//! gets the command when it checks in next.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Url};
use serde_json::{Map, Value, json};

use super::address;
use super::spec::{Setup, Unresolved};
use super::wire::{self, Answer, Auth, Client, MIN_PIN_KEY, join};
use super::{Outcome, Target, serial, udid};
use crate::config::fields::Fields;
use crate::config::text::Template;
use crate::config::{Problems, Secret, SecretRef};
use crate::core::Job;

mod command;

pub use command::pin_for;

use command::Command;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    NanoMdm,
    MicroMdm,
}

#[derive(Debug)]
struct Spec {
    server: Server,
    url: Template,
    insecure: bool,
    api_key: SecretRef,
    pin_key: Option<SecretRef>,
    orders: Orders,
}

struct Mdm {
    server: Server,
    client: Client,
    url: Url,
    auth: Auth,
    pin_key: Option<Secret>,
    orders: Orders,
}

/// What a target does, whatever its rules say.
#[derive(Debug, Clone, Default)]
struct Orders {
    /// Goes over the rule's input.
    command: Map<String, Value>,
    push_only: bool,
    destructive: bool,
}

/// What became of a command that the server has.
#[derive(Debug, Default, PartialEq, Eq)]
struct Queued {
    push_error: Option<String>,
    /// An earlier attempt had brought it there.
    already: bool,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    let insecure = fields.flag("insecure").unwrap_or_default();
    let server = fields.words("server", &["micromdm", "nanomdm"]);
    let server = fields.require("server", server, "server: nanomdm");
    let server = server.map(|word| if word == "nanomdm" { Server::NanoMdm } else { Server::MicroMdm });
    let url = address::read(fields, "url", insecure, "url: https://mdm.example.com");
    let api_key = fields.secret("api_key");
    let api_key = fields.require("api_key", api_key, "api_key: ${env:NANOMDM_API_KEY}");
    let pin_key = fields.secret("pin_key");
    let orders = Orders {
        command: fields.entries("command").cloned().unwrap_or_default(),
        push_only: fields.flag("push").unwrap_or_default(),
        destructive: fields.value("destructive").and_then(Value::as_bool).unwrap_or_default(),
    };
    if orders.push_only && !orders.command.is_empty() {
        fields.problem("push", "sends no command: leave one of them out");
    }
    if let Some(Value::String(request_type)) = orders.command.get("request_type") {
        if let Err(error) = command::known(request_type) {
            fields.problem("command.request_type", error);
        }
        if command::erases(request_type) && !orders.destructive {
            fields.problem("command.request_type", "erases the device: say destructive: true");
        }
    }
    Some(Box::new(Spec { server: server?, url: url?, insecure, api_key: api_key?, pin_key, orders }))
}

impl Unresolved for Spec {
    fn is_shown(&self) -> bool {
        true
    }

    fn installs_agent(&self) -> bool {
        command::installs_agent(&self.orders.command)
    }

    fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Box<dyn Target>> {
        let url = address::resolve(&self.url, "url", self.insecure, setup, problems);
        let api_key = problems.take("api_key", setup.secret(&self.api_key));
        let pin_key = self.pin_key.as_ref().and_then(|key| problems.take("pin_key", setup.secret(key)));
        if pin_key.as_ref().is_some_and(|key| key.expose().len() < MIN_PIN_KEY) {
            problems.add("pin_key", format!("is too short: {MIN_PIN_KEY} random characters at least"));
        }
        let ((url, mut secrets), api_key) = (url?, api_key?);
        let user = match self.server {
            Server::NanoMdm => "nanomdm",
            Server::MicroMdm => "micromdm",
        };
        let auth = Auth::Basic { user: Secret::new(user), password: api_key, user_is_secret: false };
        secrets.extend(auth.secrets());
        secrets.extend(pin_key.clone());
        let client = problems.take("", Client::new(setup, &url, secrets))?;
        let orders = self.orders.clone();
        Some(Box::new(Mdm { server: self.server, client, url, auth, pin_key, orders }))
    }
}

#[async_trait::async_trait]
impl Target for Mdm {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        match self.send(job, input).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }
}

impl Mdm {
    async fn send(&self, job: &Job, input: &Value) -> Result<Outcome, Outcome> {
        let udid = udid_of(job).map_err(Outcome::never)?;
        if self.orders.push_only {
            return match self.push(udid).await {
                Some(outcome) => Err(outcome),
                None => Ok(Outcome::done("mdm", "push_sent", json!({"udid": udid}))),
            };
        }
        let command = Command::of_job(&self.ordered(job, input), job.installs.as_ref()).map_err(Outcome::never)?;
        if command::erases(command.request_type) && !self.orders.destructive {
            return Err(Outcome::never("EraseDevice is for targets that say destructive: true"));
        }
        let command_uuid = job.id.command_uuid();
        let pin = match (&self.pin_key, command.needs_pin()) {
            (_, false) => None,
            (Some(key), true) => Some(self.client.pin(key, &command_uuid)),
            (None, true) => {
                let what = command.request_type;
                return Err(Outcome::never(format!("{what} needs a PIN: give the target a pin_key to derive it from")));
            }
        };
        let body = command.to_plist(&command_uuid, pin.as_ref()).map_err(Outcome::never)?;
        let request = match self.server {
            Server::NanoMdm => self.client.request(Method::PUT, join(&self.url, &["v1", "enqueue", udid])),
            Server::MicroMdm => self.client.request(Method::POST, join(&self.url, &["v1", "commands", udid])),
        };
        let request = request.header("Idempotency-Key", wire::idempotency_key(&job.id));
        let request = self.auth.apply(request).header(CONTENT_TYPE, "application/xml").body(body);
        let answer = self.client.send(request, pin.as_slice()).await?;
        let mut queued = match (self.server, answer.status) {
            (_, 401 | 403) => return Err(Outcome::never(format!("{}: check the api_key", answer.describe()))),
            (_, 404) => {
                return Err(Outcome::never(format!("{}: there is no MDM's API at this url", answer.describe())));
            }
            (Server::NanoMdm, _) => nanomdm(&answer)?,
            (Server::MicroMdm, _) => answer.success().map(|_| Queued::default())?,
        };
        // NanoMDM has pushed unless the command was there before; MicroMDM does not promise it for raw commands.
        if queued.already || self.server == Server::MicroMdm {
            queued.push_error = self.push(udid).await.map(reason);
        }
        let mut info = json!({"request_type": command.request_type, "command_uuid": command_uuid, "udid": udid});
        if let Value::Object(info) = &mut info {
            if let Some(error) = queued.push_error {
                info.insert("push_error".to_owned(), json!(error));
            }
            if queued.already {
                info.insert("already_queued".to_owned(), json!(true));
            }
        }
        Ok(Outcome::done("mdm", "command_sent", info))
    }

    /// The rule's input with the target's own command over it.
    fn ordered(&self, job: &Job, input: &Value) -> Value {
        if self.orders.command.is_empty() {
            return input.clone();
        }
        // Without an input of the rule's there is its event, which says nothing of a command.
        let of_rule = input.as_object().filter(|_| job.input.is_some()).cloned().unwrap_or_default();
        let own = |key: &str| self.orders.command.keys().any(|known| command::same_key(known, key));
        let mut whole: Map<String, Value> = of_rule.into_iter().filter(|(key, _)| !own(key)).collect();
        whole.extend(self.orders.command.clone());
        Value::Object(whole)
    }

    /// Wakes the device; what kept it from being woken, if anything did.
    async fn push(&self, udid: &str) -> Option<Outcome> {
        let segments: &[&str] = match self.server {
            Server::NanoMdm => &["v1", "push", udid],
            Server::MicroMdm => &["push", udid],
        };
        let request = self.auth.apply(self.client.request(Method::GET, join(&self.url, segments)));
        let told = |answer: Answer| match error_in(&answer, "push_error") {
            Some(error) => Err(Outcome::never(error)),
            None => answer.success(),
        };
        self.client.send(request, &[]).await.and_then(told).err()
    }
}

/// Why an attempt came to nothing. A command is queued whatever comes of the push after it, so that this is only told.
fn reason(outcome: Outcome) -> String {
    match outcome {
        Outcome::Retry { reason, .. } | Outcome::Never { reason } => reason,
        Outcome::Done(_) => String::new(),
    }
}

/// The device's UDID.
fn udid_of(job: &Job) -> Result<&str, String> {
    let who = || serial(job).map(|serial| format!("the node {serial}")).unwrap_or_else(|| "the event".to_owned());
    let udid = udid(job).ok_or_else(|| {
        format!("{} has no known UDID: it becomes known when the MDM's webhook or the agent tells it", who())
    })?;
    // A comma would address more devices than one, a slash other files or paths.
    if udid.len() <= 64 && udid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        Ok(udid)
    } else {
        Err(format!("{} has a UDID that is none: letters, digits and hyphens only", who()))
    }
}

/// What NanoMDM's reply to an enqueue says, whose status alone does not tell: it is 500 also when only the push failed.
fn nanomdm(answer: &Answer) -> Result<Queued, Outcome> {
    match (error_in(answer, "command_error"), error_in(answer, "push_error")) {
        (Some(error), _) if is_duplicate(&error) => Ok(Queued { push_error: None, already: true }),
        (Some(error), _) if error.starts_with("decoding command") => Err(Outcome::never(format!("NanoMDM: {error}"))),
        (Some(error), _) if answer.status >= 500 => Err(answer.retry(format!("NanoMDM: {error}"))),
        (Some(error), _) => Err(Outcome::never(format!("NanoMDM: {error}"))),
        (None, push_error @ Some(_)) => Ok(Queued { push_error, already: false }),
        (None, None) => answer.clone().success().map(|_| Queued::default()),
    }
}

/// The error that NanoMDM's reply holds under `key`: for the whole request, or for the one device that was addressed
/// (where the key-value store writes the CommandUUID in the device's place).
fn error_in(answer: &Answer, key: &str) -> Option<String> {
    let reply: Value = serde_json::from_str(&answer.body).ok()?;
    let each = reply.get("status").and_then(Value::as_object).into_iter().flatten();
    let of_device = each.filter_map(|(_, status)| status.get(key)).next();
    reply.get(key).or(of_device).and_then(Value::as_str).map(wire::quote)
}

/// How NanoMDM's stores say that they have the command: key-value, MySQL, PostgreSQL.
fn is_duplicate(error: &str) -> bool {
    ["command already exists", "Duplicate entry", "duplicate key value"].iter().any(|text| error.contains(text))
}

#[cfg(test)]
mod tests;

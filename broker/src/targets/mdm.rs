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
//! The rule's input is the command: `{request_type: DeviceLock, message, phone_number}`,
//! `{request_type: DeviceInformation, queries}` or `{request_type: Settings, name}`.
//!
//! The CommandUUID is the job's, so a repeated job is the same command. What a server makes of a second one (NanoMDM
//! 0.9): its key-value and SQL stores refuse it, which counts as done; its file store and MicroMDM queue it again.
//! NanoMDM answers 500 when it stored the command and only the push failed; that counts as done, too, since the device
//! gets the command when it checks in next.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Url};
use serde_json::{Value, json};

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
}

struct Mdm {
    server: Server,
    client: Client,
    url: Url,
    auth: Auth,
    pin_key: Option<Secret>,
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
    let server = fields.text("server");
    let server = match fields.require("server", server, "server: nanomdm").as_deref() {
        Some("nanomdm") => Some(Server::NanoMdm),
        Some("micromdm") => Some(Server::MicroMdm),
        Some(_) => {
            fields.problem("server", "expected one of micromdm, nanomdm");
            None
        }
        None => None,
    };
    let url = address::read(fields, "url", insecure, "url: https://mdm.example.com");
    let api_key = fields.secret("api_key");
    let api_key = fields.require("api_key", api_key, "api_key: ${env:NANOMDM_API_KEY}");
    let pin_key = fields.secret("pin_key");
    Some(Box::new(Spec { server: server?, url: url?, insecure, api_key: api_key?, pin_key }))
}

impl Unresolved for Spec {
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
        let auth = Auth::Basic { user: Secret::new(user), password: api_key };
        secrets.extend(auth.secrets());
        secrets.extend(pin_key.clone());
        let client = problems.take("", Client::new(setup, &url, secrets))?;
        Some(Box::new(Mdm { server: self.server, client, url, auth, pin_key }))
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
        let command = Command::from_input(input).map_err(Outcome::never)?;
        let command_uuid = job.id.command_uuid();
        let pin = match (&self.pin_key, command.needs_pin()) {
            (_, false) => None,
            (Some(key), true) => Some(self.client.pin(key, &command_uuid)),
            (None, true) => {
                return Err(Outcome::never("DeviceLock needs a PIN: give the target a pin_key to derive it from"));
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
            queued.push_error = self.push(udid).await;
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

    /// Wakes the device. The command is queued whatever comes of it, so that an error is only told.
    async fn push(&self, udid: &str) -> Option<String> {
        let segments: &[&str] = match self.server {
            Server::NanoMdm => &["v1", "push", udid],
            Server::MicroMdm => &["push", udid],
        };
        let request = self.auth.apply(self.client.request(Method::GET, join(&self.url, segments)));
        let told = |answer: Answer| match error_in(&answer, "push_error") {
            Some(error) => Err(Outcome::never(error)),
            None => answer.success(),
        };
        match self.client.send(request, &[]).await.and_then(told) {
            Err(Outcome::Retry { reason, .. } | Outcome::Never { reason }) => Some(reason),
            Ok(_) | Err(Outcome::Done(_)) => None,
        }
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
mod tests {
    use super::super::testing::{Reply, Stand, job, problems, show};
    use super::*;

    const NANO: &str =
        "kind: mdm\nserver: nanomdm\nurl: '%URL%/base/'\napi_key: '${file:token}'\npin_key: '${file:pin}'";
    const MICRO: &str = "kind: mdm\nserver: micromdm\nurl: '%URL%'\napi_key: '${file:token}'\npin_key: '${file:pin}'";
    const OK: Reply = (200, &[], r#"{"status":{"A-1":{"push_result":"x"}},"command_uuid":"x"}"#);

    #[tokio::test]
    async fn a_lock_is_enqueued_with_a_pin_that_only_the_key_gives() {
        let stand = Stand::replying(&[OK]).await;
        let input = json!({"request_type": "DeviceLock", "message": "Call IT"});
        let outcome = stand.deliver(NANO, &job(), &input).await;
        insta::assert_snapshot!(show(&outcome), @r#"done mdm.command_sent {"command_uuid":"0EFA6B20-DC5B-5352-895A-530171847961","request_type":"DeviceLock","udid":"A-1"}"#);
        let seen = stand.seen();
        insta::assert_snapshot!(seen, @r#"
        PUT /base/v1/enqueue/A-1
        authorization: Basic bmFub21kbTp0MGtlbi1odW50ZXIy
        content-type: application/xml
        idempotency-key: a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target

        <?xml version="1.0" encoding="UTF-8"?>
        <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
        <plist version="1.0">
        <dict>
        	<key>Command</key>
        	<dict>
        		<key>RequestType</key>
        		<string>DeviceLock</string>
        		<key>Message</key>
        		<string>Call IT</string>
        		<key>PIN</key>
        		<string>082117</string>
        	</dict>
        	<key>CommandUUID</key>
        	<string>0EFA6B20-DC5B-5352-895A-530171847961</string>
        </dict>
        </plist>
        "#);
        let pin = pin_for(&Secret::new(super::super::testing::PIN_KEY), &job().id.command_uuid());
        assert!(seen.contains(&format!("<string>{}</string>", pin.expose())));
        stand.deliver(NANO, &job(), &input).await;
        assert_eq!(stand.seen(), seen, "a repeated job is the same command");
    }

    #[tokio::test]
    async fn what_nanomdm_says_decides() {
        for (status, reply, expected) in [
            (200, r#"{"command_uuid":"x"}"#, "done mdm.command_sent "),
            (200, "", "done mdm.command_sent "),
            (500, r#"{"status":{"A-1":{"push_error":"no push token"}}}"#, r#"done mdm.command_sent "no push token""#),
            (207, r#"{"status":{"A-1":{"push_error":"BadDeviceToken"}}}"#, r#"done mdm.command_sent "BadDeviceToken""#),
            (500, r#"{"push_error":"no push cert"}"#, r#"done mdm.command_sent "no push cert""#),
            (500, r#"{"command_error":"disk full"}"#, "retry NanoMDM: disk full"),
            (500, r#"{"status":{"A-1":{"command_error":"disk full"}}}"#, "retry NanoMDM: disk full"),
            (500, r#"{"command_error":"decoding command: EOF"}"#, "never NanoMDM: decoding command: EOF"),
            (400, r#"{"command_error":"no"}"#, "never NanoMDM: no"),
            (502, "<html>bad gateway</html>", "retry answered 502 Bad Gateway: <html>bad gateway</html>"),
            (401, "Unauthorized %AUTH%", "never answered 401 Unauthorized: Unauthorized Basic …: check the api_key"),
            (403, "", "never answered 403 Forbidden: check the api_key"),
            (
                404,
                "404 page not found",
                "never answered 404 Not Found: 404 page not found: there is no MDM's API at this url",
            ),
        ] {
            let stand = Stand::replying(&[(status, &[], reply)]).await;
            let outcome = show(&stand.deliver(NANO, &job(), &json!({"request_type": "DeviceLock"})).await);
            let outcome = outcome.split_once('{').map_or(outcome.clone(), |(start, info)| {
                let info: Value = serde_json::from_str(&format!("{{{info}")).unwrap_or_default();
                let error = info.get("push_error").map(Value::to_string).unwrap_or_default();
                format!("{start}{error}")
            });
            assert!(outcome.starts_with(expected), "{outcome}\n{expected}");
        }
    }

    #[tokio::test]
    async fn a_pin_that_the_server_repeats_is_not_shown() {
        let stand = Stand::replying(&[(500, &[], "%BODY%")]).await;
        let pin = pin_for(&Secret::new(super::super::testing::PIN_KEY), &job().id.command_uuid());
        for server in [NANO, MICRO] {
            let outcome = show(&stand.deliver(server, &job(), &json!({"request_type": "DeviceLock"})).await);
            assert!(outcome.starts_with("retry ") && !outcome.contains(pin.expose()), "{outcome}");
        }
        assert!(stand.seen().contains(pin.expose()));
    }

    #[tokio::test]
    async fn a_command_that_is_there_already_is_done_and_the_device_woken() {
        for reply in [
            r#"{"command_error":"command already exists: X"}"#,
            r#"{"command_error":"Error 1062 (23000): Duplicate entry 'X' for key 'commands.PRIMARY'"}"#,
            r#"{"command_error":"ERROR: duplicate key value violates unique constraint \"commands_pkey\""}"#,
        ] {
            let stand = Stand::replying(&[(500, &[], reply), OK]).await;
            let outcome = stand.deliver(NANO, &job(), &json!({"request_type": "DeviceInformation"})).await;
            assert!(show(&outcome).contains(r#""already_queued":true"#), "{outcome:?}");
            let seen = stand.seen();
            assert!(seen.contains("\n---\nGET /base/v1/push/A-1\n"), "{seen}");
        }
    }

    #[tokio::test]
    async fn micromdm_takes_the_raw_command_and_is_asked_to_push() {
        let stand = Stand::replying(&[(201, &[], "{}"), (500, &[], "no push cert")]).await;
        let outcome = stand.deliver(MICRO, &job(), &json!({"request_type": "Settings", "name": "ada-mbp"})).await;
        insta::assert_snapshot!(show(&outcome), @r#"done mdm.command_sent {"command_uuid":"0EFA6B20-DC5B-5352-895A-530171847961","push_error":"answered 500 Internal Server Error: no push cert","request_type":"Settings","udid":"A-1"}"#);
        insta::assert_snapshot!(stand.seen(), @r#"
        POST /v1/commands/A-1
        authorization: Basic bWljcm9tZG06dDBrZW4taHVudGVyMg==
        content-type: application/xml
        idempotency-key: a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target

        <?xml version="1.0" encoding="UTF-8"?>
        <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
        <plist version="1.0">
        <dict>
        	<key>Command</key>
        	<dict>
        		<key>RequestType</key>
        		<string>Settings</string>
        		<key>Settings</key>
        		<array>
        			<dict>
        				<key>Item</key>
        				<string>DeviceName</string>
        				<key>DeviceName</key>
        				<string>ada-mbp</string>
        			</dict>
        		</array>
        	</dict>
        	<key>CommandUUID</key>
        	<string>0EFA6B20-DC5B-5352-895A-530171847961</string>
        </dict>
        </plist>
        ---
        GET /push/A-1
        authorization: Basic bWljcm9tZG06dDBrZW4taHVudGVyMg==
        "#);
        for (status, expected) in [(400, "never"), (401, "never"), (404, "never"), (429, "retry"), (500, "retry")] {
            let stand = Stand::replying(&[(status, &[], "")]).await;
            let outcome = show(&stand.deliver(MICRO, &job(), &json!({"request_type": "DeviceLock"})).await);
            assert!(outcome.starts_with(expected), "{status}: {outcome}");
        }
    }

    #[tokio::test]
    async fn the_command_goes_to_the_jobs_own_device_or_nowhere() {
        let stand = Stand::replying(&[OK]).await;
        let with = |node: Value, udid: Option<&str>| {
            let mut job = job();
            job.node = Some(node).filter(|node| !node.is_null()).map(Into::into);
            job.event.device.get_or_insert_default().udid = udid.map(str::to_owned);
            job
        };
        for (job, expected) in [
            (with(json!({"serial": "C02XL0GTJGH5", "udid": "B"}), Some("A")), "done B"),
            (with(json!({"serial": "C02XL0GTJGH5"}), Some("A")), "done A"),
            (with(Value::Null, Some("A")), "done A"),
            (with(json!({"serial": "OTHER"}), Some("A")), "never the node OTHER has no known UDID"),
            (with(json!({"serial": "OTHER", "udid": ""}), None), "never the node OTHER has no known UDID"),
            (with(json!({"udid": "A,B"}), None), "never the node C02XL0GTJGH5 has a UDID that is none"),
            (with(json!({"udid": "../A"}), None), "never the node C02XL0GTJGH5 has a UDID that is none"),
        ] {
            let outcome = stand.deliver(NANO, &job, &json!({"request_type": "DeviceInformation"})).await;
            let found = match &outcome {
                Outcome::Done(report) => format!("done {}", report.info["udid"].as_str().unwrap()),
                other => show(other),
            };
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[tokio::test]
    async fn a_lock_without_a_pin_key_is_refused() {
        let stand = Stand::replying(&[OK]).await;
        let yaml = NANO.replace("\npin_key: '${file:pin}'", "");
        let outcome = show(&stand.deliver(&yaml, &job(), &json!({"request_type": "DeviceLock"})).await);
        assert!(outcome.starts_with("never DeviceLock needs a PIN"), "{outcome}");
        assert!(
            show(&stand.deliver(&yaml, &job(), &json!({"request_type": "DeviceInformation"})).await)
                .starts_with("done")
        );
    }

    #[test]
    fn the_settings_are_checked() {
        insta::assert_snapshot!(problems("kind: mdm"), @r#"
        server: is missing: for example server: nanomdm
        url: is missing: for example url: https://mdm.example.com
        api_key: is missing: for example api_key: ${env:NANOMDM_API_KEY}
        "#);
        insta::assert_snapshot!(problems("kind: mdm\nserver: jamf\nurl: x\napi_key: hunter2\npin: 123456"), @r#"
        server: expected one of micromdm, nanomdm
        url: not a URL (relative URL without a base): for example https://hooks.example.com/emote
        api_key: a secret is given by reference, ${env:NAME} or ${file:PATH}, never in the file itself
        pin: unknown key: expected one of api_key, batch, breaker, concurrency, destructive, guard, insecure, kind, max_age, ordered, pin_key, rate, retry, server, timeout, url
        "#);
        let folder = super::super::testing::secrets();
        let yaml = NANO.replace("%URL%", "https://x").replace("file:pin", "file:short");
        let found = super::super::testing::validate(&yaml).unwrap().resolve(folder.path()).err().unwrap();
        insta::assert_snapshot!(super::super::testing::lines(found), @"pin_key: is too short: 16 random characters at least");
    }
}

//! MDM commands: from a rule's input to the property list that a device gets (Apple, Device Management).

use emote_proto::deploy::{self, Manifest};
use hmac::{Hmac, KeyInit, Mac};
use plist::{Dictionary, Value as Plist};
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::config::Secret;
use crate::config::fields::kind;

/// The commands there are, each with what reads the rest of its input.
const REQUEST_TYPES: [(&str, Read); 10] = [
    ("DeviceInformation", device_information),
    ("DeviceLock", device_lock),
    ("EraseDevice", erase_device),
    (deploy::REQUEST_TYPE, install),
    ("InstalledApplicationList", nothing),
    ("ProfileList", nothing),
    ("RestartDevice", nothing),
    ("SecurityInfo", nothing),
    ("Settings", settings),
    ("ShutDownDevice", nothing),
];

/// What becomes of a Mac's disk when it is erased (`ObliterationBehavior`).
const OBLITERATION: [&str; 4] = ["Default", "DoNotObliterate", "ObliterateWithWarning", "Always"];

pub(super) type Read = fn(&mut Input, &mut Dictionary) -> Result<(), String>;

/// What a DeviceInformation command asks where the rule does not say.
const QUERIES: [&str; 16] = [
    "AvailableDeviceCapacity",
    "BuildVersion",
    "DeviceCapacity",
    "DeviceName",
    "EthernetMAC",
    "HostName",
    "IsSupervised",
    "LocalHostName",
    "Model",
    "ModelName",
    "OSVersion",
    "ProductName",
    "SerialNumber",
    "SystemIntegrityProtectionEnabled",
    "UDID",
    "WiFiMAC",
];

/// A command as its input describes it. It has no CommandUUID and no PIN yet.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command {
    pub(super) request_type: &'static str,
    fields: Dictionary,
}

impl Command {
    /// Reads a rule's input: `{request_type, …}`, keys in snake case or as Apple spells them.
    pub(super) fn from_input(input: &Value) -> Result<Self, String> {
        let map = input
            .as_object()
            .ok_or_else(|| format!("the input must be an object with request_type, not {}", kind(input)))?;
        let mut input = Input(map.iter().map(|(key, value)| (snake_case(key), value.clone())).collect());
        let named =
            input.text("request_type", 64)?.ok_or_else(|| format!("the input has no request_type: {}", expected()))?;
        let (request_type, read) = known(&named)?;
        let mut fields = Dictionary::new();
        fields.insert("RequestType".to_owned(), (*request_type).into());
        read(&mut input, &mut fields)?;
        match input.0.keys().next() {
            Some(key) => Err(format!("{request_type} takes no {key:?}")),
            None => Ok(Self { request_type, fields }),
        }
    }

    /// The same, of a job that brings along what is to be installed where its input does not say so.
    pub(super) fn of_job(input: &Value, installs: Option<&Manifest>) -> Result<Self, String> {
        let mut command = Self::from_input(input)?;
        let names_other = command.fields.contains_key("ManifestURL");
        if names_other && installs.is_some() {
            return Err("this target installs the agent, and nothing else: leave manifest_url out".to_owned());
        }
        if command.request_type == deploy::REQUEST_TYPE && !names_other {
            let manifest = installs.ok_or(
                "there is nothing to install: the input needs manifest_url, or the target's own command is to say the request_type",
            )?;
            command.fields.insert("Manifest".to_owned(), Plist::Dictionary(manifest.dictionary()));
        }
        Ok(command)
    }

    /// Whether the device needs a PIN to let its user in again.
    pub(super) fn needs_pin(&self) -> bool {
        matches!(self.request_type, "DeviceLock" | "EraseDevice")
    }

    /// The property list that is enqueued.
    pub(super) fn to_plist(&self, command_uuid: &str, pin: Option<&Secret>) -> Result<Vec<u8>, String> {
        let mut command = self.fields.clone();
        if let Some(pin) = pin {
            command.insert("PIN".to_owned(), pin.expose().into());
        }
        let mut whole = Dictionary::new();
        whole.insert("Command".to_owned(), Plist::Dictionary(command));
        whole.insert("CommandUUID".to_owned(), command_uuid.into());
        let mut bytes = Vec::new();
        Plist::Dictionary(whole)
            .to_writer_xml(&mut bytes)
            .map_err(|_| "the command cannot be written as a property list".to_owned())?;
        Ok(bytes)
    }
}

/// The command of this name.
pub(super) fn known(request_type: &str) -> Result<&'static (&'static str, Read), String> {
    let found = REQUEST_TYPES.iter().find(|(name, _)| *name == request_type);
    found.ok_or_else(|| format!("request_type {request_type:?} cannot be sent: {}", expected()))
}

/// Whether nothing is left on the device after it.
pub(super) fn erases(request_type: &str) -> bool {
    request_type == "EraseDevice"
}

/// Whether a target whose own command this is installs the agent.
pub(super) fn installs_agent(command: &Map<String, Value>) -> bool {
    let of = |wanted: &str| command.iter().find(|(key, _)| same_key(key, wanted)).map(|(_, value)| value);
    of("request_type").and_then(Value::as_str) == Some(deploy::REQUEST_TYPE) && of("manifest_url").is_none()
}

/// Whether two keys of an input are one.
pub(super) fn same_key(one: &str, other: &str) -> bool {
    snake_case(one) == snake_case(other)
}

fn expected() -> String {
    let names: Vec<&str> = REQUEST_TYPES.iter().map(|(name, _)| *name).collect();
    format!("expected one of {}", names.join(", "))
}

/// The PIN of the DeviceLock or EraseDevice command `command_uuid`, in six digits: HMAC-SHA256 of the UUID in upper case under `key`,
/// as a number, modulo a million. So no stream ever holds it, and who has the key can find it again.
pub fn pin_for(key: &Secret, command_uuid: &str) -> Secret {
    let mut pin = 0_u32;
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()) {
        mac.update(command_uuid.to_ascii_uppercase().as_bytes());
        for byte in mac.finalize().into_bytes() {
            pin = (pin * 256 + u32::from(byte)) % 1_000_000;
        }
    }
    Secret::new(format!("{pin:06}"))
}

/// What is left to read of an input.
pub(super) struct Input(Map<String, Value>);

impl Input {
    fn text(&mut self, key: &str, max: usize) -> Result<Option<String>, String> {
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.chars().nth(max).is_some() => {
                Err(format!("{key} has more than {max} characters"))
            }
            // XML has no way to write most control characters, and no device shows them.
            Some(Value::String(text)) if text.chars().any(|c| c != '\n' && is_unwritable(c)) => {
                Err(format!("{key} holds a control character"))
            }
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(format!("{key} must be a text, not {}", kind(&other))),
        }
    }
}

fn is_unwritable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')
}

fn nothing(_: &mut Input, _: &mut Dictionary) -> Result<(), String> {
    Ok(())
}

fn without_pin(input: &Input) -> Result<(), String> {
    if input.0.contains_key("pin") {
        return Err("a PIN does not travel in jobs: the target derives it from its pin_key".to_owned());
    }
    Ok(())
}

fn erase_device(input: &mut Input, command: &mut Dictionary) -> Result<(), String> {
    without_pin(input)?;
    if let Some(behavior) = input.text("obliteration_behavior", 64)? {
        if !OBLITERATION.contains(&behavior.as_str()) {
            return Err(format!("obliteration_behavior: expected one of {}", OBLITERATION.join(", ")));
        }
        command.insert("ObliterationBehavior".to_owned(), behavior.into());
    }
    Ok(())
}

fn install(input: &mut Input, command: &mut Dictionary) -> Result<(), String> {
    if let Some(url) = input.text("manifest_url", 2_048)? {
        deploy::check_url(&url).map_err(|error| format!("manifest_url: {error}"))?;
        command.insert("ManifestURL".to_owned(), url.into());
    }
    Ok(())
}

fn device_lock(input: &mut Input, command: &mut Dictionary) -> Result<(), String> {
    without_pin(input)?;
    if let Some(message) = input.text("message", 1000)? {
        command.insert("Message".to_owned(), message.into());
    }
    if let Some(number) = input.text("phone_number", 100)? {
        command.insert("PhoneNumber".to_owned(), number.into());
    }
    Ok(())
}

fn device_information(input: &mut Input, command: &mut Dictionary) -> Result<(), String> {
    let queries: Vec<Plist> = match input.0.remove("queries") {
        None | Some(Value::Null) => QUERIES.iter().map(|query| (*query).into()).collect(),
        Some(Value::Array(queries)) if (1..=200).contains(&queries.len()) => queries
            .iter()
            .map(|query| {
                let name = query.as_str().filter(|name| (1..=100).contains(&name.len()));
                let name = name.filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric()));
                name.map(Plist::from).ok_or_else(|| "queries must be a list of names such as OSVersion".to_owned())
            })
            .collect::<Result<_, _>>()?,
        Some(_) => return Err("queries must be a list of 1 to 200 names such as OSVersion".to_owned()),
    };
    command.insert("Queries".to_owned(), Plist::Array(queries));
    Ok(())
}

/// Settings has one item here: the device's name.
fn settings(input: &mut Input, command: &mut Dictionary) -> Result<(), String> {
    let name = input.text("name", 255)?.filter(|name| !name.trim().is_empty() && !name.contains('\n'));
    let name = name.ok_or("Settings sets the device's name: the input needs name, a text on one line")?;
    let mut item = Dictionary::new();
    item.insert("Item".to_owned(), "DeviceName".into());
    item.insert("DeviceName".to_owned(), name.into());
    command.insert("Settings".to_owned(), Plist::Array(vec![Plist::Dictionary(item)]));
    Ok(())
}

/// `PhoneNumber` as `phone_number`, `ManifestURL` as `manifest_url`; what is in snake case stays.
fn snake_case(key: &str) -> String {
    let (mut out, mut in_word) = (String::new(), false);
    for c in key.chars() {
        if c.is_ascii_uppercase() && in_word {
            out.push('_');
        }
        in_word = !c.is_ascii_uppercase();
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plist(input: Value, pin: Option<&str>) -> String {
        let pin = pin.map(Secret::new);
        String::from_utf8(Command::from_input(&input).unwrap().to_plist("C-1", pin.as_ref()).unwrap()).unwrap()
    }

    #[test]
    fn commands_are_written_as_apple_documents_them() {
        insta::assert_snapshot!(plist(json!({"request_type": "DeviceLock", "message": "Call <IT> & wait", "phone_number": "+49 1"}), Some("012345")), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
        <plist version="1.0">
        <dict>
        	<key>Command</key>
        	<dict>
        		<key>RequestType</key>
        		<string>DeviceLock</string>
        		<key>Message</key>
        		<string>Call &lt;IT&gt; &amp; wait</string>
        		<key>PhoneNumber</key>
        		<string>+49 1</string>
        		<key>PIN</key>
        		<string>012345</string>
        	</dict>
        	<key>CommandUUID</key>
        	<string>C-1</string>
        </dict>
        </plist>
        "#);
        insta::assert_snapshot!(plist(json!({"RequestType": "DeviceInformation", "Queries": ["OSVersion"]}), None), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
        <plist version="1.0">
        <dict>
        	<key>Command</key>
        	<dict>
        		<key>RequestType</key>
        		<string>DeviceInformation</string>
        		<key>Queries</key>
        		<array>
        			<string>OSVersion</string>
        		</array>
        	</dict>
        	<key>CommandUUID</key>
        	<string>C-1</string>
        </dict>
        </plist>
        "#);
        insta::assert_snapshot!(plist(json!({"request_type": "Settings", "name": "ada-mbp"}), None), @r#"
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
        	<string>C-1</string>
        </dict>
        </plist>
        "#);
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_what_can() {
        for (input, said) in [
            (json!("DeviceLock"), "an object with request_type"),
            (json!({}), "expected one of DeviceInformation, DeviceLock, EraseDevice, "),
            (json!({"request_type": "RemoveProfile"}), "expected one of DeviceInformation, DeviceLock, EraseDevice, "),
            (json!({"request_type": "EraseDevice", "pin": "123456"}), "pin_key"),
            (json!({"request_type": "EraseDevice", "obliteration_behavior": "x"}), "expected one of Default, "),
            (json!({"request_type": "RestartDevice", "name": "x"}), "takes no \"name\""),
            (json!({"request_type": 3}), "must be a text"),
            (json!({"request_type": "DeviceLock", "PIN": "123456"}), "pin_key"),
            (json!({"request_type": "DeviceLock", "massage": "x"}), "takes no \"massage\""),
            (json!({"request_type": "DeviceLock", "message": "\u{1}"}), "control character"),
            (json!({"request_type": "DeviceLock", "message": "x".repeat(1001)}), "more than 1000"),
            (json!({"request_type": "DeviceInformation", "queries": []}), "1 to 200"),
            (json!({"request_type": "DeviceInformation", "queries": ["a b"]}), "such as OSVersion"),
            (json!({"request_type": "Settings"}), "needs name"),
            (json!({"request_type": "Settings", "name": " "}), "needs name"),
        ] {
            let error = Command::from_input(&input).unwrap_err();
            assert!(error.contains(said), "{input}: {error}");
        }
    }

    #[test]
    fn a_pin_is_six_digits_that_the_key_and_the_command_give() {
        let key = Secret::new("0123456789abcdef");
        let pin = |uuid: &str| pin_for(&key, uuid).expose().to_owned();
        // openssl dgst -sha256 -hmac 0123456789abcdef, the digest modulo 1,000,000.
        assert_eq!(pin("ABCDEF"), GOLDEN);
        assert_eq!(pin("abcdef"), GOLDEN);
        assert_ne!(pin("ABCDEE"), GOLDEN);
        for number in 0..1000 {
            let pin = pin(&number.to_string());
            assert!(pin.len() == 6 && pin.bytes().all(|byte| byte.is_ascii_digit()), "{pin}");
        }
    }
    const GOLDEN: &str = "343184";
}

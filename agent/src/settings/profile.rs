//! The configuration profile, and the manifest for profile editors. Pure.
//!
//! The manifest is in the format that ProfileCreator and iMazing Profile Editor read: the `pfm_` keys of Apple's Preference
//! Manifest Files as <https://github.com/ProfileCreator/ProfileManifests/wiki/Manifest-Format> extends them. No editor has
//! read it yet.

use serde_json::{Map, Value as Json, json};

use super::DOMAIN;
use super::keys::{self, Key};
use super::template::{self, sample_on_a_mac as sample, sentence};
use super::value::Kind;
use crate::gather::Gather;
use crate::sources;

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
    <plist version=\"1.0\">\n";
const TAIL: &str = "</plist>\n";

/// A profile that sets the server; every other key is there as a comment with its default or an example. The two
/// identifiers (UUIDs) are to be of this profile alone.
pub fn profile(profile: &str, payload: &str) -> String {
    let mut settings = String::new();
    let server = keys::general().iter().find(|key| key.name == "server");
    settings += &server.map_or_else(String::new, |key| setting(key, &key.name, 3));
    for key in keys::general().iter().filter(|key| key.name != "server") {
        settings += &comment(key, &key.name, 3);
    }
    settings += "\t\t\t<key>sources</key>\n\t\t\t<dict>\n";
    for source in sources::list() {
        settings +=
            &format!("\t\t\t\t<!-- {} -->\n\t\t\t\t<key>{}</key>\n\t\t\t\t<dict>\n", escape(source.about), source.name);
        let prefix = format!("sources.{}.", source.name);
        for key in keys::all() {
            settings += &key.name.strip_prefix(&prefix).map_or_else(String::new, |sub| comment(&key, sub, 5));
        }
        settings += "\t\t\t\t</dict>\n";
    }
    settings += "\t\t\t</dict>\n";
    settings += &format!("\t\t\t<!-- {} -->\n\t\t\t<!--\n{}\t\t\t-->\n", keys::UNIFIED_LOG_ABOUT, unified_log(3));
    let about = |kind: &str, identifier: &str, uuid: &str, tabs: usize| {
        let about = json!({"PayloadDisplayName": "Emote agent", "PayloadIdentifier": identifier, "PayloadType": kind,
            "PayloadUUID": uuid, "PayloadVersion": 1});
        entries(&about, tabs)
    };
    format!(
        "{HEAD}<dict>\n\t<key>PayloadContent</key>\n\t<array>\n\t\t<dict>\n{}{settings}\t\t</dict>\n\t</array>\n{}\
         \t<key>PayloadScope</key>\n\t<string>System</string>\n</dict>\n{TAIL}",
        about(DOMAIN, &format!("{DOMAIN}.settings"), payload, 3),
        about("Configuration", DOMAIN, profile, 1),
    )
}

/// An example of what is looked for in the unified log.
fn unified_log(tabs: usize) -> String {
    let keys = keys::of_unified_log(keys::UNIFIED_LOG_EXAMPLE);
    let named = |key: &Key| (template::last(key).to_owned(), key.kind.json(sample(key)));
    let table: Map<String, Json> = keys.iter().map(named).gather();
    entries(&json!({keys::UNIFIED_LOG: {keys::UNIFIED_LOG_EXAMPLE: table}}), tabs)
}

/// The manifest, for editors that are to offer these settings. `date` is RFC 3339 in UTC, such as `2026-11-23T06:41:00Z`.
pub fn manifest(date: &str) -> String {
    let sources = sources::list().into_iter().map(|source| {
        let prefix = format!("sources.{}.", source.name);
        let all = keys::all();
        let subkeys = all.iter().filter_map(|key| Some(subkey(key, key.name.strip_prefix(&prefix)?)));
        json!({"pfm_name": source.name, "pfm_title": title(source.name), "pfm_type": "dictionary",
            "pfm_description": source.about, "pfm_subkeys": subkeys.collect::<Vec<_>>()})
    });
    let sources = json!({"pfm_name": "sources", "pfm_title": "Sources", "pfm_type": "dictionary",
        "pfm_description": "What is observed, and how often", "pfm_subkeys": sources.collect::<Vec<_>>()});
    // In this format, a dictionary whose keys are chosen freely has these two.
    let subkeys: Vec<Json> = keys::of_unified_log("NAME").iter().map(|key| subkey(key, template::last(key))).collect();
    let named = json!([
        {"pfm_name": "{{key}}", "pfm_title": "Name", "pfm_type": "string",
            "pfm_description": "A name for the events, without dots",
            "pfm_value_placeholder": keys::UNIFIED_LOG_EXAMPLE},
        {"pfm_name": "{{value}}", "pfm_title": "What is looked for", "pfm_type": "dictionary", "pfm_subkeys": subkeys},
    ]);
    let unified_log = json!({"pfm_name": keys::UNIFIED_LOG, "pfm_title": title(keys::UNIFIED_LOG),
        "pfm_type": "dictionary", "pfm_description": keys::UNIFIED_LOG_ABOUT, "pfm_subkeys": named});
    let keys = keys::general().iter().map(|key| subkey(key, &key.name));
    let manifest = json!({
        "pfm_description": "Settings of emote-agent",
        "pfm_domain": DOMAIN,
        "pfm_format_version": 1,
        "pfm_last_modified": {"date": date},
        "pfm_platforms": ["macOS"],
        "pfm_subkeys": payload_keys().into_iter().chain(keys).chain([sources, unified_log]).collect::<Vec<_>>(),
        "pfm_targets": ["system"],
        "pfm_title": "Emote agent",
        "pfm_unique": true,
        "pfm_version": 1,
    });
    format!("{HEAD}{}{TAIL}", element(&manifest, 0))
}

/// What every payload has.
fn payload_keys() -> Vec<Json> {
    let key = |name: &str, kind: &str, default: Json, about: &str| {
        let mut key = json!({"pfm_name": name, "pfm_title": title(name), "pfm_type": kind, "pfm_description": about});
        if !default.is_null() {
            key["pfm_default"] = default;
        }
        if !["PayloadDescription", "PayloadOrganization"].contains(&name) {
            key["pfm_require"] = "always".into();
        }
        key
    };
    let mut uuid = key("PayloadUUID", "string", Json::Null, "Identifies this payload; no other has it");
    uuid["pfm_format"] = "^[0-9A-Za-z]{8}-[0-9A-Za-z]{4}-[0-9A-Za-z]{4}-[0-9A-Za-z]{4}-[0-9A-Za-z]{12}$".into();
    vec![
        key("PayloadDescription", "string", "Configures emote-agent".into(), "What the payload is for"),
        key("PayloadDisplayName", "string", "Emote agent".into(), "The payload's name"),
        key("PayloadIdentifier", "string", DOMAIN.into(), "The payload's name for programs"),
        key("PayloadType", "string", DOMAIN.into(), "The preference domain"),
        uuid,
        key("PayloadVersion", "integer", 1.into(), "The version of the payload's format"),
        key("PayloadOrganization", "string", Json::Null, "Who provides the profile"),
    ]
}

fn subkey(key: &Key, name: &str) -> Json {
    let (kind, format) = match key.kind {
        Kind::Flag => ("boolean", None),
        Kind::Count(_) => ("integer", None),
        Kind::Texts => ("array", None),
        // Whole numbers with units behind them; the agent tells what is wrong in anything that passes here.
        Kind::Duration(_) => ("string", Some("^[0-9 A-Za-z.]+$")),
        Kind::Size(_) => ("string", Some("^[0-9]+ ?([kKmMgG]?[iI]?[bB])?$")),
        Kind::Text | Kind::Path | Kind::File | Kind::Secret | Kind::Pem => ("string", None),
    };
    let mut subkey =
        json!({"pfm_name": name, "pfm_title": title(name), "pfm_type": kind, "pfm_description": sentence(key)});
    if matches!(key.default, keys::Fallback::Is(_)) && key.kind != Kind::Path {
        subkey["pfm_default"] = key.kind.json(sample(key));
    } else if kind == "string" {
        subkey["pfm_value_placeholder"] = sample(key).into();
    }
    if let Kind::Count(most) = key.kind {
        (subkey["pfm_range_min"], subkey["pfm_range_max"]) = (1.into(), most.into());
    }
    if kind == "array" {
        let item = json!({"pfm_name": format!("{name}_item"), "pfm_title": title(name), "pfm_type": "string",
            "pfm_value_placeholder": sample(key)});
        subkey["pfm_subkeys"] = json!([item]);
    }
    if let Some(format) = format {
        subkey["pfm_format"] = format.into();
    }
    subkey
}

/// `token_file` as `Token file`, `ca` as `CA`, `PayloadDisplayName` as `Payload Display Name`.
fn title(name: &str) -> String {
    let mut text = String::new();
    for word in name.split('_') {
        let written = match word {
            "ca" | "mdm" | "os" => word.to_ascii_uppercase(),
            "dir" => "directory".to_owned(),
            word => word.to_owned(),
        };
        text += if text.is_empty() { "" } else { " " };
        let mut small = false;
        for letter in written.chars() {
            text.extend((small && letter.is_ascii_uppercase()).then_some(' '));
            text.push(letter);
            small = letter.is_ascii_lowercase();
        }
    }
    text.get_mut(..1).map(str::make_ascii_uppercase);
    text
}

fn comment(key: &Key, name: &str, tabs: usize) -> String {
    let tab = "\t".repeat(tabs);
    // Two lines: one says what it is, the other can be taken out of its comment.
    format!("{tab}<!-- {} -->\n{tab}<!--\n{}{tab}-->\n", escape(&sentence(key)), setting(key, name, tabs))
}

fn setting(key: &Key, name: &str, tabs: usize) -> String {
    entries(&json!({name: key.kind.json(sample(key))}), tabs)
}

/// The keys and values of a dictionary.
fn entries(dictionary: &Json, tabs: usize) -> String {
    let tab = "\t".repeat(tabs);
    let none = Map::new();
    let entry = |(key, value): (&String, &Json)| format!("{tab}<key>{}</key>\n{}", escape(key), element(value, tabs));
    dictionary.as_object().unwrap_or(&none).iter().map(entry).collect()
}

/// A value; `{"date": …}` is a date.
fn element(value: &Json, tabs: usize) -> String {
    let tab = "\t".repeat(tabs);
    match value {
        Json::Null => String::new(),
        Json::Bool(flag) => format!("{tab}<{flag}/>\n"),
        Json::Number(number) => format!("{tab}<integer>{number}</integer>\n"),
        Json::String(text) => format!("{tab}<string>{}</string>\n", escape(text)),
        Json::Array(items) => {
            let items: String = items.iter().map(|item| element(item, tabs + 1)).collect();
            format!("{tab}<array>\n{items}{tab}</array>\n")
        }
        Json::Object(map) => match map.get("date").and_then(Json::as_str) {
            Some(date) if map.len() == 1 => format!("{tab}<date>{date}</date>\n"),
            _ => format!("{tab}<dict>\n{}{tab}</dict>\n", entries(value, tabs + 1)),
        },
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::{Layer, Origin, Tree, evaluate};
    use super::*;
    use plist::Value;

    const DATE: &str = "2026-11-23T06:41:00Z";

    fn evaluated(profile: &str) -> (super::super::Values, Vec<super::super::Problem>) {
        evaluate(&[Layer::new(Origin::Managed, Tree::from_plist(profile.as_bytes()).unwrap())])
    }

    #[test]
    fn the_profile_sets_the_server_and_out_of_their_comments_the_defaults() {
        let text = profile("A", "B");
        let (values, problems) = evaluated(&text);
        assert_eq!((values.get("server").unwrap().origin, problems), (Origin::Managed, vec![]));
        let set = values.iter().filter(|(_, effective)| effective.origin == Origin::Managed).count();
        assert_eq!(set, 1);
        let lines = text.lines().filter(|line| !matches!(line.trim(), "<!--" | "-->"));
        // One of two that may not be said together.
        let text = lines.collect::<Vec<_>>().join("\n").replace("<key>token_file<", "<key>PayloadX<");
        let text = text.replace("<key>enrollment_token_file<", "<key>PayloadX<");
        let (values, problems) = evaluated(&text);
        assert_eq!(problems, []);
        let keys = keys::all().into_iter().filter(|key| !key.name.ends_with("token_file"));
        for key in keys.chain(keys::of_unified_log(keys::UNIFIED_LOG_EXAMPLE)) {
            let effective = values.get(&key.name).unwrap();
            assert_eq!(effective.origin, Origin::Managed, "{}", key.name);
            if let Some(default) = key.default_value().filter(|_| key.kind != Kind::Path) {
                assert_eq!(effective.value, Some(default), "{}", key.name);
            }
        }
    }

    #[test]
    fn the_profile_is_one_with_one_payload_of_our_domain() {
        let root = Value::from_reader_xml(profile("A", "B").as_bytes()).unwrap().into_dictionary().unwrap();
        assert_eq!(root["PayloadType"].as_string(), Some("Configuration"));
        let payload = root["PayloadContent"].as_array().unwrap()[0].as_dictionary().unwrap();
        assert_eq!(payload["PayloadType"].as_string(), Some(DOMAIN));
        let uuids = [&root["PayloadUUID"], &payload["PayloadUUID"]].map(Value::as_string);
        assert_eq!(uuids, [Some("A"), Some("B")]);
        assert_ne!(root["PayloadIdentifier"], payload["PayloadIdentifier"]);
    }

    /// By the rules of the format: every key has a type that is known, and a default of that type.
    fn check(subkeys: &Value, names: &mut Vec<String>, path: &str) {
        for subkey in subkeys.as_array().unwrap() {
            let subkey = subkey.as_dictionary().unwrap();
            let text = |key: &str| subkey.get(key).and_then(Value::as_string).map(str::to_owned);
            let name = format!("{path}{}", text("pfm_name").unwrap());
            let kind = text("pfm_type").unwrap();
            assert!(text("pfm_title").is_some_and(|title| title.starts_with(char::is_uppercase)), "{name}");
            if let Some(default) = subkey.get("pfm_default") {
                let right = match kind.as_str() {
                    "string" => default.as_string().is_some(),
                    "boolean" => default.as_boolean().is_some(),
                    "integer" => default.as_signed_integer().is_some(),
                    _ => false,
                };
                assert!(right, "{name}");
            }
            match (kind.as_str(), subkey.get("pfm_subkeys")) {
                ("dictionary", Some(subkeys)) => check(subkeys, names, &format!("{name}.")),
                ("array", Some(items)) => assert_eq!(items.as_array().unwrap().len(), 1),
                ("string" | "boolean" | "integer", None) => {}
                other => panic!("{name}: {other:?}"),
            }
            names.push(name);
        }
    }

    #[test]
    fn titles_are_written_as_a_person_would() {
        for (name, said) in [
            ("ca", "CA"),
            ("ca_certificates", "CA certificates"),
            ("state_dir", "State directory"),
            ("os", "OS"),
            ("launch_items", "Launch items"),
            ("PayloadDisplayName", "Payload Display Name"),
            ("PayloadUUID", "Payload UUID"),
        ] {
            assert_eq!(title(name), said);
        }
    }

    #[test]
    fn the_manifest_has_every_key_and_nothing_else() {
        let root = Value::from_reader_xml(manifest(DATE).as_bytes()).unwrap().into_dictionary().unwrap();
        assert_eq!(root["pfm_domain"].as_string(), Some(DOMAIN));
        assert_eq!(root["pfm_last_modified"].as_date().unwrap().to_xml_format(), DATE);
        let mut names = Vec::new();
        check(&root["pfm_subkeys"], &mut names, "");
        let keys = keys::all();
        for sub in ["predicate", "rate"] {
            assert!(names.contains(&format!("unified_log.{{{{value}}}}.{sub}")), "{names:?}");
        }
        for key in &keys {
            assert!(names.contains(&key.name.to_string()), "{}", key.name);
        }
        let other = names.iter().filter(|name| keys.iter().all(|key| key.name != name.as_str()));
        assert!(
            other
                .clone()
                .all(|name| ["Payload", "sources", "unified_log"].iter().any(|prefix| name.starts_with(prefix))),
            "{other:?}"
        );
    }
}

mod inverse;

use std::collections::BTreeSet;
use std::path::Path;

use plist::Value;
use serde_json::{Value as Json, json};

use super::settings::tests::{GOOD, folder, parse};
use super::*;

const TEAM: &str = "ABCDE12345";
const ALL: &str = "[profiles]
full_disk_access = true
[package]
url = 'https://emote.example.com/deploy/EmoteAgent-{version}.pkg'
manifest_url = 'https://emote.example.com/deploy/manifest.plist'
";

fn settings(folder: &Path) -> Settings {
    let text = GOOD.replace("[agent]", &format!("trust = 'both'\n{ALL}[agent]\nquota = '128MiB'"));
    parse(&text, folder).unwrap()
}

pub(super) fn made(
    settings: &Settings,
    package: Option<&Package>,
    single: bool,
    only: &[Kind],
) -> anyhow::Result<Made> {
    make(&Inputs { settings, package, signer: None, single, date: jiff::Timestamp::UNIX_EPOCH }, only)
}

pub(super) fn file<'a>(made: &'a Made, name: &str) -> &'a [u8] {
    let found = made.files.iter().find(|file| file.name == name);
    &found
        .unwrap_or_else(|| panic!("no {name} in {:?}", made.files.iter().map(|file| &file.name).collect::<Vec<_>>()))
        .bytes
}

fn plist(made: &Made, name: &str) -> Dictionary {
    Value::from_reader_xml(file(made, name)).unwrap().into_dictionary().unwrap()
}

/// A key, its type, and whether it must be there.
type Demand = (&'static str, &'static str, bool);

/// What Apple's schema says of a payload: `mdm/profiles` of <https://github.com/apple/device-management>. Fixed values stand
/// behind `=`.
fn check(dictionary: &Dictionary, of: &str, demands: &[Demand]) {
    for (key, kind, must) in demands {
        let Some(value) = dictionary.get(key) else {
            assert!(!must, "{of} has no {key}");
            continue;
        };
        let is_right = match (*kind, value) {
            ("string", Value::String(text)) => !text.is_empty(),
            ("boolean", Value::Boolean(_)) | ("data", Value::Data(_)) | ("dictionary", Value::Dictionary(_)) => true,
            ("array", Value::Array(items)) => !items.is_empty(),
            ("integer", Value::Integer(_)) => true,
            (kind, Value::String(text)) if kind.starts_with('=') => kind[1..].split('|').any(|one| one == text),
            (kind, Value::Integer(number)) if kind.starts_with('=') => kind[1..] == number.to_string(),
            _ => false,
        };
        assert!(is_right, "{of}: {key} is {value:?}, not {kind}");
    }
    let known: BTreeSet<&str> = demands.iter().map(|(key, ..)| *key).collect();
    let other: Vec<_> = dictionary.keys().filter(|key| !known.contains(key.as_str())).collect();
    assert_eq!(other, [""; 0], "{of}");
}

const TOP: &[Demand] = &[
    ("PayloadContent", "array", true),
    ("PayloadDescription", "string", false),
    ("PayloadDisplayName", "string", false),
    ("PayloadIdentifier", "string", true),
    ("PayloadOrganization", "string", false),
    ("PayloadScope", "=System|User", false),
    ("PayloadType", "=Configuration", true),
    ("PayloadUUID", "string", true),
    ("PayloadVersion", "=1", true),
];
const COMMON: &[Demand] = &[
    ("PayloadDisplayName", "string", false),
    ("PayloadIdentifier", "string", true),
    ("PayloadOrganization", "string", false),
    ("PayloadType", "string", true),
    ("PayloadUUID", "string", true),
    ("PayloadVersion", "=1", true),
];
const CERTIFICATE: &[Demand] = &[("PayloadCertificateFileName", "string", false), ("PayloadContent", "data", true)];
const RULE: &[Demand] = &[
    ("RuleType", "=BundleIdentifier|BundleIdentifierPrefix|Label|LabelPrefix|TeamIdentifier", true),
    ("RuleValue", "string", true),
    ("TeamIdentifier", "string", false),
    ("Comment", "string", false),
];
const IDENTITY: &[Demand] = &[
    ("Identifier", "string", true),
    ("IdentifierType", "=bundleID|path", true),
    ("CodeRequirement", "string", true),
    ("Allowed", "boolean", true),
    ("Comment", "string", false),
];

/// Checks a payload by its type, and gives its identifier and UUID.
fn check_payload(payload: &Dictionary) -> (String, String) {
    let text = |key: &str| payload[key].as_string().unwrap().to_owned();
    let kind = text("PayloadType");
    let with = |more: &[Demand]| [COMMON, more].concat();
    let items = |key: &str| payload[key].as_array().unwrap().iter().map(|item| item.as_dictionary().unwrap());
    match kind.as_str() {
        "com.apple.security.root" | "com.apple.security.pkcs1" => check(payload, &kind, &with(CERTIFICATE)),
        "com.apple.servicemanagement" => {
            check(payload, &kind, &with(&[("Rules", "array", true)]));
            items("Rules").for_each(|rule| check(rule, "Rule", RULE));
        }
        "com.apple.TCC.configuration-profile-policy" => {
            check(payload, &kind, &with(&[("Services", "dictionary", true)]));
            for (service, identities) in payload["Services"].as_dictionary().unwrap() {
                assert_eq!(service, "SystemPolicyAllFiles");
                for identity in identities.as_array().unwrap() {
                    check(identity.as_dictionary().unwrap(), "Identity", IDENTITY);
                }
            }
        }
        _ => {
            assert_eq!(kind, "io.emote.agent");
            let described: Dictionary = payload
                .iter()
                .filter(|(key, _)| key.starts_with("Payload"))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            check(&described, &kind, COMMON);
        }
    }
    (text("PayloadIdentifier"), text("PayloadUUID"))
}

fn payloads(profile: &Dictionary) -> impl Iterator<Item = &Dictionary> {
    profile["PayloadContent"].as_array().unwrap().iter().map(|payload| payload.as_dictionary().unwrap())
}

#[test]
fn every_profile_is_what_apples_schema_demands_and_no_two_payloads_are_one() {
    let folder = folder();
    let (settings, package) = (settings(folder.path()), Package::sample(TEAM));
    let several = made(&settings, Some(&package), false, &[]).unwrap();
    let single = made(&settings, Some(&package), true, &[]).unwrap();
    for (made, names) in [
        (
            &several,
            &["emote-agent.mobileconfig", "emote-agent-services.mobileconfig", "emote-agent-pppc.mobileconfig"][..],
        ),
        (&single, &["emote-agent.mobileconfig"]),
    ] {
        let profiles: Vec<&File> = made.files.iter().filter(|file| file.name.ends_with("mobileconfig")).collect();
        assert_eq!(profiles.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), names);
        let (mut identifiers, mut count) = (BTreeSet::new(), 0);
        for profile in names.iter().map(|name| plist(made, name)) {
            check(&profile, "profile", TOP);
            let own = ["PayloadIdentifier", "PayloadUUID"].map(|key| profile[key].as_string().unwrap().to_owned());
            for (identifier, uuid) in payloads(&profile).map(check_payload).chain([own.into()]) {
                assert!(uuid::Uuid::parse_str(&uuid).is_ok_and(|uuid| uuid.get_version_num() == 5), "{uuid}");
                identifiers.extend([identifier, uuid]);
                count += 2;
            }
        }
        assert_eq!(identifiers.len(), count, "{identifiers:?}");
    }
    let secrets = several.files.iter().filter(|file| file.secret).map(|file| file.name.as_str()).collect::<Vec<_>>();
    assert_eq!(secrets, ["emote-agent.mobileconfig", "emote-agent.install.plist"]);
    for file in several.files.iter().filter(|file| !file.secret) {
        assert!(
            !String::from_utf8_lossy(&file.bytes)
                .contains(&settings.agent.get("enrollment_token").unwrap().to_string())
        );
    }
}

#[test]
fn what_the_agent_is_granted_is_granted_to_its_team_alone() {
    let folder = folder();
    let (settings, package) = (settings(folder.path()), Package::sample(TEAM));
    let found = made(&settings, Some(&package), false, &[]).unwrap();
    let services = plist(&found, "emote-agent-services.mobileconfig");
    let rules = payloads(&services).next().unwrap()["Rules"].as_array().unwrap().clone();
    let rules: Vec<_> = rules.iter().map(|rule| rule.as_dictionary().unwrap()).collect();
    let text = |rule: &Dictionary, key: &str| rule[key].as_string().unwrap().to_owned();
    let types: Vec<_> = rules.iter().map(|rule| text(rule, "RuleType")).collect();
    assert_eq!(types, ["Label", "BundleIdentifier"]);
    for rule in rules {
        assert_eq!((text(rule, "RuleValue"), text(rule, "TeamIdentifier")), ("io.emote.agent".into(), TEAM.into()));
    }
    let label = Value::from_reader_xml(crate::pkg::texts::LAUNCH_DAEMON.as_bytes()).unwrap();
    assert_eq!(label.as_dictionary().unwrap()["Label"].as_string(), Some("io.emote.agent"));
    let granted = |made: &Made| {
        let profile = plist(made, "emote-agent-pppc.mobileconfig");
        let services = payloads(&profile).next().unwrap()["Services"].as_dictionary().unwrap().clone();
        let identity = services["SystemPolicyAllFiles"].as_array().unwrap()[0].as_dictionary().unwrap().clone();
        assert_eq!(
            (identity["Allowed"].as_boolean(), identity["IdentifierType"].as_string()),
            (Some(true), Some("bundleID"))
        );
        text(&identity, "CodeRequirement")
    };
    assert_eq!(
        granted(&found),
        "identifier \"io.emote.agent\" and anchor apple generic and certificate 1[field.1.2.840.113635.100.6.2.6] exists and \
         certificate leaf[field.1.2.840.113635.100.6.1.13] exists and certificate leaf[subject.OU] = \"ABCDE12345\""
    );
    let said = Settings { requirement: Some("anchor apple".into()), ..settings.clone() };
    assert_eq!(granted(&made(&said, None, false, &[]).unwrap()), "anchor apple");
    let warned = |made: &Made| made.warnings.iter().any(|warning| warning.starts_with("login items: no team is known"));
    assert!(!warned(&found) && warned(&made(&settings, None, false, &[]).unwrap()));
    let other = Settings { team: Some("ZYXWV98765".into()), ..settings.clone() };
    let told = made(&other, Some(&package), false, &[]).unwrap().warnings.join("\n");
    assert!(told.contains("package.team is ZYXWV98765, but ABCDE12345 signed EmoteAgent-1.2.3.pkg"), "{told}");
    // Nothing is granted to whoever calls itself so.
    let nobody = made(&settings, None, false, &[Kind::Privacy]).unwrap_err().to_string();
    assert!(nobody.contains("privacy cannot be written: it needs --pkg"), "{nobody}");
    let single = made(&settings, None, true, &[Kind::Settings]).unwrap_err().to_string();
    assert!(single.contains("settings cannot be written: it needs --pkg"), "one without it is not all: {single}");
}

#[test]
fn a_second_run_gives_the_same_bytes_and_another_identifier_other_uuids() {
    let folder = folder();
    let (settings, package) = (settings(folder.path()), Package::sample(TEAM));
    let run = |settings: &Settings| made(settings, Some(&package), false, &[]).unwrap().files;
    assert_eq!(run(&settings), run(&settings));
    let other = Settings { identifier: "com.example.emote".into(), ..settings.clone() };
    let uuids = |files: Vec<File>| -> BTreeSet<String> {
        // What installs a changed profile is another command.
        let files = files.iter().filter(|file| file.kind != Kind::ProfileCommands);
        let text: String = files.map(|file| String::from_utf8_lossy(&file.bytes).into_owned()).collect();
        let words = text.split(['<', '>', '"']).filter(|word| uuid::Uuid::parse_str(word).is_ok());
        words.map(str::to_owned).collect()
    };
    let (first, other) = (uuids(run(&settings)), uuids(run(&other)));
    assert!(first.len() > 8 && first.is_disjoint(&other), "{first:?} {other:?}");
    // What changes in the settings leaves the UUIDs, so that the profile replaces the one before.
    let mut changed = settings.clone();
    changed.agent.set("quota", "256MiB".into());
    assert_eq!(uuids(run(&changed)), first);
}

#[test]
fn the_declaration_names_its_manifest_and_changes_with_the_package() {
    let folder = folder();
    let (settings, mut package) = (settings(folder.path()), Package::sample(TEAM));
    let declarations = |settings: &Settings, package: &Package| {
        let made = made(settings, Some(package), false, &[Kind::Declaration]).unwrap();
        ["declaration.json", "activation.json"].map(|name| serde_json::from_slice::<Json>(file(&made, name)).unwrap())
    };
    let [package_of, activation] = declarations(&settings, &package);
    assert_eq!(package_of["Type"], "com.apple.configuration.package");
    assert_eq!(package_of["Identifier"], "io.emote.agent.package");
    let payload = json!({"ManifestURL": settings.manifest_url, "InstallBehavior": {"Install": "Required"}});
    assert_eq!(package_of["Payload"], payload);
    assert_eq!(activation["Type"], "com.apple.activation.simple");
    assert_eq!(activation["Payload"], json!({"StandardConfigurations": [package_of["Identifier"]]}));
    for declaration in [&package_of, &activation] {
        let keys: Vec<&String> = declaration.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["Identifier", "Payload", "ServerToken", "Type"]);
    }
    package.sha256 = "00".repeat(32);
    let [newer, same] = declarations(&settings, &package);
    assert_ne!(newer["ServerToken"], package_of["ServerToken"]);
    assert_eq!(same, activation);
    let [offered, _] = declarations(&Settings { is_required: false, ..settings.clone() }, &package);
    assert_eq!(offered["Payload"]["InstallBehavior"]["Install"], "Optional");
}

#[test]
fn the_command_brings_the_manifest_or_pins_where_it_is_fetched() {
    let folder = folder();
    let (mut settings, package) = (settings(folder.path()), Package::sample(TEAM));
    let run = |settings: &Settings| made(settings, Some(&package), false, &[Kind::Manifest, Kind::Command]).unwrap();
    let plain = run(&settings);
    let command = plist(&plain, "command.plist");
    let of = |command: &Dictionary, key: &str| command["Command"].as_dictionary().unwrap().get(key).cloned();
    assert_eq!(of(&command, "RequestType").unwrap().as_string(), Some("InstallEnterpriseApplication"));
    assert_eq!(of(&command, "Manifest"), Some(Value::Dictionary(plist(&plain, "manifest.plist"))));
    let text = String::from_utf8_lossy(file(&plain, "manifest.plist"));
    assert!(text.contains("<string>https://emote.example.com/deploy/EmoteAgent-1.2.3.pkg</string>"), "{text}");
    assert_eq!(plist(&run(&settings), "command.plist"), command);
    let moved = Settings { package_url: Some("https://e.example/moved.pkg".into()), ..settings.clone() };
    assert_ne!(plist(&run(&moved), "command.plist")["CommandUUID"], command["CommandUUID"]);
    settings.pinned = vec![vec![0x30, 0]];
    let pinned = plist(&run(&settings), "command.plist");
    assert_eq!(of(&pinned, "Manifest"), None);
    assert_eq!(of(&pinned, "ManifestURLPinningCerts"), Some(Value::Array(vec![Value::Data(vec![0x30, 0])])));
    assert_ne!(pinned["CommandUUID"], command["CommandUUID"], "no two commands share a UUID");
    let mut newer = Package::sample(TEAM);
    newer.sha256 = "00".repeat(32);
    let newer = plist(&made(&settings, Some(&newer), false, &[Kind::Command]).unwrap(), "command.plist");
    assert_ne!(newer["CommandUUID"], pinned["CommandUUID"], "the manifest is another, at the same address");
}

#[test]
fn each_profile_has_its_command_and_a_changed_one_another() {
    let folder = folder();
    let (mut settings, package) = (settings(folder.path()), Package::sample(TEAM));
    let run = |settings: &Settings| made(settings, Some(&package), false, &[]).unwrap();
    let first = run(&settings);
    let uuids = |made: &Made| {
        ["emote-agent", "emote-agent-services", "emote-agent-pppc"].map(|name| {
            let command = plist(made, &format!("{name}.install.plist"));
            let payload = command["Command"].as_dictionary().unwrap()["Payload"].as_data().unwrap().to_vec();
            assert_eq!(payload, file(made, &format!("{name}.mobileconfig")));
            command["CommandUUID"].as_string().unwrap().to_owned()
        })
    };
    settings.agent.set("quota", "256MiB".into());
    let (first, second) = (uuids(&first), uuids(&run(&settings)));
    assert_ne!(first[0], second[0]);
    assert_eq!(first[1..], second[1..]);
}

#[test]
fn what_cannot_be_written_is_said_and_asked_for_by_name_an_error() {
    let folder = folder();
    let bare = parse(GOOD, folder.path()).unwrap();
    let found = made(&bare, None, false, &[]).unwrap();
    let written: BTreeSet<Kind> = found.files.iter().map(|file| file.kind).collect();
    assert_eq!(
        written.into_iter().collect::<Vec<_>>(),
        [Kind::Settings, Kind::Services, Kind::ProfileCommands, Kind::Preferences, Kind::Jamf]
    );
    for (kind, because) in [
        (Kind::Privacy, "profiles.full_disk_access is false"),
        (Kind::Declaration, "it needs --pkg"),
        (Kind::Manifest, "it needs --pkg"),
        (Kind::Command, "it needs --pkg"),
        (Kind::Munki, "it needs --pkg"),
        (Kind::Autopkg, "it needs --pkg"),
    ] {
        assert!(found.left_out.contains(&(kind, because)), "{kind:?}: {:?}", found.left_out);
        let asked = made(&bare, None, false, &[kind]).unwrap_err().to_string();
        assert_eq!(asked, format!("{} cannot be written: {because}", kind.name()));
    }
    let package = Package::sample(TEAM);
    for (kind, because) in
        [(Kind::Manifest, "package.url"), (Kind::Autopkg, "package.url"), (Kind::Declaration, "manifest_url")]
    {
        let asked = made(&bare, Some(&package), false, &[kind]).unwrap_err().to_string();
        assert!(asked.contains(because), "{asked}");
    }
}

#[test]
fn munki_and_autopkg_have_what_they_need() {
    let folder = folder();
    let (settings, package) = (settings(folder.path()), Package::sample(TEAM));
    let made = made(&settings, Some(&package), false, &[Kind::Munki, Kind::Autopkg]).unwrap();
    let info = plist(&made, "EmoteAgent-1.2.3.pkginfo.plist");
    // https://github.com/munki/munki/wiki/Supported-Pkginfo-Keys
    let demands: &[Demand] = &[
        ("catalogs", "array", true),
        ("category", "string", false),
        ("description", "string", false),
        ("developer", "string", false),
        ("display_name", "string", false),
        ("installed_size", "integer", true),
        ("installer_item_hash", "string", true),
        ("installer_item_location", "=EmoteAgent-1.2.3.pkg", true),
        ("installer_item_size", "=1", true),
        ("installs", "array", true),
        ("minimum_os_version", "=13.0", true),
        ("name", "=EmoteAgent", true),
        ("receipts", "array", true),
        ("unattended_install", "boolean", true),
        ("unattended_uninstall", "boolean", true),
        ("uninstall_method", "=uninstall_script", true),
        ("uninstall_script", "string", true),
        ("uninstallable", "boolean", true),
        ("version", "=1.2.3", true),
    ];
    check(&info, "pkginfo", demands);
    let script = info["uninstall_script"].as_string().unwrap();
    assert!(
        script.contains("EmoteAgent.app/Contents/Resources/uninstall'") && script.starts_with("#!/bin/sh\n"),
        "{script}"
    );
    let recipes = ["download", "munki", "jamf"].map(|kind| plist(&made, &format!("EmoteAgent.{kind}.recipe")));
    for recipe in &recipes {
        let demands: &[Demand] = &[
            ("Description", "string", false),
            ("Identifier", "string", true),
            ("Input", "dictionary", true),
            ("MinimumVersion", "string", false),
            ("ParentRecipe", "=io.emote.agent.autopkg.download", false),
            ("Process", "array", true),
        ];
        check(recipe, "recipe", demands);
    }
    let [download, import, _] = &recipes;
    let steps: Vec<_> = import["Process"].as_array().unwrap().iter().filter_map(Value::as_dictionary).collect();
    let argument = |step: usize, key: &str| steps[step]["Arguments"].as_dictionary().unwrap()[key].clone();
    let processors: Vec<_> = steps.iter().filter_map(|step| step["Processor"].as_string()).collect();
    assert_eq!(
        processors,
        ["FlatPkgUnpacker", "PkgPayloadUnpacker", "MunkiInstallsItemsCreator", "MunkiPkginfoMerger", "MunkiImporter"]
    );
    assert_eq!(argument(1, "pkg_payload_path").as_string(), Some("%RECIPE_CACHE_DIR%/unpacked/EmoteAgent.pkg/Payload"));
    assert_eq!(argument(2, "faux_root"), argument(1, "destination_path"));
    let installs = info["installs"].as_array().unwrap()[0].as_dictionary().unwrap();
    assert_eq!(argument(2, "installs_item_paths").as_array().unwrap(), &[installs["path"].clone()]);
    assert_eq!(download["Input"].as_dictionary().unwrap()["VERSION"].as_string(), Some("1.2.3"));
    let arguments = |step: usize| {
        let step = download["Process"].as_array().unwrap()[step].as_dictionary().unwrap();
        step["Arguments"].as_dictionary().unwrap().clone()
    };
    let url = "https://emote.example.com/deploy/EmoteAgent-%VERSION%.pkg";
    assert_eq!(arguments(0)["url"].as_string(), Some(url));
    assert_eq!(download["Identifier"].as_string(), Some("io.emote.agent.autopkg.download"));
    let names = ["Developer ID Installer: Emote (ABCDE12345)", "Developer ID Certification Authority", "Apple Root CA"];
    assert_eq!(arguments(2)["expected_authority_names"].as_array().unwrap(), &names.map(Value::from));

    let spaced = Settings { package_url: Some("https://emote.example.com/a%20b.pkg".to_owned()), ..settings };
    let refused = self::made(&spaced, Some(&package), false, &[Kind::Autopkg]).unwrap_err().to_string();
    assert!(refused.contains("without %"), "{refused}");
}

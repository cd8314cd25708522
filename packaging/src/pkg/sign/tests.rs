use std::path::Path;

use super::*;

fn shown(tool: &Tool) -> String {
    let arguments = tool.arguments.iter().map(|argument| argument.to_string_lossy());
    std::iter::once(tool.program.to_string_lossy()).chain(arguments).collect::<Vec<_>>().join(" ")
}

fn release(application: Key, installer: Key) -> Identity {
    Identity { application, installer, timestamps: Some(APPLE_TIMESTAMPS.into()), signing_time: None, team: None }
}

#[test]
fn security_signs_a_profile_with_a_key_of_a_keychain() {
    let tool = shown(&apple::sign_profile("Example IT", Path::new("a"), Path::new("b")));
    assert_eq!(tool, "/usr/bin/security cms -S -N Example IT -i a -o b");
}

#[test]
fn files_are_signed_with_by_rcodesign_and_passwords_are_in_private_files() {
    let scratch = tempfile::tempdir().unwrap();
    let password = scratch.path().join("word");
    let pem = secret::write_private(scratch.path(), "i.pem", b"").unwrap();
    secret::write_private(scratch.path(), "word", b"pass word\n").unwrap();
    let identity = release(Key::P12("a.p12".into(), Secret::File(password)), Key::Pem(pem.clone()));
    let (program, place) = (Path::new("rcodesign"), scratch.path().display());
    let app = shown(&rcodesign::sign_app(program, &identity, Path::new("E.app"), scratch.path()).unwrap());
    assert_eq!(
        app,
        format!(
            "rcodesign sign --p12-file a.p12 --p12-password-file {place}/password --code-signature-flags runtime \
             --for-notarization --timestamp-url {APPLE_TIMESTAMPS} E.app"
        )
    );
    let written = scratch.path().join("password");
    assert_eq!(std::fs::read_to_string(&written).unwrap(), "pass word");
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(written).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let tool = rcodesign::sign_package(program, &identity, Path::new("a.pkg"), Path::new("b.pkg"), scratch.path());
    let signed = format!("rcodesign sign --pem-file {place}/i.pem --timestamp-url {APPLE_TIMESTAMPS} a.pkg b.pkg");
    assert_eq!(shown(&tool.unwrap()), signed);
    std::fs::set_permissions(&pem, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let tool = rcodesign::sign_package(program, &identity, Path::new("a.pkg"), Path::new("b.pkg"), scratch.path());
    assert!(tool.unwrap_err().to_string().contains("can be read by others: chmod 600"));
    let submit = "rcodesign notary-submit --wait --staple --api-key-file key.json b.pkg";
    assert_eq!(shown(&rcodesign::notarize(program, Path::new("b.pkg"), Path::new("key.json"))), submit);
}

#[test]
fn keys_in_a_keychain_are_signed_with_by_apples_tools() {
    let name = "Developer ID Application: Example (ABCDE12345)";
    assert_eq!(
        shown(&apple::sign_app(name, Path::new("E.app"))),
        format!(
            "/usr/bin/codesign --force --sign {name} --options runtime --timestamp --identifier io.emote.agent E.app"
        )
    );
    let signed = "/usr/bin/productsign --sign Developer ID Installer: Example --timestamp a.pkg b.pkg";
    let tool = apple::sign_package("Developer ID Installer: Example", Path::new("a.pkg"), Path::new("b.pkg"));
    assert_eq!(shown(&tool), signed);
}

#[test]
fn one_app_store_connect_key_serves_notarytool_too() {
    let scratch = tempfile::tempdir().unwrap();
    let key = scratch.path().join("key.json");
    std::fs::write(&key, r#"{"issuer_id":"I-1","key_id":"K1","private_key":"AAECAw=="}"#).unwrap();
    let tools = apple::notarize(Path::new("b.pkg"), &key, scratch.path()).unwrap();
    let p8 = scratch.path().join("notary.p8");
    let submit =
        format!("/usr/bin/xcrun notarytool submit --wait --key-id K1 --issuer I-1 --key {} b.pkg", p8.display());
    assert_eq!(tools.map(|tool| shown(&tool)), [submit, "/usr/bin/xcrun stapler staple b.pkg".into()]);
    let pem = "-----BEGIN PRIVATE KEY-----\nAAECAw==\n-----END PRIVATE KEY-----\n";
    assert_eq!(std::fs::read_to_string(p8).unwrap(), pem);
    for bad in ["{}", r#"{"issuer_id":"I","key_id":"K","private_key":"?"}"#] {
        std::fs::write(&key, bad).unwrap();
        assert!(apple::notarize(Path::new("b.pkg"), &key, scratch.path()).is_err(), "{bad}");
    }
}

#[test]
fn a_tool_that_fails_is_told_of_with_what_it_said() {
    let tool = Tool::new("signing the bundle", "sh").with(["-c", "echo no key >&2; exit 3"]);
    let error = format!("{:#}", run(tool).unwrap_err());
    assert!(error.contains("signing the bundle: sh failed") && error.contains("no key"), "{error}");
    let error = format!("{:#}", run(Tool::new("signing the bundle", "no-such-tool")).unwrap_err());
    assert!(error.starts_with("signing the bundle: running no-such-tool"), "{error}");
}

#[test]
fn secrets_are_references() {
    for (text, secret) in [("${env:P}", Secret::Env("P".into())), ("${file:/a b}", Secret::File("/a b".into()))] {
        assert_eq!(text.parse(), Ok(secret.clone()));
        assert_eq!(secret.to_string(), text);
    }
    for text in ["secret", "${env:}", "${file:}", "${x:y}", "$env:P", "${env:P"] {
        assert_eq!(text.parse::<Secret>(), Err(secret::NoReference), "{text}");
    }
    let scratch = tempfile::tempdir().unwrap();
    for (content, name) in [("", "empty"), ("a\nb", "two lines")] {
        let path = secret::write_private(scratch.path(), "secret", content.as_bytes()).unwrap();
        assert!(Secret::File(path).write_to(scratch.path(), "copy").is_err(), "{name}");
    }
    let path = secret::write_private(scratch.path(), "secret", b"word").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    let error = Secret::File(path).write_to(scratch.path(), "copy").unwrap_err().to_string();
    assert!(error.contains("can be read by others: chmod 600"), "{error}");
}

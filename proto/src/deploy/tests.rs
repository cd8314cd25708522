use proptest::prelude::*;
use serde_json::json;

use super::*;

const URL: &str = "https://emote.example.com/deploy/EmoteAgent-1.2.3.pkg";
const UUID: &str = "0F7DAE3C-6E4A-5C0B-9A64-7D4BC1E822F7";

fn about(url: &str) -> About {
    let [bundle_identifier, bundle_version, title] = ["io.emote.agent", "1.2.3", "Emote & <Agent>"].map(str::to_owned);
    About { url: url.to_owned(), bundle_identifier, bundle_version, title }
}

fn read(bytes: &[u8]) -> Value {
    Value::from_reader_xml(bytes).unwrap()
}

/// What stands at a path; numbers are places in a list.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('/').fold(value, |value, piece| match value {
        Value::Array(items) => &items[piece.parse::<usize>().unwrap()],
        Value::Dictionary(entries) => entries.get(piece).unwrap_or_else(|| panic!("no {piece} of {path}")),
        _ => panic!("{piece} of {path}"),
    })
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_dictionary().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn each_chunk_has_its_hash_and_the_last_one_is_shorter() {
    let package = vec![7; CHUNK + 5];
    let manifest = Manifest::of_package(&package[..], about(URL)).unwrap();
    // By `head -c … | sha256sum`.
    let expected = [
        "448c5a66d3f3df0d61a72afad0e438baef03b03a2981254cd5eb51a5c063ea23",
        "dcaee57a8101f9b948dd74b43f69c82b8c4d2382abee8e60b997a362e888c576",
    ];
    assert_eq!((manifest.size(), manifest.sha256s()), (CHUNK as u64 + 5, &expected.map(str::to_owned)[..]));
    let whole = Manifest::of_package(&package[..CHUNK], about(URL)).unwrap();
    assert_eq!(whole.sha256s(), &manifest.sha256s()[..1]);
}

/// Types, keys and fixed values as Apple's schema demands them.
#[test]
fn the_manifest_and_the_commands_are_what_apple_demands() {
    let manifest = Manifest::of_package(&b"xar!"[..], about(URL)).unwrap();
    let root = read(&manifest.plist());
    assert_eq!((keys(&root), keys(at(&root, "items/0"))), (vec!["items"], vec!["assets", "metadata"]));
    let texts = [
        ("items/0/assets/0/kind", "software-package"),
        ("items/0/assets/0/url", URL),
        ("items/0/assets/0/sha256s/0", manifest.sha256s()[0].as_str()),
        ("items/0/metadata/bundle-identifier", "io.emote.agent"),
        ("items/0/metadata/bundle-version", "1.2.3"),
        ("items/0/metadata/kind", "software"),
        ("items/0/metadata/title", "Emote & <Agent>"),
    ];
    for (path, text) in texts {
        assert_eq!(at(&root, path).as_string(), Some(text), "{path}");
    }
    assert_eq!(at(&root, "items/0/assets/0/sha256-size").as_unsigned_integer(), Some(10_485_760));
    assert_eq!(at(&root, "items/0/metadata/sizeInBytes").as_unsigned_integer(), Some(4));

    let command = read(&manifest.command(UUID));
    assert_eq!(at(&command, "Command/RequestType").as_string(), Some("InstallEnterpriseApplication"));
    assert_eq!(at(&command, "CommandUUID").as_string(), Some(UUID));
    assert_eq!(at(&command, "Command/Manifest"), &root);

    let by_url = read(&command_by_url(UUID, "https://e.example/m.plist", &[vec![0x30, 0]]).unwrap());
    assert_eq!(at(&by_url, "Command/ManifestURL").as_string(), Some("https://e.example/m.plist"));
    assert_eq!(at(&by_url, "Command/ManifestURLPinningCerts/0").as_data(), Some(&[0x30, 0][..]));
    let unpinned = read(&command_by_url(UUID, "https://e.example/m.plist", &[]).unwrap());
    assert_eq!(keys(at(&unpinned, "Command")), ["ManifestURL", "RequestType"]);

    let profile = read(&profile_command(UUID, b"<plist/>"));
    assert_eq!(at(&profile, "Command/RequestType").as_string(), Some("InstallProfile"));
    assert_eq!(at(&profile, "Command/Payload").as_data(), Some(&b"<plist/>"[..]));
    assert_eq!(at(&profile, "CommandUUID").as_string(), Some(UUID));
}

#[test]
fn what_no_mac_would_install_is_refused() {
    let of = |about: About, bytes: &[u8]| Manifest::of_package(bytes, about).unwrap_err().to_string();
    for url in [
        "",
        "http://emote.example.com/a.pkg",
        "https://",
        "https:///a.pkg",
        "https://:443/a.pkg",
        "https://e.example/a b.pkg",
        "https://e.example/ä.pkg",
        "https://e.example/<a>.pkg",
        &format!("https://e.example/{}", "a".repeat(2_048)),
    ] {
        assert!(of(about(url), b"x").contains("no address that a Mac installs from"), "{url}");
        assert!(command_by_url(UUID, url, &[]).is_err(), "{url}");
    }
    let error = of(about("https://ada:hunter2@e.example/a.pkg"), b"x");
    assert!(error.contains("an address with @") && !error.contains("hunter2"), "{error}");
    for (title, said) in [("", "title"), ("a\nb", "title"), ("a\u{ffff}", "title"), (&*"x".repeat(256), "title")] {
        assert!(of(About { title: title.into(), ..about(URL) }, b"x").contains(said), "{title:?}");
    }
    assert!(of(about(URL), b"").contains("a package of 0 bytes"));
    let hash = "0".repeat(64);
    for (size, hashes) in [(1, vec![]), (1, vec!["0"; 1]), (CHUNK as u64 + 1, vec![&*hash; 1]), (1, vec![&*hash; 2])] {
        let hashes = hashes.into_iter().map(str::to_owned).collect();
        let error = Manifest::new(about(URL), size, hashes).unwrap_err();
        assert!(
            matches!(error, DeployError::Hashes { expected } if expected == size.div_ceil(CHUNK as u64)),
            "{error}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let error = Manifest::of_package(Broken, about(URL)).unwrap_err();
    assert_eq!(error.to_string(), "reading the package: the disk is gone");
    let package = Read::chain(&b"xar!"[..], Broken);
    assert!(Manifest::of_package(package, about(URL)).is_err(), "what came before it is no package");
}

#[test]
fn as_json_it_is_flat_and_checked_when_read() {
    let manifest = Manifest::of_package(&b"xar!"[..], about(URL)).unwrap();
    let written = serde_json::to_value(&manifest).unwrap();
    assert_eq!(written["size"], json!(4));
    assert_eq!(written["bundle_identifier"], json!("io.emote.agent"));
    assert_eq!(serde_json::from_value::<Manifest>(written.clone()).unwrap(), manifest);
    let mut wrong = written;
    wrong["size"] = json!(CHUNK + 1);
    let error = serde_json::from_value::<Manifest>(wrong).unwrap_err().to_string();
    assert!(error.contains("expected 2 SHA-256 hashes"), "{error}");
}

proptest! {
    #[test]
    fn whatever_is_taken_is_written_and_read_back(
        path in "[!-~]{0,40}", title in "\\PC{1,60}", version in "[0-9.]{1,20}", bytes: Vec<u8>
    ) {
        let about = About { title, bundle_version: version, ..about(&format!("https://e.example/{path}")) };
        if let Ok(manifest) = Manifest::of_package(&bytes[..], about.clone()) {
            let root = read(&manifest.plist());
            prop_assert_eq!(at(&root, "items/0/assets/0/url").as_string(), Some(about.url.as_str()));
            prop_assert_eq!(at(&root, "items/0/metadata/title").as_string(), Some(about.title.as_str()));
        }
    }
}

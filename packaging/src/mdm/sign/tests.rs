use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::pkg::sign::Secret;

const PROFILE: &[u8] = b"<?xml version=\"1.0\"?>\r\n<plist><dict/></plist>\n";

/// A folder with a key and its certificate in one file.
struct Place(tempfile::TempDir);

impl Place {
    /// With a key of openssl's, by its own arguments.
    fn new(key: &[&str]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.openssl(&[&["genpkey", "-out", "key.pem"], key].concat());
        let subject =
            ["req", "-x509", "-new", "-key", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=Example IT"];
        place.openssl(&subject);
        let text = ["key.pem", "cert.pem"].map(|name| std::fs::read_to_string(place.path(name)).unwrap());
        place.put("id.pem", text.concat().as_bytes());
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        std::fs::write(self.path(name), bytes).unwrap();
        std::fs::set_permissions(self.path(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        self.path(name)
    }

    /// What `openssl` writes; it must do well.
    fn openssl(&self, arguments: &[&str]) -> Vec<u8> {
        let done = Command::new("openssl").current_dir(self.0.path()).args(arguments).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    }

    /// What was signed, as openssl takes it out of the signature that it has tried. Apple's own marks are critical to it.
    fn verify(&self, signed: &[u8], tool: &str) -> Vec<u8> {
        self.put("signed", signed);
        let arguments = [tool, "-verify", "-binary", "-inform", "DER", "-in", "signed", "-CAfile", "cert.pem"];
        self.openssl(&[&arguments[..], &["-purpose", "any", "-ignore_critical"]].concat())
    }
}

fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap()
}

const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const P384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];

#[test]
fn openssl_takes_what_each_kind_of_key_signed_and_nothing_else() {
    for (key, is_the_same) in [(RSA, true), (P256, false), (P384, false)] {
        let place = Place::new(key);
        let signer = Signer::new(Key::Pem(place.path("id.pem")), now()).unwrap();
        assert_eq!((signer.name(), signer.warning()), ("Example IT", None));
        let signed = signer.sign(PROFILE).unwrap();
        for tool in ["cms", "smime"] {
            assert_eq!(place.verify(&signed, tool), PROFILE, "{key:?}");
        }
        assert_eq!(signer.sign(PROFILE).unwrap() == signed, is_the_same, "{key:?}");
        let at = signed.windows(5).position(|bytes| bytes == b"plist").unwrap();
        let mut broken = signed.clone();
        broken[at] = b'q';
        place.put("broken", &broken);
        let mut openssl = Command::new("openssl");
        openssl
            .current_dir(place.0.path())
            .args(["cms", "-verify", "-inform", "DER", "-in", "broken", "-CAfile", "cert.pem"]);
        let told = openssl.output().unwrap();
        assert!(!told.status.success(), "{key:?}");
        assert!(String::from_utf8_lossy(&told.stderr).contains("verification failure"), "{told:?}");
    }
}

#[test]
fn pkcs12_signs_however_it_is_encrypted() {
    let place = Place::new(RSA);
    place.put("password", b"pass word\n");
    // LibreSSL writes the old way alone.
    let is_libre = String::from_utf8(place.openssl(&["version"])).unwrap().starts_with("LibreSSL");
    let legacy: &[&str] = if is_libre { &[] } else { &["-legacy"] };
    for (name, how) in [("new.p12", &[][..]), ("old.p12", legacy)] {
        let arguments = ["pkcs12", "-export", "-in", "id.pem", "-out", name, "-passout", "file:password"];
        place.openssl(&[&arguments[..], how].concat());
        let key = Key::P12(place.path(name), Secret::File(place.path("password")));
        let signed = Signer::new(key, now()).unwrap().sign(PROFILE).unwrap();
        assert_eq!(place.verify(&signed, "cms"), PROFILE, "{name}");
    }
    place.put("password", b"hunter2\n");
    let error = Signer::new(Key::P12(place.path("new.p12"), Secret::File(place.path("password"))), now()).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("opening PKCS #12") && !error.contains("hunter2"), "{error}");
}

#[test]
fn certificates_above_the_signers_come_along_each_once() {
    let place = Place::new(P256);
    let other = Place::new(P256);
    let text = [place.path("id.pem"), other.path("cert.pem")].map(|path| std::fs::read(path).unwrap());
    place.put("id.pem", &[&text[1][..], &text[0][..], &text[1][..]].concat());
    let signed = Signer::new(Key::Pem(place.path("id.pem")), now()).unwrap().sign(PROFILE).unwrap();
    place.put("signed", &signed);
    let listed = place.openssl(&["pkcs7", "-inform", "DER", "-in", "signed", "-print_certs"]);
    assert_eq!(String::from_utf8(listed).unwrap().matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(place.verify(&signed, "cms"), PROFILE);
}

#[test]
fn a_pair_for_development_signs_and_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place(folder);
    let made = development::make(&place.path("pair"), jiff::Timestamp::now()).unwrap();
    let signer = Signer::new(Key::Pem(made[0].clone()), now()).unwrap();
    assert!(
        signer.warning().unwrap().contains("Emote DEVELOPMENT - not for release: Application\": Macs do not trust it")
    );
    place.put("cert.pem", &std::fs::read(&made[0]).unwrap());
    assert_eq!(place.verify(&signer.sign(PROFILE).unwrap(), "cms"), PROFILE);
}

#[test]
fn what_cannot_sign_is_refused_with_its_reason() {
    let (place, other) = (Place::new(P256), Place::new(P256));
    let read = |place: &Place, name: &str| std::fs::read_to_string(place.path(name)).unwrap();
    let ed25519 = Place::new(&["-algorithm", "ED25519"]);
    let later = now() + 3 * 86_400;
    let open = place.put("open.pem", b"x");
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    for (file, text, at, expected) in [
        ("a.pem", read(&place, "cert.pem"), now(), "there is no private key in it"),
        ("b.pem", read(&place, "key.pem"), now(), "there is no -----BEGIN CERTIFICATE----- in it"),
        (
            "c.pem",
            read(&place, "key.pem") + &read(&other, "cert.pem"),
            now(),
            "none of the certificates in it is of the key",
        ),
        ("d.pem", read(&place, "id.pem"), later, "its certificate does not hold now"),
        ("e.pem", read(&ed25519, "id.pem"), now(), "the key in it is none that signs here: RSA of 2048 bits"),
    ] {
        let path = place.put(file, text.as_bytes());
        let error = format!("{:#}", Signer::new(Key::Pem(path), at).unwrap_err());
        assert!(error.contains(expected) && error.contains(file), "{error}");
    }
    for (path, expected) in
        [(open.as_path(), "can be read by others: chmod 600"), (Path::new("/nowhere.pem"), "reading /nowhere.pem")]
    {
        let error = format!("{:#}", Signer::new(Key::Pem(path.into()), now()).unwrap_err());
        assert!(error.contains(expected), "{error}");
    }
}

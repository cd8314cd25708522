use data_encoding::BASE64URL_NOPAD;
use rcgen::{IsCa, KeyPair, KeyUsagePurpose};
use serde_json::json;

use super::*;

pub(in crate::mdm) const NOW: i64 = 1_795_000_000;

/// The token of the agent's documentation, which has no end.
pub(in crate::mdm) fn token() -> String {
    let keys = emote_agent::settings::keys::general();
    keys.iter().find(|key| key.name == "enrollment_token").unwrap().example.to_string()
}

/// The same with an end, signed by nobody.
fn token_until(ends: i64) -> String {
    let token = token();
    let parsed: EnrollmentToken = token.parse().unwrap();
    let (head, _) = parsed.jwt().split_once('.').unwrap();
    let claims = Claims::unverified(parsed.jwt()).unwrap();
    let body = json!({"iss": claims.iss, "sub": claims.sub, "name": claims.name, "exp": ends}).to_string();
    format!("emote1:{head}.{}.c2ln:{}", BASE64URL_NOPAD.encode(body.as_bytes()), parsed.seed())
}

/// A folder with what settings refer to: `token.txt`, `ca.pem`, `both.pem` with a key in it, `old.pem`, `none.pem`; and of
/// `ca.pem` a server's (`server.pem`), an authority's below (`middle.pem`) and its next key's that its first signed (`next.pem`).
pub(in crate::mdm) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    let [key, other] = std::array::from_fn(|_| KeyPair::generate().unwrap());
    let params = authority(2040);
    let (ca, old) = (params.self_signed(&key).unwrap().pem(), authority(2020).self_signed(&other).unwrap().pem());
    let issuer = rcgen::Issuer::from_params(&params, &key);
    for (name, subject, is_ca, usages) in issued() {
        let mut params = named(subject);
        (params.is_ca, params.key_usages) = (is_ca, usages);
        params.use_authority_key_identifier_extension = true;
        put(name, &params.signed_by(&other, &issuer).unwrap().pem());
    }
    let mut own = named("nats.example.com");
    own.is_ca = IsCa::ExplicitNoCa;
    put("own.pem", &own.self_signed(&other).unwrap().pem());
    put("token.txt", &format!("{}\n", token_until(NOW + 90 * 86_400)));
    put("ca.pem", &ca);
    put("old.pem", &old);
    put("both.pem", &format!("{}{ca}", key.serialize_pem()));
    put("none.pem", "no certificate");
    for (name, token) in
        [("soon.txt", token_until(NOW + 86_400)), ("past.txt", token_until(NOW - 1)), ("ever.txt", token())]
    {
        put(name, &token);
    }
    put("damaged.txt", "emote1:hunter2");
    folder
}

/// What an authority has issued: file, name, what for.
fn issued() -> [(&'static str, &'static str, IsCa, Vec<KeyUsagePurpose>); 5] {
    let ca = || IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    [
        ("server.pem", "nats.example.com", IsCa::ExplicitNoCa, vec![KeyUsagePurpose::DigitalSignature]),
        ("plain.pem", "plain.example.com", IsCa::NoCa, vec![]),
        ("signer.pem", "Example Signer", ca(), vec![KeyUsagePurpose::DigitalSignature]),
        ("middle.pem", "Example Middle", ca(), vec![KeyUsagePurpose::KeyCertSign]),
        ("next.pem", "Example CA 2040", ca(), vec![KeyUsagePurpose::KeyCertSign]),
    ]
}

fn named(name: &str) -> rcgen::CertificateParams {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params
}

fn authority(until: i32) -> rcgen::CertificateParams {
    let mut params = named(&format!("Example CA {until}"));
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(2010, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    params
}

pub(in crate::mdm) fn parse(text: &str, folder: &Path) -> Result<Settings, String> {
    Settings::parse(("emote-mdm.toml", text), folder, NOW, true).map_err(|problems| problems.to_string())
}

/// Settings of which nothing is wrong.
pub(in crate::mdm) const GOOD: &str = "organization = 'Example Corp'
enrollment.token = '${file:token.txt}'
enrollment.bound = 'serial'
[ca]
files = ['ca.pem']
[agent]
server = ['tls://nats.example.com']
";

#[test]
fn the_example_is_a_file_that_holds_as_it_is_and_without_its_comments() {
    let folder = folder();
    let settings = parse(&example(), folder.path()).unwrap();
    assert_eq!((settings.organization.as_str(), settings.identifier.as_str()), ("Example Corp", "io.emote.agent"));
    assert!(settings.has_secret && settings.login_item && !settings.full_disk_access && settings.is_required);
    let said: Vec<&String> = settings.agent.values.keys().collect();
    assert_eq!(said, ["enrollment_token", "server"]);
    let all: String = example()
        .lines()
        .filter(|line| !["#ca = ", "#token_file", "#enrollment_token_file"].iter().any(|key| line.starts_with(key)))
        .map(|line| format!("{}\n", line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)))
        .collect();
    let settings = parse(&all, folder.path()).unwrap();
    assert_eq!(settings.agent.get("state_dir"), Some(&json!("/var/db/io.emote.agent")), "as on a Mac");
    assert_eq!(settings.agent.get("sources.disk.enabled"), Some(&json!(true)));
    assert_eq!(settings.team.as_deref(), Some("ABCDE12345"));
    assert_eq!(settings.pinned.len(), 1);
}

#[test]
fn the_ca_goes_where_it_was_said_to() {
    let folder = folder();
    let with =
        |trust: &str| parse(&GOOD.replace("[agent]", &format!("trust = '{trust}'\n[agent]")), folder.path()).unwrap();
    for (settings, agent, system) in [
        (parse(GOOD, folder.path()).unwrap(), true, 0),
        (with("agent"), true, 0),
        (with("system"), false, 1),
        (with("both"), true, 1),
    ] {
        assert_eq!(settings.agent.get("ca_certificates").is_some(), agent);
        assert_eq!(settings.system_anchors.len(), system);
    }
    let anchor = &with("system").system_anchors[0];
    assert!(anchor.is_root && anchor.name == "Example CA 2040", "{anchor:?}");
    let twice = parse(&GOOD.replace("'ca.pem'", "'ca.pem', 'ca.pem'"), folder.path()).unwrap();
    let pem = twice.agent.get("ca_certificates").unwrap().as_str().unwrap().to_owned();
    assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 1);
}

#[test]
fn only_an_authority_s_certificate_is_told_to_macs_as_one() {
    let folder = folder();
    let with = |files: &str, trust: &str| {
        let files = format!("trust = '{trust}'\nfiles = [{files}]");
        parse(&GOOD.replace("files = ['ca.pem']", &files), folder.path())
    };
    for (file, expected) in [
        (
            "server.pem",
            "emote-mdm.toml, line 6, column 1: ca.files: server.pem: \"nats.example.com\", which \"CN=Example CA 2040\" issued, is \
             a server's or a client's, no authority's (without basicConstraints CA:TRUE): name the authority's file, such as \
             ca.pem",
        ),
        ("plain.pem", "\"plain.example.com\", which"),
        ("signer.pem", "\"Example Signer\", which \"CN=Example CA 2040\" issued, is a server's"),
        ("signer.pem", "(with a keyUsage without keyCertSign)"),
        (
            "own.pem",
            "\"nats.example.com\" issued itself and is no authority's (without basicConstraints CA:TRUE): make",
        ),
    ] {
        for trust in ["agent", "system", "both"] {
            let told = with(&format!("'ca.pem', '{file}'"), trust).unwrap_err();
            assert!(told.contains(expected) && told.lines().count() == 1, "{file}: {told}");
        }
    }
    let server = std::fs::read_to_string(folder.path().join("server.pem")).unwrap();
    let said = GOOD.replace("[ca]\nfiles = ['ca.pem']\n", "") + &format!("ca_certificates = '''{server}'''\n");
    let told = parse(&said, folder.path()).unwrap_err();
    assert!(told.contains("agent.ca_certificates: \"nats.example.com\", which"), "{told}");
    // A server's own may be what a manifest's server must show.
    let pinned = "[package]\nmanifest_url = 'https://e.example/m.plist'\npin = ['server.pem']\n[agent]";
    assert_eq!(parse(&GOOD.replace("[agent]", pinned), folder.path()).unwrap().pinned.len(), 1);

    for (files, trust, roots, warned) in [
        ("'ca.pem'", "system", 1, false),
        ("'middle.pem', 'ca.pem'", "both", 1, false),
        ("'middle.pem'", "agent", 0, false),
        ("'middle.pem'", "system", 0, true),
        // Its names are the root's, and the key that signed it is another than its own.
        ("'next.pem'", "both", 0, true),
    ] {
        let settings = with(files, trust).unwrap();
        assert_eq!(settings.system_anchors.iter().filter(|anchor| anchor.is_root).count(), roots, "{files}");
        let warning =
            "none is a root's, and a Mac trusts an authority only below a root: add the file of \"CN=Example CA 2040\"";
        assert_eq!(settings.warnings.iter().any(|told| told.contains(warning)), warned, "{:?}", settings.warnings);
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place() {
    let folder = folder();
    let text = "organisation = 'x'
identifier = 'emote'
[enrollment]
token = 'emote1:hunter2'
bound = 'somehow'
[ca]
files = ['ca.pem', 'both.pem', 'none.pem', 'missing.pem', 'old.pem']
[package]
url = 'http://e.example/a.pkg'
team = 'abc'
pin = ['ca.pem']
[profiles]
full_disk_access = 'yes'
[munki]
catalogs = []
[agent]
hartbeat = '1m'
quota = 5
poll = \"1m\\u0001\"
[agent.sources.dsk]
interval = '1m'
[agent.unified_log.sudo]
rate = 1
";
    let told = parse(text, folder.path()).unwrap_err();
    for expected in [
        "emote-mdm.toml, line 1, column 1: organisation: there is no such key; expected one of organization, identifier, \
         enrollment, ca, package, profiles, munki, agent",
        "emote-mdm.toml: organization: it must be said",
        "emote-mdm.toml, line 2, column 1: identifier: expected something like com.example.emote",
        "line 4, column 1: enrollment.token: not a reference to a secret: write ${env:NAME} or ${file:PATH}",
        "line 5, column 1: enrollment.bound: expected one of serial, once, uses",
        "both.pem: there is a private key in it",
        "none.pem: there is no -----BEGIN CERTIFICATE-----",
        "missing.pem: No such file",
        "ca.files: the certificate \"Example CA 2020\" has ended",
        "line 9, column 1: package.url: \"http://e.example/a.pkg\" is no address that a Mac installs from",
        "line 10, column 1: package.team: expected a team's identifier",
        "line 11, column 1: package.pin: only with package.manifest_url",
        "line 13, column 1: profiles.full_disk_access: expected true or false",
        "line 15, column 1: munki.catalogs: expected a list of 1 to 64 texts",
        "emote-mdm.toml, line 17, column 1: agent.hartbeat: there is no such key; expected one of server,",
        "line 18, column 1: agent.quota: 5 bytes are too few",
        "line 19, column 1: agent.poll: it holds a control character",
        "agent.sources.dsk: there is no such source",
        "line 22, column 20: agent.unified_log.sudo.predicate: it must be said",
    ] {
        assert!(told.contains(expected), "{expected}\n\n{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn what_is_wrong_alone_is_told() {
    let folder = folder();
    for (from, to, expected) in [
        ("[agent]", "[agent", "emote-mdm.toml: line 6"),
        ("['ca.pem']", "['/dev/zero']", "ca.files: /dev/zero is no file"),
        ("files = ['ca.pem']", "trust = 'both'", "ca.trust: only with ca.files"),
        ("enrollment.", "enrolment.", "enrolment: there is no such key"),
        ("token.txt", "missing.txt", "enrollment.token: reading"),
        ("token.txt", "damaged.txt", "enrollment.token: it is no enrolment token"),
        ("token.txt", "past.txt", "enrollment.token: the token example2026 has ended"),
        (
            "${file:token.txt}",
            "${env:EMOTE_NO_SUCH_VARIABLE}",
            "enrollment.token: reading ${env:EMOTE_NO_SUCH_VARIABLE}",
        ),
        ("[agent]", "[agent]\nenrollment_token = 'emote1:hunter2'", "agent.enrollment_token: a token is a secret"),
        ("[agent]", "[agent]\nenrollment_token_file = '/t'", "agent.enrollment_token"),
        ("[agent]", "[agent]\nca_certificates = 'x'", "agent.ca_certificates: ca.files says it too"),
        ("[agent]", "trust = 'system'\n[agent]\nca = '/ca.pem'", "agent.ca: the agent would trust it in place"),
        (
            "[ca]",
            "package.url = 'https://e.example/a-{verson}.pkg'\n[ca]",
            "package.url: nothing but {version} may stand in braces: the package's version takes its place",
        ),
        ("[ca]", "package.url = 'http://e.example/a-{version}.pkg'\n[ca]", "is no address that a Mac installs from"),
        ("tls://nats", "nats://u:hunter2@nats", "agent.server: nats://nats.example.com:4222 is not encrypted"),
    ] {
        assert!(GOOD.contains(from));
        let told = parse(&GOOD.replace(from, to), folder.path()).unwrap_err();
        assert!(told.contains(expected) && !told.contains("hunter2"), "{to}: {told}");
    }
    for table in ["agent", "ca"] {
        let told = parse(&format!("organization = 'x'\n{table} = 1"), folder.path()).unwrap_err();
        assert!(told.contains(&format!("line 2, column 1: {table}: expected a table")), "{told}");
    }
    std::fs::set_permissions(folder.path().join("token.txt"), std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .unwrap();
    assert!(parse(GOOD, folder.path()).unwrap_err().contains("can be read by others: chmod 600"));
}

#[test]
fn what_everybody_on_the_mac_could_do_is_warned_of() {
    let folder = folder();
    for (from, to, expected) in [
        ("'serial'", "'serial'", None),
        ("'serial'", "'once'", None),
        ("'serial'", "'uses'", Some("token example2026: everybody on the Mac can read it and ask for a credential")),
        ("enrollment.bound = 'serial'\n", "", Some("say in enrollment.bound how it was bounded")),
        ("token.txt", "ever.txt", Some("token example2026 never ends")),
        ("token.txt", "soon.txt", Some("token example2026 ends in 1 days")),
        ("tls://nats", "tls://u:hunter2@nats", Some("agent.server holds a user or a password")),
        ("[agent]", "[agent]\nserial = 'C02XL0GTJGH5'", Some("agent.serial: every Mac")),
        ("[agent]", "[agent]\ninsecure = true", Some("agent.insecure")),
        ("server = ['tls://nats.example.com']", "", Some("agent.server is not said")),
    ] {
        let settings = parse(&GOOD.replace(from, to), folder.path()).unwrap();
        let told = settings.warnings.join("\n");
        assert_eq!(settings.warnings.len(), usize::from(expected.is_some()), "{to}: {told}");
        assert!(told.contains(expected.unwrap_or_default()) && !told.contains("hunter2"), "{to}: {told}");
        assert!(settings.has_secret);
    }
    let without: String =
        GOOD.lines().filter(|line| !line.starts_with("enrollment")).map(|line| format!("{line}\n")).collect();
    assert!(!parse(&without, folder.path()).unwrap().has_secret);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text: String) {
        drop(parse(&text, Path::new("/nowhere")));
    }
}

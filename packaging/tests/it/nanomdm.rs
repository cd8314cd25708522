//! A real NanoMDM takes the commands that are written for it, and hands them to a Mac as they are. `./tests/run` installs it.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use plist::{Dictionary, Value};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use crate::profile;
use crate::tools::{Place, left_out, run};

const UDID: &str = "0F1E2D3C-0000-4000-8000-000000000001";
const API_KEY: &str = "invented-for-this-test";

/// NanoMDM and a Mac that it knows.
struct Mdm {
    place: Place,
    server: Child,
    url: String,
    certificate: String,
}

impl Drop for Mdm {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Mdm {
    fn start(program: PathBuf) -> Self {
        let place = profile::place();
        let certificate = certificates(&place);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Command::new(program);
        server.args(["-listen", &format!("127.0.0.1:{port}"), "-storage", "filekv", "-cert-header", "X-Client-Cert"]);
        server.arg("-storage-dsn").arg(place.path("db")).arg("-ca").arg(place.path("ca.pem"));
        server.env("NANOMDM_API", API_KEY).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = server.spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "NanoMDM does not listen");
            assert_eq!(server.try_wait().unwrap(), None, "NanoMDM ended");
            std::thread::yield_now();
        }
        Self { place, server, url: format!("http://127.0.0.1:{port}"), certificate }
    }

    /// What the server answers to a file that is put.
    fn put(&self, path: &str, file: &str, headers: &[&str]) -> Vec<u8> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "20", "-T"]).arg(self.place.path(file));
        for header in headers {
            curl.args(["-H", header]);
        }
        run(curl.arg(format!("{}{path}", self.url)))
    }

    /// What it answers to the Mac.
    fn say(&self, kind: &str, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut message = Dictionary::from_iter(fields.iter().map(|(key, text)| (*key, Value::from(*text))));
        message.insert("UDID".to_owned(), UDID.into());
        if message.contains_key("PushMagic") {
            message.insert("Token".to_owned(), Value::Data(vec![0, 1, 2, 3]));
        }
        Value::Dictionary(message).to_file_xml(self.place.path("message.plist")).unwrap();
        let kind = format!("Content-Type: application/{kind}");
        self.put("/mdm", "message.plist", &[&kind, &format!("X-Client-Cert: :{}:", self.certificate)])
    }

    fn enrol(&self) {
        let topic = ("Topic", "com.apple.mgmt.External.x");
        let check_in = "x-apple-aspen-mdm-checkin";
        self.say(check_in, &[("MessageType", "Authenticate"), topic, ("SerialNumber", "C02XL0GTJGH5")]);
        self.say(check_in, &[("MessageType", "TokenUpdate"), topic, ("PushMagic", "magic")]);
    }
}

/// A CA in `ca.pem`; a certificate of a Mac that it signed, as DER in base64.
fn certificates(place: &Place) -> String {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    std::fs::write(place.path("ca.pem"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let mut device = CertificateParams::default();
    device.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    BASE64.encode(device.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap().der())
}

#[test]
fn nanomdm_hands_a_mac_the_profiles_and_the_package_as_they_were_written() {
    let Some(program) = std::env::var_os("EMOTE_TOOLS").map(|tools| PathBuf::from(tools).join("nanomdm")) else {
        return left_out("commands through an MDM", "nanomdm in $EMOTE_TOOLS");
    };
    if !program.is_file() {
        return left_out("commands through an MDM", "nanomdm in $EMOTE_TOOLS");
    }
    let mdm = Mdm::start(program);
    mdm.enrol();
    mdm.place.unsigned();
    profile::written(&profile::profile(&mdm.place, "mdm", &["--pkg", "unsigned.pkg"]));
    let basic = format!("Authorization: Basic {}", BASE64.encode(format!("nanomdm:{API_KEY}").as_bytes()));
    for (file, request_type) in [
        ("emote-agent.install.plist", "InstallProfile"),
        ("emote-agent-services.install.plist", "InstallProfile"),
        ("command.plist", "InstallEnterpriseApplication"),
    ] {
        let file = format!("mdm/{file}");
        let written = Value::from_file(mdm.place.path(&file)).unwrap().into_dictionary().unwrap();
        let uuid = written["CommandUUID"].as_string().unwrap();
        // There is no push certificate: the Mac asks by itself.
        let answer = mdm.put(&format!("/v1/enqueue/{UDID}?nopush=1"), &file, &[&basic]);
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(
            (answer["command_uuid"].as_str(), answer["request_type"].as_str()),
            (Some(uuid), Some(request_type))
        );
        let handed = mdm.say("x-apple-aspen-mdm", &[("Status", "Idle")]);
        assert_eq!(Value::from_reader_xml(&handed[..]).unwrap(), Value::Dictionary(written.clone()), "{file}");
        let next = mdm.say("x-apple-aspen-mdm", &[("Status", "Acknowledged"), ("CommandUUID", uuid)]);
        assert_eq!(next, b"", "no other command");
    }
}

//! The same attacks on a server that finds its users by client certificates.

use std::path::Path;

use emote::identity::tls::{self, Names};
use emote_tests::{Connected, Process, Streams, emote_fed, free_port, start_nats_in};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use tempfile::TempDir;

use super::attack;

/// A server as packaging/mtls describes it, with an authority for its clients.
pub(super) struct Mtls {
    folder: TempDir,
    port: u16,
    server: Option<Process>,
    issuer: Issuer<'static, KeyPair>,
}

impl Mtls {
    async fn start(serials: &str, device: &str) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let folder = TempDir::with_prefix("emote-test-").unwrap();
        let nats = folder.path().join("nats");
        std::fs::create_dir(&nats).unwrap();
        let today = jiff::Zoned::now().date();
        let authority = tls::authority(today).unwrap();
        let server = tls::server(&authority.key, &Names::new(&[]).unwrap(), today).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "clients");
        let clients = params.self_signed(&key).unwrap().pem();
        let written = emote_fed(&["mtls-config", "--serials", "-", "--device", device], serials).await;
        assert!(written.status.success(), "{written:?}");
        let port = free_port();
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/mtls/nats-server.conf");
        let configuration = std::fs::read_to_string(template).unwrap();
        let configuration = configuration
            .replace("0.0.0.0:4222", &format!("127.0.0.1:{port}"))
            .replace("127.0.0.1:8222", &format!("127.0.0.1:{}", free_port()));
        for (name, text) in [
            ("nats-server.conf", configuration.as_str()),
            ("accounts.conf", std::str::from_utf8(&written.stdout).unwrap()),
            ("server.pem", &server.certificate),
            ("server.key", &server.key),
            ("ca.pem", &authority.certificate),
            ("clients-ca.pem", &clients),
        ] {
            std::fs::write(nats.join(name), text).unwrap();
        }
        let mut mtls = Self { folder, port, server: None, issuer: Issuer::new(params, key) };
        mtls.run().await;
        mtls
    }

    async fn run(&mut self) {
        let folder = self.folder.path();
        self.server = Some(start_nats_in(folder, "nats-server", folder, self.port).await);
    }

    /// Connects with a certificate of this subject and these names, signed by `issuer`.
    async fn try_connect(
        &self,
        (common, names): (&str, &[&str]),
        issuer: &Issuer<'static, KeyPair>,
        inbox: &str,
    ) -> Result<Connected, String> {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, issuer).unwrap();
        let at = |name: String| self.folder.path().join(name);
        let word: String = common.chars().filter(char::is_ascii_alphanumeric).collect();
        let (pem, secret) = (at(format!("{word}.pem")), at(format!("{word}.key")));
        std::fs::write(&pem, certificate.pem()).unwrap();
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        let options = async_nats::ConnectOptions::new()
            .add_root_certificates(at("nats/ca.pem".into()))
            .add_client_certificate(pem, secret)
            .require_tls(true)
            .max_reconnects(1)
            .custom_inbox_prefix(inbox);
        Connected::connect(options, &format!("tls://127.0.0.1:{}", self.port)).await
    }

    async fn connect(&self, common: &str, inbox: &str) -> Connected {
        self.try_connect((common, &[]), &self.issuer, inbox).await.unwrap_or_else(|error| panic!("{error}"))
    }
}

#[tokio::test]
async fn a_certificate_speaks_for_its_mac_and_nothing_else() {
    let mtls = Mtls::start("C01\nOTHER\n", "CN={serial}").await;
    let broker = Streams::of(mtls.connect("emote-broker", "_INBOX").await.client);
    attack::make_streams(&broker).await;
    let device = mtls.connect("C01", "_INBOX.C01").await;
    attack::tries_everything(&device, &broker).await;
    let other = mtls.connect("OTHER", "_INBOX.OTHER").await;
    attack::answers_go_nowhere(&device, &other, &broker, 3).await;
}

#[tokio::test]
async fn names_are_found_where_the_configuration_says_and_strangers_stay_out() {
    let mtls = Mtls::start("C01\n", "{serial}.macs.example.com").await;
    let (inbox, stranger) = ("_INBOX.C01", KeyPair::generate().unwrap());
    let name: &[&str] = &["C01.macs.example.com"];
    mtls.try_connect(("whoever", name), &mtls.issuer, inbox).await.unwrap();
    for (what, common, names) in [
        ("another Mac", "C02", &["C02.macs.example.com"][..]),
        ("a subject that only looks like it", "C01.macs.example.com", &[]),
        ("a name below it", "x", &["x.C01.macs.example.com"]),
        ("no name", "C01", &[]),
    ] {
        assert!(mtls.try_connect((common, names), &mtls.issuer, inbox).await.is_err(), "{what}");
    }
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "clients");
    let foreign = Issuer::new(params, stranger);
    assert!(mtls.try_connect(("whoever", name), &foreign, inbox).await.is_err(), "another authority of the same name");
    let nobody = async_nats::ConnectOptions::new()
        .add_root_certificates(mtls.folder.path().join("nats/ca.pem"))
        .require_tls(true);
    assert!(Connected::connect(nobody, &format!("tls://127.0.0.1:{}", mtls.port)).await.is_err(), "no certificate");
}

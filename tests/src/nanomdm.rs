//! A real NanoMDM, and Macs as it sees them.

use std::{path::Path, process::Command};

use data_encoding::BASE64;

use crate::{Process, Stack, free_port, required, run, until, until_listening};

/// A NanoMDM that runs, and tells the stack's broker what it hears.
pub struct NanoMdm {
    /// `http://127.0.0.1:…`
    pub url: String,
    certificate: String,
    _process: Process,
}

impl NanoMdm {
    /// Starts the program in a folder beside the stack's configuration. Its webhooks go to the stack's own broker.
    pub async fn start(program: &Path, stack: &Stack) -> Self {
        let folder = stack.config.with_file_name("nanomdm");
        std::fs::create_dir(&folder).unwrap();
        let certificate = certificates(&folder).await;
        let port = free_port();
        let mut command = Command::new(program);
        command
            .args(["-listen", &format!("127.0.0.1:{port}"), "-storage", "filekv", "-storage-dsn"])
            .arg(folder.join("db"));
        command.arg("-ca").arg(folder.join("ca.pem")).args([
            "-cert-header",
            "X-Client-Cert",
            "-webhook-url",
            &stack.url("nanomdm"),
        ]);
        // Keys go by the environment: arguments are everybody's to read.
        command.env("NANOMDM_API", stack.secret("nanomdm-api-key"));
        command.env("NANOMDM_WEBHOOK_HMAC_KEY", stack.secret("nanomdm-webhook-key"));
        let process = Process::start("nanomdm", command, &stack.logs);
        until_listening("nanomdm", port).await;
        Self { url: format!("http://127.0.0.1:{port}"), certificate, _process: process }
    }

    /// A Mac of this UDID.
    pub fn device<'a>(&'a self, stack: &Stack, udid: &'a str) -> Device<'a> {
        Device { http: stack.http.clone(), mdm: self, udid }
    }
}

/// A Mac as NanoMDM sees it: an identity certificate, check-ins and requests for commands.
pub struct Device<'a> {
    http: reqwest::Client,
    mdm: &'a NanoMdm,
    udid: &'a str,
}

impl Device<'_> {
    async fn put(&self, kind: &str, fields: &str) -> (u16, String) {
        let plist = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
             \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\"><plist version=\"1.0\"><dict>\
             <key>UDID</key><string>{}</string>{fields}</dict></plist>",
            self.udid
        );
        let request = self.http.put(format!("{}/mdm", self.mdm.url)).body(plist);
        let request = request.header("Content-Type", format!("application/{kind}"));
        let response = request.header("X-Client-Cert", format!(":{}:", self.mdm.certificate)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// A check-in message with these fields beside its type and topic.
    pub async fn check_in(&self, message: &str, fields: &str) {
        let fields = format!(
            "<key>MessageType</key><string>{message}</string><key>Topic</key><string>com.apple.mgmt.External.x</string>{fields}"
        );
        let (status, text) = self.put("x-apple-aspen-mdm-checkin", &fields).await;
        assert_eq!(status, 200, "{message}: {text}");
    }

    /// Asks until there is a command, as a Mac that was pushed does; the property list of it. NanoMDM sends its
    /// webhooks after it has answered the device, so the command may be a moment away.
    pub async fn next_command(&self) -> String {
        let mut command = String::new();
        until("the MDM has a command", async || {
            let (status, text) = self.put("x-apple-aspen-mdm", "<key>Status</key><string>Idle</string>").await;
            assert_eq!(status, 200, "{text}");
            command = text;
            !command.is_empty()
        })
        .await;
        command
    }

    /// Takes a command; the next one, if there is any.
    pub async fn acknowledge(&self, command_uuid: &str) -> String {
        self.answer(command_uuid, "Acknowledged", "").await
    }

    /// Answers a command with this status and these fields; the next command, if there is any.
    pub async fn answer(&self, command_uuid: &str, status: &str, more: &str) -> String {
        let fields = format!(
            "<key>Status</key><string>{status}</string><key>CommandUUID</key><string>{command_uuid}</string>{more}"
        );
        let (status, text) = self.put("x-apple-aspen-mdm", &fields).await;
        assert_eq!(status, 200, "{text}");
        text
    }
}

/// A CA and a certificate of a device that it signed; the folder's `ca.pem` and the certificate as DER in base64.
async fn certificates(folder: &Path) -> String {
    let openssl = required("openssl").expect("openssl");
    let file = |name: &str| folder.join(name).display().to_string();
    let (ca, ca_key, key, request, certificate) =
        (file("ca.pem"), file("ca.key"), file("device.key"), file("device.csr"), file("device.der"));
    let extensions = file("extensions");
    std::fs::write(&extensions, "extendedKeyUsage=clientAuth\n").unwrap();
    let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let of_ca = ["-x509", "-days", "2", "-subj", "/CN=CA", "-keyout", &ca_key, "-out", &ca];
    let of_device = ["-subj", "/CN=Device", "-keyout", &key, "-out", &request];
    let sign = [
        "x509",
        "-req",
        "-days",
        "2",
        "-CA",
        &ca,
        "-CAkey",
        &ca_key,
        "-CAcreateserial",
        "-in",
        &request,
        "-extfile",
        &extensions,
        "-outform",
        "DER",
        "-out",
        &certificate,
    ];
    for args in [[&new[..], &of_ca].concat(), [&new[..], &of_device].concat(), sign.to_vec()] {
        let output = run(&openssl, &args).await;
        assert!(output.status.success(), "openssl {args:?}: {output:?}");
    }
    BASE64.encode(&std::fs::read(certificate).unwrap())
}

/// The text of the `<string>` after a `<key>`.
pub fn string_after(plist: &str, key: &str) -> String {
    let rest = plist.split(&format!("<key>{key}</key>")).nth(1).unwrap_or_else(|| panic!("no {key}: {plist}"));
    rest.split("<string>").nth(1).unwrap().split('<').next().unwrap().to_owned()
}

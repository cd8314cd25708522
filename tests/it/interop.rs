//! The real counterparts: the `nats` command line, and NanoMDM with a device that enrols.

use std::process::Command;

use data_encoding::BASE64;
use emote_tests::{Process, Seen, Stack, free_port, required, run, until, until_listening};
use serde_json::{Value, json};

#[tokio::test]
async fn the_nats_command_line_reads_and_writes_events_and_shows_the_lag() {
    let Some(nats) = required("nats") else { return };
    let stack = Stack::new().start().await;
    let url = stack.nats.url();
    let with = |args: &[&'static str]| {
        let mut command = Command::new(&nats);
        command.args(["--server", &url, "--no-context"]).args(args);
        command
    };
    let subscribed = Process::start("nats-sub", with(&["sub", "--raw", "events.>"]), &stack.logs);
    // The smallest event there is, as it stands in the README.
    let event =
        r#"{"scope":"device","action":"enroll","device":{"uuid":"C02XL0GTJGH5"},"communicate":true,"log":true}"#;
    until("what `nats pub` publishes is shown by `nats sub`", async || {
        let published = with(&["pub", "events.manual.C02XL0GTJGH5.device.enroll", event]).output().unwrap();
        assert!(published.status.success(), "{published:?}");
        subscribed.log().contains(event)
    })
    .await;
    until("its results are shown, too", async || {
        let log = subscribed.log();
        let found = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let actions: Vec<Value> = found.map(|event| event["action"].clone()).collect();
        actions.contains(&json!("slack_post")) && actions.contains(&json!("written"))
    })
    .await;
    stack.settled().await;
    let info = with(&["consumer", "info", "EVENTS", "core-0", "--json"]).output().unwrap();
    let info: Value = serde_json::from_slice(&info.stdout).unwrap_or_else(|_| panic!("{info:?}"));
    assert_eq!((&info["name"], &info["num_pending"]), (&json!("core-0"), &json!(0)), "{info}");
    let jobs = with(&["consumer", "info", "DELIVERIES", "target-slack", "--json"]).output().unwrap();
    let jobs: Value = serde_json::from_slice(&jobs.stdout).unwrap_or_else(|_| panic!("{jobs:?}"));
    assert_eq!(jobs["num_ack_pending"], 0, "{jobs}");
}

/// A Mac as NanoMDM sees it: an identity certificate, check-ins and requests for commands.
struct Device<'a> {
    stack: &'a Stack,
    mdm: String,
    certificate: String,
    udid: &'static str,
}

impl Device<'_> {
    async fn put(&self, kind: &str, fields: &str) -> (u16, String) {
        let plist = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
             \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\"><plist version=\"1.0\"><dict>\
             <key>UDID</key><string>{}</string>{fields}</dict></plist>",
            self.udid
        );
        let request = self.stack.http.put(format!("{}/mdm", self.mdm)).body(plist);
        let request = request.header("Content-Type", format!("application/{kind}"));
        let response = request.header("X-Client-Cert", format!(":{}:", self.certificate)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn check_in(&self, message: &str, fields: &str) {
        let fields = format!(
            "<key>MessageType</key><string>{message}</string><key>Topic</key><string>com.apple.mgmt.External.x</string>{fields}"
        );
        let (status, text) = self.put("x-apple-aspen-mdm-checkin", &fields).await;
        assert_eq!(status, 200, "{message}: {text}");
    }

    /// Asks until there is a command, as a Mac that was pushed does; the property list of it. NanoMDM sends its
    /// webhooks after it has answered the device, so the command may be a moment away.
    async fn next_command(&self) -> String {
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

    async fn acknowledge(&self, command_uuid: &str) -> String {
        let fields = format!(
            "<key>Status</key><string>Acknowledged</string><key>CommandUUID</key><string>{command_uuid}</string>"
        );
        let (status, text) = self.put("x-apple-aspen-mdm", &fields).await;
        assert_eq!(status, 200, "{text}");
        text
    }
}

/// A CA and a certificate of a device that it signed; the folder's `ca.pem` and the certificate as DER in base64.
async fn certificates(folder: &std::path::Path) -> String {
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
fn value_of(plist: &str, key: &str) -> String {
    let rest = plist.split(&format!("<key>{key}</key>")).nth(1).unwrap_or_else(|| panic!("no {key}: {plist}"));
    rest.split("<string>").nth(1).unwrap().split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_device_of_a_real_nanomdm_is_named_when_it_enrols_and_locked_when_its_owner_leaves() {
    let Some(nanomdm) = required("nanomdm") else { return };
    let mut stack = Stack::new().without_broker().start().await;
    let folder = stack.config.with_file_name("nanomdm");
    std::fs::create_dir(&folder).unwrap();
    let certificate = certificates(&folder).await;
    let port = free_port();
    let mdm = format!("http://127.0.0.1:{port}");
    stack.lead_broker_to_mdm(&mdm);
    let mut command = Command::new(&nanomdm);
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
    let _server = Process::start("nanomdm", command, &stack.logs);
    until_listening("nanomdm", port).await;
    stack.broker.start().await;

    let asset = json!({"serial": "C02XL0GTJGH5", "name": "ada-mbp", "owner": "ada@example.com"});
    assert_eq!(stack.asset(&asset).await.status, 200);
    let udid = "0F1E2D3C-0000-4000-8000-000000000001";
    let device = Device { stack: &stack, mdm, certificate, udid };
    device
        .check_in(
            "Authenticate",
            "<key>SerialNumber</key><string>C02XL0GTJGH5</string><key>Model</key><string>Mac14,2</string>",
        )
        .await;
    // NanoMDM sends each webhook by itself, and two that are a millisecond apart in any order; a Mac takes its time.
    until("the first check-in is in the log", async || {
        !stack.streams.read("EVENTS", "events.nanomdm.C02XL0GTJGH5.>").await.is_empty()
    })
    .await;
    device
        .check_in("TokenUpdate", "<key>PushMagic</key><string>magic</string><key>Token</key><data>AAECAw==</data>")
        .await;
    stack.settled().await;
    let named = device.next_command().await;
    assert_eq!(value_of(&named, "DeviceName"), "ada-mbp");
    assert_eq!(device.acknowledge(&value_of(&named, "CommandUUID")).await, "", "no other command");

    let leaver = emote_tests::webhook::okta_deactivated(&["ada@example.com"], "h");
    assert_eq!(stack.okta(&leaver).await.status, 200);
    stack.settled().await;
    let lock = device.next_command().await;
    assert_eq!(value_of(&lock, "RequestType"), "DeviceLock");
    let pin = value_of(&lock, "PIN");
    assert!(pin.len() == 6 && pin.bytes().all(|byte| byte.is_ascii_digit()), "{pin}");
    let command_uuid = value_of(&lock, "CommandUUID");
    assert_eq!(device.acknowledge(&command_uuid).await, "", "locked once");

    let mut acknowledged = Vec::new();
    until("the acknowledgement comes back as an event", async || {
        acknowledged = stack.streams.read("EVENTS", "events.nanomdm.C02XL0GTJGH5.mdm.command_acknowledged").await;
        acknowledged.len() == 2
    })
    .await;
    assert_eq!(acknowledged[1].json()["info"]["command_uuid"], json!(command_uuid));
    assert_eq!(acknowledged[1].json()["trust"], "verified");
    stack.settled().await;
    let asked: Vec<Seen> = stack.mdm.seen();
    assert!(asked.is_empty(), "nobody asked the stand-in");
}

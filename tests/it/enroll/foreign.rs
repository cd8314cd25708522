//! Accounts that Emote did not make: `nats auth`, which keeps operators, accounts and keys where and as `nsc` does.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use async_nats::ConnectOptions;
use emote::identity::jwt::credentials_file;
use emote_proto::{enroll::EnrollmentToken, jwt::Claims};
use emote_tests::{Broker, Connected, NatsServer, Streams, User, emote, free_port, private_file, required, until_some};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::mac::{Mac, ask, enrolled};

/// The store of `nats auth`, in a home of its own.
struct Store {
    nats: PathBuf,
    home: PathBuf,
}

impl Store {
    fn auth(&self, args: &[&str]) {
        let mut command = Command::new(&self.nats);
        command.args(["--no-context", "auth"]).args(args).env("HOME", &self.home);
        command.env("XDG_DATA_HOME", self.home.join("data")).env("XDG_CONFIG_HOME", self.home.join("config"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "nats auth {args:?}: {output:?}");
    }

    /// The same, about an account.
    fn of(&self, what: [&str; 3], account: &str, args: &[&str]) {
        self.auth(&[&what[..], &[account, "--operator", "OP"], args].concat());
    }

    fn jwt(&self, path: &str) -> String {
        let path = self.home.join("data/nats/nsc/stores/OP").join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
    }

    fn account(&self, name: &str) -> (String, Claims) {
        let jwt = self.jwt(&format!("accounts/{name}/{name}.jwt"));
        let claims = Claims::verified(&jwt).unwrap();
        (jwt, claims)
    }

    /// The seed of the account's signing key of this role.
    fn seed(&self, account: &Claims, role: &str) -> String {
        let keys = account.nats["signing_keys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["role"] == role).unwrap()["key"].as_str().unwrap();
        let path = format!("data/nats/nsc/keys/keys/A/{}/{key}.nk", &key[1..3]);
        std::fs::read_to_string(self.home.join(path)).unwrap()
    }

    /// Two accounts as broker/src/identity/authority.rs has them; a broker's credentials in `creds`.
    fn fill(&self, creds: &Path) {
        self.auth(&["operator", "add", "OP", "--signing-key"]);
        self.of(
            ["account", "add", "--defaults"],
            "EMOTE",
            &["--jetstream", "--js-disk", "1GiB", "--js-memory", "64MiB"],
        );
        self.of(["account", "add", "--defaults"], "DEVICES", &[]);
        let emote = self.account("EMOTE").1.sub;
        for shared in emote::identity::authority::SHARED {
            let name = shared.subject.replace(['.', '*', '>'], "");
            let service = matches!(shared.kind, emote::identity::account::Kind::Service).then_some("--service");
            for (what, account, source) in [("exports", "EMOTE", None), ("imports", "DEVICES", Some(&emote))] {
                let mut args = vec!["account", what, "add", &name, shared.subject, account, "--operator", "OP"];
                args.extend(service);
                args.extend(source.iter().flat_map(|source| ["--source", source.as_str()]));
                self.auth(&args);
            }
        }
        let key = |role, more: &[&str]| {
            self.auth(&[&["account", "keys", "add", "DEVICES", role, "--operator", "OP"], more].concat());
        };
        key(
            "device",
            &["--payload", "1MB", "--pub-allow", "events.agent.{{name()}}.>", "--sub-allow", "_INBOX.{{name()}}.>"],
        );
        key(
            "enroll",
            &["--payload", "64KB", "--pub-allow", "enroll.{{name()}}", "--sub-allow", "_ENROLL.{{name()}}.>"],
        );
        self.auth(&[
            "user",
            "add",
            "broker",
            "EMOTE",
            "--operator",
            "OP",
            "--payload=-1",
            "--defaults",
            "--credential",
            creds.to_str().unwrap(),
        ]);
    }

    /// What nats-server has to know.
    fn configuration(&self) -> String {
        let accounts = ["SYSTEM", "EMOTE", "DEVICES"].map(|name| self.account(name));
        let preload: Vec<String> = accounts.iter().map(|(jwt, claims)| format!("{}: {jwt}", claims.sub)).collect();
        format!(
            "operator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{ {} }}\n",
            self.jwt("OP.jwt"),
            accounts[0].1.sub,
            preload.join(", ")
        )
    }
}

async fn connect(server: &NatsServer, user: &User) -> Result<Connected, String> {
    let options = ConnectOptions::with_credentials(&credentials_file(&user.jwt, &user.seed)).unwrap();
    let options = options.custom_inbox_prefix(user.inbox.clone().unwrap()).max_reconnects(1);
    Connected::connect(options, &server.url()).await
}

#[tokio::test]
async fn a_broker_gives_credentials_with_the_signing_key_of_an_account_that_others_made() {
    let Some(nats) = required("nats") else { return };
    let folder = TempDir::with_prefix("emote-test-").unwrap();
    let at = |name: &str| folder.path().join(name);
    let (config, logs) = (at("config"), at("logs"));
    std::fs::create_dir(&logs).unwrap();
    let made = emote(&["init", config.to_str().unwrap()]).await;
    assert!(made.status.success(), "{made:?}");
    let store = Store { nats, home: at("home") };
    std::fs::create_dir(&store.home).unwrap();
    store.fill(&config.join("broker.creds"));
    let mut server = NatsServer::stopped(&at("nats"), &logs);
    server.configure(&store.configuration());
    server.start_again().await;

    let (_, devices) = store.account("DEVICES");
    for role in ["device", "enroll"] {
        private_file(&config.join(format!("secrets/{role}.nk")), &store.seed(&devices, role));
    }
    let [hooks, ops, console] = [(); 3].map(|()| free_port());
    let settings = json!({
        "nats": {"servers": [server.url()], "credentials": "broker.creds"},
        "ingest": {"listen": format!("127.0.0.1:{hooks}")},
        "ops": {"listen": format!("127.0.0.1:{ops}")},
        "console": {"listen": format!("127.0.0.1:{console}")},
        "identity": {"account": devices.sub, "device_key": "${file:secrets/device.nk}",
            "enroll_key": "${file:secrets/enroll.nk}", "enrollment": "open"},
    });
    // YAML takes JSON.
    std::fs::write(config.join("emote.yaml"), settings.to_string()).unwrap();
    let mut broker = Broker::of(&config, &logs, (hooks, ops, console));
    broker.start().await;

    let here = ["--config", config.to_str().unwrap()];
    let made = emote(&[&["agents", "token", "create"], &here[..]].concat()).await;
    assert!(made.status.success(), "{made:?}");
    let token: EnrollmentToken = String::from_utf8(made.stdout).unwrap().trim().parse().unwrap();
    let mac = Mac::new("C02XL0GTJGH5");
    let asks = connect(&server, &User::from(&token)).await.unwrap();
    let request = serde_json::to_vec(&mac.request(&token)).unwrap();
    let user = mac.user(enrolled(ask(&asks.client, &token, request).await));
    let connected = connect(&server, &user).await.unwrap();
    mac.say(&connected, "started", json!({})).await;
    connected.client.publish("events.agent.C0FFEE000000.agent.started", "{}".into()).await.unwrap();
    connected.told("Permissions Violation").await;

    // Without the operator's key it says what is to be done.
    let revoked = emote(&[&["agents", "revoke", "C02XL0GTJGH5", "-m", "stolen"], &here[..]].concat()).await;
    let said = format!("{}{}", String::from_utf8_lossy(&revoked.stdout), String::from_utf8_lossy(&revoked.stderr));
    assert!(said.contains("nsc revocations add-user") && said.contains(&user.public_key()), "{said}");

    broker.stop().await;
    // Signed by no key of the account: told at the start.
    let foreign = nkeys::KeyPair::new_account().seed().unwrap();
    private_file(&config.join("secrets/device.nk"), &foreign);
    broker.begin();
    assert_eq!(broker.wait().await, Some(1));
    assert_eq!(broker.logged("is no signing key of the account") + broker.logged("a signing key of the account"), 1);
    let options = ConnectOptions::with_credentials_file(config.join("broker.creds")).await.unwrap();
    let streams = Streams::of(options.connect(server.url()).await.unwrap());
    let told = until_some("the stream has what the Mac said", async || {
        streams.read("EVENTS", "events.agent.C02XL0GTJGH5.agent.started").await.first().map(emote_tests::Stored::json)
    });
    let told: Value = told.await;
    assert_eq!(told["action"], "started");
}

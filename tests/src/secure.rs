//! A nats-server as `emote init --secure` describes it, users of it, and a broker on it.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use async_nats::{Client, ConnectOptions, Event};
use emote::identity::{
    files,
    jwt::{AccountKey, Validity},
};
use emote_proto::{
    Serial, Time,
    enroll::{EnrollmentToken, TokenId, UserKey},
    jwt::Claims,
};
use nkeys::KeyPair;
use tempfile::TempDir;

use crate::{Broker, Process, Streams, emote, free_port, nats::start_nats_in, programs::built, until};

/// The server, in the folder that `emote init --secure` wrote.
pub struct Secure {
    /// The configuration folder.
    pub config: PathBuf,
    /// A file a program.
    pub logs: PathBuf,
    /// Where the server takes connections, on loopback.
    pub port: u16,
    /// Where it takes them over HTTPS.
    pub web: u16,
    /// `emote serve`; not started.
    pub broker: Broker,
    server: Option<Process>,
    folder: Option<TempDir>,
}

/// A user with its seed.
#[derive(Clone)]
pub struct User {
    /// What the account's key signed.
    pub jwt: String,
    /// The seed.
    pub seed: String,
    /// What inboxes begin with, where it may not read others.
    pub inbox: Option<String>,
}

/// A connection that remembers what the server refused.
#[derive(Clone)]
pub struct Connected {
    /// The connection.
    pub client: Client,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Secure {
    /// Makes the folder and starts the server.
    pub async fn start() -> Self {
        let mut secure = Self::stopped(&[]).await;
        secure.start_again().await;
        secure
    }

    /// The same, for an administrator of this name.
    pub async fn start_as(admin: &str) -> Self {
        let mut secure = Self::stopped(&["--admin", admin]).await;
        secure.start_again().await;
        secure
    }

    /// Makes the folder, with more arguments to `emote init --secure`.
    pub async fn stopped(args: &[&str]) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        built();
        let folder = TempDir::with_prefix("emote-test-").unwrap();
        let (config, logs) = (folder.path().join("config"), folder.path().join("logs"));
        std::fs::create_dir(&logs).unwrap();
        let made = emote(&[&["init", "--secure", config.to_str().unwrap()], args].concat()).await;
        assert!(made.status.success(), "{made:?}");
        let [port, web, http, hooks, ops, console] = [(); 6].map(|()| free_port());
        change(
            &config.join(files::SERVER),
            &[
                ("0.0.0.0:4222", &format!("127.0.0.1:{port}")),
                ("0.0.0.0:9222", &format!("127.0.0.1:{web}")),
                ("127.0.0.1:8222", &format!("127.0.0.1:{http}")),
            ],
        );
        change(
            &config.join("emote.yaml"),
            &[
                ("servers: [tls", &format!("servers: [\"tls://127.0.0.1:{port}\"] # [tls")),
                ("127.0.0.1:8480", &format!("127.0.0.1:{hooks}")),
                ("127.0.0.1:8481", &format!("127.0.0.1:{ops}")),
                ("127.0.0.1:8482", &format!("127.0.0.1:{console}")),
            ],
        );
        let broker = Broker::of(&config, &logs, (hooks, ops, console));
        Self { config, logs, port, web, broker, server: None, folder: Some(folder) }
    }

    /// Starts the server on the same folder, and waits until it takes connections.
    pub async fn start_again(&mut self) {
        self.server = Some(start_nats_in(&self.config, "nats-server", &self.logs, self.port).await);
    }

    /// Ends the server with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// Has the server read its configuration and certificates anew.
    pub fn reload(&self) {
        self.server.as_ref().unwrap().hang_up();
    }

    /// `tls://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("tls://127.0.0.1:{}", self.port)
    }

    /// A file of the folder.
    pub fn file(&self, path: &str) -> PathBuf {
        self.config.join(path)
    }

    /// The text of a file of the folder.
    pub fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Changes a text in a file of the folder.
    pub fn change(&self, path: &str, from: &str, to: &str) {
        change(&self.file(path), &[(from, to)]);
    }

    /// The key `secrets/<name>.nk`.
    pub fn key(&self, name: &str) -> KeyPair {
        KeyPair::from_seed(self.text(&format!("secrets/{name}.nk")).trim()).unwrap()
    }

    /// The account of devices: its public key.
    pub fn devices(&self) -> String {
        self.key("devices-account").public_key()
    }

    /// What signs devices (`device`) or tokens (`enroll`).
    pub fn signer(&self, name: &str) -> AccountKey {
        AccountKey::new(self.key(name), self.devices())
    }

    /// A new credential of this Mac, for an hour.
    pub fn device(&self, serial: &str) -> User {
        self.device_until(serial, jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1))
    }

    /// A new credential of this Mac, until then.
    pub fn device_until(&self, serial: &str, end: jiff::Timestamp) -> User {
        let pair = KeyPair::new_user();
        let key = UserKey::new(pair.public_key()).unwrap();
        let validity = Validity::from(Time::from(jiff::Timestamp::now())).until(Time::from(end));
        let jwt = self.signer("device").device(&Serial::new(serial).unwrap(), &key, validity).unwrap();
        User { jwt, seed: pair.seed().unwrap(), inbox: Some(format!("_INBOX.{serial}")) }
    }

    /// A new enrolment token, without an end.
    pub fn token(&self, id: &str) -> EnrollmentToken {
        let pair = KeyPair::new_user();
        let key = UserKey::new(pair.public_key()).unwrap();
        let validity = Validity::from(Time::from(jiff::Timestamp::now()));
        let jwt = self.signer("enroll").token(&TokenId::new(id).unwrap(), &key, validity).unwrap();
        EnrollmentToken::new(jwt, pair.seed().unwrap()).unwrap()
    }

    /// The user of a credentials file of the folder.
    pub fn user(&self, path: &str) -> User {
        let text = self.text(path);
        let after = |mark: &str| text.split_once(mark).unwrap().1.lines().nth(1).unwrap().to_owned();
        User { jwt: after("BEGIN NATS USER JWT"), seed: after("BEGIN USER NKEY SEED"), inbox: None }
    }

    /// Options that trust the folder's authority.
    pub fn options(&self, user: &User) -> ConnectOptions {
        self.trusting(user, &self.file(files::CA))
    }

    /// Options that trust these roots.
    pub fn trusting(&self, user: &User, roots: &Path) -> ConnectOptions {
        let key = Arc::new(KeyPair::from_seed(&user.seed).unwrap());
        let options = ConnectOptions::with_jwt(user.jwt.clone(), move |nonce| {
            let signed = key.sign(&nonce).map_err(async_nats::AuthError::new);
            std::future::ready(signed)
        });
        let options = options.add_root_certificates(roots.to_owned()).require_tls(true).max_reconnects(1);
        match &user.inbox {
            Some(inbox) => options.custom_inbox_prefix(inbox.clone()),
            None => options,
        }
    }

    /// Connects once; says why it cannot.
    pub async fn try_connect(&self, user: &User) -> Result<Connected, String> {
        self.try_connect_with(self.options(user)).await
    }

    /// The same, with options of one's own.
    pub async fn try_connect_with(&self, options: ConnectOptions) -> Result<Connected, String> {
        Connected::connect(options, &self.url()).await
    }

    /// Connects.
    pub async fn connect(&self, user: &User) -> Connected {
        self.try_connect(user).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The streams, as an administrator sees them.
    pub async fn streams(&self) -> Streams {
        Streams::of(self.connect(&self.user(files::ADMIN)).await.client)
    }

    /// `emote` with this folder.
    pub async fn emote(&self, args: &[&str]) -> std::process::Output {
        emote(&[args, &["--config", self.config.to_str().unwrap()]].concat()).await
    }

    /// Brings an account's JWT up to date at the server: what it says is changed by `change`. As the broker does it.
    pub async fn update_account(&self, account: &str, change: impl FnOnce(&mut serde_json::Value)) {
        self.update_account_by("operator-signing", account, change).await;
    }

    /// The same, signed by another of the operator's keys.
    pub async fn update_account_by(&self, signer: &str, account: &str, change: impl FnOnce(&mut serde_json::Value)) {
        let system = self.connect(&self.user(files::SYSTEM)).await.client;
        let asked = system.request(format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP"), "".into()).await.unwrap();
        let current = Claims::verified(std::str::from_utf8(&asked.payload).unwrap()).unwrap();
        let mut nats = current.nats;
        change(&mut nats);
        let (signer, validity) = (self.key(signer), Validity::from(Time::from(jiff::Timestamp::now())));
        let jwt = emote::identity::jwt::signed(&current.name, account, &signer, validity, nats).unwrap();
        let answer = system.request("$SYS.REQ.CLAIMS.UPDATE", jwt.into()).await.unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        assert_eq!(answer["data"]["code"], 200, "{answer}");
    }

    /// Has the server refuse JWTs that were made up to now for this public key (`*`: for all).
    pub async fn revoke(&self, key: &str) {
        let now = jiff::Timestamp::now().as_second();
        self.update_account(&self.devices(), |nats| nats["revocations"][key] = now.into()).await;
    }
}

impl From<&EnrollmentToken> for User {
    fn from(token: &EnrollmentToken) -> Self {
        let inbox = Some(format!("_ENROLL.{}", token.id()));
        Self { jwt: token.jwt().to_owned(), seed: token.seed().to_owned(), inbox }
    }
}

impl User {
    /// The public key.
    pub fn public_key(&self) -> String {
        KeyPair::from_seed(&self.seed).unwrap().public_key()
    }
}

impl Connected {
    /// Connects once; says why it cannot.
    pub async fn connect(options: ConnectOptions, url: &str) -> Result<Self, String> {
        let errors = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&errors);
        let options = options.event_callback(move |event| {
            if let Event::ServerError(_) | Event::ClientError(_) | Event::Disconnected | Event::Closed = event {
                heard.lock().unwrap().push(event.to_string());
            }
            std::future::ready(())
        });
        let client = options.connect(url).await.map_err(|error| format!("{error}: {error:?}"))?;
        Ok(Self { client, errors })
    }

    /// What the server refused, and what else went wrong, until now.
    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap().clone()
    }

    /// Waits until everything is sent. Other connections may still be dealt with first.
    pub async fn settled(&self) {
        self.client.flush().await.unwrap();
    }

    /// Waits until an error holds this text.
    pub async fn told(&self, text: &str) {
        until(&format!("{text:?} is told"), async || self.errors().iter().any(|error| error.contains(text))).await;
    }
}

/// Changes texts in a file, each of which must be in it.
pub fn change(path: &Path, changes: &[(&str, &str)]) {
    let mut text = std::fs::read_to_string(path).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} is not in {}", path.display());
        text = text.replace(from, to);
    }
    std::fs::write(path, text).unwrap();
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.broker.kill();
        self.kill();
        let failed = std::thread::panicking();
        if let Some(folder) = self.folder.take_if(|_| failed) {
            eprintln!("what was left is kept in {}", folder.keep().display());
        }
    }
}

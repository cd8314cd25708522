//! A whole Emote: nats-server, broker, agents, and stand-ins for Slack and NanoMDM. Its secrets are planted, and it ends with
//! a search for them wherever they must not be.

use std::{
    path::{Path, PathBuf},
    process::Output,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Agent, Broker, NatsServer, Reply, Seen, StandIn, Streams, copy_folder, emote, free_port, leaks_in, leaks_under,
    planted, private_file, programs::built, webhook,
};

/// What NanoMDM says of a command that it took.
const ENQUEUED: &str = r#"{"status":{"x":{"push_result":"y"}},"command_uuid":"z"}"#;

/// What is to be started; see [`Stack::new`].
pub struct Builder {
    files: Vec<(String, String)>,
    lines: Vec<(String, String)>,
    agents: Vec<String>,
    broker: bool,
    nats: bool,
    password: Option<String>,
    secrets: Vec<String>,
    env: Vec<(&'static str, String)>,
    expected: Vec<&'static str>,
}

impl Builder {
    /// Plants a secret of this name beside those that `emote init` makes.
    #[must_use]
    pub fn secret(mut self, name: &str) -> Self {
        self.secrets.push(name.to_owned());
        self
    }

    /// The broker is started with this variable in its environment.
    #[must_use]
    pub fn env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    /// NATS lets in the user `emote` with this password and nobody else.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Writes or replaces a file of the configuration folder.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// Adds lines to a file of the configuration folder that `emote init` wrote.
    #[must_use]
    pub fn lines(mut self, path: &str, text: &str) -> Self {
        self.lines.push((path.to_owned(), text.to_owned()));
        self
    }

    /// With an agent of this serial number.
    #[must_use]
    pub fn agent(mut self, serial: &str) -> Self {
        self.agents.push(serial.to_owned());
        self
    }

    /// The broker is started by the test, if at all.
    #[must_use]
    pub fn without_broker(mut self) -> Self {
        self.broker = false;
        self
    }

    /// NATS is started by the test, if at all.
    #[must_use]
    pub fn without_nats(mut self) -> Self {
        (self.nats, self.broker) = (false, false);
        self
    }

    /// An ERROR line that holds this text does not fail the test.
    #[must_use]
    pub fn expect_error(mut self, text: &'static str) -> Self {
        self.expected.push(text);
        self
    }

    /// Starts all of it.
    pub async fn start(self) -> Stack {
        rustls::crypto::ring::default_provider().install_default().ok();
        built();
        let folder = TempDir::with_prefix("emote-test-").unwrap();
        let (config, logs) = (folder.path().join("config"), folder.path().join("logs"));
        std::fs::create_dir(&logs).unwrap();
        let slack = StandIn::fine("ok").await;
        let mdm = StandIn::fine(ENQUEUED).await;
        let made = emote(&["init", config.to_str().unwrap(), "--mdm-url", &mdm.url]).await;
        assert!(made.status.success(), "{made:?}");
        plant(&config.join("secrets"), &self.secrets, &slack.url);
        let mut nats = NatsServer::stopped(&folder.path().join("nats"), &logs);
        if let Some(password) = &self.password {
            nats.configure(&format!("authorization {{user: emote, password: {password:?}}}\n"));
            private_file(&config.join("secrets/nats-password"), password);
        }
        if self.nats {
            nats.start_again().await;
        }
        let ports = (free_port(), free_port(), free_port());
        let user = if self.password.is_some() { USER } else { "" };
        write(&config, "emote.yaml", &settings(&nats.url(), user, ports));
        write(&config, "targets/slack.yaml", SLACK);
        for path in MDM_TARGETS {
            append(&config, path, QUICK);
        }
        for (path, text) in &self.files {
            write(&config, path, text);
        }
        for (path, text) in &self.lines {
            append(&config, path, text);
        }
        let (config_dir, log_dir, env) = (config.clone(), logs.clone(), self.env);
        let (port, ops, console) = ports;
        let mut broker = Broker { config: config_dir, logs: log_dir, port, ops, console, env, process: None };
        if self.broker {
            broker.start().await;
        }
        let streams = match &self.password {
            Some(password) => Streams::connect_as(&nats.url(), "emote", password).await,
            None => Streams::connect(&nats.url()).await,
        };
        let mut agents: Vec<Agent> =
            self.agents.iter().map(|serial| Agent::new(serial, folder.path(), &logs, &nats.url())).collect();
        for agent in &mut agents {
            agent.start().await;
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        let folder = Some(folder);
        Stack { agents, broker, nats, config, logs, slack, mdm, streams, http, expected: self.expected, folder }
    }
}

/// Puts secrets that are found again in the place of those that `emote init` has made at random.
fn plant(secrets: &Path, more: &[String], slack: &str) {
    let made = std::fs::read_dir(secrets).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for name in made.collect::<Vec<_>>().iter().chain(more) {
        private_file(&secrets.join(name), &planted(name));
    }
    let hook = format!("{slack}/services/T000/B000/{}", planted("slack-webhook"));
    private_file(&secrets.join("slack-webhook"), &hook);
}

/// The targets that send commands to the MDM.
const MDM_TARGETS: [&str; 2] = ["targets/mdm.yaml", "targets/mdm-lock.yaml"];
/// Retries without long waits.
const QUICK: &str = "timeout: 2s\nretry: {max_attempts: 20, backoff: {initial: 20ms, max: 200ms}}\n";
const SLACK: &str = "kind: slack\nwebhook: ${file:secrets/slack-webhook}\nchannel: \"#clients\"\ntimeout: 2s\n\
                     retry: {max_attempts: 20, backoff: {initial: 20ms, max: 200ms}}\n";

/// Who the broker is where NATS wants to know.
const USER: &str = ", user: emote, password: \"${file:secrets/nats-password}\"";

fn settings(nats: &str, user: &str, ports: (u16, u16, u16)) -> String {
    format!("nats: {{servers: [\"{nats}\"]{user}}}\n{}", listeners(ports))
}

fn listeners((port, ops, console): (u16, u16, u16)) -> String {
    format!(
        "ingest: {{listen: \"127.0.0.1:{port}\"}}\nops: {{listen: \"127.0.0.1:{ops}\"}}\ndata: data\n\
         console:\n  listen: \"127.0.0.1:{console}\"\n"
    )
}

fn write(config: &Path, path: &str, text: &str) {
    let path = config.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn append(config: &Path, path: &str, text: &str) {
    let before = std::fs::read_to_string(config.join(path)).unwrap();
    write(config, path, &format!("{before}{text}"));
}

/// How a webhook was answered. Status 0: it was not.
#[derive(Debug, Clone)]
pub struct Posted {
    /// The status.
    pub status: u16,
    /// `Retry-After`.
    pub retry_after: Option<String>,
    /// The body.
    pub body: Value,
}

impl Posted {
    /// The ids of the events that it became.
    pub fn events(&self) -> Vec<String> {
        let ids = self.body["events"].as_array().into_iter().flatten();
        ids.filter_map(|id| id.as_str().map(str::to_owned)).collect()
    }
}

/// The whole.
pub struct Stack {
    /// Agents, in the order they were named.
    pub agents: Vec<Agent>,
    /// The broker.
    pub broker: Broker,
    /// The server.
    pub nats: NatsServer,
    /// The configuration folder.
    pub config: PathBuf,
    /// A file a program.
    pub logs: PathBuf,
    /// What takes Slack's messages.
    pub slack: StandIn,
    /// What takes NanoMDM's commands.
    pub mdm: StandIn,
    /// The streams themselves.
    pub streams: Streams,
    /// For whatever is not here.
    pub http: reqwest::Client,
    expected: Vec<&'static str>,
    folder: Option<TempDir>,
}

impl Stack {
    /// NATS, a broker with the folder that `emote init` writes, and stand-ins.
    #[must_use]
    #[expect(clippy::new_ret_no_self, reason = "reads as what it is: a new stack, described, then started")]
    pub fn new() -> Builder {
        Builder {
            files: Vec::new(),
            lines: Vec::new(),
            agents: Vec::new(),
            broker: true,
            nats: true,
            password: None,
            secrets: Vec::new(),
            env: Vec::new(),
            expected: Vec::new(),
        }
    }

    /// The agent of this serial number.
    pub fn agent(&mut self, serial: &str) -> &mut Agent {
        self.agents.iter_mut().find(|agent| agent.serial == serial).unwrap()
    }

    /// A secret of the configuration folder.
    pub fn secret(&self, name: &str) -> String {
        std::fs::read_to_string(self.config.join("secrets").join(name)).unwrap().trim().to_owned()
    }

    /// Where a source takes webhooks.
    pub fn url(&self, source: &str) -> String {
        format!("http://127.0.0.1:{}/in/{source}", self.broker.port)
    }

    /// Sends a request of one's own.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Posted {
        let Ok(response) = request.send().await else {
            return Posted { status: 0, retry_after: None, body: Value::Null };
        };
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        match response.bytes().await {
            Ok(body) => Posted { status, retry_after, body: serde_json::from_slice(&body).unwrap_or_default() },
            Err(_) => Posted { status: 0, retry_after: None, body: Value::Null },
        }
    }

    /// Posts as NanoMDM does.
    pub async fn nanomdm(&self, payload: &Value) -> Posted {
        let body = payload.to_string();
        let signature = webhook::hmac_base64(&self.secret("nanomdm-webhook-key"), body.as_bytes());
        let request = self.http.post(self.url("nanomdm")).header("X-Hmac-Signature", signature);
        self.send(request.header("Content-Type", "application/json; charset=utf-8").body(body)).await
    }

    /// Posts as Okta does.
    pub async fn okta(&self, payload: &Value) -> Posted {
        self.okta_at(self.broker.port, payload).await
    }

    /// The same, to the broker at this port.
    pub async fn okta_at(&self, port: u16, payload: &Value) -> Posted {
        let request = self
            .http
            .post(format!("http://127.0.0.1:{port}/in/okta"))
            .header("Authorization", self.secret("okta-hook-secret"));
        self.send(request.json(payload)).await
    }

    /// Posts an asset record.
    pub async fn asset(&self, record: &Value) -> Posted {
        let request = self.http.post(self.url("assets")).bearer_auth(self.secret("assets-token"));
        self.send(request.json(record)).await
    }

    /// `emote` with the server's address at the end.
    pub async fn emote(&self, args: &[&str]) -> Output {
        let output = emote(&[args, &["--server", &self.nats.url()]].concat()).await;
        let leaks = [leaks_in(&output.stdout), leaks_in(&output.stderr)].concat();
        assert!(leaks.is_empty(), "emote {args:?} shows a secret: {leaks:?}");
        output
    }

    /// The same, where it must end well: what it printed.
    pub async fn shown(&self, args: &[&str]) -> String {
        let output = self.emote(args).await;
        assert!(output.status.success(), "emote {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The answer of a stand-in that takes a command as NanoMDM does.
    pub fn enqueued(_: &Seen) -> Reply {
        (200, Vec::new(), ENQUEUED.to_owned())
    }

    /// Hands the broker over, to be put back later; until then its port is known.
    pub fn take_broker(&mut self) -> Broker {
        let (config, logs, env) = (self.config.clone(), self.logs.clone(), self.broker.env.clone());
        let (port, ops, console) = self.broker.ports();
        std::mem::replace(&mut self.broker, Broker { config, logs, port, ops, console, env, process: None })
    }

    /// From its next start on, the broker reaches NATS at this address.
    pub fn lead_broker_to(&self, nats: &str) {
        write(&self.config, "emote.yaml", &settings(nats, "", self.broker.ports()));
    }

    /// The same, where NATS is a cluster, that keeps as many copies of each stream as it has servers.
    pub fn lead_broker_to_cluster(&self, nats: &[String]) {
        let nats_and_streams = format!("nats: {{servers: {nats:?}}}\nstreams: {{replicas: {}}}\n", nats.len());
        let listeners = listeners(self.broker.ports());
        write(&self.config, "emote.yaml", &format!("{nats_and_streams}{listeners}"));
    }

    /// From its next start on, the broker reaches the MDM at this address.
    pub fn lead_broker_to_mdm(&self, mdm: &str) {
        for path in MDM_TARGETS {
            let text = std::fs::read_to_string(self.config.join(path)).unwrap();
            write(&self.config, path, &text.replace(&self.mdm.url, mdm));
        }
    }

    /// An agent that reaches NATS at these addresses, separated by commas. Not started.
    pub fn new_agent(&self, serial: &str, servers: &str) -> Agent {
        Agent::new(serial, &self.config.with_file_name("agents"), &self.logs, servers)
    }

    /// A second broker, on the same NATS with the same rules, with a store and a port of its own. Not started.
    pub fn other_broker(&self) -> Broker {
        self.other_broker_at(&self.nats.url())
    }

    /// The same, which reaches NATS at this address.
    pub fn other_broker_at(&self, nats: &str) -> Broker {
        let (port, ops, console) = (free_port(), free_port(), free_port());
        let config = self.config.with_file_name(format!("other-broker-{port}"));
        copy_folder(&self.config, &config, &["data"]);
        write(&config, "emote.yaml", &settings(nats, "", (port, ops, console)));
        let (logs, env) = (self.logs.clone(), self.broker.env.clone());
        Broker { config, logs, port, ops, console, env, process: None }
    }

    /// Everything that programs logged.
    pub fn logged(&self) -> String {
        let files = std::fs::read_dir(&self.logs).unwrap();
        let texts = files.map(|file| {
            let path = file.unwrap().path();
            format!("== {}\n{}", path.display(), std::fs::read_to_string(&path).unwrap_or_default())
        });
        texts.collect()
    }

    fn errors(&self) -> Vec<String> {
        let logged = self.logged();
        let is_error = |line: &&str| {
            (line.contains(" ERROR ")
                || line.contains("panicked at")
                || line.contains("[ERR]")
                || line.contains("[FTL]"))
                && !self.expected.iter().any(|expected| line.contains(expected))
        };
        logged.lines().filter(is_error).map(str::to_owned).collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.agents.iter_mut().for_each(Agent::kill);
        self.broker.kill();
        self.nats.kill();
        let errors = self.errors();
        let leaks = self.folder.as_ref().map(|folder| leaks_under(folder.path())).unwrap_or_default();
        let failed = std::thread::panicking() || !errors.is_empty() || !leaks.is_empty();
        if let Some(folder) = self.folder.take_if(|_| failed) {
            eprintln!("what was left is kept in {}", folder.keep().display());
        }
        if !std::thread::panicking() {
            assert!(errors.is_empty(), "logged although nothing of the kind was expected:\n{}", errors.join("\n"));
            assert!(leaks.is_empty(), "secrets are where they must not be:\n{}", leaks.join("\n"));
        }
    }
}

//! A real nats-server: TLS, users by JWT, and the stream EVENTS.

use std::{path::Path, process::Command};

use anyhow::Context;
use async_nats::{
    ConnectOptions,
    jetstream::{self, stream},
};
use emote_tests::{Process, free_port};

use crate::authority::Authority;

/// How agents and this program prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    /// Everybody with a JWT of their own.
    Jwt,
    /// Everybody with the same token: for agents that do not know `--credentials`.
    Token,
}

impl Auth {
    /// The agent's option for a file with it.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Jwt => "--credentials",
            Self::Token => "--token-file",
        }
    }
}

const TOKEN: &str = "emote-weight";

/// A running server.
pub(crate) struct Server {
    authority: Authority,
    pub(crate) auth: Auth,
    port: u16,
    stream: stream::Stream,
    /// What it says of itself.
    pub(crate) version: String,
    _process: Process,
}

impl Server {
    /// Starts one in `folder`.
    pub(crate) async fn start(folder: &Path, auth: Auth) -> anyhow::Result<Self> {
        let authority = Authority::new()?;
        let found = emote::localnats::find()?;
        let port = free_port();
        for (name, text) in [
            ("ca.pem", &authority.roots),
            ("cert.pem", &authority.server.certificate),
            ("key.pem", &authority.server.key),
        ] {
            std::fs::write(folder.join(name), text)?;
        }
        let at = |name: &str| folder.join(name).display().to_string();
        let configuration = format!(
            "listen: 127.0.0.1:{port}\njetstream {{ store_dir: {:?} }}\ntls {{ cert_file: {:?}, key_file: {:?} }}\n{}",
            at("jetstream"),
            at("cert.pem"),
            at("key.pem"),
            match auth {
                Auth::Jwt => authority.resolver(&at("jwt")),
                Auth::Token => format!("authorization {{ token: {TOKEN:?} }}\n"),
            }
        );
        std::fs::write(folder.join("nats.conf"), configuration)?;
        let mut command = Command::new(&found.path);
        command.arg("-c").arg(folder.join("nats.conf"));
        let process = Process::start("nats-server", command, folder);
        let stream = Self::stream(&authority, auth, port, folder).await.with_context(|| process.log())?;
        Ok(Self { authority, auth, port, stream, version: found.version, _process: process })
    }

    async fn stream(authority: &Authority, auth: Auth, port: u16, folder: &Path) -> anyhow::Result<stream::Stream> {
        let options = match auth {
            Auth::Jwt => ConnectOptions::with_credentials(authority.broker()?)?,
            Auth::Token => ConnectOptions::with_token(TOKEN.into()),
        };
        let options = options.retry_on_initial_connect().add_root_certificates(folder.join("ca.pem"));
        let js = jetstream::new(options.connect(url(port)).await?);
        let config = stream::Config {
            name: emote_proto::stream::EVENTS.into(),
            subjects: vec!["events.>".into()],
            allow_atomic_publish: true,
            allow_direct: true,
            ..stream::Config::default()
        };
        Ok(js.create_stream(config).await?)
    }

    /// Where it is.
    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    /// The text of the file with which the agent of this serial number proves who it is.
    pub(crate) fn proof(&self, serial: &str) -> anyhow::Result<String> {
        if self.auth == Auth::Token {
            return Ok(TOKEN.to_owned());
        }
        self.authority.device(serial)
    }

    /// When the last event of this serial number and name was stored, in nanoseconds since 1970.
    pub(crate) async fn stored(&self, serial: &str, name: &str) -> Option<i128> {
        let subject = format!("events.agent.{serial}.{name}");
        let message = self.stream.get_last_raw_message_by_subject(&subject).await.ok()?;
        Some(message.time.unix_timestamp_nanos())
    }
}

fn url(port: u16) -> String {
    format!("tls://127.0.0.1:{port}")
}

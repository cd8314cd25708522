//! `emote init --secure`: keys, certificates and a nats-server's configuration.

use std::path::{Path, PathBuf};

use anyhow::Context;
use emote_proto::NodeKey;
use serde_json::json;

use super::{place::Place, renew};
use crate::identity::{
    authority::{Authority, Issued},
    files,
    tls::{self, Names, Pair},
};

const SETTINGS: &str = include_str!("parts/secure.yaml");
const SERVER: &str = include_str!("parts/nats-server.conf");
const TRUST: &str = include_str!("parts/trust.yaml");
const README: &str = include_str!("parts/README.md");
const KEYS: &str = include_str!("parts/secrets.md");
/// What the table of keys says where the authority is ours.
const CA_KEY: &str = "| `ca.key` | servers' certificates: whoever has it can be your NATS | `emote init --renew-tls`, once a \
                      year: **take it offline** |\n";

/// JWTs are as of a minute ago: what is signed next is newer for sure, and the server keeps the newest.
const BEFORE: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

#[derive(Debug, Default, clap::Args)]
pub(super) struct SecureArgs {
    /// With users, keys and TLS: everything that a NATS for Macs out there needs
    #[arg(long)]
    secure: bool,
    /// A name or address of the server, as Macs and brokers know it; several for several
    #[arg(long = "host", value_name = "NAME", help_heading = "With --secure")]
    hosts: Vec<String>,
    /// Your name: orders given with the administrator's credentials are under it [default: who runs this]
    #[arg(long, value_name = "NAME", requires = "secure", help_heading = "With --secure")]
    admin: Option<String>,
    /// Your own certificate authority, PEM, instead of one that is made
    #[arg(long, value_name = "FILE", requires_all = ["secure", "cert", "key"], help_heading = "With --secure")]
    ca: Option<PathBuf>,
    /// The server's certificate by that authority, PEM, with those between them
    #[arg(long, value_name = "FILE", requires = "ca", help_heading = "With --secure")]
    cert: Option<PathBuf>,
    /// The key of that certificate, PEM
    #[arg(long, value_name = "FILE", requires = "ca", help_heading = "With --secure")]
    key: Option<PathBuf>,
    /// Give the `nats` command a context of this name, too
    #[arg(
        long,
        value_name = "NAME",
        num_args = 0..=1,
        default_missing_value = "emote",
        requires = "secure",
        help_heading = "With --secure"
    )]
    nats_context: Option<String>,
    /// In a folder that is there: make the server's certificate anew, for another year
    #[arg(long, conflicts_with_all = ["secure", "ca", "cert", "key"], help_heading = "With --secure")]
    renew_tls: bool,
    /// In a folder that is there: sign the administrator's credentials anew, with what this version wants of them
    #[arg(long, conflicts_with_all = ["secure", "ca", "cert", "key", "hosts", "renew_tls"], help_heading = "With --secure")]
    renew_admin: bool,
}

/// What is written into a folder's own files because it is a secure one.
pub(super) struct Written {
    /// The section of emote.yaml.
    pub(super) settings: String,
    /// The part of README.md.
    pub(super) readme: String,
    /// Files that are not for git.
    pub(super) ignored: &'static str,
}

struct Tls {
    roots: String,
    server: Pair,
    /// The authority's key where it is ours.
    key: Option<String>,
}

impl SecureArgs {
    /// Whether it was asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.secure
    }

    /// Makes anew what is to be, in a folder that is there, and says what was done; nothing where that was not asked for.
    pub(super) fn renew(&self, folder: &Path) -> anyhow::Result<Option<&'static str>> {
        if self.renew_tls {
            renew::certificate(&self.hosts, folder)?;
            return Ok(Some(
                "Wrote the next certificate: nats-server takes it on `nats-server --signal reload`, or when it is started.",
            ));
        }
        if self.renew_admin {
            renew::admin(folder)?;
            return Ok(Some(
                "Wrote nats/admin.creds: give it to whoever has the one before, and take secrets/service.nk offline.",
            ));
        }
        Ok(None)
    }

    /// Writes all of it but what goes into files that every folder has.
    pub(super) fn write(&self, place: &Place, folder: &Path) -> anyhow::Result<Written> {
        let now = jiff::Timestamp::now();
        let tls = self.tls(now)?;
        let authority = Authority::new();
        let issued = authority.issue(&self.admin()?, (now - BEFORE).into())?;
        place.private(files::FOLDER)?;
        place.private(files::RESOLVER)?;
        for file in authority.files()? {
            place.write(format!("secrets/{}", file.name), &file.seed, 0o600)?;
        }
        for (name, text) in &issued.credentials {
            place.write(format!("{}/{name}", files::FOLDER), text, 0o600)?;
        }
        let host = self.host();
        place.write(files::SERVER, &SERVER.replace("@HOST@", &host), 0o644)?;
        place.write(files::IDENTITY, &issued.server_configuration(files::RESOLVER), 0o644)?;
        place.write(files::OPERATOR, &issued.operator, 0o644)?;
        place.write(files::CA, &tls.roots, 0o644)?;
        place.write(files::CERTIFICATE, &tls.server.certificate, 0o644)?;
        place.write(files::KEY, &tls.server.key, 0o600)?;
        if let Some(key) = &tls.key {
            place.write(files::CA_KEY, key, 0o600)?;
        }
        let ours = tls.key.is_some();
        place.write("secrets/README.md", &KEYS.replace("@CA@\n", if ours { CA_KEY } else { "" }), 0o600)?;
        place.write("trust.yaml", TRUST, 0o644)?;
        place.write(files::CONTEXT, &self.context(folder)?, 0o600)?;
        Ok(written(&host, &issued, ours))
    }

    fn admin(&self) -> anyhow::Result<NodeKey> {
        let user = || std::env::var("USER").ok().filter(|name| !name.is_empty());
        let name = self.admin.clone().or_else(user).unwrap_or_else(|| "admin".to_owned());
        NodeKey::new(name.to_lowercase()).context("--admin")
    }

    fn tls(&self, now: jiff::Timestamp) -> anyhow::Result<Tls> {
        let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()));
        let (Some(ca), Some(cert), Some(key)) = (&self.ca, &self.cert, &self.key) else {
            let names = Names::new(&self.hosts).context("--host")?;
            let authority = tls::authority(today)?;
            let server = tls::server(&authority.key, &names, today)?;
            return Ok(Tls { roots: authority.certificate, server, key: Some(authority.key) });
        };
        anyhow::ensure!(!self.hosts.is_empty(), "--cert: name the server with --host, as the certificate does");
        let (roots, server) = (read(ca)?, Pair { certificate: read(cert)?, key: read(key)? });
        let names = Names::only(&self.hosts).context("--host")?;
        let now = std::time::Duration::from_secs(now.as_second().unsigned_abs());
        tls::check(&roots, &server, &names, now).with_context(|| format!("--cert {}", cert.display()))?;
        Ok(Tls { roots, server, key: None })
    }

    /// How the server is known, as addresses have it.
    fn host(&self) -> String {
        match self.hosts.first() {
            Some(host) if host.contains(':') => format!("[{host}]"),
            Some(host) => host.clone(),
            None => "localhost".to_owned(),
        }
    }

    /// A context of the `nats` command, once the folder is in its place.
    fn context(&self, folder: &Path) -> anyhow::Result<String> {
        let folder = std::path::absolute(folder).with_context(|| format!("{}", folder.display()))?;
        let context = json!({
            "description": "Emote's administrator",
            "url": format!("tls://{}:4222", self.host()),
            "creds": folder.join(files::ADMIN),
            "ca": folder.join(files::CA),
        });
        Ok(format!("{context:#}\n"))
    }

    /// Gives the `nats` command its context, if that was asked for.
    pub(super) fn install_context(&self, folder: &Path) -> anyhow::Result<Option<PathBuf>> {
        let Some(name) = &self.nats_context else { return Ok(None) };
        let path = context_path(name)?;
        super::place::write_new(&path, &self.context(folder)?, 0o600).context("--nats-context")?;
        Ok(Some(path))
    }

    /// Refuses, before anything is written, what would fail at the end.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.secure || self.renew_tls || self.hosts.is_empty(), "--host is for --secure");
        let Some(name) = &self.nats_context else { return Ok(()) };
        let path = context_path(name)?;
        anyhow::ensure!(!path.exists(), "--nats-context: {} is there already: name another", path.display());
        Ok(())
    }
}

fn written(host: &str, issued: &Issued, ours: bool) -> Written {
    let renew = if ours { ", which holds for a year: `emote init --renew-tls .` makes the next" } else { "" };
    Written {
        settings: SETTINGS.replace("@HOST@", host).replace("@DEVICES@", &issued.devices.0),
        readme: README.replace("@RENEW@", renew),
        ignored: "/nats/*.creds\n/nats/*.key\n/nats/jetstream/\n/nats/jwt/\n",
    }
}

/// Where the `nats` command looks for a context of this name.
fn context_path(name: &str) -> anyhow::Result<PathBuf> {
    let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    anyhow::ensure!(fits, "--nats-context {name:?}: use letters, digits, - and _");
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    Ok(config.context("HOME is not set")?.join(format!("nats/context/{name}.json")))
}

//! The settings file: TOML with whose profiles these are, what they bring, and the agent's own settings in `[agent]`, which
//! the agent's own code judges. Everything that is wrong is told at once, with line and column.
//!
//! The enrolment token is a reference; it is read, checked, and written into the profile alone.

mod anchors;
mod keys;
mod reader;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, ensure};
use emote_agent::settings::{Layer, Origin, Problem, Tree, evaluate};
use emote_proto::deploy::check_url;
use emote_proto::enroll::EnrollmentToken;
use emote_proto::jwt::Claims;
use serde_json::Value as Json;
use zeroize::Zeroizing;

pub use self::anchors::Anchor;
use self::keys::AGENT;
pub use self::keys::example;
use self::reader::{Reader, is_unwritable_text};
use crate::pkg::IDENTIFIER;
use crate::pkg::sign::Secret;

/// More than any settings file needs.
const MOST_BYTES: u64 = 256 << 10;
const TOKEN: &str = "enrollment.token";
/// What the package's version takes the place of.
const VERSION: &str = "{version}";
/// A token that ends sooner is worth a word.
const SOON: i64 = 14 * 86_400;

/// What the file says, checked.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Whose profiles these are.
    pub organization: String,
    /// With which identifiers begin.
    pub identifier: String,
    /// The agent's settings, with token and CA where they belong.
    pub agent: Tree,
    /// Whether a secret is in them.
    pub has_secret: bool,
    /// What the whole Mac is to trust.
    pub system_anchors: Vec<Anchor>,
    /// Where Macs fetch the package, with `{version}` where its version is to stand.
    pub package_url: Option<String>,
    /// Where Macs fetch the manifest.
    pub manifest_url: Option<String>,
    /// Certificates (DER) that the manifest's server must show.
    pub pinned: Vec<Vec<u8>>,
    /// Whether the declaration installs the package, or offers it.
    pub is_required: bool,
    /// Whose Developer ID the package has.
    pub team: Option<String>,
    /// What the agent's signature must be.
    pub requirement: Option<String>,
    /// Whether people are kept from switching the agent off.
    pub login_item: bool,
    /// Whether the agent may read what macOS protects.
    pub full_disk_access: bool,
    /// Of Munki.
    pub catalogs: Vec<String>,
    /// What is worth a thought.
    pub warnings: Vec<String>,
}

/// All that is wrong in a settings file.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n       "))]
pub struct Problems(Vec<String>);

impl Settings {
    /// Where Macs fetch the package of a version, or of what stands for it.
    pub fn package_url_of(&self, version: &str) -> Option<String> {
        self.package_url.as_ref().map(|url| url.replace(VERSION, version))
    }

    /// Reads a file and what it refers to; the token where it will be written. `now` is in seconds since 1970.
    pub fn read(path: &Path, now: i64, with_token: bool) -> anyhow::Result<Self> {
        let metadata = std::fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
        ensure!(metadata.is_file(), "{} is no file: emote-packaging profile --example writes one", path.display());
        ensure!(metadata.len() <= MOST_BYTES, "{} is larger than {} KiB", path.display(), MOST_BYTES >> 10);
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(Self::parse((&path.display().to_string(), &text), folder, now, with_token)?)
    }

    fn parse((file, text): (&str, &str), folder: &Path, now: i64, with_token: bool) -> Result<Self, Problems> {
        let mut reader = Reader::new(file, text).map_err(|problem| Problems(vec![problem]))?;
        let mut settings = Self::own(&mut reader, folder);
        settings.agent = reader.tree.below(AGENT);
        settings.take_anchors(&mut reader, folder, now);
        if with_token {
            settings.take_token(&mut reader, folder, now);
        }
        settings.check_agent(&mut reader);
        let problems = reader.into_problems();
        if problems.is_empty() { Ok(settings) } else { Err(Problems(problems)) }
    }

    /// The keys that are not the agent's.
    fn own(reader: &mut Reader, folder: &Path) -> Self {
        let organization = reader.checked("organization", |text| match text.len() {
            1..=255 => Ok(text.to_owned()),
            _ => Err("expected 1 to 255 bytes"),
        });
        if reader.tree.get("organization").is_none() {
            reader.problem("organization", "it must be said: whose profiles these are");
        }
        let manifest_url = reader.checked("package.manifest_url", url);
        // A server's own may be pinned, too.
        let pinned = certificates(reader, "package.pin", folder, |_| Ok(()));
        if !pinned.is_empty() && reader.tree.get("package.manifest_url").is_none() {
            reader.problem(
                "package.pin",
                "only with package.manifest_url: macOS pins nothing for a manifest in a command",
            );
        }
        let catalogs = reader.texts("munki.catalogs");
        Self {
            organization: organization.unwrap_or_default(),
            identifier: reader.checked("identifier", identifier).unwrap_or_else(|| IDENTIFIER.to_owned()),
            package_url: reader.checked("package.url", package_url),
            manifest_url,
            pinned: pinned.into_iter().map(|anchor| anchor.der).collect(),
            is_required: reader.text("package.install").as_deref() != Some("optional"),
            team: reader.checked("package.team", team),
            requirement: reader.text("package.requirement"),
            login_item: reader.flag("profiles.login_item", true),
            full_disk_access: reader.flag("profiles.full_disk_access", false),
            catalogs: if catalogs.is_empty() { vec!["testing".to_owned()] } else { catalogs },
            ..Self::default()
        }
    }

    /// The CA: into the agent's settings, into payloads of their own, or both.
    fn take_anchors(&mut self, reader: &mut Reader, folder: &Path, now: i64) {
        let anchors = certificates(reader, "ca.files", folder, Anchor::check_authority);
        let trust = reader.text("ca.trust").unwrap_or_else(|| "agent".to_owned());
        for anchor in anchors.iter().filter(|anchor| i64::try_from(anchor.ends).is_ok_and(|ends| ends <= now)) {
            reader.problem("ca.files", format!("the certificate {:?} has ended", anchor.name));
        }
        self.check_agents_anchors(reader);
        if anchors.is_empty() {
            if reader.tree.get("ca.trust").is_some() && reader.tree.get("ca.files").is_none() {
                reader.problem("ca.trust", "only with ca.files: there is nothing to trust");
            }
            return;
        }
        if trust != "system" {
            if self.agent.get("ca_certificates").is_some() {
                reader.problem("agent.ca_certificates", "ca.files says it too: say it once");
            }
            let pem: String = anchors.iter().map(|anchor| anchor.pem.as_str()).collect();
            self.agent.set("ca_certificates", pem.into());
        } else if let Some(key) = ["ca", "ca_certificates"].into_iter().find(|key| self.agent.get(key).is_some()) {
            let key = format!("{AGENT}.{key}");
            reader.problem(&key, "the agent would trust it in place of the system's roots: set ca.trust to \"both\"");
        }
        if trust != "agent" {
            self.warnings.extend(rootless(&anchors));
            self.system_anchors = anchors;
        }
    }

    /// Holds what the agent's own key says to the same; what is no certificate at all is for its own code to tell.
    fn check_agents_anchors(&self, reader: &mut Reader) {
        let Some(pem) = self.agent.get("ca_certificates").and_then(Json::as_str) else { return };
        for anchor in Anchor::parse(pem.as_bytes()).unwrap_or_default() {
            if let Err(problem) = anchor.check_authority() {
                reader.problem("agent.ca_certificates", problem);
            }
        }
    }

    /// The token: read, and looked at for what everybody on the Mac can do with it.
    fn take_token(&mut self, reader: &mut Reader, folder: &Path, now: i64) {
        if self.agent.get("enrollment_token").is_some() {
            let problem = "a token is a secret: write it as enrollment.token, by reference";
            self.agent.values.remove("enrollment_token");
            return reader.problem("agent.enrollment_token", problem);
        }
        let bound = reader.text("enrollment.bound");
        let Some(line) = reader.checked(TOKEN, |text| secret(text, folder).map_err(|error| format!("{error:#}")))
        else {
            return;
        };
        let token = match line.parse::<EnrollmentToken>() {
            Ok(token) => token,
            Err(error) => return reader.problem(TOKEN, error.to_string()),
        };
        let ends = Claims::unverified(token.jwt()).ok().and_then(|claims| claims.exp);
        if ends.is_some_and(|ends| ends <= now) {
            let problem = format!("the token {} has ended: emote agents token create makes another", token.id());
            return reader.problem(TOKEN, problem);
        }
        self.warnings.extend(exposure(&token, bound.as_deref(), ends, now));
        self.agent.set("enrollment_token", token.to_line().into());
        self.has_secret = true;
    }

    /// Has the agent's own code judge its settings, as managed preferences.
    fn check_agent(&mut self, reader: &mut Reader) {
        unwritable(&self.agent.values, AGENT, reader);
        let layer = Layer { file: Some(reader.file.clone()), ..Layer::new(Origin::Managed, self.agent.clone()) };
        let (values, problems) = evaluate(&[layer]);
        for Problem { key, place, problem, .. } in problems {
            let place = place.unwrap_or_else(|| reader.file.clone());
            reader.tell(format!("{place}: {AGENT}.{key}: {problem}"));
        }
        let said = |key: &str| self.agent.get(key).is_some();
        if !said("server") {
            self.warnings.push("agent.server is not said: events wait on the Mac until something else says it".into());
        }
        if said("serial") {
            let warning = "agent.serial: every Mac that gets this profile speaks under that one serial number";
            self.warnings.push(warning.into());
        }
        if self.agent.get("insecure") == Some(&Json::Bool(true)) {
            self.warnings.push("agent.insecure: events leave the Mac without TLS".into());
        }
        let servers = values.get("server").and_then(|server| server.value.clone());
        if servers.is_some_and(|servers| servers.canonical().contains('@')) {
            let warning = "agent.server holds a user or a password, and everybody on the Mac can read a profile: use \
                           enrollment.token";
            self.warnings.push(warning.into());
            self.has_secret = true;
        }
    }
}

/// What is said where a Mac is to trust authorities and none of them is a root.
fn rootless(anchors: &[Anchor]) -> Option<String> {
    let last = anchors.last().filter(|_| !anchors.iter().any(|anchor| anchor.is_root))?;
    Some(format!(
        "ca.files: none is a root's, and a Mac trusts an authority only below a root: add the file of {:?}, unless Macs trust it \
         already",
        last.issuer
    ))
}

/// What everybody on the Mac can do with a token, since `/Library/Managed Preferences` is theirs to read.
fn exposure(token: &EnrollmentToken, bound: Option<&str>, ends: Option<i64>, now: i64) -> Vec<String> {
    let id = token.id();
    let mut warnings = Vec::new();
    match bound {
        Some("serial" | "once") => {}
        Some(_) => warnings.push(format!(
            "token {id}: everybody on the Mac can read it and ask for a credential with it, as often as its uses allow: \
             `emote agents token create --serial`, or the policies mdm and approve, let in whom you know"
        )),
        None => warnings.push(format!(
            "token {id}: everybody on the Mac can read it and ask for a credential with it; say in enrollment.bound how it \
             was bounded (`emote agents token ls`)"
        )),
    }
    match ends {
        None => warnings.push(format!("token {id} never ends: make one with --expires")),
        Some(ends) if ends - now < SOON => {
            let days = (ends - now) / 86_400;
            warnings.push(format!("token {id} ends in {days} days: Macs that come later cannot enrol with it"));
        }
        Some(_) => {}
    }
    warnings
}

/// A secret that a reference leads to; a relative path is taken from the folder of the settings file.
fn secret(reference: &str, folder: &Path) -> anyhow::Result<Zeroizing<String>> {
    match reference.parse::<Secret>().map_err(|error| anyhow!("{error}"))? {
        Secret::File(path) => Secret::File(folder.join(path)).read(),
        variable => variable.read(),
    }
}

/// The certificates of the files that a key names, without those that may not be among them.
fn certificates(
    reader: &mut Reader,
    key: &str,
    folder: &Path,
    check: impl Fn(&Anchor) -> Result<(), String>,
) -> Vec<Anchor> {
    let mut anchors: Vec<Anchor> = Vec::new();
    for file in reader.texts(key) {
        let found = Anchor::read(&folder.join(PathBuf::from(&file)));
        for anchor in found.map_err(|error| reader.problem(key, format!("{error:#}"))).unwrap_or_default() {
            match check(&anchor) {
                Ok(()) => anchors.push(anchor),
                Err(problem) => reader.problem(key, format!("{file}: {problem}")),
            }
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    anchors.retain(|anchor| seen.insert(anchor.fingerprint.clone()));
    anchors
}

fn package_url(text: &str) -> Result<String, String> {
    let filled = text.replace(VERSION, "1.2.3");
    if filled.contains(['{', '}']) {
        return Err(format!("nothing but {VERSION} may stand in braces: the package's version takes its place"));
    }
    url(&filled).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn url(text: &str) -> Result<String, emote_proto::deploy::DeployError> {
    check_url(text).map(|()| text.to_owned())
}

fn identifier(text: &str) -> Result<String, &'static str> {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let fits = text.len() <= 128 && text.contains('.') && text.split('.').all(is_part);
    if fits { Ok(text.to_owned()) } else { Err("expected something like com.example.emote: A-Z, a-z, 0-9, - and dots") }
}

fn team(text: &str) -> Result<String, &'static str> {
    let fits = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if fits { Ok(text.to_owned()) } else { Err("expected a team's identifier: ten of A-Z and 0-9") }
}

/// Tells of texts that would not be read back from a profile as they were said.
fn unwritable(map: &serde_json::Map<String, Json>, path: &str, reader: &mut Reader) {
    for (key, value) in map {
        let path = format!("{path}.{key}");
        let texts: Vec<&Json> = value.as_array().map_or_else(|| vec![value], |items| items.iter().collect());
        if is_unwritable_text(key) || { texts }.into_iter().filter_map(Json::as_str).any(is_unwritable_text) {
            reader.problem(&path, "it holds a control character, which no profile can carry");
        }
        if let Json::Object(map) = value {
            unwritable(map, &path, reader);
        }
    }
}

#[cfg(test)]
pub(super) mod tests;

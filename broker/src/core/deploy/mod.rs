//! Installs of the agent, followed from the job that orders one to the agent's own word that it runs. A Mac acknowledges
//! the MDM's command before it installs anything and tells of no error afterwards: the first event of an agent of the
//! wanted version is the only proof. Pure: what happened is read from the log, and so is that it took too long.
//!
//! What is deployed ([`Package`]) and to whom are orders of administrators; on which terms ([`Deploying`]) is of the set of
//! rules. Of each node the last install is a record ([`Deployment`]), and each step of it an event of the broker's:
//! `deploy.started`, `deferred`, `acknowledged`, `installed`, `failed`, `overdue`. The proof counts whatever was told before.

mod follow;
mod order;
mod prepare;

pub(super) use follow::{moved, note, version_of};
pub use order::{MAX_NODES, ORDERED, PACKAGE_SET};
pub(super) use order::{Order, find_node};
pub(super) use prepare::{NO_TERMS, prepare};

use emote_proto::{
    Cause, Name, Time,
    deploy::{About, MOST_BYTES, Manifest},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{DEPLOY_RULE, JobId};

/// What a timer about an install that takes too long is called in `info.timer`.
pub const TIMER: &str = "deploy";
/// The folder of the address under which brokers serve packages.
const FOLDER: &str = "deploy";
/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 500;

/// The package that is deployed, as the order says that put it in force. Its bytes lie in JetStream, under its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The agent's version, such as `1.2.3`.
    pub version: String,
    /// Of the product, such as `io.emote.agent`.
    pub identifier: String,
    /// What people call it.
    pub title: String,
    /// In bytes.
    pub size: u64,
    /// SHA-256 of all of it, in lower-case hexadecimal digits.
    pub sha256: String,
    /// SHA-256 of each chunk of [`emote_proto::deploy::CHUNK`] bytes, in the same digits.
    pub sha256s: Vec<String>,
}

impl Package {
    /// What it is called where it is kept and served: `EmoteAgent-1.2.3.pkg`.
    pub fn file_name(&self) -> String {
        format!("EmoteAgent-{}.pkg", self.version)
    }

    /// The manifest of it, as it is served under the address `base`.
    pub fn manifest(&self, base: &str) -> Result<Manifest, String> {
        let about = About {
            url: format!("{}/{FOLDER}/{}", base.trim_end_matches('/'), self.file_name()),
            bundle_identifier: self.identifier.clone(),
            bundle_version: self.version.clone(),
            title: self.title.clone(),
        };
        Manifest::new(about, self.size, self.sha256s.clone()).map_err(|error| error.to_string())
    }

    /// Whether it is what can be deployed, or what of it is not so. Its version and its hash become names of files.
    pub fn check(&self) -> Result<(), String> {
        let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
        if !(1..=40).contains(&self.version.len()) || !is_word(&self.version) || self.version.contains("..") {
            return Err("its version is none".to_owned());
        }
        if !crate::core::is_hash(&self.sha256) || self.size > MOST_BYTES {
            return Err("its sha256 or its size is none".to_owned());
        }
        self.manifest("https://emote.invalid").map(drop)
    }

    /// One that stands in for any, where rules are only tried.
    pub fn example() -> Self {
        let hash = "0".repeat(64);
        let [version, identifier, title] = ["0.0.0", "io.emote.agent", "Emote Agent"].map(str::to_owned);
        Self { version, identifier, title, size: 1, sha256: hash.clone(), sha256s: vec![hash] }
    }
}

/// On which terms the agent is deployed: a file of the set of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deploying {
    /// Where Macs reach the brokers: `https://emote.example.com`.
    pub url: String,
    /// The target that installs it for orders.
    pub target: Name,
    /// After so many milliseconds without proof an install is overdue.
    pub overdue_after: i64,
}

/// How far an install is. What comes later in this list does not go back to what comes earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The job is given out, or held.
    Ordered,
    /// The MDM has the command.
    Sent,
    /// The Mac said that it cannot now, and will be asked again.
    Deferred,
    /// The Mac has taken the command; what came of it is not known.
    Acknowledged,
    /// There was no proof in time. It is waited for further.
    Overdue,
    /// The MDM or the Mac refused it, or the job was given up.
    Failed,
    /// The agent itself told that it runs.
    Installed,
}

impl State {
    /// All there are.
    pub const ALL: [Self; 7] =
        [Self::Ordered, Self::Sent, Self::Deferred, Self::Acknowledged, Self::Overdue, Self::Failed, Self::Installed];

    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Sent => "sent",
            Self::Deferred => "deferred",
            Self::Acknowledged => "acknowledged",
            Self::Overdue => "overdue",
            Self::Failed => "failed",
            Self::Installed => "installed",
        }
    }

    /// Whether more is to come of it, without another order.
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Failed | Self::Installed)
    }
}

/// The last word of the MDM about a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// As the MDM calls it: `Acknowledged`, `NotNow`, `Error`, `CommandFormatError`.
    pub status: String,
    /// When it was received.
    pub at: Time,
    /// The Mac's chain of errors, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Value>,
}

/// The last install of the agent on a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// The node's serial number, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The UDID under which the MDM has it.
    pub udid: String,
    /// The job that installs it.
    pub job: JobId,
    /// By which target.
    pub target: Name,
    /// The version that is to run.
    pub version: String,
    /// The version that ran before, where an agent told one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub had: Option<String>,
    /// How far it is.
    pub state: State,
    /// Since when it is so far.
    pub since: Time,
    /// When it was ordered.
    pub ordered: Time,
    /// When it will be overdue; nothing once it is, or has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Time>,
    /// After so many milliseconds without proof it is overdue.
    #[serde(default)]
    pub overdue_after: i64,
    /// Whether it failed because its job was given up, not by a word of the MDM or the Mac: once the job is given out again,
    /// it goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given_up: bool,
    /// What the MDM said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Said>,
    /// Why it failed, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who ordered it, where somebody did: nobody where a rule did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, in the words of who ordered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What led to it, and how far it is believed.
    pub cause: Cause,
}

impl Deployment {
    /// The key of its node.
    pub fn key(&self) -> &str {
        self.serial.as_deref().unwrap_or(&self.udid)
    }

    /// Its job was given up, and has been done after all.
    fn go_on(&mut self, at: Time) {
        (self.state, self.since, self.given_up, self.reason) = (State::Ordered, at, false, None);
        self.due = after(at, self.overdue_after);
    }

    /// Goes on to a state that is further, at `at`. One that is not changes nothing; says whether it did.
    fn reach(&mut self, state: State, at: Time) -> bool {
        let further = state > self.state;
        if further {
            (self.state, self.since) = (state, at);
        }
        if !self.state.is_open() || self.state == State::Overdue {
            self.due = None;
        }
        further
    }
}

/// So many milliseconds later.
fn after(at: Time, millis: i64) -> Option<Time> {
    Time::from_millis(at.as_millis().saturating_add(millis))
}

/// The rule of jobs that an order came to.
#[expect(clippy::expect_used, reason = "a literal name")]
pub(super) fn rule() -> Name {
    Name::new(DEPLOY_RULE).expect("a literal name")
}

/// Whether version `one` is the wanted one or a later one. Versions are numbers with dots; others are compared as texts.
pub fn is_at_least(one: &str, wanted: &str) -> bool {
    let numbers = |text: &str| text.split('.').map(|part| part.parse::<u64>().ok()).collect::<Option<Vec<_>>>();
    match (numbers(one), numbers(wanted)) {
        (Some(one), Some(wanted)) => one >= wanted,
        _ => one == wanted,
    }
}

#[cfg(test)]
mod tests;

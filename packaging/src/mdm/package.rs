//! What the package itself says: which version, how large, who signed it. It is proven before anything is written of it.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};

use crate::pkg::inspect::Info;
use crate::pkg::tree;
use crate::pkg::verify::{Demands, verify};
use crate::pkg::version::Version;

/// A package whose bytes are what they should be.
#[derive(Debug)]
pub struct Package {
    /// Its file's name.
    pub name: String,
    /// All of it.
    pub bytes: Vec<u8>,
    /// Its SHA-256 sum, in lower-case hexadecimal digits.
    pub sha256: String,
    /// The agent's.
    pub version: Version,
    /// The size of what it installs.
    pub installed_kibibytes: u64,
    /// Its certificates' names, the signer's first; none where it is not signed.
    pub authorities: Vec<String>,
    /// What whoever installs it must know.
    pub warnings: Vec<String>,
    team: Option<String>,
    state: State,
}

/// For what a package is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Release,
    NotNotarized,
    Development,
    Unsigned,
}

/// From the strongest: what a package must be to be in a state. `now` is in seconds since 1970.
fn states(now: u64) -> [(State, Demands); 4] {
    [
        (State::Release, Demands::release(now)),
        (State::NotNotarized, Demands { ticket: false, ..Demands::release(now) }),
        (State::Development, Demands::development(now)),
        (State::Unsigned, Demands::unsigned(now)),
    ]
}

impl Package {
    /// Reads and proves a package.
    pub fn read(path: &Path, now: u64) -> anyhow::Result<Self> {
        let bytes = tree::read(path)?;
        let name = path.file_name().and_then(|name| name.to_str()).context("the package's name is not UTF-8")?;
        Self::of(name, bytes, now).with_context(|| path.display().to_string())
    }

    fn of(name: &str, bytes: Vec<u8>, now: u64) -> anyhow::Result<Self> {
        let info = Info::of(&bytes).map_err(|problem| anyhow!("it is no package of the agent: {problem}"))?;
        let reports = states(now).into_iter().map(|(state, demands)| (state, verify(&bytes, &demands)));
        let Some((state, report)) = { reports }.find(|(_, report)| report.is_good()) else {
            let demands = if info.signed { Demands::release(now) } else { Demands::unsigned(now) };
            bail!("it is not what it should be: {}", verify(&bytes, &demands).problems.join("; "));
        };
        let installed = info.manifest.payload.iter().filter_map(|line| line.size).sum::<usize>();
        Ok(Self {
            name: name.to_owned(),
            sha256: HEXLOWER.encode(digest(&SHA256, &bytes).as_ref()),
            version: info.manifest.version,
            installed_kibibytes: (installed as u64).div_ceil(1024),
            authorities: info.authorities,
            warnings: { report.warnings.into_iter().chain(state.warning().map(str::to_owned)) }
                .map(|warning| format!("{name}: {warning}"))
                .collect(),
            team: info.slices.into_iter().find_map(|slice| slice.team),
            state,
            bytes,
        })
    }

    /// The team whose Developer ID signed it; none for development, since macOS knows no such team.
    pub fn release_team(&self) -> Option<&str> {
        let is_release = matches!(self.state, State::Release | State::NotNotarized);
        self.team.as_deref().filter(|_| is_release)
    }
}

#[cfg(test)]
impl Package {
    /// As if this team had released it.
    pub(super) fn sample(team: &str) -> Self {
        Self {
            name: "EmoteAgent-1.2.3.pkg".into(),
            bytes: b"xar!".to_vec(),
            sha256: "5e".repeat(32),
            version: Version::new(1, 2, 3),
            installed_kibibytes: 9_000,
            authorities: vec![
                format!("Developer ID Installer: Emote ({team})"),
                "Developer ID Certification Authority".into(),
            ],
            warnings: Vec::new(),
            team: Some(team.into()),
            state: State::Release,
        }
    }
}

impl State {
    fn warning(self) -> Option<&'static str> {
        match self {
            Self::Release => None,
            Self::NotNotarized => Some("it was not notarized: an MDM installs it, whoever opens it is warned"),
            Self::Development => Some("it is signed for development: no Mac trusts it, and no MDM should install it"),
            Self::Unsigned => {
                Some("it is not signed: no Mac installs it by an MDM's command (emote-packaging pkg --help)")
            }
        }
    }
}

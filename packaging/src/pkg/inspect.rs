//! What is in a package, for people and programs. Nothing is proven here: that is [`super::verify`]'s.

use std::fmt::Write as _;

use serde::Serialize;

use super::macho::signature::{Embedded, slot};
use super::macho::split;
use super::manifest::Manifest;
use super::verify::{authorities, contents};
use super::version::Version;
use super::{APP, PROGRAM, xar};

/// A package's own account of itself.
#[derive(Debug, Serialize)]
pub struct Info {
    /// The manifest: version, what it installs and what it runs.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// Whether the archive has signatures.
    pub signed: bool,
    /// The names of the certificates that it lists, the signer's first; none where they cannot be read.
    pub authorities: Vec<String>,
    /// The length of its ticket, in bytes.
    pub ticket: Option<usize>,
    /// What the program is made of.
    pub slices: Vec<SliceInfo>,
    /// The archive's files, and their sizes in bytes.
    pub archive: Vec<(String, usize)>,
}

/// A slice of the program.
#[derive(Debug, Serialize)]
pub struct SliceInfo {
    /// What it runs on.
    pub architecture: String,
    /// The version that it says it is, if it says one.
    pub version: Option<Version>,
    /// The oldest macOS that it runs on.
    pub minimum_os: String,
    /// In bytes.
    pub size: usize,
    /// As its signature says, where it has one.
    pub identifier: Option<String>,
    /// Whose it says it is.
    pub team: Option<String>,
}

impl Info {
    /// Reads a package.
    pub fn of(package: &[u8]) -> Result<Self, String> {
        let archive = xar::read(package).map_err(|error| error.to_string())?;
        let contents = contents(&archive)?;
        let program = contents.payload.file(&format!("{APP}/{PROGRAM}")).ok_or("it installs no program")?;
        let slices = split(program).map_err(|error| error.to_string())?;
        let slices = slices.into_iter().map(|slice| {
            let embedded = slice.signature.and_then(|(at, _)| Embedded::read(&slice.data[at..]).ok());
            let directories = embedded.filter(|embedded| embedded.blob(slot::CODE_DIRECTORY).is_some());
            let directory = directories.and_then(|embedded| embedded.directories().ok()?.into_iter().next());
            SliceInfo {
                architecture: slice.cpu.to_string(),
                version: slice.version().unwrap_or_default(),
                minimum_os: slice.minimum_os.short(),
                size: slice.data.len(),
                identifier: directory.as_ref().map(|directory| directory.identifier.to_owned()),
                team: directory.and_then(|directory| directory.team.map(str::to_owned)),
            }
        });
        Ok(Self {
            signed: archive.rsa.is_some() && archive.cms.is_some(),
            authorities: authorities(&archive).unwrap_or_default(),
            ticket: archive.ticket.map(<[u8]>::len),
            slices: slices.collect(),
            archive: archive.files.iter().map(|file| (file.path.clone(), file.data.len())).collect(),
            manifest: contents.manifest,
        })
    }

    /// As a table.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let signed = if self.signed { "signed" } else { "NOT signed" };
        let ticket = self.ticket.map_or("no ticket".into(), |length| format!("a ticket of {length} bytes"));
        let Manifest { identifier, version, .. } = &self.manifest;
        // Writing into a text does not fail.
        let _ = writeln!(text, "{identifier} {version}, {signed}, {ticket}\n");
        for SliceInfo { architecture, version: own, minimum_os, size, identifier, team } in &self.slices {
            let who = identifier.as_deref().unwrap_or("not signed");
            let team = team.as_ref().map(|team| format!(" of {team}")).unwrap_or_default();
            let own = match own {
                Some(own) if own == version => format!("version {own}"),
                Some(own) => format!("version {own}, NOT {version}"),
                None => "says no version".to_owned(),
            };
            let _ = writeln!(text, "{architecture:<8}{size:>11}  {own}, macOS {minimum_os} and newer, {who}{team}");
        }
        for (title, lines) in [("installed", &self.manifest.payload), ("scripts", &self.manifest.scripts)] {
            let _ = writeln!(text, "\n{title}");
            for line in lines {
                let size = line.size.map(|size| size.to_string()).unwrap_or_default();
                let owner = format!("{}:{}", line.uid, line.gid);
                let _ = writeln!(text, "  {}  {owner:<5} {size:>10}  {}", line.mode, line.path);
            }
        }
        text.push_str("\narchive\n");
        for (path, size) in &self.archive {
            let _ = writeln!(text, "  {size:>10}  {path}");
        }
        text
    }
}

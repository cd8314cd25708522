//! Puts a package together. The same programs, version and time give the same bytes, as long as nobody signs.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::macho::{Slice, universal};
use super::manifest::Manifest;
use super::tree::{ADMIN, Entry, Kind, Tree, read};
use super::version::Version;
use super::{
    APP, COMPONENT, DEPLOYMENT_TARGET, LAUNCH_DAEMON, NEWSYSLOG, PROGRAM, UNINSTALL, bom, cpio, gzip, texts, xar,
};

/// Where `manifest.json` is in the archive.
pub const MANIFEST: &str = "Resources/manifest.json";
/// The version that `preinstall` compares, beside it.
pub const SCRIPTS_VERSION: &str = "version";

/// The agent, for all architectures.
#[derive(Debug)]
pub struct Program {
    /// The universal file.
    pub bytes: Vec<u8>,
    /// The version that all slices say they are; none where they say nothing.
    pub version: Option<Version>,
}

/// A universal program of one program for each architecture, none of which asks for a newer macOS than
/// [`DEPLOYMENT_TARGET`], all of one version.
pub fn program(from: &[PathBuf]) -> anyhow::Result<Program> {
    let read: Vec<_> = from.iter().map(|path| Ok((path, read(path)?))).collect::<anyhow::Result<_>>()?;
    let (mut slices, mut versions) = (Vec::new(), Vec::new());
    for (path, bytes) in &read {
        let slice = Slice::read(bytes).with_context(|| path.display().to_string())?;
        versions.push((*path, slice.version().with_context(|| path.display().to_string())?));
        ensure!(
            slice.minimum_os <= DEPLOYMENT_TARGET,
            "{} asks for macOS {}; build it with MACOSX_DEPLOYMENT_TARGET={}",
            path.display(),
            slice.minimum_os.short(),
            DEPLOYMENT_TARGET.short()
        );
        slices.push(slice);
    }
    let bytes = universal(&slices)?;
    Ok(Program { bytes, version: one_version(&versions)? })
}

/// What all programs say.
fn one_version(versions: &[(&PathBuf, Option<Version>)]) -> anyhow::Result<Option<Version>> {
    let [(first, version), others @ ..] = versions else { return Ok(None) };
    let says =
        |version: &Option<Version>| version.map_or("no version".to_owned(), |version| format!("version {version}"));
    if let Some((other, differs)) = others.iter().find(|(_, other)| other != version) {
        let (first, other) = (first.display(), other.display());
        let [version, differs] = [version, differs].map(says);
        bail!("{first} says {version}, and {other} {differs}: build both from one source");
    }
    Ok(*version)
}

/// The version of a package with a program: the program's own, which what was said must be.
pub fn version_of(program: &Program, said: Option<Version>) -> anyhow::Result<Version> {
    match (program.version, said) {
        (Some(version), Some(said)) if said != version => bail!(
            "--version is {said}, and the programs say that they are {version}, which is what an agent tells of itself: leave \
             --version away, or set the version in Cargo.toml to {said} and build the programs anew"
        ),
        (Some(version), _) | (None, Some(version)) => Ok(version),
        (None, None) => bail!(
            "the programs do not say which version they are: build them from this source, or say it with --version, which \
             nothing can confirm then"
        ),
    }
}

/// Writes the bundle into a folder, for a signer.
pub fn app(folder: &Path, program: &[u8], version: Version) -> anyhow::Result<PathBuf> {
    let name = APP.rsplit_once('/').map_or(APP, |(_, name)| name);
    let app = folder.join(name);
    let uninstall = texts::UNINSTALL.as_bytes();
    let info = texts::info_plist(version);
    for (path, bytes, mode) in
        [(PROGRAM, program, 0o755), (UNINSTALL, uninstall, 0o755), ("Contents/Info.plist", info.as_bytes(), 0o644)]
    {
        let path = app.join(path);
        let parent = path.parent().unwrap_or(&app);
        std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        std::fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode))
            .with_context(|| format!("setting the mode of {}", path.display()))?;
    }
    Ok(app)
}

/// What is installed, with the bundle as it is in a folder.
pub fn payload(app: &Path) -> anyhow::Result<Tree> {
    let mut tree = Tree::default();
    // As macOS has them: Installer sets the modes and owners of folders that are there, too.
    tree.add("Library", Entry::new(Kind::Folder, 0o755));
    tree.add("Library/Application Support", Entry { gid: ADMIN, ..Entry::new(Kind::Folder, 0o755) });
    tree.add_folder(APP, app)?;
    tree.add(LAUNCH_DAEMON, Entry::new(Kind::File(texts::LAUNCH_DAEMON.into()), 0o644));
    tree.add(NEWSYSLOG, Entry::new(Kind::File(texts::NEWSYSLOG.into()), 0o644));
    Ok(tree)
}

/// What is run while a package is installed.
pub fn scripts(version: Version) -> Tree {
    let mut tree = Tree::default();
    tree.add("preinstall", Entry::new(Kind::File(texts::PREINSTALL.into()), 0o755));
    tree.add("postinstall", Entry::new(Kind::File(texts::POSTINSTALL.into()), 0o755));
    tree.add(SCRIPTS_VERSION, Entry::new(Kind::File(format!("{version}\n").into()), 0o644));
    tree
}

/// The package, unsigned.
pub fn package(version: Version, time: jiff::Timestamp, payload: &Tree, scripts: &Tree) -> anyhow::Result<Vec<u8>> {
    let seconds = u32::try_from(time.as_second()).context("the time of a package is between 1970 and 2106")?;
    let manifest = Manifest::of(version, seconds, payload, scripts).to_json()?;
    let parts = [
        ("Distribution".to_owned(), texts::distribution(version, payload).into_bytes()),
        (format!("{COMPONENT}/Bom"), bom::write(payload, seconds)?),
        (format!("{COMPONENT}/PackageInfo"), texts::package_info(version, payload).into_bytes()),
        (format!("{COMPONENT}/Payload"), gzip::compress(&cpio::write(payload, seconds))?),
        (format!("{COMPONENT}/Scripts"), gzip::compress(&cpio::write(scripts, seconds))?),
        (MANIFEST.to_owned(), manifest),
    ];
    let files: Vec<(&str, &[u8])> = parts.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    Ok(xar::write(&files, time)?)
}

//! `emote-packaging pkg`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use jiff::Timestamp;

use super::{Time, now, print, verify};
use crate::pkg::assemble;
use crate::pkg::sign::{APPLE_TIMESTAMPS, Identity, Key, Secret};
use crate::pkg::verify::Demands;
use crate::pkg::version::Version;

/// Build the agent's package for macOS, sign it, have it notarized, and prove the result
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  emote-packaging pkg --bin arm64/emote-agent --bin x86_64/emote-agent --out EmoteAgent.pkg \\
      --app-p12 app.p12 --app-password '${file:app.txt}' --installer-p12 installer.p12 --installer-password '${env:P}' \\
      --notary-key key.json
  emote-packaging pkg --bin arm64/emote-agent --bin x86_64/emote-agent --out dev.pkg --development DIR")]
pub(super) struct PkgArgs {
    /// The agent for one architecture; once for arm64, once for x86_64
    #[arg(long = "bin", value_name = "FILE", required = true)]
    programs: Vec<PathBuf>,
    /// What the package's version must be, 1.2.3: it is the programs' own [default: as they say]
    #[arg(long)]
    version: Option<Version>,
    /// The package to write
    #[arg(long, value_name = "PKG")]
    out: PathBuf,
    #[command(flatten)]
    time: Time,
    #[command(flatten)]
    signing: Signing,
}

#[derive(Debug, clap::Args)]
struct Signing {
    /// Sign nothing. Macs refuse what comes of it unless somebody insists
    #[arg(long, conflicts_with_all = ["development", "app_p12", "app_pem", "app_identity", "notary_key"])]
    unsigned: bool,
    /// Sign with the pair that `dev-identity` wrote into this folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["app_p12", "app_pem", "app_identity", "notary_key"])]
    development: Option<PathBuf>,
    /// Developer ID Application: PKCS #12
    #[arg(long, value_name = "FILE", requires = "app_password", group = "app")]
    app_p12: Option<PathBuf>,
    /// Its password: ${env:NAME} or ${file:PATH}
    #[arg(long, value_name = "REF")]
    app_password: Option<Secret>,
    /// Developer ID Application: PEM of the key (PKCS #8) and the certificates
    #[arg(long, value_name = "FILE", group = "app")]
    app_pem: Option<PathBuf>,
    /// Developer ID Application in a keychain of this Mac, by its name
    #[arg(long, value_name = "NAME", group = "app")]
    app_identity: Option<String>,
    /// Developer ID Installer: PKCS #12
    #[arg(long, value_name = "FILE", requires = "installer_password", group = "installer")]
    installer_p12: Option<PathBuf>,
    /// Its password: ${env:NAME} or ${file:PATH}
    #[arg(long, value_name = "REF")]
    installer_password: Option<Secret>,
    /// Developer ID Installer: PEM of the key (PKCS #8) and the certificates
    #[arg(long, value_name = "FILE", group = "installer")]
    installer_pem: Option<PathBuf>,
    /// Developer ID Installer in a keychain of this Mac, by its name
    #[arg(long, value_name = "NAME", group = "installer")]
    installer_identity: Option<String>,
    /// Who writes the secure time beside signatures
    #[arg(long, value_name = "URL", default_value = APPLE_TIMESTAMPS)]
    timestamp_url: String,
    /// App Store Connect key, as `rcodesign encode-app-store-connect-api-key` writes it: notarize with it, and staple
    #[arg(long, value_name = "FILE")]
    notary_key: Option<PathBuf>,
    /// Leave a package that is signed for release without a ticket
    #[arg(long, conflicts_with = "notary_key")]
    not_notarized: bool,
}

impl Signing {
    /// Whom to sign as, and what must then hold; none is unsigned.
    fn identity(&self, time: Timestamp) -> anyhow::Result<(Option<Identity>, Demands)> {
        if self.unsigned {
            return Ok((None, Demands::unsigned(now())));
        }
        if let Some(folder) = &self.development {
            return Ok((Some(Identity::development(folder, time)?), Demands::development(now())));
        }
        let application = Key::one(&self.app_p12, &self.app_password, &self.app_pem, &self.app_identity);
        let installer =
            Key::one(&self.installer_p12, &self.installer_password, &self.installer_pem, &self.installer_identity);
        let (Some(application), Some(installer)) = (application, installer) else {
            bail!(
                "nothing to sign with: give --app-p12 and --installer-p12 (or …-pem, or …-identity on a Mac), --development \
                 with a folder of `dev-identity`, or say --unsigned"
            );
        };
        ensure!(
            matches!(application, Key::Keychain(_)) == matches!(installer, Key::Keychain(_)),
            "one key is in a keychain and the other in a file: sign with both from one or the other"
        );
        ensure!(
            self.notary_key.is_some() || self.not_notarized,
            "Macs refuse what is not notarized: give --notary-key, or say --not-notarized"
        );
        let identity = Identity {
            application,
            installer,
            timestamps: Some(self.timestamp_url.clone()),
            signing_time: None,
            team: None,
        };
        Ok((Some(identity), Demands { ticket: self.notary_key.is_some(), ..Demands::release(now()) }))
    }
}

pub(super) fn run(arguments: &PkgArgs) -> anyhow::Result<ExitCode> {
    let time = arguments.time.get()?;
    let (identity, demands) = arguments.signing.identity(time)?;
    let scratch = tempfile::Builder::new().prefix("emote-packaging-").tempdir().context("making a temporary folder")?;
    let program = assemble::program(&arguments.programs)?;
    let version = assemble::version_of(&program, arguments.version)?;
    let app = assemble::app(scratch.path(), &program.bytes, version)?;
    if let Some(identity) = &identity {
        identity.sign_app(&app, scratch.path())?;
    }
    let package = assemble::package(version, time, &assemble::payload(&app)?, &assemble::scripts(version))?;
    let path = scratch.path().join("EmoteAgent.pkg");
    std::fs::write(&path, package).with_context(|| format!("writing {}", path.display()))?;
    let finished = match &identity {
        None => path,
        Some(identity) => sign(identity, &path, &arguments.signing, scratch.path())?,
    };
    let bytes = crate::pkg::tree::read(&finished)?;
    let report = crate::pkg::verify::verify(&bytes, &demands);
    verify::tell(&report)?;
    ensure!(
        report.is_good(),
        "the package that was built is not what it should be; {} was not written",
        arguments.out.display()
    );
    put(&bytes, &arguments.out)?;
    print(format!("{}\n", arguments.out.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// The package, signed and perhaps notarized, in a file of its own.
fn sign(identity: &Identity, package: &Path, signing: &Signing, scratch: &Path) -> anyhow::Result<PathBuf> {
    let signed = scratch.join("EmoteAgent-signed.pkg");
    identity.sign_package(package, &signed, scratch)?;
    if let Some(key) = &signing.notary_key {
        identity.notarize(&signed, key, scratch)?;
    }
    Ok(signed)
}

/// Writes all of a file or none of it.
fn put(bytes: &[u8], path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file =
        tempfile::NamedTempFile::new_in(folder).with_context(|| format!("writing into {}", folder.display()))?;
    std::io::Write::write_all(&mut file, bytes).with_context(|| format!("writing {}", path.display()))?;
    std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    file.persist(path).with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}

//! `emote-packaging profile`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;

use super::{Output, Time, WARNING, now, print};
use crate::mdm::package::Package;
use crate::mdm::settings::{Settings, example};
use crate::mdm::sign::Signer;
use crate::mdm::{Inputs, Kind, Made, make, write};
use crate::pkg::development;
use crate::pkg::sign::{Key, Secret};

/// Write what an MDM deploys the agent with: profiles, manifest, command, declaration, and more
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  emote-packaging profile --example > emote-mdm.toml
  emote-packaging profile emote-mdm.toml --pkg EmoteAgent-1.2.3.pkg --out mdm
  emote-packaging profile emote-mdm.toml --out mdm --only settings --only services
  emote-packaging profile emote-mdm.toml --pkg EmoteAgent-1.2.3.pkg --out mdm --sign-p12 id.p12 --sign-password '${file:pw}'

packaging/mdm/README.md says what goes where, MDM by MDM.")]
pub(super) struct ProfileArgs {
    /// The settings file (TOML)
    #[arg(value_name = "SETTINGS", required_unless_present = "example")]
    settings: Option<PathBuf>,
    /// Print a settings file to begin with
    #[arg(long, conflicts_with_all = ["settings", "pkg", "out", "only", "single", "Signing"])]
    example: bool,
    /// The agent's package: its version, sums and team are in what is written
    #[arg(long, value_name = "PKG")]
    pkg: Option<PathBuf>,
    /// Folder to write into
    #[arg(long, value_name = "DIR", required_unless_present = "example")]
    out: Option<PathBuf>,
    /// Write these alone; again for each [default: whatever can be made]
    #[arg(long, value_enum, value_name = "KIND")]
    only: Vec<Kind>,
    /// Put all payloads into one profile
    #[arg(long)]
    single: bool,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    time: Time,
    /// How to print what was written
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, clap::Args)]
struct Signing {
    /// Sign the profiles: PKCS #12
    #[arg(long, value_name = "FILE", requires = "sign_password", group = "signer")]
    sign_p12: Option<PathBuf>,
    /// Its password: ${env:NAME} or ${file:PATH}
    #[arg(long, value_name = "REF", requires = "sign_p12")]
    sign_password: Option<Secret>,
    /// Sign the profiles: PEM of the key (PKCS #8) and the certificates
    #[arg(long, value_name = "FILE", group = "signer")]
    sign_pem: Option<PathBuf>,
    /// Sign the profiles with an identity in a keychain of this Mac, by its name
    #[arg(long, value_name = "NAME", group = "signer")]
    sign_identity: Option<String>,
    /// Sign the profiles with the pair that `dev-identity` wrote into this folder
    #[arg(long, value_name = "DIR", group = "signer")]
    development: Option<PathBuf>,
}

impl Signing {
    fn signer(&self) -> anyhow::Result<Option<Signer>> {
        let development = self.development.as_ref().map(|folder| folder.join(development::APPLICATION));
        let key = Key::one(&self.sign_p12, &self.sign_password, &self.sign_pem, &self.sign_identity);
        key.or_else(|| development.map(Key::Pem)).map(|key| Signer::new(key, now())).transpose()
    }
}

pub(super) fn run(arguments: &ProfileArgs) -> anyhow::Result<ExitCode> {
    let (Some(settings), Some(out)) = (&arguments.settings, &arguments.out) else {
        print(example())?;
        return Ok(ExitCode::SUCCESS);
    };
    let with_token = [Kind::Settings, Kind::ProfileCommands].iter().any(|kind| kind.is_asked_for(&arguments.only));
    let settings = Settings::read(settings, i64::try_from(now()).unwrap_or_default(), with_token)?;
    let package = arguments.pkg.as_ref().map(|path| Package::read(path, now())).transpose()?;
    let signer = arguments.signing.signer()?;
    let inputs = Inputs {
        settings: &settings,
        package: package.as_ref(),
        signer: signer.as_ref(),
        single: arguments.single,
        date: arguments.time.get()?,
    };
    let made = make(&inputs, &arguments.only)?;
    write::write(out, &made.files)?;
    let left = if arguments.only.is_empty() { write::left_over(out, &made.files) } else { Vec::new() };
    let summary = Summary::of(out, &made, &left, signer.as_ref());
    match arguments.output {
        Output::Table => summary.print()?,
        Output::Json => print(serde_json::to_string_pretty(&summary).context("writing JSON")? + "\n")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What was written, for people and programs.
#[derive(Debug, Serialize)]
struct Summary {
    folder: PathBuf,
    signed_by: Option<String>,
    files: Vec<Line>,
    left_out: Vec<LeftOut>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Line {
    name: String,
    kind: Kind,
    bytes: usize,
    /// Whether a secret is in it.
    secret: bool,
}

#[derive(Debug, Serialize)]
struct LeftOut {
    kind: Kind,
    because: &'static str,
}

impl Summary {
    fn of(folder: &Path, made: &Made, left: &[PathBuf], signer: Option<&Signer>) -> Self {
        let mut warnings = made.warnings.clone();
        warnings.extend(left.iter().map(|path| format!("{} is of an earlier run", path.display())));
        let line = |file: &crate::mdm::File| Line {
            name: file.name.clone(),
            kind: file.kind,
            bytes: file.bytes.len(),
            secret: file.secret,
        };
        Self {
            folder: folder.to_owned(),
            signed_by: signer.map(|signer| signer.name().to_owned()),
            files: made.files.iter().map(line).collect(),
            left_out: made.left_out.iter().map(|(kind, because)| LeftOut { kind: *kind, because }).collect(),
            warnings,
        }
    }

    fn print(&self) -> anyhow::Result<()> {
        let width = self.files.iter().map(|file| file.name.len()).max().unwrap_or_default();
        for Line { name, kind, bytes, secret } in &self.files {
            let secret = if *secret { "  holds a secret: mode 600" } else { "" };
            print(format!("{name:<width$}  {:<16}  {bytes:>7} bytes{secret}\n", kind.name()))?;
        }
        for LeftOut { kind, because } in &self.left_out {
            print(format!("not written: {} ({because})\n", kind.name()))?;
        }
        let signed = self.signed_by.as_ref().map_or("not signed".to_owned(), |name| format!("signed by {name}"));
        print(format!("in {}; profiles are {signed}\n", self.folder.display()))?;
        for warning in &self.warnings {
            anstream::eprintln!("{WARNING}warning:{WARNING:#} {warning}");
        }
        Ok(())
    }
}

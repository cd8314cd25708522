//! What an MDM needs to deploy the agent: configuration profiles, the manifest and the command that install the package, a
//! declaration, what profile editors, Jamf Pro, Munki and AutoPkg read. From one settings file ([`settings`]), the agent's
//! own list of keys, and the package itself ([`package`]).
//!
//! The same settings and the same package give the same bytes, UUIDs too, so that a second run changes nothing on a Mac and
//! a changed profile replaces the one before. Nothing here talks to an MDM, and no Mac has read any of it yet.

mod autopkg;
mod declaration;
mod install;
mod jamf;
mod munki;
pub mod package;
mod payload;
mod profiles;
pub mod settings;
pub mod sign;
pub mod write;

use plist::Dictionary;
use serde::Serialize;

use self::package::Package;
use self::settings::Settings;
use self::sign::Signer;

/// What can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The profile with the agent's settings, the enrolment token and the CA
    Settings,
    /// The profile that keeps the agent running: nobody can switch it off in Login Items
    Services,
    /// The profile that grants Full Disk Access
    Privacy,
    /// A declaration that installs the package (macOS 26), and what activates it
    Declaration,
    /// The manifest that a Mac installs by
    Manifest,
    /// The InstallEnterpriseApplication command, for NanoMDM and others that take commands
    Command,
    /// InstallProfile commands with the profiles in them, for the same
    ProfileCommands,
    /// A preference manifest, for profile editors
    Preferences,
    /// A JSON schema, for Jamf Pro's Application & Custom Settings
    Jamf,
    /// The pkginfo of a Munki repository
    Munki,
    /// AutoPkg recipes
    Autopkg,
}

/// What each kind is made by.
type Make = fn(&Inputs<'_>) -> anyhow::Result<Written>;

/// Each kind with what makes it.
const KINDS: [(Kind, Make); 11] = [
    (Kind::Settings, profiles::settings),
    (Kind::Services, profiles::services),
    (Kind::Privacy, profiles::privacy),
    (Kind::Declaration, declaration::files),
    (Kind::Manifest, install::manifest),
    (Kind::Command, install::command),
    (Kind::ProfileCommands, install::profiles),
    (Kind::Preferences, preferences),
    (Kind::Jamf, jamf::file),
    (Kind::Munki, munki::file),
    (Kind::Autopkg, autopkg::files),
];

/// What there is to make files of.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// What was said.
    pub settings: &'a Settings,
    /// The package, if one was named.
    pub package: Option<&'a Package>,
    /// Who signs profiles; none signs nothing.
    pub signer: Option<&'a Signer>,
    /// Whether all payloads go into one profile.
    pub single: bool,
    /// When the preference manifest says it was changed, RFC 3339 in UTC.
    pub date: jiff::Timestamp,
}

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What it is.
    pub kind: Kind,
    /// Its name in the folder.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Whether it holds the enrolment token: its owner alone may read it.
    pub secret: bool,
}

/// What comes of a kind: files, or why there are none.
type Written = Result<Vec<File>, &'static str>;

/// Everything to write.
#[derive(Debug, Default)]
pub struct Made {
    /// In the order of [`Kind`].
    pub files: Vec<File>,
    /// What there is not, and what is missing for it.
    pub left_out: Vec<(Kind, &'static str)>,
    /// What is worth a thought.
    pub warnings: Vec<String>,
}

/// Makes what was asked for; `only` nothing is everything that can be made. What was asked for by name and cannot be made
/// is an error.
pub fn make(inputs: &Inputs<'_>, only: &[Kind]) -> anyhow::Result<Made> {
    let mut made = Made { warnings: warnings(inputs, only), ..Made::default() };
    for (kind, make) in KINDS.into_iter().filter(|(kind, _)| kind.is_asked_for(only)) {
        match make(inputs)? {
            Ok(files) => made.files.extend(files),
            Err(missing) if only.contains(&kind) => anyhow::bail!("{} cannot be written: {missing}", kind.name()),
            Err(missing) => made.left_out.push((kind, missing)),
        }
    }
    Ok(made)
}

fn warnings(inputs: &Inputs<'_>, only: &[Kind]) -> Vec<String> {
    let mut warnings = inputs.settings.warnings.clone();
    warnings.extend(inputs.package.iter().flat_map(|package| package.warnings.clone()));
    warnings.extend(inputs.signer.iter().filter_map(|signer| signer.warning()));
    if Kind::Services.is_asked_for(only) && inputs.settings.login_item && inputs.team().is_none() {
        let warning = "login items: no team is known, so whatever calls itself io.emote.agent is allowed; give --pkg with a \
                       package of a Developer ID, or package.team";
        warnings.push(warning.to_owned());
    }
    let signed = inputs.package.and_then(|package| Some((package, package.release_team()?)));
    if let (Some(said), Some((package, team))) = (&inputs.settings.team, signed)
        && said != team
    {
        let warning = format!(
            "package.team is {said}, but {team} signed {}: what the profiles allow {said} is not allowed this package",
            package.name
        );
        warnings.push(warning);
    }
    warnings
}

impl Kind {
    /// As after `--only`.
    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether it is to be written where these alone are asked for; none is all.
    pub fn is_asked_for(self, only: &[Self]) -> bool {
        only.is_empty() || only.contains(&self)
    }

    fn file(self, name: impl Into<String>, bytes: Vec<u8>) -> File {
        File { kind: self, name: name.into(), bytes, secret: false }
    }
}

fn preferences(inputs: &Inputs<'_>) -> anyhow::Result<Written> {
    let name = format!("{}.plist", emote_agent::settings::DOMAIN);
    Ok(Ok(vec![Kind::Preferences.file(name, preference_manifest(inputs.date).into_bytes())]))
}

/// The preference manifest as the agent writes it.
fn preference_manifest(date: jiff::Timestamp) -> String {
    emote_agent::settings::profile::manifest(&date.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// A dictionary of a few entries.
fn dictionary<const N: usize>(entries: [(&str, plist::Value); N]) -> Dictionary {
    Dictionary::from_iter(entries)
}

#[cfg(test)]
mod tests;

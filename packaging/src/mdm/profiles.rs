//! The configuration profiles: the agent's settings with what they need, the agent as a service that stays, and what it may
//! read.

use emote_agent::settings::DOMAIN;
use plist::{Dictionary, Value};

use super::package::Package;
use super::payload::{Payload, Profile};
use super::settings::{Anchor, Settings};
use super::{File, Inputs, Kind, Written, dictionary};
use crate::pkg::IDENTIFIER;

const TITLE: &str = "Emote agent";

/// Settings, token and CA; with `single`, everything.
pub(super) fn settings(inputs: &Inputs<'_>) -> anyhow::Result<Written> {
    let settings = inputs.settings;
    let mut payloads = vec![preferences(settings)];
    payloads.extend(settings.system_anchors.iter().map(certificate));
    if inputs.single {
        payloads.extend(login_items(inputs));
        match full_disk_access(inputs) {
            Ok(payload) => payloads.push(payload),
            Err(missing) if settings.full_disk_access => return Ok(Err(missing)),
            Err(_) => {}
        }
    }
    let about = "Where the Emote agent on this Mac sends its events, and what it looks at.";
    let file = profile(inputs, Kind::Settings, "", TITLE, about, payloads)?;
    Ok(Ok(vec![File { secret: settings.has_secret, ..file }]))
}

/// Login items that nobody can switch off.
pub(super) fn services(inputs: &Inputs<'_>) -> anyhow::Result<Written> {
    let payload = match login_items(inputs) {
        None => return Ok(Err("profiles.login_item is false")),
        Some(_) if inputs.single => return Ok(Err(IN_ONE)),
        Some(payload) => payload,
    };
    let about = "Keeps the Emote agent running: it cannot be switched off in Login Items.";
    let title = "Emote agent: background service";
    Ok(Ok(vec![profile(inputs, Kind::Services, "services", title, about, vec![payload])?]))
}

/// What the agent may read.
pub(super) fn privacy(inputs: &Inputs<'_>) -> anyhow::Result<Written> {
    let payload = match full_disk_access(inputs) {
        Err(missing) => return Ok(Err(missing)),
        Ok(_) if inputs.single => return Ok(Err(IN_ONE)),
        Ok(payload) => payload,
    };
    let about = "Lets the Emote agent read what macOS protects.";
    let title = "Emote agent: Full Disk Access";
    Ok(Ok(vec![profile(inputs, Kind::Privacy, "pppc", title, about, vec![payload])?]))
}

const IN_ONE: &str = "it is in emote-agent.mobileconfig, because of --single";

fn profile(
    inputs: &Inputs<'_>,
    kind: Kind,
    part: &str,
    title: &str,
    about: &str,
    payloads: Vec<Payload>,
) -> anyhow::Result<File> {
    let Settings { identifier, organization, .. } = inputs.settings;
    let with = |separator: &str| if part.is_empty() { String::new() } else { format!("{separator}{part}") };
    let identifier = format!("{identifier}{}", with("."));
    let plist = Profile { identifier, title, about, organization, payloads }.plist();
    let bytes = match inputs.signer {
        Some(signer) => signer.sign(&plist)?,
        None => plist,
    };
    Ok(kind.file(format!("emote-agent{}.mobileconfig", with("-")), bytes))
}

/// Managed preferences: the payload's type is their domain.
fn preferences(settings: &Settings) -> Payload {
    let content = settings.agent.to_plist();
    Payload { kind: DOMAIN, part: "settings".into(), title: TITLE.into(), content }
}

/// A certificate that the system trusts where it is a root's, and knows where it is another's (`com.apple.security.root`,
/// `com.apple.security.pkcs1`).
fn certificate(anchor: &Anchor) -> Payload {
    let kind = if anchor.is_root { "com.apple.security.root" } else { "com.apple.security.pkcs1" };
    let content = dictionary([
        ("PayloadCertificateFileName", format!("{}.cer", anchor.fingerprint).into()),
        ("PayloadContent", Value::Data(anchor.der.clone())),
    ]);
    Payload { kind, part: format!("ca.{}", anchor.fingerprint), title: anchor.name.clone(), content }
}

/// The LaunchDaemon and the bundle that it belongs to, of this team where one is known (`com.apple.servicemanagement`).
fn login_items(inputs: &Inputs<'_>) -> Option<Payload> {
    if !inputs.settings.login_item {
        return None;
    }
    let rule = |kind: &str, comment: &str| {
        let mut rule =
            dictionary([("Comment", comment.into()), ("RuleType", kind.into()), ("RuleValue", IDENTIFIER.into())]);
        if let Some(team) = inputs.team() {
            rule.insert("TeamIdentifier".to_owned(), team.into());
        }
        Value::Dictionary(rule)
    };
    let rules = vec![rule("Label", "The LaunchDaemon"), rule("BundleIdentifier", "The bundle with the program")];
    let content = dictionary([("Rules", Value::Array(rules))]);
    Some(Payload {
        kind: "com.apple.servicemanagement",
        part: "login-items".into(),
        title: "Login Items".into(),
        content,
    })
}

/// Every file, for the bundle that this requirement is of (`com.apple.TCC.configuration-profile-policy`).
fn full_disk_access(inputs: &Inputs<'_>) -> Result<Payload, &'static str> {
    if !inputs.settings.full_disk_access {
        return Err("profiles.full_disk_access is false");
    }
    let requirement = inputs.requirement().ok_or("it needs --pkg with a package of a Developer ID, or package.team")?;
    let identity = dictionary([
        ("Allowed", true.into()),
        ("CodeRequirement", requirement.into()),
        ("Comment", TITLE.into()),
        ("Identifier", IDENTIFIER.into()),
        ("IdentifierType", "bundleID".into()),
    ]);
    let services = dictionary([("SystemPolicyAllFiles", Value::Array(vec![Value::Dictionary(identity)]))]);
    let content = Dictionary::from_iter([("Services", Value::Dictionary(services))]);
    let kind = "com.apple.TCC.configuration-profile-policy";
    Ok(Payload { kind, part: "privacy".into(), title: "Full Disk Access".into(), content })
}

impl<'a> Inputs<'a> {
    /// As the settings say, else as the package is signed.
    pub(super) fn team(&self) -> Option<&'a str> {
        let said = self.settings.team.as_deref();
        said.or_else(|| self.package.and_then(Package::release_team))
    }

    /// What the agent's signature must be: as the settings say, else what codesign asks of a Developer ID of that team.
    fn requirement(&self) -> Option<String> {
        let of_team = |team: &str| {
            format!(
                "identifier \"{IDENTIFIER}\" and anchor apple generic and certificate 1[field.1.2.840.113635.100.6.2.6] \
                 exists and certificate leaf[field.1.2.840.113635.100.6.1.13] exists and certificate leaf[subject.OU] = \
                 \"{team}\""
            )
        };
        self.settings.requirement.clone().or_else(|| self.team().map(of_team))
    }
}

//! The pkginfo of a Munki repository (<https://github.com/munki/munki/wiki/Supported-Pkginfo-Keys>).

use plist::{Dictionary, Value};

use super::package::Package;
use super::{Inputs, Kind, Written, dictionary};
use crate::pkg::{APP, DEPLOYMENT_TARGET, IDENTIFIER, UNINSTALL};

/// What Munki calls it.
pub(super) const NAME: &str = "EmoteAgent";

pub(super) fn file(inputs: &Inputs<'_>) -> anyhow::Result<Written> {
    let Some(package) = inputs.package else { return Ok(Err("it needs --pkg")) };
    let mut info = about(inputs);
    info.extend(of_package(package));
    let name = format!("{NAME}-{}.pkginfo.plist", package.version);
    Ok(Ok(vec![Kind::Munki.file(name, emote_proto::deploy::xml(sorted(info)))]))
}

/// What holds of every version.
pub(super) fn about(inputs: &Inputs<'_>) -> Dictionary {
    let catalogs = inputs.settings.catalogs.iter().map(|name| Value::from(name.as_str()));
    let uninstall = format!("#!/bin/sh\nexec '/{APP}/{UNINSTALL}'\n");
    dictionary([
        ("catalogs", Value::Array(catalogs.collect())),
        ("category", "Management".into()),
        ("description", "Tells Emote what happens on this Mac.".into()),
        ("developer", "Emote".into()),
        ("display_name", "Emote Agent".into()),
        ("minimum_os_version", DEPLOYMENT_TARGET.short().into()),
        ("name", NAME.into()),
        ("unattended_install", true.into()),
        ("unattended_uninstall", true.into()),
        ("uninstall_method", "uninstall_script".into()),
        ("uninstall_script", uninstall.into()),
        ("uninstallable", true.into()),
    ])
}

/// Sizes are in kibibytes there. Munki looks at the bundle (`installs`) before it looks at receipts, so a bundle that
/// somebody deleted comes back.
fn of_package(package: &Package) -> Dictionary {
    let version = package.version.to_string();
    let bundle = dictionary([
        ("CFBundleIdentifier", IDENTIFIER.into()),
        ("CFBundleShortVersionString", version.as_str().into()),
        ("path", format!("/{APP}").into()),
        ("type", "application".into()),
        ("version_comparison_key", "CFBundleShortVersionString".into()),
    ]);
    let receipt = dictionary([
        ("installed_size", package.installed_kibibytes.into()),
        ("packageid", IDENTIFIER.into()),
        ("version", version.as_str().into()),
    ]);
    dictionary([
        ("installed_size", package.installed_kibibytes.into()),
        ("installer_item_hash", package.sha256.as_str().into()),
        ("installer_item_location", package.name.as_str().into()),
        ("installer_item_size", (package.bytes.len() as u64).div_ceil(1024).into()),
        ("installs", Value::Array(vec![Value::Dictionary(bundle)])),
        ("receipts", Value::Array(vec![Value::Dictionary(receipt)])),
        ("version", version.into()),
    ])
}

fn sorted(mut info: Dictionary) -> Dictionary {
    info.sort_keys();
    info
}

//! The manifest that Macs install the package by, and the command that makes them ([`emote_proto::deploy`]).

use emote_proto::deploy::{About, Manifest, command_by_url, profile_command};
use ring::digest::{SHA256, digest};

use super::payload::uuid;
use super::{File, Inputs, Kind, Written, profiles};
use crate::pkg::IDENTIFIER;

pub(super) fn manifest(inputs: &Inputs<'_>) -> anyhow::Result<Written> {
    Ok(of_package(inputs)?.map(|manifest| vec![Kind::Manifest.file("manifest.plist", manifest.plist())]))
}

/// With the manifest in it; where certificates are pinned, with the manifest's address, since only then they count.
pub(super) fn command(inputs: &Inputs<'_>) -> anyhow::Result<Written> {
    let Some(package) = inputs.package else { return Ok(Err("it needs --pkg")) };
    let settings = inputs.settings;
    // One command for one package: whoever sends it twice to a Mac gives it another UUID.
    let uuid = uuid(&["command", &settings.identifier, &package.sha256]);
    let bytes = match &settings.manifest_url {
        Some(url) if !settings.pinned.is_empty() => command_by_url(&uuid, url, &settings.pinned)?,
        _ => match of_package(inputs)? {
            Ok(manifest) => manifest.command(&uuid),
            Err(missing) => return Ok(Err(missing)),
        },
    };
    Ok(Ok(vec![Kind::Command.file("command.plist", bytes)]))
}

/// A command for each profile; one that changed is another command.
pub(super) fn profiles(inputs: &Inputs<'_>) -> anyhow::Result<Written> {
    let made = [profiles::settings(inputs)?, profiles::services(inputs)?, profiles::privacy(inputs)?];
    let command = |profile: File| {
        let sum = data_encoding::HEXLOWER.encode(digest(&SHA256, &profile.bytes).as_ref());
        let bytes = profile_command(&uuid(&["command", &inputs.settings.identifier, &sum]), &profile.bytes);
        let name = profile.name.replace(".mobileconfig", ".install.plist");
        File { secret: profile.secret, ..Kind::ProfileCommands.file(name, bytes) }
    };
    Ok(Ok(made.into_iter().flatten().flatten().map(command).collect()))
}

fn of_package(inputs: &Inputs<'_>) -> anyhow::Result<Result<Manifest, &'static str>> {
    let Some(package) = inputs.package else { return Ok(Err("it needs --pkg")) };
    let bundle_version = package.version.to_string();
    let Some(url) = inputs.settings.package_url_of(&bundle_version) else { return Ok(Err("it needs package.url")) };
    let about = About { url, bundle_identifier: IDENTIFIER.into(), bundle_version, title: "Emote Agent".into() };
    Ok(Ok(Manifest::of_package(package.bytes.as_slice(), about)?))
}

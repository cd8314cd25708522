//! The manifest that Macs install the package by, and the command that makes them ([`emote_proto::deploy`]).

use data_encoding::HEXLOWER;
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
    let made = |uuid: &str| match &settings.manifest_url {
        Some(url) if !settings.pinned.is_empty() => Ok(Ok(command_by_url(uuid, url, &settings.pinned)?)),
        _ => Ok::<_, anyhow::Error>(of_package(inputs)?.map(|manifest| manifest.command(uuid))),
    };
    // Another command under a UUID that an MDM has had may be refused; what an address leads to is part of the command.
    let uuid = match made("")? {
        Ok(bytes) => uuid(&["command", &settings.identifier, &package.sha256, &sum(&bytes)]),
        Err(missing) => return Ok(Err(missing)),
    };
    Ok(made(&uuid)?.map(|bytes| vec![Kind::Command.file("command.plist", bytes)]))
}

/// A command for each profile; one that changed is another command.
pub(super) fn profiles(inputs: &Inputs<'_>) -> anyhow::Result<Written> {
    let made = [profiles::settings(inputs)?, profiles::services(inputs)?, profiles::privacy(inputs)?];
    let command = |profile: File| {
        let uuid = uuid(&["command", &inputs.settings.identifier, &sum(&profile.bytes)]);
        let bytes = profile_command(&uuid, &profile.bytes);
        let name = profile.name.replace(".mobileconfig", ".install.plist");
        File { secret: profile.secret, ..Kind::ProfileCommands.file(name, bytes) }
    };
    Ok(Ok(made.into_iter().flatten().flatten().map(command).collect()))
}

fn sum(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}

fn of_package(inputs: &Inputs<'_>) -> anyhow::Result<Result<Manifest, &'static str>> {
    let Some(package) = inputs.package else { return Ok(Err("it needs --pkg")) };
    let bundle_version = package.version.to_string();
    let Some(url) = inputs.settings.package_url_of(&bundle_version) else { return Ok(Err("it needs package.url")) };
    let about = About { url, bundle_identifier: IDENTIFIER.into(), bundle_version, title: "Emote Agent".into() };
    Ok(Ok(Manifest::of_package(package.bytes.as_slice(), about)?))
}

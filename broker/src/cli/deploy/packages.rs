//! `emote deploy add`, `ls`, `use`, `rm`: packages that are kept, and which is deployed.

use std::{fs::File, path::PathBuf};

use anyhow::Context;
use serde_json::json;

use super::{Asking, Exit, Output, ServerArgs, Signed, print_line, render, table};
use crate::{
    bus::{Bus, KeptPackage},
    console::{deploys, order},
    core::Package,
    deploy::package::{self, Inspected},
};

/// Packages that are kept at once.
const MAX_KEPT: usize = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// The agent's package, as `emote-packaging pkg` builds it
    package: PathBuf,
    /// Take one without a signature, which no Mac installs that an MDM tells to
    #[arg(long)]
    unsigned: bool,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct Use {
    /// Its version, as `emote deploy ls` shows it
    version: String,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct Rm {
    /// Its version, as `emote deploy ls` shows it
    version: String,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn add(args: Add) -> anyhow::Result<Exit> {
    let named = || args.package.display().to_string();
    let bytes = File::open(&args.package).map_err(package::PackageError::from).and_then(package::bytes);
    let bytes = bytes.with_context(named)?;
    let Inspected { package, signed } = package::inspect(&bytes).with_context(named)?;
    if !signed && !args.unsigned {
        anyhow::bail!(
            "{}: it is not signed, and a Mac installs no such package that an MDM brings: sign it with a Developer ID Installer \
             identity (`emote-packaging pkg --help`), or say --unsigned to try it without Macs",
            named()
        );
    }
    let bus = args.server.connect().await?;
    let kept = bus.kept_packages().await?;
    match kept.iter().find(|kept| kept.package.version == package.version) {
        Some(same) if same.package == package => {}
        Some(_) => anyhow::bail!(
            "another package of version {} is kept, and Macs may have that one: build this one with another version",
            package.version
        ),
        None if kept.len() >= MAX_KEPT => {
            anyhow::bail!("{MAX_KEPT} packages are kept: take one away first (`emote deploy ls`, `emote deploy rm`)")
        }
        None => bus.keep_package(&package, &bytes).await?,
    }
    put_in_force(&bus, &package, &args.signed).await
}

pub(super) async fn deploy(args: Use) -> anyhow::Result<Exit> {
    let bus = args.server.connect().await?;
    match find(&bus, &args.version).await? {
        Some(kept) => put_in_force(&bus, &kept.package, &args.signed).await,
        None => Ok(Exit::NotFound),
    }
}

pub(super) async fn rm(args: Rm) -> anyhow::Result<Exit> {
    let bus = args.server.connect().await?;
    let Some(kept) = find(&bus, &args.version).await? else { return Ok(Exit::NotFound) };
    let deployed = deploys::ask(&bus, Vec::new()).await?.package;
    if deployed.is_some_and(|deployed| deployed == kept.package) {
        anyhow::bail!("{} is deployed: deploy another one first (`emote deploy use`)", args.version);
    }
    bus.remove_package(&kept.package.file_name()).await?;
    print_line(format!("{} is kept no longer.", args.version))?;
    Ok(Exit::Ok)
}

/// The package of this version; where there is none, that is said.
async fn find(bus: &Bus, version: &str) -> anyhow::Result<Option<KeptPackage>> {
    let kept = bus.kept_packages().await?.into_iter().find(|kept| kept.package.version == version);
    if kept.is_none() {
        anstream::eprintln!("No package of version {version} is kept: `emote deploy ls` lists those that are.");
    }
    Ok(kept)
}

async fn put_in_force(bus: &Bus, package: &Package, signed: &Signed) -> anyhow::Result<Exit> {
    let known = order::deploy::set_package(bus, package, &signed.signature(bus)?).await?;
    let Package { version, size, sha256, .. } = package;
    print_line(format!("{version} is deployed from now on: {size} bytes, SHA-256 {sha256}"))?;
    if !known {
        anstream::eprintln!("It is ordered, but no broker has come to it yet: does one run? (`emote deploy ls`)");
    }
    if let Some(terms) = deploys::ask(bus, Vec::new()).await?.terms {
        print_line(format!("{}/deploy/{}", terms.url, package.file_name()))?;
    } else {
        anstream::eprintln!(
            "No deploy.yaml is in force: it is served, and installed, once one is (`emote deploy --help`)."
        );
    }
    Ok(Exit::Ok)
}

pub(super) async fn ls(ask: Asking) -> anyhow::Result<Exit> {
    let bus = ask.connect().await?;
    let (kept, answer) = (bus.kept_packages().await?, deploys::ask(&bus, Vec::new()).await?);
    let is_deployed = |kept: &KeptPackage| answer.package.as_ref() == Some(&kept.package);
    match ask.output {
        Output::Json => {
            for kept in &kept {
                print_line(json!({"package": kept.package, "since": kept.since, "deployed": is_deployed(kept)}))?;
            }
        }
        Output::Table if kept.is_empty() => drop(print_line("No packages yet: `emote deploy add EmoteAgent.pkg`")?),
        Output::Table => {
            let now = jiff::Timestamp::now().into();
            let mut table = table::table(&["version", "deployed", "size", "kept for", "sha-256"]);
            for kept in &kept {
                let Package { version, size, sha256, .. } = &kept.package;
                let since = kept.since.map_or_else(|| "-".to_owned(), |since| render::ago(since, now));
                let deployed = if is_deployed(kept) { "yes" } else { "" };
                table.add_row([version.clone(), deployed.to_owned(), size.to_string(), since, sha256.clone()]);
            }
            print_line(table::lines(&mut table))?;
        }
    }
    let lost = answer.package.filter(|package| !kept.iter().any(|kept| kept.package == *package));
    if let Some(package) = lost {
        anstream::eprintln!("{} is deployed, and kept no longer: add it again.", package.version);
    }
    Ok(Exit::Ok)
}

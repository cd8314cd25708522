//! `emote deploy add`, `ls`, `use`, `rm`: packages that are kept, and which is deployed.

use std::{fs::File, path::PathBuf};

use anyhow::Context;
use serde_json::json;

use super::{Asking, Exit, Output, ServerArgs, Signed, print_line, render, table};
use crate::{
    bus::{Bus, BusError, KeptPackage},
    console::{
        deploys::{self, DeployTerms, DeploysAnswer},
        order::{self, deploy::InForce},
    },
    core::{Deployment, Package, is_at_least},
    deploy::package::{self, Inspected},
};

/// What tells that one is kept no longer. Nothing follows of it.
const REMOVED: &str = "deploy.package_removed";
/// Packages that are kept at once.
const MAX_KEPT: usize = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// The agent's package, as `emote-packaging pkg` builds it
    package: PathBuf,
    /// Take one without a signature, which no Mac installs that an MDM tells to
    #[arg(long)]
    unsigned: bool,
    /// Keep it, and go on with what is deployed: `emote deploy use` deploys it
    #[arg(long)]
    only_keep: bool,
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
    /// Also where it is deployed, or installs of it are under way: those fail until it is added again
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn add(args: Add) -> anyhow::Result<Exit> {
    let named = || args.package.display().to_string();
    let bytes = File::open(&args.package).map_err(package::PackageError::from).and_then(package::bytes);
    let bytes = bytes.with_context(named)?;
    let Inspected { package, signer } = package::inspect(&bytes).with_context(named)?;
    match &signer {
        None if !args.unsigned => anyhow::bail!(
            "{}: it is not signed, and a Mac installs no such package that an MDM brings: sign it with a Developer ID Installer \
             identity (`emote-packaging pkg --help`), or say --unsigned to try it without Macs",
            named()
        ),
        None => {}
        Some(signer) if signer.is_no_developer() => anstream::eprintln!(
            "It is signed by {signer}: Macs install what an MDM brings from a Developer ID Installer alone."
        ),
        Some(signer) => {
            anstream::eprintln!("It is signed by {signer}, as it says: `emote-packaging verify` proves it.");
        }
    }
    let bus = args.server.connect().await?;
    let kept = bus.kept_packages().await?;
    let removed = bus.removed_package(&package.file_name()).await?;
    if is_new(&package, &kept, removed.as_ref())? {
        bus.keep_package(&package, &bytes).await?;
    }
    if args.only_keep {
        let version = &package.version;
        print_line(format!("{version} is kept: `emote deploy use {version}` deploys it."))?;
        return Ok(Exit::Ok);
    }
    put_in_force(&bus, &package, &args.signed).await
}

/// Whether the package is to be put among those that are kept; an error where it must not be. `removed` is the one of its
/// version that was kept once: caches and Macs may have it, for a year.
fn is_new(package: &Package, kept: &[KeptPackage], removed: Option<&Package>) -> anyhow::Result<bool> {
    let same = kept.iter().map(|kept| &kept.package).find(|kept| kept.version == package.version);
    if same.or(removed).is_some_and(|known| known.sha256 != package.sha256) {
        anyhow::bail!(
            "another package of version {} {} kept, and Macs may have that one: build this one with another version",
            package.version,
            if same.is_some() { "is" } else { "was" }
        );
    }
    if same.is_none() && kept.len() >= MAX_KEPT {
        anyhow::bail!("{MAX_KEPT} packages are kept: take one away first (`emote deploy ls`, `emote deploy rm`)");
    }
    Ok(same.is_none())
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
    if !args.force
        && let Some(reason) = wanted(&kept.package, &deploys::ask_all(&bus).await?)
    {
        anyhow::bail!("{reason}, or say --force");
    }
    let signature = args.signed.signature(&bus)?;
    bus.remove_package(&kept.package.file_name()).await?;
    let removed = json!({"version": kept.package.version, "sha256": kept.package.sha256});
    signature.order(&bus, REMOVED, removed).await.context("it is kept no longer, and no event tells")?;
    print_line(format!("{} is kept no longer.", args.version))?;
    Ok(Exit::Ok)
}

/// Why a package must be there still, and what to do first.
fn wanted(package: &Package, answer: &DeploysAnswer) -> Option<String> {
    let version = &package.version;
    if answer.package.as_ref() == Some(package) {
        return Some(format!("{version} is deployed: deploy another one first (`emote deploy use`)"));
    }
    let is_wanted = |install: &&Deployment| install.state.is_open() && install.version == *version;
    let open: Vec<&str> = answer.deployments.iter().filter(is_wanted).map(Deployment::key).collect();
    let more = open.len().checked_sub(1).filter(|more| *more > 0).map(|more| format!(" and {more} more"));
    let first = open.first()?;
    Some(format!(
        "{version} is being installed on {first}{}: wait until they have it (`emote deploy status --open`)",
        more.unwrap_or_default()
    ))
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
    let before = deploys::ask(bus, Vec::new()).await.ok().and_then(|answer| answer.package);
    let became = order::deploy::set_package(bus, package, &signed.signature(bus)?).await?;
    let Package { version, size, sha256, .. } = package;
    let terms = terms(version, became)?;
    if let Some(before) = before.filter(|before| !is_at_least(version, &before.version)) {
        anstream::eprintln!(
            "It is older than {}, which was deployed: a Mac that has that refuses this one, and tells nobody.",
            before.version
        );
    }
    print_line(format!("{version} is deployed from now on: {size} bytes, SHA-256 {sha256}"))?;
    if let Some(terms) = terms {
        print_line(format!("{}/deploy/{}", terms.url, package.file_name()))?;
    } else {
        anstream::eprintln!(
            "No deploy.yaml is in force: it is served, and installed, once one is (`emote deploy --help`)."
        );
    }
    Ok(Exit::Ok)
}

/// On which terms it is deployed; an error where it is not, or where that is not known.
fn terms(version: &str, became: InForce) -> anyhow::Result<Option<DeployTerms>> {
    match became {
        InForce::Yes { terms } => Ok(terms),
        InForce::Refused(reason) => anyhow::bail!("{version} is kept, and not deployed: {reason}"),
        InForce::Unheard => Err(anyhow::Error::from(BusError::NoBroker).context(format!(
            "{version} is kept, and its deployment is ordered, but no broker has come to it yet (`emote deploy ls` shows when \
             it is deployed)"
        ))),
    }
}

pub(super) async fn ls(ask: Asking) -> anyhow::Result<Exit> {
    let bus = ask.connect().await?;
    let (kept, answer) = (bus.kept_packages().await?, deploys::ask(&bus, Vec::new()).await?);
    let is_deployed = |kept: &KeptPackage| answer.package.as_ref() == Some(&kept.package);
    match ask.output {
        Output::Json => {
            for kept in &kept {
                let deployed = is_deployed(kept);
                print_line(json!({"package": kept.package, "since": kept.since, "deployed": deployed, "kept": true}))?;
            }
            if let Some(lost) = lost(&answer, &kept) {
                print_line(json!({"package": lost, "since": null, "deployed": true, "kept": false}))?;
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
    if let Some(package) = lost(&answer, &kept) {
        anstream::eprintln!("{} is deployed, and kept no longer: add it again.", package.version);
    }
    Ok(Exit::Ok)
}

/// The package that is deployed, where nobody can fetch it any more.
pub(super) fn lost<'a>(answer: &'a DeploysAnswer, kept: &[KeptPackage]) -> Option<&'a Package> {
    answer.package.as_ref().filter(|package| !kept.iter().any(|kept| kept.package == **package))
}

#[cfg(test)]
mod tests {
    use emote_proto::Time;

    use super::*;

    fn package(version: &str, digit: &str) -> Package {
        Package { version: version.to_owned(), sha256: digit.repeat(64), ..Package::example() }
    }

    #[test]
    fn a_version_is_one_package_for_ever() {
        let kept = |package: Package| KeptPackage { package, since: None };
        let (this, other) = (package("1.2.3", "a"), package("1.2.3", "b"));
        let full: Vec<KeptPackage> = (0..MAX_KEPT).map(|n| kept(package(&format!("0.{n}"), "c"))).collect();
        for (there, removed, expected) in [
            (vec![], None, Ok(true)),
            (vec![], Some(&this), Ok(true)),
            (vec![], Some(&other), Err("another package of version 1.2.3 was kept")),
            (vec![kept(this.clone())], None, Ok(false)),
            (vec![kept(other.clone())], None, Err("another package of version 1.2.3 is kept")),
            (vec![kept(package("1.2.4", "b"))], None, Ok(true)),
            (full.clone(), None, Err("20 packages are kept: take one away first")),
            ([full, vec![kept(this.clone())]].concat(), None, Ok(false)),
        ] {
            match (is_new(&this, &there, removed).map_err(|error| error.to_string()), expected) {
                (Err(said), Err(expected)) => assert!(said.starts_with(expected), "{said}"),
                (found, expected) => assert_eq!(found, expected.map_err(str::to_owned)),
            }
        }
    }

    #[test]
    fn it_is_deployed_where_that_is_known_alone() {
        assert!(terms("1.2.3", InForce::Yes { terms: None }).unwrap().is_none());
        for (became, said) in [
            (
                InForce::Refused("its version is none".to_owned()),
                "1.2.3 is kept, and not deployed: its version is none",
            ),
            (InForce::Unheard, "1.2.3 is kept, and its deployment is ordered, but no broker has come to it yet"),
        ] {
            let error = terms("1.2.3", became).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn what_is_deployed_or_being_installed_is_wanted() {
        let install = |serial: &str, state: &str, version: &str| {
            let now = Time::from(jiff::Timestamp::UNIX_EPOCH);
            let event = "00000000-0000-7000-8000-000000000000";
            let whole = json!({"serial": serial, "udid": "U-1", "job": "e/deploy/install-agent/C02", "version": version,
                "target": "install-agent", "state": state, "since": now, "ordered": now,
                "cause": {"event": event, "rule": "deploy", "target": "install-agent", "root": event, "depth": 1}});
            serde_json::from_value::<Deployment>(whole).unwrap()
        };
        let (this, newer) = (package("1.2.3", "a"), package("1.2.4", "b"));
        let answer = |package: Option<&Package>, deployments| DeploysAnswer {
            package: package.cloned(),
            deployments,
            ..DeploysAnswer::default()
        };
        let ended = vec![install("C1", "installed", "1.2.3"), install("C2", "failed", "1.2.3")];
        for (answer, said) in [
            (answer(None, vec![]), None),
            (answer(Some(&newer), ended), None),
            (answer(Some(&newer), vec![install("C1", "ordered", "1.2.4")]), None),
            (answer(Some(&this), vec![]), Some("1.2.3 is deployed: deploy another one first")),
            (
                answer(Some(&newer), vec![install("C1", "overdue", "1.2.3")]),
                Some("1.2.3 is being installed on C1: wait"),
            ),
            (
                answer(Some(&newer), ["C1", "C2", "C3"].map(|serial| install(serial, "ordered", "1.2.3")).into()),
                Some("1.2.3 is being installed on C1 and 2 more: wait"),
            ),
        ] {
            let found = wanted(&this, &answer);
            assert!(
                found.as_deref().map_or(said.is_none(), |found| said.is_some_and(|said| found.starts_with(said))),
                "{said:?}: {found:?}"
            );
        }
    }
}

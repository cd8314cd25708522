//! Whether the program in the package is what it should be, slice by slice, and its bundle with it.

use std::collections::BTreeSet;

use ring::digest::{SHA256, digest};

use super::certificates::{self, Purpose};
use super::cms::Signed;
use super::contents::Contents;
use super::{Demands, Report, Trust, signer};
use crate::pkg::macho::signature::{AD_HOC, CodeDirectory, Embedded, HARDENED, slot};
use crate::pkg::macho::{Cpu, Slice, split};
use crate::pkg::version::Version;
use crate::pkg::{APP, DEPLOYMENT_TARGET, IDENTIFIER, PROGRAM};

const RESOURCES: &str = "Contents/_CodeSignature/CodeResources";
const INFO: &str = "Contents/Info.plist";
/// Apple's: the hashes of all code directories, as a property list (`CMS_ATTR` cdhashes in Security's sources).
const CDHASHES: &str = "1.2.840.113635.100.9.1";

/// Checks slices and signatures; `team` is the package signer's.
pub(super) fn check(contents: &Contents, team: Option<&str>, demands: &Demands, report: &mut Report) {
    let Some(program) = contents.payload.file(&format!("{APP}/{PROGRAM}")) else { return };
    let slices = match split(program) {
        Ok(slices) => slices,
        Err(malformed) => return report.problem(malformed.to_string()),
    };
    let found: BTreeSet<Cpu> = slices.iter().map(|slice| slice.cpu).collect();
    if found != contents.manifest.architectures.iter().copied().collect() {
        report.problem("the manifest names other architectures than the program has");
    }
    for slice in &slices {
        let of = format!("the {} slice", slice.cpu);
        if slice.minimum_os > DEPLOYMENT_TARGET || contents.manifest.deployment_target != DEPLOYMENT_TARGET {
            let (asks, may) = (slice.minimum_os.short(), DEPLOYMENT_TARGET.short());
            report.problem(format!("{of}: it asks for macOS {asks}, and may ask for {may} at most"));
        }
        check_version(&of, slice, contents.manifest.version, report);
        match &demands.trust {
            Some(trust) => report.take(&of, signed(slice, contents, team, trust, demands)),
            None => report.proven.push(format!("{of} runs on macOS {} and newer", slice.minimum_os.short())),
        }
    }
    if demands.trust.is_some() {
        report.take("the bundle", resources(contents));
    }
}

/// Holds what a program says of itself against the package: an agent tells its own version, and by that an install is known
/// to have worked.
fn check_version(of: &str, slice: &Slice<'_>, packed: Version, report: &mut Report) {
    match slice.version() {
        Ok(Some(version)) if version == packed => {}
        Ok(Some(version)) => report.problem(format!(
            "{of}: it says that it is version {version}, and the package that it is {packed}: build the package anew, without \
             --version"
        )),
        Ok(None) => report.warnings.push(format!("{of} does not say which version it is: nothing confirms {packed}")),
        Err(malformed) => report.problem(format!("{of}: {malformed}")),
    }
}

/// Tries a slice's signature, and says what is proven.
fn signed(
    slice: &Slice<'_>,
    contents: &Contents,
    team: Option<&str>,
    trust: &Trust,
    demands: &Demands,
) -> Result<String, String> {
    let (at, _) = slice.signature.ok_or("it is not signed")?;
    let embedded = Embedded::read(&slice.data[at..]).map_err(|error| error.to_string())?;
    let directories = embedded.directories().map_err(|error| error.to_string())?;
    let first = directories.first().filter(|_| embedded.blob(slot::CODE_DIRECTORY).is_some());
    let first = first.ok_or("its signature has no code directory")?;
    if !directories.iter().any(CodeDirectory::is_sha256) {
        return Err("its signature has no SHA-256 hashes".into());
    }
    for directory in &directories {
        check_directory(directory, slice, at, contents, &embedded)?;
    }
    for (found, _) in &embedded.blobs {
        let is_directory = *found == slot::CODE_DIRECTORY || *found >= slot::ALTERNATES;
        let covered = is_directory || directories.iter().all(|directory| directory.special(*found).is_some());
        if !covered {
            return Err(format!("what is in slot {found} of its signature is covered by nothing"));
        }
    }
    let signature = Signed::of(embedded.cms, first.whole)?;
    check_cdhashes(&signature, &directories)?;
    let proven = signer(&signature, trust, Purpose::Application, demands)?;
    let of_certificate = certificates::team(&signature.leaf);
    if first.team.is_none() || first.team != of_certificate.as_deref() || first.team != team {
        return Err(format!(
            "its team is {:?}, its certificate's {of_certificate:?}, the package's {team:?}",
            first.team
        ));
    }
    Ok(format!(
        "the {} slice: signed by {proven}, hardened, for macOS {} and newer",
        slice.cpu,
        slice.minimum_os.short()
    ))
}

fn check_directory(
    directory: &CodeDirectory<'_>,
    slice: &Slice<'_>,
    limit: usize,
    contents: &Contents,
    embedded: &Embedded<'_>,
) -> Result<(), String> {
    if directory.identifier != IDENTIFIER {
        return Err(format!("its identifier is {:?}, not {IDENTIFIER:?}", directory.identifier));
    }
    if directory.flags & HARDENED == 0 || directory.flags & AD_HOC != 0 {
        return Err("it is signed without the hardened runtime, or ad hoc".into());
    }
    if directory.limit() != limit {
        return Err("its signature covers another part of it than all before it".into());
    }
    if let Some(page) = directory.differing_pages(slice.data).first() {
        return Err(format!("page {page} is not what was signed"));
    }
    for slot in directory.specials() {
        let file = |path: &str| contents.payload.file(&format!("{APP}/{path}"));
        let what = match slot {
            slot::INFO => file(INFO),
            slot::RESOURCES => file(RESOURCES),
            slot::REQUIREMENTS | slot::ENTITLEMENTS | slot::ENTITLEMENTS_DER => embedded.blob(slot),
            _ => None,
        };
        if what.is_none_or(|what| Some(directory.hash(what).as_slice()) != directory.special(slot)) {
            return Err(format!("what belongs to it in slot {slot} is missing, unknown or not what was signed"));
        }
    }
    for (slot, what) in [(slot::INFO, INFO), (slot::RESOURCES, RESOURCES)] {
        if directory.special(slot).is_none() {
            return Err(format!("its signature does not cover {what}"));
        }
    }
    if directory.special(slot::ENTITLEMENTS).is_some() || directory.special(slot::ENTITLEMENTS_DER).is_some() {
        return Err("it has entitlements, and the agent needs none".into());
    }
    Ok(())
}

/// Where the signature lists the code directories' hashes, they are those.
fn check_cdhashes(signature: &Signed, directories: &[CodeDirectory<'_>]) -> Result<(), String> {
    let Some(listed) = signature.attribute(CDHASHES) else { return Ok(()) };
    let listed = listed.decode_as::<der::asn1::OctetString>().map_err(|error| error.to_string())?;
    let listed: plist::Value = plist::from_reader_xml(listed.as_bytes()).map_err(|error| error.to_string())?;
    let listed = listed.as_dictionary().and_then(|listed| listed.get("cdhashes")?.as_array());
    let listed: Vec<_> = listed.into_iter().flatten().filter_map(plist::Value::as_data).collect();
    let found: Vec<_> = directories.iter().map(CodeDirectory::cdhash).collect();
    if listed == found { Ok(()) } else { Err("its signature lists other code directories than it has".into()) }
}

/// Holds the bundle's files against CodeResources, which the program's signature covers.
fn resources(contents: &Contents) -> Result<String, String> {
    let path = format!("{APP}/{RESOURCES}");
    let bytes = contents.payload.file(&path).ok_or("it has no CodeResources")?;
    let value: plist::Value = plist::from_reader_xml(bytes).map_err(|error| format!("CodeResources: {error}"))?;
    let listed = value.as_dictionary().and_then(|all| all.get("files2")?.as_dictionary());
    let listed = listed.ok_or("CodeResources lists no files")?;
    let within = |path: &str| path.strip_prefix(APP)?.strip_prefix("/Contents/").map(str::to_owned);
    let files = contents.payload.iter().filter_map(|(path, entry)| Some((within(path)?, entry)));
    let mut there = 0;
    for (path, entry) in files {
        let place = format!("Contents/{path}");
        if entry.kind == crate::pkg::tree::Kind::Folder || [INFO, RESOURCES, PROGRAM].contains(&place.as_str()) {
            continue;
        }
        let hash = listed.get(&path).and_then(|file| file.as_dictionary()?.get("hash2")?.as_data());
        if hash != Some(digest(&SHA256, entry.content()).as_ref()) {
            return Err(format!("{path} is not listed in CodeResources, or not what was signed"));
        }
        there += 1;
    }
    if listed.len() == there {
        Ok(format!("the bundle's {there} further files are what its signature covers"))
    } else {
        Err(format!("CodeResources lists {} files, and {there} are there", listed.len()))
    }
}

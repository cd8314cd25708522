//! AutoPkg recipes (<https://github.com/autopkg/autopkg/wiki/Recipe-Format>): fetch the package and prove whose it is, import
//! it into Munki, upload it to Jamf Pro. `autopkg run --pkg FILE` takes a package that is there already.

use plist::{Dictionary, Value};

use super::munki::{self, NAME};
use super::{File, Inputs, Kind, Written, dictionary};
use crate::pkg::{APP, COMPONENT};

/// Of the recipe repository `grahampugh-recipes`.
const UPLOADER: &str = "com.github.grahampugh.jamf-upload.processors/JamfPackageUploader";
/// As `autopkg new-recipe` writes it for a property list: nothing here came later.
const MINIMUM: &str = "1.0.0";
/// Where the chain of every Developer ID ends. `pkgutil`, whose answer is compared, tells it whether or not it is in the
/// package.
const ROOT: &str = "Apple Root CA";

pub(super) fn files(inputs: &Inputs<'_>) -> anyhow::Result<Written> {
    let Some(package) = inputs.package else { return Ok(Err("it needs --pkg")) };
    let Some(url) = inputs.settings.package_url_of("%VERSION%") else { return Ok(Err("it needs package.url")) };
    if url.replace("%VERSION%", "").contains('%') {
        return Ok(Err("it needs a package.url without %, between two of which AutoPkg looks for a variable"));
    }
    if package.authorities.is_empty() {
        return Ok(Err("it needs a package that is signed, for the recipe proves by whom"));
    }
    let ends_early = package.release_team().is_some() && package.authorities.last().is_none_or(|name| name != ROOT);
    let of = |kind: &str| format!("{}.autopkg.{kind}", inputs.settings.identifier);
    let names = package.authorities.iter().map(String::as_str).chain(ends_early.then_some(ROOT));
    let authorities = names.map(Value::from);
    let download = [
        step("URLDownloader", [("filename", "%NAME%-%VERSION%.pkg".into()), ("url", url.into())]),
        step("EndOfCheckPhase", []),
        step(
            "CodeSignatureVerifier",
            [("expected_authority_names", Value::Array(authorities.collect())), ("input_path", "%pathname%".into())],
        ),
    ];
    let munki = munki_steps();
    let jamf = step(UPLOADER, [("pkg_name", "%NAME%-%VERSION%.pkg".into()), ("pkg_path", "%pathname%".into())]);
    let input = [("NAME", NAME.into()), ("VERSION", package.version.to_string().into())];
    let pkginfo = Value::Dictionary(munki::about(inputs));
    let munki_input = [("MUNKI_REPO_SUBDIR", "agents".into()), ("NAME", NAME.into()), ("pkginfo", pkginfo)];
    let parent = Some(of("download"));
    Ok(Ok(vec![
        recipe("download", &of("download"), None, dictionary(input), download.to_vec()),
        recipe("munki", &of("munki"), parent.clone(), dictionary(munki_input), munki.to_vec()),
        recipe("jamf", &of("jamf"), parent, dictionary([("NAME", NAME.into())]), vec![jamf]),
    ]))
}

/// Imports the package, with the bundle in it as what Munki looks at (`installs`), as in the pkginfo.
fn munki_steps() -> [Value; 5] {
    let in_cache = |path: &str| Value::from(format!("%RECIPE_CACHE_DIR%/{path}"));
    [
        step(
            "FlatPkgUnpacker",
            [
                ("destination_path", in_cache("unpacked")),
                ("flat_pkg_path", "%pathname%".into()),
                ("purge_destination", true.into()),
            ],
        ),
        step(
            "PkgPayloadUnpacker",
            [
                ("destination_path", in_cache("payload")),
                ("pkg_payload_path", in_cache(&format!("unpacked/{COMPONENT}/Payload"))),
                ("purge_destination", true.into()),
            ],
        ),
        step(
            "MunkiInstallsItemsCreator",
            [("faux_root", in_cache("payload")), ("installs_item_paths", Value::Array(vec![format!("/{APP}").into()]))],
        ),
        step("MunkiPkginfoMerger", []),
        step("MunkiImporter", [("pkg_path", "%pathname%".into()), ("repo_subdirectory", "%MUNKI_REPO_SUBDIR%".into())]),
    ]
}

fn recipe(kind: &str, identifier: &str, parent: Option<String>, input: Dictionary, steps: Vec<Value>) -> File {
    let about = match kind {
        "download" => "Fetches the Emote agent's package and proves who signed it.",
        "munki" => "Imports the Emote agent's package into Munki.",
        _ => "Uploads the Emote agent's package to Jamf Pro.",
    };
    let mut recipe = dictionary([
        ("Description", about.into()),
        ("Identifier", identifier.into()),
        ("Input", Value::Dictionary(input)),
        ("MinimumVersion", MINIMUM.into()),
    ]);
    if let Some(parent) = parent {
        recipe.insert("ParentRecipe".to_owned(), parent.into());
    }
    recipe.insert("Process".to_owned(), Value::Array(steps));
    Kind::Autopkg.file(format!("{NAME}.{kind}.recipe"), emote_proto::deploy::xml(recipe))
}

fn step<const N: usize>(processor: &str, arguments: [(&str, Value); N]) -> Value {
    let arguments = Value::Dictionary(dictionary(arguments));
    Value::Dictionary(dictionary([("Arguments", arguments), ("Processor", processor.into())]))
}

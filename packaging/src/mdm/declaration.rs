//! The declaration by which a supervised Mac with macOS 26 or newer installs the package, and the activation that puts it
//! in force (Apple's `configurations/package.yaml` and `activations/simple.yaml`).

use anyhow::Context;
use serde_json::{Value, json};

use super::payload::uuid;
use super::{File, Inputs, Kind, Written};

pub(super) fn files(inputs: &Inputs<'_>) -> anyhow::Result<Written> {
    let Some(package) = inputs.package else { return Ok(Err("it needs --pkg")) };
    let Some(url) = &inputs.settings.manifest_url else { return Ok(Err("it needs package.manifest_url")) };
    let install = if inputs.settings.is_required { "Required" } else { "Optional" };
    let of = |part: &str| format!("{}.{part}", inputs.settings.identifier);
    let configuration = declaration(
        "com.apple.configuration.package",
        &of("package"),
        // What the manifest leads to is part of it: another package is another revision.
        &package.sha256,
        json!({"InstallBehavior": {"Install": install}, "ManifestURL": url}),
    );
    let standard = json!({"StandardConfigurations": [of("package")]});
    let activation = declaration("com.apple.activation.simple", &of("activation"), "", standard);
    Ok(Ok(vec![file("declaration.json", &configuration)?, file("activation.json", &activation)?]))
}

fn declaration(kind: &str, identifier: &str, content: &str, payload: Value) -> Value {
    let token = uuid(&[kind, identifier, content, &payload.to_string()]);
    json!({"Identifier": identifier, "Payload": payload, "ServerToken": token, "Type": kind})
}

fn file(name: &str, declaration: &Value) -> anyhow::Result<File> {
    let mut bytes = serde_json::to_vec_pretty(declaration).context("writing a declaration")?;
    bytes.push(b'\n');
    Ok(Kind::Declaration.file(name, bytes))
}

//! `emote schema config`, and what `emote init` leaves for editors.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use crate::{
    cli::{Exit, print_line},
    schema::files::{FILES, File},
};

/// Where editors are told to look, in a configuration folder.
const FOLDER: &str = ".emote/schemas";
/// What VS Code, and what reads its settings, looks at.
const EDITOR: &str = ".vscode/settings.json";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
  emote schema config rule > rule.json
  emote schema config --all my-emote        writes my-emote/.emote/schemas/*.json; again after an upgrade

Editors with yaml-language-server (VS Code, Neovim, Helix, Zed, Emacs) complete and check a file that begins with
  # yaml-language-server: $schema=../.emote/schemas/rule.json
and, with the .vscode/settings.json that --all writes where there is none, every file of the folder.")]
pub(super) struct Args {
    /// emote, rule, schema, source, target, test or trust
    #[arg(required_unless_present = "all")]
    kind: Option<String>,
    /// Write all of them into this configuration folder
    #[arg(long, value_name = "DIR", conflicts_with = "kind")]
    all: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    if let Some(folder) = &args.all {
        return all(folder);
    }
    let kind = args.kind.as_deref().unwrap_or_default();
    let Some(file) = File::find(kind) else {
        let known: Vec<&str> = FILES.iter().map(|file| file.name).collect();
        anstream::eprintln!("There is no kind of file {kind}: expected one of {}", known.join(", "));
        return Ok(Exit::NotFound);
    };
    print_line(serde_json::to_string_pretty(&file.schema())?)?;
    Ok(Exit::Ok)
}

fn all(folder: &Path) -> anyhow::Result<Exit> {
    if !folder.join("emote.yaml").is_file() {
        anyhow::bail!("{} is no configuration folder: there is no emote.yaml in it", folder.display());
    }
    let write = |path: &Path, text: &str| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).with_context(|| path.display().to_string())?;
        std::fs::write(&path, text).with_context(|| path.display().to_string())
    };
    write_schemas(write)?;
    if folder.join(EDITOR).exists() {
        anstream::eprintln!("{EDITOR} is left as it is; it may say: {}", settings());
    } else {
        write(Path::new(EDITOR), &format!("{}\n", serde_json::to_string_pretty(&settings())?))?;
    }
    print_line(format!("Wrote {}", folder.join(FOLDER).display()))?;
    Ok(Exit::Ok)
}

/// Hands each schema to `write`, with its path in a configuration folder.
pub(in crate::cli) fn write_schemas(mut write: impl FnMut(&Path, &str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    for file in FILES {
        write(&place(file), &format!("{}\n", serde_json::to_string(&file.schema())?))?;
    }
    Ok(())
}

/// The line by which editors find the schema of the file at this path in a configuration folder.
pub(in crate::cli) fn heading(path: &Path) -> Option<String> {
    let file = File::at(&path.to_string_lossy())?;
    let up = "../".repeat(path.components().count() - 1);
    Some(format!("# yaml-language-server: $schema={up}{}\n", place(file).display()))
}

fn place(file: &File) -> PathBuf {
    Path::new(FOLDER).join(file.file_name())
}

/// The settings of editors that look for schemas by the names of files.
fn settings() -> Value {
    let schemas = FILES.iter().map(|file| (format!("./{}", place(file).display()), json!([file.at])));
    json!({"yaml.schemas": schemas.collect::<serde_json::Map<_, _>>()})
}

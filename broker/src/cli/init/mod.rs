//! `emote init`: a configuration folder to start from.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;
use include_dir::{Dir, DirEntry, include_dir};

use super::{Exit, print_line};

static TEMPLATE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/cli/init/template");

/// Secrets made at random: file and why it is there.
const RANDOM: [&str; 5] =
    ["nanomdm-webhook-key", "okta-hook-secret", "assets-token", "nanomdm-api-key", "lock-pin-key"];

#[derive(Debug, clap::Args)]
#[command(after_help = "\
What it writes passes `emote check` and runs with `emote dev`. Nothing that is there already is touched.
Secrets are made at random into DIR/secrets, readable by you only; DIR/README.md says which goes where.")]
pub(super) struct Args {
    /// The folder to write
    folder: PathBuf,
    /// Where NanoMDM's API is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9000")]
    mdm_url: String,
    /// A Slack incoming webhook; may be written into secrets/slack-webhook later
    #[arg(
        long,
        value_name = "URL",
        env = "EMOTE_SLACK_WEBHOOK",
        hide_env_values = true,
        default_value = "http://127.0.0.1:9001/services/not/yet/set"
    )]
    slack_webhook: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let folder = &args.folder;
    if folder.join("emote.yaml").exists() {
        anyhow::bail!("{} is a configuration folder already: name another", folder.display());
    }
    if !args.mdm_url.starts_with("http") || args.mdm_url.contains(char::is_whitespace) {
        anyhow::bail!("--mdm-url {}: expected an address such as https://mdm.example.com", args.mdm_url);
    }
    crate::run::private_folder(&folder.join("secrets"))?;
    write_all(&TEMPLATE, args)?;
    for name in RANDOM {
        let mut bytes = [0_u8; 24];
        getrandom::fill(&mut bytes).context("random bytes")?;
        write_new(&folder.join("secrets").join(name), &data_encoding::BASE64URL_NOPAD.encode(&bytes), 0o600)?;
    }
    write_new(&folder.join("secrets/slack-webhook"), &args.slack_webhook, 0o600)?;
    let name = folder.display();
    print_line(format!("Wrote {name}: README.md says what is in it.\n\n  emote check {name}\n  emote dev {name}"))?;
    Ok(Exit::Ok)
}

fn write_all(dir: &Dir<'_>, args: &Args) -> anyhow::Result<()> {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => write_all(dir, args)?,
            DirEntry::File(file) => {
                // cargo leaves a file of this name out of a package.
                let path = if file.path() == Path::new("gitignore") { Path::new(".gitignore") } else { file.path() };
                let text = file.contents_utf8().unwrap_or_default().replace("@MDM_URL@", &args.mdm_url);
                write_new(&args.folder.join(path), &text, 0o644)?;
            }
        }
    }
    Ok(())
}

/// Writes a file that must not be there yet.
fn write_new(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("{}", parent.display()))?;
    }
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Folder, core::Guard};

    fn args(folder: &Path) -> Args {
        Args {
            folder: folder.to_owned(),
            mdm_url: "http://127.0.0.1:1".into(),
            slack_webhook: "http://127.0.0.1:1/x".into(),
        }
    }

    #[test]
    fn only_locking_is_guarded_and_the_comment_tells_the_budget() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("emote");
        run(&args(&folder)).unwrap();
        let guards = || -> Vec<(String, Option<Guard>)> {
            let loaded = Folder::load(&folder).unwrap_or_else(|report| panic!("{report}"));
            let targets = loaded.targets.into_iter().map(|target| (target.name.to_string(), target.policy.guard));
            targets.filter(|(name, guard)| name == "mdm" || guard.is_some()).collect()
        };
        let as_written = guards();
        assert_eq!(as_written, [("mdm-lock".to_owned(), Some(Guard::default())), ("mdm".to_owned(), None)]);
        let path = folder.join("targets/mdm-lock.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("\n# guard: ").count(), 1);
        std::fs::write(&path, text.replace("\n# guard: ", "\nguard: ")).unwrap();
        assert_eq!(guards(), as_written, "what the comment says is what holds");
    }

    #[test]
    fn what_it_writes_passes_check_with_its_secrets() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("emote");
        let args = args(&folder);
        assert_eq!(run(&args).unwrap(), Exit::Ok);
        let loaded = Folder::load(&folder).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(loaded.run_cases().to_string(), "");
        assert!(loaded.cases.len() >= 3 && loaded.rules.len() >= 5);
        loaded.resolve().map(drop).unwrap_or_else(|report| panic!("{report}"));
        assert!(run(&args).is_err(), "a second time touches nothing");
    }
}

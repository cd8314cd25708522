//! `emote init`: a configuration folder to start from.

mod place;
mod renew;
mod secure;

use std::path::{Path, PathBuf};

use anyhow::Context;
use include_dir::{Dir, DirEntry, include_dir};

use self::{
    place::Place,
    secure::{SecureArgs, Written},
};
use super::{Exit, print_line, schema};

static TEMPLATE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/cli/init/template");
/// The section of emote.yaml where NATS takes anyone.
const PLAIN: &str = include_str!("parts/plain.yaml");

/// Secrets made at random: file and why it is there.
const RANDOM: [&str; 5] =
    ["nanomdm-webhook-key", "okta-hook-secret", "assets-token", "nanomdm-api-key", "lock-pin-key"];

#[derive(Debug, clap::Args)]
#[command(after_help = "\
What it writes passes `emote check` and runs with `emote dev`. Nothing that is there already is touched.
Secrets are made at random into DIR/secrets, readable by you only; DIR/README.md says which goes where.

With --secure also: an operator with its accounts (as `nsc` makes them), credentials of broker and administrator, a
certificate authority with a certificate of the server, and the configuration of nats-server. The certificate holds for a
year; `emote init --renew-tls DIR` makes the next.")]
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
    #[command(flatten)]
    secure: SecureArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let folder = &args.folder;
    args.secure.check()?;
    if let Some(done) = args.secure.renew(folder)? {
        print_line(done)?;
        return Ok(Exit::Ok);
    }
    if folder.join("emote.yaml").exists() {
        anyhow::bail!("{} is a configuration folder already: name another", folder.display());
    }
    if !args.mdm_url.starts_with("http") || args.mdm_url.contains(char::is_whitespace) {
        anyhow::bail!("--mdm-url {}: expected an address such as https://mdm.example.com", args.mdm_url);
    }
    let place = Place::new(folder)?;
    place.private("secrets")?;
    let written = if args.secure.is_asked() { Some(args.secure.write(&place, folder)?) } else { None };
    write_all(&TEMPLATE, &place, args, written.as_ref())?;
    for name in RANDOM {
        let mut bytes = [0_u8; 24];
        getrandom::fill(&mut bytes).context("random bytes")?;
        place.write(Path::new("secrets").join(name), &data_encoding::BASE64URL_NOPAD.encode(&bytes), 0o600)?;
    }
    schema::write_schemas(|path, text| place.write(path, text, 0o644))?;
    place.write("secrets/slack-webhook", &args.slack_webhook, 0o600)?;
    place.settle()?;
    let context = args.secure.install_context(folder)?;
    print_line(next(&folder.display(), written.is_some(), context.as_deref()))?;
    Ok(Exit::Ok)
}

/// What was done, and what comes next.
fn next(name: &std::path::Display<'_>, secure: bool, context: Option<&Path>) -> String {
    if !secure {
        return format!("Wrote {name}: README.md says what is in it.\n\n  emote check {name}\n  emote dev {name}");
    }
    let context = context.map_or_else(String::new, |path| {
        let (context, path) = (path.file_stem().unwrap_or_default().display(), path.display());
        format!("\n`nats --context {context}` is the administrator; that is written in {path}.")
    });
    format!(
        "Wrote {name}: README.md says what is in it, secrets/README.md which keys to take offline.{context}\n\n\
         \x20 (cd {name} && nats-server -c nats/nats-server.conf)\n\
         \x20 emote serve --config {name}\n\
         \x20 emote agents token create --config {name}\n\n\
         The first two in one, on this machine: emote dev {name}"
    )
}

fn write_all(dir: &Dir<'_>, place: &Place, args: &Args, secure: Option<&Written>) -> anyhow::Result<()> {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => write_all(dir, place, args, secure)?,
            DirEntry::File(file) => {
                let text = file.contents_utf8().unwrap_or_default().replace("@MDM_URL@", &args.mdm_url);
                let nats = secure.map_or(PLAIN, |written| &written.settings);
                let text = text.replace("@NATS@\n", nats);
                match (file.path().to_str(), secure) {
                    // cargo leaves a file of this name out of a package.
                    (Some("gitignore"), secure) => {
                        let more = secure.map_or("", |written| written.ignored);
                        place.write(".gitignore", &format!("{text}{more}"), 0o644)?;
                    }
                    (Some("README.md"), Some(written)) => {
                        place.write("README.md", &format!("{text}{}", written.readme), 0o644)?;
                    }
                    _ => {
                        let heading = schema::heading(file.path()).unwrap_or_default();
                        place.write(file.path(), &format!("{heading}{text}"), 0o644)?;
                    }
                }
            }
        }
    }
    Ok(())
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
            secure: SecureArgs::default(),
        }
    }

    #[test]
    fn a_context_of_nats_is_told_with_the_file_that_it_is_in() {
        let path = Path::new("/home/ada/.config/nats/context/emote.json");
        let told = next(&Path::new("my-emote").display(), true, Some(path));
        assert!(told.contains("\n`nats --context emote` is the administrator; that is written in /home/ada/.config/nats/context/emote.json.\n"), "{told}");
        assert!(!next(&Path::new("my-emote").display(), true, None).contains("context"));
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
    fn the_readme_names_every_file_that_configures_emote() {
        let readme = TEMPLATE.get_file("README.md").and_then(|file| file.contents_utf8()).unwrap();
        for file in crate::schema::files::FILES {
            let named = file.at.split_once('/').map_or(file.at.to_owned(), |(folder, _)| format!("{folder}/"));
            assert!(readme.contains(&format!("\n| `{named}` | ")), "{named}");
        }
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

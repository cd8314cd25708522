//! The folder of a run: kept where it is asked for, or where something does not hold.

use std::path::PathBuf;

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::{args::Options, stage::Stage};

/// The folder of a run.
pub(crate) struct Place {
    /// Where everything is.
    pub(crate) folder: PathBuf,
    /// A file a program.
    pub(crate) logs: PathBuf,
    temporary: Option<TempDir>,
}

impl Place {
    /// Makes it.
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        let (folder, temporary) = match &options.keep {
            Some(folder) => {
                if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
                    bail!("--keep {}: it holds something already; name a new folder", folder.display());
                }
                (std::path::absolute(folder)?, None)
            }
            None => {
                let made = TempDir::with_prefix("emote-chaos-").context("making a folder to work in")?;
                (made.path().to_owned(), Some(made))
            }
        };
        let logs = folder.join("logs");
        std::fs::create_dir_all(&logs).with_context(|| format!("making {}", logs.display()))?;
        Ok(Self { folder, logs, temporary })
    }

    /// Writes a file into it.
    pub(crate) fn note(&self, file: &str, text: String) -> anyhow::Result<()> {
        let path = self.folder.join(file);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Notes panics: each is a mistake, even where the program goes on.
    pub(crate) fn panics(&self, stage: &Stage) {
        for service in stage.services() {
            let name = &service.program.name;
            let log = std::fs::read_to_string(self.logs.join(format!("{name}.log"))).unwrap_or_default();
            for line in log.lines().filter(|line| line.contains("panicked at") || line.contains("[FTL]")) {
                stage.senders.ledger.wrong(format!("{name}: {line}"));
            }
        }
    }

    /// Says how it ended; removes the folder where everything holds.
    pub(crate) fn end(self, holds: bool, again: &str) {
        if holds {
            println!("\neverything holds");
        } else {
            println!("\nsomething does NOT hold; to do it again: {again}");
        }
        match self.temporary {
            Some(temporary) if !holds => {
                println!("plan, logs, stores and streams are kept in {}", temporary.keep().display());
            }
            Some(_) => {}
            None => println!("plan, logs, stores and streams are in {}", self.folder.display()),
        }
    }
}

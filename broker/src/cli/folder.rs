//! The configuration folder of a command that needs no more of it than where it is.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    config::{self, Folder, Report},
    schema::events::Vocabulary,
};

/// What says which folder it is. Every command that does not take the folder as its argument has these.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct FolderArgs {
    /// The configuration folder [default: this one]
    #[arg(long, short, alias = "folder", env = "EMOTE_CONFIG", value_name = "DIR")]
    config: Option<PathBuf>,
}

/// The folder of a command that takes it as its argument, where none is named: this one, or where this is none that of
/// `EMOTE_CONFIG`.
pub(crate) fn begun() -> PathBuf {
    let here = PathBuf::from(".");
    let configured = || std::env::var_os("EMOTE_CONFIG").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    if here.join("emote.yaml").is_file() { here } else { configured().unwrap_or(here) }
}

impl FolderArgs {
    /// That folder.
    #[cfg(test)]
    pub(crate) fn of(folder: &Path) -> Self {
        Self { config: Some(folder.to_owned()) }
    }

    /// The folder, where one was named.
    pub(crate) fn named(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The folder, where there is one: as it was named, else this, if it has an `emote.yaml`.
    pub(crate) fn known(&self) -> Option<&Path> {
        let here = Path::new(".");
        self.named().or_else(|| here.join("emote.yaml").is_file().then_some(here))
    }

    /// The schemas of events that the folder has over those that are built in; none where there is no folder, or it has none.
    pub(crate) fn vocabulary(&self) -> Result<Option<Arc<Vocabulary>>, Report> {
        let Some(folder) = self.known() else { return Ok(None) };
        Folder::is_there(folder)?;
        config::vocabulary_of(folder)
    }

    /// The folder as it was named, else this one; an error where there is no such folder. What is in it is not looked at.
    pub(crate) fn found(&self) -> Result<&Path, Report> {
        let folder = self.named().unwrap_or(Path::new("."));
        Folder::is_there(folder).map(|()| folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> FolderArgs {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            folder: FolderArgs,
        }
        <Command as clap::Parser>::try_parse_from([&["emote"], args].concat()).unwrap().folder
    }

    #[test]
    fn a_folder_that_was_named_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        for option in ["--config", "-c", "--folder"] {
            assert_eq!(read(&[option, path]).found(), Ok(folder.path()), "{option}");
        }
        assert_eq!(read(&[]).found(), Ok(Path::new(".")));
        let none = folder.path().join("none");
        let told = read(&["--config", none.to_str().unwrap()]).found().unwrap_err().to_string();
        assert!(told.starts_with(&format!("{}: there is no such folder; name", none.display())), "{told}");
    }
}

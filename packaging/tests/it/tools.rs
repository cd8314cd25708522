//! Programs that tests run, and what is said where there are none.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::macho;

pub(crate) const VERSION: &str = "1.2.3";

/// A folder with the programs of both architectures in it.
pub(crate) struct Place {
    pub(crate) folder: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    /// One that goes away.
    pub(crate) fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        Self::with_programs(temporary.path().to_owned(), Some(temporary))
    }

    /// One that stays until the next run, for what all tests share.
    pub(crate) fn kept(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        std::fs::create_dir_all(&folder).unwrap();
        Self::with_programs(folder, None)
    }

    fn with_programs(folder: PathBuf, temporary: Option<tempfile::TempDir>) -> Self {
        for (name, cpu) in [("arm64", macho::ARM64), ("x86_64", macho::X86_64)] {
            std::fs::write(folder.join(name), macho::program(cpu, 0x000d_0000, Some(VERSION))).unwrap();
        }
        Self { folder, _temporary: temporary }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// `emote-packaging pkg` of both programs.
    pub(crate) fn pkg(&self, out: &str, more: &[&str]) -> Output {
        let mut command = packaging();
        command.args(["pkg", "--out"]).arg(self.path(out));
        for program in ["arm64", "x86_64"] {
            command.arg("--bin").arg(self.path(program));
        }
        command.args(more).output().unwrap()
    }

    /// The unsigned package's bytes.
    pub(crate) fn unsigned(&self) -> Vec<u8> {
        let built = self.pkg("unsigned.pkg", &["--unsigned"]);
        assert!(built.status.success(), "{built:?}");
        std::fs::read(self.path("unsigned.pkg")).unwrap()
    }
}

/// `emote-packaging`, which takes no time from the environment.
pub(crate) fn packaging() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_emote-packaging"));
    command.env_remove("SOURCE_DATE_EPOCH");
    command
}

pub(crate) fn said(output: &Output) -> String {
    [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat()
}

/// A program in the folder of Emote's tools or in PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let tools = std::env::var_os("EMOTE_TOOLS").map(|tools| Path::new(&tools).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    { tools }.into_iter().chain(std::env::split_paths(&path)).map(|folder| folder.join(program)).find(|it| it.is_file())
}

/// `without` is what ./tests/run installs, where it can.
pub(crate) fn left_out(what: &str, without: &str) {
    eprintln!("LEFT OUT: {what}: it needs {without}");
}

/// Runs a program, which must do well.
pub(crate) fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    output.stdout
}

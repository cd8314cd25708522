//! Between the broker and a program: `emote` again, which bounds itself and then becomes the program. So it is bounded from
//! its first instruction on, without any system call that one of our systems lacks.

use std::{ffi::OsString, io, os::unix::process::CommandExt, path::PathBuf, process::Command};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The hidden subcommand that runs [`launch`].
pub const LAUNCH_COMMAND: &str = "program-launch";
/// The exit code of a launcher that could not become the program, as shells have it.
pub const NOT_LAUNCHED: u8 = 126;

/// What a program may take, and as whom it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct Bounds {
    /// Bytes of address space
    #[arg(long)]
    pub(super) memory: Option<u64>,
    /// Seconds of computing
    #[arg(long)]
    pub(super) cpu: Option<u64>,
    /// Open files
    #[arg(long)]
    pub(super) files: Option<u64>,
    /// The user that it runs as
    #[arg(long, requires = "gid")]
    pub(super) uid: Option<u32>,
    /// Their group
    #[arg(long)]
    pub(super) gid: Option<u32>,
}

impl Bounds {
    /// The arguments that say so.
    pub(super) fn to_args(&self) -> Vec<String> {
        let ids = [("--uid", self.uid), ("--gid", self.gid)].map(|(name, id)| (name, id.map(u64::from)));
        let all = [("--memory", self.memory), ("--cpu", self.cpu), ("--files", self.files)].into_iter().chain(ids);
        all.filter_map(|(name, value)| Some([name.to_owned(), value?.to_string()])).flatten().collect()
    }
}

/// Becomes the program; gives why it could not.
pub fn launch(bounds: &Bounds, program: &PathBuf, args: &[OsString]) -> io::Error {
    let mut command = Command::new(program);
    command.args(args);
    if let (Some(uid), Some(gid)) = (bounds.uid, bounds.gid) {
        // As root, it is in no other group then.
        command.uid(uid).gid(gid);
    }
    let bounded = [
        (Resource::Core, Some(0), 0),
        // At the first one it is told by a signal, at the second it is ended.
        (Resource::Cpu, bounds.cpu, 1),
        (Resource::Nofile, bounds.files, 0),
        (Resource::As, bounds.memory, 0),
    ];
    for (resource, most, later) in bounded {
        if let Some(most) = most
            && let Err(error) = bound(resource, most, most.saturating_add(later))
        {
            return error.into();
        }
    }
    command.exec()
}

/// Never more than is allowed to this process.
fn bound(resource: Resource, soft: u64, hard: u64) -> rustix::io::Result<()> {
    let allowed = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    setrlimit(resource, Rlimit { current: Some(soft.min(allowed)), maximum: Some(hard.min(allowed)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        bounds: Bounds,
    }

    #[test]
    fn what_is_told_the_launcher_is_what_it_reads() {
        let all = Bounds { memory: Some(1 << 30), cpu: Some(5), files: Some(64), uid: Some(7), gid: Some(8) };
        for bounds in [Bounds::default(), Bounds { memory: None, ..all.clone() }, all] {
            let line = std::iter::once("x".to_owned()).chain(bounds.to_args());
            assert_eq!(Line::parse_from(line).bounds, bounds);
        }
    }
}

//! Runs a fixed system tool: absolute path and arguments known when the agent was built, no shell, a deadline and a
//! limit to its output.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::host::{HostError, Output};

/// A tool with its arguments: nothing that comes from outside can be among them.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// Absolute.
    pub path: &'static str,
    /// All of them.
    pub args: &'static [&'static str],
    /// How long it may take.
    pub deadline: Duration,
    /// Bytes of output that are kept; more is an error.
    pub most: usize,
    /// Only lines with one of these in them are kept; all where there are none.
    pub only: &'static [&'static str],
}

impl Tool {
    /// A tool that ends within 10 s and prints at most 1 MiB.
    pub const fn new(path: &'static str, args: &'static [&'static str]) -> Self {
        Self { path, args, deadline: Duration::from_secs(10), most: 1 << 20, only: &[] }
    }

    /// The same with other limits.
    pub const fn limits(self, seconds: u64, most: usize) -> Self {
        Self { deadline: Duration::from_secs(seconds), most, ..self }
    }

    /// Without a shell, a terminal, or anything of the agent's own environment; only standard output is heard.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.path);
        command.args(self.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("LC_ALL", "C").current_dir("/");
        command
    }

    /// The same, of whose output only the lines with one of `words` in them are of interest.
    pub const fn only(self, words: &'static [&'static str]) -> Self {
        Self { only: words, ..self }
    }
}

/// What `tool` prints.
pub(super) fn run(tool: &'static Tool) -> Result<Output, HostError> {
    let failed = |error: std::io::Error| HostError::io(tool.path, &error);
    let mut child = tool.command().spawn().map_err(failed)?;
    let result = read(&mut child, tool);
    if result.is_err() {
        // It may have ended by itself meanwhile.
        child.kill().ok();
    }
    let status = child.wait().map_err(failed)?;
    let text = result?;
    Ok(Output { text: String::from_utf8_lossy(&text).into_owned(), code: status.code().unwrap_or(-1) })
}

fn read(child: &mut Child, tool: &'static Tool) -> Result<Vec<u8>, HostError> {
    let deadline = Instant::now() + tool.deadline;
    let late = || HostError::Deadline(tool.path.into());
    let mut output = Kept { only: tool.only, bytes: Vec::new(), line: 0 };
    if let Some(mut pipe) = child.stdout.take() {
        let mut buffer = [0; 8192];
        loop {
            let left = deadline.checked_duration_since(Instant::now()).ok_or_else(late)?;
            let left =
                Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(1), tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&left)) {
                Ok(0) => return Err(late()),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(HostError::io(tool.path, &error.into())),
                Ok(_) => {}
            }
            match pipe.read(&mut buffer).map_err(|error| HostError::io(tool.path, &error))? {
                0 => break,
                count => output.add(buffer.get(..count).unwrap_or_default()),
            }
            if output.bytes.len() > tool.most {
                return Err(HostError::TooLarge { path: tool.path.into(), most: tool.most });
            }
        }
    }
    // Its output has ended: it is about to end too, or has given its output away.
    while child.try_wait().map_err(|error| HostError::io(tool.path, &error))?.is_none() {
        if Instant::now() > deadline {
            return Err(late());
        }
        pause();
    }
    output.end_line();
    Ok(output.bytes)
}

/// What is kept of the output.
struct Kept {
    only: &'static [&'static str],
    bytes: Vec<u8>,
    /// Where the line begins that has not ended.
    line: usize,
}

impl Kept {
    fn add(&mut self, read: &[u8]) {
        for part in read.split_inclusive(|byte| *byte == b'\n') {
            self.bytes.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(self.bytes.get(self.line..).unwrap_or_default());
        if !self.only.is_empty() && !self.only.iter().any(|word| line.contains(word)) {
            self.bytes.truncate(self.line);
        }
        self.line = self.bytes.len();
    }
}

#[expect(clippy::disallowed_methods, reason = "no system waits for a child with a deadline, and this is never long")]
fn pause() {
    std::thread::sleep(Duration::from_millis(2));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_output_is_read_and_bounded_and_a_missing_tool_is_named() {
        static ECHO: Tool = Tool::new("/bin/echo", &["a", "b"]);
        static FALSE: Tool = Tool::new("/bin/false", &[]);
        static MISSING: Tool = Tool::new("/nowhere/tool", &[]);
        static ENDLESS: Tool = Tool::new("/bin/cat", &["/dev/zero"]).limits(10, 10_000);
        assert_eq!(run(&ECHO).unwrap(), Output { text: "a b\n".into(), code: 0 });
        assert_eq!(run(&FALSE).unwrap().code, 1);
        assert_eq!(run(&MISSING).unwrap_err(), HostError::Missing("/nowhere/tool".into()));
        assert!(matches!(run(&ENDLESS).unwrap_err(), HostError::TooLarge { .. }));
    }

    #[test]
    fn of_a_long_output_only_the_lines_of_interest_are_kept() {
        static SOME: Tool = Tool::new("/usr/bin/seq", &["100000"]).limits(10, 200).only(&["7777", "99998"]);
        static LAST: Tool = Tool::new("/bin/echo", &["-n", "a x"]).only(&["x"]);
        static LINE: Tool = Tool::new("/bin/cat", &["/dev/zero"]).limits(10, 100).only(&["x"]);
        let some = (1..=100_000).map(|n| n.to_string()).filter(|n| n.contains("7777") || n.contains("99998"));
        assert_eq!(run(&SOME).unwrap().text.lines().collect::<Vec<_>>(), some.collect::<Vec<_>>());
        assert_eq!(run(&LAST).unwrap().text, "a x");
        assert!(matches!(run(&LINE).unwrap_err(), HostError::TooLarge { .. }), "a line without end");
    }

    #[test]
    fn a_tool_that_hangs_is_ended() {
        static HANGS: Tool = Tool::new("/bin/sleep", &["600"]).limits(0, 10);
        static SILENT: Tool = Tool::new("/bin/sh", &["-c", "exec >&-; exec sleep 600"]).limits(1, 10);
        for tool in [&HANGS, &SILENT] {
            let begun = Instant::now();
            assert!(matches!(run(tool).unwrap_err(), HostError::Deadline(_)));
            assert!(begun.elapsed() < Duration::from_secs(60), "it is not waited for");
        }
    }
}

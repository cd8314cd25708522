//! The unified log, subsystem `io.emote.agent`: `log stream --predicate 'subsystem == "io.emote.agent"'`.

use std::io::{self, Write};
use std::sync::LazyLock;

use oslog::{Level, OsLog};
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

static LOG: LazyLock<OsLog> = LazyLock::new(|| OsLog::new("io.emote.agent", "agent"));

/// Writes each line with the level of its event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemLog;

/// One line.
pub(crate) struct Line(tracing::Level);

impl<'a> MakeWriter<'a> for SystemLog {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(tracing::Level::INFO)
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line {
        Line(*event.level())
    }
}

impl Write for Line {
    /// `fmt` writes a line at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LOG.with_level(level(self.0), String::from_utf8_lossy(line).trim_end());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The unified log keeps `Default` and above on the disk, `Info` and `Debug` in memory while somebody looks.
fn level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Fault,
        tracing::Level::WARN => Level::Error,
        tracing::Level::INFO => Level::Default,
        tracing::Level::DEBUG => Level::Info,
        tracing::Level::TRACE => Level::Debug,
    }
}

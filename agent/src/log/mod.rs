//! Where log lines go: into `agent.log` in the state folder once that is known, to standard error where somebody reads it,
//! and on macOS into the unified log. Nothing that goes wrong with a line is worth more than the line.

mod file;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use file::LogFile;

/// What is logged, and to standard error whatever it is.
const CHOICE: &str = "EMOTE_LOG";

static FILE: Mutex<Option<LogFile>> = Mutex::new(None);
static TO_STDERR: AtomicBool = AtomicBool::new(false);

/// Begins to log what `EMOTE_LOG` says, or what has this level; to standard error if it is a terminal, `EMOTE_LOG` is set or `to_stderr` says so.
pub(crate) fn begin(to_stderr: bool, usually: Level) {
    let choice = std::env::var(CHOICE).ok();
    TO_STDERR.store(to_stderr || choice.is_some() || io::stderr().is_terminal(), Ordering::Relaxed);
    let chosen = choice.and_then(|text| text.parse::<Targets>().ok()).unwrap_or_else(|| usual(usually));
    // Colours would go into the file too.
    let registry = tracing_subscriber::registry().with(fmt::layer().with_ansi(false).with_writer(Lines));
    #[cfg(target_os = "macos")]
    let registry = {
        let lines = fmt::layer().without_time().with_level(false).with_ansi(false);
        registry.with(lines.with_writer(crate::platform::macos::SystemLog))
    };
    registry.with(chosen).init();
}

/// From now on also into `agent.log` in `folder`.
pub(crate) fn keep_in(folder: &Path) {
    match LogFile::open(folder) {
        Ok(file) => *lock() = Some(file),
        Err(error) => tracing::warn!(%error, "no agent.log"),
    }
}

/// Says why the program ends: to standard error in any case, and where else lines go.
pub(crate) fn end(error: &anyhow::Error) {
    eprintln!("emote-agent: {error:#}");
    TO_STDERR.store(false, Ordering::Relaxed);
    tracing::error!("{error:#}");
}

/// What the library says of the connection, the uplink says too.
fn usual(level: Level) -> Targets {
    let warnings = Targets::new().with_default(Level::WARN);
    warnings.with_target("emote_agent", level).with_target("async_nats", LevelFilter::OFF)
}

fn lock() -> MutexGuard<'static, Option<LogFile>> {
    FILE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes each line to everywhere.
#[derive(Debug, Clone, Copy)]
struct Lines;

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

impl Write for Lines {
    /// `fmt` writes a line at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if TO_STDERR.load(Ordering::Relaxed) {
            io::stderr().write_all(line).ok();
        }
        if let Some(file) = &mut *lock() {
            file.write(line);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

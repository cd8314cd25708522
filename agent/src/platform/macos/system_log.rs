//! The unified log, subsystem `io.emote.agent`: `log stream --predicate 'subsystem == "io.emote.agent"'`.

#![expect(unsafe_code, reason = "os_log is a C interface")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::io::{self, Write};
use std::sync::LazyLock;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

const SUBSYSTEM: &CStr = c"io.emote.agent";
const CATEGORY: &CStr = c"agent";

unsafe extern "C" {
    /// `<os/log.h>`: both strings are copied; what is returned lives as long as the process.
    fn os_log_create(subsystem: *const c_char, category: *const c_char) -> *mut c_void;
    /// `os_log.c`: logs one line of text.
    fn emote_os_log(log: *mut c_void, kind: u8, line: *const c_char);
}

/// A log of the system. Its functions may be called from any thread (os_log(3)).
struct Log(*mut c_void);

// SAFETY: the pointer is never written through here, and the functions that take it are thread-safe (os_log(3)).
unsafe impl Send for Log {}
// SAFETY: as above.
unsafe impl Sync for Log {}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    // SAFETY: both are strings with an end that live for ever.
    Log(unsafe { os_log_create(SUBSYSTEM.as_ptr(), CATEGORY.as_ptr()) })
});

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
        let text: Vec<u8> = line.trim_ascii_end().iter().copied().filter(|byte| *byte != 0).collect();
        // Without zero bytes it can only succeed.
        if let Ok(text) = CString::new(text) {
            // SAFETY: the log is the system's, the text has an end and outlives the call.
            unsafe { emote_os_log(LOG.0, kind(self.0), text.as_ptr()) };
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The types of `<os/log.h>`. The unified log keeps default and above on the disk, info and debug in memory while
/// somebody looks.
fn kind(level: tracing::Level) -> u8 {
    match level {
        tracing::Level::ERROR => 0x11, // fault
        tracing::Level::WARN => 0x10,  // error
        tracing::Level::INFO => 0x00,  // default
        tracing::Level::DEBUG => 0x01, // info
        tracing::Level::TRACE => 0x02, // debug
    }
}

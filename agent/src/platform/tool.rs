//! Runs a fixed system tool: absolute path, no shell, a deadline and a limit to its output.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

const DEADLINE: Duration = Duration::from_secs(10);
const MAX_OUTPUT: u64 = 1 << 20;

/// Why there is no output.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It could not be started or read.
    #[error("{tool}: {error}")]
    Io {
        /// Its path.
        tool: &'static str,
        /// Why.
        error: std::io::Error,
    },
    /// It took too long and was ended.
    #[error("{0} did not end in time")]
    Deadline(&'static str),
}

/// What `tool` prints, at most 1 MiB of it, with what is no UTF-8 replaced.
pub async fn run(tool: &'static str, arguments: &[&str]) -> Result<String, ToolError> {
    let failed = |error| ToolError::Io { tool, error };
    let mut command = Command::new(tool);
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn().map_err(failed)?;
    let Some(stdout) = child.stdout.take() else { return Ok(String::new()) };
    let mut output = Vec::new();
    let finished = tokio::time::timeout(DEADLINE, async {
        stdout.take(MAX_OUTPUT).read_to_end(&mut output).await?;
        child.wait().await
    });
    finished.await.map_err(|_| ToolError::Deadline(tool))?.map_err(failed)?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tools_output_is_read_and_a_missing_tool_is_named() {
        assert_eq!(run("/bin/echo", &["a", "b"]).await.unwrap(), "a b\n");
        let error = run("/nowhere/tool", &[]).await.unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/tool: "), "{error}");
    }
}

//! Takes newer releases by itself: `longshore update apply`, in a process of its own.
//!
//! It goes on when the host ends, and nothing that it does is needed by the host that started it: it names the new
//! image once that has been rehearsed, or leaves everything as it was.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// What the last one printed, under the installation's root.
pub const LOG: &str = "data/cli-update.log";
/// How much of its end is looked at.
const END_BYTES: u64 = 4096;
/// How much of a line is told, in characters.
const TOLD: usize = 300;

/// Starts it.
#[derive(Debug, Clone)]
pub struct Taker {
    /// Our own program.
    pub program: PathBuf,
    /// The installation's folder.
    pub root: PathBuf,
}

impl Taker {
    /// Returns when it has taken them.
    ///
    /// # Errors
    /// Why it has not: the last line that it printed.
    pub async fn take(&self) -> Result<(), String> {
        let log = self.root.join(LOG);
        let run = async {
            let output = File::create(&log)?;
            let mut command = Command::new(&self.program);
            command.arg("--root").arg(&self.root).args(["update", "apply"]);
            command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
            // Ctrl-C in the host's terminal is not meant for it.
            command.process_group(0).env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
            command.spawn()?.wait().await
        };
        match run.await {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(last_line(&log).unwrap_or_else(|| status.to_string())),
            Err(error) => Err(format!("`longshore update apply` cannot be run: {error}")),
        }
    }
}

fn last_line(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let size = fs::metadata(log).ok()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(END_BYTES))).ok()?;
    let mut bytes = Vec::new();
    file.take(END_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(TOLD).collect())
}

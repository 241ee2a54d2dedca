//! A running stub host with the traffic adapter as its channel.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::installation::{Installation, beside};
use crate::network::Namespace;

/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A line of the stub's trace; times as in [`crate::platform::nanoseconds`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Trace {
    /// A runner read the turn that this message is in.
    Handed {
        /// The message's tag.
        tag: String,
        /// When.
        at: u64,
    },
    /// A runner is about to write this text.
    Output {
        /// The text.
        text: String,
        /// When.
        at: u64,
    },
}

/// The platform's file of an installation.
#[must_use]
pub fn platform_file(installation: &Installation) -> PathBuf {
    installation.path("platform.jsonl")
}

/// Makes the traffic adapter the only channel, with so many groups.
pub fn with_traffic(installation: &Installation, groups: usize, trigger: bool, arguments: &str) {
    let entries: Vec<String> = (0..groups)
        .map(|number| {
            format!(
                r#""traffic:{number}": {{"name": "G{number}", "folder": "g{number}", "trigger": "@Andy", "added_at": "x", "requiresTrigger": {trigger}}}"#
            )
        })
        .collect();
    installation.groups(&format!("{{{}}}", entries.join(",\n")));
    installation.env(&channel(installation, groups, arguments));
    installation.env("ANTHROPIC_API_KEY=stub\nMAX_CONCURRENT_CONTAINERS=16");
}

/// The lines of `.env` that make the traffic adapter the only channel.
#[must_use]
pub fn channel(installation: &Installation, chats: usize, arguments: &str) -> String {
    format!(
        "CHANNELS=traffic\nCHANNEL_TRAFFIC=\"{} --file {} --chats {chats} {arguments}\"",
        beside("longshore-traffic").display(),
        platform_file(installation).display()
    )
}

/// A running stub host; ended by SIGTERM when dropped.
pub struct StubHost {
    child: Child,
}

impl StubHost {
    /// Starts one and waits until it is ready. Its log is `host.log`, its trace, if wanted, `trace.jsonl`.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(installation: &Installation, trace: bool) -> anyhow::Result<Self> {
        Self::start_in(installation, trace, None)
    }

    /// The same in a network.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_in(installation: &Installation, trace: bool, network: Option<&Namespace>) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(installation.path("host.log"))?;
        let mut command = Command::new(beside("longshore-stub-host"));
        command.arg(installation.root()).env_clear().env("RUST_LOG", "warn");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        for name in ["HOME", "MALLOC_ARENA_MAX"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("XDG_CONFIG_HOME", installation.path(".config")).env("CLI_UPDATES", "never");
        if trace {
            command.env("LONGSHORE_STUB_TRACE", installation.path("trace.jsonl"));
        }
        if let Some(network) = network {
            command = network.inside(command);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        let mut host = Self { child };
        let begin = Instant::now();
        while UnixStream::connect(installation.path("data/host.sock")).is_err() {
            ensure!(host.child.try_wait()?.is_none(), "the stub host ended at its start");
            ensure!(begin.elapsed() < PATIENCE, "the stub host is not ready");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(host)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with SIGTERM.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(mut self) -> anyhow::Result<ExitStatus> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("a process id")?;
        kill_process(pid, Signal::TERM)?;
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.kill()?;
        bail!("the stub host did not stop")
    }
}

impl Drop for StubHost {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// The trace so far.
///
/// # Errors
/// It cannot be read.
pub fn trace(file: &Path) -> anyhow::Result<Vec<Trace>> {
    let text = std::fs::read_to_string(file)?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

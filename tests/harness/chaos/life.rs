//! One host, from its start to its kill.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::Installation;

/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running host.
pub(super) struct Life<'a> {
    installation: &'a Installation,
    child: Child,
    begin: Instant,
}

impl<'a> Life<'a> {
    pub(super) fn start(installation: &'a Installation) -> anyhow::Result<Self> {
        let log = File::options().create(true).append(true).open(installation.path("host.log"))?;
        let begin = Instant::now();
        let child = installation
            .command()
            .args(["run", "--rehearsal"])
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        Ok(Self { installation, child, begin })
    }

    /// Lets it live for so long; gives the time until it was ready, if it was.
    pub(super) fn live(&mut self, delay: Duration) -> anyhow::Result<Option<Duration>> {
        let ready = self.ready_within(delay)?;
        if let Some(rest) = delay.checked_sub(self.begin.elapsed()) {
            std::thread::sleep(rest);
        }
        self.alive()?;
        Ok(ready)
    }

    pub(super) fn until_ready(&mut self) -> anyhow::Result<Option<Duration>> {
        let ready = self.ready_within(PATIENCE)?;
        ensure!(ready.is_some(), "the host is not ready after {PATIENCE:?}");
        Ok(ready)
    }

    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("a process id")?;
        kill_process(pid, Signal::TERM)?;
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the last host ended with {status}");
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill()?;
        anyhow::bail!("the last host did not stop")
    }

    fn ready_within(&mut self, limit: Duration) -> anyhow::Result<Option<Duration>> {
        let socket = self.installation.path("data/host.sock");
        while self.begin.elapsed() < limit {
            if UnixStream::connect(&socket).is_ok() {
                return Ok(Some(self.begin.elapsed()));
            }
            self.alive()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(None)
    }

    /// Only we end it.
    fn alive(&mut self) -> anyhow::Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "a host ended by itself: {ended:?}; see its log");
        Ok(())
    }
}

impl Drop for Life<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

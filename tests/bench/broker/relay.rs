//! The least that can stand between: a process that only copies. What it costs here, everybody between costs.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tempfile::TempDir;

/// What the bench calls itself with to be a relay: this, the socket's path, and where it leads.
pub(crate) const ARGUMENT: &str = "--relay";

const PIECE: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// A relay in a process of its own.
pub(super) struct Relay {
    process: Child,
    folder: TempDir,
}

impl Relay {
    pub(super) fn start(model: SocketAddr) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(ARGUMENT).arg(folder.path().join("relay.sock")).arg(model.to_string());
        let relay = Self { process: command.spawn()?, folder };
        let begin = Instant::now();
        while UnixStream::connect(relay.socket()).is_err() {
            ensure!(begin.elapsed() < PATIENCE, "the relay does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(relay)
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("relay.sock")
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Is a relay, until it is killed.
pub(crate) fn run(socket: &Path, model: &str) -> anyhow::Result<()> {
    let model: SocketAddr = model.parse().context("not an address")?;
    for near in UnixListener::bind(socket)?.incoming() {
        let (near, far) = (near?, TcpStream::connect(model)?);
        far.set_nodelay(true)?;
        let (from_near, to_far) = (near.try_clone()?, far.try_clone()?);
        std::thread::spawn(move || {
            copy(from_near, &to_far);
            let _ = to_far.shutdown(Shutdown::Write);
        });
        std::thread::spawn(move || {
            copy(far, &near);
            let _ = near.shutdown(Shutdown::Both);
        });
    }
    Ok(())
}

/// Either side may leave when it likes.
fn copy(mut from: impl Read, mut to: impl Write) {
    let mut piece = vec![0; PIECE];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..read]).is_err() {
            return;
        }
    }
}

//! A container engine of a test's own, which can be restarted without anybody else's noticing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long the engine may take to answer, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether containers live on while the engine is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveRestore {
    /// They do.
    On,
    /// They end with the engine.
    Off,
}

/// A `dockerd` of its own, without a network, ended when dropped.
pub struct Engine {
    folder: TempDir,
    daemon: Option<Child>,
}

impl Engine {
    /// Starts one and gives it the agent image of the usual engine. `None` where there is no `dockerd`, or the
    /// test does not run as root.
    #[must_use]
    pub fn start(live_restore: LiveRestore) -> Option<Self> {
        if !rustix::process::geteuid().is_root() || Command::new("dockerd").arg("--version").output().is_err() {
            return None;
        }
        let folder = tempfile::Builder::new().prefix("longshore-engine-").tempdir().expect("a temporary folder");
        let mut engine = Self { folder, daemon: None };
        engine.up(live_restore);
        let load = format!("docker save {} | docker -H {} load", crate::installation::image(), engine.host());
        let loaded = Command::new("sh").args(["-c", &load]).output().expect("sh can be started");
        assert!(loaded.status.success(), "{loaded:?}");
        Some(engine)
    }

    /// What `DOCKER_HOST` is for it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    /// Ends the daemon as a service manager would.
    pub fn down(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        if let Some(pid) = i32::try_from(daemon.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let begin = Instant::now();
        while daemon.try_wait().expect("a child").is_none() {
            if begin.elapsed() > PATIENCE {
                let _ = daemon.kill();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts the daemon, on what the last one left.
    pub fn up(&mut self, live_restore: LiveRestore) {
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a log");
        // In a network of its own: a daemon without a bridge removes the one that the usual engine made.
        let mut command = Command::new("unshare");
        command
            .args(["--net", "dockerd", "--host", &self.host(), "--iptables=false", "--bridge=none"])
            .arg("--data-root")
            .arg(self.path("data"))
            .arg("--exec-root")
            .arg(self.path("exec"))
            .arg("--pidfile")
            .arg(self.path("pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if live_restore == LiveRestore::On {
            command.arg("--live-restore");
        }
        self.daemon = Some(command.spawn().expect("dockerd starts"));
        let begin = Instant::now();
        while self.docker(&["version"]).is_none() {
            let log = || std::fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(begin.elapsed() < PATIENCE, "the engine does not answer:\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Runs a `docker` command on it; its output if it went well.
    #[must_use]
    pub fn docker(&self, arguments: &[&str]) -> Option<String> {
        let output = Command::new("docker").args(["--host", &self.host()]).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // With `LiveRestore::On` they would outlive it.
        if let Some(left) = self.docker(&["ps", "-aq"]) {
            for container in left.lines() {
                let _ = self.docker(&["rm", "-f", container]);
            }
        }
        self.down();
    }
}

//! A running host, as a process of its own.

use std::fs::File;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::installation::Installation;
use crate::network::namespace;

/// How long anything in a test may take before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a host is started.
#[derive(Debug, Clone, Default)]
pub struct HostOptions {
    /// Leave the rehearsal out: the upstreams of `.env` are used.
    pub without_rehearsal: bool,
    /// Further environment variables.
    pub environment: Vec<(String, String)>,
    /// The file of the network namespace that it is in, if not this one.
    pub network: Option<PathBuf>,
}

/// A running `longshore run`; ended by SIGTERM when dropped.
pub struct Host<'a> {
    /// Where it runs.
    pub installation: &'a Installation,
    child: Child,
}

/// What `longshore chat --once` printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its exit status.
    pub status: i32,
    /// The replies.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl<'a> Host<'a> {
    /// Starts a host in rehearsal and waits until it is ready.
    #[must_use]
    pub fn start(installation: &'a Installation) -> Self {
        Self::start_with(installation, &HostOptions::default())
    }

    /// Starts a host and waits until it is ready.
    #[must_use]
    pub fn start_with(installation: &'a Installation, options: &HostOptions) -> Self {
        let log = File::options()
            .create(true)
            .append(true)
            .open(installation.path("host.log"))
            .expect("the log can be opened");
        let mut command = installation.command();
        command.arg("run");
        if !options.without_rehearsal {
            command.arg("--rehearsal");
        }
        command
            .env("RUST_LOG", "debug,hyper=info,bollard=info,hyper_util=info")
            .envs(options.environment.iter().cloned());
        if let Some(network) = &options.network {
            command = namespace::inside(network.clone(), command);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("longshore starts");
        let mut host = Self { installation, child };
        host.wait_until("the host is ready", |host| {
            assert!(host.child.try_wait().expect("a child").is_none(), "the host ended:\n{}", host.log());
            UnixStream::connect(host.installation.path("data/host.sock")).is_ok()
        });
        host
    }

    /// Stops a host and starts another in its place.
    #[must_use]
    pub fn start_again(host: Self) -> Self {
        let installation = host.installation;
        assert_eq!(host.stop(), Some(0), "the first host did not stop well");
        Self::start(installation)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says one thing and waits for the end of its turn.
    #[must_use]
    pub fn chat(&self, group: &str, text: &str) -> Answer {
        let output = finish(self.installation.command().args(["chat", group, "--once", text]));
        let answer =
            Answer { status: output.0, stdout: output.1.trim_end().to_owned(), stderr: output.2.trim_end().to_owned() };
        if answer.status < 0 {
            panic!("`chat {group}` did not end in {PATIENCE:?}; the host's log:\n{}", self.log());
        }
        answer
    }

    /// Waits for a condition, or fails with the host's log.
    pub fn wait_until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        let begin = Instant::now();
        while !condition(self) {
            assert!(begin.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}; the host's log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The host's log so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.installation.path("host.log")).unwrap_or_default()
    }

    /// The ids of the engine's containers of this installation, running or not.
    #[must_use]
    pub fn containers(&self) -> Vec<String> {
        containers_of(&self.installation.root_hash())
    }

    /// Kills the host with SIGKILL and waits for its end.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Ends the host with SIGTERM and returns its exit status.
    pub fn stop(mut self) -> Option<i32> {
        self.end(Signal::TERM)
    }

    /// Ends the host as Ctrl-C would and returns its exit status.
    pub fn interrupt(mut self) -> Option<i32> {
        self.end(Signal::INT)
    }

    /// Sends a signal and waits for nothing.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, signal).expect("the host can be signalled");
        }
    }

    fn end(&mut self, signal: Signal) -> Option<i32> {
        if self.child.try_wait().ok().flatten().is_none() {
            self.signal(signal);
        }
        let begin = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.code(),
                Ok(None) if begin.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(20)),
                _ => {
                    let _ = self.child.kill();
                    let _ = self.child.wait();
                    return None;
                }
            }
        }
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        self.end(Signal::TERM);
    }
}

/// The engine's containers with the label of an installation.
#[must_use]
pub fn containers_of(root_hash: &str) -> Vec<String> {
    let (status, stdout, stderr) = finish(Command::new("docker").args([
        "ps",
        "-aq",
        "--no-trunc",
        "--filter",
        &format!("label=longshore.root={root_hash}"),
    ]));
    assert_eq!(status, 0, "docker ps: {stderr}");
    stdout.lines().map(str::to_owned).collect()
}

/// Runs a command to its end: status, stdout, stderr. Status -1: it took too long and was killed.
fn finish(command: &mut Command) -> (i32, String, String) {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let read = |stream: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                let _ = stream.read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = read(child.stdout.take().map(|stream| Box::new(stream) as _));
    let stderr = read(child.stderr.take().map(|stream| Box::new(stream) as _));
    let begin = Instant::now();
    let status = loop {
        match child.try_wait().expect("wait") {
            Some(status) => break status.code().unwrap_or(-2),
            None if begin.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                break -1;
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    (status, stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default())
}

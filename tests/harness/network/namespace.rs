//! A network namespace, and how to be in it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Without a name, so that there is nothing to be left over: it lasts as long as a process or a socket in it.
pub struct Namespace {
    holder: Child,
}

impl Namespace {
    /// One whose loopback interface has these addresses besides its own; it has no other.
    ///
    /// # Panics
    /// Not as root, or without `unshare` and `ip`.
    #[must_use]
    pub fn new(addresses: &[&str]) -> Self {
        assert!(is_possible(), "a test makes a network of its own: run it as root");
        // `cat` ends with this process, however that ends.
        let script = "ip link set lo up; for a in \"$@\"; do ip address replace \"$a\" dev lo; done; echo up; exec cat";
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-ec", script, "sh"])
            .args(addresses)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare can be started");
        let mut line = String::new();
        BufReader::new(holder.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let namespace = Self { holder };
        assert_eq!(line, "up\n", "no network namespace");
        namespace
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.holder.id()).into()
    }

    /// The same command, to be run in it with the variables that were set and no others, as the same process.
    #[must_use]
    pub fn inside(&self, command: Command) -> Command {
        inside(self.path(), command)
    }

    /// Does something in it, on a thread of its own; threads that are started there are in it, too.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let file = File::open(self.path()).expect("a namespace lasts until it is dropped");
        std::thread::scope(|scope| {
            let there = move || {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("to be let in");
                act()
            };
            scope.spawn(there).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Whether one can be made here.
#[must_use]
pub fn is_possible() -> bool {
    rustix::process::geteuid().is_root()
}

/// See [`Namespace::inside`]. The standard streams of the new command are to be set, not those of the old.
pub(crate) fn inside(namespace: PathBuf, command: Command) -> Command {
    let mut entering = Command::new("nsenter");
    entering
        .arg(format!("--net={}", namespace.display()))
        .arg("--")
        .arg(command.get_program())
        .args(command.get_args());
    entering.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    entering.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    entering
}

//! The child process: started without a shell, in a process group of its own, ended as a whole.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// What an adapter inherits of the host's environment: nothing that could be a secret.
const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// A running adapter. Dropping it kills its process group.
pub(super) struct Process {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
    pub(super) life: Life,
}

/// Its life, apart from its streams.
pub(super) struct Life {
    child: Child,
    group: Option<Pid>,
}

impl Process {
    /// Starts the command, in the host's working directory.
    pub(super) fn start(name: &str, command: &[String], data_directory: &Path) -> io::Result<Self> {
        let (program, arguments) =
            command.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
        let data_directory = std::path::absolute(data_directory)?;
        // It may hold the keys of an account.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&data_directory)?;
        let inherited = INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(inherited)
            .env("LONGSHORE_CHANNEL", name)
            .env("LONGSHORE_DATA", data_directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("its streams are missing"));
        };
        Ok(Self { stdin, stdout, stderr, life: Life { child, group } })
    }
}

impl Life {
    /// Waits for the child to end; says how it did.
    pub(super) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => format!("its end can't be seen: {error}"),
        }
    }

    /// Kills what is left of the process group, once.
    pub(super) fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            // A group that has no process left is what we want.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.kill();
    }
}

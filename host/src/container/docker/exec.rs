//! Processes in running containers, and whether those run on this machine.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use futures_util::StreamExt as _;

use super::super::{ContainerId, Output, Piped, Place, Process, RuntimeError};
use super::failure::{in_words, runtime_error};

/// The name by which Docker Desktop's engine goes; on Linux, too, it runs in a virtual machine.
const DESKTOP: &str = "Docker Desktop";

pub(super) async fn exec(docker: &Docker, id: &ContainerId, process: &Process) -> Result<Piped, RuntimeError> {
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        cmd: Some(process.command.clone()),
        user: Some(format!("{}:{}", process.uid, process.gid)),
        privileged: Some(false),
        ..CreateExecOptions::default()
    };
    let created = docker.create_exec(&id.0, options).await.map_err(runtime_error)?;
    match docker.start_exec(&created.id, None::<StartExecOptions>).await.map_err(runtime_error)? {
        StartExecResults::Attached { output, input } => {
            let output = output.filter_map(|piece| std::future::ready(said(piece)));
            Ok(Piped { stdin: input, output: output.boxed() })
        }
        StartExecResults::Detached => {
            Err(RuntimeError::Refused("the engine gave a process without its streams".to_owned()))
        }
    }
}

/// A piece of a process's output, if it is one.
pub(super) fn said(piece: Result<LogOutput, bollard::errors::Error>) -> Option<Result<Output, RuntimeError>> {
    match piece {
        Ok(LogOutput::StdOut { message } | LogOutput::Console { message }) => Some(Ok(Output::Stdout(message))),
        Ok(LogOutput::StdErr { message }) => Some(Ok(Output::Stderr(message))),
        Ok(LogOutput::StdIn { .. }) => None,
        Err(error) => Some(Err(RuntimeError::Unavailable(in_words(&error)))),
    }
}

/// Where the containers of the engine at `host` run, by what it says of its system and what this machine's
/// kernel is called. A socket of a virtual machine or another machine may be forwarded to here: containers
/// that share our kernel have its very release.
pub(super) fn place(host: &str, system: &str, kernel: &str, ours: Option<&str>) -> Place {
    let local = host.starts_with("unix://") && system != DESKTOP && ours == Some(kernel);
    if local { Place::Here } else { Place::Elsewhere }
}

/// This machine's kernel release, if it is a kernel that containers can share.
pub(super) fn kernel() -> Option<String> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    cfg!(target_os = "linux").then_some(release)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_engine_on_this_very_kernel_shares_sockets() {
        let ours = Some("6.1.0-18-amd64");
        for (host, system, kernel, ours, expected) in [
            ("unix:///var/run/docker.sock", "Debian GNU/Linux 12 (bookworm)", "6.1.0-18-amd64", ours, Place::Here),
            ("unix:///run/user/1000/docker.sock", "Ubuntu 24.04", "6.1.0-18-amd64", ours, Place::Here),
            (
                "unix:///home/ada/.docker/desktop/docker.sock",
                "Docker Desktop",
                "6.1.0-18-amd64",
                ours,
                Place::Elsewhere,
            ),
            ("unix:///tmp/forwarded.sock", "Debian GNU/Linux 12 (bookworm)", "6.8.0-31", ours, Place::Elsewhere),
            ("unix:///var/run/docker.sock", "Docker Desktop", "6.10.14-linuxkit", None, Place::Elsewhere),
            ("unix:///var/run/docker.sock", "Alpine Linux", "6.6.0", None, Place::Elsewhere),
            ("tcp://127.0.0.1:2375", "Debian GNU/Linux 12 (bookworm)", "6.1.0-18-amd64", ours, Place::Elsewhere),
            ("unix:///var/run/docker.sock", "", "", ours, Place::Elsewhere),
        ] {
            assert_eq!(place(host, system, kernel, ours), expected, "{host} {system} {kernel}");
        }
    }
}

//! `longshore whatsapp`: the adapter's own commands, for this installation's account.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::anyhow;
use clap::Args;

use super::Ending;

/// The channel's name.
pub(super) const CHANNEL: &str = "whatsapp";
const PROGRAM: &str = "longshore-whatsapp";

/// Arguments of `longshore whatsapp`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(super) struct WhatsappArgs {
    /// `link`, `status`, `groups` or `unlink`, and their arguments; `help` says more.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "COMMAND")]
    arguments: Vec<OsString>,
}

/// Becomes the adapter: it has the terminal and the signals to itself, and its exit status is ours.
pub(super) fn whatsapp(args: &WhatsappArgs, root: &Path) -> anyhow::Result<Ending> {
    Err(not_run(command(root).args(&args.arguments).exec()))
}

/// The adapter, for the account of this installation.
pub(super) fn command(root: &Path) -> Command {
    let mut command = Command::new(program());
    command.arg("--data").arg(root.join("data").join(CHANNEL));
    command
}

/// Why it could not be run.
pub(super) fn not_run(error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::NotFound {
        return anyhow!("`{PROGRAM}` is neither beside `longshore` nor on PATH; `make whatsapp` builds it");
    }
    anyhow!("`{PROGRAM}` cannot be run: {error}")
}

/// Whether the adapter is beside our own program.
pub(super) fn is_beside() -> bool {
    beside().is_some()
}

fn beside() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?.parent()?.join(PROGRAM);
    program.is_file().then_some(program)
}

/// Beside our own program, else wherever PATH leads.
fn program() -> PathBuf {
    beside().unwrap_or_else(|| PROGRAM.into())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Cli, Command};

    #[test]
    fn everything_behind_the_word_is_the_adapters() {
        for line in
            [&["link", "--phone", "+49 151", "--png=code.png"][..], &["groups", "--json"], &["--help"], &["help"]]
        {
            let cli = Cli::try_parse_from(["longshore", "--root", "r", "whatsapp"].iter().chain(line)).unwrap();
            let Command::Whatsapp(args) = cli.command else { panic!("{line:?} is another command") };
            assert_eq!(args.arguments, line);
        }
        assert!(Cli::try_parse_from(["longshore", "whatsapp"]).is_err());
    }
}

//! `longshore whatsapp`: the adapter's own commands, for this installation's account.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;
use clap::Args;

use super::Ending;

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
    let error = Command::new(program()).arg("--data").arg(root.join("data/whatsapp")).args(&args.arguments).exec();
    if error.kind() == std::io::ErrorKind::NotFound {
        bail!("`{PROGRAM}` is neither beside `longshore` nor on PATH; `make whatsapp` builds it");
    }
    bail!("`{PROGRAM}` cannot be run: {error}")
}

/// Beside our own program, else wherever PATH leads.
fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(PROGRAM)));
    beside.filter(|program| program.is_file()).unwrap_or_else(|| PROGRAM.into())
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

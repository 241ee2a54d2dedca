//! What is generated from the command line's own definition: completions, the manual page, and `docs/cli.md`.

use anyhow::Context;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Ending, say};

/// How wide the help of the reference is.
const WIDTH: usize = 100;

/// Arguments of `longshore completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Prints the shell's completions.
pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<Ending> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "longshore", &mut script);
    print(script)
}

/// Prints the manual page, in roff.
pub(super) fn man() -> anyhow::Result<Ending> {
    let mut page = Vec::new();
    clap_mangen::Man::new(plain()).render(&mut page).context("the manual page cannot be made")?;
    print(page)
}

fn print(text: Vec<u8>) -> anyhow::Result<Ending> {
    say(String::from_utf8(text)?.trim_end())?;
    Ok(Ending::Done)
}

/// The definition without anything of this machine.
fn plain() -> Command {
    Cli::command().mut_arg("root", |root| root.hide_env_values(true)).term_width(WIDTH)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The reference, in Markdown: each command's `--help`.
    fn reference() -> String {
        let mut command = plain();
        command.build();
        let mut text = String::from(
            "# The command line\n\nWhat `--help` says, of every command. Generated: `UPDATE_CLI=1 cargo test -p longshore-host reference`.\n\
             Exit status: 0 done, 1 failed, 2 wrong arguments.\n",
        );
        describe(&command, "longshore", &mut text);
        text
    }

    fn describe(command: &Command, name: &str, text: &mut String) {
        let help = command.clone().bin_name(name).term_width(WIDTH).render_long_help().to_string();
        // Writing to a String never fails.
        let _ = write!(text, "\n## {name}\n\n```text\n{}\n```\n", lines(&help));
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help" && !inner.is_hide_set()) {
            describe(inner, &format!("{name} {}", inner.get_name()), text);
        }
    }

    fn lines(help: &str) -> String {
        help.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    /// Set `UPDATE_CLI=1` to write the file anew after a change of the command line.
    #[test]
    fn the_checked_in_reference_is_what_help_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
        let reference = reference();
        if std::env::var_os("UPDATE_CLI").is_some() {
            std::fs::write(path, &reference).unwrap();
        }
        let known = std::fs::read_to_string(path).unwrap_or_default();
        assert!(known == reference, "docs/cli.md is out of date: run this test with UPDATE_CLI=1");
    }

    #[test]
    fn every_shell_and_the_manual_know_every_command() {
        let names: Vec<String> = plain()
            .get_subcommands()
            .filter(|inner| !inner.is_hide_set())
            .map(|inner| inner.get_name().to_owned())
            .collect();
        let mut page = Vec::new();
        clap_mangen::Man::new(plain()).render(&mut page).unwrap();
        let mut texts = vec![String::from_utf8(page).unwrap()];
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "longshore", &mut script);
            texts.push(String::from_utf8(script).unwrap());
        }
        for (text, name) in texts.iter().flat_map(|text| names.iter().map(move |name| (text, name))) {
            assert!(text.contains(name.as_str()), "`{name}` is missing");
        }
    }
}

//! The questions on a real terminal.

use anyhow::Context;
use dialoguer::theme::ColorfulTheme;
use dialoguer::{Confirm, Input, Password, Select};

use super::interview::Ask;

/// How often a secret is asked for that nobody types.
const TRIES: usize = 3;

/// Asks; gives the answer as it is written on the command line.
pub(super) fn ask(ask: &Ask) -> anyhow::Result<String> {
    let theme = ColorfulTheme::default();
    if ask.choices.is_empty() {
        let input = Input::<String>::with_theme(&theme).with_prompt(&ask.prompt).default(ask.offered.clone());
        return input.interact_text().context("this terminal cannot be asked; give the answers as flags");
    }
    let width = ask.choices.iter().map(|(answer, _)| answer.len()).max().unwrap_or(0);
    let items: Vec<String> =
        ask.choices.iter().map(|(answer, meaning)| format!("{answer:<width$}  {meaning}")).collect();
    let offered = ask.choices.iter().position(|(answer, _)| *answer == ask.offered).unwrap_or(0);
    let select = Select::with_theme(&theme).with_prompt(&ask.prompt).items(&items).default(offered);
    let chosen = select.interact().context("this terminal cannot be asked; give the answers as flags")?;
    Ok(ask.choices.get(chosen).map(|(answer, _)| answer.clone()).unwrap_or_default())
}

/// Asks for a secret without showing it; `None` when nobody types one.
pub(super) fn secret(prompt: &str) -> anyhow::Result<Option<String>> {
    let theme = ColorfulTheme::default();
    for _ in 0..TRIES {
        let typed = Password::with_theme(&theme).with_prompt(prompt).allow_empty_password(true);
        let typed = typed.interact().context("this terminal cannot be asked; give --key-file")?;
        if !typed.trim().is_empty() {
            return Ok(Some(typed.trim().to_owned()));
        }
    }
    Ok(None)
}

/// Yes or no.
pub(super) fn confirm(prompt: &str, offered: bool) -> anyhow::Result<bool> {
    let theme = ColorfulTheme::default();
    let confirm = Confirm::with_theme(&theme).with_prompt(prompt).default(offered);
    confirm.interact().context("this terminal cannot be asked; give the answers as flags")
}

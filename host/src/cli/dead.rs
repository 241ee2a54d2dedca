//! `longshore dead`: messages that could not be delivered.

use std::path::Path;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::outbox::{By, ask};
use super::table::table;
use super::{Ending, say};
use crate::deliver::desk::{Chosen, LetterView, OutboxCommand, OutboxReply};

/// How many characters of a text and of a reason a list shows.
const SHOWN_CHARS: usize = 40;

/// Arguments of `longshore dead`.
#[derive(Debug, Args)]
pub(super) struct DeadArgs {
    #[command(subcommand)]
    command: Option<DeadCommand>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum DeadCommand {
    /// List them, the oldest first; the default.
    List {
        /// Only those to this group or chat.
        #[arg(long, value_name = "CHAT")]
        chat: Option<String>,
        /// Also those that were dropped.
        #[arg(long)]
        dropped: bool,
    },
    /// Send them again, under the same message ids and in their old place in the chat's order.
    Retry(WhichArgs),
    /// Leave them at that: they stay in the history, and `longshore doctor` no longer lists them.
    Drop(WhichArgs),
}

#[derive(Debug, Args)]
struct WhichArgs {
    /// Their numbers.
    #[arg(value_name = "ID", required_unless_present_any = ["all", "chat"])]
    ids: Vec<i64>,
    /// All of them.
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// All of this group or chat.
    #[arg(long, value_name = "CHAT", conflicts_with = "ids")]
    chat: Option<String>,
}

impl From<WhichArgs> for Chosen {
    fn from(WhichArgs { ids, all: _, chat }: WhichArgs) -> Self {
        Self { ids, to: chat }
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    List,
    Retry,
    Drop,
}

pub(super) async fn dead(args: DeadArgs, root: &Path) -> anyhow::Result<Ending> {
    let (doing, command) = match args.command.unwrap_or(DeadCommand::List { chat: None, dropped: false }) {
        DeadCommand::List { chat, dropped } => (Doing::List, OutboxCommand::Letters { to: chat, dropped }),
        DeadCommand::Retry(which) => (Doing::Retry, OutboxCommand::Retry(which.into())),
        DeadCommand::Drop(which) => (Doing::Drop, OutboxCommand::Drop(which.into())),
    };
    let (reply, by) = ask(root, command).await?;
    let OutboxReply::Letters { letters } = reply else {
        bail!("the host answered something else; is it of another release?");
    };
    if args.json {
        say(&serde_json::to_string_pretty(&letters)?)?;
    } else {
        say(render(doing, &letters, by).trim_end())?;
    }
    Ok(Ending::Done)
}

fn render(doing: Doing, letters: &[LetterView], by: By) -> String {
    let number = match letters.len() {
        1 => "1 message".to_owned(),
        number => format!("{number} messages"),
    };
    match (doing, by) {
        _ if letters.is_empty() => {
            "no dead letters: every message was delivered, waits for its channel, or was dropped".into()
        }
        (Doing::List, _) => {
            list(letters)
                + "\n`longshore dead retry ID` sends one again, `longshore dead drop ID` takes it off this list\n"
        }
        (Doing::Retry, By::Host) => format!("{number} to be sent again; `longshore dead` lists what fails again"),
        (Doing::Retry, By::Store) => format!("{number} to be sent again by the next `longshore run`"),
        (Doing::Drop, _) => format!("{number} dropped"),
    }
}

fn list(letters: &[LetterView]) -> String {
    let with_state = letters.iter().any(|letter| letter.dropped);
    let rows: Vec<Vec<String>> = letters
        .iter()
        .map(|letter| {
            let pieces = if letter.pieces > 1 { format!(" (+{})", letter.pieces - 1) } else { String::new() };
            let mut row = vec![
                letter.id.to_string(),
                letter.group.as_ref().map_or_else(|| letter.chat.clone(), ToString::to_string),
                letter.given_up_at.clone(),
                letter.attempts.to_string(),
                if letter.from_agent { "agent".into() } else { "host".into() },
                cut(letter.error.as_deref().unwrap_or("-")),
                format!("{}{pieces}", cut(&letter.beginning)),
            ];
            if with_state {
                row.insert(1, if letter.dropped { "dropped".into() } else { "dead".into() });
            }
            row
        })
        .collect();
    let mut heading = vec!["ID", "CHAT", "GIVEN UP", "TRIES", "FROM", "BECAUSE", "TEXT"];
    if with_state {
        heading.insert(1, "STATE");
    }
    table(&heading, &rows)
}

/// The beginning, on one line.
fn cut(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_and_what_was_done_read_well() {
        let letter = |id, group: Option<&str>, dropped| LetterView {
            id,
            chat: "4912345@s.whatsapp.net".into(),
            group: group.map(|group| group.parse().unwrap()),
            message_id: "3EB0".into(),
            from_agent: group.is_some(),
            attempts: 8,
            error: Some("the platform did not take it: blocked by the user of that phone".into()),
            given_up_at: "2026-01-31T12:00:00Z".into(),
            said_at: "2026-01-31T11:00:00Z".into(),
            beginning: "Good morning,\nhere is what you asked for yesterday in the evening.".into(),
            pieces: if dropped { 1 } else { 3 },
            dropped,
        };
        let letters = [letter(7, Some("family"), false), letter(12, None, false)];
        let mut told = render(Doing::List, &letters, By::Host);
        told += &list(&[letter(7, Some("family"), true), letter(12, None, false)]);
        for (doing, by) in [(Doing::Retry, By::Host), (Doing::Retry, By::Store), (Doing::Drop, By::Store)] {
            told += &format!("\n{}", render(doing, &letters, by));
        }
        told += &format!("\n{}", render(Doing::List, &[], By::Host));
        insta::assert_snapshot!(told);
    }
}

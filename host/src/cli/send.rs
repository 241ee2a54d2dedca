//! `longshore send`: says something in a chat, as the host.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;

use super::outbox::{By, ask, ask_host};
use super::{Ending, note, say};
use crate::control::client::Client;
use crate::control::{Request, Response, RowView};
use crate::deliver::desk::{MAX_TEXT_BYTES, OutboxCommand, OutboxReply};

/// Arguments of `longshore send`.
#[derive(Debug, Args)]
pub(super) struct SendArgs {
    /// A group's folder or name, or a chat's id or name.
    to: String,
    /// What to say; `-`, or nothing at all, reads it from stdin.
    text: Option<String>,
    /// Do not wait for it to be sent; where no host runs, it is kept for the next one.
    #[arg(long)]
    no_wait: bool,
    /// How many seconds to wait for it to be sent.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait_seconds: u64,
    /// Print what became of it as JSON.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Outcome {
    chat: String,
    message_id: String,
    /// `sent`, `dead`, `pending` or `queued` (not waited for).
    state: &'static str,
    rows: Vec<RowView>,
}

pub(super) async fn send(args: SendArgs, root: &Path) -> anyhow::Result<Ending> {
    let text = match args.text.as_deref() {
        None | Some("-") => from_stdin()?,
        Some(text) => text.to_owned(),
    };
    if text.trim().is_empty() {
        bail!("there is nothing in the text");
    }
    let command = OutboxCommand::Send { to: args.to, text };
    if args.no_wait {
        let (reply, by) = ask(root, command).await?;
        return queued(reply, by, args.json);
    }
    let Ok(mut client) = Client::connect(root).await else {
        bail!(
            "no host runs in `{}`, and nothing was sent; start one with `longshore run`, or give --no-wait to leave it to the next one",
            root.display()
        );
    };
    let OutboxReply::Queued { chat, rows, message_id, .. } = ask_host(&mut client, command).await? else {
        bail!("the host answered something else; is it of another release?");
    };
    client.send(&Request::Follow { rows }).await?;
    let mut last: Vec<RowView> = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(args.wait_seconds), follow(&mut client, &mut last)).await;
    if let Ok(result) = ended {
        result?;
    }
    let state = state(&last);
    let ending = if state == "sent" { Ending::Done } else { Ending::Failed };
    let text = render(&chat, state, &last, args.wait_seconds);
    if args.json {
        say(&serde_json::to_string_pretty(&Outcome { chat, message_id, state, rows: last })?)?;
    } else if ending == Ending::Done {
        say(&text)?;
    } else {
        note(&format!("longshore: {text}"));
    }
    Ok(ending)
}

fn queued(reply: OutboxReply, by: By, as_json: bool) -> anyhow::Result<Ending> {
    let OutboxReply::Queued { chat, rows, message_id, .. } = reply else {
        bail!("the host answered something else; is it of another release?");
    };
    if as_json {
        say(&serde_json::to_string_pretty(&Outcome { chat, message_id, state: "queued", rows: Vec::new() })?)?;
    } else {
        let row = rows.first().copied().unwrap_or_default();
        say(&match by {
            By::Host => format!("queued for `{chat}` (outbox row {row})"),
            By::Store => format!("kept for `{chat}` (outbox row {row}); the next `longshore run` sends it"),
        })?;
    }
    Ok(Ending::Done)
}

fn from_stdin() -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_TEXT_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    std::io::stdin().lock().take(most).read_to_end(&mut bytes).context("stdin cannot be read")?;
    String::from_utf8(bytes).context("the text on stdin is not UTF-8")
}

/// Until every row has ended; what is known so far is in `last`.
async fn follow(client: &mut Client, last: &mut Vec<RowView>) -> anyhow::Result<()> {
    loop {
        match client.next().await? {
            Response::Delivery { rows } => {
                *last = rows;
                if last.iter().all(|row| row.state != "pending") {
                    return Ok(());
                }
            }
            Response::Error { message } => bail!("{message}; it is in the outbox, and sent when the host runs again"),
            _ => {}
        }
    }
}

/// The state of the whole: the worst of its pieces'.
fn state(rows: &[RowView]) -> &'static str {
    let any = |state: &str| rows.iter().any(|row| row.state == state);
    match () {
        () if any("dead") => "dead",
        () if rows.is_empty() || any("pending") => "pending",
        () => "sent",
    }
}

fn render(chat: &str, state: &str, rows: &[RowView], waited: u64) -> String {
    let because =
        rows.iter().find_map(|row| row.error.as_deref()).map(|error| format!(": {error}")).unwrap_or_default();
    let row = rows.iter().find(|row| row.state == state).or(rows.first()).map_or(0, |row| row.id);
    match state {
        "sent" => format!("sent to `{chat}`"),
        "dead" => format!(
            "the message to `{chat}` was given up{because} (outbox row {row}); `longshore dead retry {row}` sends it again"
        ),
        _ if chat.starts_with("console:") => format!(
            "the message to `{chat}` waits (outbox row {row}): it is shown when `longshore chat` opens the group"
        ),
        _ => format!(
            "after {waited} s the message to `{chat}` still waits{because} (outbox row {row}); it is sent when its channel can, see `longshore status`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_message_is_one_sentence() {
        let row = |id, state: &str, error: Option<&str>| RowView {
            id,
            state: state.into(),
            attempts: 1,
            error: error.map(str::to_owned),
        };
        let cases = [
            vec![row(1, "sent", None), row(2, "sent", None)],
            vec![row(1, "sent", None), row(2, "dead", Some("blocked by the user")), row(3, "dead", None)],
            vec![row(1, "sent", None), row(2, "pending", Some("busy"))],
            Vec::new(),
        ];
        let told: String = cases.iter().map(|rows| render("sms:1", state(rows), rows, 60) + "\n").collect();
        insta::assert_snapshot!(told + &render("console:main", "pending", &cases[2], 60));
    }
}

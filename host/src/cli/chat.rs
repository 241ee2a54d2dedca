//! `longshore chat`: the operator's terminal.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, bail};
use clap::Args;
use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};
use tokio::sync::mpsc;

use super::shown::shown;
use super::{Ending, note, say};
use crate::control::client::{Client, ClientReader, ClientWriter};
use crate::control::{Request, Response};

/// Where what was typed is remembered, under the root.
const HISTORY: &str = "data/chat_history";
/// Lines typed and not yet sent.
const TYPED: usize = 16;

/// Arguments of `longshore chat`.
#[derive(Debug, Args)]
pub(super) struct ChatArgs {
    /// The group: its folder, its name or its chat.
    group: String,
    /// Say this, print the replies to it, and end; exit status 1 if it failed.
    #[arg(long, value_name = "TEXT")]
    once: Option<String>,
}

impl ChatArgs {
    pub(super) fn interactive(group: String) -> Self {
        Self { group, once: None }
    }

    pub(super) fn once(group: String, text: String) -> Self {
        Self { group, once: Some(text) }
    }
}

pub(super) async fn chat(args: ChatArgs, root: &Path) -> anyhow::Result<Ending> {
    let mut client = Client::connect(root).await?;
    client.send(&Request::Attach { group: args.group }).await?;
    let greeting = match client.next().await? {
        Response::Attached { name, provider, assistant, rehearsal, .. } => {
            let rehearsal = if rehearsal { ", rehearsal" } else { "" };
            format!("{assistant} in {name} ({provider}{rehearsal}). Ctrl-D ends the chat.")
        }
        Response::Error { message } => bail!(message),
        other => bail!("the host answered with {other:?}; is it of another release?"),
    };
    match args.once {
        Some(text) => once(client, text).await,
        None => {
            note(&greeting);
            converse(client, root).await
        }
    }
}

/// Says one thing. Replies to it go to stdout; what else is said meanwhile goes to stderr, so that
/// nothing that was delivered to this terminal is lost.
async fn once(mut client: Client, text: String) -> anyhow::Result<Ending> {
    client.send(&Request::Say { text }).await?;
    let mut heard: Vec<(i64, String)> = Vec::new();
    let (failure, rows) = loop {
        match client.next().await? {
            Response::Text { outbox_id, text } => heard.push((outbox_id, text)),
            Response::Retrying { at, .. } => note(&format!("longshore: it failed and is tried again at {at}")),
            Response::Ended { failure, outbox, .. } => break (failure, outbox),
            Response::NotAnswered { reason, .. } => bail!("nobody was woken by that: {reason}"),
            Response::Error { message } => bail!(message),
            _ => {}
        }
    };
    let mut texts: HashMap<i64, String> = HashMap::new();
    for (id, text) in heard {
        if rows.contains(&id) {
            texts.insert(id, text);
        } else {
            note(&format!("(earlier) {text}"));
        }
    }
    for text in rows.iter().filter_map(|id| texts.get(id)) {
        if failure.is_some() { note(text) } else { say(text)? }
    }
    Ok(if failure.is_some() { Ending::Failed } else { Ending::Done })
}

async fn converse(client: Client, root: &Path) -> anyhow::Result<Ending> {
    let (reader, writer) = client.split();
    let mut editor = DefaultEditor::new().context("this terminal cannot be used for a chat; use --once")?;
    let history = root.join(HISTORY);
    // None yet, or not readable: a chat without history is still a chat.
    let _ = editor.load_history(&history);
    let printer = editor.create_external_printer().context("this terminal cannot be used for a chat; use --once")?;
    let (typed, lines) = mpsc::channel(TYPED);
    let keyboard = tokio::task::spawn_blocking(move || {
        read_lines(&mut editor, &typed);
        let _ = editor.save_history(&history);
    });
    let told = tokio::select! {
        told = print(reader, printer) => told,
        sent = send(writer, lines) => sent,
    };
    if let Err(error) = &told {
        // The keyboard thread still waits in a read that nothing can interrupt.
        note(&format!("longshore: {error:#}. Press Enter."));
    }
    keyboard.await?;
    told.map(|()| Ending::Done)
}

fn read_lines(editor: &mut DefaultEditor, typed: &mpsc::Sender<String>) {
    loop {
        match editor.readline("> ") {
            Ok(line) if line.trim().is_empty() => {
                if typed.is_closed() {
                    return;
                }
            }
            Ok(line) => {
                // A line that cannot be remembered can still be said.
                let _ = editor.add_history_entry(&line);
                if typed.blocking_send(line).is_err() {
                    return;
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(_) => return,
        }
    }
}

async fn send(mut writer: ClientWriter, mut lines: mpsc::Receiver<String>) -> anyhow::Result<()> {
    while let Some(text) = lines.recv().await {
        writer.send(&Request::Say { text }).await?;
    }
    Ok(())
}

async fn print(mut reader: ClientReader, mut printer: impl ExternalPrinter) -> anyhow::Result<()> {
    loop {
        let line = match reader.next().await? {
            Response::Text { text, .. } => text,
            Response::Retrying { at, .. } => format!("(it failed and is tried again at {at})"),
            Response::NotAnswered { reason, .. } => format!("(nobody was woken by that: {reason})"),
            Response::Error { message } => format!("({message})"),
            Response::Typing { on: true } => "…".into(),
            _ => continue,
        };
        printer.print(format!("{}\n", shown(&line)))?;
    }
}

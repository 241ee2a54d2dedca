//! `longshore groups add`: by a chat's id, or by one of those that a channel has.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use clap::Args;
use longshore_protocol::{GroupId, ProviderKind};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::registered::registered;
use super::super::{note, whatsapp};
use super::pick;
use crate::clock::Clock;
use crate::groups::Entry;
use crate::store;
use crate::store::introduced::{Introduced, introduced};

/// Arguments of `longshore groups add`.
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The chat's id.
    #[arg(required_unless_present = "from")]
    chat: Option<String>,
    /// Choose among the chats of this channel, such as `whatsapp`.
    #[arg(long, value_name = "CHANNEL", conflicts_with = "chat")]
    from: Option<String>,
    /// Which of them, by its id or its name; without it you are asked.
    #[arg(long = "chat", value_name = "CHAT", requires = "from", id = "which")]
    which: Option<String>,
    /// The group's name, for people; what the channel calls it, or the folder's, if absent.
    #[arg(long)]
    name: Option<String>,
    /// Its folder under groups/: letters, digits, `_` and `-`. With `--from` made of the name if absent.
    #[arg(long, required_unless_present = "from")]
    folder: Option<GroupId>,
    /// Who answers: claude or codex.
    #[arg(long)]
    provider: Option<ProviderKind>,
    /// What a message starts with to wake the agent.
    #[arg(long)]
    trigger: Option<String>,
    /// Every message wakes the agent.
    #[arg(long)]
    no_trigger: bool,
    /// It is the main group.
    #[arg(long)]
    main: bool,
}

/// An entry to add.
pub(super) struct Added {
    pub(super) chat: String,
    pub(super) folder: GroupId,
    pub(super) entry: Entry,
}

/// What is to be added; `None` when the operator has chosen nothing.
pub(super) async fn added(args: AddArgs, root: &Path) -> anyhow::Result<Option<Added>> {
    let (chat, name, folder) = match (&args.from, &args.chat, &args.folder) {
        (Some(channel), ..) => match choose(channel, &args, root).await? {
            Some((chosen, folder)) => (chosen.chat, Some(chosen.name), folder),
            None => return Ok(None),
        },
        (None, Some(chat), Some(folder)) => (chat.clone(), None, folder.clone()),
        _ => bail!("name a chat and `--folder`, or `--from CHANNEL`"),
    };
    let name = args.name.clone().or(name).unwrap_or_else(|| folder.as_str().to_owned());
    let entry = entry(&args, &name, &folder)?;
    Ok(Some(Added { chat, folder, entry }))
}

async fn choose(channel: &str, args: &AddArgs, root: &Path) -> anyhow::Result<Option<(Introduced, GroupId)>> {
    let known = chats_of(channel, root).await?;
    let served = registered(root)?.groups;
    let chats: Vec<Introduced> = known.iter().filter(|chat| served.by_chat(&chat.chat).is_none()).cloned().collect();
    let is_taken = |id: &GroupId| served.by_id(id).is_some() || root.join("groups").join(id.as_str()).exists();
    let suggested = |name: &str| pick::folder_for(name, is_taken);
    let folder_of = |chat: &Introduced| {
        let folder = args.folder.clone().or_else(|| suggested(args.name.as_deref().unwrap_or(&chat.name)));
        folder.context("no folder is free for that name; name one with `--folder`")
    };
    if let Some(which) = &args.which {
        let Some(chat) = pick::named(&known, which) else {
            note(pick::listed(&chats).trim_end());
            bail!("`{which}` is none of `{channel}`'s chats, or the name of several; these are not served yet");
        };
        return Ok(Some((chat.clone(), folder_of(chat)?)));
    }
    ensure!(!chats.is_empty(), "every chat of `{channel}` that is known is served already");
    note(pick::listed(&chats).trim_end());
    if !std::io::stdin().is_terminal() {
        bail!(
            "there is no terminal to choose at: say `longshore groups add --from {channel} --chat CHAT`, with one of these"
        );
    }
    let mut editor = DefaultEditor::new()?;
    let Some(chat) = ask_which(&mut editor, &chats)? else { return Ok(None) };
    let mut folder = folder_of(chat)?;
    if args.folder.is_none() {
        folder = ask_folder(&mut editor, folder)?;
    }
    Ok(Some((chat.clone(), folder)))
}

fn ask_which<'a>(editor: &mut DefaultEditor, chats: &'a [Introduced]) -> anyhow::Result<Option<&'a Introduced>> {
    loop {
        let Some(answer) = ask(editor, &format!("Which one? [1-{}, or nothing] ", chats.len()))? else {
            return Ok(None);
        };
        match pick::chosen(chats, &answer) {
            Some(chat) => return Ok(Some(chat)),
            None => note("That is none of them."),
        }
    }
}

fn ask_folder(editor: &mut DefaultEditor, suggested: GroupId) -> anyhow::Result<GroupId> {
    loop {
        let Some(answer) = ask(editor, &format!("Its folder under groups/? [{suggested}] "))? else {
            return Ok(suggested);
        };
        match answer.parse() {
            Ok(folder) => return Ok(folder),
            Err(error) => note(&format!("`{answer}` {error}.")),
        }
    }
}

/// An answer; `None` for an empty one, or when the operator wants to leave.
fn ask(editor: &mut DefaultEditor, question: &str) -> anyhow::Result<Option<String>> {
    match editor.readline(question) {
        Ok(line) => Ok(Some(line.trim().to_owned()).filter(|line| !line.is_empty())),
        Err(ReadlineError::Eof) => Ok(None),
        // Whoever interrupts wants nothing to be added.
        Err(ReadlineError::Interrupted) => bail!("nothing was added"),
        Err(error) => Err(error.into()),
    }
}

/// The chats that a channel has introduced to a host, or else those that WhatsApp has.
async fn chats_of(channel: &str, root: &Path) -> anyhow::Result<Vec<Introduced>> {
    let file = root.join(store::FILE);
    let known = if file.is_file() { introduced(&file, channel)? } else { Vec::new() };
    if !known.is_empty() {
        return Ok(known);
    }
    if channel != whatsapp::CHANNEL {
        bail!("channel `{channel}` has introduced no chats; is it in CHANNELS, and has the host run since?");
    }
    from_whatsapp(root).await
}

/// A line of `longshore-whatsapp groups --json`.
#[derive(Deserialize)]
struct Listed {
    chat: String,
    name: String,
}

async fn from_whatsapp(root: &Path) -> anyhow::Result<Vec<Introduced>> {
    let mut command = tokio::process::Command::from(whatsapp::command(root));
    let output = command.args(["groups", "--json"].map(OsStr::new)).output().await.map_err(whatsapp::not_run)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let listed: Vec<Listed> = serde_json::from_slice(&output.stdout).context("the adapter's list cannot be read")?;
    ensure!(!listed.is_empty(), "the WhatsApp account is in no group; put it into one first");
    let introduced = |Listed { chat, name }| Introduced { chat, name, is_group: true };
    Ok(listed.into_iter().map(introduced).collect())
}

fn entry(args: &AddArgs, name: &str, folder: &GroupId) -> anyhow::Result<Entry> {
    let mut entry = json!({ "name": name, "folder": folder, "added_at": Clock::system().now().to_string() });
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            entry[key] = value;
        }
    };
    set("trigger", args.trigger.clone().map(Value::from));
    set("requiresTrigger", args.no_trigger.then(|| Value::from(false)));
    set("isMain", args.main.then(|| Value::from(true)));
    set("provider", args.provider.map(|provider| Value::from(provider.as_str())));
    serde_json::from_value(entry).context("the entry cannot be made")
}

//! What operators do with the outbox: send something, and decide about dead letters.

use std::sync::Arc;

use jiff::Timestamp;
use longshore_protocol::GroupId;
use serde::{Deserialize, Serialize};

use super::{DEFAULT_TEXT_BYTES, Outbound};
use crate::channel::chunk::chunk;
use crate::groups::Groups;
use crate::store::letters::{Fate, Letter, NoSuchLetters, Which};
use crate::store::messages::KnownChat;
use crate::store::{Store, StoreError};

/// The longest text that an operator may send, in bytes.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;
/// How many letters a list has.
const MOST_LETTERS: usize = 500;
/// How many letters are decided about at once.
const MOST_NUMBERS: usize = 1000;
/// Among how many chats one is looked for.
const MOST_CHATS: usize = 10_000;
/// How many chats a refusal names.
const NAMED_CHATS: usize = 12;

/// What an operator wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum OutboxCommand {
    /// Say something in a chat, as the host: answered by `queued`.
    Send {
        /// A group's folder or name, or a chat's id or name.
        to: String,
        /// What.
        text: String,
    },
    /// List dead letters: answered by `letters`.
    Letters {
        /// Only those to this group or chat.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// Also those that were dropped.
        #[serde(default)]
        dropped: bool,
    },
    /// Send dead letters again: answered by `letters`, which are those.
    Retry(Chosen),
    /// Leave dead letters at that: answered by `letters`, which are those.
    Drop(Chosen),
}

/// Which letters are meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// These; all that are not dropped if there is none.
    pub ids: Vec<i64>,
    /// Without numbers: only those to this group or chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// What an operator is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OutboxReply {
    /// It is in the outbox.
    Queued {
        /// The chat.
        chat: String,
        /// Its group, if one serves it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<GroupId>,
        /// The rows of its pieces.
        rows: Vec<i64>,
        /// The id of the first, which every try repeats.
        message_id: String,
    },
    /// Dead letters.
    Letters {
        /// The oldest first.
        letters: Vec<LetterView>,
    },
}

/// A dead letter, for people. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `Letter`")]
pub struct LetterView {
    pub id: i64,
    pub chat: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    pub message_id: String,
    pub from_agent: bool,
    pub attempts: u32,
    pub error: Option<String>,
    pub given_up_at: String,
    pub said_at: String,
    pub beginning: String,
    pub pieces: u64,
    pub dropped: bool,
}

/// What a command led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxServed {
    /// What the operator is shown.
    pub reply: OutboxReply,
    /// Chats in which something is to be sent now.
    pub touched: Vec<String>,
}

/// Serves operators.
pub struct OutboxDesk<'a> {
    /// The store.
    pub store: Store,
    /// The groups as they are now.
    pub groups: Arc<Groups>,
    /// The channels; none where no host runs.
    pub outbound: Option<&'a Outbound>,
    /// The time.
    pub now: Timestamp,
}

impl OutboxDesk<'_> {
    /// Does what is asked.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub async fn serve(&self, command: OutboxCommand) -> Result<OutboxServed, String> {
        match command {
            OutboxCommand::Send { to, text } => self.send(&to, &text).await,
            OutboxCommand::Letters { to, dropped } => {
                let chat = self.some_chat(to).await?;
                let letters = self.store.letters(chat, dropped, MOST_LETTERS).await.map_err(said)?;
                Ok(OutboxServed { reply: self.shown(letters), touched: Vec::new() })
            }
            OutboxCommand::Retry(chosen) => self.decide(chosen, Fate::Retry).await,
            OutboxCommand::Drop(chosen) => self.decide(chosen, Fate::Drop).await,
        }
    }

    async fn send(&self, to: &str, text: &str) -> Result<OutboxServed, String> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(format!("the text has {} bytes, and {MAX_TEXT_BYTES} are the most", text.len()));
        }
        let chat = self.chat(to).await?;
        let limit = match self.outbound {
            Some(outbound) if !outbound.reaches(&chat).await => {
                return Err(format!(
                    "no channel of this host has the chat `{chat}`; see the channels in `longshore status`"
                ));
            }
            Some(outbound) => outbound.max_text_bytes(&chat, text).await,
            None => DEFAULT_TEXT_BYTES,
        };
        let rows = self.store.enqueue(chat.clone(), chunk(text, limit), self.now).await.map_err(said)?;
        let Some((_, message_id)) = rows.first().cloned() else {
            return Err("there is nothing in the text".into());
        };
        let group = self.groups.by_chat(&chat).map(|group| group.id.clone());
        let rows = rows.into_iter().map(|(id, _)| id).collect();
        let reply = OutboxReply::Queued { chat: chat.clone(), group, rows, message_id };
        Ok(OutboxServed { reply, touched: vec![chat] })
    }

    async fn decide(&self, Chosen { ids, to }: Chosen, fate: Fate) -> Result<OutboxServed, String> {
        if ids.len() > MOST_NUMBERS {
            return Err(format!("{MOST_NUMBERS} letters are the most at once; `--all` takes all"));
        }
        let which = if ids.is_empty() { Which::All { chat: self.some_chat(to).await? } } else { Which::These(ids) };
        let letters =
            self.store.decide_letters(which, fate).await.map_err(said)?.map_err(|NoSuchLetters(missing)| {
                let missing = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                format!("nothing was changed: there is no dead letter {missing}; `longshore dead` lists them")
            })?;
        let mut touched: Vec<String> = Vec::new();
        if fate == Fate::Retry {
            touched.extend(letters.iter().map(|letter| letter.chat.clone()));
            touched.sort();
            touched.dedup();
        }
        Ok(OutboxServed { reply: self.shown(letters), touched })
    }

    async fn some_chat(&self, to: Option<String>) -> Result<Option<String>, String> {
        match to {
            Some(to) => self.chat(&to).await.map(Some),
            None => Ok(None),
        }
    }

    async fn chat(&self, to: &str) -> Result<String, String> {
        let known = self.store.chats(MOST_CHATS).await.map_err(said)?;
        find(to, &self.groups, &known)
    }

    fn shown(&self, letters: Vec<Letter>) -> OutboxReply {
        let view = |letter: Letter| LetterView {
            id: letter.id,
            group: self.groups.by_chat(&letter.chat).map(|group| group.id.clone()),
            chat: letter.chat,
            message_id: letter.message_id,
            from_agent: letter.from_agent,
            attempts: letter.attempts,
            error: letter.error,
            given_up_at: format!("{:.0}", letter.given_up_at),
            said_at: format!("{:.0}", letter.said_at),
            beginning: letter.beginning,
            pieces: letter.pieces,
            dropped: letter.dropped,
        };
        OutboxReply::Letters { letters: letters.into_iter().map(view).collect() }
    }
}

/// The chat that is meant: a group's by its folder, chat or name, else one that a channel has introduced.
fn find(to: &str, groups: &Groups, known: &[KnownChat]) -> Result<String, String> {
    let group = groups
        .iter()
        .find(|group| group.id.as_str() == to)
        .or_else(|| groups.iter().find(|group| group.chat == to || group.name == to));
    if let Some(group) = group {
        return Ok(group.chat.clone());
    }
    if let Some(chat) = known.iter().find(|chat| chat.chat == to) {
        return Ok(chat.chat.clone());
    }
    let named: Vec<&KnownChat> = known.iter().filter(|chat| chat.name == to).collect();
    match named.as_slice() {
        [one] => Ok(one.chat.clone()),
        [] => Err(format!("there is no chat `{to}`; there are {}", listed(groups, known))),
        several => {
            let ids: Vec<String> = several.iter().take(NAMED_CHATS).map(|chat| format!("`{}`", chat.chat)).collect();
            Err(format!("several chats are called `{to}`; name one of them by its id: {}", ids.join(", ")))
        }
    }
}

fn listed(groups: &Groups, known: &[KnownChat]) -> String {
    let mut named: Vec<String> = groups.iter().map(|group| format!("`{}`", group.id)).collect();
    let others = known.iter().filter(|chat| groups.by_chat(&chat.chat).is_none());
    named.extend(others.map(|chat| match chat.name == chat.chat {
        true => format!("`{}`", chat.chat),
        false => format!("`{}` ({})", chat.chat, chat.name),
    }));
    match named.len().checked_sub(NAMED_CHATS).filter(|more| *more > 0) {
        _ if named.is_empty() => "none yet: register one with `longshore groups add`".into(),
        Some(more) => format!("{} and {more} more", named[..NAMED_CHATS].join(", ")),
        None => named.join(", "),
    }
}

fn said(error: StoreError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::groups::load;

    #[test]
    fn a_chat_is_found_by_its_group_its_id_or_its_name_and_else_those_there_are_named() {
        let file =
            r#"{"test:1": {"name": "Family", "folder": "family"}, "test:2": {"name": "Work", "folder": "work"}}"#;
        let groups = load(file.as_bytes(), &Groups::default()).groups;
        let chat = |chat: &str, name: &str| KnownChat {
            chat: chat.into(),
            name: name.into(),
            last_activity_at: Timestamp::UNIX_EPOCH,
        };
        let known = [chat("test:3", "Ann"), chat("test:4", "Twins"), chat("test:5", "Twins"), chat("test:1", "Family")];
        for (to, expected) in [
            ("family", Ok("test:1")),
            ("Family", Ok("test:1")),
            ("test:2", Ok("test:2")),
            ("test:3", Ok("test:3")),
            ("Ann", Ok("test:3")),
            ("Twins", Err("several chats are called `Twins`; name one of them by its id: `test:4`, `test:5`")),
            (
                "ann",
                Err(
                    "there is no chat `ann`; there are `family`, `work`, `test:3` (Ann), `test:4` (Twins), `test:5` (Twins)",
                ),
            ),
        ] {
            assert_eq!(find(to, &groups, &known).as_deref().map_err(String::as_str), expected, "{to}");
        }
        let nobody = find("x", &Groups::default(), &[]).unwrap_err();
        assert_eq!(nobody, "there is no chat `x`; there are none yet: register one with `longshore groups add`");
    }
}

//! Adapter lines: a channel as a child process, one JSON object a line on stdin and stdout.
//!
//! The adapter speaks first, with `ready`. Chat, sender and message ids are the platform's own and
//! opaque to the host. Times are RFC 3339 with an offset.

use serde::{Deserialize, Serialize};

/// Adapter → host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AdapterEvent {
    /// The first line: the adapter listens.
    Ready {
        /// The adapter's [`crate::PROTOCOL_VERSION`].
        protocol: u32,
        /// The channel's name, as in `CHANNELS`.
        channel: String,
        /// The assistant's own ids on the platform; messages from them never wake the agent.
        #[serde(default, rename = "self")]
        own_ids: Vec<String>,
    },
    /// Somebody said something. Answered by `ack` once it is stored.
    Message(Box<ChatMessage>),
    /// Somebody changed what they had said. Answered by `ack` once that is stored.
    Edit(Box<ChatEdit>),
    /// Somebody took back what was said. Answered by `ack` once that is stored.
    Delete(Box<ChatDeletion>),
    /// A chat exists, or was renamed.
    Chat {
        /// The chat's id.
        chat: String,
        /// Its name, for people.
        name: String,
        /// Whether several people are in it.
        #[serde(default)]
        is_group: bool,
    },
    /// The link to the platform changed.
    Status {
        /// What it is now.
        state: LinkState,
        /// One sentence for the operator.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// The platform has taken a message.
    Sent {
        /// As in the `send` line.
        outbox_id: i64,
        /// The platform's id of the message.
        message_id: String,
    },
    /// A message could not be sent.
    SendFailed {
        /// As in the `send` line.
        outbox_id: i64,
        /// Why, for the log.
        error: String,
        /// Whether trying again is pointless.
        #[serde(default)]
        permanent: bool,
    },
    /// A message was not tried: there was no connection, or too many were before it. The host gives it again
    /// after a while, and that counts as no failure of the message.
    SendLater {
        /// As in the `send` line.
        outbox_id: i64,
        /// Why, for the log.
        reason: String,
    },
}

/// One message of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// The platform's id of the message, unique for this chat and sender.
    pub id: String,
    /// The chat it was said in.
    pub chat: String,
    /// Who said it.
    pub sender: String,
    /// Another id of the same person on the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_alt: Option<String>,
    /// The person's name, for people; may be empty.
    #[serde(default)]
    pub sender_name: String,
    /// What was said.
    pub text: String,
    /// When it was said, RFC 3339.
    pub timestamp: String,
    /// Whether several people are in the chat.
    #[serde(default)]
    pub is_group: bool,
    /// Whether the account that the assistant uses said it.
    #[serde(default)]
    pub from_me: bool,
    /// Whether the platform marks it as addressed to the assistant.
    #[serde(default)]
    pub mentions_me: bool,
    /// The id of the message that it answers, or reacts to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Whether it is a reaction to that message, as text: it is kept, and wakes nobody.
    #[serde(default)]
    pub reaction: bool,
    /// Whether it was said while the adapter was not connected.
    #[serde(default)]
    pub offline: bool,
}

/// A message of a chat says something else now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatEdit {
    /// The platform's id of the edit itself, unique for this chat and sender.
    pub id: String,
    /// The chat.
    pub chat: String,
    /// Who edited; only a message of the same person is changed.
    pub sender: String,
    /// Another id of the same person on the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_alt: Option<String>,
    /// The platform's id of the message that is changed.
    pub target: String,
    /// What the message says now.
    pub text: String,
    /// When it was edited, RFC 3339; empty: now.
    #[serde(default)]
    pub timestamp: String,
    /// Whether the platform marks it as addressed to the assistant now; absent: as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mentions_me: Option<bool>,
    /// Whether the account that the assistant uses edited it.
    #[serde(default)]
    pub from_me: bool,
}

/// A message of a chat was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatDeletion {
    /// The platform's id of the deletion itself, unique for this chat and sender.
    pub id: String,
    /// The chat.
    pub chat: String,
    /// Who deleted: the person who had said it, or another who may, such as the chat's admin.
    pub sender: String,
    /// The platform's id of the message that is deleted.
    pub target: String,
}

/// The state of a channel's link to its platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Messages flow.
    Up,
    /// No connection now; the adapter keeps trying.
    Down,
    /// A QR code waits to be scanned.
    NeedQr,
    /// A pair code waits to be typed.
    NeedPairCode,
    /// The platform asks for a passkey.
    NeedPasskey,
    /// The link was removed; link again.
    LoggedOut,
    /// The platform banned the account.
    Banned,
    /// Another client took the link over.
    Replaced,
    /// The adapter is too old for the platform.
    Outdated,
}

/// Host → adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AdapterCommand {
    /// The message, edit or deletion is stored: acknowledge it to the platform now.
    Ack {
        /// The chat.
        chat: String,
        /// The sender.
        sender: String,
        /// The platform's id of the message, edit or deletion.
        id: String,
    },
    /// Send this text; answered by `sent`, `send_failed` or `send_later`.
    Send {
        /// The host's number for the row; echoed in the answer.
        outbox_id: i64,
        /// Where to.
        chat: String,
        /// What, in Markdown.
        text: String,
        /// The id to give the message if the platform allows it; the same id means the same message.
        message_id: String,
        /// The id of the message that it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<String>,
    },
    /// Show or clear "typing".
    Typing {
        /// Where.
        chat: String,
        /// Whether the agent is at work.
        on: bool,
    },
    /// List your chats again, as `chat` lines. An adapter that does not know this line skips it.
    Refresh,
    /// Finish and exit.
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_needs_only_what_every_platform_has() {
        let line =
            r#"{"type":"message","id":"1","chat":"c","sender":"s","text":"hi","timestamp":"2026-01-31T12:00:00Z"}"#;
        let AdapterEvent::Message(message) = serde_json::from_str(line).unwrap() else { panic!("not a message") };
        assert!(!message.from_me && !message.offline && message.reply_to.is_none());
    }

    #[test]
    fn an_edit_and_a_deletion_need_only_what_every_platform_has() {
        let line = r#"{"type":"edit","id":"2","chat":"c","sender":"s","target":"1","text":"ho","later":"unknown"}"#;
        let event: AdapterEvent = serde_json::from_str(line).unwrap();
        let AdapterEvent::Edit(edit) = &event else { panic!("not an edit: {event:?}") };
        assert_eq!((edit.target.as_str(), edit.text.as_str(), edit.mentions_me), ("1", "ho", None));
        assert_eq!(serde_json::from_str::<AdapterEvent>(&serde_json::to_string(&event).unwrap()).unwrap(), event);
        let line = r#"{"type":"delete","id":"3","chat":"c","sender":"admin","target":"1"}"#;
        let event: AdapterEvent = serde_json::from_str(line).unwrap();
        let AdapterEvent::Delete(deletion) = &event else { panic!("not a deletion: {event:?}") };
        assert_eq!((deletion.sender.as_str(), deletion.target.as_str()), ("admin", "1"));
        assert_eq!(serde_json::to_string(&event).unwrap(), line);
    }

    #[test]
    fn a_ready_line_names_the_assistants_own_ids() {
        let line = r#"{"type":"ready","protocol":1,"channel":"test","self":["me@x"]}"#;
        let AdapterEvent::Ready { own_ids, .. } = serde_json::from_str(line).unwrap() else { panic!("not ready") };
        assert_eq!(own_ids, ["me@x"]);
    }
}

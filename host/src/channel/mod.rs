//! Channels: how messages come in and go out.
//!
//! A channel owns the chats that it introduced. It reports what happens as [`ChannelEvent`]s and is
//! told to send by `deliver` alone.

pub mod adapter;
pub mod chunk;
pub mod console;

use async_trait::async_trait;
use longshore_protocol::channel::{ChatDeletion, ChatEdit, ChatMessage, LinkState};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::stop::Stop;

/// What a channel tells the host.
#[derive(Debug)]
pub enum ChannelEvent {
    /// Somebody said something.
    Message {
        /// What was said.
        message: Box<ChatMessage>,
        /// Answered once the row is committed, or was there already; dropped if it could not be stored.
        /// Only then may the channel acknowledge the message to its platform.
        stored: oneshot::Sender<Stored>,
    },
    /// Somebody changed what they had said.
    Edit {
        /// What is changed, and into what.
        edit: Box<ChatEdit>,
        /// As of a message; answered as well when there is nothing to change.
        stored: oneshot::Sender<Stored>,
    },
    /// Somebody took back what was said.
    Delete {
        /// What is deleted.
        deletion: Box<ChatDeletion>,
        /// As of a message; answered as well when there is nothing to delete.
        stored: oneshot::Sender<Stored>,
    },
    /// A chat exists, or was renamed.
    Chat {
        /// The chat's id.
        chat: String,
        /// Its name, for people.
        name: String,
        /// Whether several people are in it.
        is_group: bool,
    },
    /// The link to the platform changed. `LinkState::Up` also makes `deliver` look at once.
    Status {
        /// What it is now.
        state: LinkState,
        /// One sentence for the operator.
        detail: Option<String>,
    },
}

/// A message has its row, or a change is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The row's number: the host's own sequence, by which turns name ranges. `None` when nothing is
    /// kept: the chat is not registered, the host itself had sent the message, or there is none to change.
    pub seq: Option<i64>,
}

/// Where a channel puts its events. Bounded: a full inbox slows the channel down and loses nothing.
pub type Inbox = mpsc::Sender<ChannelEvent>;

/// One text to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundMessage {
    /// The outbox row.
    pub outbox_id: i64,
    /// Where to.
    pub chat: String,
    /// What, in Markdown, within [`Channel::max_text_bytes`].
    pub text: String,
    /// Stable from before the first try: the same id is the same message.
    pub message_id: String,
    /// The platform id of the message that it answers.
    pub reply_to: Option<String>,
}

/// Why a message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SendError {
    /// The channel has no way to the chat now. Not the message's fault: it waits and no try is counted.
    #[error("the channel is not connected: {0}")]
    Unavailable(String),
    /// The platform did not take it this time.
    #[error("{0}")]
    Temporary(String),
    /// The platform will never take it.
    #[error("{0}")]
    Permanent(String),
}

/// A way to people.
#[async_trait]
pub trait Channel: Send + Sync {
    /// The channel's name, as in `CHANNELS`.
    fn name(&self) -> &str;

    /// The longest text that [`Channel::send`] takes, in bytes; longer ones are split before.
    fn max_text_bytes(&self) -> usize;

    /// Reports events until told to stop. Reconnects by itself; an error is a bug or a wrong setting.
    async fn listen(&self, inbox: Inbox, stop: Stop) -> anyhow::Result<()>;

    /// Sends one text and returns when the platform has taken it.
    ///
    /// # Errors
    /// See [`SendError`]: whether to wait, to try again, or to give up.
    async fn send(&self, message: &OutboundMessage) -> Result<(), SendError>;

    /// Shows or clears "typing". Best effort.
    async fn typing(&self, chat: &str, on: bool);

    /// Asks for [`ChannelEvent::Chat`] of every chat, anew. Best effort.
    async fn refresh(&self);
}

//! The console: a channel for the operator's terminal, over the control socket.
//!
//! Its chats are `console:<name>`. A reply that nobody listens for waits in the outbox until somebody
//! attaches to its chat.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use longshore_protocol::channel::{ChatMessage, LinkState};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::{Channel, ChannelEvent, Inbox, OutboundMessage, SendError, Stored};
use crate::clock::Clock;
use crate::stop::Stop;

/// The channel's name, and what its chats' ids begin with.
pub const NAME: &str = "console";
/// How much a terminal that does not read may be behind before it is let go.
const HEARD: usize = 256;
/// A terminal takes any length; this bounds one line of the control socket.
const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// What a terminal that is attached to a chat hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The agent or the host says something.
    Text {
        /// The outbox row.
        outbox_id: i64,
        /// What is said.
        text: String,
    },
    /// The agent begins or ends its work.
    Typing(bool),
}

/// Why something said at the console was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SayError {
    /// The host is stopping.
    #[error("the host is stopping")]
    Stopping,
    /// The store did not take it.
    #[error("the message could not be stored; see the host's log")]
    NotStored,
}

/// The console channel.
pub struct Console {
    clock: Clock,
    inbox: Mutex<Option<Inbox>>,
    terminals: Mutex<HashMap<String, Vec<mpsc::Sender<Heard>>>>,
}

impl Console {
    /// A console with no terminal attached.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, inbox: Mutex::default(), terminals: Mutex::default() }
    }

    /// Says something in a chat as the operator, and returns when it is stored.
    ///
    /// # Errors
    /// See [`SayError`].
    pub async fn say(&self, chat: &str, text: String) -> Result<Stored, SayError> {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(SayError::Stopping)?;
        let message = ChatMessage {
            id: Uuid::now_v7().simple().to_string(),
            chat: chat.to_owned(),
            sender: "operator".into(),
            sender_alt: None,
            sender_name: "Operator".into(),
            text,
            timestamp: self.clock.now().to_string(),
            is_group: false,
            from_me: false,
            mentions_me: false,
            reply_to: None,
            reaction: false,
            offline: false,
        };
        let (stored, committed) = oneshot::channel();
        let event = ChannelEvent::Message { message: Box::new(message), stored };
        inbox.send(event).await.map_err(|_| SayError::Stopping)?;
        committed.await.map_err(|_| SayError::NotStored)
    }

    /// Attaches a terminal to a chat: it hears what is said from now on, what waited included.
    pub async fn attach(&self, chat: &str) -> mpsc::Receiver<Heard> {
        let (terminal, heard) = mpsc::channel(HEARD);
        self.terminals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(chat.to_owned())
            .or_default()
            .push(terminal);
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(inbox) = inbox {
            // A host that stops has nothing more to say.
            let _ = inbox.send(ChannelEvent::Status { state: LinkState::Up, detail: None }).await;
        }
        heard
    }

    /// Tells every terminal of the chat; how many there were.
    fn tell(&self, chat: &str, heard: &Heard) -> usize {
        let mut terminals = self.terminals.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(attached) = terminals.get_mut(chat) else { return 0 };
        attached.retain(|terminal| terminal.try_send(heard.clone()).is_ok());
        let told = attached.len();
        if told == 0 {
            terminals.remove(chat);
        }
        told
    }
}

#[async_trait]
impl Channel for Console {
    fn name(&self) -> &str {
        NAME
    }

    fn max_text_bytes(&self) -> usize {
        MAX_TEXT_BYTES
    }

    async fn listen(&self, inbox: Inbox, stop: Stop) -> anyhow::Result<()> {
        let up = ChannelEvent::Status { state: LinkState::Up, detail: None };
        *self.inbox.lock().unwrap_or_else(PoisonError::into_inner) = Some(inbox.clone());
        // Intake ends only after its channels.
        let _ = inbox.send(up).await;
        stop.cancelled().await;
        *self.inbox.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    async fn send(&self, message: &OutboundMessage) -> Result<(), SendError> {
        let heard = Heard::Text { outbox_id: message.outbox_id, text: message.text.clone() };
        match self.tell(&message.chat, &heard) {
            0 => Err(SendError::Unavailable("no terminal is attached to the chat".into())),
            _ => Ok(()),
        }
    }

    async fn typing(&self, chat: &str, on: bool) {
        self.tell(chat, &Heard::Typing(on));
    }

    async fn refresh(&self) {
        // Its chats are the groups' own; nobody else makes any.
    }
}

//! Who is at the other end of the chat.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use longshore::channel::{Channel, Inbox, OutboundMessage, SendError};
use longshore::stop::Stop;
use tokio::sync::mpsc;

/// Every message that reached the chat, with its id, over crashes as well.
pub(crate) type Delivered = Arc<Mutex<Vec<(String, String)>>>;

/// What the platform does not take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    /// It takes everything.
    #[default]
    Willing,
    /// It takes nothing, ever, for this reason.
    Closed(String),
    /// It takes no message at its first try; these were tried.
    Reluctant(BTreeSet<String>),
}

pub(crate) type Refusal = Arc<Mutex<Mood>>;

/// The person at the other end of the chat.
pub(crate) struct Person {
    pub(crate) told: mpsc::UnboundedSender<String>,
    pub(crate) delivered: Delivered,
    /// Why nothing can be delivered, if so.
    pub(crate) refusal: Refusal,
}

#[async_trait]
impl Channel for Person {
    fn name(&self) -> &str {
        "test"
    }

    fn max_text_bytes(&self) -> usize {
        4096
    }

    async fn listen(&self, _inbox: Inbox, stop: Stop) -> anyhow::Result<()> {
        stop.cancelled().await;
        Ok(())
    }

    async fn send(&self, message: &OutboundMessage) -> Result<(), SendError> {
        match &mut *self.refusal.lock().unwrap() {
            Mood::Willing => {}
            Mood::Closed(why) => return Err(SendError::Permanent(why.clone())),
            Mood::Reluctant(tried) => {
                if tried.insert(message.message_id.clone()) {
                    return Err(SendError::Temporary("not at once".into()));
                }
            }
        }
        self.delivered.lock().unwrap().push((message.message_id.clone(), message.text.clone()));
        self.told.send(message.text.clone()).map_err(|_| SendError::Unavailable("gone".into()))
    }

    async fn typing(&self, _chat: &str, _on: bool) {}

    async fn refresh(&self) {
        // It has no chats to tell of; that it was asked is seen.
        let _ = self.told.send("(lists its chats)".into());
    }
}

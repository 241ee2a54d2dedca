//! Who is at the other end of the chat.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use longshore::channel::{Channel, Inbox, OutboundMessage, SendError};
use longshore::stop::Stop;
use tokio::sync::mpsc;

/// Every message that reached the chat, with its id, over crashes as well.
pub(crate) type Delivered = Arc<Mutex<Vec<(String, String)>>>;

/// Why nothing can be delivered, if so.
pub(crate) type Refusal = Arc<Mutex<Option<String>>>;

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
        if let Some(why) = self.refusal.lock().unwrap().clone() {
            return Err(SendError::Permanent(why));
        }
        self.delivered.lock().unwrap().push((message.message_id.clone(), message.text.clone()));
        self.told.send(message.text.clone()).map_err(|_| SendError::Unavailable("gone".into()))
    }

    async fn typing(&self, _chat: &str, _on: bool) {}
}

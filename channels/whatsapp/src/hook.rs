//! From the platform to the host: the platform is told that a message was received once the host has it.
//!
//! `whatsapp-rust` awaits the hook before it acknowledges: one message at a time per chat while connected, and
//! in batches, in the order of arrival over all chats, for what came while we were away. So order and
//! back-pressure come from here, and not from its event bus, which has either no order or drops what does not
//! fit. A message that the host does not take stays with the platform and comes with the next connection.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use longshore_protocol::channel::{AdapterEvent, ChatMessage};
use whatsapp_rust::prelude::*;
use whatsapp_rust::{InboundDurabilityHook, anyhow, async_trait};

use crate::host::Host;
use crate::map::{self, Identity};
use crate::recent::Recent;

/// From a message that the host did not take to the connection that brings it again.
const RETRY: Duration = Duration::from_secs(5);
/// How many direct chats are remembered to have been introduced.
const MAX_INTRODUCED: usize = 4096;

/// Gives messages to the host.
pub struct Intake {
    host: Arc<Host>,
    recent: Arc<Recent>,
    introduced: Mutex<HashSet<String>>,
    reconnecting: AtomicBool,
}

impl Intake {
    /// To this host.
    #[must_use]
    pub fn new(host: Arc<Host>, recent: Arc<Recent>) -> Self {
        Self { host, recent, introduced: Mutex::default(), reconnecting: AtomicBool::new(false) }
    }

    /// Gives messages to the host and returns once it has stored them.
    ///
    /// # Errors
    /// It has not stored them all, or our own record of them cannot be written.
    pub async fn take(&self, me: &Identity, batch: impl IntoIterator<Item = &InboundMessage>) -> anyhow::Result<()> {
        let mut events = Vec::new();
        for inbound in batch {
            let Some(event) = map::event(&inbound.message, &inbound.info, me) else { continue };
            if !self.is_own(&event)? {
                self.record(&event)?;
                events.extend(self.introduction(&event));
                events.push(event);
            }
        }
        Ok(self.host.deliver(&events).await?)
    }

    /// What we sent ourselves never comes back; should it, it is no input.
    fn is_own(&self, event: &AdapterEvent) -> anyhow::Result<bool> {
        Ok(match event {
            AdapterEvent::Message(message) if message.from_me => self.recent.own(&message.chat, &message.id)?.is_some(),
            _ => false,
        })
    }

    fn record(&self, event: &AdapterEvent) -> anyhow::Result<()> {
        match event {
            AdapterEvent::Message(message) => {
                self.recent.heard(&message.chat, &message.id, &message.sender, &message.text)?;
            }
            AdapterEvent::Edit(edit) => self.recent.edited(&edit.chat, &edit.target, &edit.text)?,
            _ => {}
        }
        Ok(())
    }

    /// Groups are listed after each connection; a person is introduced by their first message.
    fn introduction(&self, event: &AdapterEvent) -> Option<AdapterEvent> {
        let AdapterEvent::Message(message) = event else { return None };
        let ChatMessage { chat, sender_name, from_me: false, is_group: false, .. } = message.as_ref() else {
            return None;
        };
        let mut introduced = self.introduced.lock().unwrap_or_else(PoisonError::into_inner);
        if introduced.len() >= MAX_INTRODUCED {
            introduced.clear();
        }
        introduced.insert(chat.clone()).then(|| AdapterEvent::Chat {
            chat: chat.clone(),
            name: if sender_name.is_empty() { chat.clone() } else { sender_name.clone() },
            is_group: false,
        })
    }

    /// What was not taken comes again with the next connection, so there has to be one.
    fn ask_again(self: &Arc<Self>, client: Arc<Client>) {
        if self.reconnecting.swap(true, Ordering::SeqCst) {
            return;
        }
        let intake = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(RETRY).await;
            intake.reconnecting.store(false, Ordering::SeqCst);
            client.reconnect_immediately().await;
        });
    }
}

/// The hook: see the module.
pub struct Hook(pub Arc<Intake>);

#[async_trait]
impl InboundDurabilityHook for Hook {
    async fn on_messages(&self, client: Arc<Client>, batch: &[InboundMessage]) -> anyhow::Result<()> {
        let me = Identity::new(client.pn(), client.lid());
        let taken = self.0.take(&me, batch).await;
        if taken.is_err() && !self.0.host.has_left() {
            self.0.ask_again(client);
        }
        taken
    }
}

/// Takes nothing: what comes while an operator's command uses the link is the adapter's, the next time it connects.
pub struct NotNow;

#[async_trait]
impl InboundDurabilityHook for NotNow {
    async fn on_messages(&self, _client: Arc<Client>, _batch: &[InboundMessage]) -> anyhow::Result<()> {
        Err(anyhow::anyhow!("this command takes no messages"))
    }
}

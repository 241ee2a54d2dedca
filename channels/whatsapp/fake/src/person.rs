//! A person on the server: another client, and what it heard.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tokio::time::timeout;
use wacore::store::InMemoryBackend;
use whatsapp_rust::async_channel::Receiver;
use whatsapp_rust::prelude::*;
use whatsapp_rust::transport::TokioWebSocketTransportFactory;

use crate::{FakeServer, PATIENCE};

/// Somebody who writes and reads.
pub struct Person {
    /// The client.
    pub client: Arc<Client>,
    events: Receiver<Arc<Event>>,
    _running: BotHandle,
}

impl Person {
    /// Links a device to the account, by its QR code.
    ///
    /// # Errors
    /// It does not connect.
    pub async fn join(server: &Arc<FakeServer>, phone: &str) -> Result<Self> {
        let (scanner, scanned) = (Arc::downgrade(server), phone.to_owned());
        let bot = Bot::builder()
            .with_backend_arc(Arc::new(InMemoryBackend::new()))
            .with_transport_factory(TokioWebSocketTransportFactory::new().with_url(server.url()))
            .with_version((2, 3000, 1_023_000_000))
            .with_push_name(phone)
            .with_wanted_pre_key_count(40)
            .skip_history_sync()
            .on_qr_code(move |code, _| {
                let scanned = scanner.upgrade().map(|server| server.scan(&scanned, &code));
                async move {
                    if let Some(Err(error)) = scanned {
                        tracing::error!("the code could not be scanned: {error:#}");
                    }
                }
            })
            .build()
            .await?;
        let client = bot.client();
        let (handler, events) = ChannelEventHandler::new();
        client.subscribe_handler(handler).detach();
        let running = bot.spawn();
        client.wait_for_connected(PATIENCE).await?;
        Ok(Self { client, events, _running: running })
    }

    /// Waits for the next event from which something can be taken.
    ///
    /// # Errors
    /// None comes in time.
    pub async fn hears<T>(&self, what: &str, mut take: impl FnMut(&Event) -> Option<T>) -> Result<T> {
        let next = async {
            loop {
                let event = self.events.recv().await.context("the client has ended")?;
                if let Some(taken) = take(&event) {
                    return Ok(taken);
                }
            }
        };
        match timeout(PATIENCE, next).await {
            Ok(heard) => heard,
            Err(_) => bail!("the person waited in vain for: {what}"),
        }
    }

    /// Waits for the next message with a text, whoever wrote it.
    ///
    /// # Errors
    /// None comes in time.
    pub async fn reads(&self) -> Result<InboundMessage> {
        self.hears("a message", |event| {
            event.messages().find(|inbound| inbound.message.text_content().is_some()).cloned()
        })
        .await
    }
}

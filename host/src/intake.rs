//! Intake: what channels report becomes rows, and rows become wakes.
//!
//! A message is routed against the groups as they are now, queued for storing in the order in which
//! it came, and reported as stored only after its commit.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use longshore_protocol::GroupId;
use longshore_protocol::channel::{ChatMessage, LinkState};
use tokio::sync::{mpsc, oneshot, watch};

use crate::channel::{ChannelEvent, Stored};
use crate::clock::Clock;
use crate::deliver::Outbound;
use crate::groups::watch::Snapshot;
use crate::queue::dispatch::Wakes;
use crate::route::{Authorship, Route, Words, route};
use crate::store::messages::{NewMessage, Recorded};
use crate::store::{Answer, Store, StoreError};
use crate::turn::stops::Stops;

/// How long a message waits before storing it is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What intake works with; one clone a channel.
#[derive(Clone)]
pub struct Intake {
    /// The store.
    pub store: Store,
    /// The groups as they are now.
    pub groups: watch::Receiver<Arc<Snapshot>>,
    /// The way to the dispatcher.
    pub wakes: Wakes,
    /// The way to the channels: told when one comes up.
    pub outbound: Outbound,
    /// The time.
    pub clock: Clock,
    /// What the operator calls things.
    pub words: Words,
    /// The running turns, which people may stop.
    pub stops: Stops,
}

impl Intake {
    /// Takes a channel's events until the channel ends.
    pub async fn run(self, channel: String, mut events: mpsc::Receiver<ChannelEvent>) {
        while let Some(event) = events.recv().await {
            match event {
                ChannelEvent::Message { message, stored } => self.message(&channel, *message, stored).await,
                ChannelEvent::Chat { chat, name, is_group } => {
                    let now = self.clock.now();
                    if let Err(error) = self.store.touch_chat(chat, channel.clone(), Some(name), is_group, now).await {
                        tracing::warn!(channel, %error, "a chat's name could not be stored");
                    }
                }
                ChannelEvent::Status { state, detail } => self.status(&channel, state, detail),
            }
        }
    }

    fn status(&self, channel: &str, state: LinkState, detail: Option<String>) {
        let detail_text = detail.as_deref().unwrap_or_default();
        match state {
            LinkState::Up => tracing::info!(channel, detail = detail_text, "channel up"),
            _ => tracing::warn!(channel, ?state, detail = detail_text, "channel not up"),
        }
        self.outbound.link_changed(channel, state, detail);
    }

    async fn message(&self, channel: &str, message: ChatMessage, stored: oneshot::Sender<Stored>) {
        let now = self.clock.now();
        let groups = self.groups.borrow().groups.clone();
        let group = groups.by_chat(&message.chat);
        let authorship = self.authorship(&message).await;
        let route = route(group.map(Arc::as_ref), &message, &self.words, authorship);
        tracing::debug!(channel, chat = message.chat, id = message.id, %route, "message");
        let (Some(group), Route::Wake(_) | Route::Context(_) | Route::Stop) = (group, &route) else {
            let touched = self.store.touch_chat(message.chat, channel.to_owned(), None, message.is_group, now).await;
            match touched {
                Ok(()) => drop(stored.send(Stored { seq: None })),
                Err(error) => tracing::warn!(channel, %error, "a chat's activity could not be stored"),
            }
            return;
        };
        let wakes = matches!(route, Route::Wake(_) | Route::Stop).then(|| group.id.clone());
        let row = new_message(channel, message, &route, now);
        // Queued here, so rows are in the order of arrival; waited for elsewhere, so a burst shares a commit.
        match self.store.record(row.clone()).await {
            Ok(answer) => drop(tokio::spawn(self.clone().committed(answer, row, wakes, stored))),
            Err(error) => tracing::error!(channel, %error, "a message was not stored; the channel will bring it again"),
        }
    }

    async fn authorship(&self, message: &ChatMessage) -> Authorship {
        let sent = async |id: &str| {
            let sent = self.store.sent_by_host(message.chat.clone(), id.to_owned()).await;
            sent.unwrap_or_else(|error| {
                tracing::warn!(%error, "the outbox could not be asked whether a message is ours");
                false
            })
        };
        Authorship {
            sent_by_host: message.from_me && sent(&message.id).await,
            replies_to_host: match &message.reply_to {
                Some(id) => sent(id).await,
                None => false,
            },
        }
    }

    /// Waits for the commit, then wakes the group and answers the channel. A store that cannot write
    /// now is asked again: the channel's message waits, and with it whatever the channel holds back.
    async fn committed(
        self,
        answer: Answer<Recorded>,
        row: NewMessage,
        wakes: Option<GroupId>,
        stored: oneshot::Sender<Stored>,
    ) {
        let mut result = answer.committed().await;
        while let Err(StoreError::Stalled(cause)) = &result {
            tracing::error!(cause, "a message waits to be stored");
            tokio::time::sleep(RETRY).await;
            result = match self.store.record(row.clone()).await {
                Ok(answer) => answer.committed().await,
                Err(error) => Err(error),
            };
        }
        match result {
            Ok(recorded) => {
                if let (true, Some(group)) = (recorded.is_new, wakes) {
                    if row.stops {
                        self.stops.stop_up_to(&group, recorded.seq);
                    }
                    self.wakes.wake(group);
                }
                // The channel may have gone; the row is there all the same.
                let _ = stored.send(Stored { seq: Some(recorded.seq) });
            }
            Err(error) => tracing::error!(%error, "a message was not stored; the channel will bring it again"),
        }
    }
}

fn new_message(channel: &str, message: ChatMessage, route: &Route, now: Timestamp) -> NewMessage {
    NewMessage {
        chat: message.chat,
        channel: channel.to_owned(),
        sender: message.sender,
        sender_name: message.sender_name,
        platform_id: message.id,
        text: message.text,
        reply_to: message.reply_to,
        is_group: message.is_group,
        // A platform time that cannot be read is no reason to lose the message.
        sent_at: message.timestamp.parse().unwrap_or(now),
        received_at: now,
        route: route.to_string(),
        wakes: matches!(route, Route::Wake(_)),
        stops: *route == Route::Stop,
    }
}

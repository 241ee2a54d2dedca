//! Intake: what channels report becomes rows, and rows become wakes.
//!
//! A message is routed against the groups as they are now, stored in the order in which it came, and
//! reported as stored only after its commit. What came while a commit was under way shares the next one.
//! While the store cannot write, nothing more is taken: the channel waits, and with it its platform.

mod changes;
mod unkept;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use longshore_protocol::GroupId;
use longshore_protocol::channel::{ChatMessage, LinkState};
use tokio::sync::{mpsc, oneshot, watch};

pub use self::unkept::Unkept;
use crate::channel::{ChannelEvent, Stored, console};
use crate::clock::Clock;
use crate::deliver::Outbound;
use crate::groups::watch::Snapshot;
use crate::queue::dispatch::Wakes;
use crate::route::{Authorship, Route, SenderStanding, Words, route};
use crate::senders::Senders;
use crate::store::messages::{Arrival, NewMessage, Recorded};
use crate::store::{Store, StoreError};
use crate::turn::stops::Stops;

/// How long what a channel brought waits before storing it is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How many messages share a commit at most.
const BATCH: usize = 256;

/// What intake works with; one clone a channel.
#[derive(Clone)]
pub struct Intake {
    /// The store.
    pub store: Store,
    /// The groups as they are now.
    pub groups: watch::Receiver<Arc<Snapshot>>,
    /// Who may wake agents, as it is now.
    pub senders: watch::Receiver<Arc<Senders>>,
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
    /// Messages that are not kept, for the log.
    pub unkept: Unkept,
}

/// Messages on their way into one commit.
#[derive(Default)]
struct Batch {
    arrivals: Vec<Arrival>,
    /// For each arrival: what it does if it is new, and who waits for it.
    waiting: Vec<(Option<Rouse>, oneshot::Sender<Stored>)>,
}

/// What a new message does besides being there.
enum Rouse {
    /// It wakes the group.
    Wake(GroupId),
    /// It stops the group's turn.
    Stop(GroupId),
}

impl Intake {
    /// Takes a channel's events until the channel ends.
    pub async fn run(self, channel: String, mut events: mpsc::Receiver<ChannelEvent>) {
        let mut taken = Vec::new();
        while events.recv_many(&mut taken, BATCH).await > 0 {
            let mut batch = Batch::default();
            for event in taken.drain(..) {
                if let ChannelEvent::Message { message, stored } = event {
                    let (arrival, wakes) = self.arrival(&channel, *message).await;
                    batch.arrivals.push(arrival);
                    batch.waiting.push((wakes, stored));
                } else {
                    // What changes a message must find it.
                    self.store_all(&channel, std::mem::take(&mut batch)).await;
                    self.other(&channel, event).await;
                }
            }
            self.store_all(&channel, batch).await;
        }
    }

    async fn other(&self, channel: &str, event: ChannelEvent) {
        match event {
            ChannelEvent::Message { .. } => {}
            ChannelEvent::Edit { edit, stored } => self.edit(channel, *edit, stored).await,
            ChannelEvent::Delete { deletion, stored } => self.delete(channel, *deletion, stored).await,
            ChannelEvent::Chat { chat, name, is_group } => {
                let now = self.clock.now();
                let named = patiently(|| {
                    self.store.touch_chat(chat.clone(), channel.to_owned(), Some(name.clone()), is_group, now)
                });
                if let Err(error) = named.await {
                    tracing::warn!(channel, %error, "a chat's name could not be stored");
                }
            }
            ChannelEvent::Status { state, detail } => self.status(channel, state, detail),
        }
    }

    fn status(&self, channel: &str, state: LinkState, detail: Option<String>) {
        let detail_text = detail.as_deref().unwrap_or_default();
        match state {
            LinkState::Up => tracing::info!(channel, detail = detail_text, "channel up"),
            _ => tracing::warn!(channel, ?state, detail = detail_text, "channel not up"),
        }
        if let Some(gap) = self.outbound.link_changed(channel, state, detail, self.clock.now()) {
            let (from, until, seconds) = (gap.from, gap.until, gap.seconds());
            tracing::warn!(channel, %from, %until, seconds, "gap: the channel was not up, and may have missed messages");
        }
    }

    /// What is stored of a message, and the group that it wakes.
    async fn arrival(&self, channel: &str, message: ChatMessage) -> (Arrival, Option<Rouse>) {
        let at = self.clock.now();
        let groups = self.groups.borrow().groups.clone();
        let group = groups.by_chat(&message.chat);
        let authorship = Authorship {
            sent_by_host: message.from_me && self.sent_by_host(&message.chat, &message.id).await,
            replies_to_host: match &message.reply_to {
                Some(id) => self.sent_by_host(&message.chat, id).await,
                None => false,
            },
            standing: group.map_or(SenderStanding::MayWake, |_| self.standing(channel, &message)),
        };
        let route = route(group.map(Arc::as_ref), &message, &self.words, authorship);
        let (Some(group), Route::Wake(_) | Route::Context(_) | Route::Stop) = (group, &route) else {
            if self.unkept.may_tell(Instant::now()) {
                let (chat, id, left_out) = (&message.chat, &message.id, self.unkept.left_out());
                tracing::debug!(step = "routed", channel, chat, id, %route, left_out, "a message is not kept");
            }
            let (chat, channel, is_group) = (message.chat, channel.to_owned(), message.is_group);
            return (Arrival::Activity { chat, channel, is_group, at }, None);
        };
        let wakes = match route {
            Route::Wake(_) => Some(Rouse::Wake(group.id.clone())),
            Route::Stop => Some(Rouse::Stop(group.id.clone())),
            _ => None,
        };
        (Arrival::Message(new_message(channel, message, &route, at)), wakes)
    }

    /// What the sender may do. Whoever uses the assistant's own account is the operator, and so is whoever
    /// may open the console.
    fn standing(&self, channel: &str, message: &ChatMessage) -> SenderStanding {
        if message.from_me || channel == console::NAME {
            return SenderStanding::MayWake;
        }
        let senders = self.senders.borrow().clone();
        let ids = [Some(message.sender.as_str()), message.sender_alt.as_deref()];
        let standing = senders.standing(&message.chat, ids.into_iter().flatten());
        if standing != SenderStanding::MayWake && senders.log_denied() {
            let (chat, sender) = (&message.chat, &message.sender);
            tracing::info!(channel, chat, sender, ?standing, "the sender is not on the allowlist");
        }
        standing
    }

    async fn sent_by_host(&self, chat: &str, id: &str) -> bool {
        let asked = patiently(|| self.store.sent_by_host(chat.to_owned(), id.to_owned())).await;
        asked.unwrap_or_else(|error| {
            tracing::warn!(%error, "the outbox could not be asked whether a message is ours");
            false
        })
    }

    /// Commits, then wakes the groups and answers the channel.
    async fn store_all(&self, channel: &str, batch: Batch) {
        if batch.arrivals.is_empty() {
            return;
        }
        let arrivals: Arc<[Arrival]> = batch.arrivals.into();
        let begun = Instant::now();
        match patiently(|| self.store.arrive(arrivals.clone())).await {
            Ok(recorded) => {
                note_stored(channel, &recorded, begun.elapsed());
                for ((wakes, stored), recorded) in batch.waiting.into_iter().zip(recorded) {
                    self.stored(wakes, stored, recorded);
                }
            }
            // One that the store refuses must not keep the others out.
            Err(error) => {
                tracing::error!(%error, count = arrivals.len(), "messages were not stored together");
                for ((wakes, stored), arrival) in batch.waiting.into_iter().zip(arrivals.iter()) {
                    let alone: Arc<[Arrival]> = [arrival.clone()].into();
                    match patiently(|| self.store.arrive(alone.clone())).await {
                        Ok(recorded) => self.stored(wakes, stored, recorded.into_iter().next().flatten()),
                        Err(error) => {
                            tracing::error!(%error, "a message was not stored; the channel will bring it again");
                        }
                    }
                }
            }
        }
    }

    fn stored(&self, rouse: Option<Rouse>, stored: oneshot::Sender<Stored>, recorded: Option<Recorded>) {
        if let (Some(Recorded { is_new: true, seq }), Some(rouse)) = (recorded, rouse) {
            let group = match rouse {
                Rouse::Wake(group) => group,
                Rouse::Stop(group) => {
                    self.stops.stop_up_to(&group, seq);
                    group
                }
            };
            self.wakes.wake(group);
        }
        // The channel may have gone; the row is there all the same.
        let _ = stored.send(Stored { seq: recorded.map(|recorded| recorded.seq) });
    }
}

/// One line a commit: what else there is to know of a message is in its row.
fn note_stored(channel: &str, recorded: &[Option<Recorded>], took: Duration) {
    let mut new = recorded.iter().flatten().filter(|recorded| recorded.is_new).map(|recorded| recorded.seq);
    if let Some(first) = new.next() {
        let (last, elapsed_ms) = (new.next_back().unwrap_or(first), took.as_millis() as u64);
        tracing::debug!(
            step = "stored",
            channel,
            first,
            last,
            elapsed_ms,
            "messages are stored, and may be acknowledged"
        );
    }
}

/// Asks a store that cannot write now again, for as long as it takes: what waits for it is nowhere else.
async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(ask: impl Fn() -> F) -> Result<T, StoreError> {
    let mut refused: u64 = 0;
    loop {
        match ask().await {
            Err(StoreError::Stalled(cause)) => {
                refused += 1;
                if refused.is_power_of_two() {
                    tracing::error!(cause, refused, "the store cannot write now; what the channel brings waits");
                }
                tokio::time::sleep(RETRY).await;
            }
            result => {
                if refused > 0 && result.is_ok() {
                    tracing::info!(refused, "the store writes again");
                }
                return result;
            }
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

//! Delivery: outbox rows leave here, in order per chat, and nowhere else.

mod agenda;
mod backoff;
pub mod desk;
mod link;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use longshore_protocol::channel::LinkState;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet};
use tracing::{Instrument as _, field};

use self::agenda::{Agenda, Step};
pub use self::link::{Gap, Link};
use crate::channel::{Channel, SendError};
use crate::clock::Clock;
use crate::metrics::{Metrics, SendFailure};
use crate::stop::Stop;
use crate::store::outbox::OutboxHead;
use crate::store::{Store, StoreError};

/// How long a chat waits whose channel has no way to it, unless the channel comes up before.
const PARKED: Duration = Duration::from_secs(30);
/// Between looks at the whole outbox: catches a lost wake.
const SWEEP: Duration = Duration::from_secs(30);
/// How long a store that cannot say or write now is left alone.
const RETRY: Duration = Duration::from_secs(1);
/// How long sends are still begun when the host ends.
const PARTING: Duration = Duration::from_secs(3);
/// How large a text may be when no channel says otherwise, in bytes.
const DEFAULT_TEXT_BYTES: usize = 4096;

/// The channels, as the rest of the host sees them: something to say is in the outbox, typing is shown.
#[derive(Clone)]
pub struct Outbound(Arc<Shared>);

struct Shared {
    channels: Vec<Arc<dyn Channel>>,
    store: Store,
    metrics: Metrics,
    wake: Notify,
    links: Mutex<HashMap<String, Link>>,
    /// Counts turns that ended and messages that were sent, for whoever follows one.
    moved: watch::Sender<u64>,
    /// What the loop has not seen yet.
    news: Mutex<News>,
}

/// What happened since the loop looked last.
#[derive(Default)]
struct News {
    /// Any chat may have something new.
    everywhere: bool,
    /// These chats may.
    chats: HashSet<String>,
    /// Channels that came up.
    came_up: HashSet<String>,
}

impl Outbound {
    /// The way to these channels.
    #[must_use]
    pub fn new(channels: Vec<Arc<dyn Channel>>, store: Store, metrics: Metrics) -> Self {
        let links = channels.iter().map(|channel| (channel.name().to_owned(), Link::default())).collect();
        Self(Arc::new(Shared {
            channels,
            store,
            metrics,
            wake: Notify::new(),
            links: Mutex::new(links),
            news: Mutex::default(),
            moved: watch::Sender::default(),
        }))
    }

    /// There may be something new anywhere in the outbox.
    pub fn look(&self) {
        self.tell(|news| news.everywhere = true);
    }

    /// There may be something new for this chat, or a turn of its group has ended.
    pub fn look_at(&self, chat: &str) {
        self.tell(|news| _ = news.chats.insert(chat.to_owned()));
    }

    fn tell(&self, what: impl FnOnce(&mut News)) {
        what(&mut self.0.news.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.wake.notify_one();
        self.0.moved.send_modify(|count| *count += 1);
    }

    /// Changes whenever a turn has ended or a message was sent. A wake, never content.
    #[must_use]
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.0.moved.subscribe()
    }

    /// A channel reported its link; gives the gap that ends with that.
    pub fn link_changed(&self, channel: &str, state: LinkState, detail: Option<String>, now: Timestamp) -> Option<Gap> {
        let mut links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        let gap = links.entry(channel.to_owned()).or_default().report(state, detail, now);
        drop(links);
        if state == LinkState::Up {
            self.tell(|news| _ = news.came_up.insert(channel.to_owned()));
        }
        gap
    }

    /// Every channel with its link, by name.
    #[must_use]
    pub fn links(&self) -> Vec<(String, Link)> {
        let links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        let mut links: Vec<_> = links.iter().map(|(name, link)| (name.clone(), link.clone())).collect();
        links.sort_by(|a, b| a.0.cmp(&b.0));
        links
    }

    /// The longest text that the chat's channel takes, in bytes, as far as it matters for this one: which
    /// channel that is need not be known for a text that every channel takes.
    pub async fn max_text_bytes(&self, chat: &str, text: &str) -> usize {
        let least = self.0.channels.iter().map(|channel| channel.max_text_bytes()).min();
        if let Some(least) = least.map(|least| least.min(DEFAULT_TEXT_BYTES))
            && text.len() <= least
        {
            return least;
        }
        self.channel_of(chat).await.map_or(DEFAULT_TEXT_BYTES, |channel| channel.max_text_bytes())
    }

    /// Shows or clears "typing" in the chat. Best effort.
    pub async fn typing(&self, chat: &str, on: bool) {
        if let Some(channel) = self.channel_of(chat).await {
            channel.typing(chat, on).await;
        }
    }

    /// Asks every channel for its chats anew; they come as events. Best effort.
    pub async fn refresh(&self) {
        for channel in &self.0.channels {
            channel.refresh().await;
        }
    }

    /// Whether one of the channels has the chat.
    pub async fn reaches(&self, chat: &str) -> bool {
        self.channel_of(chat).await.is_some()
    }

    async fn channel_of(&self, chat: &str) -> Option<Arc<dyn Channel>> {
        let name = self.0.store.channel_of(chat.to_owned()).await.ok().flatten();
        self.find(name.as_deref(), chat)
    }

    /// The channel that introduced the chat; before any did, the one whose name the chat's id begins with.
    fn find(&self, name: Option<&str>, chat: &str) -> Option<Arc<dyn Channel>> {
        let name = name.or_else(|| chat.split_once(':').map(|(prefix, _)| prefix))?;
        self.0.channels.iter().find(|channel| channel.name() == name).cloned()
    }
}

/// Sends what is in the outbox until told to stop; what is due then is still sent, as far as it goes in a
/// few seconds, and what is being sent is finished.
///
/// # Errors
/// When the store is closed or damaged; a store that cannot write now is waited for.
pub async fn deliver(outbound: Outbound, clock: Clock, stop: Stop) -> anyhow::Result<()> {
    let mut sending =
        Sending { outbound, clock, stop: stop.clone(), agenda: Agenda::default(), under_way: JoinSet::new() };
    // The first tick comes at once: what a dead host left is looked at.
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        let next = match sending.start_due().await {
            Ok(next) => next,
            Err(StoreError::Stalled(cause)) => {
                tracing::error!(cause, "the outbox cannot be read now");
                sending.outbound.look();
                tokio::time::sleep(RETRY).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = sending.outbound.0.wake.notified() => {}
            Some(sent) = sending.under_way.join_next() => sending.sent(sent)?,
            _ = sweep.tick() => sending.outbound.look(),
            () = due(&sending.clock, next) => {}
        }
        while let Some(sent) = sending.under_way.try_join_next() {
            sending.sent(sent)?;
        }
    }
    sending.part().await
}

async fn due(clock: &Clock, at: Option<Timestamp>) {
    match at {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

struct Sending {
    outbound: Outbound,
    clock: Clock,
    stop: Stop,
    agenda: Agenda,
    under_way: JoinSet<Sent>,
}

/// The end of one try.
struct Sent {
    chat: String,
    channel: String,
    parked: bool,
    recorded: Result<(), StoreError>,
}

impl Sending {
    /// Sends what is due, and ends with nothing under way.
    async fn part(&mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        self.outbound.look();
        loop {
            // A backlog, or a store that cannot say now, is the next host's matter.
            if begin.elapsed() < PARTING
                && let Err(error) = self.start_due().await
            {
                tracing::warn!(%error, "what is due cannot be read any more");
            }
            let Some(sent) = self.under_way.join_next().await else { return Ok(()) };
            self.sent(sent)?;
        }
    }

    /// Starts a send for every chat that is due and whose head is, and says when the next one is due.
    async fn start_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let news = std::mem::take(&mut *self.outbound.0.news.lock().unwrap_or_else(PoisonError::into_inner));
        let store = self.outbound.0.store.clone();
        for channel in news.came_up {
            self.agenda.came_up(&channel);
        }
        let all = if news.everywhere { store.outbox_chats().await? } else { Vec::new() };
        for chat in news.chats.into_iter().chain(all) {
            self.agenda.look(chat);
        }
        let now = self.clock.now();
        loop {
            let due = self.agenda.due(now);
            if due.is_empty() {
                break;
            }
            for head in store.outbox_heads(due).await? {
                let channel = self.outbound.find(head.channel.as_deref(), &head.message.chat);
                let name = channel.as_ref().map_or_else(String::new, |channel| channel.name().to_owned());
                if self.agenda.consider(&head.message.chat, &name, head.not_before, now) == Step::Send {
                    self.send(head, name, channel);
                }
            }
        }
        Ok(self.agenda.next())
    }

    fn send(&mut self, head: OutboxHead, name: String, channel: Option<Arc<dyn Channel>>) {
        let (outbound, clock, stop) = (self.outbound.clone(), self.clock.clone(), self.stop.clone());
        let (outbox, attempt, turn) = (head.message.outbox_id, head.attempts + 1, head.turn.as_deref());
        let span = tracing::info_span!("deliver", outbox, attempt, turn, channel = name, outcome = field::Empty);
        let sending = async move {
            let begun = Instant::now();
            let result = match &channel {
                Some(channel) => channel.send(&head.message).await,
                None => Err(SendError::Unavailable("no channel has this chat".into())),
            };
            if result.is_ok() {
                let (id, elapsed_ms) = (&head.message.message_id, begun.elapsed().as_millis() as u64);
                tracing::debug!(step = "sent", message_id = id, elapsed_ms, "the channel says that it is sent");
            }
            let parked = matches!(result, Err(SendError::Unavailable(_)));
            let recorded = record(&outbound.0, &clock, &stop, &head, result).await;
            Sent { chat: head.message.chat, channel: name, parked, recorded }
        };
        self.under_way.spawn(sending.instrument(span));
    }

    fn sent(&mut self, sent: Result<Sent, JoinError>) -> anyhow::Result<()> {
        let sent = sent?;
        self.outbound.0.moved.send_modify(|count| *count += 1);
        if let Err(error) = sent.recorded {
            // The row is still pending: it is sent again with the same message id.
            tracing::error!(%error, chat = sent.chat, "what became of a message could not be recorded");
        }
        let until = sent.parked.then(|| self.clock.now().checked_add(PARKED).unwrap_or(Timestamp::MAX));
        self.agenda.sent(&sent.chat, &sent.channel, until);
        Ok(())
    }
}

/// Records what became of a message. A store that cannot write now is asked again for as long as the host
/// runs: sending the message again would not help.
async fn record(
    Shared { store, metrics, .. }: &Shared,
    clock: &Clock,
    stop: &Stop,
    head: &OutboxHead,
    result: Result<(), SendError>,
) -> Result<(), StoreError> {
    let OutboxHead { message, attempts, .. } = head;
    let (id, chat, now) = (message.outbox_id, &message.chat, clock.now());
    let failed = match result {
        Ok(()) => {
            metrics.sent(head.created_at, now);
            None
        }
        Err(SendError::Unavailable(cause)) => {
            tracing::Span::current().record("outcome", "waits");
            tracing::debug!(step = "send", outbox = id, chat, cause, "a message waits for its channel");
            return Ok(());
        }
        Err(SendError::Temporary(error)) => Some((error, backoff::retry_after(&message.message_id, *attempts))),
        Err(SendError::Permanent(error)) => Some((error, None)),
    };
    let failed = failed.map(|(error, wait)| {
        metrics.not_sent(if wait.is_some() { SendFailure::Temporary } else { SendFailure::Permanent });
        let at = wait.map(|wait| now.checked_add(wait).unwrap_or(Timestamp::MAX));
        match at {
            Some(at) => tracing::warn!(step = "send", outbox = id, chat, error, %at, "a message was not sent; it is tried again"),
            None => tracing::error!(step = "send", outbox = id, chat, error, "a message could not be sent; it is a dead letter"),
        }
        (error, at)
    });
    let outcome = match &failed {
        None => "sent",
        Some((_, Some(_))) => "failed",
        Some((_, None)) => "given_up",
    };
    tracing::Span::current().record("outcome", outcome);
    loop {
        let recorded = match &failed {
            None => store.outbox_sent(id, now).await,
            Some((error, at)) => store.outbox_failed(id, error.clone(), *at, now).await,
        };
        let Err(StoreError::Stalled(cause)) = &recorded else { return recorded };
        tracing::error!(outbox = id, chat, cause, "what became of a message cannot be recorded now");
        tokio::select! {
            () = stop.cancelled() => return recorded,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

#[cfg(test)]
mod tests;

//! Delivery: outbox rows leave here, in order per chat, and nowhere else.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use longshore_protocol::channel::LinkState;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::channel::{Channel, SendError};
use crate::clock::Clock;
use crate::stop::Stop;
use crate::store::outbox::OutboxHead;
use crate::store::{Store, StoreError};

/// How often a message is tried before it is a dead letter.
const MAX_ATTEMPTS: u32 = 8;
/// How long a chat waits whose channel has no way to it, unless the channel comes up before.
const PARKED: Duration = Duration::from_secs(30);
/// How long the loop waits at most: catches a lost wake.
const SWEEP: Duration = Duration::from_secs(30);
/// How large a text may be when no channel says otherwise, in bytes.
const DEFAULT_TEXT_BYTES: usize = 4096;

/// The channels, as the rest of the host sees them: something to say is in the outbox, typing is shown.
#[derive(Clone)]
pub struct Outbound(Arc<Shared>);

struct Shared {
    channels: Vec<Arc<dyn Channel>>,
    store: Store,
    wake: Notify,
    links: Mutex<HashMap<String, Link>>,
    /// Counts turns that ended and messages that were sent, for whoever follows one.
    moved: watch::Sender<u64>,
    /// Channels that came up since the loop looked last.
    came_up: Mutex<HashSet<String>>,
}

/// A channel's link to its platform, as it last reported it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The state; `None` before the first report.
    pub state: Option<LinkState>,
    /// One sentence for the operator.
    pub detail: Option<String>,
}

impl Outbound {
    /// The way to these channels.
    #[must_use]
    pub fn new(channels: Vec<Arc<dyn Channel>>, store: Store) -> Self {
        let links =
            channels.iter().map(|channel| (channel.name().to_owned(), Link { state: None, detail: None })).collect();
        Self(Arc::new(Shared {
            channels,
            store,
            wake: Notify::new(),
            links: Mutex::new(links),
            came_up: Mutex::default(),
            moved: watch::Sender::default(),
        }))
    }

    /// There may be something new in the outbox, or a turn has ended.
    pub fn look(&self) {
        self.0.wake.notify_one();
        self.0.moved.send_modify(|count| *count += 1);
    }

    /// Changes whenever a turn has ended or a message was sent. A wake, never content.
    #[must_use]
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.0.moved.subscribe()
    }

    /// A channel reported its link.
    pub fn link_changed(&self, channel: &str, state: LinkState, detail: Option<String>) {
        let link = Link { state: Some(state), detail };
        self.0.links.lock().unwrap_or_else(PoisonError::into_inner).insert(channel.to_owned(), link);
        if state == LinkState::Up {
            self.0.came_up.lock().unwrap_or_else(PoisonError::into_inner).insert(channel.to_owned());
            self.look();
        }
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

/// Sends what is in the outbox until told to stop; what is being sent then is finished.
///
/// # Errors
/// When the store is closed or damaged; a store that cannot write now is waited for.
pub async fn deliver(outbound: Outbound, clock: Clock, stop: Stop) -> anyhow::Result<()> {
    let mut loop_state =
        Loop { outbound, clock, sending: JoinSet::new(), busy: HashSet::new(), parked: HashMap::new() };
    loop {
        loop_state.unpark();
        let next = match loop_state.start_due().await {
            Ok(next) => next,
            Err(StoreError::Stalled(cause)) => {
                tracing::error!(cause, "the outbox cannot be read now");
                Some(Duration::from_secs(1))
            }
            Err(error) => return Err(error.into()),
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = loop_state.outbound.0.wake.notified() => {}
            Some(sent) = loop_state.sending.join_next() => loop_state.sent(sent)?,
            () = tokio::time::sleep(next.map_or(SWEEP, |next| next.min(SWEEP))) => {}
        }
    }
    while let Some(sent) = loop_state.sending.join_next().await {
        loop_state.sent(sent)?;
    }
    Ok(())
}

struct Loop {
    outbound: Outbound,
    clock: Clock,
    sending: JoinSet<Sent>,
    /// Chats whose head is being sent.
    busy: HashSet<String>,
    /// Chats whose channel has no way to them: the channel's name, and until when they wait.
    parked: HashMap<String, (String, Timestamp)>,
}

/// The end of one try.
struct Sent {
    chat: String,
    channel: String,
    parked: bool,
    recorded: Result<(), StoreError>,
}

impl Loop {
    fn unpark(&mut self) {
        let up = std::mem::take(&mut *self.outbound.0.came_up.lock().unwrap_or_else(PoisonError::into_inner));
        let now = self.clock.now();
        self.parked.retain(|_, (channel, until)| !up.contains(channel) && *until > now);
    }

    /// Starts a send for every chat whose head is due, and says how long the next one has to wait.
    async fn start_due(&mut self) -> Result<Option<Duration>, StoreError> {
        let now = self.clock.now();
        let mut next: Option<Timestamp> = None;
        for head in self.outbound.0.store.outbox_heads().await? {
            let chat = &head.message.chat;
            if self.busy.contains(chat) {
                continue;
            }
            let parked_until = self.parked.get(chat).map(|(_, until)| *until);
            match parked_until.into_iter().chain(head.not_before).max() {
                Some(at) if at > now => next = Some(next.map_or(at, |next| next.min(at))),
                _ => self.send(head),
            }
        }
        Ok(next.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default()))
    }

    fn send(&mut self, head: OutboxHead) {
        let channel = self.outbound.find(head.channel.as_deref(), &head.message.chat);
        self.busy.insert(head.message.chat.clone());
        let (store, clock) = (self.outbound.0.store.clone(), self.clock.clone());
        self.sending.spawn(async move {
            let result = match &channel {
                Some(channel) => channel.send(&head.message).await,
                None => Err(SendError::Unavailable("no channel has this chat".into())),
            };
            let channel = channel.map_or_else(String::new, |channel| channel.name().to_owned());
            let parked = matches!(result, Err(SendError::Unavailable(_)));
            let recorded = record(&store, &clock, &head, result).await;
            Sent { chat: head.message.chat, channel, parked, recorded }
        });
    }

    fn sent(&mut self, sent: Result<Sent, tokio::task::JoinError>) -> anyhow::Result<()> {
        let sent = sent?;
        self.busy.remove(&sent.chat);
        self.outbound.0.moved.send_modify(|count| *count += 1);
        if let Err(error) = sent.recorded {
            // The row is still pending: it is sent again with the same message id.
            tracing::error!(%error, chat = sent.chat, "what became of a message could not be recorded");
        }
        if sent.parked {
            let until = self.clock.now().checked_add(PARKED).unwrap_or(Timestamp::MAX);
            self.parked.insert(sent.chat, (sent.channel, until));
        }
        Ok(())
    }
}

async fn record(
    store: &Store,
    clock: &Clock,
    head: &OutboxHead,
    result: Result<(), SendError>,
) -> Result<(), StoreError> {
    let OutboxHead { message, attempts, .. } = head;
    let now = clock.now();
    let id = message.outbox_id;
    match result {
        Ok(()) => store.outbox_sent(id, now).await,
        Err(SendError::Unavailable(cause)) => {
            tracing::debug!(outbox = id, chat = message.chat, cause, "a message waits for its channel");
            Ok(())
        }
        Err(SendError::Temporary(error)) if attempts + 1 < MAX_ATTEMPTS => {
            let wait = Duration::from_secs(2 << attempts.min(&7));
            let at = now.checked_add(wait).unwrap_or(Timestamp::MAX);
            tracing::warn!(outbox = id, chat = message.chat, error, %at, "a message was not sent; it is tried again");
            store.outbox_failed(id, error, Some(at), now).await
        }
        Err(SendError::Temporary(error) | SendError::Permanent(error)) => {
            tracing::error!(
                outbox = id,
                chat = message.chat,
                error,
                "a message could not be sent; it is a dead letter"
            );
            store.outbox_failed(id, error, None, now).await
        }
    }
}

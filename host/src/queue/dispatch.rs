//! The loop around [`GroupQueue`]: wakes come in, slots go out.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use longshore_protocol::GroupId;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use super::state::{Action, Event, GroupQueue, Next};
use crate::clock::Clock;
use crate::stop::Stop;

/// How often every group is looked at in case a wake was lost.
const SWEEP: Duration = Duration::from_secs(30);

/// Wakes on their way to the dispatcher. Bounded by the number of groups: a second wake is the first.
#[derive(Clone, Default)]
pub struct Wakes(Arc<Pending>);

#[derive(Default)]
struct Pending {
    groups: Mutex<BTreeSet<GroupId>>,
    notify: Notify,
    /// How often somebody asked for a sign of life, and up to which of them the dispatcher gave one.
    asked: AtomicU64,
    answered: watch::Sender<u64>,
}

impl Wakes {
    /// Tells the dispatcher that the group may have something to do.
    pub fn wake(&self, group: GroupId) {
        self.0.groups.lock().unwrap_or_else(PoisonError::into_inner).insert(group);
        self.0.notify.notify_one();
    }

    /// Returns once the dispatcher has come round to looking for wakes; never while it hangs.
    pub async fn pulse(&self) {
        let mut answered = self.0.answered.subscribe();
        let asked = self.0.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.notify.notify_one();
        // The sender is in `self`.
        let _ = answered.wait_for(|answered| *answered >= asked).await;
    }

    async fn next(&self) -> BTreeSet<GroupId> {
        loop {
            let asked = self.0.asked.load(Ordering::SeqCst);
            self.0.answered.send_if_modified(|answered| std::mem::replace(answered, asked) != asked);
            let groups = std::mem::take(&mut *self.0.groups.lock().unwrap_or_else(PoisonError::into_inner));
            if !groups.is_empty() {
                return groups;
            }
            self.0.notify.notified().await;
        }
    }
}

/// The right to run a group's turn: made here alone, moved into the turn, given back when it is dropped.
#[derive(Debug)]
pub struct GroupSlot {
    group: GroupId,
    granted: Instant,
    ended: mpsc::UnboundedSender<Event>,
    next: Next,
}

impl GroupSlot {
    /// The group that may run.
    #[must_use]
    pub fn group(&self) -> &GroupId {
        &self.group
    }

    /// For how long it has been held.
    #[must_use]
    pub fn held(&self) -> Duration {
        self.granted.elapsed()
    }

    /// Gives the slot back and says when to look at the group again. Without it, at once.
    pub fn finish(mut self, next: Next) {
        self.next = next;
    }
}

impl Drop for GroupSlot {
    fn drop(&mut self) {
        let next = std::mem::replace(&mut self.next, Next::Idle);
        // The dispatcher is gone only when the host ends.
        let _ = self.ended.send(Event::Ended { group: self.group.clone(), next });
    }
}

/// What the dispatcher needs of the rest of the host.
pub trait Work: Send + Sync + 'static {
    /// Runs what waits for the slot's group and finishes the slot. A panic is caught and told to [`Work::panicked`].
    fn run(&self, slot: GroupSlot) -> BoxFuture<'static, ()>;
    /// A run of this group panicked.
    fn panicked(&self, group: GroupId) -> BoxFuture<'static, ()>;
    /// The groups that have something to do.
    fn waiting(&self) -> BoxFuture<'static, Vec<GroupId>>;
    /// So many groups run now, and so many wait for a slot.
    fn load(&self, _running: usize, _waiting: usize) {}
}

/// Runs the queue until told to stop, then waits for the running turns.
pub async fn dispatch(work: Arc<dyn Work>, wakes: Wakes, concurrent: NonZeroUsize, clock: Clock, stop: Stop) {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let mut queue = GroupQueue::new(concurrent);
    let mut running: JoinSet<()> = JoinSet::new();
    let mut wake_at: Option<Timestamp> = None;
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        let events: Vec<Event> = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(event) = ends.recv() => vec![event],
            groups = wakes.next() => groups.into_iter().map(Event::Wake).collect(),
            () = sleep_until(&clock, wake_at) => { wake_at = None; vec![Event::Tick] }
            _ = sweep.tick() => work.waiting().await.into_iter().map(Event::Wake).collect(),
            Some(_) = running.join_next() => continue,
        };
        for event in events {
            for action in queue.handle(event, clock.now()) {
                match action {
                    Action::Grant(group) => {
                        let slot = GroupSlot { group, granted: Instant::now(), ended: ended.clone(), next: Next::More };
                        running.spawn(guarded(work.clone(), slot));
                    }
                    Action::WakeAt(at) => wake_at = Some(at),
                }
            }
        }
        work.load(queue.running(), queue.waiting());
    }
    while running.join_next().await.is_some() {}
}

/// A panicking turn is a failed turn, not a dead host.
async fn guarded(work: Arc<dyn Work>, slot: GroupSlot) {
    let group = slot.group.clone();
    if let Err(error) = tokio::spawn(work.run(slot)).await
        && error.is_panic()
    {
        tracing::error!(%group, "a turn panicked");
        work.panicked(group).await;
    }
}

async fn sleep_until(clock: &Clock, at: Option<Timestamp>) {
    match at {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

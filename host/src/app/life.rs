//! Whether the host is alive: not that its process exists, but that what it lives by goes round.

use std::sync::Arc;

use tokio::sync::watch;

use crate::groups::watch::Snapshot;
use crate::queue::dispatch::Wakes;
use crate::stop::Stop;
use crate::store::Store;

/// A handle on the host's signs of life.
#[derive(Clone)]
pub struct Life {
    store: Store,
    wakes: Wakes,
    groups: watch::Receiver<Arc<Snapshot>>,
    drain: Stop,
}

impl Life {
    /// Of a host with this store and dispatcher; `drain` tells that it is ending.
    #[must_use]
    pub fn new(store: Store, wakes: Wakes, groups: watch::Receiver<Arc<Snapshot>>, drain: Stop) -> Self {
        Self { store, wakes, groups, drain }
    }

    /// Returns once the store has answered and the dispatcher has come round: what hangs keeps it waiting. False
    /// if the store is closed.
    pub async fn beat(&self) -> bool {
        let answered = self.store.task_counts().await.is_ok();
        self.wakes.pulse().await;
        answered
    }

    /// Returns once the host is ending.
    pub async fn ending(&self) {
        self.drain.cancelled().await;
    }

    /// How many groups are served.
    #[must_use]
    pub fn served(&self) -> usize {
        self.groups.borrow().groups.len()
    }
}

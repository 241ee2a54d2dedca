//! What all passes share.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use longshore_protocol::GroupId;
use tokio::sync::{Notify, OwnedMutexGuard, Semaphore};

use crate::clock::Clock;
use crate::ipc::Grant;
use crate::ipc::mailbox::{Mailbox, Quarantine};

/// How many groups' folders are worked in at once.
const MAX_WORKING: usize = 4;

/// What became of files since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Petitions that were answered `ok`.
    pub granted: u64,
    /// Petitions that were refused.
    pub refused: u64,
    /// Files that were no petition.
    pub unreadable: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) granted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) unreadable: AtomicU64,
}

/// One group's mailbox, whose bell is rung when there may be something in it.
pub(super) struct Attended {
    pub(super) group: GroupId,
    pub(super) bell: Notify,
    /// Held for a whole pass, also by work on the disk that nobody waits for any more.
    pub(super) mailbox: Arc<tokio::sync::Mutex<Mailbox>>,
}

pub(super) struct Room {
    pub(super) folder: PathBuf,
    pub(super) grant: Arc<dyn Grant>,
    pub(super) clock: Clock,
    pub(super) counters: Counters,
    /// Told when folders may have come or gone.
    pub(super) layout: Notify,
    /// The folders that went and are not known to be listened to again.
    gone: Mutex<HashSet<PathBuf>>,
    /// Whether a folder could not be listened to.
    deaf: AtomicBool,
    working: Arc<Semaphore>,
    quarantine: Arc<Quarantine>,
    mailboxes: Mutex<HashMap<GroupId, Arc<Attended>>>,
}

impl Room {
    pub(super) fn new(folder: PathBuf, grant: Arc<dyn Grant>, clock: Clock) -> Self {
        Self {
            quarantine: Arc::new(Quarantine::new(folder.clone())),
            folder,
            grant,
            clock,
            counters: Counters::default(),
            layout: Notify::new(),
            gone: Mutex::default(),
            deaf: AtomicBool::new(false),
            working: Arc::new(Semaphore::new(MAX_WORKING)),
            mailboxes: Mutex::default(),
        }
    }

    pub(super) fn mailbox(&self, group: &GroupId) -> Arc<Attended> {
        let mut mailboxes = self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let attended = mailboxes.entry(group.clone()).or_insert_with(|| {
            let mailbox = Mailbox::new(self.folder.clone(), group.clone(), Arc::clone(&self.quarantine));
            Arc::new(Attended {
                group: group.clone(),
                bell: Notify::new(),
                mailbox: Arc::new(tokio::sync::Mutex::new(mailbox)),
            })
        });
        Arc::clone(attended)
    }

    /// There may be something in the group's mailbox. Of no effect if nobody attends to it.
    pub(super) fn ring(&self, group: &GroupId) {
        let mailboxes = self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(attended) = mailboxes.get(group) {
            attended.bell.notify_one();
        }
    }

    pub(super) fn ring_all(&self) {
        let mailboxes = self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner);
        mailboxes.values().for_each(|attended| attended.bell.notify_one());
    }

    /// A folder went, perhaps to be made anew.
    pub(super) fn has_gone(&self, folder: PathBuf) {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).insert(folder);
        self.layout.notify_one();
    }

    /// The folders that went since this was asked last.
    pub(super) fn take_gone(&self) -> HashSet<PathBuf> {
        std::mem::take(&mut self.gone.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A folder cannot be listened to: from now on the sweep has to find what comes.
    pub(super) fn is_now_deaf(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Relaxed)
    }

    pub(super) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            granted: read(&self.counters.granted),
            refused: read(&self.counters.refused),
            unreadable: read(&self.counters.unreadable),
        }
    }

    /// Works on the disk. The mailbox is lent for it, so that it is never worked on twice at once.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        mut mailbox: OwnedMutexGuard<Mailbox>,
        work: impl FnOnce(&mut Mailbox) -> T + Send + 'static,
    ) -> (OwnedMutexGuard<Mailbox>, T) {
        // Closed it never is; without a permit there would only be no limit.
        let permit = Arc::clone(&self.working).acquire_owned().await.ok();
        let span = tracing::Span::current();
        let working = tokio::task::spawn_blocking(move || {
            let done = span.in_scope(|| work(&mut mailbox));
            drop(permit);
            (mailbox, done)
        });
        match working.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is ending.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

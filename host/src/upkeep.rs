//! Upkeep of the store: old things are forgotten, the file is checked, its log is kept short.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::groups::watch::Snapshot;
use crate::stop::Stop;
use crate::store::beside::{Beside, log_of};
use crate::store::care::{Served, Step};
use crate::store::{self, Store, StoreError};

/// From the start to the first look at everything: the start itself is not made slower.
const FIRST: SignedDuration = SignedDuration::from_mins(2);
/// From one look at everything to the next.
const DAILY: SignedDuration = SignedDuration::from_hours(24);
/// From one look at the write-ahead log to the next.
const OFTEN: SignedDuration = SignedDuration::from_mins(5);
/// A log of more bytes than this is made empty even if that makes writers wait for a moment.
const LARGE_LOG: u64 = 64 * 1024 * 1024;
/// Between two batches of what is forgotten: the disk is everybody's.
const BREATH: Duration = Duration::from_millis(20);
/// How long an answered petition is remembered. Its file is deleted at once; only a crash or a full disk
/// keeps it.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How long it is remembered what the models used: a year can be compared with the one before. A few rows a day.
const ACCOUNTED: SignedDuration = SignedDuration::from_hours(400 * 24);

/// Keeps the store in order.
pub struct Upkeep {
    store: Store,
    file: PathBuf,
    groups: watch::Receiver<Arc<Snapshot>>,
    retention: Option<Duration>,
    clock: Clock,
    health: Health,
}

/// How the store's file was when it was checked last.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<Option<Checked>>>);

#[derive(Debug)]
struct Checked {
    at: Timestamp,
    damage: Option<String>,
}

impl Health {
    /// When it was checked; `None` before the first time.
    #[must_use]
    pub fn checked_at(&self) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|checked| checked.at)
    }

    /// What was wrong with it then.
    #[must_use]
    pub fn damage(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|checked| checked.damage.clone())
    }

    fn note(&self, checked: Checked) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(checked);
    }
}

/// How many rows were forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Forgotten {
    /// Messages of people.
    pub messages: u64,
    /// What was said to them.
    pub outbox: u64,
    /// Turns.
    pub turns: u64,
    /// Runs of tasks, and tasks that were over.
    pub runs: u64,
    /// Answers to petitions.
    pub petitions: u64,
    /// Days of what the models used, each of a group and a model.
    pub usage: u64,
}

impl Upkeep {
    /// The upkeep of an installation. `retention`: how long what is finished is kept, `None` for ever.
    #[must_use]
    pub fn new(
        root: &Path,
        store: Store,
        groups: watch::Receiver<Arc<Snapshot>>,
        retention: Option<Duration>,
        clock: Clock,
    ) -> Self {
        Self { store, file: root.join(store::FILE), groups, retention, clock, health: Health::default() }
    }

    /// How the file is, now and later.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Works until told to stop. What goes wrong is logged and tried again the next time.
    pub async fn run(self, stop: Stop) {
        let mut daily = in_future(self.clock.now(), FIRST);
        let mut pages = 0;
        loop {
            let next = daily.min(in_future(self.clock.now(), OFTEN));
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(next) => {}
            }
            if self.clock.now() >= daily {
                self.day(&stop).await;
                daily = in_future(self.clock.now(), DAILY);
            }
            pages = self.shorten_log(pages, &stop).await;
        }
    }

    /// What is done once a day.
    pub async fn day(&self, stop: &Stop) {
        match stop.run_until_cancelled(self.forget()).await {
            None => return,
            Some(Ok(forgotten)) if forgotten == Forgotten::default() => {}
            Some(Ok(Forgotten { messages, outbox, turns, runs, petitions, usage })) => {
                tracing::info!(messages, outbox, turns, runs, petitions, usage, "forgot what is finished and old");
            }
            Some(Err(error)) => tracing::warn!(%error, "what is finished and old could not be forgotten"),
        }
        self.check(stop).await;
        if let Some(Err(error)) = self.beside(stop, Beside::open, |file| file.optimize()).await {
            tracing::warn!(%error, "the store's figures could not be renewed");
        }
    }

    /// Forgets what is finished and older than the retention.
    ///
    /// # Errors
    /// What the store says; what was forgotten until then stays forgotten.
    pub async fn forget(&self) -> Result<Forgotten, StoreError> {
        let (store, now) = (&self.store, self.clock.now());
        let mut forgotten = Forgotten::default();
        let before = now.saturating_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
        loop {
            match store.forget_answered(before).await? {
                0 => break,
                removed => forgotten.petitions += removed as u64,
            }
            tokio::time::sleep(BREATH).await;
        }
        let before = now.saturating_sub(ACCOUNTED).unwrap_or(Timestamp::MIN).to_zoned(TimeZone::UTC).date();
        loop {
            match store.forget_usage(before).await? {
                0 => break,
                removed => forgotten.usage += removed as u64,
            }
            tokio::time::sleep(BREATH).await;
        }
        let Some(retention) = self.retention else { return Ok(forgotten) };
        let before = now.saturating_sub(retention).unwrap_or(Timestamp::MIN);
        let served = self.served();
        // In this order: whoever has a message finds its turn, and whoever has a run finds its task.
        forgotten.messages = walk(0, |after| store.forget_messages(after, before, served.clone())).await?;
        forgotten.outbox = walk(0, |after| store.forget_outbox(after, before)).await?;
        forgotten.turns = walk(String::new(), |after| store.forget_turns(after, before)).await?;
        forgotten.runs = walk(String::new(), |after| store.forget_runs(after, before)).await?;
        Ok(forgotten)
    }

    /// Which group serves which chat; `None` while the groups file has a mistake, which may hide a group.
    fn served(&self) -> Option<Served> {
        let snapshot = self.groups.borrow().clone();
        let chats: HashMap<String, String> =
            snapshot.groups.iter().map(|group| (group.chat.clone(), group.id.to_string())).collect();
        snapshot.problems.is_empty().then(|| Arc::new(chats))
    }

    /// Checks the file, beside everything else.
    async fn check(&self, stop: &Stop) {
        let damage = match self.beside(stop, Beside::open_to_read, |file| file.damage()).await {
            None => return,
            Some(Ok(damage)) => damage,
            Some(Err(error)) => {
                tracing::warn!(%error, "the database could not be checked");
                return;
            }
        };
        match &damage {
            None => tracing::info!("the database is sound"),
            Some(damage) => tracing::error!(
                file = %self.file.display(),
                damage,
                "the database is DAMAGED: make a copy of it, stop the host and run `longshore restore` with the newest backup"
            ),
        }
        self.health.note(Checked { at: self.clock.now(), damage });
    }

    /// Takes the log into the file, and empties it when it is large or nothing was written for a while;
    /// `pages` is how long it was the last time, and so is what is returned.
    async fn shorten_log(&self, pages: i64, stop: &Stop) -> i64 {
        let path = log_of(&self.file);
        let work = move |file: &Beside| {
            let log = file.fold_log()?;
            let is_large = std::fs::metadata(path).is_ok_and(|log| log.len() > LARGE_LOG);
            let is_idle = log.pages > 0 && log.pages == pages && log.folded == log.pages;
            let emptied = (is_large || is_idle) && file.empty_log()?;
            Ok(if emptied { 0 } else { log.pages })
        };
        match self.beside(stop, Beside::open, work).await {
            Some(Ok(pages)) => pages,
            Some(Err(error)) => {
                tracing::warn!(%error, "the store's log could not be shortened");
                0
            }
            None => 0,
        }
    }

    /// Does something on a second connection, on a thread of its own; `None` when told to stop meanwhile.
    async fn beside<T: Send + 'static>(
        &self,
        stop: &Stop,
        open: fn(&Path) -> Result<Beside, StoreError>,
        work: impl FnOnce(&Beside) -> Result<T, StoreError> + Send + 'static,
    ) -> Option<Result<T, StoreError>> {
        let file = match open(&self.file) {
            Ok(file) => file,
            Err(error) => return Some(Err(error)),
        };
        let interrupt = file.interrupt();
        let mut working = tokio::task::spawn_blocking(move || work(&file));
        let done = tokio::select! {
            () = stop.cancelled() => {
                interrupt.interrupt();
                let _ = working.await;
                return None;
            }
            done = &mut working => done,
        };
        Some(done.unwrap_or_else(|panic| Err(StoreError::Stalled(panic.to_string()))))
    }
}

fn in_future(now: Timestamp, span: SignedDuration) -> Timestamp {
    now.saturating_add(span).unwrap_or(Timestamp::MAX)
}

/// Takes steps until the end.
async fn walk<Place, Taken>(first: Place, mut step: impl FnMut(Place) -> Taken) -> Result<u64, StoreError>
where
    Taken: Future<Output = Result<Step<Place>, StoreError>>,
{
    let mut removed = 0;
    let mut place = Some(first);
    while let Some(after) = place {
        let step = step(after).await?;
        removed += step.removed;
        place = step.next;
        tokio::time::sleep(BREATH).await;
    }
    Ok(removed)
}

#[cfg(test)]
mod tests;

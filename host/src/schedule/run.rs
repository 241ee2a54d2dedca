//! The timer: sleeps to the next due time and fires what is due. No polling.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use longshore_protocol::GroupId;
use tokio::sync::watch;
use tracing::Instrument as _;

use super::Changed;
use super::firing::{concerns, firing, review};
use super::request::Circumstances;
use crate::clock::Clock;
use crate::groups::watch::Snapshot;
use crate::ipc::snapshot::Snapshots;
use crate::metrics::Metrics;
use crate::queue::dispatch::Wakes;
use crate::stop::Stop;
use crate::store::tasks::Fired;
use crate::store::{Store, StoreError};

/// How long a store that cannot write now is left alone.
const STALLED: Duration = Duration::from_secs(1);
/// How often the tasks are looked at without a reason.
const SWEEP: SignedDuration = SignedDuration::from_hours(1);

/// What the timer works with.
pub struct Scheduler {
    /// The store.
    pub store: Store,
    /// The groups as they are now.
    pub groups: watch::Receiver<Arc<Snapshot>>,
    /// The way to the dispatcher.
    pub wakes: Wakes,
    /// What the agents see of their tasks.
    pub snapshots: Snapshots,
    /// Told when a task changes.
    pub changed: Changed,
    /// Told how late tasks were fired.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// The zone for groups that name none.
    pub time_zone: TimeZone,
}

/// What the timer has done already.
#[derive(Default)]
struct Done {
    /// The generation of the groups that the tasks fit.
    reviewed: Option<u64>,
}

impl Scheduler {
    /// Fires tasks until told to stop.
    ///
    /// # Errors
    /// When the store is closed or damaged; one that cannot write now is waited for.
    pub async fn run(mut self, stop: Stop) -> anyhow::Result<()> {
        let mut changed = self.changed.subscribe();
        let mut done = Done::default();
        loop {
            changed.mark_unchanged();
            let snapshot = self.groups.borrow_and_update().clone();
            let next = match self.look(&snapshot, &mut done).await {
                Ok(next) => next,
                Err(StoreError::Stalled(cause)) => {
                    tracing::error!(cause, "due tasks cannot be fired now");
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        () = tokio::time::sleep(STALLED) => continue,
                    }
                }
                Err(error) => return Err(error.into()),
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = self.clock.sleep_until(next) => {}
                told = changed.changed() => if told.is_err() { return Ok(()) },
                told = self.groups.changed() => if told.is_err() { return Ok(()) },
            }
        }
    }

    /// Does what is due and says when to look again.
    async fn look(&self, snapshot: &Arc<Snapshot>, done: &mut Done) -> Result<Timestamp, StoreError> {
        if done.reviewed != Some(snapshot.generation) {
            self.review(snapshot).await?;
            done.reviewed = Some(snapshot.generation);
        }
        let now = self.clock.now();
        let span = tracing::info_span!("schedule", runs = tracing::field::Empty);
        let fired = self.fire(snapshot, now).instrument(span).await?;
        let sweep = now.saturating_add(SWEEP).unwrap_or(Timestamp::MAX);
        Ok(fired.next.map_or(sweep, |next| next.min(sweep)))
    }

    async fn fire(&self, snapshot: &Arc<Snapshot>, now: Timestamp) -> Result<Fired, StoreError> {
        let at = self.circumstances(now);
        let groups = snapshot.groups.clone();
        let fired = self.store.fire(now, move |task, next_run| firing(task, next_run, &groups, &at)).await?;
        fired.due.iter().for_each(|due| self.metrics.fired(*due, now));
        for group in &fired.groups {
            self.wakes.wake(group.clone());
            self.snapshots.mark(group);
        }
        if fired.runs + fired.left_out > 0 {
            tracing::Span::current().record("runs", fired.runs);
            tracing::info!(runs = fired.runs, left_out = fired.left_out, "tasks fired");
        }
        Ok(fired)
    }

    async fn review(&self, snapshot: &Arc<Snapshot>) -> Result<(), StoreError> {
        let at = self.circumstances(self.clock.now());
        let places = self.store.task_places().await?;
        let concerned: BTreeSet<GroupId> = places
            .iter()
            .filter(|place| concerns(place, &snapshot.groups, &at))
            .map(|place| place.group.clone())
            .collect();
        for group in concerned {
            tracing::info!(%group, served = snapshot.groups.by_id(&group).is_some(), "tasks follow their group");
            let (groups, at) = (snapshot.groups.clone(), at.clone());
            self.store.review_tasks(group.clone(), at.now, move |task| review(task, &groups, &at)).await?;
            self.snapshots.mark(&group);
        }
        Ok(())
    }

    fn circumstances(&self, now: Timestamp) -> Circumstances {
        Circumstances { now, time_zone: self.time_zone.clone() }
    }
}

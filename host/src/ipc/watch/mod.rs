//! Knows when a mailbox has to be looked at: at once when a file appears (inotify), now and then in case
//! it was not told, and when a turn is over.
//!
//! Each group has a task of its own, so a group whose files flood or whose petitions wait delays no other;
//! only work on the disk is limited, and is done in small portions.

mod ears;
mod pass;
mod room;
#[cfg(test)]
mod tests;

pub use self::room::Counts;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use longshore_protocol::GroupId;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use self::ears::Ears;
use self::room::Room;
use super::Grant;
use crate::clock::Clock;
use crate::groups::Groups;
use crate::groups::watch::Snapshot;
use crate::stop::Stop;

/// How often all mailboxes are looked at without having been told of anything, when some are not heard.
const SWEEP: Duration = Duration::from_secs(10);
/// When all are heard: every so many sweeps. It costs time for each group, and the kernel hardly ever forgets.
const HEARING_SWEEPS: u64 = 6;

/// The mailboxes of all groups. Clones are the same.
#[derive(Clone)]
pub struct Mailroom(Arc<Room>);

impl Mailroom {
    /// For the mailboxes in `folder`, which is `<root>/data/ipc`.
    pub fn new(folder: PathBuf, grant: Arc<dyn Grant>) -> Self {
        Self::with_clock(folder, grant, Clock::system())
    }

    fn with_clock(folder: PathBuf, grant: Arc<dyn Grant>, clock: Clock) -> Self {
        // As the kernel's news come with absolute paths.
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        Self(Arc::new(Room::new(folder, grant, clock)))
    }

    /// What became of files since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.0.counts()
    }

    /// Looks into the group's mailbox and returns when each file that lay there has its answer, or after
    /// `limit`. What was begun by then is finished all the same.
    pub async fn settle(&self, group: &GroupId, limit: Duration) {
        let stop = Stop::new();
        let _over = stop.clone().drop_guard();
        let (room, mailbox) = (Arc::clone(&self.0), self.0.mailbox(group));
        let settling = tokio::spawn(async move { room.settle(&mailbox, &stop).await });
        match timeout(limit, settling).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%group, %error, "looking into the mailbox failed"),
            Err(_) => tracing::warn!(%group, ?limit, "petitions are still waiting"),
        }
    }

    /// Reads the mailboxes of the groups until told to stop, and ends with nothing half done.
    ///
    /// # Errors
    /// When the task of a group died.
    pub async fn run(self, groups: watch::Receiver<Arc<Snapshot>>, stop: Stop) -> anyhow::Result<()> {
        let listening = Ears::new(&self.0).listen(groups.clone());
        tokio::select! {
            ended = self.attend(groups, &stop) => ended,
            never = listening => match never {},
        }
    }

    async fn attend(&self, mut groups: watch::Receiver<Arc<Snapshot>>, stop: &Stop) -> anyhow::Result<()> {
        let mut attendants = Attendants::new(Arc::clone(&self.0), stop.child_token());
        let mut sweep = interval_at(Instant::now() + SWEEP, SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sweeps: u64 = 0;
        loop {
            attendants.follow(&groups.borrow_and_update().groups);
            tokio::select! {
                () = stop.cancelled() => break,
                changed = groups.changed() => if changed.is_err() {
                    // The watch has stopped, and the host with it.
                    break;
                },
                _ = sweep.tick() => {
                    sweeps += 1;
                    if self.0.is_deaf() || sweeps.is_multiple_of(HEARING_SWEEPS) {
                        self.0.hear_anything();
                    }
                }
                Some(ended) = attendants.tasks.join_next() => died(ended)?,
            }
        }
        attendants.finish().await
    }
}

/// The tasks of the groups that are served.
struct Attendants {
    room: Arc<Room>,
    stop: Stop,
    tasks: JoinSet<()>,
    serving: HashMap<GroupId, Stop>,
}

impl Attendants {
    fn new(room: Arc<Room>, stop: Stop) -> Self {
        Self { room, stop, tasks: JoinSet::new(), serving: HashMap::new() }
    }

    /// Begins with groups that are new and ends with those that are gone.
    fn follow(&mut self, groups: &Groups) {
        self.serving.retain(|group, stop| {
            let stays = groups.by_id(group).is_some();
            if !stays {
                stop.cancel();
            }
            stays
        });
        for group in groups.iter().map(|group| &group.id) {
            if self.serving.contains_key(group) {
                continue;
            }
            let stop = self.stop.child_token();
            self.serving.insert(group.clone(), stop.clone());
            let (room, mailbox) = (Arc::clone(&self.room), self.room.mailbox(group));
            self.tasks.spawn(async move { room.attend(&mailbox, &stop).await });
        }
    }

    async fn finish(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            died(ended)?;
        }
        Ok(())
    }
}

fn died(ended: Result<(), JoinError>) -> anyhow::Result<()> {
    ended.context("the task that reads a group's mailbox died")
}

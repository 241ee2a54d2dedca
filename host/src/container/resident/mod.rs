//! Resident containers: one per group, started at its first turn and kept warm between turns.
//!
//! A group's right to its container is its `GroupSlot`; nobody else starts one. Idle containers never hold
//! anybody up: what is too much of them ends beside the turns, not before them.

mod conversation;
mod link;
mod seen;
mod start;
mod surplus;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use longshore_protocol::{Failure, GroupId, RunnerCommand};
use tokio::sync::{Notify, OnceCell, watch};

pub use self::conversation::Resident;
pub use self::seen::Seen;
use self::surplus::{Bounds, Idle, surplus};
use super::installation::Installation;
use super::{ContainerId, ContainerRuntime, LinkKind, Place, RuntimeError};
use crate::broker::Broker;
use crate::broker::access::SignIn;
use crate::broker::egress::Counts;
use crate::groups::watch::Snapshot;
use crate::groups::{Group, Groups};
use crate::operator::Operator;
use crate::queue::dispatch::{GroupSlot, Wakes};
use crate::stop::Stop;

/// How often idle containers are looked at when nothing happens: finds those that somebody killed.
const SWEEP: Duration = Duration::from_secs(30);

/// How long a runner may take to hear that its host is about to end.
const LAST_WORD: Duration = Duration::from_secs(2);

/// What residents are made of and for how long they stay.
pub struct ResidentSettings {
    /// The installation that they belong to.
    pub installation: Installation,
    /// Where the operator's allowlists are.
    pub operator: Operator,
    /// The agent image for groups that name none.
    pub image: String,
    /// The time zone for groups that name none.
    pub timezone: String,
    /// How long a resident may be idle.
    pub idle_timeout: Duration,
    /// How many idle residents are kept at most; the one idle for longest goes first.
    pub max_idle: usize,
    /// How much memory all of them may take, in bytes, before idle ones go; half of the engine's if `None`.
    pub memory_bytes: Option<u64>,
    /// How they reach the broker; as the engine's place needs it if `None`.
    pub link: Option<LinkKind>,
}

/// The resident containers of the installation.
pub struct Residents {
    runtime: Arc<dyn ContainerRuntime>,
    broker: Arc<Broker>,
    settings: ResidentSettings,
    groups: watch::Receiver<Arc<Snapshot>>,
    wakes: Wakes,
    seats: Mutex<HashMap<GroupId, Seat>>,
    /// Containers that an engine could not remove when it was asked to.
    left_over: Mutex<Vec<ContainerId>>,
    /// Something has changed that may make idle residents too many.
    changed: Notify,
    /// Set once the last host's containers are taken over or gone: before that, none of ours may be started.
    looked: OnceCell<()>,
}

/// A group's container.
enum Seat {
    /// It waits for the group's next turn.
    Idle(Box<Resident>),
    /// A turn has it.
    Busy(ContainerId),
}

impl Residents {
    /// No residents yet.
    #[must_use]
    pub fn new(
        runtime: Arc<dyn ContainerRuntime>,
        broker: Arc<Broker>,
        settings: ResidentSettings,
        groups: watch::Receiver<Arc<Snapshot>>,
        wakes: Wakes,
    ) -> Self {
        Self {
            runtime,
            broker,
            settings,
            groups,
            wakes,
            seats: Mutex::default(),
            left_over: Mutex::default(),
            changed: Notify::new(),
            looked: OnceCell::new(),
        }
    }

    /// The group's resident, started now if there is none that fits the group's configuration.
    ///
    /// # Errors
    /// Whatever keeps a container from running.
    pub async fn acquire(&self, slot: &GroupSlot, group: &Group, sign_in: SignIn) -> Result<Resident, RuntimeError> {
        // A resident that the last host left may be the group's.
        self.ready_engine().await?;
        let seat = self.locked().remove(slot.group());
        let resident = match seat {
            Some(Seat::Idle(resident)) if resident.fits(group, sign_in) => *resident,
            seat => {
                if let Some(Seat::Idle(resident)) = seat {
                    self.retire(*resident).await;
                }
                self.start(group, sign_in).await?
            }
        };
        self.locked().insert(slot.group().clone(), Seat::Busy(resident.id.clone()));
        self.changed.notify_one();
        Ok(resident)
    }

    /// Keeps the resident warm for the group's next turn.
    pub fn put_back(&self, slot: &GroupSlot, mut resident: Resident) {
        resident.rest();
        self.locked().insert(slot.group().clone(), Seat::Idle(Box::new(resident)));
        self.changed.notify_one();
    }

    /// Starts the group's container before its first turn, if the operator wants that. Best effort.
    pub async fn prewarm(&self, slot: &GroupSlot, group: &Group) {
        let Ok(sign_in) = self.broker.sign_in(group) else { return };
        let is_warm = |seat: &Seat| matches!(seat, Seat::Idle(resident) if resident.fits(group, sign_in));
        if !group.container.prewarm || self.locked().get(slot.group()).is_some_and(is_warm) {
            return;
        }
        match self.acquire(slot, group, sign_in).await {
            Ok(resident) => self.put_back(slot, resident),
            Err(error) => tracing::warn!(group = %group.id, %error, "a container could not be started in advance"),
        }
    }

    /// Ends a resident: its container is killed and removed.
    pub async fn retire(&self, resident: Resident) {
        {
            let mut seats = self.locked();
            let is_this = |seat: &Seat| matches!(seat, Seat::Busy(id) if *id == resident.id);
            if seats.get(&resident.group).is_some_and(is_this) {
                seats.remove(&resident.group);
            }
        }
        let (id, _link) = resident.hang_up();
        self.remove(&id).await;
    }

    /// How containers reach the broker.
    ///
    /// # Errors
    /// When that depends on the engine and it does not answer.
    pub async fn link_kind(&self) -> Result<LinkKind, RuntimeError> {
        if let Some(kind) = self.settings.link {
            return Ok(kind);
        }
        Ok(match self.runtime.place().await? {
            Place::Here => LinkKind::Socket,
            Place::Elsewhere => LinkKind::Exec,
        })
    }

    /// Whether the agent image is there and fits.
    ///
    /// # Errors
    /// Says what to do.
    pub async fn check_image(&self) -> Result<(), RuntimeError> {
        self.runtime.image(&self.settings.image).await.map(drop)
    }

    /// Ends the idle residents of groups that are gone or whose configuration has changed.
    pub async fn retire_outdated(&self, groups: &Groups) {
        let outdated = self.take_idle(|resident| {
            groups.by_id(&resident.group).is_none_or(|group| group.generation != resident.generation)
        });
        for resident in outdated {
            tracing::info!(group = %resident.group, container = %resident.id, "container retired: its group has changed");
            self.retire(resident).await;
        }
    }

    /// Ends every resident; idle ones are left to the next host instead, if one is to come within `keep`.
    pub async fn close(&self, keep: Option<Duration>) {
        let seats: Vec<(GroupId, Seat)> = self.locked().drain().collect();
        let ends = seats.into_iter().map(|(group, seat)| async move {
            let id = match (seat, keep) {
                (Seat::Busy(id), _) => id,
                (Seat::Idle(resident), None) => resident.id.clone(),
                (Seat::Idle(mut resident), Some(time)) => {
                    let linger = RunnerCommand::Linger { seconds: time.as_secs() };
                    let told = tokio::time::timeout(LAST_WORD, resident.command(&linger)).await;
                    if resident.lives() && matches!(told, Ok(Ok(()))) {
                        tracing::info!(%group, container = %resident.id, "container left for the next host");
                        return;
                    }
                    resident.id.clone()
                }
            };
            self.remove(&id).await;
        });
        join_all(ends).await;
    }

    /// Retires residents that nobody needs, until told to stop: dead ones, those whose idle time is over, and
    /// those that are too many.
    pub async fn tend(&self, stop: Stop) {
        loop {
            let limit = self.settings.idle_timeout;
            let next = self.idle(|resident| resident.idle_since + limit).into_iter().min();
            let wait = next.map_or(SWEEP, |at| at.saturating_duration_since(Instant::now()).min(SWEEP));
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            let now = Instant::now();
            let dead = self.take_idle(|resident| !resident.lives());
            let over = self
                .take_idle(|resident| now.duration_since(resident.idle_since) >= limit && !self.is_prewarmed(resident));
            for resident in dead {
                tracing::warn!(group = %resident.group, container = %resident.id, "an idle container has ended");
                let group = resident.group.clone();
                self.retire(resident).await;
                // It may be one that is to be there before its next turn.
                self.wakes.wake(group);
            }
            for resident in over {
                self.retire(resident).await;
            }
            let left_over = std::mem::take(&mut *self.left_over.lock().unwrap_or_else(PoisonError::into_inner));
            for container in left_over {
                self.remove(&container).await;
            }
            self.retire_surplus().await;
        }
    }

    /// How the group's provider signs in.
    ///
    /// # Errors
    /// A failure of kind `auth` when there is no credential: no container is started then.
    pub fn sign_in(&self, group: &Group) -> Result<SignIn, Failure> {
        self.broker.sign_in(group)
    }

    /// What the tools of a group did with the way out, since the start.
    #[must_use]
    pub fn egress_counts(&self, group: &GroupId) -> Counts {
        self.broker.egress_counts(group)
    }

    /// Whether the group's budget allows a turn to begin.
    ///
    /// # Errors
    /// A failure of kind `config` when it does not: no container is started then.
    pub async fn within_budget(&self, group: &Group) -> Result<(), Failure> {
        self.broker.within_budget(&group.id).await
    }

    /// The groups that have a warm container waiting.
    #[must_use]
    pub fn warm(&self) -> Vec<GroupId> {
        self.idle(|resident| resident.group.clone())
    }

    /// Ends the idle residents beyond the bounds, the one idle for longest first.
    async fn retire_surplus(&self) {
        let memory_bytes = match self.settings.memory_bytes {
            Some(bytes) => bytes,
            None => self.runtime.memory_total().await.map_or(u64::MAX, |bytes| bytes / 2),
        };
        let busy: Vec<ContainerId> = self.locked().values().filter_map(Seat::busy).cloned().collect();
        let idle = self.idle(|resident| (resident.id.clone(), resident.group.clone(), resident.idle_since));
        let busy = join_all(busy.iter().map(|id| self.memory_of(id))).await.into_iter().sum();
        let idle = join_all(
            idle.into_iter()
                .map(|(id, key, since)| async move { Idle { key, since, memory_bytes: self.memory_of(&id).await } }),
        )
        .await;
        let ends = surplus(&idle, busy, Bounds { idle: self.settings.max_idle, memory_bytes });
        // One that a turn took meanwhile is not idle any more, and one that came back is not the oldest.
        let ends = self.take_idle(|resident| {
            ends.contains(&resident.group)
                && idle.iter().any(|one| one.key == resident.group && one.since == resident.idle_since)
        });
        for resident in ends {
            tracing::info!(group = %resident.group, container = %resident.id, "container retired: there are too many");
            self.retire(resident).await;
        }
    }

    /// What the container takes now; one that cannot be asked counts as nothing.
    async fn memory_of(&self, id: &ContainerId) -> u64 {
        self.runtime.memory_of(id).await.unwrap_or_default()
    }

    async fn remove(&self, id: &ContainerId) {
        if let Err(error) = self.runtime.remove(id).await {
            tracing::warn!(container = %id, %error, "a container could not be removed; it is tried again");
            self.left_over.lock().unwrap_or_else(PoisonError::into_inner).push(id.clone());
        }
    }

    fn is_prewarmed(&self, resident: &Resident) -> bool {
        self.groups.borrow().groups.by_id(&resident.group).is_some_and(|group| group.container.prewarm)
    }

    fn holds(&self, id: &ContainerId) -> bool {
        self.locked().values().any(|seat| match seat {
            Seat::Idle(resident) => resident.id == *id,
            Seat::Busy(busy) => busy == id,
        })
    }

    fn idle<T>(&self, of: impl Fn(&Resident) -> T) -> Vec<T> {
        self.locked().values().filter_map(Seat::idle).map(of).collect()
    }

    fn take_idle(&self, which: impl Fn(&Resident) -> bool) -> Vec<Resident> {
        let mut seats = self.locked();
        let taken = seats.extract_if(|_, seat| seat.idle().is_some_and(&which));
        taken
            .filter_map(|(_, seat)| match seat {
                Seat::Idle(resident) => Some(*resident),
                Seat::Busy(_) => None,
            })
            .collect()
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<GroupId, Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    fn idle(&self) -> Option<&Resident> {
        match self {
            Self::Idle(resident) => Some(resident),
            Self::Busy(_) => None,
        }
    }

    fn busy(&self) -> Option<&ContainerId> {
        match self {
            Self::Idle(_) => None,
            Self::Busy(id) => Some(id),
        }
    }
}

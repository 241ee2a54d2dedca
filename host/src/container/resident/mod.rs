//! Resident containers: one per group, started at its first turn and kept warm between turns.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::tz::TimeZone;
use longshore_protocol::{Failure, FailureKind, GroupId, PROTOCOL_VERSION, RunnerCommand, RunnerEvent};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{OnceCell, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::installation::Installation;
use super::mounts::{FolderAccess, Mount};
use super::spec::{ContainerSpec, Limits, SpecInput};
use super::{ContainerId, ContainerRuntime, Exit, RuntimeError, mounts, output};
use crate::broker::access::SignIn;
use crate::broker::{Broker, BrokerLink};
use crate::groups::{ApprovalPolicy, Group, Groups};
use crate::queue::dispatch::GroupSlot;
use crate::stop::Stop;

/// How long a container may take until its runner says `ready`.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// Events of a runner that nobody has read yet; beyond them the container waits.
const EVENTS: usize = 256;

/// What residents are made of and for how long they stay.
pub struct ResidentSettings {
    /// The installation that they belong to.
    pub installation: Installation,
    /// The agent image for groups that name none.
    pub image: String,
    /// The time zone for groups that name none.
    pub timezone: String,
    /// How long a resident may be idle.
    pub idle_timeout: Duration,
    /// How many idle residents are kept at most; the one idle for longest goes first.
    pub max_idle: usize,
}

/// The resident containers of the installation.
pub struct Residents {
    runtime: Arc<dyn ContainerRuntime>,
    broker: Arc<Broker>,
    settings: ResidentSettings,
    idle: Mutex<HashMap<GroupId, Resident>>,
    /// Set once a dead host's containers are gone: before that, none of ours may be started.
    reaped: OnceCell<()>,
}

/// A warm container, held by the turn that uses it or kept idle.
pub struct Resident {
    id: ContainerId,
    generation: u64,
    sign_in: SignIn,
    memory_bytes: u64,
    stdin: Pin<Box<dyn AsyncWrite + Send>>,
    events: mpsc::Receiver<RunnerEvent>,
    exit: BoxFuture<'static, Result<Exit, RuntimeError>>,
    ready: bool,
    idle_since: Instant,
    _pump: AbortOnDropHandle<()>,
    _link: BrokerLink,
}

impl Residents {
    /// No residents yet.
    #[must_use]
    pub fn new(runtime: Arc<dyn ContainerRuntime>, broker: Arc<Broker>, settings: ResidentSettings) -> Self {
        Self { runtime, broker, settings, idle: Mutex::default(), reaped: OnceCell::new() }
    }

    /// The group's resident, started now if there is none that fits the group's configuration.
    ///
    /// # Errors
    /// Whatever keeps a container from running.
    pub async fn acquire(&self, slot: &GroupSlot, group: &Group, sign_in: SignIn) -> Result<Resident, RuntimeError> {
        let idle = self.locked().remove(slot.group());
        if let Some(resident) = idle {
            if resident.fits(group, sign_in) {
                return Ok(resident);
            }
            self.retire(resident).await;
        }
        self.start(group, sign_in).await
    }

    /// Keeps the resident warm for the group's next turn.
    pub async fn put_back(&self, slot: &GroupSlot, mut resident: Resident) {
        resident.idle_since = Instant::now();
        let surplus = {
            let mut idle = self.locked();
            idle.insert(slot.group().clone(), resident);
            let oldest = idle.iter().min_by_key(|(_, resident)| resident.idle_since).map(|(group, _)| group.clone());
            if idle.len() > self.settings.max_idle { oldest.and_then(|group| idle.remove(&group)) } else { None }
        };
        if let Some(resident) = surplus {
            self.retire(resident).await;
        }
    }

    /// Ends a resident: its container is killed and removed.
    pub async fn retire(&self, resident: Resident) {
        if let Err(error) = self.runtime.remove(&resident.id).await {
            // Its label lets the next start of the host find it.
            tracing::warn!(container = %resident.id, %error, "a container could not be removed");
        }
    }

    /// Removes, once, what a dead host left behind: every container with this installation's label.
    ///
    /// # Errors
    /// When the engine does not answer; the next call tries again.
    pub async fn ready_engine(&self) -> Result<(), RuntimeError> {
        self.reaped
            .get_or_try_init(async || {
                let orphans = self.runtime.list(&self.settings.installation.root_hash).await?;
                for orphan in &orphans {
                    self.runtime.remove(&orphan.id).await?;
                }
                if !orphans.is_empty() {
                    tracing::info!(count = orphans.len(), "removed containers that an earlier run left behind");
                }
                Ok(())
            })
            .await
            .copied()
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
        let fits = |id: &GroupId, resident: &Resident| {
            groups.by_id(id).is_some_and(|group| group.generation == resident.generation)
        };
        let outdated: Vec<_> = self.locked().extract_if(|id, resident| !fits(id, resident)).collect();
        for (group, resident) in outdated {
            tracing::info!(%group, container = %resident.id, "container retired: its group has changed");
            self.retire(resident).await;
        }
    }

    /// Ends every idle resident.
    pub async fn close(&self) {
        let all: Vec<Resident> = self.locked().drain().map(|(_, resident)| resident).collect();
        for resident in all {
            self.retire(resident).await;
        }
    }

    /// Retires residents whose idle time is over, until told to stop.
    pub async fn tend(&self, stop: Stop) {
        loop {
            let limit = self.settings.idle_timeout;
            let next = self.locked().values().map(|resident| resident.idle_since + limit).min();
            // A resident that becomes idle while this sleeps ends no earlier than a whole idle time from now.
            let wait = next.map_or(limit, |at| at.saturating_duration_since(Instant::now()));
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let now = Instant::now();
            let over: Vec<Resident> = self
                .locked()
                .extract_if(|_, resident| now.duration_since(resident.idle_since) >= limit)
                .map(|(_, resident)| resident)
                .collect();
            for resident in over {
                self.retire(resident).await;
            }
        }
    }

    /// How the group's provider signs in.
    ///
    /// # Errors
    /// A failure of kind `auth` when there is no credential: no container is started then.
    pub fn sign_in(&self, group: &Group) -> Result<SignIn, Failure> {
        self.broker.sign_in(group)
    }

    /// The groups that have a warm container waiting.
    #[must_use]
    pub fn warm(&self) -> Vec<GroupId> {
        self.locked().keys().cloned().collect()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<GroupId, Resident>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn start(&self, group: &Group, sign_in: SignIn) -> Result<Resident, RuntimeError> {
        let settings = &self.settings;
        let installation = &settings.installation;
        let image = group.container.image.as_deref().unwrap_or(&settings.image);
        self.ready_engine().await?;
        self.runtime.image(image).await?;
        let refused = |error: &dyn std::fmt::Display| RuntimeError::Refused(error.to_string());
        let (owned, id) = (installation.clone(), group.id.clone());
        let prepared = tokio::task::spawn_blocking(move || mounts::prepare(&owned, &id)).await;
        prepared.map_err(|error| refused(&error))?.map_err(|error| refused(&error))?;
        let directory = installation.broker_folder(&group.id);
        let link = self
            .broker
            .open(&group.id, &directory, Some((installation.uid, installation.gid)), sign_in)
            .map_err(|error| refused(&error))?;
        let login: Vec<Mount> = match (sign_in, self.broker.login_directory()) {
            (SignIn::MountedLogin, Some(source)) => {
                vec![mounts::login(installation, source).map_err(|error| refused(&error))?]
            }
            _ => Vec::new(),
        };
        let placeholders = self.broker.placeholders();
        let spec = ContainerSpec::new(&SpecInput {
            installation,
            group: &group.id,
            access: folder_access(group),
            generation: group.generation,
            image,
            timezone: group.timezone.as_ref().and_then(TimeZone::iana_name).unwrap_or(&settings.timezone),
            placeholders: &placeholders,
            additional_mounts: &login,
            limits: limits(group),
        });
        let memory_bytes = spec.limits.memory_bytes;
        let attached = self.runtime.start(&spec).await?;
        tracing::info!(container = %attached.id, group = %group.id, "container started");
        let (sender, events) = mpsc::channel(EVENTS);
        let pump = tokio::spawn(output::pump(attached.output, sender, group.id.clone()));
        Ok(Resident {
            id: attached.id,
            generation: group.generation,
            sign_in,
            memory_bytes,
            stdin: attached.stdin,
            events,
            exit: attached.exit,
            ready: false,
            idle_since: Instant::now(),
            _pump: AbortOnDropHandle::new(pump),
            _link: link,
        })
    }
}

impl Resident {
    /// Whether it was started for the group as it is now, and still runs as far as is known.
    fn fits(&self, group: &Group, sign_in: SignIn) -> bool {
        self.generation == group.generation && self.sign_in == sign_in && !self.events.is_closed()
    }

    /// The engine's id of the container.
    #[must_use]
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// Writes one command line.
    ///
    /// # Errors
    /// The failure of the turn, if the container takes no input any more.
    pub async fn command(&mut self, command: &RunnerCommand) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(command).map_err(|error| internal(error.to_string()))?;
        line.push(b'\n');
        let written = async {
            self.stdin.write_all(&line).await?;
            self.stdin.flush().await
        };
        match written.await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.lost(&error.to_string()).await),
        }
    }

    /// The runner's next event; the first one of a container is checked to be a fitting `ready`.
    ///
    /// # Errors
    /// The failure of the turn, if the container ended or does not speak our protocol.
    pub async fn event(&mut self) -> Result<RunnerEvent, Failure> {
        if self.ready {
            return match self.events.recv().await {
                Some(event) => Ok(event),
                None => Err(self.lost("its output ended").await),
            };
        }
        match tokio::time::timeout(READY_LIMIT, self.events.recv()).await {
            Ok(Some(RunnerEvent::Ready { protocol, agent_version })) if protocol == PROTOCOL_VERSION => {
                self.ready = true;
                Ok(RunnerEvent::Ready { protocol, agent_version })
            }
            Ok(Some(event)) => Err(Failure::new(
                "image",
                FailureKind::Config,
                format!(
                    "the runner began with {event:?} and not with protocol {PROTOCOL_VERSION}; run `longshore image build`"
                ),
            )),
            Ok(None) => Err(self.lost("it ended before it was ready").await),
            Err(_) => Err(Failure::new("container", FailureKind::Transport, "the runner was not ready in 30 s")),
        }
    }

    /// Why the container is no longer there.
    async fn lost(&mut self, symptom: &str) -> Failure {
        let exit = tokio::time::timeout(Duration::from_secs(5), &mut self.exit).await;
        // A future that has ended may not be polled again.
        self.exit = Box::pin(std::future::pending());
        match exit {
            Ok(Ok(Exit { code: 137, out_of_memory: true })) => {
                let limit = self.memory_bytes / (1024 * 1024);
                Failure::new("container", FailureKind::OutOfMemory, format!("killed at its limit of `{limit} MiB`"))
            }
            Ok(Ok(Exit { code, .. })) => internal(format!("{symptom}; the container exited with status {code}")),
            Ok(Err(error)) => Failure::new("container", FailureKind::Transport, error.to_string()),
            Err(_) => internal(format!("{symptom}; the container still runs")),
        }
    }
}

fn folder_access(group: &Group) -> FolderAccess {
    match (group.approval, group.is_main) {
        (ApprovalPolicy::Readonly, _) => FolderAccess::OBSERVER,
        (ApprovalPolicy::Auto | ApprovalPolicy::Full, true) => FolderAccess::MAIN,
        (ApprovalPolicy::Auto | ApprovalPolicy::Full, false) => FolderAccess::ORDINARY,
    }
}

/// The operator's limits over the defaults.
fn limits(group: &Group) -> Limits {
    let default = Limits::default();
    let milli_cpus = group.container.nano_cpus.map(|nano| u32::try_from(nano / 1_000_000).unwrap_or(u32::MAX));
    Limits {
        memory_bytes: group.container.memory_bytes.unwrap_or(default.memory_bytes),
        milli_cpus: milli_cpus.unwrap_or(default.milli_cpus),
        pids: group.container.pids.unwrap_or(default.pids),
    }
}

fn internal(message: String) -> Failure {
    Failure::new("container", FailureKind::Internal, message)
}

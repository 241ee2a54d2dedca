//! A warm container, as the turn that holds it talks to it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use longshore_protocol::{Failure, FailureKind, GroupId, PROTOCOL_VERSION, RunnerCommand, RunnerEvent};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::super::{Attached, ContainerId, ContainerRuntime, Exit, RuntimeError, output};
use super::link::{Link, Way};
use crate::broker::BrokerLink;
use crate::broker::access::SignIn;
use crate::groups::Group;

/// How long a container may take until its runner says `ready`.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// How long a runner may take to read one command.
const INPUT_LIMIT: Duration = Duration::from_secs(30);
/// Events of a runner that nobody has read yet; beyond them the container waits.
const EVENTS: usize = 256;

/// A warm container, held by the turn that uses it or kept idle.
pub struct Resident {
    pub(super) id: ContainerId,
    pub(super) group: GroupId,
    pub(super) generation: u64,
    pub(super) idle_since: Instant,
    sign_in: SignIn,
    memory_bytes: u64,
    stdin: Pin<Box<dyn AsyncWrite + Send>>,
    events: mpsc::Receiver<RunnerEvent>,
    exit: BoxFuture<'static, Result<Exit, RuntimeError>>,
    ready: bool,
    warm: bool,
    _pump: AbortOnDropHandle<()>,
    link: Link,
}

/// What a resident is besides its container's streams.
pub(super) struct Belongings {
    /// Whose it is.
    pub(super) group: GroupId,
    /// Generation of the group that it was started for.
    pub(super) generation: u64,
    /// How its provider signs in.
    pub(super) sign_in: SignIn,
    /// Its memory limit.
    pub(super) memory_bytes: u64,
    /// Its way to the broker.
    pub(super) way: Way,
}

impl Resident {
    pub(super) fn new(attached: Attached, belongings: Belongings, runtime: &Arc<dyn ContainerRuntime>) -> Self {
        let Belongings { group, generation, sign_in, memory_bytes, way } = belongings;
        let link = way.lead(runtime, &attached.id, &group);
        let (sender, events) = mpsc::channel(EVENTS);
        let pump = tokio::spawn(output::pump(attached.output, sender, group.clone()));
        Self {
            id: attached.id,
            group,
            generation,
            idle_since: Instant::now(),
            sign_in,
            memory_bytes,
            stdin: attached.stdin,
            events,
            exit: attached.exit,
            ready: false,
            warm: false,
            _pump: AbortOnDropHandle::new(pump),
            link,
        }
    }

    /// Lets go of the streams. An engine that removes a container waits for whoever does not read what it said.
    /// A socket must outlive the container; other links are streams, too.
    pub(super) fn hang_up(self) -> (ContainerId, Option<BrokerLink>) {
        (self.id, self.link.hang_up())
    }

    /// Whether it was started for the group as it is now, and still runs as far as is known.
    pub(super) fn fits(&self, group: &Group, sign_in: SignIn) -> bool {
        self.generation == group.generation && self.sign_in == sign_in && self.lives()
    }

    /// Whether it still runs, as far as is known.
    pub(super) fn lives(&self) -> bool {
        !self.events.is_closed()
    }

    /// Greets a runner that another host started; whether it is one of ours and has nothing to do. What it
    /// still had to say of its last turn is dropped.
    pub(super) async fn greet(&mut self, limit: Duration) -> bool {
        let greeted = async {
            if self.command(&RunnerCommand::Hello).await.is_err() {
                return false;
            }
            while let Some(event) = self.events.recv().await {
                if let RunnerEvent::Ready { protocol, running, .. } = event {
                    return protocol == PROTOCOL_VERSION && running.is_none();
                }
            }
            false
        };
        self.ready = tokio::time::timeout(limit, greeted).await.unwrap_or(false);
        self.warm = self.ready;
        self.ready
    }

    /// The engine's id of the container.
    #[must_use]
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// Whether it was there before the turn that has it.
    #[must_use]
    pub fn was_warm(&self) -> bool {
        self.warm
    }

    /// From now on it waits for its group's next turn.
    pub(super) fn rest(&mut self) {
        (self.idle_since, self.warm) = (Instant::now(), true);
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
        match tokio::time::timeout(INPUT_LIMIT, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.lost(&error.to_string()).await),
            Err(_) => Err(Failure::new("container", FailureKind::Transport, "the runner does not read its input")),
        }
    }

    /// The runner's next event; the first one of a container is checked to be a fitting `ready`.
    ///
    /// # Errors
    /// The failure of the turn, if the container ended or does not speak our protocol.
    pub async fn event(&mut self) -> Result<RunnerEvent, Failure> {
        if self.ready {
            return match self.events.recv().await {
                Some(event) => Ok(self.with_limit(event)),
                None => Err(self.lost("its output ended").await),
            };
        }
        match tokio::time::timeout(READY_LIMIT, self.events.recv()).await {
            Ok(Some(ready @ RunnerEvent::Ready { protocol: PROTOCOL_VERSION, .. })) => {
                self.ready = true;
                Ok(ready)
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

    /// The runner knows that memory was short, and the host how much there was.
    fn with_limit(&self, mut event: RunnerEvent) -> RunnerEvent {
        if let RunnerEvent::Failed { failure, .. } = &mut event
            && failure.kind == FailureKind::OutOfMemory
        {
            failure.message = format!("{}; its limit is {}", failure.message, limit(self.memory_bytes));
        }
        event
    }

    /// Why the container is no longer there.
    async fn lost(&mut self, symptom: &str) -> Failure {
        let exit = tokio::time::timeout(Duration::from_secs(5), &mut self.exit).await;
        // A future that has ended may not be polled again.
        self.exit = Box::pin(std::future::pending());
        match exit {
            Ok(Ok(Exit { code: 137, out_of_memory: true })) => {
                let limit = limit(self.memory_bytes);
                Failure::new("container", FailureKind::OutOfMemory, format!("killed at its limit of {limit}"))
            }
            Ok(Ok(Exit { code, .. })) => internal(format!("{symptom}; the container exited with status {code}")),
            Ok(Err(error)) => Failure::new("container", FailureKind::Transport, error.to_string()),
            Err(_) => internal(format!("{symptom}; the container still runs")),
        }
    }
}

/// A memory limit as people write it, in backticks: see [`crate::phrases::failure`].
fn limit(bytes: u64) -> String {
    match bytes / (1024 * 1024) {
        mebibytes if mebibytes % 1024 == 0 => format!("`{} GiB`", mebibytes / 1024),
        mebibytes => format!("`{mebibytes} MiB`"),
    }
}

fn internal(message: String) -> Failure {
    Failure::new("container", FailureKind::Internal, message)
}

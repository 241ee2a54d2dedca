//! [`ContainerRuntime`] over the Docker Engine API (Docker, or Podman's service in its place).

pub mod create;
pub mod describe;
mod exec;
mod exit;
mod failure;

use std::collections::HashMap;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::container::AttachContainerResults;
use bollard::models::{ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum as State, SystemVersion};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StatsOptionsBuilder,
};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use longshore_protocol::{LABEL_CLAUDE, LABEL_CODEX, LABEL_PROTOCOL, PROTOCOL_VERSION};
use tokio::sync::{OnceCell, oneshot};
use tokio_util::sync::CancellationToken;

use self::failure::{is_server_error, runtime_error};
use super::spec::{ContainerSpec, LABEL_GROUP, LABEL_ROOT, LABEL_SPEC};
use super::{Attached, ContainerId, ContainerRuntime, Existing, ImageInfo, Piped, Place, Process, RuntimeError};

/// How long the engine may take to begin an answer. Streams run on past it.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Where a local engine listens unless it is told otherwise.
const DEFAULT_SOCKET: &str = "unix:///var/run/docker.sock";

/// A Docker engine, connected to when it is first needed.
#[derive(Debug)]
pub struct DockerRuntime {
    host: String,
    client: OnceLock<Docker>,
    machine: OnceCell<Machine>,
}

/// What the engine runs on.
#[derive(Debug, Clone, Copy)]
struct Machine {
    processors: u32,
    memory_bytes: u64,
    place: Place,
}

impl DockerRuntime {
    /// The engine at `docker_host`, as in `DOCKER_HOST` (`unix://…`, `tcp://…` or `http://…`); the local
    /// engine's usual socket if absent or empty. Connects to nothing yet.
    #[must_use]
    pub fn new(docker_host: Option<&str>) -> Self {
        let host = docker_host.filter(|host| !host.is_empty()).unwrap_or(DEFAULT_SOCKET);
        Self { host: host.to_owned(), client: OnceLock::new(), machine: OnceCell::new() }
    }

    /// The API client.
    ///
    /// # Errors
    /// [`RuntimeError::Unavailable`] when there is no socket, or the address cannot be one.
    pub fn client(&self) -> Result<Docker, RuntimeError> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let client = Docker::connect_with_host(&self.host).map_err(runtime_error)?.with_timeout(ANSWER_WITHIN);
        Ok(self.client.get_or_init(|| client).clone())
    }

    /// What the engine runs on; asked once. One that does not say gets no lowered limit.
    async fn machine(&self, docker: &Docker) -> Result<Machine, RuntimeError> {
        let ask = async || {
            let info = docker.info().await.map_err(runtime_error)?;
            let processors = info.ncpu.and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0);
            let memory_bytes = info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
            let system = info.operating_system.unwrap_or_default();
            let kernel = info.kernel_version.unwrap_or_default();
            Ok(Machine {
                processors: processors.unwrap_or(u32::MAX),
                memory_bytes: memory_bytes.unwrap_or(u64::MAX),
                place: exec::place(&self.host, &system, &kernel, exec::kernel().as_deref()),
            })
        };
        self.machine.get_or_try_init(ask).await.copied()
    }
}

#[async_trait]
impl ContainerRuntime for DockerRuntime {
    async fn ping(&self) -> Result<String, RuntimeError> {
        let docker = self.client()?;
        let version = docker.version().await.map_err(runtime_error)?;
        self.machine(&docker).await?;
        Ok(engine_name(&version))
    }

    async fn image(&self, reference: &str) -> Result<ImageInfo, RuntimeError> {
        let found =
            self.client()?.inspect_image(reference).await.map_err(|error| failure::of_image(error, reference))?;
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        let protocol = labels.get(LABEL_PROTOCOL).map_or("none", String::as_str);
        if protocol != PROTOCOL_VERSION.to_string() {
            return Err(RuntimeError::ImageProtocol {
                image: reference.to_owned(),
                found: protocol.chars().take(20).collect(),
                expected: PROTOCOL_VERSION,
            });
        }
        Ok(ImageInfo {
            id: found.id.unwrap_or_default(),
            claude: labels.get(LABEL_CLAUDE).cloned(),
            codex: labels.get(LABEL_CODEX).cloned(),
        })
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<Attached, RuntimeError> {
        let docker = self.client()?;
        let processors = self.machine(&docker).await?.processors;
        let body = create::body(spec, processors);
        let name = format!("{}-{}", spec.name_prefix, &uuid::Uuid::new_v4().simple().to_string()[..8]);
        let image = spec.image.clone();
        // Apart from the caller, who may give up at any point: a creation under way cannot be taken
        // back, only awaited and undone.
        let (hand_over, handed_over) = oneshot::channel();
        tokio::spawn(async move {
            let _undone_if_nobody_takes_it = hand_over.send(run(docker, name, body, &image).await);
        });
        let lost = |_| RuntimeError::Unavailable("the host is stopping".to_owned());
        let (attached, mut unclaimed) = handed_over.await.map_err(lost)??;
        unclaimed.keep();
        Ok(attached)
    }

    async fn attach(&self, id: &ContainerId) -> Result<Attached, RuntimeError> {
        let docker = self.client()?;
        let streams = attach(&docker, &id.0).await.map_err(runtime_error)?;
        Ok(attached(docker, id.clone(), streams))
    }

    async fn exec(&self, id: &ContainerId, process: &Process) -> Result<Piped, RuntimeError> {
        exec::exec(&self.client()?, id, process).await
    }

    async fn place(&self) -> Result<Place, RuntimeError> {
        Ok(self.machine(&self.client()?).await?.place)
    }

    async fn memory_of(&self, id: &ContainerId) -> Result<u64, RuntimeError> {
        // Without `one_shot` the engine takes a second to measure the processors as well.
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let docker = self.client()?;
        let stats = Box::pin(docker.stats(&id.0, Some(options))).next().await;
        let stats = stats.transpose().map_err(runtime_error)?.and_then(|stats| stats.memory_stats);
        let Some(stats) = stats else { return Ok(0) };
        // cgroup v2 and v1 name it differently; it is the file cache that nobody has used for long.
        let counts = stats.stats.unwrap_or_default();
        let cache = counts.get("inactive_file").or_else(|| counts.get("total_inactive_file"));
        Ok(stats.usage.unwrap_or_default().saturating_sub(cache.copied().unwrap_or_default()))
    }

    async fn memory_total(&self) -> Result<u64, RuntimeError> {
        Ok(self.machine(&self.client()?).await?.memory_bytes)
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        remove(&self.client()?, &id.0).await
    }

    async fn list(&self, root_hash: &str) -> Result<Vec<Existing>, RuntimeError> {
        let filters = HashMap::from([("label", vec![format!("{LABEL_ROOT}={root_hash}")])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let found = self.client()?.list_containers(Some(options)).await.map_err(runtime_error)?;
        Ok(found.into_iter().filter_map(existing).collect())
    }
}

async fn run(
    docker: Docker,
    name: String,
    body: ContainerCreateBody,
    image: &str,
) -> Result<(Attached, Unclaimed), RuntimeError> {
    let mut unclaimed = Unclaimed { docker: docker.clone(), name: Some(name.clone()) };
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let id = match docker.create_container(Some(options), body).await {
        Ok(created) => created.id,
        Err(error) => {
            // A refusal made nothing; and whatever else has this name is not ours to remove.
            if is_server_error(&error) {
                unclaimed.keep()
            } else {
                unclaimed.remove().await
            }
            return Err(failure::of_create(error, image));
        }
    };
    // Before the start: what the container says until the streams are there would be lost.
    match attach_and_start(&docker, &id).await {
        Ok(streams) => Ok((attached(docker, ContainerId(id), streams), unclaimed)),
        Err(error) => {
            unclaimed.remove().await;
            Err(runtime_error(error))
        }
    }
}

async fn attach_and_start(docker: &Docker, id: &str) -> Result<AttachContainerResults, bollard::errors::Error> {
    let streams = attach(docker, id).await?;
    docker.start_container(id, None).await?;
    Ok(streams)
}

async fn attach(docker: &Docker, id: &str) -> Result<AttachContainerResults, bollard::errors::Error> {
    let options = AttachContainerOptionsBuilder::default().stdin(true).stdout(true).stderr(true).stream(true).build();
    docker.attach_container(id, Some(options)).await
}

fn attached(docker: Docker, id: ContainerId, streams: AttachContainerResults) -> Attached {
    let silent = CancellationToken::new();
    let (broke, ended) = (silent.clone(), silent.clone());
    let output = streams
        .output
        .filter_map(move |piece| {
            if piece.is_err() {
                broke.cancel();
            }
            std::future::ready(exec::said(piece))
        })
        .chain(stream::poll_fn(move |_| {
            ended.cancel();
            Poll::Ready(None)
        }));
    let exit = exit::watch(docker, id.clone(), silent).boxed();
    Attached { id, stdin: streams.input, output: output.boxed(), exit }
}

async fn remove(docker: &Docker, id_or_name: &str) -> Result<(), RuntimeError> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match docker.remove_container(id_or_name, Some(options)).await {
        Ok(()) => Ok(()),
        Err(error) if failure::is_gone_or_going(&error) => Ok(()),
        Err(error) => Err(runtime_error(error)),
    }
}

/// A container on its way to whoever asked for it; removed if it does not run or nobody takes it any
/// more. What escapes even so (the host was killed) is found by its label.
struct Unclaimed {
    docker: Docker,
    name: Option<String>,
}

impl Unclaimed {
    fn keep(&mut self) {
        self.name = None;
    }

    async fn remove(&mut self) {
        if let Some(name) = self.name.clone() {
            if let Err(error) = remove(&self.docker, &name).await {
                tracing::warn!(container = name, %error, "a container that did not start stays behind");
            }
            self.name = None;
        }
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let (Some(name), Ok(handle)) = (self.name.take(), tokio::runtime::Handle::try_current()) {
            let mut rest = Self { docker: self.docker.clone(), name: Some(name) };
            handle.spawn(async move { rest.remove().await });
        }
    }
}

fn existing(summary: ContainerSummary) -> Option<Existing> {
    let labels = summary.labels.unwrap_or_default();
    Some(Existing {
        id: ContainerId(summary.id?),
        group: labels.get(LABEL_GROUP).and_then(|group| group.parse().ok()),
        spec: labels.get(LABEL_SPEC).cloned(),
        running: matches!(summary.state, Some(State::RUNNING | State::PAUSED | State::RESTARTING | State::STOPPING)),
    })
}

/// `Docker Engine 20.10.24 (API 1.41)`; Podman names itself as its first component.
fn engine_name(version: &SystemVersion) -> String {
    let engine = version.components.iter().flatten().next().map_or("Engine", |component| component.name.as_str());
    let engine = if engine == "Engine" { "Docker Engine" } else { engine };
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "of unknown version".to_owned());
    format!("{engine} {} (API {})", known(&version.version), known(&version.api_version))
}

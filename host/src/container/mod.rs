//! Containers: one per group, sealed, kept warm.
//!
//! [`ContainerRuntime`] is what the host needs of an engine; `docker` is the real one and tests bring
//! a process runtime. Nothing outside this folder and `broker` assumes that a container's files and
//! sockets are local.

pub mod docker;
pub mod image;
pub mod installation;
pub mod mounts;
mod output;
pub mod resident;
pub mod spec;

use std::fmt;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use longshore_protocol::GroupId;
use thiserror::Error;
use tokio::io::AsyncWrite;

pub use self::installation::Installation;
pub use self::spec::ContainerSpec;

/// The engine's id of a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerId(pub String);

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..12).unwrap_or(&self.0))
    }
}

/// What the host needs of a container engine.
#[async_trait]
pub trait ContainerRuntime: Send + Sync + 'static {
    /// Whether the engine answers, and which it is (for `status`).
    ///
    /// # Errors
    /// [`RuntimeError::Unavailable`] when it does not.
    async fn ping(&self) -> Result<String, RuntimeError>;

    /// What the image says about itself.
    ///
    /// # Errors
    /// [`RuntimeError::ImageMissing`] and [`RuntimeError::ImageProtocol`] tell what to do.
    async fn image(&self, reference: &str) -> Result<ImageInfo, RuntimeError>;

    /// Creates the container, attaches to it and starts it, in that order.
    ///
    /// # Errors
    /// Whatever keeps it from running; nothing is left behind then.
    async fn start(&self, spec: &ContainerSpec) -> Result<Attached, RuntimeError>;

    /// Attaches to a container that runs already.
    ///
    /// # Errors
    /// [`RuntimeError::Unavailable`] or [`RuntimeError::Refused`].
    async fn attach(&self, id: &ContainerId) -> Result<Attached, RuntimeError>;

    /// Starts a process in a running container, as its user and with its streams.
    ///
    /// # Errors
    /// [`RuntimeError::Unavailable`] or [`RuntimeError::Refused`].
    async fn exec(&self, id: &ContainerId, process: &Process) -> Result<Piped, RuntimeError>;

    /// Whether the engine's containers share this machine's kernel, and with it its sockets.
    ///
    /// # Errors
    /// [`RuntimeError::Unavailable`].
    async fn place(&self) -> Result<Place, RuntimeError>;

    /// How much memory the container takes now, in bytes, without what the kernel could take back at once.
    ///
    /// # Errors
    /// [`RuntimeError::Unavailable`] or [`RuntimeError::Refused`].
    async fn memory_of(&self, id: &ContainerId) -> Result<u64, RuntimeError>;

    /// How much memory the engine's machine has, in bytes.
    ///
    /// # Errors
    /// [`RuntimeError::Unavailable`].
    async fn memory_total(&self) -> Result<u64, RuntimeError>;

    /// Kills and removes the container. One that is gone already is fine.
    ///
    /// # Errors
    /// [`RuntimeError::Unavailable`] or [`RuntimeError::Refused`].
    async fn remove(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// The containers of the installation with this root hash, by label and never by name.
    ///
    /// # Errors
    /// [`RuntimeError::Unavailable`].
    async fn list(&self, root_hash: &str) -> Result<Vec<Existing>, RuntimeError>;
}

/// A running container with its streams. Dropping it lets the container be.
///
/// `output` must be read: a container whose output nobody takes stands still.
pub struct Attached {
    /// The engine's id.
    pub id: ContainerId,
    /// The runner's stdin. Closing our end does not close the container's.
    pub stdin: Pin<Box<dyn AsyncWrite + Send>>,
    /// What the runner writes, as it comes: pieces of any size. Its end says nothing; ask `exit`.
    pub output: BoxStream<'static, Result<Output, RuntimeError>>,
    /// Ends when the container has ended, or when the engine lost it from sight or us from its streams
    /// ([`RuntimeError::Unavailable`]: the container may run on, and nobody hears it). Does nothing
    /// until it is awaited; once `output` has ended it does end, too.
    pub exit: BoxFuture<'static, Result<Exit, RuntimeError>>,
}

/// A process to start in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// A process in a container by its streams. Dropping it closes the process's stdin.
pub struct Piped {
    /// Its stdin.
    pub stdin: Pin<Box<dyn AsyncWrite + Send>>,
    /// What it writes; ends with it, or when the engine goes away.
    pub output: BoxStream<'static, Result<Output, RuntimeError>>,
}

/// Where the engine's containers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On this machine's own kernel.
    Here,
    /// In a virtual machine, or on another machine.
    Elsewhere,
}

/// How a container reaches the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// By a unix socket in a folder that is mounted into it.
    Socket,
    /// By the streams of a process that the host starts in it.
    Exec,
}

/// A piece of a container's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Protocol lines.
    Stdout(Bytes),
    /// Anything a person may want to read when something is wrong.
    Stderr(Bytes),
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The exit status; 137 when it was killed.
    pub code: i64,
    /// The kernel killed something in it for want of memory.
    pub out_of_memory: bool,
}

/// What an image's labels say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInfo {
    /// The engine's id of the image.
    pub id: String,
    /// Version of the `claude` CLI inside, if labelled.
    pub claude: Option<String>,
    /// Version of the `codex` CLI inside, if labelled.
    pub codex: Option<String>,
}

/// A container that exists, running or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// The engine's id.
    pub id: ContainerId,
    /// Whose it is, if its label can be read.
    pub group: Option<GroupId>,
    /// Whether it runs now.
    pub running: bool,
    /// What it was made from: its label [`spec::LABEL_SPEC`].
    pub spec: Option<String>,
}

/// Why the engine did not do it.
#[derive(Debug, Clone, Error)]
pub enum RuntimeError {
    /// No answer from the engine: not installed, not started, restarting, or no permission.
    #[error("the container engine does not answer: {0}")]
    Unavailable(String),
    /// The image is not there.
    #[error("the agent image `{image}` is missing; run `longshore image build`")]
    ImageMissing {
        /// The reference that was asked for.
        image: String,
    },
    /// The image is there and was made for another release.
    #[error(
        "the agent image `{image}` speaks protocol {found} and this host speaks {expected}; run `longshore image build`"
    )]
    ImageProtocol {
        /// The reference that was asked for.
        image: String,
        /// What its label says.
        found: String,
        /// What the host needs.
        expected: u32,
    },
    /// The image that a group names for itself cannot be used.
    #[error("the image `{image}`, which `containerConfig.image` of group `{group}` names, {why}")]
    GroupImage {
        /// The group.
        group: GroupId,
        /// The reference that was asked for.
        image: String,
        /// What is wrong with it.
        why: String,
    },
    /// The engine answered and refused.
    #[error("the container engine refused: {0}")]
    Refused(String),
}

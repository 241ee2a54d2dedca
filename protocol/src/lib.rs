//! Wire types: what crosses the container boundary and the channel boundary.
//!
//! Everything here is data and pure functions over data; nothing opens a file, a socket or a clock.
//! Two programs that speak these lines may be of different releases, so readers tolerate unknown
//! fields and [`PROTOCOL_VERSION`] rises only when an old reader would misunderstand a new writer.

pub mod channel;
pub mod event;
pub mod id;
pub mod ipc;
pub mod line;
pub mod paths;
pub mod turn;

pub use event::{Failure, FailureKind, RunnerEvent, Usage};
pub use id::{GroupId, IdError, SessionId, TaskId, TurnId};
pub use turn::{CodexSignIn, HostTools, ProviderKind, ProviderSettings, RunnerCommand, TurnRequest};

/// Version of the lines between the host and `longshore-agent`, and of the adapter lines.
///
/// The agent image carries it as label [`LABEL_PROTOCOL`]; the host refuses an image of another version.
pub const PROTOCOL_VERSION: u32 = 1;

/// Image label with the [`PROTOCOL_VERSION`] that the image's `longshore-agent` speaks.
pub const LABEL_PROTOCOL: &str = "longshore.protocol";
/// Image label with the version of the `claude` CLI inside.
pub const LABEL_CLAUDE: &str = "longshore.claude";
/// Image label with the version of the `codex` CLI inside.
pub const LABEL_CODEX: &str = "longshore.codex";

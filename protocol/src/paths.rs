//! Where things are inside a group's container.

/// The group's folder and the agent's working directory.
pub const GROUP: &str = "/workspace/group";
/// Memory shared by all groups.
pub const GLOBAL: &str = "/workspace/global";
/// Answers and snapshots of the host; read-only.
pub const IPC: &str = "/workspace/ipc";
/// Where the agent drops messages to send; writable.
pub const IPC_MESSAGES: &str = "/workspace/ipc/messages";
/// Where the agent drops requests about tasks and groups; writable.
pub const IPC_TASKS: &str = "/workspace/ipc/tasks";
/// Where the host's answers appear, each under the name of the file that it answers; read-only.
pub const IPC_ANSWERS: &str = "/workspace/ipc/answers";
/// The group's tasks, as [`crate::ipc::TaskSnapshot`]s; of all groups in the main group.
pub const IPC_CURRENT_TASKS: &str = "/workspace/ipc/current_tasks.json";
/// The chats that the host knows, as [`crate::ipc::AvailableGroups`]. In the main group only.
pub const IPC_AVAILABLE_GROUPS: &str = "/workspace/ipc/available_groups.json";
/// The runner's program in the agent image.
pub const AGENT: &str = "/usr/local/bin/longshore-agent";
/// Where the operator's additional mounts appear.
pub const EXTRA: &str = "/workspace/extra";
/// The home directory of the container's user.
pub const HOME: &str = "/home/node";
/// State of `claude`.
pub const CLAUDE_STATE: &str = "/home/node/.claude";
/// State of `codex` (`CODEX_HOME`).
pub const CODEX_STATE: &str = "/home/node/.codex";
/// Directory of the group's broker socket.
pub const BROKER_DIRECTORY: &str = "/run/longshore";
/// The group's broker socket: the only way out.
pub const BROKER_SOCKET: &str = "/run/longshore/broker.sock";
/// Environment variable that tells the runner how it reaches the broker; without it, by [`BROKER_SOCKET`].
pub const LINK_VARIABLE: &str = "LONGSHORE_LINK";
/// Its value for a runner that waits for `longshore-agent link`, which the host starts in the container.
pub const LINK_EXEC: &str = "exec";
/// Loopback port inside the container that `longshore-agent` forwards to [`BROKER_SOCKET`] or the link.
///
/// Each container has a network namespace of its own, so one number serves all.
pub const BRIDGE_PORT: u16 = 7411;
/// Base path of the Anthropic Messages API on the bridge; `/v1/messages` follows.
pub const BROKER_ANTHROPIC: &str = "/anthropic";
/// Base path of the OpenAI Responses API on the bridge; `/responses` follows.
pub const BROKER_OPENAI: &str = "/openai/v1";
/// Path on the bridge where a mounted ChatGPT login is refreshed.
pub const BROKER_LOGIN_TOKEN: &str = "/openai/oauth/token";
/// Where a mounted ChatGPT login lies; codex's own `auth.json` is a link into it.
pub const CODEX_LOGIN: &str = "/home/node/.codex-login";
/// What stands for a credential inside; the broker puts the real one in its place.
pub const PLACEHOLDER_CREDENTIAL: &str = "longshore-placeholder";

//! Groups: which chats are served, by whom and how, as the operator wrote it in `registered_groups.json`.
//!
//! The file is edited by hand while the host runs, and by the host itself. [`load()`] turns its bytes into
//! [`Groups`] and reports every problem with its place; [`watch`] does so whenever the file changes;
//! [`edit`] is the only way in which the host writes it. An entry with a problem keeps the group as it
//! last was, so that no slip of a hand silences a bot.

pub(crate) mod check;
pub mod edit;
mod egress;
pub mod entry;
mod load;
pub(crate) mod problem;
mod resolve;
mod settle;
pub(crate) mod syntax;
pub mod watch;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use longshore_protocol::{GroupId, ProviderKind, ProviderSettings};

pub use self::entry::{ApprovalPolicy, AuthMethod, CodexTools, Credentials, Egress, Entry, Network};
pub use self::load::{Loaded, load};
pub use self::problem::{Effect, Position, Problem};

use crate::broker::egress::rules::Rules;
use crate::usage::budget::Budget;

/// The name of the file, in the host's `data` directory.
pub const FILE_NAME: &str = "registered_groups.json";

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = crate::follow::MAX_BYTES;

/// A group as the host uses it. It exists only if its entry was without a mistake.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The chat that it serves: a channel's own id.
    pub chat: String,
    /// Its folder's name, which is its identity everywhere else.
    pub id: GroupId,
    /// Its name, for people.
    pub name: String,
    /// Whether it may act for every group.
    pub is_main: bool,
    /// Whether a message must be addressed to the assistant to wake it. Of no effect in the main group.
    pub requires_trigger: bool,
    /// What addresses the assistant; absent means `@` and the assistant's name.
    pub trigger: Option<String>,
    /// When it was registered, as written.
    pub added_at: Option<String>,
    /// Which CLI answers.
    pub provider: ProviderKind,
    /// What the operator chose for that CLI.
    pub settings: ProviderSettings,
    /// How freely the agent acts inside its container.
    pub approval: ApprovalPolicy,
    /// What is chosen for `codex` beyond [`Group::settings`]; the defaults for another provider.
    pub codex: CodexChoices,
    /// What its container is given.
    pub container: ContainerChoices,
    /// The time zone of its people; absent means the host's.
    pub timezone: Option<TimeZone>,
    /// What it may use of its models.
    pub budget: Budget,
    /// The [`Groups::generation`] in which any of the above last changed.
    pub generation: u64,
    /// `isMain` as written; [`Group::is_main`] also knows the rule for files that never say it.
    main_claim: Option<bool>,
}

/// What an operator may choose for `codex` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CodexChoices {
    /// How `codex` signs in; absent means whichever credential the host has.
    pub auth_method: Option<AuthMethod>,
    /// Whether the credential stays outside of the container.
    pub credentials: Credentials,
    /// How the agent reaches the host.
    pub tools: CodexTools,
}

/// What an operator may choose for a group's container. Absent means the host's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerChoices {
    /// Further directories, each subject to the mount allowlist.
    pub mounts: Vec<ExtraMount>,
    /// Another image.
    pub image: Option<String>,
    /// What of the network it reaches by itself.
    pub network: Network,
    /// How long one turn may take.
    pub time_limit: Option<Duration>,
    /// Whether the container is started before the first message.
    pub prewarm: bool,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// CPU time in billionths of a CPU.
    pub nano_cpus: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// What its tools may reach.
    pub egress: Rules,
}

/// A directory of the host that the operator wants in the container. Not checked against anything yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraMount {
    /// The directory on the host; may start with `~`.
    pub host_path: String,
    /// Its name under `/workspace/extra`; absent means the last component of the host path.
    pub container_path: Option<String>,
    /// Whether the agent may only read it; it may unless the entry says `"readonly": false`.
    pub readonly: bool,
}

/// All groups that are served: one consistent reading of the file.
///
/// No two share a chat or a folder (in any case of letters), and at most one is main.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    generation: u64,
    ordered: Vec<Arc<Group>>,
    by_chat: HashMap<String, Arc<Group>>,
    by_id: HashMap<GroupId, Arc<Group>>,
}

impl Groups {
    fn new(generation: u64, ordered: Vec<Arc<Group>>) -> Self {
        let by_chat = ordered.iter().map(|group| (group.chat.clone(), Arc::clone(group))).collect();
        let by_id = ordered.iter().map(|group| (group.id.clone(), Arc::clone(group))).collect();
        Self { generation, ordered, by_chat, by_id }
    }

    /// The number of the load that made this; 0 before the first.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The group that serves a chat.
    #[must_use]
    pub fn by_chat(&self, chat: &str) -> Option<&Arc<Group>> {
        self.by_chat.get(chat)
    }

    /// The group with a folder.
    #[must_use]
    pub fn by_id(&self, id: &GroupId) -> Option<&Arc<Group>> {
        self.by_id.get(id)
    }

    /// The main group.
    #[must_use]
    pub fn main(&self) -> Option<&Arc<Group>> {
        self.ordered.iter().find(|group| group.is_main)
    }

    /// Every group, in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Group>> {
        self.ordered.iter()
    }

    /// What follows when these are served and the file cannot be used.
    fn effect_of_no_file(&self) -> Effect {
        if self.is_empty() { Effect::NothingServed } else { Effect::NothingChanged }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ordered.len()
    }

    /// Whether no chat is served.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ordered.is_empty()
    }
}

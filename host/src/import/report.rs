//! What an import found and did, for people and for programs. Pure.

use serde::Serialize;

/// The whole report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The folder that was read.
    pub source: String,
    /// Of which era it is.
    pub era: Era,
    /// Whether anything was to be changed here, or only looked at.
    pub applied: bool,
    /// One for each thing that was found, in the order in which it is done.
    pub items: Vec<Item>,
}

/// Where NanoClaw v1 kept its groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Era {
    /// In JSON files under `data/`: the first week of 2026.
    Json,
    /// In `store/messages.db`.
    Sqlite,
}

/// One thing of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Which one.
    pub name: String,
    /// What becomes of it.
    pub state: State,
    /// What it holds, or why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What the operator can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<String>,
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An allowlist of the operator.
    Allowlist,
    /// The files of a group's folder.
    Memory,
    /// A registered chat.
    Group,
    /// A scheduled task.
    Task,
    /// The conversation that Claude keeps for a group.
    Session,
    /// What was said in a group's chat.
    History,
    /// Something else of the installation.
    Source,
}

impl Kind {
    /// For people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowlist => "allowlist",
            Self::Memory => "memory",
            Self::Group => "group",
            Self::Task => "task",
            Self::Session => "session",
            Self::History => "history",
            Self::Source => "source",
        }
    }
}

/// What becomes of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It would be added.
    Add,
    /// It was added just now.
    Added,
    /// It is here already.
    Same,
    /// Something else is here in its place, and stays.
    Conflict,
    /// It cannot be taken over.
    Cannot,
    /// It should have been added and was not.
    Failed,
    /// Nothing is done about it.
    Note,
}

impl State {
    /// For people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Added => "added",
            Self::Same => "same",
            Self::Conflict => "conflict",
            Self::Cannot => "cannot",
            Self::Failed => "failed",
            Self::Note => "note",
        }
    }

    /// Whether something of the source is left out because of it.
    #[must_use]
    pub fn leaves_out(self) -> bool {
        matches!(self, Self::Conflict | Self::Cannot | Self::Failed)
    }
}

impl Item {
    /// An item without advice.
    #[must_use]
    pub fn new(kind: Kind, name: impl Into<String>, state: State, detail: impl Into<String>) -> Self {
        Self { kind, name: name.into(), state, detail: detail.into(), by_hand: None }
    }

    /// The same with what can be done about it.
    #[must_use]
    pub fn by_hand(mut self, advice: impl Into<String>) -> Self {
        self.by_hand = Some(advice.into());
        self
    }
}

impl Report {
    /// How many items have a state.
    #[must_use]
    pub fn count(&self, state: State) -> usize {
        self.items.iter().filter(|item| item.state == state).count()
    }

    /// Whether something is left for the operator to decide.
    #[must_use]
    pub fn leaves_out(&self) -> bool {
        self.items.iter().any(|item| item.state.leaves_out())
    }
}

//! Files of agents: what one asked for and its answer are one transaction, so it is done once.

use jiff::Timestamp;
use longshore_protocol::ipc::Answer;
use longshore_protocol::{GroupId, TaskId};
use rusqlite::{Connection, OptionalExtension, params};

use super::outbox::{OutboxKind, insert};
use super::tasks::{self, Task, TaskChange};
use super::{Store, StoreError, millis};

/// Which file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PetitionKey {
    /// Whose it is.
    pub group: GroupId,
    /// The folder in which it lay.
    pub folder: &'static str,
    /// Its name.
    pub file: String,
    /// What tells it from another file of the same name.
    pub identity: String,
}

/// What a granted file does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PetitionEffect {
    /// Nothing, or nothing that is the store's.
    Nothing,
    /// Changes a task.
    Task(TaskChange),
    /// Says something in a chat, in these pieces.
    Say {
        /// Where.
        chat: String,
        /// What.
        pieces: Vec<String>,
    },
}

/// Decides about a file, told the task that it is about, if there is one, and how many tasks the group
/// whose task it is to be has that are not over.
pub type Decide = Box<dyn FnOnce(Option<Task>, u64) -> (Answer, PetitionEffect) + Send>;

/// A file to decide about.
pub struct Asked {
    /// Which.
    pub key: PetitionKey,
    /// The task that it is about.
    pub task: Option<TaskId>,
    /// The group whose tasks are counted.
    pub owner: GroupId,
    /// The decision.
    pub decide: Decide,
}

/// An answer, and whether it was given just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The answer.
    pub answer: Answer,
    /// False for a file that had been answered before.
    pub is_new: bool,
    /// The group whose task was changed.
    pub touched: Option<GroupId>,
}

impl Store {
    /// Decides about files in their order and does what is granted, all in one transaction. A file that
    /// had its answer before gets the same again, and nothing else happens.
    ///
    /// # Errors
    /// What the store says; nothing was done then.
    pub async fn grant(&self, files: Vec<Asked>, now: Timestamp) -> Result<Vec<Answered>, StoreError> {
        self.run(move |connection| files.into_iter().map(|asked| grant(connection, asked, now)).collect()).await
    }

    /// The answer that a file had before.
    ///
    /// # Errors
    /// What the store says.
    pub async fn answered(&self, key: PetitionKey) -> Result<Option<Answer>, StoreError> {
        self.read(move |connection| remembered(connection, &key)).await
    }
}

fn grant(connection: &Connection, asked: Asked, now: Timestamp) -> rusqlite::Result<Answered> {
    let Asked { key, task, owner, decide } = asked;
    if let Some(answer) = remembered(connection, &key)? {
        return Ok(Answered { answer, is_new: false, touched: None });
    }
    let task = match &task {
        Some(id) => tasks::task(connection, id)?,
        None => None,
    };
    let count = tasks::count(connection, &owner)?;
    let (mut answer, effect) = decide(task, count);
    if effect != PetitionEffect::Nothing {
        // A turn that had its wish granted has had an effect: it is not run again from the start.
        connection
            .prepare_cached("UPDATE turns SET said = 1 WHERE group_id = ?1 AND state = 'running' AND said = 0")?
            .execute([key.group.as_str()])?;
    }
    let mut touched = None;
    match effect {
        PetitionEffect::Nothing => {}
        PetitionEffect::Task(change) => {
            touched = change.task().map(|task| task.group.clone());
            tasks::apply(connection, &change, now)?;
        }
        PetitionEffect::Say { chat, pieces } => {
            let turn: Option<String> = connection
                .prepare_cached("SELECT id FROM turns WHERE group_id = ?1 AND state = 'running' AND chat = ?2")?
                .query_row([key.group.as_str(), chat.as_str()], |row| row.get(0))
                .optional()?;
            answer.id = insert(connection, OutboxKind::Reply, &chat, turn.as_deref(), None, &pieces, now)?;
        }
    }
    let text = serde_json::to_string(&answer).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    connection
        .prepare_cached(
            "REPLACE INTO petitions (group_id, folder, file, identity, answer, answered_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![key.group.as_str(), key.folder, key.file, key.identity, text, millis(now)])?;
    Ok(Answered { answer, is_new: true, touched })
}

fn remembered(connection: &Connection, key: &PetitionKey) -> rusqlite::Result<Option<Answer>> {
    let text: Option<String> = connection
        .prepare_cached(
            "SELECT answer FROM petitions WHERE group_id = ?1 AND folder = ?2 AND file = ?3 AND identity = ?4",
        )?
        .query_row([key.group.as_str(), key.folder, &key.file, &key.identity], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

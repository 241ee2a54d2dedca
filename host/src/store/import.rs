//! What an import has to know of the store, and the history that it brings.

use std::collections::HashMap;
use std::path::Path;

use longshore_protocol::{GroupId, ProviderKind, SessionId, TaskId};
use rusqlite::params;

use super::beside::Beside;
use super::messages::{NewMessage, record};
use super::tasks::{Task, all_tasks};
use super::{Store, StoreError, migrate};

/// Why an imported message wakes nobody, as its row says.
pub const ROUTE: &str = "imported from NanoClaw";

/// What is in the store of that which an import may bring.
#[derive(Debug, Clone, Default)]
pub struct Present {
    /// Every task, also those that are over.
    pub tasks: HashMap<TaskId, Task>,
    /// The conversations with Claude.
    pub sessions: HashMap<GroupId, SessionId>,
    /// What was said, by chat.
    pub talks: HashMap<String, Talk>,
}

/// How many messages of a chat there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Talk {
    /// Imported ones.
    pub imported: u64,
    /// Others.
    pub own: u64,
}

/// Reads what is there, and changes nothing; `None` for a database of an older release, which the host or an
/// import that is applied brings up to date.
///
/// # Errors
/// [`StoreError::Newer`]; otherwise what SQLite says.
pub fn present(file: &Path) -> Result<Option<Present>, StoreError> {
    let beside = Beside::open_to_read(file)?;
    if beside.schema(file)? < migrate::NEWEST {
        return Ok(None);
    }
    let connection = beside.connection();
    connection.execute_batch("BEGIN")?;
    let tasks = all_tasks(connection)?.into_iter().map(|task| (task.id.clone(), task)).collect();
    let mut query = connection.prepare("SELECT group_id, session FROM sessions WHERE provider = ?1")?;
    let sessions = query
        .query_map([ProviderKind::Claude.as_str()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
        .filter_map(|row| row.map(|(group, session)| Some((group.parse().ok()?, session.parse().ok()?))).transpose())
        .collect::<rusqlite::Result<_>>()?;
    let mut query = connection.prepare(
        "SELECT chat, count(*) FILTER (WHERE route = ?1), count(*) FILTER (WHERE route <> ?1) FROM messages GROUP BY chat",
    )?;
    let talks = query
        .query_map([ROUTE], |row| Ok((row.get(0)?, Talk { imported: row.get(1)?, own: row.get(2)? })))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(Present { tasks, sessions, talks }))
}

impl Store {
    /// Stores what was said in a group's chat before it came here, and moves the group's cursor past it, so that
    /// no turn is told of it; all of it or nothing. Gives the number of rows that are new; none where people
    /// have begun to talk here.
    ///
    /// # Errors
    /// What the store says.
    pub async fn import_history(&self, group: GroupId, chat: String, said: Vec<NewMessage>) -> Result<u64, StoreError> {
        self.run(move |connection| {
            let own: bool = connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM messages WHERE chat = ?1 AND route <> ?2)",
                [chat.as_str(), ROUTE],
                |row| row.get(0),
            )?;
            if own {
                return Ok(0);
            }
            let (mut new, mut last) = (0, 0);
            for message in &said {
                let recorded = record(connection, message)?;
                new += u64::from(recorded.is_new);
                last = last.max(recorded.seq);
            }
            connection.execute(
                "INSERT INTO cursors VALUES (?1, ?2)
                 ON CONFLICT (group_id) DO UPDATE SET settled_seq = max(settled_seq, excluded.settled_seq)",
                params![group.as_str(), last],
            )?;
            Ok(new)
        })
        .await
    }
}

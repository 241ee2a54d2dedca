//! How each group stands, read from its rows: with a host beside, or without.

use std::path::Path;

use jiff::Timestamp;
use longshore_protocol::GroupId;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::beside::Beside;
use super::{StoreError, migrate, timestamp};

const RUNNING: &str = "SELECT id, started_at, created_at, not_before, attempt, failure_code, task FROM turns
    WHERE group_id = ?1 AND state = 'running'";
const WAITING: &str = "SELECT id, started_at, created_at, not_before, attempt, failure_code, task FROM turns
    WHERE group_id = ?1 AND state = 'waiting' ORDER BY ifnull(not_before, 0), created_at LIMIT 1";
const UNTAKEN: &str = "SELECT min(received_at) FROM messages WHERE chat = ?1 AND wakes = 1 AND turn IS NULL
    AND seq > ifnull((SELECT settled_seq FROM cursors WHERE group_id = ?2), 0)";
const LAST: &str = "SELECT id, state, started_at, ended_at, failure_code, task FROM turns
    WHERE group_id = ?1 AND started_at IS NOT NULL AND state IN ('settled', 'gave_up')
    ORDER BY started_at DESC, id DESC LIMIT 1";
const NEXT_TASK: &str = "SELECT id, next_run FROM tasks
    WHERE group_id = ?1 AND status = 'active' AND next_run IS NOT NULL ORDER BY next_run, id LIMIT 1";
const COUNTS: &str = "SELECT (SELECT count(*) FROM outbox WHERE state = 'pending'),
    (SELECT count(*) FROM outbox WHERE state = 'dead'),
    (SELECT count(*) FROM tasks WHERE status = 'active'), (SELECT count(*) FROM tasks WHERE status = 'paused')";

/// How an installation stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Glance {
    /// The groups that were asked for, in that order.
    pub groups: Vec<GroupGlance>,
    /// Messages that wait to be sent, and that were given up.
    pub outbox: (u64, u64),
    /// Tasks that run when their time comes, and that are kept and do not.
    pub tasks: (u64, u64),
}

/// How a group stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupGlance {
    /// Its turn that is marked as running: without a host, one that was interrupted.
    pub running: Option<OpenTurn>,
    /// Its turn that waits and comes first.
    pub waiting: Option<OpenTurn>,
    /// Since when a message waits that wakes it and has no turn.
    pub untaken_since: Option<Timestamp>,
    /// Its last turn that is over.
    pub last: Option<EndedTurn>,
    /// Its next task and when that runs.
    pub next_task: Option<(String, Timestamp)>,
}

/// A turn that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTurn {
    /// Its id.
    pub id: String,
    /// When its last attempt began, or else when it was made.
    pub since: Timestamp,
    /// Before when it is not tried again.
    pub not_before: Option<Timestamp>,
    /// How many attempts it has had.
    pub attempt: u32,
    /// Why its last attempt failed.
    pub failure: Option<String>,
    /// The task, if it is a run of one.
    pub task: Option<String>,
}

/// A turn that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedTurn {
    /// Its id.
    pub id: String,
    /// Whether it was settled; else it was given up.
    pub settled: bool,
    /// When its last attempt began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Why it was given up.
    pub failure: Option<String>,
    /// The task, if it was a run of one.
    pub task: Option<String>,
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Glanced {
    /// The file is of an older release and is brought up to date when a host starts.
    Older {
        /// Its schema version.
        found: i64,
    },
    /// How things stand.
    Read(Glance),
}

/// Looks at a database file, by a connection of its own that only reads: how these groups, with their chats, stand.
///
/// # Errors
/// [`StoreError::Newer`]; otherwise what SQLite says.
pub fn glance(file: &Path, groups: &[(GroupId, String)]) -> Result<Glanced, StoreError> {
    let beside = Beside::open_to_read(file)?;
    let found = beside.schema(file)?;
    if found < migrate::NEWEST {
        return Ok(Glanced::Older { found });
    }
    let connection = beside.connection();
    // One moment of it.
    connection.execute_batch("BEGIN")?;
    let groups = groups.iter().map(|(group, chat)| of_group(connection, group, chat)).collect::<Result<_, _>>()?;
    let (outbox, tasks) =
        connection.query_row(COUNTS, [], |row| Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?))))?;
    Ok(Glanced::Read(Glance { groups, outbox, tasks }))
}

fn of_group(connection: &Connection, group: &GroupId, chat: &str) -> rusqlite::Result<GroupGlance> {
    let group = group.as_str();
    let open = |sql| connection.prepare_cached(sql)?.query_row([group], open_turn).optional();
    let untaken: Option<i64> = connection.prepare_cached(UNTAKEN)?.query_row(params![chat, group], |row| row.get(0))?;
    let next = |row: &Row<'_>| Ok((row.get(0)?, timestamp(row.get(1)?)));
    Ok(GroupGlance {
        running: open(RUNNING)?,
        waiting: open(WAITING)?,
        untaken_since: untaken.map(timestamp),
        last: connection.prepare_cached(LAST)?.query_row([group], ended_turn).optional()?,
        next_task: connection.prepare_cached(NEXT_TASK)?.query_row([group], next).optional()?,
    })
}

fn open_turn(row: &Row<'_>) -> rusqlite::Result<OpenTurn> {
    let (started, created): (Option<i64>, i64) = (row.get(1)?, row.get(2)?);
    Ok(OpenTurn {
        id: row.get(0)?,
        since: timestamp(started.unwrap_or(created)),
        not_before: row.get::<_, Option<i64>>(3)?.map(timestamp),
        attempt: row.get(4)?,
        failure: row.get(5)?,
        task: row.get(6)?,
    })
}

fn ended_turn(row: &Row<'_>) -> rusqlite::Result<EndedTurn> {
    let state: String = row.get(1)?;
    let (started, ended): (i64, Option<i64>) = (row.get(2)?, row.get(3)?);
    Ok(EndedTurn {
        id: row.get(0)?,
        settled: state == "settled",
        started_at: timestamp(started),
        ended_at: timestamp(ended.unwrap_or(started)),
        failure: row.get(4)?,
        task: row.get(5)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{at, begun, open, record, retry};
    use crate::store::turns::EndTurn;

    fn look(folder: &tempfile::TempDir) -> GroupGlance {
        let groups = [("family".parse().unwrap(), "test:1".to_owned())];
        match glance(&folder.path().join("longshore.db"), &groups).unwrap() {
            Glanced::Read(Glance { mut groups, .. }) => groups.remove(0),
            older => panic!("{older:?}"),
        }
    }

    #[tokio::test]
    async fn a_group_is_seen_through_a_turn_and_its_second_try() {
        let (folder, store) = open();
        assert_eq!(look(&folder), GroupGlance::default());
        record(&store, "a", false).await;
        assert_eq!(look(&folder), GroupGlance::default(), "context waits for nothing");
        record(&store, "b", true).await;
        assert_eq!(look(&folder), GroupGlance { untaken_since: Some(at(0)), ..GroupGlance::default() });
        let turn = begun(&store, at(10)).await;
        let seen = look(&folder);
        assert_eq!((seen.untaken_since, seen.running.map(|open| open.since)), (None, Some(at(10))));
        store.end_turn(turn.id.clone(), retry(60), at(20)).await.unwrap();
        record(&store, "c", true).await;
        let seen = look(&folder);
        let waiting = seen.waiting.unwrap();
        assert_eq!((waiting.not_before, waiting.failure.as_deref()), (Some(at(60)), Some("CLAUDE_TRANSPORT_ERROR")));
        assert_eq!((seen.running, seen.untaken_since), (None, Some(at(0))));
        let turn = begun(&store, at(60)).await;
        store.end_turn(turn.id.clone(), EndTurn::Settled, at(65)).await.unwrap();
        let seen = look(&folder);
        let last = seen.last.unwrap();
        assert_eq!((last.settled, last.started_at, last.ended_at), (true, at(60), at(65)));
        assert_eq!((seen.running, seen.waiting, seen.untaken_since), (None, None, Some(at(0))));
    }
}

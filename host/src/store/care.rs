//! Forgetting what is finished and old, a few rows a request, so that nothing else waits for long.
//!
//! Each table is walked from its oldest row in the order of its key, which is the order of time, and a
//! walk ends where the rows are young. Space that is freed is used by later rows: the file does not shrink,
//! because moving its pages about (`incremental_vacuum`) would write as much as it gains.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Store, StoreError, millis};

/// How many rows one request looks at or removes at most.
const BATCH: usize = 500;

const MESSAGES: &str =
    "SELECT m.seq, m.received_at, m.chat, m.wakes, m.turn IS NOT NULL, ifnull(t.state IN ('waiting', 'running'), 0)
    FROM messages m LEFT JOIN turns t ON t.id = m.turn WHERE m.seq > ?1 ORDER BY m.seq LIMIT ?2";
const OUTBOX: &str =
    "SELECT id, created_at, state <> 'pending' AND ended_at < ?3 FROM outbox WHERE id > ?1 ORDER BY id LIMIT ?2";
/// Ids of turns are version 7 UUIDs, which sort as they were made.
const TURNS: &str = "SELECT id, created_at, state IN ('settled', 'gave_up') AND ended_at < ?3
        AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.turn = turns.id AND outbox.state = 'pending')
    FROM turns WHERE id > ?1 ORDER BY id LIMIT ?2";
const TASKS: &str =
    "SELECT id, status IN ('completed', 'cancelled'), created_at < ?3 FROM tasks WHERE id > ?1 ORDER BY id LIMIT ?2";
/// The newest run of a task that is not over stays: it is what `longshore tasks` shows of it.
const RUNS: &str = "DELETE FROM runs WHERE task = ?1 AND scheduled_for IN (
        SELECT scheduled_for FROM runs WHERE task = ?1 AND scheduled_for < ?2 AND fired_at < ?2
            AND outcome NOT IN ('waiting', 'running') AND ifnull(ended_at, fired_at) < ?2
            AND (?3 OR scheduled_for < (SELECT max(scheduled_for) FROM runs WHERE task = ?1))
        ORDER BY scheduled_for LIMIT ?4)";
const TASK: &str = "DELETE FROM tasks WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM runs WHERE task = ?1)";
const PETITIONS: &str = "DELETE FROM petitions WHERE (group_id, folder, file) IN (
        SELECT group_id, folder, file FROM petitions WHERE answered_at < ?1 ORDER BY answered_at LIMIT ?2)";

/// Which group serves a chat, by the chat's id.
pub type Served = Arc<HashMap<String, String>>;

/// What one request removed, and where the next goes on; `None` at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<Place> {
    /// How many rows.
    pub removed: u64,
    /// The key of the last row that was looked at.
    pub next: Option<Place>,
}

impl Store {
    /// Forgets messages after `after` that came before `before` and are settled: their turn has ended, or
    /// their group's turns have passed them, or no group serves their chat and they wake nobody. Without
    /// `served`, which is not known while the groups file has a mistake, only those of the first kind.
    ///
    /// # Errors
    /// What the store says.
    pub async fn forget_messages(
        &self,
        after: i64,
        before: Timestamp,
        served: Option<Served>,
    ) -> Result<Step<i64>, StoreError> {
        self.run(move |connection| messages(connection, after, millis(before), served.as_deref())).await
    }

    /// Forgets what was sent or given up before `before`.
    ///
    /// # Errors
    /// What the store says.
    pub async fn forget_outbox(&self, after: i64, before: Timestamp) -> Result<Step<i64>, StoreError> {
        self.run(move |connection| {
            let rows: Vec<(i64, i64, bool)> = connection
                .prepare_cached(OUTBOX)?
                .query_map(params![after, BATCH, millis(before)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<_>>()?;
            sweep(connection, "DELETE FROM outbox WHERE id = ?1", rows, millis(before))
        })
        .await
    }

    /// Forgets turns that ended before `before` and of which everything was sent or given up.
    ///
    /// # Errors
    /// What the store says.
    pub async fn forget_turns(&self, after: String, before: Timestamp) -> Result<Step<String>, StoreError> {
        self.run(move |connection| {
            let rows: Vec<(String, i64, bool)> = connection
                .prepare_cached(TURNS)?
                .query_map(params![after, BATCH, millis(before)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<_>>()?;
            sweep(connection, "DELETE FROM turns WHERE id = ?1", rows, millis(before))
        })
        .await
    }

    /// Forgets the runs of tasks that ended before `before`, and tasks that are over and have no run left.
    ///
    /// # Errors
    /// What the store says.
    pub async fn forget_runs(&self, after: String, before: Timestamp) -> Result<Step<String>, StoreError> {
        self.run(move |connection| runs(connection, after, millis(before))).await
    }

    /// Forgets some answers to petitions that were given before `before`; 0 when none is left.
    ///
    /// # Errors
    /// What the store says.
    pub async fn forget_answered(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.run(move |connection| connection.prepare_cached(PETITIONS)?.execute(params![millis(before), BATCH])).await
    }
}

/// Removes the rows whose last field says so. Rows are their key and when they were made.
fn sweep<Key: rusqlite::ToSql>(
    connection: &Connection,
    delete: &str,
    rows: Vec<(Key, i64, bool)>,
    before: i64,
) -> rusqlite::Result<Step<Key>> {
    let mut delete = connection.prepare_cached(delete)?;
    let mut removed = 0;
    for (key, _, _) in rows.iter().filter(|(_, _, over)| *over) {
        removed += delete.execute([key])? as u64;
    }
    let more = rows.len() == BATCH;
    // A batch whose last row is young ends the walk: a clock that was once wrong costs a batch, no more.
    let next = rows.into_iter().next_back().filter(|(_, made, _)| more && *made < before).map(|(key, _, _)| key);
    Ok(Step { removed, next })
}

fn messages(
    connection: &Connection,
    after: i64,
    before: i64,
    served: Option<&HashMap<String, String>>,
) -> rusqlite::Result<Step<i64>> {
    let mut cursors: HashMap<String, i64> = HashMap::new();
    let mut rows = Vec::new();
    let mut query = connection.prepare_cached(MESSAGES)?;
    let mut found = query.query(params![after, BATCH])?;
    while let Some(row) = found.next()? {
        let (seq, received_at, chat): (i64, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (wakes, has_turn, turn_is_open): (bool, bool, bool) = (row.get(3)?, row.get(4)?, row.get(5)?);
        let settled = match (has_turn, served.map(|served| served.get(&chat))) {
            (true, _) => !turn_is_open,
            (false, None) => false,
            (false, Some(None)) => !wakes,
            (false, Some(Some(group))) => seq <= cursor(connection, &mut cursors, group)?,
        };
        rows.push((seq, received_at, settled && received_at < before));
    }
    sweep(connection, "DELETE FROM messages WHERE seq = ?1", rows, before)
}

fn cursor(connection: &Connection, known: &mut HashMap<String, i64>, group: &str) -> rusqlite::Result<i64> {
    if let Some(seq) = known.get(group) {
        return Ok(*seq);
    }
    let seq = connection
        .prepare_cached("SELECT settled_seq FROM cursors WHERE group_id = ?1")?
        .query_row([group], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    known.insert(group.to_owned(), seq);
    Ok(seq)
}

fn runs(connection: &Connection, after: String, before: i64) -> rusqlite::Result<Step<String>> {
    let tasks: Vec<(String, bool, bool)> = connection
        .prepare_cached(TASKS)?
        .query_map(params![after, BATCH, before], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let more = tasks.len() == BATCH;
    let (mut removed, mut last) = (0, after);
    for (task, over, is_old) in tasks {
        removed += connection.prepare_cached(RUNS)?.execute(params![task, before, over, BATCH - removed])?;
        if removed == BATCH {
            // There may be more of this task: the next step begins with it.
            return Ok(Step { removed: BATCH as u64, next: Some(last) });
        }
        if over && is_old {
            removed += connection.prepare_cached(TASK)?.execute([&task])?;
        }
        last = task;
        if removed == BATCH {
            return Ok(Step { removed: BATCH as u64, next: Some(last) });
        }
    }
    Ok(Step { removed: removed as u64, next: more.then_some(last) })
}

#[cfg(test)]
mod tests;

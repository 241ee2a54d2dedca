//! A task's row.

use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};

use super::{PausedBecause, Task};
use crate::store::{millis, timestamp};

/// The columns, in the order in which [`read`] takes them.
pub(super) const COLUMNS: &str = "id, group_id, prompt, schedule_type, schedule_value, timezone, zone, context_mode, \
    misfire, overlap, jitter_seconds, status, paused_because, anchor, next_run, due_at, failures, created_by, created_at";

/// Reads a row of [`COLUMNS`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Task> {
    Ok(Task {
        id: parsed(row, 0)?,
        group: parsed(row, 1)?,
        prompt: row.get(2)?,
        schedule_type: parsed(row, 3)?,
        schedule_value: row.get(4)?,
        timezone: row.get(5)?,
        zone: row.get(6)?,
        context_mode: parsed(row, 7)?,
        misfire: parsed(row, 8)?,
        overlap: parsed(row, 9)?,
        jitter_seconds: row.get(10)?,
        status: parsed(row, 11)?,
        paused_because: row.get::<_, Option<String>>(12)?.and_then(|text| PausedBecause::parse(&text)),
        anchor: timestamp(row.get(13)?),
        next_run: row.get::<_, Option<i64>>(14)?.map(timestamp),
        due_at: row.get::<_, Option<i64>>(15)?.map(timestamp),
        failures: row.get(16)?,
        created_by: row.get(17)?,
        created_at: timestamp(row.get(18)?),
    })
}

/// Writes the row; `verb` is `INSERT` or `REPLACE`.
pub(super) fn write(connection: &Connection, verb: &str, task: &Task) -> rusqlite::Result<()> {
    connection
        .prepare_cached(&format!(
            "{verb} INTO tasks ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
        ))?
        .execute(params![
            task.id.as_str(),
            task.group.as_str(),
            task.prompt,
            task.schedule_type.as_str(),
            task.schedule_value,
            task.timezone,
            task.zone,
            task.context_mode.as_str(),
            task.misfire.as_str(),
            task.overlap.as_str(),
            task.jitter_seconds,
            task.status.as_str(),
            task.paused_because.map(PausedBecause::as_str),
            millis(task.anchor),
            task.next_run.map(millis),
            task.due_at.map(millis),
            task.failures,
            task.created_by,
            millis(task.created_at),
        ])
        .map(drop)
}

/// A column whose text the host wrote as an id or as one of its words.
pub(super) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error: T::Err| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.to_string().into())
    })
}

//! What an agent said and nobody received: its next turn is told, once.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::timestamp;

/// How much of a text is told, in characters.
const BEGINNING: u32 = 200;
/// How many texts are told one by one; the newest.
const TEXTS: u32 = 5;

/// Texts of an agent that could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Undelivered {
    /// The newest of them, oldest first.
    pub texts: Vec<UndeliveredText>,
    /// How many older ones there are.
    pub omitted: u64,
}

/// One text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndeliveredText {
    /// When it was given up.
    pub given_up_at: Timestamp,
    /// How its undelivered part begins.
    pub beginning: String,
    /// Of how many characters.
    pub characters: u64,
    /// Why it could not be delivered.
    pub reason: String,
}

/// Hands what is not told yet of a chat over to a turn. Handed over again to the turn that comes after,
/// if this one does not settle.
pub(super) fn hand_over(connection: &Connection, chat: &str, turn: &str) -> rusqlite::Result<Undelivered> {
    let handed = connection
        .prepare_cached(
            "UPDATE outbox SET told_by = ?2 WHERE chat = ?1 AND state = 'dead' AND kind = 'reply' AND told = 0",
        )?
        .execute([chat, turn])?;
    if handed == 0 {
        return Ok(Undelivered::default());
    }
    // With `min`, SQLite takes the other columns from the row of the smallest id: a text's first piece.
    let mut query = connection.prepare_cached(
        "SELECT min(id), ifnull(ended_at, created_at), substr(text, 1, ?2), sum(length(text)), ifnull(error, ''),
            count(*) OVER ()
         FROM outbox WHERE chat = ?1 AND state = 'dead' AND kind = 'reply' AND told = 0
         GROUP BY ifnull(part_of, id) ORDER BY min(id) DESC LIMIT ?3",
    )?;
    let mut all = 0;
    let mut texts = query
        .query_map(params![chat, BEGINNING, TEXTS], |row| {
            all = row.get(5)?;
            Ok(UndeliveredText {
                given_up_at: timestamp(row.get(1)?),
                beginning: row.get(2)?,
                characters: row.get(3)?,
                reason: row.get(4)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    texts.reverse();
    let omitted = u64::saturating_sub(all, texts.len() as u64);
    Ok(Undelivered { texts, omitted })
}

/// The turn that was handed them has settled: they are told.
pub(super) fn told(connection: &Connection, chat: &str, turn: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE outbox SET told = 1 WHERE chat = ?1 AND state = 'dead' AND kind = 'reply' AND told = 0 AND told_by = ?2",
        )?
        .execute([chat, turn])
        .map(drop)
}

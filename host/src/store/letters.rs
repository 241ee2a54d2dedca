//! Dead letters: texts that were given up, to be sent again or to be left at that; and what operators send.
//!
//! A letter is a text with its pieces; its number is the row of the first piece that was given up. One that is
//! dropped keeps its rows, and its `told` is 2: nobody needs to hear of it any more, neither an operator nor the
//! agent.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::outbox::{OutboxKind, insert};
use super::{Store, StoreError, timestamp};

/// How much of a text is told, in characters.
const BEGINNING: u32 = 200;

const LETTERS: &str =
    "SELECT min(id), message_id, chat, kind, attempts, error, ended_at, created_at, substr(text, 1, ?1), count(*),
        told = 2, ifnull(part_of, id) AS letter
    FROM outbox WHERE state = 'dead'";

/// A text that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its number: the row of its first piece that was given up.
    pub id: i64,
    /// That piece's message id, which it keeps.
    pub message_id: String,
    /// Where to.
    pub chat: String,
    /// Whether the agent said it, or the host.
    pub from_agent: bool,
    /// How often that piece was tried.
    pub attempts: u32,
    /// Why it was given up.
    pub error: Option<String>,
    /// When it was given up.
    pub given_up_at: Timestamp,
    /// When it was said.
    pub said_at: Timestamp,
    /// How that piece begins.
    pub beginning: String,
    /// How many pieces were given up.
    pub pieces: u64,
    /// Whether an operator has dropped it.
    pub dropped: bool,
}

/// Which letters are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Those with these numbers, dropped or not.
    These(Vec<i64>),
    /// All that are not dropped; of one chat, if it is named.
    All {
        /// The chat.
        chat: Option<String>,
    },
}

/// What becomes of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// They are sent again, under the same message ids and in their old place in the chat's order.
    Retry,
    /// They are left at that.
    Drop,
}

/// There are no letters with these numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchLetters(pub Vec<i64>);

/// What has become of a row so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowState {
    /// The row.
    pub id: i64,
    /// `pending`, `sent` or `dead`; `None` when there is no such row any more.
    pub state: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was not sent.
    pub error: Option<String>,
}

impl Store {
    /// The oldest letters; of one chat, if it is named; with those that were dropped, if `dropped`.
    ///
    /// # Errors
    /// What the store says.
    pub async fn letters(&self, chat: Option<String>, dropped: bool, limit: usize) -> Result<Vec<Letter>, StoreError> {
        self.read(move |connection| {
            let sql = format!("{LETTERS} AND (?2 OR told <> 2) AND (?3 IS NULL OR chat = ?3) GROUP BY letter ORDER BY min(id) LIMIT ?4");
            connection.prepare_cached(&sql)?.query_map(params![BEGINNING, dropped, chat, limit], letter)?.collect()
        })
        .await
    }

    /// Decides about letters: about all that are meant, or, when one of them does not exist, about none.
    ///
    /// # Errors
    /// What the store says.
    pub async fn decide_letters(
        &self,
        which: Which,
        fate: Fate,
    ) -> Result<Result<Vec<Letter>, NoSuchLetters>, StoreError> {
        self.run(move |connection| {
            let letters = match which_letters(connection, which)? {
                Ok(letters) => letters,
                Err(missing) => return Ok(Err(missing)),
            };
            let change = match fate {
                Fate::Retry => {
                    "UPDATE outbox SET state = 'pending', attempts = 0, not_before = NULL, error = NULL, ended_at = NULL,
                        told = 0, told_by = NULL
                     WHERE state = 'dead' AND ifnull(part_of, id) = ?1"
                }
                Fate::Drop => "UPDATE outbox SET told = 2 WHERE state = 'dead' AND ifnull(part_of, id) = ?1",
            };
            let mut change = connection.prepare_cached(change)?;
            for (_, text) in &letters {
                change.execute([text])?;
            }
            Ok(Ok(letters.into_iter().map(|(letter, _)| letter).collect()))
        })
        .await
    }

    /// Puts a text of an operator into the outbox, in pieces; gives their rows and message ids.
    ///
    /// # Errors
    /// What the store says.
    pub async fn enqueue(
        &self,
        chat: String,
        pieces: Vec<String>,
        now: Timestamp,
    ) -> Result<Vec<(i64, String)>, StoreError> {
        self.run(move |connection| {
            let Some(first) = insert(connection, OutboxKind::Notice, &chat, None, None, &pieces, now)? else {
                return Ok(Vec::new());
            };
            connection
                .prepare_cached(
                    "SELECT piece.id, piece.message_id FROM outbox first
                     JOIN outbox piece ON piece.id >= first.id AND ifnull(piece.part_of, piece.id) = first.id
                     WHERE first.message_id = ?1 ORDER BY piece.id",
                )?
                .query_map([first], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
        .await
    }

    /// What has become of these rows so far.
    ///
    /// # Errors
    /// What the store says.
    pub async fn row_states(&self, ids: Vec<i64>) -> Result<Vec<RowState>, StoreError> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached("SELECT state, attempts, error FROM outbox WHERE id = ?1")?;
            let mut states = Vec::new();
            for id in ids {
                let found = query.query_row([id], |row| {
                    Ok(RowState { id, state: row.get(0)?, attempts: row.get(1)?, error: row.get(2)? })
                });
                states.push(found.optional()?.unwrap_or(RowState { id, state: None, attempts: 0, error: None }));
            }
            Ok(states)
        })
        .await
    }
}

/// The letters that are meant, each with the row by which its pieces know their text.
fn which_letters(connection: &Connection, which: Which) -> rusqlite::Result<Result<Vec<(Letter, i64)>, NoSuchLetters>> {
    let with_text = |row: &Row<'_>| Ok((letter(row)?, row.get(11)?));
    let numbers = match which {
        Which::These(numbers) => numbers,
        Which::All { chat } => {
            let sql = format!("{LETTERS} AND told <> 2 AND (?2 IS NULL OR chat = ?2) GROUP BY letter ORDER BY min(id)");
            let mut query = connection.prepare_cached(&sql)?;
            return query.query_map(params![BEGINNING, chat], with_text)?.collect::<rusqlite::Result<_>>().map(Ok);
        }
    };
    let sql = format!(
        "{LETTERS} AND ifnull(part_of, id) = (SELECT ifnull(part_of, id) FROM outbox WHERE id = ?2) GROUP BY letter"
    );
    let mut query = connection.prepare_cached(&sql)?;
    let (mut letters, mut missing) = (Vec::<(Letter, i64)>::new(), Vec::new());
    for number in numbers {
        match query.query_row(params![BEGINNING, number], with_text).optional()? {
            Some(found) if letters.iter().any(|known| known.1 == found.1) => {}
            Some(found) => letters.push(found),
            None => missing.push(number),
        }
    }
    Ok(if missing.is_empty() { Ok(letters) } else { Err(NoSuchLetters(missing)) })
}

/// With `min`, SQLite takes the other columns from the row of the smallest id.
fn letter(row: &Row<'_>) -> rusqlite::Result<Letter> {
    Ok(Letter {
        id: row.get(0)?,
        message_id: row.get(1)?,
        chat: row.get(2)?,
        from_agent: row.get::<_, String>(3)? == "reply",
        attempts: row.get(4)?,
        error: row.get(5)?,
        given_up_at: timestamp(row.get::<_, Option<i64>>(6)?.unwrap_or_default()),
        said_at: timestamp(row.get(7)?),
        beginning: row.get(8)?,
        pieces: row.get(9)?,
        dropped: row.get(10)?,
    })
}

#[cfg(test)]
mod tests;

//! What becomes of a message that is edited or deleted after it was stored.

use jiff::Timestamp;
use longshore_protocol::GroupId;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Store, StoreError, millis};

/// A message that somebody wants to change, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// The row's number.
    pub seq: i64,
    /// The platform id of the message that it answers.
    pub reply_to: Option<String>,
    /// Why it wakes its group or does not.
    pub route: String,
}

/// An edit of a stored message, routed.
#[derive(Debug, Clone)]
pub struct MessageEdit {
    /// The row's number.
    pub original: i64,
    /// The group that serves its chat.
    pub group: GroupId,
    /// The platform's id of the edit.
    pub platform_id: String,
    /// What the message says now.
    pub text: String,
    /// When it was edited.
    pub edited_at: Timestamp,
    /// Why it wakes the group now or does not.
    pub route: String,
    /// Whether it does.
    pub wakes: bool,
}

/// What an edit led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// The message says it now.
    InPlace,
    /// Its turn has begun or is over without it having woken the group, which it does now: the edit has
    /// this row of its own.
    Anew(i64),
    /// Its turn is over, or a later edit came before.
    TooLate,
}

/// How far a message's turn has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has none, or one that waits.
    Open,
    Running,
    Over,
}

impl Store {
    /// The message with this platform id that one of these ids of a person said.
    ///
    /// # Errors
    /// What the store says.
    pub async fn original(
        &self,
        chat: String,
        senders: [String; 2],
        target: String,
    ) -> Result<Option<Original>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT seq, reply_to, route FROM messages
                     WHERE chat = ?1 AND sender IN (?2, ?3) AND platform_id = ?4 AND deleted_at IS NULL
                     ORDER BY sender = ?2 DESC LIMIT 1",
                )?
                .query_row(params![chat, senders[0], senders[1], target], |row| {
                    Ok(Original { seq: row.get(0)?, reply_to: row.get(1)?, route: row.get(2)? })
                })
                .optional()
        })
        .await
    }

    /// Changes what a message says, unless its turn is over. A turn that runs keeps what it began with; if
    /// it is tried again, it is told the new text.
    ///
    /// # Errors
    /// What the store says.
    pub async fn edit(&self, edit: MessageEdit, now: Timestamp) -> Result<Edited, StoreError> {
        self.run(move |connection| apply(connection, &edit, now)).await
    }

    /// Empties a message and keeps it from waking, whoever said it; the one that `sender` said is preferred.
    /// Gives its number.
    ///
    /// # Errors
    /// What the store says.
    pub async fn delete(
        &self,
        chat: String,
        sender: String,
        target: String,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        self.run(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE messages SET text = '', deleted_at = ?4, wakes = 0, route = 'context: deleted'
                     WHERE seq = (SELECT seq FROM messages WHERE platform_id = ?3 AND chat = ?1
                                  ORDER BY sender = ?2 DESC, seq DESC LIMIT 1)
                        AND deleted_at IS NULL
                     RETURNING seq",
                )?
                .query_row(params![chat, sender, target, millis(now)], |row| row.get(0))
                .optional()
        })
        .await
    }
}

fn apply(connection: &Connection, edit: &MessageEdit, now: Timestamp) -> rusqlite::Result<Edited> {
    let found: Option<(bool, Option<i64>)> = connection
        .prepare_cached("SELECT wakes, edited_at FROM messages WHERE seq = ?1 AND deleted_at IS NULL")?
        .query_row([edit.original], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((wakes, last)) = found else { return Ok(Edited::TooLate) };
    if last.is_some_and(|last| last > millis(edit.edited_at)) {
        return Ok(Edited::TooLate);
    }
    match standing(connection, edit)? {
        Standing::Running | Standing::Over if edit.wakes && !wakes => anew(connection, edit, now),
        Standing::Over => Ok(Edited::TooLate),
        Standing::Open | Standing::Running => {
            connection
                .prepare_cached("UPDATE messages SET text = ?2, edited_at = ?3, route = ?4, wakes = ?5 WHERE seq = ?1")?
                .execute(params![edit.original, edit.text, millis(edit.edited_at), edit.route, edit.wakes])?;
            Ok(Edited::InPlace)
        }
    }
}

fn standing(connection: &Connection, edit: &MessageEdit) -> rusqlite::Result<Standing> {
    let (state, covered): (Option<String>, bool) = connection
        .prepare_cached(
            "SELECT t.state, m.seq <= ifnull((SELECT settled_seq FROM cursors WHERE group_id = ?2), 0)
             FROM messages m LEFT JOIN turns t ON t.id = m.turn WHERE m.seq = ?1",
        )?
        .query_row(params![edit.original, edit.group.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(match state.as_deref() {
        Some("running") => Standing::Running,
        Some("waiting") => Standing::Open,
        None if !covered => Standing::Open,
        _ => Standing::Over,
    })
}

/// A row of its own for the edit. The original counts as waking from then on, so that a further edit is no
/// further row.
fn anew(connection: &Connection, edit: &MessageEdit, now: Timestamp) -> rusqlite::Result<Edited> {
    let seq = connection
        .prepare_cached(
            "INSERT INTO messages (chat, sender, platform_id, sender_name, text, reply_to, sent_at, received_at, route,
                wakes, edited_at)
             SELECT chat, sender, ?2, sender_name, ?3, reply_to, ?4, ?5, ?6, 1, ?4 FROM messages WHERE seq = ?1
             ON CONFLICT (chat, sender, platform_id) DO NOTHING RETURNING seq",
        )?
        .query_row(
            params![edit.original, edit.platform_id, edit.text, millis(edit.edited_at), millis(now), edit.route],
            |row| row.get(0),
        )
        .optional()?;
    connection.prepare_cached("UPDATE messages SET wakes = 1 WHERE seq = ?1")?.execute([edit.original])?;
    Ok(seq.map_or(Edited::TooLate, Edited::Anew))
}

#[cfg(test)]
mod tests;

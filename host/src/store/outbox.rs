//! What is to be said: a row with its final message id before any I/O, in order per chat.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{Store, StoreError, millis, timestamp};
use crate::channel::OutboundMessage;

/// Why the later pieces of a text are given up.
const EARLIER_PART: &str = "an earlier part could not be delivered";

/// Why a row exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxKind {
    /// The agent said it.
    Reply,
    /// The host itself says it: a failure, a change.
    Notice,
}

impl OutboxKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Reply => "reply",
            Self::Notice => "notice",
        }
    }
}

/// The oldest unsent row of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxHead {
    /// The channel that owns the chat; `None` when no channel has introduced it.
    pub channel: Option<String>,
    /// What to send.
    pub message: OutboundMessage,
    /// The turn that said it.
    pub turn: Option<String>,
    /// When it was written.
    pub created_at: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// Not to be tried before.
    pub not_before: Option<Timestamp>,
}

impl Store {
    /// Every chat that has an unsent row.
    ///
    /// # Errors
    /// What the store says.
    pub async fn outbox_chats(&self) -> Result<Vec<String>, StoreError> {
        self.read(|connection| {
            // From one chat to the next by the index, however many rows lie between.
            connection
                .prepare_cached(
                    "WITH RECURSIVE chats (chat) AS (
                        SELECT min(chat) FROM outbox WHERE state = 'pending'
                        UNION ALL
                        SELECT (SELECT min(chat) FROM outbox WHERE state = 'pending' AND chat > chats.chat)
                        FROM chats WHERE chat IS NOT NULL)
                     SELECT chat FROM chats WHERE chat IS NOT NULL",
                )?
                .query_map([], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// The oldest unsent row of each of these chats that has one; later rows of a chat wait for it.
    ///
    /// # Errors
    /// What the store says.
    pub async fn outbox_heads(&self, chats: Vec<String>) -> Result<Vec<OutboxHead>, StoreError> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT o.id, o.chat, o.text, o.message_id, o.reply_to, o.attempts, o.not_before, c.channel, o.turn,
                    o.created_at
                 FROM outbox o LEFT JOIN chats c ON c.chat = o.chat
                 WHERE o.chat = ?1 AND o.state = 'pending' ORDER BY o.id LIMIT 1",
            )?;
            let mut heads = Vec::new();
            for chat in chats {
                heads.extend(query.query_row([chat], head).optional()?);
            }
            Ok(heads)
        })
        .await
    }

    /// The platform has taken the row's message.
    ///
    /// # Errors
    /// What the store says.
    pub async fn outbox_sent(&self, id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.run(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE outbox SET state = 'sent', attempts = attempts + 1, error = NULL, ended_at = ?2
                     WHERE id = ?1 AND state = 'pending'",
                )?
                .execute(params![id, millis(now)])
                .map(drop)
        })
        .await
    }

    /// The row's message could not be sent; it is tried again at `retry_at`, or never when that is `None`.
    /// Then the later pieces of the same text are given up with it: nobody could make sense of them.
    ///
    /// # Errors
    /// What the store says.
    pub async fn outbox_failed(
        &self,
        id: i64,
        error: String,
        retry_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(move |connection| {
            let (state, ended_at) = if retry_at.is_some() { ("pending", None) } else { ("dead", Some(millis(now))) };
            connection
                .prepare_cached(
                    "UPDATE outbox SET state = ?2, attempts = attempts + 1, error = ?3, not_before = ?4, ended_at = ?5
                     WHERE id = ?1 AND state = 'pending'",
                )?
                .execute(params![id, state, error, retry_at.map(millis), ended_at])?;
            if retry_at.is_none() {
                give_up_rest(connection, id, now)?;
            }
            Ok(())
        })
        .await
    }

    /// Says something as the host, outside any turn.
    ///
    /// # Errors
    /// What the store says.
    pub async fn notice(&self, chat: String, texts: Vec<String>, now: Timestamp) -> Result<(), StoreError> {
        self.run(move |connection| insert(connection, OutboxKind::Notice, &chat, None, None, &texts, now).map(drop))
            .await
    }

    /// How many rows wait, and how many were given up and nobody dropped.
    ///
    /// # Errors
    /// What the store says.
    pub async fn outbox_counts(&self) -> Result<(u64, u64), StoreError> {
        self.read(|connection| {
            connection.query_row(
                "SELECT (SELECT count(*) FROM outbox WHERE state = 'pending'),
                        (SELECT count(*) FROM outbox WHERE state = 'dead' AND told <> 2)",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
        })
        .await
    }
}

fn head(row: &Row<'_>) -> rusqlite::Result<OutboxHead> {
    Ok(OutboxHead {
        message: OutboundMessage {
            outbox_id: row.get(0)?,
            chat: row.get(1)?,
            text: row.get(2)?,
            message_id: row.get(3)?,
            reply_to: row.get(4)?,
        },
        attempts: row.get(5)?,
        not_before: row.get::<_, Option<i64>>(6)?.map(timestamp),
        channel: row.get(7)?,
        turn: row.get(8)?,
        created_at: timestamp(row.get(9)?),
    })
}

fn give_up_rest(connection: &Connection, id: i64, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE outbox SET state = 'dead', error = ?2, not_before = NULL, ended_at = ?3
             WHERE state = 'pending' AND chat = (SELECT chat FROM outbox WHERE id = ?1) AND id > ?1
                AND part_of = (SELECT ifnull(part_of, id) FROM outbox WHERE id = ?1)",
        )?
        .execute(params![id, EARLIER_PART, millis(now)])
        .map(drop)
}

/// Adds rows for the pieces of one text, in order, each with the id that it keeps for ever; gives the first.
pub(super) fn insert(
    connection: &Connection,
    kind: OutboxKind,
    chat: &str,
    turn: Option<&str>,
    reply_to: Option<&str>,
    texts: &[String],
    now: Timestamp,
) -> rusqlite::Result<Option<String>> {
    let mut first = None;
    let mut statement = connection.prepare_cached(
        "INSERT INTO outbox (message_id, chat, turn, kind, text, reply_to, state, created_at, part_of)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7, ?8)",
    )?;
    let mut part_of = None;
    for text in texts {
        // 32 upper-case hex characters: what WhatsApp's own clients use, and plain enough for any platform.
        let message_id = Uuid::now_v7().simple().to_string().to_uppercase();
        statement.execute(params![message_id, chat, turn, kind.as_str(), text, reply_to, millis(now), part_of])?;
        part_of.get_or_insert(connection.last_insert_rowid());
        first.get_or_insert(message_id);
    }
    Ok(first)
}

#[cfg(test)]
mod tests;

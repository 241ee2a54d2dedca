//! Rows of chats and of what was said in them.

use std::sync::Arc;

use jiff::Timestamp;
use longshore_protocol::GroupId;
use rusqlite::{Connection, OptionalExtension, params};

use super::commit::Access;
use super::{Answer, Store, StoreError, millis, timestamp};

/// A message of a registered chat, routed.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// The chat.
    pub chat: String,
    /// The channel that brought it.
    pub channel: String,
    /// Who said it.
    pub sender: String,
    /// The person's name.
    pub sender_name: String,
    /// The platform's id.
    pub platform_id: String,
    /// What was said.
    pub text: String,
    /// The platform id of the message that it answers.
    pub reply_to: Option<String>,
    /// Whether several people are in the chat.
    pub is_group: bool,
    /// When it was said.
    pub sent_at: Timestamp,
    /// When the host got it.
    pub received_at: Timestamp,
    /// Why it wakes the group or does not, for people.
    pub route: String,
    /// Whether it wakes the group.
    pub wakes: bool,
    /// Whether it asks for the group's turn to be stopped.
    pub stops: bool,
}

/// What a channel brought, to be stored in the order in which it came.
#[derive(Debug, Clone)]
pub enum Arrival {
    /// A message that is kept.
    Message(NewMessage),
    /// Something was said in a chat of which nothing is kept but that.
    Activity {
        /// The chat.
        chat: String,
        /// The channel that brought it.
        channel: String,
        /// Whether several people are in the chat.
        is_group: bool,
        /// When the host got it.
        at: Timestamp,
    },
}

/// What became of a message that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The row's number.
    pub seq: i64,
    /// False when the platform had delivered it before.
    pub is_new: bool,
}

/// What a message led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its turn waits or runs, or will.
    Open {
        /// When its turn is tried again, after a failure.
        retry_at: Option<Timestamp>,
    },
    /// It wakes nobody; it is context for the next turn.
    Context {
        /// Why, for people.
        route: String,
    },
    /// Its turn has ended and everything that it said has left, or was given up.
    Ended {
        /// The turn's failure code, if it failed.
        failure: Option<String>,
        /// The outbox rows of the turn, in order.
        outbox: Vec<i64>,
    },
}

/// A chat that a channel has introduced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownChat {
    /// Its id.
    pub chat: String,
    /// Its name.
    pub name: String,
    /// When something was said there last.
    pub last_activity_at: Timestamp,
}

impl Store {
    /// The chats that channels have introduced, the one with the latest message first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn chats(&self, limit: usize) -> Result<Vec<KnownChat>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT chat, name, last_activity_at FROM chats ORDER BY last_activity_at DESC, chat LIMIT ?1",
                )?
                .query_map([limit], |row| {
                    Ok(KnownChat { chat: row.get(0)?, name: row.get(1)?, last_activity_at: timestamp(row.get(2)?) })
                })?
                .collect()
        })
        .await
    }

    /// Queues a message for storing; see [`Answer`]. Messages are stored in the order of the calls.
    ///
    /// # Errors
    /// [`StoreError::Closed`].
    pub async fn record(&self, message: NewMessage) -> Result<Answer<Recorded>, StoreError> {
        self.requests.enqueue(Access::Write, move |connection| record(connection, &message)).await
    }

    /// Stores what a channel brought, all of it or nothing, and says for each what became of it; `None` for an
    /// activity.
    ///
    /// # Errors
    /// What the store says.
    pub async fn arrive(&self, arrivals: Arc<[Arrival]>) -> Result<Vec<Option<Recorded>>, StoreError> {
        self.run(move |connection| {
            arrivals
                .iter()
                .map(|arrival| match arrival {
                    Arrival::Message(message) => record(connection, message).map(Some),
                    Arrival::Activity { chat, channel, is_group, at } => {
                        touch(connection, chat, channel, None, *is_group, *at).map(|()| None)
                    }
                })
                .collect()
        })
        .await
    }

    /// Notes that a chat exists or was active. Unregistered chats have this row and no text.
    ///
    /// # Errors
    /// What the store says.
    pub async fn touch_chat(
        &self,
        chat: String,
        channel: String,
        name: Option<String>,
        is_group: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(move |connection| touch(connection, &chat, &channel, name.as_deref(), is_group, now)).await
    }

    /// The channel that introduced a chat.
    ///
    /// # Errors
    /// What the store says.
    pub async fn channel_of(&self, chat: String) -> Result<Option<String>, StoreError> {
        self.read(move |connection| {
            connection.query_row("SELECT channel FROM chats WHERE chat = ?1", [chat], |row| row.get(0)).optional()
        })
        .await
    }

    /// The groups, of those given with their chats, that have a message waiting for a turn.
    ///
    /// # Errors
    /// What the store says.
    pub async fn groups_with_work(&self, groups: Vec<(GroupId, String)>) -> Result<Vec<GroupId>, StoreError> {
        self.read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM turns WHERE group_id = ?1 AND state = 'waiting')
                     OR EXISTS (SELECT 1 FROM messages WHERE chat = ?2 AND wakes = 1
                                AND seq > ifnull((SELECT settled_seq FROM cursors WHERE group_id = ?1), 0))
                     OR EXISTS (SELECT 1 FROM messages WHERE chat = ?2 AND stops = 1
                                AND seq > ifnull((SELECT settled_seq FROM cursors WHERE group_id = ?1), 0))",
            )?;
            let mut found = Vec::new();
            for (group, chat) in groups {
                if query.query_row(params![group.as_str(), chat], |row| row.get(0))? {
                    found.push(group);
                }
            }
            Ok(found)
        })
        .await
    }

    /// What a message led to so far.
    ///
    /// # Errors
    /// What the store says; a row that does not exist is `QueryReturnedNoRows`.
    pub async fn outcome(&self, seq: i64) -> Result<Outcome, StoreError> {
        self.read(move |connection| outcome(connection, seq)).await
    }

    /// Whether the host itself sent the message with this platform id to the chat.
    ///
    /// # Errors
    /// What the store says.
    pub async fn sent_by_host(&self, chat: String, platform_id: String) -> Result<bool, StoreError> {
        self.read(move |connection| {
            connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM outbox WHERE message_id = ?2 AND chat = ?1)",
                [chat, platform_id],
                |row| row.get(0),
            )
        })
        .await
    }
}

/// Stores a message, once.
pub(super) fn record(connection: &Connection, message: &NewMessage) -> rusqlite::Result<Recorded> {
    touch(connection, &message.chat, &message.channel, None, message.is_group, message.received_at)?;
    let inserted = connection
        .prepare_cached(
            "INSERT INTO messages (chat, sender, platform_id, sender_name, text, reply_to, sent_at, received_at, route, wakes, stops)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (chat, sender, platform_id) DO NOTHING RETURNING seq",
        )?
        .query_row(
            params![
                message.chat,
                message.sender,
                message.platform_id,
                message.sender_name,
                message.text,
                message.reply_to,
                millis(message.sent_at),
                millis(message.received_at),
                message.route,
                message.wakes,
                message.stops,
            ],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(seq) = inserted {
        return Ok(Recorded { seq, is_new: true });
    }
    let seq = connection.query_row(
        "SELECT seq FROM messages WHERE chat = ?1 AND sender = ?2 AND platform_id = ?3",
        [&message.chat, &message.sender, &message.platform_id],
        |row| row.get(0),
    )?;
    Ok(Recorded { seq, is_new: false })
}

fn touch(
    connection: &Connection,
    chat: &str,
    channel: &str,
    name: Option<&str>,
    is_group: bool,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO chats (chat, channel, name, is_group, last_activity_at) VALUES (?1, ?2, ifnull(?3, ?1), ?4, ?5)
             ON CONFLICT (chat) DO UPDATE SET
                channel = excluded.channel,
                name = ifnull(?3, name),
                is_group = max(is_group, excluded.is_group),
                last_activity_at = max(last_activity_at, excluded.last_activity_at)",
        )?
        .execute(params![chat, channel, name, is_group, millis(now)])?;
    Ok(())
}

fn outcome(connection: &Connection, seq: i64) -> rusqlite::Result<Outcome> {
    let (route, wakes, turn): (String, bool, Option<String>) =
        connection.query_row("SELECT route, wakes, turn FROM messages WHERE seq = ?1", [seq], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let Some(turn) = turn else {
        return Ok(if wakes { Outcome::Open { retry_at: None } } else { Outcome::Context { route } });
    };
    let (state, failure, not_before): (String, Option<String>, Option<i64>) =
        connection.query_row("SELECT state, failure_code, not_before FROM turns WHERE id = ?1", [&turn], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    if !matches!(state.as_str(), "settled" | "gave_up") {
        let retry_at = not_before.filter(|_| state == "waiting").map(timestamp);
        return Ok(Outcome::Open { retry_at });
    }
    let mut rows = connection.prepare_cached("SELECT id, state FROM outbox WHERE turn = ?1 ORDER BY id")?;
    let rows = rows
        .query_map([&turn], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    if rows.iter().any(|(_, state)| state == "pending") {
        return Ok(Outcome::Open { retry_at: None });
    }
    let failure = failure.filter(|_| state == "gave_up");
    Ok(Outcome::Ended { failure, outbox: rows.into_iter().map(|(id, _)| id).collect() })
}

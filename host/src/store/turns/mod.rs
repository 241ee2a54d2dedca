//! Turns: which messages one covers, how it stands, and how it ends.
//!
//! A turn row names the range of messages that it covers. Ending a turn and moving the group's cursor
//! is one transaction, so a message is in exactly one ended turn whatever happens in between.

use jiff::Timestamp;
use longshore_protocol::{Failure, GroupId, ProviderKind, SessionId, TurnId, Usage};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::outbox::{OutboxKind, insert};
use super::{Store, StoreError, millis, sessions, timestamp};

/// What to begin a turn for.
#[derive(Debug, Clone)]
pub struct BeginTurn {
    /// The group.
    pub group: GroupId,
    /// Its chat.
    pub chat: String,
    /// The provider that will answer.
    pub provider: ProviderKind,
    /// How many of the newest messages are loaded at most; the newest waking one always is.
    pub max_messages: usize,
}

/// What there is to do for a group.
#[derive(Debug, Clone, PartialEq)]
pub enum Begin {
    /// Nothing waits.
    Nothing,
    /// A failed turn waits for its time.
    NotBefore(Timestamp),
    /// This turn runs now; its row says so.
    Turn(Box<BegunTurn>),
}

/// A turn that has begun.
#[derive(Debug, Clone, PartialEq)]
pub struct BegunTurn {
    /// Its id, new for each turn and kept over its attempts.
    pub id: TurnId,
    /// 1 for the first try.
    pub attempt: u32,
    /// The messages it covers, oldest first.
    pub messages: Vec<CoveredMessage>,
    /// How many older messages of its range were not loaded.
    pub omitted: u64,
    /// The channel that introduced the chat.
    pub channel: String,
    /// The conversation to continue.
    pub session: Option<SessionId>,
}

/// A message that a turn covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoveredMessage {
    /// Who said it.
    pub sender: String,
    /// The person's name.
    pub sender_name: String,
    /// The platform's id of it.
    pub platform_id: String,
    /// What was said.
    pub text: String,
    /// The platform id of the message that it answers.
    pub reply_to: Option<String>,
    /// When it was said.
    pub sent_at: Timestamp,
    /// Whether it wakes the group.
    pub wakes: bool,
}

/// How a turn's attempt ends.
#[derive(Debug, Clone)]
pub enum EndTurn {
    /// It went well.
    Settled,
    /// It is tried again.
    Retry {
        /// Why it failed.
        failure: Failure,
        /// The earliest time; `None`: at once, without a word.
        at: Option<Timestamp>,
        /// Whether this attempt counts; one that never reached the agent does not.
        counted: bool,
        /// Whether the conversation is forgotten.
        forget_session: bool,
    },
    /// It is over without success; the chat is told.
    GaveUp {
        /// Why it failed.
        failure: Failure,
        /// What the chat is told, in pieces that its channel can carry.
        notice: Vec<String>,
    },
}

/// A turn that a dead host left running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted {
    /// The turn.
    pub id: TurnId,
    /// Whether it had a visible effect.
    pub said: bool,
    /// How many tries it has had.
    pub attempt: u32,
}

impl Store {
    /// Begins the group's next turn: the one that waits for another try, or a new one over every
    /// message since the last ended turn if one of them wakes the group.
    ///
    /// # Errors
    /// What the store says; a second running turn of one group is refused by the schema.
    pub async fn begin_turn(&self, begin: BeginTurn, now: Timestamp) -> Result<Begin, StoreError> {
        self.run(move |connection| begin_turn(connection, &begin, now)).await
    }

    /// The agent said something: outbox rows for its pieces, and the turn is marked as having spoken.
    ///
    /// # Errors
    /// What the store says.
    pub async fn say(
        &self,
        turn: TurnId,
        chat: String,
        reply_to: Option<String>,
        pieces: Vec<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.run(move |connection| {
            connection.prepare_cached("UPDATE turns SET said = 1 WHERE id = ?1")?.execute([turn.as_str()])?;
            let turn = Some(turn.as_str());
            insert(connection, OutboxKind::Reply, &chat, turn, reply_to.as_deref(), &pieces, now)
        })
        .await
    }

    /// Adds what a turn used.
    ///
    /// # Errors
    /// What the store says.
    pub async fn add_usage(&self, turn: TurnId, usage: Usage) -> Result<(), StoreError> {
        self.run(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE turns SET input_tokens = input_tokens + ?2, cached_input_tokens = cached_input_tokens + ?3,
                        output_tokens = output_tokens + ?4 WHERE id = ?1",
                )?
                .execute(params![turn.as_str(), usage.input_tokens, usage.cached_input_tokens, usage.output_tokens])
                .map(drop)
        })
        .await
    }

    /// Ends a turn's attempt and, unless it is tried again, moves the group's cursor past its messages.
    ///
    /// # Errors
    /// What the store says.
    pub async fn end_turn(&self, turn: TurnId, end: EndTurn, now: Timestamp) -> Result<(), StoreError> {
        self.run(move |connection| end_turn(connection, &turn, &end, now)).await
    }

    /// The turns that are marked running: at start, those that the last host left; of one group if it is given.
    ///
    /// # Errors
    /// What the store says.
    pub async fn interrupted_turns(&self, group: Option<GroupId>) -> Result<Vec<Interrupted>, StoreError> {
        self.run(move |connection| {
            let mut query = connection.prepare(
                "SELECT id, said, attempt FROM turns WHERE state = 'running' AND (?1 IS NULL OR group_id = ?1)",
            )?;
            let rows = query
                .query_map([group.as_ref().map(GroupId::as_str)], |row| {
                    Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
                })?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(rows
                .into_iter()
                .filter_map(|(id, said, attempt)| Some(Interrupted { id: id.parse().ok()?, said, attempt }))
                .collect())
        })
        .await
    }
}

fn begin_turn(connection: &Connection, begin: &BeginTurn, now: Timestamp) -> rusqlite::Result<Begin> {
    let group = begin.group.as_str();
    let waiting = connection
        .prepare_cached(
            "SELECT id, first_seq, last_seq, attempt, not_before FROM turns
             WHERE group_id = ?1 AND state = 'waiting' ORDER BY created_at LIMIT 1",
        )?
        .query_row([group], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get::<_, u32>(3)?, row.get(4)?))
        })
        .optional()?;
    let (id, first, last, attempt) = match waiting {
        Some((_, _, _, _, Some(at))) if timestamp(at) > now => return Ok(Begin::NotBefore(timestamp(at))),
        Some((id, first, last, attempt, _)) => {
            connection
                .prepare_cached(
                    "UPDATE turns SET state = 'running', attempt = attempt + 1, provider = ?2, not_before = NULL, started_at = ?3
                     WHERE id = ?1",
                )?
                .execute(params![id, begin.provider.as_str(), millis(now)])?;
            (id, first, last, attempt + 1)
        }
        None => match new_turn(connection, begin, now)? {
            Some((id, first, last)) => (id, first, last, 1),
            None => return Ok(Begin::Nothing),
        },
    };
    let Ok(id) = id.parse() else { return Err(rusqlite::Error::InvalidColumnName("turns.id".into())) };
    let (messages, omitted) = covered(connection, &begin.chat, first, last, begin.max_messages)?;
    let session = sessions::session(connection, &begin.group, begin.provider)?;
    let channel = connection
        .prepare_cached("SELECT channel FROM chats WHERE chat = ?1")?
        .query_row([&begin.chat], |row| row.get(0))?;
    Ok(Begin::Turn(Box::new(BegunTurn { id, attempt, messages, omitted, channel, session })))
}

fn new_turn(
    connection: &Connection,
    begin: &BeginTurn,
    now: Timestamp,
) -> rusqlite::Result<Option<(String, i64, i64)>> {
    let cursor: i64 = connection
        .prepare_cached("SELECT settled_seq FROM cursors WHERE group_id = ?1")?
        .query_row([begin.group.as_str()], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    let wakes: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM messages WHERE chat = ?1 AND wakes = 1 AND seq > ?2)")?
        .query_row(params![begin.chat, cursor], |row| row.get(0))?;
    if !wakes {
        return Ok(None);
    }
    let (first, last): (i64, i64) = connection
        .prepare_cached("SELECT min(seq), max(seq) FROM messages WHERE chat = ?1 AND seq > ?2")?
        .query_row(params![begin.chat, cursor], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let id = Uuid::now_v7().simple().to_string();
    connection
        .prepare_cached(
            "INSERT INTO turns (id, group_id, chat, provider, first_seq, last_seq, state, attempt, created_at, started_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'running', 1, ?7, ?7)",
        )?
        .execute(params![id, begin.group.as_str(), begin.chat, begin.provider.as_str(), first, last, millis(now)])?;
    connection
        .prepare_cached("UPDATE messages SET turn = ?1 WHERE chat = ?2 AND seq BETWEEN ?3 AND ?4")?
        .execute(params![id, begin.chat, first, last])?;
    Ok(Some((id, first, last)))
}

fn covered(
    connection: &Connection,
    chat: &str,
    first: i64,
    last: i64,
    limit: usize,
) -> rusqlite::Result<(Vec<CoveredMessage>, u64)> {
    let total: u64 = connection
        .prepare_cached("SELECT count(*) FROM messages WHERE chat = ?1 AND seq BETWEEN ?2 AND ?3")?
        .query_row(params![chat, first, last], |row| row.get(0))?;
    let mut query = connection.prepare_cached(
        "WITH range AS (SELECT * FROM messages WHERE chat = ?1 AND seq BETWEEN ?2 AND ?3)
         SELECT sender, sender_name, platform_id, text, reply_to, sent_at, wakes FROM range
         WHERE seq IN (SELECT seq FROM range ORDER BY seq DESC LIMIT ?4)
            OR seq = (SELECT max(seq) FROM range WHERE wakes = 1)
         ORDER BY seq",
    )?;
    let messages = query
        .query_map(params![chat, first, last, limit], |row| {
            Ok(CoveredMessage {
                sender: row.get(0)?,
                sender_name: row.get(1)?,
                platform_id: row.get(2)?,
                text: row.get(3)?,
                reply_to: row.get(4)?,
                sent_at: timestamp(row.get(5)?),
                wakes: row.get(6)?,
            })
        })?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let omitted = total.saturating_sub(messages.len() as u64);
    Ok((messages, omitted))
}

fn end_turn(connection: &Connection, turn: &TurnId, end: &EndTurn, now: Timestamp) -> rusqlite::Result<()> {
    let (group, chat, provider, last): (String, String, String, i64) = connection
        .prepare_cached("SELECT group_id, chat, provider, last_seq FROM turns WHERE id = ?1")?
        .query_row([turn.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let ended = Some(millis(now));
    let (state, failure, not_before, ended, uncount) = match end {
        EndTurn::Settled => ("settled", None, None, ended, 0),
        EndTurn::Retry { failure, at, counted, .. } => {
            ("waiting", Some(failure), at.map(millis), None, i64::from(!counted))
        }
        EndTurn::GaveUp { failure, .. } => ("gave_up", Some(failure), None, ended, 0),
    };
    connection
        .prepare_cached(
            "UPDATE turns SET state = ?2, failure_code = ?3, failure_message = ?4, not_before = ?5, ended_at = ?6,
                attempt = attempt - ?7 WHERE id = ?1",
        )?
        .execute(params![
            turn.as_str(),
            state,
            failure.map(|failure| &failure.code),
            failure.map(|failure| &failure.message),
            not_before,
            ended,
            uncount,
        ])?;
    match end {
        EndTurn::Retry { forget_session: false, .. } => return Ok(()),
        EndTurn::Retry { forget_session: true, .. } => {
            if let (Ok(group), Ok(provider)) = (group.parse(), provider.parse()) {
                sessions::forget(connection, &group, provider)?;
            }
            return Ok(());
        }
        EndTurn::GaveUp { notice, .. } => {
            insert(connection, OutboxKind::Notice, &chat, Some(turn.as_str()), None, notice, now)?;
        }
        EndTurn::Settled => {}
    }
    connection
        .prepare_cached(
            "INSERT INTO cursors VALUES (?1, ?2)
             ON CONFLICT (group_id) DO UPDATE SET settled_seq = max(settled_seq, excluded.settled_seq)",
        )?
        .execute(params![group, last])
        .map(drop)
}

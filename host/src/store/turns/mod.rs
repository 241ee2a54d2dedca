//! Turns: what one is for, how it stands, and how it ends.
//!
//! A turn row names the range of messages that it covers, or the run of a task. Ending a turn and moving
//! the group's cursor is one transaction, so a message is in exactly one ended turn whatever happens in
//! between; a task's turn moves no cursor, and its run ends with it.

mod begin;
mod closed;
mod end;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use longshore_protocol::ipc::ContextMode;
use longshore_protocol::{Failure, GroupId, ProviderKind, SessionId, TurnId, Usage};
use rusqlite::params;

use self::begin::begin_turn;
use self::closed::close_all;
use self::end::end_turn;
use super::outbox::{OutboxKind, insert};
use super::tasks::TaskRun;
use super::undelivered::Undelivered;
use super::{Store, StoreError};

/// The most tokens of one kind that a runner is believed: more than any model reads, and far from what an
/// integer of the database holds.
const MOST_TOKENS: u64 = 1 << 40;

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
    /// Somebody had said to stop: what waited has ended, and there is a sentence to deliver.
    Stopped,
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
    /// When the oldest message that it answers came, or its task was fired.
    pub since: Timestamp,
    /// What it is for.
    pub subject: Subject,
    /// The channel that introduced the chat, if one has.
    pub channel: Option<String>,
    /// The group's conversation.
    pub session: Option<SessionId>,
    /// Up to which message everything had ended when it began: a `/stop` up to there is none for it.
    pub settled: i64,
    /// What the agent said in this chat before and nobody received.
    pub undelivered: Undelivered,
}

/// What a turn is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Messages of the chat.
    Messages {
        /// Those that it covers, oldest first.
        messages: Vec<CoveredMessage>,
        /// How many older ones of its range were not loaded.
        omitted: u64,
    },
    /// A run of a task.
    Task(TaskRun),
}

impl BegunTurn {
    /// The run of a task that it is for.
    #[must_use]
    pub fn task(&self) -> Option<&TaskRun> {
        match &self.subject {
            Subject::Messages { .. } => None,
            Subject::Task(run) => Some(run),
        }
    }

    /// Whether it has a conversation of its own, which nothing else continues.
    #[must_use]
    pub fn is_isolated(&self) -> bool {
        self.task().is_some_and(|run| run.context_mode == ContextMode::Isolated)
    }

    /// The conversation to continue.
    #[must_use]
    pub fn conversation(&self) -> Option<&SessionId> {
        self.session.as_ref().filter(|_| !self.is_isolated())
    }
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
    /// Whether it was changed after it had been said.
    pub edited: bool,
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
    /// It waits for long, because a provider said so; the chat is told when it hears of it first.
    Postponed {
        /// Why it failed.
        failure: Failure,
        /// The earliest time.
        at: Timestamp,
        /// What the chat is told, in pieces that its channel can carry.
        notice: Vec<String>,
    },
    /// Somebody stopped it. It is over, and so is everything that was said up to the `/stop`; the chat is told.
    Stopped,
    /// It is over without success; the chat is told.
    GaveUp {
        /// Why it failed.
        failure: Failure,
        /// What the chat is told, in pieces that its channel can carry. None for a task whose last run
        /// failed as well: the chat was told then.
        notice: Vec<String>,
        /// Whether the turn's task is paused.
        pause_task: bool,
    },
}

/// A turn that a dead host left running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupted {
    /// The turn.
    pub id: TurnId,
    /// Whose it is.
    pub group: GroupId,
    /// Whether it had a visible effect.
    pub said: bool,
    /// How many tries it has had.
    pub attempt: u32,
}

impl Store {
    /// Begins the group's next turn. For its messages: the one that waits for another try, or else a new
    /// one over every message since the last ended turn if one of them wakes the group. For its tasks:
    /// the oldest that waits. If there is one of each, it is the turn of the kind that did not run last.
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
            insert(connection, OutboxKind::Reply, &chat, turn, reply_to.as_deref(), &pieces, now).map(drop)
        })
        .await
    }

    /// Whether the turn has had a visible effect.
    ///
    /// # Errors
    /// What the store says.
    pub async fn turn_said(&self, turn: TurnId) -> Result<bool, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT said FROM turns WHERE id = ?1")?
                .query_row([turn.as_str()], |row| row.get(0))
        })
        .await
    }

    /// Adds what a turn used, by what its runner says: a made-up number is cut to one that can be added up.
    ///
    /// # Errors
    /// What the store says.
    pub async fn add_usage(&self, turn: TurnId, usage: Usage) -> Result<(), StoreError> {
        let [input, cached, output] =
            [usage.input_tokens, usage.cached_input_tokens, usage.output_tokens].map(|tokens| tokens.min(MOST_TOKENS));
        self.run(move |connection| {
            connection
                .prepare_cached(
                    "UPDATE turns SET input_tokens = input_tokens + ?2, cached_input_tokens = cached_input_tokens + ?3,
                        output_tokens = output_tokens + ?4 WHERE id = ?1",
                )?
                .execute(params![turn.as_str(), input, cached, output])
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

    /// Ends everything that waits in the group's chat, as a `/stop` would, and tells the chat; whether
    /// anything waited. What runs is not touched.
    ///
    /// # Errors
    /// What the store says.
    pub async fn stop_waiting(&self, group: GroupId, chat: String, now: Timestamp) -> Result<bool, StoreError> {
        self.run(move |connection| close_all(connection, &group, &chat, now)).await
    }

    /// The turns that are marked running: at start, those that the last host left; of one group if it is given.
    ///
    /// # Errors
    /// What the store says.
    pub async fn interrupted_turns(&self, group: Option<GroupId>) -> Result<Vec<Interrupted>, StoreError> {
        self.read(move |connection| {
            let mut query = connection.prepare(
                "SELECT id, group_id, said, attempt FROM turns WHERE state = 'running' AND (?1 IS NULL OR group_id = ?1)",
            )?;
            let rows = query
                .query_map([group.as_ref().map(GroupId::as_str)], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get(3)?))
                })?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(rows
                .into_iter()
                .filter_map(|(id, group, said, attempt)| {
                    Some(Interrupted { id: id.parse().ok()?, group: group.parse().ok()?, said, attempt })
                })
                .collect())
        })
        .await
    }
}

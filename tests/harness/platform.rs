//! What a platform knows: an append-only file of JSON lines that survives host and adapter.
//!
//! The adapter writes a line before it does what the line says, in one write, so that whatever dies when,
//! the file holds at least all that the host was told and has told.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// One line. `at` is [`nanoseconds`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Record {
    /// The adapter began.
    Started {
        /// When.
        at: u64,
    },
    /// Somebody said something; brought to the host now, and again after a restart until it is acknowledged.
    Brought {
        /// The platform's id.
        id: String,
        /// Where.
        chat: String,
        /// What.
        text: String,
        /// When it was said, RFC 3339.
        timestamp: String,
        /// When it was brought first.
        at: u64,
    },
    /// The host says that the message is stored.
    Acked {
        /// The message.
        id: String,
        /// When.
        at: u64,
    },
    /// The host sent something.
    Sent {
        /// The host's number.
        outbox_id: i64,
        /// The id that it gave the message.
        message_id: String,
        /// Where.
        chat: String,
        /// What.
        text: String,
        /// What it was answered.
        answer: Answer,
        /// When it was read.
        at: u64,
    },
}

/// What the platform answers a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is there.
    Accepted,
    /// Not now.
    Temporary,
    /// Never.
    Permanent,
}

/// A message as it was brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// The platform's id.
    pub id: String,
    /// Where it was said.
    pub chat: String,
    /// What was said.
    pub text: String,
    /// When it was said, RFC 3339.
    pub timestamp: String,
    /// When it was brought first.
    pub at: u64,
    /// When the host acknowledged it first.
    pub acked_at: Option<u64>,
}

/// A send of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// The host's number.
    pub outbox_id: i64,
    /// The message's id.
    pub message_id: String,
    /// Where.
    pub chat: String,
    /// What.
    pub text: String,
    /// What it was answered.
    pub answer: Answer,
    /// When it was read.
    pub at: u64,
}

/// The file, read.
#[derive(Debug, Clone, Default)]
pub struct Platform {
    /// How often the adapter was started.
    pub starts: usize,
    /// Every message, in the order in which they were brought first.
    pub brought: Vec<Brought>,
    /// Every send, in order.
    pub sends: Vec<Send>,
    index: BTreeMap<String, usize>,
}

impl Platform {
    /// Reads the file; one that is not there is an empty platform.
    ///
    /// # Errors
    /// What the file system says, or a line that is none; one that a kill cut short is skipped.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).context("the platform's file cannot be read"),
        };
        let mut platform = Self::default();
        for line in text.lines().filter(|line| line.ends_with('}')) {
            platform.apply(serde_json::from_str(line).with_context(|| format!("not a record: {line}"))?);
        }
        Ok(platform)
    }

    /// The messages that the host has not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> Vec<&Brought> {
        self.brought.iter().filter(|message| message.acked_at.is_none()).collect()
    }

    fn apply(&mut self, record: Record) {
        match record {
            Record::Started { .. } => self.starts += 1,
            Record::Brought { id, chat, text, timestamp, at } => {
                self.index.insert(id.clone(), self.brought.len());
                self.brought.push(Brought { id, chat, text, timestamp, at, acked_at: None });
            }
            Record::Acked { id, at } => {
                if let Some(message) = self.index.get(&id).and_then(|index| self.brought.get_mut(*index)) {
                    message.acked_at.get_or_insert(at);
                }
            }
            Record::Sent { outbox_id, message_id, chat, text, answer, at } => {
                self.sends.push(Send { outbox_id, message_id, chat, text, answer, at });
            }
        }
    }
}

/// The monotonic clock of the whole machine: the same for every process.
#[must_use]
pub fn nanoseconds() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or_default()
}

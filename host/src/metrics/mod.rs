//! What a running host counts: atomics that the hot path adds to, and a text that is made when somebody asks.
//!
//! Nothing here is remembered over a restart, and no label takes a value that an agent or a person chose:
//! providers, outcomes, failure codes and reasons come from lists, groups and channels from the operator's files.

mod code;
pub mod exposition;
mod histogram;
pub mod listen;
pub mod memory;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use longshore_protocol::ProviderKind;

use self::code::FailureCodes;
use self::histogram::{DELIVERY, Histogram, LATENESS, TURN, WAIT};
use crate::usage::Tokens;

/// How an attempt at a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnOutcome {
    /// It said what it had to say.
    Settled,
    /// It went well and kept everything to itself.
    Silent,
    /// Somebody stopped it.
    Stopped,
    /// It is tried again soon.
    Retried,
    /// It is tried again after a wait of which the chat was told.
    Postponed,
    /// It is tried again at once in a new conversation.
    SessionForgotten,
    /// It was given up, and the chat told so.
    GaveUp,
    /// There was no engine to run it.
    NoEngine,
}

impl TurnOutcome {
    /// All of them, in the order of their numbers.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Settled, "settled"),
        (Self::Silent, "silent"),
        (Self::Stopped, "stopped"),
        (Self::Retried, "retried"),
        (Self::Postponed, "postponed"),
        (Self::SessionForgotten, "session_forgotten"),
        (Self::GaveUp, "gave_up"),
        (Self::NoEngine, "no_engine"),
    ];

    /// As what it is counted and recorded.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Why the broker did not send a request on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// It is none of those that are allowed.
    Forbidden,
    /// There is no credential, or the login gives none.
    Credential,
    /// The group's budget does not allow it.
    Budget,
    /// It is too large.
    TooLarge,
    /// The API was not reached, or broke off.
    Upstream,
}

impl Denied {
    /// All of them, in the order of their numbers.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Forbidden, "forbidden"),
        (Self::Credential, "credential"),
        (Self::Budget, "budget"),
        (Self::TooLarge, "too_large"),
        (Self::Upstream, "upstream"),
    ];
}

/// How a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendFailure {
    /// It is tried again.
    Temporary,
    /// It is a dead letter.
    Permanent,
}

impl SendFailure {
    const ALL: [(Self, &'static str); 2] = [(Self::Temporary, "temporary"), (Self::Permanent, "permanent")];
}

/// The host's counts. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    turns: [[AtomicU64; TurnOutcome::ALL.len()]; ProviderKind::ALL.len()],
    failures: FailureCodes,
    wait: Histogram<WAIT>,
    duration: [Histogram<TURN>; ProviderKind::ALL.len()],
    first_text: [Histogram<TURN>; ProviderKind::ALL.len()],
    delivery: Histogram<DELIVERY>,
    lateness: Histogram<LATENESS>,
    sent: AtomicU64,
    not_sent: [AtomicU64; SendFailure::ALL.len()],
    running: AtomicU64,
    waiting: AtomicU64,
    upstream: [Upstream; ProviderKind::ALL.len()],
    denied: [AtomicU64; Denied::ALL.len()],
}

/// What went to a provider's API and came from it.
#[derive(Debug, Default)]
struct Upstream {
    requests: AtomicU64,
    sent_bytes: Arc<AtomicU64>,
    received_bytes: Arc<AtomicU64>,
    answers: AtomicU64,
    tokens: [AtomicU64; 4],
    nano_usd: AtomicU64,
    unpriced: AtomicU64,
}

impl Metrics {
    /// A turn's first attempt begins; the oldest message that it answers, or its task's time, was then.
    pub fn turn_begins(&self, since: Timestamp, now: Timestamp) {
        self.0.wait.observe(seconds(since, now));
    }

    /// An attempt at a turn says its first text, so long after its beginning.
    pub fn first_text(&self, provider: ProviderKind, after: std::time::Duration) {
        self.0.first_text[number(provider)].observe(after.as_secs_f64());
    }

    /// An attempt at a turn is over.
    pub fn turn_ends(&self, provider: ProviderKind, outcome: TurnOutcome, failure_code: Option<&str>) {
        add(&self.0.turns[number(provider)][outcome as usize], 1);
        if let Some(code) = failure_code {
            self.0.failures.count(code);
        }
    }

    /// So long did an attempt take that reached a container.
    pub fn turn_took(&self, provider: ProviderKind, time: std::time::Duration) {
        self.0.duration[number(provider)].observe(time.as_secs_f64());
    }

    /// A platform took a message that was written then.
    pub fn sent(&self, written: Timestamp, now: Timestamp) {
        add(&self.0.sent, 1);
        self.0.delivery.observe(seconds(written, now));
    }

    /// A platform did not take a message.
    pub fn not_sent(&self, failure: SendFailure) {
        add(&self.0.not_sent[failure as usize], 1);
    }

    /// A task was fired that was due then.
    pub fn fired(&self, due: Timestamp, now: Timestamp) {
        self.0.lateness.observe(seconds(due, now));
    }

    /// So many groups run now, and so many wait for a slot.
    pub fn queue(&self, running: usize, waiting: usize) {
        self.0.running.store(running as u64, Ordering::Relaxed);
        self.0.waiting.store(waiting as u64, Ordering::Relaxed);
    }

    /// How many groups run and wait.
    #[must_use]
    pub fn queued(&self) -> (u64, u64) {
        (get(&self.0.running), get(&self.0.waiting))
    }

    /// The broker sends a request on to a provider's API.
    pub fn asked(&self, provider: ProviderKind) {
        add(&self.0.upstream[number(provider)].requests, 1);
    }

    /// The broker did not send a request on.
    pub fn denied(&self, denied: Denied) {
        add(&self.0.denied[denied as usize], 1);
    }

    /// Where bytes to a provider's API are counted, and those from it.
    #[must_use]
    pub fn bytes(&self, provider: ProviderKind) -> (Arc<AtomicU64>, Arc<AtomicU64>) {
        let Upstream { sent_bytes, received_bytes, .. } = &self.0.upstream[number(provider)];
        (sent_bytes.clone(), received_bytes.clone())
    }

    /// An answer used so much, and cost so many billionths of a US dollar if that is known.
    pub fn used(&self, provider: ProviderKind, tokens: &Tokens, nano_usd: Option<u64>) {
        let upstream = &self.0.upstream[number(provider)];
        let Tokens { input, cache_write, cached_input, output } = *tokens;
        add(&upstream.answers, 1);
        for (sum, more) in upstream.tokens.iter().zip([input, cache_write, cached_input, output]) {
            add(sum, more);
        }
        match nano_usd {
            Some(cost) => add(&upstream.nano_usd, cost),
            None => add(&upstream.unpriced, 1),
        }
    }
}

fn number(provider: ProviderKind) -> usize {
    match provider {
        ProviderKind::Claude => 0,
        ProviderKind::Codex => 1,
    }
}

fn add(sum: &AtomicU64, more: u64) {
    sum.fetch_add(more, Ordering::Relaxed);
}

fn get(sum: &AtomicU64) -> u64 {
    sum.load(Ordering::Relaxed)
}

/// From one time to another; none when a clock was set back.
fn seconds(from: Timestamp, until: Timestamp) -> f64 {
    until.duration_since(from).as_secs_f64().max(0.0)
}

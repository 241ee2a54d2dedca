//! What is to be sent: in order per chat, at the pace of [`crate::pace`], until the server has confirmed it.
//!
//! Pure: the time is an argument, and what to do is the answer. A message that was written and not confirmed
//! when the connection broke is written again under the same id, which is the same message.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use longshore_protocol::channel::AdapterEvent;

use crate::pace::{Limits, Pace};

/// How many messages wait at most, over all chats. The host asks for one of a chat at a time.
const MAX_WAITING: usize = 1024;
/// When a message that is not confirmed is given back, from the `send` line on. The host waits for 60 s, and
/// what it no longer waits for must not be sent.
const PATIENCE: Duration = Duration::from_secs(50);
/// For how long a message that was given back untried keeps its place. The host gives it again in half a minute.
const KEPT_PLACE: Duration = Duration::from_secs(300);

/// A `send` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Send {
    /// The host's number, echoed in the answer.
    pub outbox_id: i64,
    /// Where to.
    pub chat: String,
    /// What, in Markdown.
    pub text: String,
    /// The message's id on the platform.
    pub message_id: String,
    /// What it answers.
    pub reply_to: Option<String>,
}

impl Send {
    fn failed(&self, error: impl Into<String>, permanent: bool) -> AdapterEvent {
        AdapterEvent::SendFailed { outbox_id: self.outbox_id, error: error.into(), permanent }
    }

    fn later(&self, reason: impl Into<String>) -> AdapterEvent {
        AdapterEvent::SendLater { outbox_id: self.outbox_id, reason: reason.into() }
    }

    fn sent(&self) -> AdapterEvent {
        AdapterEvent::Sent { outbox_id: self.outbox_id, message_id: self.message_id.clone() }
    }
}

/// Why a message could not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unwritten {
    /// There is no connection: it is written when there is one again.
    NotConnected,
    /// It did not work this time.
    Failed(String),
    /// It never will.
    Refused(String),
}

#[derive(Debug)]
struct Entry {
    send: Send,
    /// Since when it waits for its turn, by this `send` line or an earlier one.
    since: Duration,
    until: Duration,
    in_flight: bool,
}

/// The messages.
#[derive(Debug)]
pub struct Outbox {
    chats: BTreeMap<String, VecDeque<Entry>>,
    /// Since when those wait that were given back untried, and when they were: whoever comes again goes before
    /// whoever is new.
    places: HashMap<String, (Duration, Duration)>,
    pace: Pace,
    up: bool,
}

impl Outbox {
    /// Empty, and not connected.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { chats: BTreeMap::new(), places: HashMap::new(), pace: Pace::new(limits), up: false }
    }

    /// Takes a message; an answer at once if there is no room for it.
    pub fn push(&mut self, send: Send, now: Duration) -> Option<AdapterEvent> {
        let until = now + PATIENCE;
        if let Some(entry) = self
            .chats
            .get_mut(&send.chat)
            .and_then(|queue| queue.iter_mut().find(|entry| entry.send.message_id == send.message_id))
        {
            // The host has lost patience and asks again for what still waits.
            *entry = Entry { send, until, ..*entry };
            return None;
        }
        if self.chats.values().map(VecDeque::len).sum::<usize>() >= MAX_WAITING {
            return Some(send.later("too many messages wait already"));
        }
        let since = self.places.remove(&send.message_id).map_or(now, |(since, _)| since);
        self.chats.entry(send.chat.clone()).or_default().push_back(Entry { send, since, until, in_flight: false });
        None
    }

    /// The connection is there: what was not confirmed before is written again.
    pub fn connected(&mut self) {
        self.up = true;
        for entry in self.chats.values_mut().flatten() {
            entry.in_flight = false;
        }
    }

    /// The connection is gone.
    pub fn disconnected(&mut self) {
        self.up = false;
    }

    /// What may be written now. `jitter`: see [`Pace::sent`].
    pub fn take_due(&mut self, now: Duration, mut jitter: impl FnMut() -> f64) -> Vec<Send> {
        let mut due = Vec::new();
        if !self.up {
            return due;
        }
        // Whoever waits longest goes first: by name alone the last chat would starve.
        let mut heads: Vec<(Duration, String)> = self
            .chats
            .iter()
            .filter_map(|(chat, queue)| {
                queue.front().filter(|head| !head.in_flight).map(|head| (head.since, chat.clone()))
            })
            .collect();
        heads.sort_unstable();
        for (_, chat) in heads {
            if self.pace.ready_at(&chat) > now {
                continue;
            }
            if let Some(head) = self.chats.get_mut(&chat).and_then(VecDeque::front_mut) {
                head.in_flight = true;
                self.pace.sent(&chat, now, jitter());
                due.push(head.send.clone());
            }
        }
        due
    }

    /// A message could not be written; the answer, if there is one.
    pub fn unwritten(&mut self, message_id: &str, why: Unwritten) -> Option<AdapterEvent> {
        match why {
            Unwritten::NotConnected => {
                if let Some(entry) = self.chats.values_mut().flatten().find(|entry| entry.send.message_id == message_id)
                {
                    // It waits for the next connection, not for the next look.
                    entry.in_flight = self.up;
                }
                None
            }
            Unwritten::Failed(error) => self.remove(message_id).map(|send| send.failed(error, false)),
            Unwritten::Refused(error) => self.remove(message_id).map(|send| send.failed(error, true)),
        }
    }

    /// The server has answered for a message: it has it, or it refuses it with a code.
    pub fn confirmed(&mut self, message_id: &str, refusal: Option<&str>) -> Option<(Send, AdapterEvent)> {
        let send = self.remove(message_id)?;
        let answer = match refusal {
            None => send.sent(),
            Some(code) => send.failed(format!("the server refused it with code {code}"), false),
        };
        Some((send, answer))
    }

    /// Gives back what has waited for too long. Only what the server had and did not confirm has failed.
    pub fn expire(&mut self, now: Duration) -> Vec<AdapterEvent> {
        let mut answers = Vec::new();
        self.places.retain(|_, (_, back)| now.saturating_sub(*back) < KEPT_PLACE);
        for queue in self.chats.values_mut() {
            queue.retain(|entry| {
                if entry.until > now {
                    return true;
                }
                let within = PATIENCE.as_secs();
                answers.push(match (self.up, entry.in_flight) {
                    (true, true) => {
                        entry.send.failed(format!("the server did not confirm it within {within} s"), false)
                    }
                    (true, false) => entry.send.later("too many messages were before it"),
                    (false, _) => entry.send.later("there is no connection"),
                });
                if !entry.in_flight && self.places.len() < MAX_WAITING {
                    self.places.insert(entry.send.message_id.clone(), (entry.since, now));
                }
                false
            });
        }
        self.chats.retain(|_, queue| !queue.is_empty());
        answers
    }

    /// Gives everything back: nothing will be sent any more.
    pub fn give_up(&mut self, why: &str) -> Vec<AdapterEvent> {
        let chats = std::mem::take(&mut self.chats);
        chats.values().flatten().map(|entry| entry.send.later(why)).collect()
    }

    /// When there is something to do at the latest.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        let expiry = self.chats.values().flatten().map(|entry| entry.until).min();
        let next = self
            .chats
            .iter()
            .filter(|(_, queue)| self.up && queue.front().is_some_and(|head| !head.in_flight))
            .map(|(chat, _)| self.pace.ready_at(chat))
            .min();
        expiry.into_iter().chain(next).min()
    }

    /// Whether something is written and not confirmed.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        self.chats.values().flatten().any(|entry| entry.in_flight)
    }

    fn remove(&mut self, message_id: &str) -> Option<Send> {
        let (chat, at) = self.chats.iter().find_map(|(chat, queue)| {
            let at = queue.iter().position(|entry| entry.send.message_id == message_id)?;
            Some((chat.clone(), at))
        })?;
        let queue = self.chats.get_mut(&chat)?;
        let entry = queue.remove(at)?;
        if queue.is_empty() {
            self.chats.remove(&chat);
        }
        Some(entry.send)
    }
}

#[cfg(test)]
mod tests;

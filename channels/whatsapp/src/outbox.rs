//! What is to be sent: in order per chat, at the pace of [`crate::pace`], until the server has confirmed it.
//!
//! Pure: the time is an argument, and what to do is the answer. A message that was written and not confirmed
//! when the connection broke is written again under the same id, which is the same message.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use longshore_protocol::channel::AdapterEvent;

use crate::pace::{Limits, Pace};

/// How many messages wait at most, over all chats. The host asks for one of a chat at a time.
const MAX_WAITING: usize = 1024;
/// When a message that is not confirmed is given back, from the `send` line on. The host waits for 60 s, and
/// what it no longer waits for must not be sent.
const PATIENCE: Duration = Duration::from_secs(50);

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
    until: Duration,
    in_flight: bool,
}

/// The messages.
#[derive(Debug)]
pub struct Outbox {
    chats: BTreeMap<String, VecDeque<Entry>>,
    pace: Pace,
    up: bool,
}

impl Outbox {
    /// Empty, and not connected.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { chats: BTreeMap::new(), pace: Pace::new(limits), up: false }
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
            *entry = Entry { send, until, in_flight: entry.in_flight };
            return None;
        }
        if self.chats.values().map(VecDeque::len).sum::<usize>() >= MAX_WAITING {
            return Some(send.failed("too many messages wait already", false));
        }
        self.chats.entry(send.chat.clone()).or_default().push_back(Entry { send, until, in_flight: false });
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
                queue.front().filter(|head| !head.in_flight).map(|head| (head.until, chat.clone()))
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

    /// Gives back what has waited for too long.
    pub fn expire(&mut self, now: Duration) -> Vec<AdapterEvent> {
        let mut answers = Vec::new();
        for queue in self.chats.values_mut() {
            queue.retain(|entry| {
                if entry.until > now {
                    return true;
                }
                let why = match (self.up, entry.in_flight) {
                    (false, _) => "there was no connection",
                    (true, true) => "the server did not confirm it",
                    (true, false) => "too many messages were before it",
                };
                answers.push(entry.send.failed(format!("{why} within {} s", PATIENCE.as_secs()), false));
                false
            });
        }
        self.chats.retain(|_, queue| !queue.is_empty());
        answers
    }

    /// Gives everything back: nothing will be sent any more.
    pub fn give_up(&mut self, why: &str) -> Vec<AdapterEvent> {
        let chats = std::mem::take(&mut self.chats);
        chats.values().flatten().map(|entry| entry.send.failed(why, false)).collect()
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
mod tests {
    use super::*;

    fn send(outbox_id: i64, chat: &str) -> Send {
        Send { outbox_id, chat: chat.into(), text: "hi".into(), message_id: format!("M{outbox_id}"), reply_to: None }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn ids(sends: &[Send]) -> Vec<i64> {
        sends.iter().map(|send| send.outbox_id).collect()
    }

    fn connected(sends: &[Send]) -> Outbox {
        let mut outbox = Outbox::new(Limits::default());
        outbox.connected();
        for send in sends {
            assert_eq!(outbox.push(send.clone(), at(0)), None);
        }
        outbox
    }

    #[test]
    fn the_next_of_a_chat_waits_until_the_server_has_the_first() {
        let mut outbox = connected(&[send(1, "a"), send(2, "a"), send(3, "b")]);
        assert_eq!(ids(&outbox.take_due(at(0), || 0.0)), [1, 3]);
        assert_eq!(outbox.take_due(at(9), || 0.0), []);
        let (_, answer) = outbox.confirmed("M1", None).unwrap();
        assert_eq!(answer, AdapterEvent::Sent { outbox_id: 1, message_id: "M1".into() });
        assert_eq!(ids(&outbox.take_due(at(9), || 0.0)), [2]);
        assert!(outbox.confirmed("M1", None).is_none());
    }

    #[test]
    fn what_was_not_confirmed_is_written_again_under_its_id() {
        let mut outbox = connected(&[send(1, "a")]);
        outbox.take_due(at(0), || 0.0);
        outbox.disconnected();
        assert_eq!(outbox.take_due(at(5), || 0.0), []);
        outbox.connected();
        assert_eq!(outbox.take_due(at(6), || 0.0), [send(1, "a")]);
    }

    #[test]
    fn a_message_without_a_connection_waits_for_one() {
        let mut outbox = connected(&[send(1, "a")]);
        outbox.take_due(at(0), || 0.0);
        assert_eq!(outbox.unwritten("M1", Unwritten::NotConnected), None);
        assert_eq!(outbox.take_due(at(5), || 0.0), []);
        outbox.connected();
        assert_eq!(ids(&outbox.take_due(at(6), || 0.0)), [1]);
    }

    #[test]
    fn the_host_is_answered_before_it_stops_waiting() {
        let mut outbox = Outbox::new(Limits::default());
        outbox.push(send(1, "a"), at(0));
        assert_eq!(outbox.due(), Some(PATIENCE));
        assert_eq!(outbox.expire(PATIENCE - at(1)), []);
        let answers = outbox.expire(PATIENCE);
        let error = "there was no connection within 50 s".to_owned();
        assert_eq!(answers, [AdapterEvent::SendFailed { outbox_id: 1, error, permanent: false }]);
        outbox.connected();
        assert_eq!(outbox.take_due(at(99), || 0.0), []);
    }

    #[test]
    fn asking_again_for_what_still_waits_sends_it_once() {
        let mut outbox = connected(&[send(1, "a"), Send { outbox_id: 2, ..send(1, "a") }]);
        assert_eq!(ids(&outbox.take_due(at(0), || 0.0)), [2]);
        assert!(outbox.confirmed("M1", None).is_some());
        assert_eq!(outbox.due(), None);
    }

    #[test]
    fn a_refusal_says_whether_to_try_again() {
        let mut outbox = connected(&[send(1, "a"), send(2, "b"), send(3, "c")]);
        outbox.take_due(at(0), || 0.0);
        let answer = outbox.unwritten("M1", Unwritten::Refused("no such chat".into())).unwrap();
        assert_eq!(answer, AdapterEvent::SendFailed { outbox_id: 1, error: "no such chat".into(), permanent: true });
        let answer = outbox.unwritten("M2", Unwritten::Failed("no keys".into())).unwrap();
        assert_eq!(answer, AdapterEvent::SendFailed { outbox_id: 2, error: "no keys".into(), permanent: false });
        let (_, answer) = outbox.confirmed("M3", Some("479")).unwrap();
        let error = "the server refused it with code 479".to_owned();
        assert_eq!(answer, AdapterEvent::SendFailed { outbox_id: 3, error, permanent: false });
    }

    #[test]
    fn no_chat_starves_and_nothing_grows_without_bound() {
        let sends: Vec<Send> = (0..30).map(|number| send(number, &format!("chat{number:02}"))).collect();
        let mut outbox = connected(&sends);
        let mut order = Vec::new();
        let mut now = at(0);
        while let Some(next) = outbox.due().filter(|next| *next < PATIENCE) {
            now = now.max(next);
            for send in outbox.take_due(now, || 0.5) {
                order.push(send.outbox_id);
                outbox.confirmed(&send.message_id, None);
            }
        }
        assert_eq!(order, (0..order.len() as i64).collect::<Vec<_>>());
        assert!(order.len() >= 15, "{}", order.len());
        for number in 100..100 + 2 * MAX_WAITING as i64 {
            outbox.push(send(number, "a"), now);
        }
        assert!(outbox.push(send(99, "z"), now).is_some());
        assert_eq!(outbox.give_up("stopped").len(), MAX_WAITING);
        assert_eq!(outbox.due(), None);
    }
}

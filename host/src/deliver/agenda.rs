//! Which chats are to be looked at, and when. Pure: chats and times in, chats out.
//!
//! Only chats of which something is new are looked at, so that a chat with thousands of rows, or thousands
//! of chats with one, cost no more than what is sent. A chat is in one place at a time: ready to be looked
//! at, queued for its channel, being sent to, or waiting for a time.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use jiff::Timestamp;

/// How many sends of one channel are under way at most: a channel that is slow has few of them waiting for
/// it, each with its own limit of time, and a channel that hangs holds no other up.
const ABREAST: usize = 32;
/// How many chats are looked at together.
const TOGETHER: usize = 256;

/// What is to be done about the oldest row of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Step {
    /// Send it now.
    Send,
    /// Nothing yet; the agenda has it.
    Later,
}

#[derive(Debug, Default)]
pub(super) struct Agenda {
    ready: VecDeque<String>,
    /// What is in `ready`.
    listed: HashSet<String>,
    busy: HashSet<String>,
    lanes: HashMap<String, Lane>,
    waiting: HashMap<String, Wait>,
    /// The times of `waiting`.
    times: BTreeSet<(Timestamp, String)>,
}

/// What one channel is busy with.
#[derive(Debug, Default)]
struct Lane {
    under_way: usize,
    queue: VecDeque<String>,
    /// What is in `queue`.
    queued: HashSet<String>,
}

impl Lane {
    fn is_full(&self) -> bool {
        self.under_way >= ABREAST
    }

    /// Whether the chat has to go on waiting for its turn; if not, it waits no longer.
    fn keeps(&mut self, chat: &str) -> bool {
        self.queued.contains(chat) && (self.is_full() || !self.queued.remove(chat))
    }

    /// The first that waits, if there is room for it.
    fn next(&mut self) -> Option<String> {
        while !self.is_full() {
            let chat = self.queue.pop_front()?;
            if self.queued.remove(&chat) {
                return Some(chat);
            }
        }
        None
    }
}

#[derive(Debug)]
struct Wait {
    until: Timestamp,
    /// The channel that has no way to the chat; it may come up before.
    parked: Option<String>,
}

impl Agenda {
    /// There may be something new in a chat.
    pub(super) fn look(&mut self, chat: String) {
        let parked = self.waiting.get(&chat).is_some_and(|wait| wait.parked.is_some());
        if self.busy.contains(&chat) || parked || self.lanes.values_mut().any(|lane| lane.keeps(&chat)) {
            // It is looked at when that is over.
            return;
        }
        self.stop_waiting(&chat);
        if self.listed.insert(chat.clone()) {
            self.ready.push_back(chat);
        }
    }

    /// A channel came up: its chats need not wait for it any longer.
    pub(super) fn came_up(&mut self, channel: &str) {
        let parked = |(chat, wait): (&String, &Wait)| (wait.parked.as_deref() == Some(channel)).then(|| chat.clone());
        let chats: Vec<String> = self.waiting.iter().filter_map(parked).collect();
        self.release(chats);
    }

    /// The chats to look at now. Each is either considered then, or has nothing to send.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<String> {
        let mut chats = Vec::new();
        while self.times.first().is_some_and(|(until, _)| *until <= now) {
            chats.extend(self.times.pop_first().map(|(_, chat)| chat));
        }
        self.release(chats);
        let count = self.ready.len().min(TOGETHER);
        let due: Vec<String> = self.ready.drain(..count).collect();
        for chat in &due {
            self.listed.remove(chat);
        }
        due
    }

    /// When a chat that waits is due next.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.times.first().map(|(until, _)| *until)
    }

    /// Decides about the oldest row of a chat that was due.
    pub(super) fn consider(
        &mut self,
        chat: &str,
        channel: &str,
        not_before: Option<Timestamp>,
        now: Timestamp,
    ) -> Step {
        if let Some(until) = not_before.filter(|until| *until > now) {
            self.wait(chat, Wait { until, parked: None });
            return Step::Later;
        }
        let lane = self.lanes.entry(channel.to_owned()).or_default();
        if lane.is_full() {
            if lane.queued.insert(chat.to_owned()) {
                lane.queue.push_back(chat.to_owned());
            }
            return Step::Later;
        }
        lane.under_way += 1;
        self.busy.insert(chat.to_owned());
        Step::Send
    }

    /// A send is over; with `parked`, the channel has no way to the chat and it waits until then.
    pub(super) fn sent(&mut self, chat: &str, channel: &str, parked: Option<Timestamp>) {
        self.busy.remove(chat);
        let next = self.lanes.get_mut(channel).and_then(|lane| {
            lane.under_way = lane.under_way.saturating_sub(1);
            lane.next()
        });
        match parked {
            Some(until) => self.wait(chat, Wait { until, parked: Some(channel.to_owned()) }),
            None => self.look(chat.to_owned()),
        }
        if let Some(next) = next {
            self.look(next);
        }
    }

    fn wait(&mut self, chat: &str, wait: Wait) {
        self.stop_waiting(chat);
        self.times.insert((wait.until, chat.to_owned()));
        self.waiting.insert(chat.to_owned(), wait);
    }

    fn stop_waiting(&mut self, chat: &str) {
        if let Some(wait) = self.waiting.remove(chat) {
            self.times.remove(&(wait.until, chat.to_owned()));
        }
    }

    fn release(&mut self, chats: Vec<String>) {
        for chat in chats {
            self.stop_waiting(&chat);
            self.look(chat);
        }
    }
}

#[cfg(test)]
mod tests;

//! Who is shown that we are typing. Pure: the time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

/// A phone stops showing it after some twenty seconds.
const REFRESH: Duration = Duration::from_secs(10);
/// Without a word from the host for so long, the agent is taken to be done.
const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);
/// More chats at once are not shown anything.
const MAX_CHATS: usize = 64;

/// What to tell the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Show {
    /// We are there: only of people who are there the phone shows that they type.
    Available,
    /// We are typing in this chat.
    Composing(String),
    /// We have stopped.
    Paused(String),
    /// We are gone; the account's phone gets its notifications again.
    Unavailable,
}

/// The chats in which we are typing.
#[derive(Debug, Default)]
pub struct Typing {
    /// Since when, and when to say it again.
    chats: BTreeMap<String, (Duration, Duration)>,
}

impl Typing {
    /// The host says that the agent of a chat is at work, or no longer.
    pub fn set(&mut self, chat: &str, on: bool, now: Duration) -> Vec<Show> {
        if !on {
            return self.end(chat);
        }
        let mut shown = Vec::new();
        if let Some((since, _)) = self.chats.get_mut(chat) {
            *since = now;
            return shown;
        }
        if self.chats.len() < MAX_CHATS {
            if self.chats.is_empty() {
                shown.push(Show::Available);
            }
            self.chats.insert(chat.to_owned(), (now, now + REFRESH));
            shown.push(Show::Composing(chat.to_owned()));
        }
        shown
    }

    fn end(&mut self, chat: &str) -> Vec<Show> {
        if self.chats.remove(chat).is_none() {
            return Vec::new();
        }
        let mut shown = vec![Show::Paused(chat.to_owned())];
        if self.chats.is_empty() {
            shown.push(Show::Unavailable);
        }
        shown
    }

    /// The connection is new: whoever is typing says it again. Otherwise we are gone, though a client that has
    /// connected counts as there.
    pub fn connected(&mut self, now: Duration) -> Vec<Show> {
        let mut shown = vec![if self.chats.is_empty() { Show::Unavailable } else { Show::Available }];
        for (chat, (_, again)) in &mut self.chats {
            *again = now + REFRESH;
            shown.push(Show::Composing(chat.clone()));
        }
        shown
    }

    /// Nobody is typing any more.
    pub fn clear(&mut self) -> Vec<Show> {
        let chats: Vec<String> = self.chats.keys().cloned().collect();
        chats.iter().flat_map(|chat| self.end(chat)).collect()
    }

    /// When there is something to say again.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.chats.values().map(|(_, again)| *again).min()
    }

    /// What is to be said again by now.
    pub fn tick(&mut self, now: Duration) -> Vec<Show> {
        let old: Vec<String> =
            self.chats.iter().filter(|(_, (since, _))| *since + LONGEST <= now).map(|(chat, _)| chat.clone()).collect();
        let mut shown: Vec<Show> = old.iter().flat_map(|chat| self.end(chat)).collect();
        for (chat, (_, again)) in &mut self.chats {
            if *again <= now {
                *again = now + REFRESH;
                shown.push(Show::Composing(chat.clone()));
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn typing_is_said_again_until_its_end() {
        let mut typing = Typing::default();
        assert_eq!(typing.set("a", true, at(0)), [Show::Available, Show::Composing("a".into())]);
        assert_eq!(typing.set("a", true, at(1)), []);
        assert_eq!(typing.due(), Some(at(10)));
        assert_eq!(typing.tick(at(9)), []);
        assert_eq!(typing.tick(at(10)), [Show::Composing("a".into())]);
        assert_eq!(typing.due(), Some(at(20)));
        assert_eq!(typing.set("a", false, at(11)), [Show::Paused("a".into()), Show::Unavailable]);
        assert_eq!(typing.set("a", false, at(12)), []);
        assert_eq!(typing.due(), None);
    }

    #[test]
    fn we_are_available_while_anybody_waits() {
        let mut typing = Typing::default();
        typing.set("a", true, at(0));
        assert_eq!(typing.set("b", true, at(1)), [Show::Composing("b".into())]);
        assert_eq!(typing.set("a", false, at(2)), [Show::Paused("a".into())]);
        assert_eq!(typing.connected(at(3)), [Show::Available, Show::Composing("b".into())]);
        assert_eq!(typing.set("b", false, at(4)), [Show::Paused("b".into()), Show::Unavailable]);
        assert_eq!(typing.connected(at(5)), [Show::Unavailable]);
        typing.set("c", true, at(6));
        assert_eq!(typing.clear(), [Show::Paused("c".into()), Show::Unavailable]);
    }

    #[test]
    fn a_host_that_forgets_a_chat_does_not_leave_it_typing_for_ever() {
        let mut typing = Typing::default();
        typing.set("a", true, at(0));
        assert_eq!(typing.tick(LONGEST), [Show::Paused("a".into()), Show::Unavailable]);
        for chat in 0..1000 {
            typing.set(&chat.to_string(), true, at(0));
        }
        assert_eq!(typing.chats.len(), MAX_CHATS);
    }
}

//! How fast to send: no faster than a diligent person, or the platform bans the account.
//!
//! Pure: the time is an argument, as the time since any fixed moment.

use std::collections::HashMap;
use std::time::Duration;

/// Chats whose last message is remembered at once; the rest have been quiet for long.
const MAX_CHATS: usize = 1024;
/// The window of the limit over all chats.
const WINDOW: Duration = Duration::from_secs(60);

/// The limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The least time between two messages of one chat.
    pub chat_gap: Duration,
    /// The most messages within any 60 seconds, over all chats; at least 1.
    pub per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { chat_gap: Duration::from_secs(1), per_minute: 20 }
    }
}

/// Two token buckets in one: one token for each chat, and a quarter of the minute's messages for all.
#[derive(Debug)]
pub struct Pace {
    limits: Limits,
    chats: HashMap<String, Duration>,
    /// When the bucket of all chats would be full, as if each token took its time to come back.
    full_at: Duration,
}

impl Pace {
    /// Nothing was sent yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, chats: HashMap::new(), full_at: Duration::ZERO }
    }

    /// The tokens that may be taken at once, and the time in which one comes back: together they keep
    /// every window within the limit.
    fn bucket(&self) -> (u32, Duration) {
        let limit = self.limits.per_minute.max(1);
        let burst = (limit / 4).max(1);
        // With a limit of one message there is no room for a burst besides the refill.
        let refill = (limit - burst).max(1);
        (burst, WINDOW / refill)
    }

    /// When the next message to the chat may go; a time that is past means now.
    #[must_use]
    pub fn ready_at(&self, chat: &str) -> Duration {
        let (burst, each) = self.bucket();
        let overall = self.full_at.saturating_sub(each * (burst - 1));
        self.chats.get(chat).map_or(overall, |free| overall.max(*free))
    }

    /// A message goes now. `jitter`, from 0 to 1, lengthens the chat's gap by up to a half: a clockwork
    /// is conspicuous.
    pub fn sent(&mut self, chat: &str, now: Duration, jitter: f64) {
        let (_, each) = self.bucket();
        self.full_at = self.full_at.max(now) + each;
        if self.chats.len() >= MAX_CHATS {
            self.chats.retain(|_, free| *free > now);
        }
        let gap = self.limits.chat_gap;
        let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.0 };
        self.chats.insert(chat.to_owned(), now + gap + gap.mul_f64(jitter / 2.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sends as soon as allowed, to the chats in turn; when each message went.
    fn sent(limits: Limits, chats: &[u8], jitter: f64) -> Vec<(u8, Duration)> {
        let mut pace = Pace::new(limits);
        let mut now = Duration::ZERO;
        chats
            .iter()
            .map(|chat| {
                let name = chat.to_string();
                now = now.max(pace.ready_at(&name));
                pace.sent(&name, now, jitter);
                (*chat, now)
            })
            .collect()
    }

    proptest! {
        #[test]
        fn no_minute_has_more_than_its_limit(
            chats in prop::collection::vec(0u8..6, 1..120), per_minute in 2u32..40, jitter in 0.0..1.0f64,
        ) {
            let times = sent(Limits { chat_gap: Duration::from_millis(10), per_minute }, &chats, jitter);
            for (index, (_, begin)) in times.iter().enumerate() {
                let within = times[index..].iter().filter(|(_, at)| *at < *begin + WINDOW).count();
                prop_assert!(within <= per_minute as usize, "{within} of {per_minute}");
            }
        }

        #[test]
        fn a_chat_never_gets_two_messages_within_its_gap(
            chats in prop::collection::vec(0u8..3, 1..60), gap in 1u64..5000, jitter in 0.0..1.0f64,
        ) {
            let gap = Duration::from_millis(gap);
            let times = sent(Limits { chat_gap: gap, per_minute: 10_000 }, &chats, jitter);
            for chat in 0..3 {
                let times: Vec<_> = times.iter().filter(|(which, _)| *which == chat).map(|(_, at)| *at).collect();
                for pair in times.windows(2) {
                    prop_assert!(pair[1] - pair[0] >= gap);
                }
            }
        }
    }

    #[test]
    fn after_a_quiet_minute_a_few_may_go_at_once() {
        let mut pace = Pace::new(Limits::default());
        let now = Duration::from_secs(3600);
        for chat in ["a", "b", "c", "d", "e"] {
            assert!(pace.ready_at(chat) <= now, "{chat}");
            pace.sent(chat, now, 0.0);
        }
        assert_eq!(pace.ready_at("f"), now + Duration::from_secs(4));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut pace = Pace::new(Limits { chat_gap: Duration::from_millis(1), per_minute: 1_000_000 });
        for chat in 0..10_000u32 {
            pace.sent(&chat.to_string(), Duration::from_millis(chat.into()), 1.0);
        }
        assert!(pace.chats.len() <= MAX_CHATS);
    }
}

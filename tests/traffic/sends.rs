//! How the platform takes what the host sends: from the seed and the text, so the same in every run.

use std::collections::HashSet;

use longshore_protocol::channel::AdapterEvent;
use longshore_tests::platform::{Answer, Platform};
use longshore_tests::script::draw;

/// What was sent so far.
pub(crate) struct Sends {
    seed: u64,
    temporary: u64,
    permanent: u64,
    seen: HashSet<String>,
}

impl Sends {
    pub(crate) fn new(seed: u64, temporary: u64, permanent: u64, platform: &Platform) -> Self {
        let seen = if temporary > 0 {
            platform.sends.iter().map(|send| send.message_id.clone()).collect()
        } else {
            HashSet::new()
        };
        Self { seed, temporary, permanent, seen }
    }

    /// A text that fails for ever fails always; one that fails at first fails once for each message.
    pub(crate) fn answer(&mut self, message_id: &str, text: &str) -> Answer {
        let dice = draw(self.seed, ("send", text)) % 100;
        if dice < self.permanent {
            Answer::Permanent
        } else if dice < self.permanent + self.temporary && self.seen.insert(message_id.to_owned()) {
            Answer::Temporary
        } else {
            Answer::Accepted
        }
    }
}

pub(crate) fn event(answer: Answer, outbox_id: i64, message_id: String) -> AdapterEvent {
    let failed = |error: &str, permanent| AdapterEvent::SendFailed { outbox_id, error: error.to_owned(), permanent };
    match answer {
        Answer::Accepted => AdapterEvent::Sent { outbox_id, message_id },
        Answer::Temporary => failed("the platform is busy", false),
        Answer::Permanent => failed("the platform refuses it", true),
    }
}

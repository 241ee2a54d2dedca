//! Does a message wake its group's agent? Pure, and each answer says why.

mod trigger;

use std::fmt;

use longshore_protocol::channel::ChatMessage;

pub use self::trigger::{is_usable_trigger, says_only, starts_with_trigger};
use crate::groups::Group;

/// What the host alone knows about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Authorship {
    /// Whether the host itself sent this message. `from_me` does not tell: an operator who shares the
    /// assistant's account says things too, and those count.
    pub sent_by_host: bool,
    /// Whether it answers a message that the host sent.
    pub replies_to_host: bool,
    /// What the sender may do, by the sender allowlist.
    pub standing: SenderStanding,
}

/// What a sender may do in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SenderStanding {
    /// Wake the agent, and stop it.
    #[default]
    MayWake,
    /// Only be read by it.
    MayNotWake,
    /// Nothing: what they say is not kept.
    Dropped,
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Its chat is no group: what it says is not kept.
    Unregistered,
    /// The assistant's own words come back.
    Own,
    /// Its sender is one whose messages are not kept.
    Dropped,
    /// Kept for the agent to read when something else wakes it.
    Context(WhyContext),
    /// Wakes the agent.
    Wake(WhyWake),
    /// Asks for the agent's turn to be stopped.
    Stop,
}

/// Why a message wakes nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyContext {
    /// It says nothing that could be answered.
    Empty,
    /// It is a reaction to another message.
    Reaction,
    /// Its sender may not wake the agent.
    SenderNotAllowed,
    /// It is not addressed to the assistant.
    NoTrigger {
        /// What it would have had to start with.
        trigger: String,
    },
}

/// Why a message wakes the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyWake {
    /// Every message of the main group does.
    Main,
    /// Every message of this group does.
    NoTriggerRequired,
    /// It starts with the trigger.
    Trigger(String),
    /// The platform marks it as addressed to the assistant.
    Mention,
    /// It answers the assistant.
    Reply,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unregistered => f.write_str("ignored: the chat is not registered"),
            Self::Own => f.write_str("ignored: the assistant said it"),
            Self::Dropped => f.write_str("ignored: sender dropped"),
            Self::Context(why) => write!(f, "context: {why}"),
            Self::Wake(why) => write!(f, "wakes: {why}"),
            Self::Stop => f.write_str("stops the turn"),
        }
    }
}

impl fmt::Display for WhyContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no text"),
            Self::Reaction => f.write_str("a reaction"),
            Self::SenderNotAllowed => f.write_str("sender not allowed"),
            Self::NoTrigger { trigger } => write!(f, "no trigger `{trigger}`"),
        }
    }
}

impl fmt::Display for WhyWake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Main => f.write_str("main group"),
            Self::NoTriggerRequired => f.write_str("no trigger required"),
            Self::Trigger(trigger) => write!(f, "trigger `{trigger}`"),
            Self::Mention => f.write_str("mention"),
            Self::Reply => f.write_str("reply to the assistant"),
        }
    }
}

/// What the operator calls things in chats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The assistant's name; `@name` is the trigger of a group that has none of its own.
    pub assistant: String,
    /// What stops a turn, said alone or after the trigger.
    pub stop: String,
}

/// Decides about one message. `group` is the one that serves its chat.
#[must_use]
pub fn route(group: Option<&Group>, message: &ChatMessage, words: &Words, authorship: Authorship) -> Route {
    let Some(group) = group else { return Route::Unregistered };
    if authorship.sent_by_host {
        return Route::Own;
    }
    // Before anything that the text may ask for: who may not wake the agent may not stop it either.
    match authorship.standing {
        SenderStanding::MayWake => {}
        SenderStanding::MayNotWake => return Route::Context(WhyContext::SenderNotAllowed),
        SenderStanding::Dropped => return Route::Dropped,
    }
    if trigger::is_blank(&message.text) {
        return Route::Context(WhyContext::Empty);
    }
    // Nobody who taps a thumb expects to be answered, not even where every message is.
    if message.reaction {
        return Route::Context(WhyContext::Reaction);
    }
    let trigger = group.trigger.clone().unwrap_or_else(|| format!("@{}", words.assistant));
    if says_only(&message.text, &[&words.stop]) || says_only(&message.text, &[&trigger, &words.stop]) {
        return Route::Stop;
    }
    if group.is_main {
        return Route::Wake(WhyWake::Main);
    }
    if !group.requires_trigger {
        return Route::Wake(WhyWake::NoTriggerRequired);
    }
    if starts_with_trigger(&message.text, &trigger) {
        Route::Wake(WhyWake::Trigger(trigger))
    } else if message.mentions_me {
        Route::Wake(WhyWake::Mention)
    } else if authorship.replies_to_host {
        Route::Wake(WhyWake::Reply)
    } else {
        Route::Context(WhyContext::NoTrigger { trigger })
    }
}

#[cfg(test)]
mod tests;

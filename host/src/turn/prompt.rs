//! What the agent is told in one turn: the chat's new messages as XML, and what of its words is private.
//!
//! The shape is NanoClaw's of January 2026, so that memories and skills written for it keep working.
//! Pure. Nothing that people write can look like a tag, like a line of the host's own or like a mention
//! that a CLI would act on, and the whole stays within [`PromptLimits`].

use std::fmt::Write as _;

use jiff::Timestamp;

use super::cut;
use crate::store::undelivered::Undelivered;

mod internal;
mod task;
mod undelivered;

pub use self::internal::strip_internal;
pub use self::task::{TaskPrompt, task_prompt};

/// The longest name that is shown, in bytes before escaping.
const NAME_BYTES: usize = 200;
/// The longest message id that is shown, in bytes before escaping.
const ID_BYTES: usize = 200;
/// The longest name of a time zone that is shown, in bytes before escaping.
const ZONE_BYTES: usize = 64;
/// How the notice of a task begins.
const TASK_NOTICE: &str = "[SCHEDULED TASK";
/// The smallest limit of a prompt: room for one message whatever its name and ids are.
pub const LEAST_BYTES: usize = 4096;
const START: &str = "<messages>\n";
const END: &str = "</messages>";

/// A chat message as the prompt shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptMessage {
    /// The platform's id of who said it; shown if the name is blank.
    pub sender: String,
    /// The person's name.
    pub sender_name: String,
    /// When it was said.
    pub sent_at: Timestamp,
    /// What was said.
    pub text: String,
    /// The id of the message that it answers.
    pub reply_to: Option<String>,
    /// Whether it was changed after it had been said.
    pub edited: bool,
    /// Whether it asks for an answer, or is only context.
    pub standing: Standing,
}

/// Why a message is in the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It woke the agent: kept for as long as there is room at all.
    Waking,
    /// It was said beside: left out first.
    Context,
}

/// How much a prompt may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes of the whole prompt; less than [`LEAST_BYTES`] counts as that.
    pub bytes: usize,
}

impl Default for PromptLimits {
    fn default() -> Self {
        Self { messages: 200, bytes: 128 * 1024 }
    }
}

/// What a prompt is made of.
#[derive(Debug, Clone, Copy)]
pub struct PromptInput<'a> {
    /// The messages, oldest first.
    pub messages: &'a [PromptMessage],
    /// How many older ones aren't among them.
    pub omitted: u64,
    /// The IANA name of the group's time zone, for which the agent converts the times.
    pub time_zone: &'a str,
    /// What the agent said here before and nobody received.
    pub undelivered: &'a Undelivered,
    /// How much may be shown.
    pub limits: PromptLimits,
}

/// The part of a prompt that the note of undelivered texts may take: one in so many bytes.
const NOTE_SHARE: usize = 4;

/// Writes the prompt.
///
/// The newest waking message is always there, cut with a visible marker if it alone is too long. Then
/// come the other waking ones and then the context, newest first, while there is room. If messages are
/// missing, an `<omitted>` line says how many.
#[must_use]
pub fn prompt(input: &PromptInput<'_>) -> String {
    let bytes = input.limits.bytes.max(LEAST_BYTES);
    let mut context = format!("<context timezone=\"{}\" />\n", attribute(input.time_zone, ZONE_BYTES));
    context.push_str(&undelivered::note(input.undelivered, bytes / NOTE_SHARE));
    let frame = context.len() + START.len() + END.len() + omitted_line(u64::MAX).len();
    let room = bytes.saturating_sub(frame);
    let lines = choose(input.messages, input.limits.messages.max(1), room);
    let missing = input.omitted + lines.iter().filter(|line| line.is_none()).count() as u64;

    let mut prompt = context;
    prompt.push_str(START);
    if missing > 0 {
        prompt.push_str(&omitted_line(missing));
    }
    prompt.extend(lines.into_iter().flatten());
    prompt.push_str(END);
    prompt
}

/// The lines of the messages that are shown, each at its message's place.
fn choose(messages: &[PromptMessage], most: usize, mut room: usize) -> Vec<Option<String>> {
    let mut lines = vec![None; messages.len()];
    let mut shown = 0;
    for standing in [Standing::Waking, Standing::Context] {
        for (place, message) in messages.iter().enumerate().rev().filter(|(_, message)| message.standing == standing) {
            let line = match message_line(message, usize::MAX) {
                whole if shown < most && whole.len() <= room => whole,
                // The newest waking message, or the newest of all if none is.
                _ if shown == 0 => message_line(message, room),
                _ => break,
            };
            shown += 1;
            room = room.saturating_sub(line.len());
            lines[place] = Some(line);
        }
    }
    lines
}

/// One message's line, its text cut so that the line has at most `limit` bytes.
fn message_line(message: &PromptMessage, limit: usize) -> String {
    let name = match attribute(&message.sender_name, NAME_BYTES) {
        blank if blank.is_empty() => attribute(&message.sender, NAME_BYTES),
        name => name,
    };
    let mut line = format!("<message sender=\"{name}\" time=\"{:.3}\"", message.sent_at);
    if let Some(id) = &message.reply_to {
        // Writing to a `String` cannot fail.
        let _ = write!(line, " reply_to=\"{}\"", attribute(id, ID_BYTES));
    }
    if message.edited {
        line.push_str(" edited=\"true\"");
    }
    line.push('>');
    let end = "</message>\n";
    let text = escaped(&message.text);
    if line.len() + text.len() + end.len() <= limit {
        line.push_str(&text);
    } else {
        let marker = cut::marker(message.text.len());
        let room = limit.saturating_sub(line.len() + end.len() + marker.len() + 1);
        let shown = beginning(&message.text, room);
        line.push_str(&escaped(shown));
        line.push('\n');
        line.push_str(&cut::marker(message.text.len() - shown.len()));
    }
    line.push_str(end);
    line
}

/// The longest beginning of `text` that has at most `room` bytes once escaped.
fn beginning(text: &str, room: usize) -> &str {
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += escape_at(text, at, character).map_or(character.len_utf8(), str::len);
        if used > room {
            return &text[..at];
        }
    }
    text
}

fn omitted_line(count: u64) -> String {
    format!("<omitted count=\"{count}\" note=\"messages of this chat, left out for length\" />\n")
}

fn attribute(value: &str, limit: usize) -> String {
    escaped(&cut::one_line(value, limit))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        match escape_at(text, at, character) {
            Some(escape) => out.push_str(escape),
            None => out.push(character),
        }
    }
    out
}

/// What stands for the character at this place, which may depend on those around it.
fn escape_at(text: &str, at: usize, character: char) -> Option<&'static str> {
    match character {
        '@' if begins_a_word(&text[..at]) && names_a_file(&text[at + 1..]) => Some("&#64;"),
        '[' if is_hosts_own(&text[at..]) => Some("&#91;"),
        other => escape(other),
    }
}

/// Whether a word could begin after this.
fn begins_a_word(before: &str) -> bool {
    !before.chars().next_back().is_some_and(|last| last.is_alphanumeric() || matches!(last, '/' | '_' | '-' | '.'))
}

/// Whether `claude` could take an `@` before this for a mention of a file, which it reads into the prompt
/// from anywhere in the container and without asking. The runner switches that off as well, by a setting
/// that a newer CLI may not know any more.
fn names_a_file(rest: &str) -> bool {
    // No part of a path is longer, so further on there is none.
    let mut word = written(rest).take_while(|c| !c.is_whitespace()).take(256).peekable();
    word.peek().is_some_and(|first| matches!(first, '~' | '.')) || word.any(|c| c == '/')
}

/// Whether this begins as the host's own lines do: the notice of a [`task`] and the marker of a [`cut`].
fn is_hosts_own(text: &str) -> bool {
    let start = written(text).map(|c| c.to_ascii_uppercase()).take(TASK_NOTICE.len());
    start.eq(TASK_NOTICE.chars()) || written(text).take(2).eq(['[', '…'])
}

/// The characters that are written at all.
fn written(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| escape(*c) != Some(""))
}

/// What stands for a character that isn't written as it is; empty for one that XML 1.0 can't hold.
fn escape(character: char) -> Option<&'static str> {
    match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\n' | '\t' => None,
        '\u{fffe}' | '\u{ffff}' => Some(""),
        other if other.is_control() => Some(""),
        _ => None,
    }
}

#[cfg(test)]
mod disarmed;
#[cfg(test)]
mod tests;

//! Pure: which step a model call gets, from what the newest user message says.
//!
//! Lines that start with `#rehearse ` are a script: line N is used for the Nth model call of that turn, and N is the number
//! of tool results after the message. So nothing is remembered between requests and conversations cannot disturb each
//! other. The one exception is a fault with `times=N`: it stands in front of the call that the next line answers, and how
//! often it has struck is counted by the server under [`Fault::key`].

mod directive;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use longshore_protocol::ProviderKind;
use serde_json::Value;

pub use directive::{Directive, LONGEST, VERBS, parse};

use crate::prompt;

/// What one request boils down to, whichever vendor's shape it had.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conversation {
    /// The newest text that a person (or the host) said, as it was sent; empty if there is none.
    pub said: String,
    /// How many tool results came after it.
    pub results: usize,
    /// The text of the last of them.
    pub last_result: String,
    /// Every part of instructions, memory and reminders in the request, in order.
    pub told: Vec<String>,
}

impl Conversation {
    /// Takes in a text of a person; the results before it belong to an earlier turn.
    pub fn say(&mut self, text: &str) {
        text.clone_into(&mut self.said);
        self.results = 0;
        self.last_result.clear();
    }

    /// Takes in the output of a tool.
    pub fn result(&mut self, text: String) {
        self.results += 1;
        self.last_result = text;
    }
}

/// Who is answering whom; it opens every echo.
#[derive(Debug, Clone, Copy)]
pub struct Speaker<'a> {
    /// The provider whose API was called.
    pub provider: ProviderKind,
    /// The group's folder, `unknown` if the request does not say.
    pub group: &'a str,
}

/// One thing the model does.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A final message.
    Say(String),
    /// Some reasoning and then a final message.
    Think(String),
    /// A final message that takes `duration` to arrive in `pieces` pieces.
    Slow {
        /// How long the whole message takes.
        duration: Duration,
        /// How many deltas it comes in, at least one.
        pieces: usize,
        /// The message.
        text: String,
    },
    /// A command for whichever shell tool the CLI offers, after a text if there is one.
    Shell {
        /// What the shell runs.
        command: String,
        /// What is said before it, as models do.
        preamble: Option<String>,
    },
    /// A call of the tool of that name; `server/tool` and `mcp__server__tool` name a tool of an MCP server.
    Tool {
        /// The tool.
        name: String,
        /// An object, or a string for a tool that takes free text.
        arguments: Value,
    },
    /// What the model was told, those parts that contain `about` if it is set.
    Tell {
        /// Text that a part must contain to be told.
        about: Option<String>,
    },
    /// An HTTP error.
    Status(Status),
    /// What the vendor answers to a token that has expired.
    Expired,
    /// An answer that breaks off in the middle.
    Cut,
    /// The connection closes before a byte of the answer.
    Close,
    /// The answer begins, is silent for that long, and breaks off.
    Hang(Duration),
    /// A complete answer that says nothing.
    Empty,
    /// An answer that ends early for that reason.
    Incomplete {
        /// The vendor's word, e.g. `max_output_tokens`.
        reason: String,
    },
    /// A failure reported inside the stream.
    Failed {
        /// The vendor's code, e.g. `rate_limit_exceeded` or `overloaded_error`.
        code: String,
        /// The sentence that goes with it.
        message: String,
    },
    /// Bytes that are no answer.
    Malformed,
}

/// An HTTP error as a script describes it; what is absent is as the vendor usually has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// 400 to 599.
    pub code: u16,
    /// The `retry-after` header, as written.
    pub retry_after: Option<String>,
    /// The error's `type`.
    pub kind: Option<String>,
    /// The error's `code` (OpenAI only).
    pub error_code: Option<String>,
    /// The error's `message`.
    pub message: Option<String>,
}

/// A step and how long the server waits before the first byte of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// At most [`LONGEST`].
    pub delay: Duration,
    /// What comes then.
    pub step: Step,
}

impl From<Step> for Line {
    fn from(step: Step) -> Self {
        Self { delay: Duration::ZERO, step }
    }
}

/// A fault that strikes a number of times and is then over.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// The same for every try of the same call of the same text.
    pub key: u64,
    /// How many tries fail.
    pub times: u32,
    /// How they fail.
    pub line: Line,
}

/// The answer to a model call: `then`, once all `faults` are over.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// In the order in which they strike.
    pub faults: Vec<Fault>,
    /// The answer.
    pub then: Line,
}

/// Decides what the model call that this conversation asks for is answered with.
#[must_use]
pub fn plan(conversation: &Conversation, speaker: Speaker<'_>) -> Plan {
    let texts = prompt::texts(&conversation.said);
    let script: Vec<&str> = texts.iter().flat_map(|text| text.lines()).filter_map(directive_of).collect();
    if script.is_empty() {
        return Plan { faults: Vec::new(), then: Step::Say(echo(&texts, speaker)).into() };
    }
    let (faults, line) = call(&script, conversation.results);
    let failures: u64 = faults.iter().map(|(_, times, _)| u64::from(*times)).sum();
    let then = match line {
        Some(Line { delay, step: Step::Tell { about } }) => {
            Line { delay, step: Step::Say(tell(&conversation.told, about.as_deref())) }
        }
        Some(line) => line,
        None if failures > 0 => Step::Say(recovered(failures)).into(),
        None => Step::Say(format!("done: {}", last_chars(conversation.last_result.trim(), RESULT_CHARS))).into(),
    };
    let faults = faults
        .into_iter()
        .map(|(at, times, line)| Fault { key: key(conversation, speaker.provider, at), times, line })
        .collect();
    Plan { faults, then }
}

/// The faults in front of call number `wanted`, each with its place in the script, and the line that answers the call.
fn call(script: &[&str], wanted: usize) -> (Vec<(usize, u32, Line)>, Option<Line>) {
    let mut number = 0;
    let mut faults = Vec::new();
    for (at, text) in script.iter().enumerate() {
        match parse(text) {
            Directive { line, times: Some(times) } => {
                if number == wanted {
                    faults.push((at, times, line));
                }
            }
            Directive { line, times: None } if number == wanted => return (faults, Some(line)),
            Directive { .. } => number += 1,
        }
    }
    (faults, None)
}

fn key(conversation: &Conversation, provider: ProviderKind, at: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    (provider.as_str(), &conversation.said, conversation.results, at).hash(&mut hasher);
    hasher.finish()
}

/// The directive on a line of a message: after white space, one word, or a trigger such as `@Andy` of up to three words.
fn directive_of(line: &str) -> Option<&str> {
    const MARK: &str = "#rehearse";
    let start = line.find(MARK)?;
    let directive = &line[start + MARK.len()..];
    if !directive.is_empty() && !directive.starts_with(char::is_whitespace) {
        return None;
    }
    let before = line[..start].trim();
    let most = if before.starts_with('@') { 3 } else { 1 };
    (before.split_whitespace().count() <= most).then(|| directive.trim())
}

const RESULT_CHARS: usize = 600;
const ECHO_CHARS: usize = 400;
const ECHO_TEXTS: usize = 50;
const TELL_BYTES: usize = 256 * 1024;

fn echo(texts: &[String], Speaker { provider, group }: Speaker<'_>) -> String {
    let said = texts.iter().filter(|text| !text.is_empty()).take(ECHO_TEXTS);
    let mut said: Vec<String> = said.map(|text| first_chars(text, ECHO_CHARS)).collect();
    if texts.len() > ECHO_TEXTS {
        said.push(format!("… and {} more", texts.len() - ECHO_TEXTS));
    }
    let said = if said.is_empty() { "(nothing)".to_owned() } else { said.join(" / ") };
    format!("[rehearsal · {provider} · {group}] You said: {said}")
}

fn recovered(failures: u64) -> String {
    let noun = if failures == 1 { "failure" } else { "failures" };
    format!("recovered after {failures} {noun}")
}

fn tell(told: &[String], about: Option<&str>) -> String {
    let parts: Vec<&str> =
        told.iter().map(|part| part.trim()).filter(|part| about.is_none_or(|words| part.contains(words))).collect();
    if parts.is_empty() {
        return match about {
            Some(words) => format!("I was told nothing that contains `{words}`."),
            None => "I was told nothing.".to_owned(),
        };
    }
    let mut text = parts.join("\n\n---\n\n");
    if text.len() > TELL_BYTES {
        text.truncate(text.floor_char_boundary(TELL_BYTES));
        text.push_str("\n… and more");
    }
    // A fence is longer than any run of backticks inside it, so that the text stays verbatim.
    let longest = text.split(|found| found != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    format!("I was told:\n{fence}\n{text}\n{fence}")
}

fn first_chars(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn last_chars(text: &str, most: usize) -> &str {
    match text.char_indices().rev().nth(most.saturating_sub(1)) {
        Some((start, _)) => &text[start..],
        None => text,
    }
}

#[cfg(test)]
mod tests;

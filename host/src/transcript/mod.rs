//! Transcripts: what was said and done in a group, in one shape for both providers.
//!
//! People's messages, the agent's words, the host's notices and tasks' prompts come from the store; what tools were
//! called and what they answered from the provider's own files, as far as those can be read. The agent can write in
//! the files: what they say is the agent's word, and reading them does nothing else than read (see [`files`]).
//!
//! Times are the host's: when a message was stored, a text was written, a task's turn began.

mod claude;
mod codex;
pub mod files;
pub mod markdown;
pub mod text;

use jiff::Timestamp;
use longshore_protocol::ProviderKind;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// The most of one tool call or result that is kept, in bytes.
const MAX_TOOL_BYTES: usize = 64 * 1024;

/// One thing that was said or done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When, by the host's clock; a tool's by its container's, RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub at: Timestamp,
    /// The turn that it belongs to; absent of what belongs to none, or not yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// Who said it: a person's name, a provider, `longshore`, a task's id.
    pub author: String,
    /// What; of a tool call its arguments.
    pub text: String,
    /// The platform's id of a person's message, or the host's of one that it sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// What became of the message, if there is more to say than that it was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The provider's id of the call, which its result repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
}

fn rfc3339<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A person said it.
    Person,
    /// The agent said it in the chat.
    Agent,
    /// The agent called a tool.
    ToolCall,
    /// A tool answered.
    ToolResult,
    /// The host itself said it in the chat.
    Notice,
    /// A task told it the agent.
    TaskPrompt,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A person changed it; this is the text as it is now.
    Edited,
    /// A person deleted it; nothing of its text is kept.
    Deleted,
    /// It waits to be sent.
    Pending,
    /// It could not be sent.
    Dead,
    /// The tool failed.
    Failed,
}

/// From when until when a turn's attempt ran, as far as it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The turn.
    pub turn: String,
    /// Its last attempt's beginning.
    pub from: Timestamp,
    /// Its end.
    pub until: Option<Timestamp>,
}

/// Entries of the store and of a provider's files as one transcript: in the order of time, and each call with the
/// turn during which it was made, the one that began last if there are several: a turn that waits for another try lets
/// others run. Windows come in the order of their beginnings.
#[must_use]
pub fn merge(rows: Vec<Entry>, tools: Vec<Entry>, windows: &[Window]) -> Vec<Entry> {
    // How far any window up to here reaches, so that a look back ends where none does.
    let reaches: Vec<Timestamp> = windows
        .iter()
        .scan(Timestamp::MIN, |reach, window| {
            *reach = (*reach).max(window.until.unwrap_or(Timestamp::MAX));
            Some(*reach)
        })
        .collect();
    let turn_at = |at: Timestamp| {
        let begun = windows.partition_point(|window| window.from <= at);
        let back = windows[..begun].iter().zip(&reaches).rev().take_while(|(_, reach)| at <= **reach);
        let mut of = back.filter(|(window, _)| window.until.is_none_or(|until| at <= until));
        of.next().map(|(window, _)| window.turn.clone())
    };
    let tools = tools.into_iter().map(|entry| Entry { turn: turn_at(entry.at), ..entry });
    let mut all: Vec<Entry> = rows.into_iter().chain(tools).collect();
    // Stable: what was written in one millisecond stays in its order.
    all.sort_by_key(|entry| entry.at);
    all
}

/// What one line of a provider's own file tells of tools. A line that is none of the known ones tells nothing.
#[must_use]
pub fn read_line(provider: ProviderKind, line: &[u8]) -> Vec<Entry> {
    let Some((at, value)) = dated(line) else { return Vec::new() };
    match provider {
        ProviderKind::Claude => claude::tools(at, &value),
        ProviderKind::Codex => codex::tools(at, &value),
    }
}

/// A line's time and content, if it is an object with a time.
#[must_use]
pub fn dated(line: &[u8]) -> Option<(Timestamp, Value)> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let at = value.get("timestamp")?.as_str()?.parse().ok()?;
    Some((at, value))
}

/// An entry of a tool.
fn tool(
    at: Timestamp,
    kind: Kind,
    provider: ProviderKind,
    name: Option<&str>,
    call: Option<&str>,
    text: &str,
) -> Entry {
    Entry {
        at,
        turn: None,
        kind,
        author: provider.as_str().to_owned(),
        text: cut(text),
        message: None,
        reply_to: None,
        state: None,
        tool: name.map(cut),
        call: call.map(cut),
    }
}

/// The texts of a content: a string, or blocks with a text each.
fn texts(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts = blocks.iter().map(|block| match block.get("text").and_then(Value::as_str) {
                Some(text) => text.to_owned(),
                None => format!("[{}]", block.get("type").and_then(Value::as_str).unwrap_or("?")),
            });
            texts.collect::<Vec<_>>().join("\n")
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn cut(text: &str) -> String {
    if text.len() <= MAX_TOOL_BYTES {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_TOOL_BYTES);
    format!("{}\n[… {} bytes more]", &text[..end], text.len() - end)
}

#[cfg(test)]
mod tests;

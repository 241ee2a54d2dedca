//! A transcript to read in a terminal: pure.

use jiff::tz::TimeZone;

use super::{Entry, Kind, State};

/// How much of a tool call or result is shown, in characters.
const TOOL_CHARACTERS: usize = 600;
/// What stands before lines after an entry's first.
const INDENT: &str = "                     ";

/// The text.
#[must_use]
pub fn text(entries: &[Entry], zone: &TimeZone) -> String {
    let mut text = String::new();
    for entry in entries {
        let at = entry.at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let content = match entry.kind {
            Kind::Person | Kind::Agent => format!("{}: {}{}", entry.author, entry.text, note(entry.state)),
            Kind::Notice => format!("({}) {}{}", entry.author, entry.text, note(entry.state)),
            Kind::TaskPrompt => format!("({}) {}", entry.author, entry.text),
            Kind::ToolCall => format!("[{}] {}", entry.tool.as_deref().unwrap_or("tool"), short(&entry.text)),
            Kind::ToolResult => format!("  →{} {}", note(entry.state), short(&entry.text)),
        };
        text.push_str(&at);
        text.push_str("  ");
        text.push_str(&content.trim_end().replace('\n', &format!("\n{INDENT}")));
        text.push('\n');
    }
    text
}

fn note(state: Option<State>) -> &'static str {
    match state {
        None => "",
        Some(State::Edited) => " (edited)",
        Some(State::Deleted) => "(deleted)",
        Some(State::Pending) => " (waits to be sent)",
        Some(State::Dead) => " (could not be sent)",
        Some(State::Failed) => " (failed)",
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(TOOL_CHARACTERS) {
        Some((end, _)) => format!("{} [… {} characters more]", &text[..end], text[end..].chars().count()),
        None => text.to_owned(),
    }
}

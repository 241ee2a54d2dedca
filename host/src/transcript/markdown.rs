//! A transcript as Markdown: pure.
//!
//! What people and agents wrote stands in quotes, line by line, and what tools did in fences, so that nothing of it
//! is a heading or an element of the page.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Entry, Kind, State};

/// The page.
#[must_use]
pub fn markdown(group: &str, entries: &[Entry], zone: &TimeZone) -> String {
    let mut page = format!("# Transcript of `{group}`\n");
    let mut today: Option<Date> = None;
    for entry in entries {
        let at = entry.at.to_zoned(zone.clone());
        if today != Some(at.date()) {
            page.push_str(&format!("\n## {}\n", at.date()));
            today = Some(at.date());
        }
        let what = match entry.kind {
            Kind::Person | Kind::Agent => plain(&entry.author),
            Kind::Notice => "Longshore".to_owned(),
            Kind::TaskPrompt => format!("Task {}", plain(&entry.author)),
            Kind::ToolCall => {
                format!("{} calls {}", plain(&entry.author), plain(entry.tool.as_deref().unwrap_or("a tool")))
            }
            Kind::ToolResult => format!("{} is answered", plain(&entry.author)),
        };
        let state = match entry.state {
            None => "",
            Some(State::Edited) => ", edited",
            Some(State::Deleted) => ", deleted",
            Some(State::Pending) => ", not sent yet",
            Some(State::Dead) => ", could not be sent",
            Some(State::Failed) => ", failed",
        };
        let turn = entry.turn.as_deref().map(|turn| format!(", turn `{turn}`")).unwrap_or_default();
        page.push_str(&format!("\n**{what}** ({}{turn}{state})\n\n", at.strftime("%H:%M:%S")));
        match entry.kind {
            Kind::ToolCall | Kind::ToolResult => page.push_str(&fenced(&entry.text)),
            _ => page.push_str(&quoted(&entry.text)),
        }
    }
    page
}

/// A name in one line, without what Markdown would take for its own.
fn plain(name: &str) -> String {
    let special = |character: char| character.is_ascii_punctuation() && !matches!(character, '.' | ',' | '\'' | '-');
    name.chars()
        .flat_map(|character| match character {
            character if character.is_control() => vec![' '],
            character if special(character) => vec!['\\', character],
            character => vec![character],
        })
        .collect()
}

fn quoted(text: &str) -> String {
    let lines = text.lines().map(|line| format!("> {}", without_elements(line)).trim_end().to_owned() + "\n");
    lines.collect()
}

/// The line, in which no element of HTML begins.
fn without_elements(line: &str) -> String {
    let mut safe = String::with_capacity(line.len());
    let mut rest = line.chars().peekable();
    while let Some(character) = rest.next() {
        match rest.peek() {
            Some(next) if character == '<' && (next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?')) => {
                safe.push_str("&lt;");
            }
            _ => safe.push(character),
        }
    }
    safe
}

fn fenced(text: &str) -> String {
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}\n{}\n{fence}\n", text.trim_end())
}

//! Pure: what a Messages request says, and which tools it offers.

use serde_json::Value;

use crate::script::Conversation;

const REMINDER: &str = "<system-reminder>";
const REMINDER_END: &str = "</system-reminder>";

/// Texts that the CLI puts into the user's role by itself; the last two ask again after an empty answer, and for the rest
/// of one that ended early.
const OWN_WORDS: &[&str] = &[
    "[Request interrupted by user",
    "[Your previous response had no visible output",
    "Output token limit hit. Resume",
];

/// Reads the conversation out of a request.
#[must_use]
pub fn conversation(request: &Value) -> Conversation {
    let mut found = Conversation::default();
    found.told.extend(texts(&request["system"]).into_iter().filter(|text| !is_billing(text)).map(str::to_owned));
    for message in request["messages"].as_array().into_iter().flatten() {
        match message["role"].as_str() {
            Some("user") => match &message["content"] {
                Value::String(text) => heard(text, &mut found),
                Value::Array(blocks) => blocks.iter().for_each(|block| read(block, &mut found)),
                _ => {}
            },
            // Current models get reminders as messages of this role in the middle of the conversation.
            Some("system") => found.told.extend(texts(&message["content"]).into_iter().map(str::to_owned)),
            _ => {}
        }
    }
    found
}

fn read(block: &Value, found: &mut Conversation) {
    match block["type"].as_str() {
        Some("tool_result") => result(&texts(&block["content"]).join("\n"), found),
        Some("text") => heard(block["text"].as_str().unwrap_or_default(), found),
        _ => {}
    }
}

/// The client's accounting, which is not told to the model.
fn is_billing(text: &str) -> bool {
    text.starts_with("x-anthropic-billing-header")
}

/// A text in the user's role: reminders first, if any, and then perhaps a person's words.
fn heard(text: &str, found: &mut Conversation) {
    let mut rest = text.trim_start();
    while rest.starts_with(REMINDER) {
        let end = rest.find(REMINDER_END).map_or(rest.len(), |at| at + REMINDER_END.len());
        found.told.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    if !rest.is_empty() && !OWN_WORDS.iter().any(|own| rest.starts_with(own)) {
        found.say(rest);
    }
}

/// The output of a tool; older models find reminders at its end.
fn result(text: &str, found: &mut Conversation) {
    let mut rest = text.trim_end();
    while rest.ends_with(REMINDER_END)
        && let Some(start) = rest.rfind(REMINDER)
    {
        found.told.push(rest[start..].to_owned());
        rest = rest[..start].trim_end();
    }
    found.result(rest.to_owned());
}

fn texts(content: &Value) -> Vec<&str> {
    match content {
        Value::String(text) => vec![text],
        Value::Array(blocks) => blocks.iter().filter_map(|block| block["text"].as_str()).collect(),
        _ => Vec::new(),
    }
}

/// The names of the tools that a request offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tools(Vec<String>);

impl Tools {
    /// The CLI's shell tool.
    pub const SHELL: &str = "Bash";

    /// Reads them out of a request.
    #[must_use]
    pub fn of(request: &Value) -> Self {
        let tools = request["tools"].as_array().into_iter().flatten();
        Self(tools.filter_map(|tool| tool["name"].as_str()).map(str::to_owned).collect())
    }

    /// Whether a command can be run.
    #[must_use]
    pub fn has_shell(&self) -> bool {
        self.0.iter().any(|name| name == Self::SHELL)
    }

    /// What is said when a tool is wanted that none of these is.
    #[must_use]
    pub fn lack(&self, what: &str) -> String {
        format!(
            "I have no {what} tool, only: {}",
            if self.0.is_empty() { "none".to_owned() } else { self.0.join(", ") }
        )
    }

    /// The CLI's name for `server/tool` of an MCP server; any other name as it is, offered or not.
    #[must_use]
    pub fn resolve(&self, name: &str) -> String {
        match name.split_once('/') {
            Some((server, tool)) if !self.0.iter().any(|offered| offered == name) => format!("mcp__{server}__{tool}"),
            _ => name.to_owned(),
        }
    }
}

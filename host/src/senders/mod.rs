//! Who may wake an agent: the sender allowlist, `sender-allowlist.json` in the operator's settings folder. Pure.
//!
//! It fails closed. A list that cannot be used leaves the last good one in force, and lets nobody wake an
//! agent if there was none. Only where there is no file may everybody.

mod follow;

use std::collections::{BTreeMap, HashMap, HashSet};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

pub use self::follow::{SendersDocument, SendersWatch};
use crate::route::SenderStanding;
use crate::strict::{self, Mistake};

/// The name of the file, in the operator's settings folder.
pub const FILE_NAME: &str = "sender-allowlist.json";

/// Says so in the list.
const EVERYBODY: &str = "*";

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "sender-allowlist.json")]
pub struct SenderFile {
    /// Where editors find the schema.
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// For every chat that has no entry of its own.
    pub default: SenderEntry,
    /// By chat id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chats: Option<BTreeMap<String, SenderEntry>>,
    /// Whether the log says when a message came from somebody who is not allowed. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_denied: Option<bool>,
}

/// Who may wake the agent of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SenderEntry {
    /// `*` for everybody, or a list of sender ids.
    pub allow: Allow,
    /// What becomes of the messages of others.
    pub mode: Mode,
}

/// `*`, or a list of sender ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Allow(pub serde_json::Value);

impl JsonSchema for Allow {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Allow".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "const": EVERYBODY },
            { "type": "array", "items": { "type": "string", "minLength": 1, "maxLength": 256 }, "maxItems": 10_000 }
        ] })
    }
}

/// What becomes of a message of somebody who is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is kept as context and wakes nobody.
    Trigger,
    /// It is not kept.
    Drop,
}

/// Who may, as it is in force.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Senders {
    rule: Rule,
    /// What is wrong with the file as it is now, and what follows from it.
    pub problems: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Rule {
    /// Nothing was read yet, or nothing that could be used.
    #[default]
    Nobody,
    /// There is no list.
    Everybody,
    List(List),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct List {
    default: Admission,
    chats: HashMap<String, Admission>,
    log_denied: bool,
}

/// An entry, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Admission {
    /// `None` admits everybody.
    ids: Option<HashSet<String>>,
    others: SenderStanding,
}

impl Admission {
    fn new(entry: SenderEntry) -> Self {
        let others = match entry.mode {
            Mode::Trigger => SenderStanding::MayNotWake,
            Mode::Drop => SenderStanding::Dropped,
        };
        let ids =
            entry.allow.0.as_array().map(|ids| ids.iter().filter_map(|id| Some(id.as_str()?.to_owned())).collect());
        Self { ids, others }
    }

    fn standing<'a>(&self, mut ids: impl Iterator<Item = &'a str>) -> SenderStanding {
        match &self.ids {
            Some(allowed) if !ids.any(|id| allowed.contains(id)) => self.others,
            _ => SenderStanding::MayWake,
        }
    }
}

impl Senders {
    /// No list: everybody may.
    #[must_use]
    pub fn everybody() -> Self {
        Self { rule: Rule::Everybody, problems: Vec::new() }
    }

    /// What a person with these ids may do in a chat.
    #[must_use]
    pub fn standing<'a>(&self, chat: &str, ids: impl Iterator<Item = &'a str>) -> SenderStanding {
        match &self.rule {
            Rule::Nobody => SenderStanding::MayNotWake,
            Rule::Everybody => SenderStanding::MayWake,
            Rule::List(list) => list.chats.get(chat).unwrap_or(&list.default).standing(ids),
        }
    }

    /// Whether the log says who was not allowed.
    #[must_use]
    pub fn log_denied(&self) -> bool {
        !matches!(&self.rule, Rule::List(list) if !list.log_denied)
    }

    /// Whether a list is in force.
    #[must_use]
    pub fn has_list(&self) -> bool {
        matches!(self.rule, Rule::List(_))
    }

    /// The file holds these bytes.
    #[must_use]
    pub fn read(&self, bytes: &[u8]) -> Self {
        match strict::read::<SenderFile>(bytes, |_, _| ()) {
            Ok(file) => {
                let chats = file.chats.into_iter().flatten();
                let list = List {
                    default: Admission::new(file.default),
                    chats: chats.map(|(chat, entry)| (chat, Admission::new(entry))).collect(),
                    log_denied: file.log_denied.unwrap_or(true),
                };
                Self { rule: Rule::List(list), problems: Vec::new() }
            }
            Err(mistakes) => self.unusable(&mistakes),
        }
    }

    /// The file cannot be used: the last good list goes on to hold, and without one nobody may.
    #[must_use]
    pub fn unusable(&self, mistakes: &[Mistake]) -> Self {
        let (rule, effect) = match &self.rule {
            Rule::List(list) => (Rule::List(list.clone()), "the list applies as it last was"),
            // Whoever writes a list wants not everybody; and a host that is started now would find no other.
            Rule::Nobody | Rule::Everybody => (Rule::Nobody, "nobody may wake an agent"),
        };
        let problems = mistakes.iter().map(|mistake| format!("{mistake} ({effect})")).collect();
        Self { rule, problems }
    }
}

#[cfg(test)]
mod tests;

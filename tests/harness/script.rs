//! What people say to the host and how the platform takes what it sends: pure, from a seed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::str::FromStr;

/// Which conversation the adapter plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Plain messages, all to be answered.
    Plain,
    /// For the stub host: mostly plain; some turns are slow, fail, are silent or say two things.
    Soak,
    /// One message of each chat has the trigger, the others are context; for so many messages.
    Route(u64),
    /// For the rehearsal: plain text, slow turns, shells, petitions and tasks.
    Chaos,
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "plain" => Ok(Self::Plain),
            None if text == "soak" => Ok(Self::Soak),
            None if text == "chaos" => Ok(Self::Chaos),
            Some(("route", count)) => count.parse().map(Self::Route).map_err(|error| format!("`{count}`: {error}")),
            _ => Err(format!("`{text}` is no plan")),
        }
    }
}

impl Plan {
    /// What message `number` says, in one of `chats` chats; `soon` is an instant a few seconds ahead.
    /// Each has its tag in it, `k` and the number.
    #[must_use]
    pub fn text(self, seed: u64, number: u64, chats: u64, soon: &str) -> String {
        let dice = draw(seed, ("text", number)) % 100;
        let k = format!("k{number}");
        match self {
            Self::Plain => format!("hello {k}"),
            Self::Soak => match dice {
                0..2 => format!("#fail {k}"),
                2..4 => format!("#two {k}"),
                4 => format!("#silent {k}"),
                5..8 => format!("#slow 200 {k}"),
                _ => format!("hello {k}"),
            },
            Self::Route(count) => {
                let chat = chat(self, seed, number, chats);
                let wanted = draw(seed, ("trigger", chat)) % (count / chats).max(1);
                if number / chats == wanted { format!("@Andy hello {k}") } else { format!("beside {k}") }
            }
            Self::Chaos => match dice {
                0..45 => format!("hello {k}"),
                45..60 => format!("#rehearse delay 0.3 say slow {k}"),
                60..72 => format!(
                    "#rehearse shell echo begin {k} >> log; sleep 0.2; echo end {k} >> log\n#rehearse say worked {k}"
                ),
                72..82 => {
                    let file = petition("messages", &k, &format!(r#"{{"type":"message","text":"note {k}"}}"#));
                    format!("#rehearse shell {file}\n#rehearse say asked {k}")
                }
                82..92 => {
                    let wish = format!(
                        r##"{{"type":"schedule_task","taskId":"t-{k}","prompt":"#rehearse say tock {k}","schedule_type":"once","schedule_value":"{soon}"}}"##
                    );
                    format!("#rehearse shell {}\n#rehearse say planned {k}", petition("tasks", &k, &wish))
                }
                // Has spoken for a while when it ends.
                _ => {
                    let file = petition("messages", &k, &format!(r#"{{"type":"message","text":"note {k}"}}"#));
                    format!("#rehearse shell {file}; sleep 0.5\n#rehearse say after {k}")
                }
            },
        }
    }
}

/// The number of the chat in which message `number` is said.
#[must_use]
pub fn chat(plan: Plan, seed: u64, number: u64, chats: u64) -> u64 {
    match plan {
        Plan::Route(_) | Plan::Plain => number % chats,
        Plan::Soak | Plan::Chaos => draw(seed, ("chat", number)) % chats,
    }
}

/// A number from the seed and what it is for, the same in every process.
#[must_use]
pub fn draw(seed: u64, what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, what).hash(&mut hasher);
    hasher.finish()
}

/// The tags in a text.
#[must_use]
pub fn tags(text: &str) -> Vec<&str> {
    text.split(|found: char| !found.is_ascii_alphanumeric())
        .filter(|word| {
            word.strip_prefix('k')
                .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        })
        .collect()
}

fn petition(folder: &str, name: &str, content: &str) -> String {
    let path = format!("/workspace/ipc/{folder}/{name}.json");
    format!("printf %s '{content}' > {path}.tmp && mv {path}.tmp {path}")
}

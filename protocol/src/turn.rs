//! Host → runner: what one turn is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{SessionId, TurnId};

/// Which CLI answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// Anthropic's `claude`; the default, as for groups of the NanoClaw era that never name a provider.
    #[default]
    Claude,
    /// OpenAI's `codex`.
    Codex,
}

impl ProviderKind {
    /// Every provider, in the order in which they are listed to people.
    pub const ALL: [Self; 2] = [Self::Claude, Self::Codex];

    /// The name used in files, on the wire and in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
        }
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ProviderKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not a provider; it is `claude` or `codex`"))
    }
}

/// What the operator chose for the provider. Absent means: the CLI's own default.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderSettings {
    /// The model's name; never set unless the operator set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Codex's `model_reasoning_effort`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// Further Codex `-c key=value` settings; each value is TOML text.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub config_overrides: BTreeMap<String, String>,
    /// Codex: what it signs in with.
    #[serde(skip_serializing_if = "CodexSignIn::is_placeholder")]
    pub sign_in: CodexSignIn,
    /// Codex: continue the session by `exec resume` instead of starting a fresh thread each turn.
    pub resume: bool,
}

/// What codex signs in with, inside the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodexSignIn {
    /// A placeholder, in whose place the broker puts the credential.
    #[default]
    Placeholder,
    /// The ChatGPT login that is mounted at [`crate::paths::CODEX_LOGIN`].
    MountedLogin,
}

impl CodexSignIn {
    fn is_placeholder(&self) -> bool {
        *self == Self::Placeholder
    }
}

/// How an agent asks the host for something; see [`crate::ipc`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostTools {
    /// It writes the files itself.
    #[default]
    Files,
    /// By the tools of `longshore-agent mcp`, which writes the files.
    Mcp,
    /// By those, and the ones that only the main group may use.
    MainMcp,
}

impl HostTools {
    fn are_files(&self) -> bool {
        *self == Self::Files
    }
}

/// One turn, as the host asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnRequest {
    /// Echoed in every event of this turn.
    pub turn: TurnId,
    /// Which CLI runs it.
    pub provider: ProviderKind,
    /// What is said to the agent, at most [`crate::line::MAX_LINE_BYTES`] with the rest of the line.
    pub prompt: String,
    /// Standing instructions: who the agent is, how to talk to the host, shared memory. May be empty.
    #[serde(default)]
    pub prelude: String,
    /// The conversation to continue; absent starts a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The operator's choices for the provider.
    #[serde(default)]
    pub settings: ProviderSettings,
    /// How the agent asks the host for something.
    #[serde(default, skip_serializing_if = "HostTools::are_files")]
    pub tools: HostTools,
    /// The turn is killed and fails as `timeout` after this many seconds.
    pub time_limit_seconds: u64,
}

/// One line on the runner's stdin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunnerCommand {
    /// Run this turn. A turn that arrives while another runs waits for it.
    Turn(Box<TurnRequest>),
    /// Stop that turn if it runs or waits; it ends with a `failed` event of kind `stopped`.
    Stop {
        /// The turn to stop.
        turn: TurnId,
    },
    /// A host has attached to a runner that another one started: answered by `ready`.
    Hello,
    /// The host is about to end. The runner leaves by itself unless a command comes within that time.
    Linger {
        /// How long to wait for the next host.
        seconds: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_one_tagged_line_and_tolerates_fields_of_a_later_release() {
        let line =
            r#"{"type":"turn","turn":"t1","provider":"codex","prompt":"hi","time_limit_seconds":60,"later":true}"#;
        let RunnerCommand::Turn(request) = serde_json::from_str(line).unwrap() else { panic!("not a turn") };
        assert_eq!(request.provider, ProviderKind::Codex);
        assert_eq!(request.session, None);
        let again = serde_json::to_string(&RunnerCommand::Turn(request.clone())).unwrap();
        assert_eq!(serde_json::from_str::<RunnerCommand>(&again).unwrap(), RunnerCommand::Turn(request));
    }
}

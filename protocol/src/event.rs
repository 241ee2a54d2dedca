//! Runner → host: what happens during a turn.

use serde::{Deserialize, Serialize};

use crate::id::{SessionId, TurnId};

/// One line on the runner's stdout.
///
/// `ready` comes first, and again as the answer to `hello`. Then, for each turn, any number of `session`, `message`, `progress`
/// and `usage`, and exactly one `finished` or `failed`, after which nothing more carries that turn's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunnerEvent {
    /// The runner listens.
    Ready {
        /// The runner's [`crate::PROTOCOL_VERSION`].
        protocol: u32,
        /// The runner's own release.
        agent_version: String,
        /// The turn that runs just now; only in the answer to a `hello`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        running: Option<TurnId>,
    },
    /// The provider named the conversation; sent as soon as it is known.
    Session {
        /// The turn it belongs to.
        turn: TurnId,
        /// What to pass as [`crate::TurnRequest::session`] to continue it.
        session: SessionId,
    },
    /// Text for the chat.
    Message {
        /// The turn it belongs to.
        turn: TurnId,
        /// What the agent says, in Markdown.
        text: String,
    },
    /// Something else happened; for logs and liveness, never for the chat.
    Progress {
        /// The turn it belongs to.
        turn: TurnId,
        /// A short fragment, such as `tool Bash`.
        note: String,
    },
    /// What the turn cost; the turn's own share, sent at most once.
    Usage {
        /// The turn it belongs to.
        turn: TurnId,
        /// The amounts.
        usage: Usage,
    },
    /// The turn is over and went well.
    Finished {
        /// The turn that ended.
        turn: TurnId,
    },
    /// The turn is over and failed.
    Failed {
        /// The turn that ended.
        turn: TurnId,
        /// Why.
        failure: Failure,
    },
}

impl RunnerEvent {
    /// The turn that the event belongs to; `None` for `ready`.
    #[must_use]
    pub fn turn(&self) -> Option<&TurnId> {
        match self {
            Self::Ready { .. } => None,
            Self::Session { turn, .. }
            | Self::Message { turn, .. }
            | Self::Progress { turn, .. }
            | Self::Usage { turn, .. }
            | Self::Finished { turn }
            | Self::Failed { turn, .. } => Some(turn),
        }
    }
}

/// Tokens of one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens read, cached ones included.
    pub input_tokens: u64,
    /// Of those, the ones that came from the provider's cache.
    pub cached_input_tokens: u64,
    /// Tokens written, reasoning included.
    pub output_tokens: u64,
}

/// Why a turn failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The class, on which the host decides.
    pub kind: FailureKind,
    /// A stable name for people and metrics, such as `CODEX_AUTH_ERROR`.
    pub code: String,
    /// The provider's own words, for the log; never shown in the chat as they are.
    pub message: String,
    /// The HTTP status behind it, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long the provider asked to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u64>,
}

/// The classes of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The provider does not accept the credentials, or there are none.
    Auth,
    /// Something the operator configured cannot work (a model's name, a setting, an image).
    Config,
    /// The CLI refused its own command line.
    InvalidOptions,
    /// The CLI wrote what the runner cannot read.
    InvalidEvent,
    /// The turn ended without an answer.
    MissingResult,
    /// The time limit passed.
    Timeout,
    /// The provider asks to come back later.
    RateLimited,
    /// The provider could not be reached, or broke off.
    Transport,
    /// The conversation to continue no longer exists.
    StaleSession,
    /// The conversation or the prompt is too long for the model.
    Context,
    /// The container ran out of memory.
    OutOfMemory,
    /// Somebody stopped the turn.
    Stopped,
    /// Anything else, the runner's own errors included.
    Internal,
}

impl FailureKind {
    /// Whether the same turn may succeed later without anybody changing anything.
    #[must_use]
    pub fn retryable(self) -> bool {
        match self {
            Self::RateLimited | Self::Transport | Self::StaleSession | Self::InvalidEvent | Self::Internal => true,
            Self::Auth
            | Self::Config
            | Self::InvalidOptions
            | Self::MissingResult
            | Self::Timeout
            | Self::Context
            | Self::OutOfMemory
            | Self::Stopped => false,
        }
    }

    /// The middle of a failure code: `AUTH_ERROR` in `CODEX_AUTH_ERROR`.
    #[must_use]
    pub fn code_suffix(self) -> &'static str {
        match self {
            Self::Auth => "AUTH_ERROR",
            Self::Config => "CONFIG_ERROR",
            Self::InvalidOptions => "INVALID_OPTIONS",
            Self::InvalidEvent => "INVALID_EVENT",
            Self::MissingResult => "MISSING_RESULT",
            Self::Timeout => "TIMEOUT",
            Self::RateLimited => "RATE_LIMITED",
            Self::Transport => "TRANSPORT_ERROR",
            Self::StaleSession => "STALE_SESSION",
            Self::Context => "CONTEXT_TOO_LONG",
            Self::OutOfMemory => "OUT_OF_MEMORY",
            Self::Stopped => "STOPPED",
            Self::Internal => "INTERNAL_ERROR",
        }
    }
}

impl Failure {
    /// A failure of this kind whose code starts with `source`: a provider's name, `CONTAINER` or `HOST`.
    #[must_use]
    pub fn new(source: &str, kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: format!("{}_{}", source.to_ascii_uppercase(), kind.code_suffix()),
            message: message.into(),
            status: None,
            retry_after_seconds: None,
        }
    }

    /// The same failure with the HTTP status behind it.
    #[must_use]
    pub fn with_status(mut self, status: Option<u16>) -> Self {
        self.status = status;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_code_names_its_source_and_class() {
        assert_eq!(Failure::new("codex", FailureKind::Auth, "no").code, "CODEX_AUTH_ERROR");
        assert_eq!(Failure::new("claude", FailureKind::RateLimited, "slow").code, "CLAUDE_RATE_LIMITED");
    }

    #[test]
    fn an_event_is_one_tagged_line() {
        let event = RunnerEvent::Message { turn: "t1".parse().unwrap(), text: "hi\nthere".into() };
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(line, r#"{"type":"message","turn":"t1","text":"hi\nthere"}"#);
        assert_eq!(serde_json::from_str::<RunnerEvent>(&line).unwrap(), event);
    }
}

//! `claude -p` with JSON lines in and out: one process serves many turns of one conversation.
//!
//! Behaviour of Claude Code 2.1.329, as observed: `init` comes once a turn, the answer is the `result`
//! line's text and nothing before it, `subtype` says `success` for most errors (so `is_error` decides),
//! and lines of bookkeeping may follow `result`.

use std::collections::BTreeMap;

use longshore_protocol::{Failure, FailureKind, SessionId, TurnRequest, Usage, paths};
use serde::Deserialize;
use serde_json::json;

use super::claude_failure::{self, Report};
use super::{End, Exit, Invocation, Place, Provider, Step, complaint, failure_text, host_tools, messages};

/// The built-in tools that the agent has; none that keeps working after the answer.
const TOOLS: &str = "Bash,Read,Write,Edit,Glob,Grep";
/// Settings by environment, each observed to do what its name says.
const ENVIRONMENT: [(&str, &str); 10] = [
    ("API_TIMEOUT_MS", "120000"),
    ("CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS", "60000"),
    ("CLAUDE_CODE_DISABLE_AUTO_MEMORY", "1"),
    // Otherwise a command that outlives its time limit goes on behind the turn's back.
    ("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1"),
    // Otherwise `@/path` in a chat message reads that file into the prompt.
    ("CLAUDE_CODE_DISABLE_FILE_MENTIONS", "1"),
    // Otherwise the credential is also sent to the vendor's own host.
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("CLAUDE_CODE_MAX_RETRIES", "2"),
    ("CLAUDE_CODE_STARTUP_FAILURE_RESULTS", "1"),
    ("CLAUDE_ENABLE_BYTE_WATCHDOG", "1"),
    // The container is the sandbox; without it the CLI refuses to bypass permissions as root.
    ("IS_SANDBOX", "1"),
];

/// One turn of `claude`.
#[derive(Debug)]
pub struct Claude {
    message: String,
    fresh: String,
    now: u64,
    session: Option<SessionId>,
    api_error: Option<String>,
    resets_at: Option<u64>,
    heard: bool,
    lost_line: bool,
    ended: bool,
}

#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    subtype: Option<String>,
}

#[derive(Deserialize)]
struct Init {
    session_id: SessionId,
}

#[derive(Deserialize)]
struct Assistant {
    message: AssistantMessage,
    error: Option<String>,
}

#[derive(Deserialize)]
struct AssistantMessage {
    content: Vec<Block>,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    text: Option<String>,
}

#[derive(Deserialize)]
struct Retry {
    attempt: u64,
    max_retries: u64,
    error: Option<String>,
    error_status: Option<u16>,
}

#[derive(Deserialize)]
struct RateLimit {
    rate_limit_info: RateLimitInfo,
}

#[derive(Deserialize)]
struct RateLimitInfo {
    status: String,
    #[serde(rename = "resetsAt")]
    resets_at: Option<u64>,
}

#[derive(Deserialize)]
struct Lifecycle {
    command_uuid: String,
    state: String,
}

#[derive(Deserialize)]
struct ResultLine {
    is_error: bool,
    result: Option<String>,
    errors: Option<Vec<String>>,
    subtype: Option<String>,
    terminal_reason: Option<String>,
    api_error_status: Option<u16>,
    usage: Option<ResultUsage>,
    user_message_uuids: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResultUsage {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

impl From<ResultUsage> for Usage {
    fn from(usage: ResultUsage) -> Self {
        let cached = usage.cache_read_input_tokens.unwrap_or(0);
        let created = usage.cache_creation_input_tokens.unwrap_or(0);
        Self {
            input_tokens: usage.input_tokens.unwrap_or(0).saturating_add(created).saturating_add(cached),
            cached_input_tokens: cached,
            output_tokens: usage.output_tokens.unwrap_or(0),
        }
    }
}

/// The line that asks the process to give up the running turn and live on.
#[must_use]
pub fn interrupt_line() -> String {
    let request = json!({"type": "control_request", "request_id": "stop", "request": {"subtype": "interrupt"}});
    format!("{request}\n")
}

/// Whether a line that comes while no turn runs shows that the process works on its own.
///
/// Such a process may mix its lines into the next turn and is not to be used again.
#[must_use]
pub fn speaks_out_of_turn(line: &[u8]) -> bool {
    serde_json::from_slice::<Head>(line).is_ok_and(|head| match head.kind.as_str() {
        "assistant" | "user" | "result" | "stream_event" => true,
        "system" => head.subtype.as_deref() == Some("init"),
        _ => false,
    })
}

impl Claude {
    /// A turn whose message carries the UUID `message`; a new conversation is named `fresh` (a UUID too);
    /// `now` is the time in seconds since 1970.
    #[must_use]
    pub fn new(message: String, fresh: String, now: u64) -> Self {
        Self {
            message,
            fresh,
            now,
            session: None,
            api_error: None,
            resets_at: None,
            heard: false,
            lost_line: false,
            ended: false,
        }
    }

    /// The conversation's name, once the CLI has said it.
    #[must_use]
    pub fn session(&self) -> Option<&SessionId> {
        self.session.as_ref()
    }

    /// Whether the process has written anything since the message was sent.
    #[must_use]
    pub fn heard(&self) -> bool {
        self.heard
    }

    fn system(&mut self, subtype: &str, line: &[u8]) -> Vec<Step> {
        match subtype {
            "init" => match serde_json::from_slice::<Init>(line) {
                Ok(init) => {
                    self.session = Some(init.session_id.clone());
                    vec![Step::Session(init.session_id)]
                }
                Err(_) => vec![Step::progress("unreadable init line")],
            },
            "api_retry" => match serde_json::from_slice::<Retry>(line) {
                Ok(retry) => {
                    let error = retry.error.as_deref().unwrap_or("unknown");
                    let status = retry.error_status.map(|status| format!(" ({status})")).unwrap_or_default();
                    vec![Step::progress(&format!("retry {}/{}: {error}{status}", retry.attempt, retry.max_retries))]
                }
                Err(_) => vec![Step::progress("retry")],
            },
            other => vec![Step::progress(&format!("system {other}"))],
        }
    }

    fn assistant(&mut self, line: &[u8]) -> Vec<Step> {
        let Ok(assistant) = serde_json::from_slice::<Assistant>(line) else {
            return vec![Step::progress("unreadable assistant line")];
        };
        if let Some(error) = assistant.error {
            let step = Step::progress(&format!("api error {error}"));
            self.api_error = Some(error);
            return vec![step];
        }
        let step = |block: Block| match (block.kind.as_str(), block.name, block.text) {
            ("tool_use", Some(name), _) => Step::progress(&format!("tool {name}")),
            ("text", _, Some(text)) => Step::progress(&format!("text of {} characters", text.chars().count())),
            (kind, _, _) => Step::progress(kind),
        };
        assistant.message.content.into_iter().map(step).collect()
    }

    fn lifecycle(&mut self, line: &[u8]) -> Vec<Step> {
        let Ok(lifecycle) = serde_json::from_slice::<Lifecycle>(line) else {
            return vec![Step::progress("unreadable command_lifecycle line")];
        };
        if lifecycle.command_uuid != self.message {
            return Vec::new();
        }
        match lifecycle.state.as_str() {
            "discarded" | "refused" => {
                self.fail(FailureKind::Internal, &format!("the message was {}", lifecycle.state))
            }
            // The result comes before this line; if it did not, it was the line that got lost.
            "completed" | "cancelled" if self.lost_line => {
                self.fail(FailureKind::InvalidEvent, "a line that was too long to read took the result with it")
            }
            _ => Vec::new(),
        }
    }

    fn result(&mut self, line: &[u8]) -> Vec<Step> {
        let Ok(result) = serde_json::from_slice::<ResultLine>(line) else {
            return self.fail(FailureKind::InvalidEvent, "the result line could not be read");
        };
        if result.user_message_uuids.as_ref().is_some_and(|ids| !ids.is_empty() && !ids.contains(&self.message)) {
            return self.fail(FailureKind::InvalidEvent, "the result belongs to another message");
        }
        self.ended = true;
        let mut steps = Vec::new();
        let text = result.result.unwrap_or_default();
        if !result.is_error && !text.trim().is_empty() {
            steps.extend(messages(&text));
        }
        let usage = result.usage.map(Usage::from).filter(|usage| *usage != Usage::default());
        steps.extend(usage.map(Step::Usage));
        if !result.is_error {
            steps.push(Step::Ended(if text.trim().is_empty() {
                End::Failed(Failure::new("claude", FailureKind::MissingResult, "the result is empty"))
            } else {
                End::Finished
            }));
            return steps;
        }
        let errors = result.errors.unwrap_or_default().join("; ");
        let reason = result.terminal_reason.as_deref().or(result.subtype.as_deref());
        let words = [text.as_str(), errors.as_str(), reason.unwrap_or_default()];
        let words = words.into_iter().find(|text| !text.trim().is_empty()).unwrap_or("no reason given");
        let kind = claude_failure::classify(&Report {
            text: words,
            status: result.api_error_status,
            error: self.api_error.as_deref(),
            reason,
        });
        let mut failure = Failure::new("claude", kind, failure_text(words)).with_status(result.api_error_status);
        if kind == FailureKind::RateLimited {
            failure.retry_after_seconds = self.resets_at.map(|at| at.saturating_sub(self.now));
        }
        steps.push(Step::Ended(End::Failed(failure)));
        steps
    }

    fn fail(&mut self, kind: FailureKind, text: &str) -> Vec<Step> {
        self.ended = true;
        vec![Step::Ended(End::Failed(Failure::new("claude", kind, failure_text(text))))]
    }
}

impl Provider for Claude {
    fn invocation(&self, request: &TurnRequest, place: &Place) -> Invocation {
        let mut args: Vec<String> = ["-p", "--input-format", "stream-json", "--output-format", "stream-json"]
            .into_iter()
            .chain(["--verbose", "--tools", TOOLS, "--permission-mode", "bypassPermissions"])
            // The snapshot would freeze the prelude of the conversation's first turn.
            .chain(["--strict-mcp-config", "--disable-slash-commands", "--system-prompt-snapshot", "off"])
            .map(str::to_owned)
            .collect();
        if let Some(config) = host_tools::claude_config(request.tools) {
            args.push(format!("--mcp-config={config}"));
        }
        let mut files = Vec::new();
        if !request.prelude.is_empty() {
            // A file, because Linux limits one argument to 128 KiB.
            let file = place.scratch.join("claude-prelude.md");
            args.push(format!("--append-system-prompt-file={}", file.display()));
            files.push((file, request.prelude.clone()));
        }
        if let Some(model) = &request.settings.model {
            args.push(format!("--model={model}"));
        }
        args.push(match &request.session {
            Some(session) => format!("--resume={session}"),
            None => format!("--session-id={}", self.fresh),
        });
        let mut env: BTreeMap<&'static str, String> =
            ENVIRONMENT.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        env.insert("ANTHROPIC_BASE_URL", place.broker(paths::BROKER_ANTHROPIC));
        env.insert("HOME", place.home.display().to_string());
        let message = json!({
            "type": "user",
            "message": {"role": "user", "content": request.prompt},
            "uuid": self.message,
            // Never folded into a turn that is still running.
            "priority": "later",
        });
        Invocation { program: "claude", args, env, unset: &[], stdin: format!("{message}\n"), files }
    }

    fn read_line(&mut self, line: &[u8]) -> Vec<Step> {
        self.heard = true;
        if self.ended {
            return Vec::new();
        }
        let Ok(head) = serde_json::from_slice::<Head>(line) else {
            return vec![Step::progress("unreadable line")];
        };
        match head.kind.as_str() {
            "system" => self.system(head.subtype.as_deref().unwrap_or("line"), line),
            "assistant" => self.assistant(line),
            "user" => vec![Step::progress("tool result")],
            "result" => self.result(line),
            "command_lifecycle" => self.lifecycle(line),
            "control_response" => Vec::new(),
            "rate_limit_event" => match serde_json::from_slice::<RateLimit>(line) {
                Ok(RateLimit { rate_limit_info: info }) => {
                    if info.status == "rejected" {
                        self.resets_at = info.resets_at;
                    }
                    vec![Step::progress(&format!("rate limit {}", info.status))]
                }
                Err(_) => vec![Step::progress("rate limit")],
            },
            other => vec![Step::progress(&format!("line {other}"))],
        }
    }

    fn lost_line(&mut self, bytes: usize) -> Vec<Step> {
        self.heard = true;
        self.lost_line = true;
        vec![Step::progress(&format!("line of {bytes} bytes skipped"))]
    }

    fn finish(&mut self, exit: Exit, stderr_tail: &str) -> Vec<Step> {
        if self.ended {
            return Vec::new();
        }
        let complaint = complaint(stderr_tail);
        match exit {
            Exit::OutOfMemory => self.fail(FailureKind::OutOfMemory, "claude was killed for want of memory"),
            Exit::Code(0) => self.fail(FailureKind::MissingResult, "claude left without a result"),
            Exit::Code(code) if complaint.is_empty() => {
                self.fail(FailureKind::Internal, &format!("claude left with status {code} and no result"))
            }
            Exit::Code(_) => self.fail(claude_failure::classify_stderr(complaint), complaint),
            Exit::Signal(signal) => self.fail(
                FailureKind::Internal,
                format!("claude was killed by signal {signal}; {complaint}").trim_end_matches("; "),
            ),
        }
    }
}

//! `codex exec --json`: one process a turn.
//!
//! Behaviour of codex-cli 0.169.0, as observed: the last `agent_message` is the answer, an item of type
//! `error` is a warning, `error` events announce retries, `usage` counts the whole thread, and only
//! `turn.failed` or the exit status says that a turn failed.

use std::collections::BTreeMap;

use longshore_protocol::{CodexSignIn, Failure, FailureKind, SessionId, TurnRequest, Usage, paths};
use serde::Deserialize;

use super::{End, Exit, Invocation, Place, Provider, Step, complaint, failure_text, messages};
use super::{codex_failure, host_tools};

/// Variable in which `codex` finds the credential that it sends.
pub const CREDENTIAL_VARIABLE: &str = "LONGSHORE_PLACEHOLDER";
/// The CLI's own name for another place where it refreshes a ChatGPT login.
const REFRESH_VARIABLE: &str = "CODEX_REFRESH_TOKEN_URL_OVERRIDE";
/// Linux takes no argument longer than this with its final zero, in bytes (`MAX_ARG_STRLEN`).
const ARGUMENT_BYTES: usize = 128 * 1024 - 1;

/// Settings that make the container the sandbox and the broker the only way out.
const SETTINGS: [(&str, &str); 17] = [
    ("model_provider", "\"longshore\""),
    ("approval_policy", "\"never\""),
    // `bwrap` cannot start under Docker's default seccomp profile.
    ("sandbox_mode", "\"danger-full-access\""),
    ("web_search", "\"disabled\""),
    ("allow_login_shell", "false"),
    ("check_for_update_on_startup", "false"),
    ("cli_auth_credentials_store", "\"file\""),
    // Memory is told by the host's prelude, bounded and with what is shared; read here too it would be there twice.
    ("project_doc_max_bytes", "0"),
    ("features.plugins", "false"),
    ("features.apps", "false"),
    ("features.shell_snapshot", "false"),
    // Otherwise a refused connection is retried for ever.
    ("features.unbounded_connection_retries", "false"),
    ("features.api_key_model_discovery", "false"),
    ("analytics.enabled", "false"),
    // Its `send_message` (to sub-agents) is easily taken for a message to the chat.
    ("agents.enabled", "false"),
    ("shell_environment_policy.ignore_default_excludes", "false"),
    ("shell_environment_policy.exclude", "[\"LONGSHORE_*\"]"),
];

/// What the thread had cost before this turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// This much; a new thread: nothing.
    Known(Usage),
    /// The thread is older than the record of it, so the turn's share cannot be told.
    Unknown,
}

/// One turn of `codex`.
#[derive(Debug)]
pub struct Codex {
    resumed: Option<SessionId>,
    before: Before,
    thread: Option<SessionId>,
    answer: Option<String>,
    outcome: Outcome,
    total: Option<Usage>,
    last_error: Option<String>,
}

#[derive(Debug)]
enum Outcome {
    Running,
    Completed,
    Failed(String),
    Over,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    thread_id: Option<String>,
    item: Option<Item>,
    usage: Option<TurnUsage>,
    error: Option<ErrorBody>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    message: Option<String>,
    server: Option<String>,
    tool: Option<String>,
    status: Option<String>,
}

#[derive(Deserialize)]
struct ErrorBody {
    message: String,
}

#[derive(Deserialize, Clone, Copy)]
struct TurnUsage {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    cached_input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
}

/// The thread that a turn continues: a session is only a continuation where the operator chose `resume`.
#[must_use]
pub fn resumed(request: &TurnRequest) -> Option<&SessionId> {
    request.session.as_ref().filter(|_| request.settings.resume)
}

/// `text` as a TOML basic string; JSON's escapes are TOML's, but TOML also forbids a bare DEL.
fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

impl Codex {
    /// A turn that continues the thread `resumed`, or starts one.
    #[must_use]
    pub fn new(resumed: Option<SessionId>, before: Before) -> Self {
        Self { resumed, before, thread: None, answer: None, outcome: Outcome::Running, total: None, last_error: None }
    }

    /// The thread and what it has cost in all, once both are known.
    #[must_use]
    pub fn total(&self) -> Option<(&SessionId, Usage)> {
        self.thread.as_ref().zip(self.total)
    }

    fn thread_started(&mut self, id: Option<String>) -> Vec<Step> {
        let Some(thread) = id.and_then(|id| id.parse::<SessionId>().ok()) else {
            return vec![Step::progress("unreadable thread.started line")];
        };
        if let Some(wanted) = self.resumed.as_ref().filter(|wanted| **wanted != thread) {
            // `codex` starts a new thread without a word when it cannot find the old one.
            let text = format!("thread `{wanted}` was asked for and `{thread}` was started");
            return self.fail(FailureKind::StaleSession, &text);
        }
        self.thread = Some(thread.clone());
        vec![Step::Session(thread)]
    }

    fn item(&mut self, kind: &str, item: Option<Item>) -> Vec<Step> {
        let Some(item) = item else { return vec![Step::progress(kind)] };
        match (kind, item.kind.as_str()) {
            ("item.completed", "agent_message") => {
                let earlier = self.answer.replace(item.text.unwrap_or_default());
                earlier
                    .map(|text| Step::progress(&format!("text of {} characters", text.chars().count())))
                    .into_iter()
                    .collect()
            }
            ("item.completed", "error") => {
                vec![Step::progress(&format!("warning: {}", item.message.unwrap_or_default()))]
            }
            ("item.started", "command_execution") => vec![Step::progress("tool shell")],
            ("item.started" | "item.completed", "mcp_tool_call") => {
                let (server, tool) = (item.server.unwrap_or_default(), item.tool.unwrap_or_default());
                let how = match (kind, item.status.as_deref()) {
                    ("item.started", _) => "",
                    (_, Some("failed")) => " failed",
                    _ => " done",
                };
                vec![Step::progress(&format!("tool {server}.{tool}{how}"))]
            }
            ("item.started", other) => vec![Step::progress(&format!("tool {other}"))],
            (_, other) => vec![Step::progress(other)],
        }
    }

    /// The turn's part of the thread's total.
    fn share(&self) -> Option<Usage> {
        let (total, Before::Known(before)) = (self.total?, self.before) else { return None };
        Some(Usage {
            input_tokens: total.input_tokens.saturating_sub(before.input_tokens),
            cached_input_tokens: total.cached_input_tokens.saturating_sub(before.cached_input_tokens),
            output_tokens: total.output_tokens.saturating_sub(before.output_tokens),
        })
    }

    fn fail(&mut self, kind: FailureKind, text: &str) -> Vec<Step> {
        self.end(Failure::new("codex", kind, failure_text(text)))
    }

    fn end(&mut self, failure: Failure) -> Vec<Step> {
        self.outcome = Outcome::Over;
        vec![Step::Ended(End::Failed(failure))]
    }

    fn end_classified(&mut self, text: &str) -> Vec<Step> {
        let verdict = codex_failure::classify(text);
        let mut failure = Failure::new("codex", verdict.kind, failure_text(text)).with_status(verdict.status);
        failure.retry_after_seconds = verdict.retry_after_seconds;
        self.end(failure)
    }

    fn exited_well(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        let answer = self.answer.take().filter(|text| !text.trim().is_empty());
        let completed = matches!(self.outcome, Outcome::Completed);
        if let Some(text) = answer.as_ref().filter(|_| completed) {
            steps.extend(messages(text));
        }
        steps.extend(self.share().map(Step::Usage));
        if completed && answer.is_some() {
            self.outcome = Outcome::Over;
            steps.push(Step::Ended(End::Finished));
            return steps;
        }
        let text = if completed { "codex said nothing" } else { "codex left in the middle of the turn" };
        steps.extend(self.fail(FailureKind::MissingResult, text));
        steps
    }
}

impl Provider for Codex {
    fn invocation(&self, request: &TurnRequest, place: &Place) -> Invocation {
        let mut args: Vec<String> =
            ["exec", "--json", "--skip-git-repo-check", "--color=never"].into_iter().map(str::to_owned).collect();
        let mut set = |key: &str, value: &str| args.extend(["-c".to_owned(), format!("{key}={value}")]);
        for (key, value) in SETTINGS {
            set(key, value);
        }
        let provider = [
            ("name", "\"longshore\"".to_owned()),
            ("base_url", toml_string(&place.broker(paths::BROKER_OPENAI))),
            match request.settings.sign_in {
                CodexSignIn::Placeholder => ("env_key", toml_string(CREDENTIAL_VARIABLE)),
                CodexSignIn::MountedLogin => ("requires_openai_auth", "true".to_owned()),
            },
            ("request_max_retries", "2".to_owned()),
            ("stream_max_retries", "2".to_owned()),
            ("stream_idle_timeout_ms", "120000".to_owned()),
        ];
        for (key, value) in provider {
            set(&format!("model_providers.longshore.{key}"), &value);
        }
        if request.settings.sign_in == CodexSignIn::MountedLogin {
            // Its account look-ups would go to the vendor's own address; here they are refused at once.
            set("chatgpt_base_url", &toml_string(&place.broker("/openai/chatgpt")));
        }
        for (key, value) in host_tools::codex_settings(request.tools) {
            set(&key, &value);
        }
        let mut stdin = request.prompt.clone();
        let instructions = host_tools::codex_instructions(&request.prelude, request.tools);
        if !instructions.is_empty() {
            let value = toml_string(&instructions);
            if "developer_instructions=".len() + value.len() <= ARGUMENT_BYTES {
                set("developer_instructions", &value);
            } else {
                stdin = format!("<instructions>\n{instructions}\n</instructions>\n{stdin}");
            }
        }
        if let Some(effort) = &request.settings.reasoning_effort {
            set("model_reasoning_effort", &toml_string(effort));
        }
        for (key, value) in &request.settings.config_overrides {
            set(key, value);
        }
        if let Some(model) = &request.settings.model {
            args.push(format!("--model={model}"));
        }
        if let Some(session) = &self.resumed {
            args.extend(["resume".to_owned(), session.to_string()]);
        }
        args.push("-".to_owned());
        let mut env = BTreeMap::from([
            ("CODEX_HOME", place.codex_home().display().to_string()),
            ("HOME", place.home.display().to_string()),
        ]);
        match request.settings.sign_in {
            CodexSignIn::Placeholder => env.insert(CREDENTIAL_VARIABLE, paths::PLACEHOLDER_CREDENTIAL.to_owned()),
            CodexSignIn::MountedLogin => env.insert(REFRESH_VARIABLE, place.broker(paths::BROKER_LOGIN_TOKEN)),
        };
        // With it every failure on stderr ends in a stack that hides the reason.
        let unset = &["RUST_BACKTRACE"];
        Invocation { program: "codex", args, env, unset, stdin, files: Vec::new() }
    }

    fn read_line(&mut self, line: &[u8]) -> Vec<Step> {
        if matches!(self.outcome, Outcome::Over) {
            return Vec::new();
        }
        let Ok(event) = serde_json::from_slice::<Event>(line) else {
            return vec![Step::progress("unreadable line")];
        };
        let known = matches!(event.kind.as_str(), "thread.started" | "turn.started" | "turn.completed" | "turn.failed")
            || event.kind.starts_with("item.");
        if known && !matches!(self.outcome, Outcome::Running) {
            return self.fail(FailureKind::InvalidEvent, &format!("`{}` came after the turn's end", event.kind));
        }
        match event.kind.as_str() {
            "thread.started" => self.thread_started(event.thread_id),
            "turn.started" => vec![Step::progress("turn started")],
            "turn.completed" => {
                self.outcome = Outcome::Completed;
                self.total = event.usage.map(|usage| Usage {
                    input_tokens: usage.input_tokens,
                    cached_input_tokens: usage.cached_input_tokens,
                    output_tokens: usage.output_tokens,
                });
                Vec::new()
            }
            "turn.failed" => {
                let message = event.error.map(|error| error.message).filter(|text| !text.trim().is_empty());
                let message = message.or_else(|| self.last_error.take());
                self.outcome = Outcome::Failed(message.unwrap_or_else(|| "no reason given".to_owned()));
                Vec::new()
            }
            "error" => {
                let message = event.message.unwrap_or_default();
                let step = Step::progress(&format!("trouble: {message}"));
                self.last_error = Some(failure_text(&message));
                vec![step]
            }
            kind if kind.starts_with("item.") => self.item(kind, event.item),
            other => vec![Step::progress(&format!("line {other}"))],
        }
    }

    fn lost_line(&mut self, bytes: usize) -> Vec<Step> {
        vec![Step::progress(&format!("line of {bytes} bytes skipped"))]
    }

    fn finish(&mut self, exit: Exit, stderr_tail: &str) -> Vec<Step> {
        if let Outcome::Failed(text) = &self.outcome {
            let text = text.clone();
            return self.end_classified(&text);
        }
        if matches!(self.outcome, Outcome::Over) {
            return Vec::new();
        }
        let complaint = complaint(stderr_tail);
        match exit {
            Exit::Code(0) => self.exited_well(),
            Exit::OutOfMemory => self.fail(FailureKind::OutOfMemory, "codex was killed for want of memory"),
            Exit::Signal(signal) => self.fail(FailureKind::Internal, &format!("codex was killed by signal {signal}")),
            Exit::Code(code) => {
                let last_error = self.last_error.take();
                let words = [complaint, last_error.as_deref().unwrap_or_default()];
                match words.into_iter().find(|text| !text.is_empty()) {
                    Some(words) => self.end_classified(words),
                    None if code == 2 => self.fail(FailureKind::InvalidOptions, "codex refused its arguments"),
                    None => self.fail(FailureKind::Internal, &format!("codex left with status {code}")),
                }
            }
        }
    }
}

//! Which class of failure an error of `claude` belongs to; pure.
//!
//! The texts are those of Claude Code 2.1.329. The HTTP status decides where there is one; texts are
//! looked at where it is missing or says too little.

use longshore_protocol::FailureKind;

/// What a `result` line and the lines before it say about an error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Report<'a> {
    /// The CLI's words.
    pub text: &'a str,
    /// `api_error_status`.
    pub status: Option<u16>,
    /// `error` of the last synthetic assistant line.
    pub error: Option<&'a str>,
    /// `terminal_reason`, or `subtype` without one.
    pub reason: Option<&'a str>,
}

/// Texts that decide by themselves, whatever the status is; the first that occurs wins.
const DECISIVE: &[(&str, FailureKind)] = &[
    ("No conversation found with session ID", FailureKind::StaleSession),
    ("--resume requires a valid session ID", FailureKind::StaleSession),
    ("Not logged in", FailureKind::Auth),
    // Nobody but the account's owner can change it, as with a refused key.
    ("Credit balance is too low", FailureKind::Auth),
    ("Prompt is too long", FailureKind::Context),
    ("Request too large", FailureKind::Context),
    ("piped stdin input exceeds", FailureKind::Context),
    ("safeguards flagged", FailureKind::MissingResult),
    ("output token maximum", FailureKind::MissingResult),
    ("You've hit your", FailureKind::RateLimited),
    ("Overloaded", FailureKind::RateLimited),
    ("Reached maximum", FailureKind::Config),
    ("Reached max turns", FailureKind::Config),
    ("Exceeded USD budget", FailureKind::Config),
    ("issue with the selected model", FailureKind::Config),
    ("Invalid URL", FailureKind::Config),
];

/// Texts of errors without a status; the first that occurs wins.
const UNREACHABLE: &[&str] = &[
    "Connection refused",
    "Connection lost",
    "Connection to the API was lost",
    "Can't reach the API server",
    "Unable to connect to API",
    "empty or malformed response",
    "JSON Parse error",
    "Request timed out",
    "Stream idle timeout",
];

/// The class of an error that came as a `result` line.
#[must_use]
pub fn classify(report: &Report<'_>) -> FailureKind {
    if let Some((_, kind)) = DECISIVE.iter().find(|(text, _)| report.text.contains(text)) {
        return *kind;
    }
    match report.status {
        Some(401 | 403) => return FailureKind::Auth,
        Some(404 | 400) => return FailureKind::Config,
        Some(413) => return FailureKind::Context,
        Some(429 | 529) => return FailureKind::RateLimited,
        Some(408 | 500..) => return FailureKind::Transport,
        _ => {}
    }
    match report.error.unwrap_or_default() {
        "authentication_failed"
        | "oauth_org_not_allowed"
        | "account_on_hold"
        | "verification_required"
        | "billing_error"
        | "cloud_credential_error" => return FailureKind::Auth,
        "rate_limit" | "overloaded" => return FailureKind::RateLimited,
        "model_not_found" => return FailureKind::Config,
        "max_output_tokens" => return FailureKind::MissingResult,
        "server_error" => return FailureKind::Transport,
        _ => {}
    }
    match report.reason.unwrap_or_default() {
        "prompt_too_long" | "blocking_limit" | "image_error" => return FailureKind::Context,
        "max_turns" | "budget_exhausted" | "error_max_turns" | "error_max_budget_usd" => return FailureKind::Config,
        _ => {}
    }
    if UNREACHABLE.iter().any(|text| report.text.contains(text)) {
        return FailureKind::Transport;
    }
    match classify_stderr(report.text) {
        FailureKind::Internal if report.text.starts_with("API Error") => FailureKind::Transport,
        kind => kind,
    }
}

/// Texts of a CLI that did not start, as they come on stderr; the first that occurs wins.
const STARTUP: &[(&str, FailureKind)] = &[
    ("No conversation found with session ID", FailureKind::StaleSession),
    ("--resume requires a valid session ID", FailureKind::StaleSession),
    ("exceeds 10MB", FailureKind::Context),
    ("Not logged in", FailureKind::Auth),
    ("cannot be used with root/sudo", FailureKind::Config),
    ("not supported in restricted mode", FailureKind::Config),
    ("system prompt file not found", FailureKind::Config),
    ("Settings file not found", FailureKind::Config),
    ("Invalid MCP configuration", FailureKind::Config),
    ("is corrupted", FailureKind::Config),
    ("Configuration error", FailureKind::Config),
    ("uv_os_homedir", FailureKind::Config),
    ("Can't access working directory", FailureKind::Config),
    ("bubblewrap", FailureKind::Config),
    ("error: option", FailureKind::InvalidOptions),
    ("error: unknown option", FailureKind::InvalidOptions),
    ("error: missing required", FailureKind::InvalidOptions),
    ("requires --verbose", FailureKind::InvalidOptions),
    ("Input must be provided", FailureKind::InvalidOptions),
    ("Invalid session ID", FailureKind::InvalidOptions),
    ("is already in use", FailureKind::InvalidOptions),
    ("--session-id with", FailureKind::InvalidOptions),
    ("Error parsing streaming input line", FailureKind::InvalidOptions),
    ("Expected message role", FailureKind::InvalidOptions),
];

/// The class of an error that came as text on stderr, with a non-zero status and no `result` line.
#[must_use]
pub fn classify_stderr(text: &str) -> FailureKind {
    STARTUP.iter().find(|(known, _)| text.contains(known)).map_or(FailureKind::Internal, |(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use FailureKind::*;

    use super::*;

    /// Text, status, `assistant.error`, `terminal_reason`, class: what Claude Code 2.1.329 was seen to say.
    type Row = (&'static str, Option<u16>, &'static str, &'static str, FailureKind);
    const SEEN: &[Row] = &[
        ("Not logged in · Please run /login", None, "authentication_failed", "api_error", Auth),
        ("Failed to authenticate. API Error: 401 no", Some(401), "authentication_failed", "api_error", Auth),
        ("Invalid API key · Fix external API key", Some(401), "authentication_failed", "api_error", Auth),
        ("Failed to authenticate. API Error: 403 no", Some(403), "authentication_failed", "api_error", Auth),
        ("Credit balance is too low", Some(400), "billing_error", "api_error", Auth),
        ("API Error: 400 mock invalid_request_error", Some(400), "unknown", "api_error", Config),
        ("Prompt is too long · try /compact", Some(400), "invalid_request", "prompt_too_long", Context),
        ("Prompt is too long", None, "", "blocking_limit", Context),
        (
            "There's an issue with the selected model (x). It may not exist or you may not have access to it. Run --model to pick a different model.",
            Some(404),
            "model_not_found",
            "api_error",
            Config,
        ),
        ("Request too large (max 32MB). Try with a smaller file.", Some(413), "", "image_error", Context),
        (
            "API Error: Request rejected (429) · mock rate_limit_error",
            Some(429),
            "rate_limit",
            "api_error",
            RateLimited,
        ),
        ("You've hit your 5-hour limit · resets 3:27am (UTC)", Some(429), "rate_limit", "api_error", RateLimited),
        ("API Error: 529 mock overloaded_error", Some(529), "server_error", "api_error", RateLimited),
        ("API Error: Repeated 529 Overloaded errors. Try later.", Some(529), "server_error", "api_error", RateLimited),
        (
            "API Error: 500 x. This is a server-side issue, usually temporary — try again in a moment.",
            Some(500),
            "server_error",
            "api_error",
            Transport,
        ),
        (
            "API Error: 503 x. This is a server-side issue, usually temporary",
            Some(503),
            "server_error",
            "api_error",
            Transport,
        ),
        (
            "API Error: 408 x. This is a server-side issue, usually temporary",
            Some(408),
            "server_error",
            "api_error",
            Transport,
        ),
        (
            "API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)",
            None,
            "server_error",
            "api_error",
            Transport,
        ),
        (
            "API Error: Can't reach the API server — check your internet or DNS (EAI_AGAIN)",
            None,
            "",
            "api_error",
            Transport,
        ),
        ("API Error: Unable to connect to API (EPROTO)", None, "", "api_error", Transport),
        ("API Error: Invalid URL", None, "", "api_error", Config),
        (
            "API Error: Connection to the API was lost (ECONNRESET). This is usually temporary — try again.",
            None,
            "server_error",
            "api_error",
            Transport,
        ),
        (
            "API Error: Connection lost mid-response. The response above may be incomplete.",
            None,
            "server_error",
            "api_error",
            Transport,
        ),
        (
            "API Error: API returned an empty or malformed response (HTTP 200) — check for a proxy or gateway",
            None,
            "unknown",
            "api_error",
            Transport,
        ),
        ("API Error: JSON Parse error: Unexpected EOF", None, "unknown", "api_error", Transport),
        (
            "Request timed out. If the API is slow to answer, or a proxy or gateway holds responses, set API_TIMEOUT_MS above 5000.",
            None,
            "server_error",
            "api_error",
            Transport,
        ),
        ("API Error: Stream idle timeout - no chunks received", None, "unknown", "api_error", Transport),
        ("Reached maximum number of turns (1)", None, "", "max_turns", Config),
        ("Error: Reached max turns (1)", None, "", "max_turns", Config),
        ("Reached maximum budget ($0.001)", None, "", "budget_exhausted", Config),
        ("Error: Exceeded USD budget (0.001)", None, "", "budget_exhausted", Config),
        ("API Error: The safeguards flagged this message for review", None, "", "api_error", MissingResult),
        (
            "API Error: Claude's response exceeded the 128000 output token maximum. …",
            None,
            "max_output_tokens",
            "api_error",
            MissingResult,
        ),
        (
            "No conversation found with session ID: 11111111-2222-3333-4444-555555555555",
            None,
            "",
            "error_during_execution",
            StaleSession,
        ),
        ("API Error: something never seen before", None, "", "api_error", Transport),
        (
            "[ede_diagnostic] result_type=user last_content_type=n/a stop_reason=null",
            None,
            "",
            "aborted_streaming",
            Internal,
        ),
        (
            "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons",
            None,
            "",
            "error_during_execution",
            Config,
        ),
    ];

    const SEEN_ON_STDERR: &[(&str, FailureKind)] = &[
        ("No conversation found with session ID: x", StaleSession),
        (
            "Error: --resume requires a valid session ID or session title when used with --print. Usage: claude -p --resume <session-id|title>. Provided value \"notauuid\" is not a UUID and does not match any session title.",
            StaleSession,
        ),
        ("--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons", Config),
        (
            "error: option '--permission-mode <mode>' argument 'bogus' is invalid. Allowed choices are acceptEdits.",
            InvalidOptions,
        ),
        ("error: unknown option '--bogus'", InvalidOptions),
        ("Error: bypassPermissions not supported in restricted mode", Config),
        ("Error: When using --print, --output-format=stream-json requires --verbose", InvalidOptions),
        (
            "Error: Input must be provided either through stdin or as a prompt argument when using --print",
            InvalidOptions,
        ),
        ("Error parsing streaming input line (type=unknown, 9 chars): SyntaxError", InvalidOptions),
        ("Error: Expected message role 'user', got 'undefined'", InvalidOptions),
        ("Error: piped stdin input exceeds 10MB. Pass large content as a file path in your prompt instead.", Context),
        ("Error: Session ID x is already in use.", InvalidOptions),
        ("Error: Invalid session ID. Must be a valid UUID.", InvalidOptions),
        ("Error: --session-id with --continue or --resume also needs --fork-session.", InvalidOptions),
        ("Error: Append system prompt file not found: /nope", Config),
        ("Error: Settings file not found: /nope", Config),
        ("Error: Invalid MCP configuration:\nMCP config file not found: /nope", Config),
        ("Claude configuration file at /x is corrupted: JSON Parse error", Config),
        ("Error: Can't access working directory /: Path \"/\" does not exist", Config),
        ("syscall: ENOENT: no such file or directory, uv_os_homedir", Config),
        ("Segmentation fault", Internal),
    ];

    #[test]
    fn every_known_result_has_its_class() {
        for (text, status, error, reason, kind) in SEEN {
            let report = Report { text, status: *status, error: Some(error), reason: Some(reason) };
            assert_eq!(classify(&report), *kind, "{text}");
        }
    }

    #[test]
    fn every_known_startup_failure_has_its_class() {
        for (text, kind) in SEEN_ON_STDERR {
            assert_eq!(classify_stderr(text), *kind, "{text}");
        }
    }
}

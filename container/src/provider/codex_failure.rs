//! Which class of failure an error of `codex` belongs to; pure.
//!
//! The texts are those of codex-cli 0.169.0, from `turn.failed` or from stderr; it tells a status only
//! inside them.

use longshore_protocol::FailureKind;

/// What a text says about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The class.
    pub kind: FailureKind,
    /// The HTTP status, if the text names it.
    pub status: Option<u16>,
    /// How long to wait, if the text says so; rounded up.
    pub retry_after_seconds: Option<u64>,
}

/// Known texts, in lower case; the first that occurs wins.
const KNOWN: &[(&str, FailureKind)] = &[
    ("no rollout found for thread id", FailureKind::StaleSession),
    ("failed to read session metadata", FailureKind::StaleSession),
    ("already has an active writer", FailureKind::Internal),
    ("ran out of room in the model's context window", FailureKind::Context),
    ("context_length_exceeded", FailureKind::Context),
    ("input exceeds the maximum length", FailureKind::Context),
    ("input_too_large", FailureKind::Context),
    // Nobody but the account's owner can change these, as with a refused key.
    ("quota exceeded", FailureKind::Auth),
    ("insufficient_quota", FailureKind::Auth),
    ("to use codex with your chatgpt plan", FailureKind::Auth),
    ("could not be refreshed", FailureKind::Auth),
    ("failed to refresh token", FailureKind::Auth),
    ("chatgpt login is required", FailureKind::Auth),
    ("not logged in", FailureKind::Auth),
    ("invalid_api_key", FailureKind::Auth),
    ("usage limit", FailureKind::RateLimited),
    ("rate limit exceeded", FailureKind::RateLimited),
    ("rate limit reached", FailureKind::RateLimited),
    ("rate_limit_exceeded", FailureKind::RateLimited),
    ("model is at capacity", FailureKind::RateLimited),
    ("incomplete response returned", FailureKind::MissingResult),
    ("invalid prompt", FailureKind::MissingResult),
    ("invalid_prompt", FailureKind::MissingResult),
    ("cyber_policy", FailureKind::MissingResult),
    ("was flagged", FailureKind::MissingResult),
    ("model_not_found", FailureKind::Config),
    ("does not exist", FailureKind::Config),
    ("missing environment variable", FailureKind::Config),
    ("error loading config", FailureKind::Config),
    ("unknown configuration field", FailureKind::Config),
    ("is no longer supported", FailureKind::Config),
    ("model provider", FailureKind::Config),
    ("model_providers", FailureKind::Config),
    ("provider name must not be empty", FailureKind::Config),
    ("not inside a trusted directory", FailureKind::Config),
    ("required mcp servers failed", FailureKind::Config),
    ("in-process app-server client", FailureKind::Config),
    ("error: unexpected argument", FailureKind::InvalidOptions),
    ("error: invalid value", FailureKind::InvalidOptions),
    ("error: the argument", FailureKind::InvalidOptions),
    ("error: the following required arguments", FailureKind::InvalidOptions),
    ("error: unrecognized subcommand", FailureKind::InvalidOptions),
    ("error parsing -c overrides", FailureKind::InvalidOptions),
    ("no prompt provided via stdin", FailureKind::InvalidOptions),
    ("input is not valid utf-8", FailureKind::InvalidOptions),
    ("stdin is not a terminal", FailureKind::InvalidOptions),
];

/// Texts of a provider that was not reached or broke off; looked at when nothing else decides.
const UNREACHABLE: &[&str] = &[
    "stream disconnected before completion",
    "connection failed",
    "error sending request",
    "experiencing high demand",
    "reconnecting...",
    "idle timeout",
];

/// The class of an error by its text.
#[must_use]
pub fn classify(text: &str) -> Verdict {
    let lower = text.to_lowercase();
    let status = status(&lower);
    let known = KNOWN.iter().find(|(known, _)| lower.contains(known)).map(|(_, kind)| *kind);
    let kind = known.or_else(|| status.map(by_status)).unwrap_or_else(|| {
        if UNREACHABLE.iter().any(|known| lower.contains(known)) {
            FailureKind::Transport
        } else if is_refusal(&lower) {
            FailureKind::Config
        } else {
            FailureKind::Internal
        }
    });
    let retry_after_seconds = retry_after(&lower).filter(|_| kind.retryable());
    Verdict { kind, status, retry_after_seconds }
}

fn by_status(status: u16) -> FailureKind {
    match status {
        401 | 403 => FailureKind::Auth,
        413 => FailureKind::Context,
        429 | 529 => FailureKind::RateLimited,
        408 | 500.. => FailureKind::Transport,
        400..=499 => FailureKind::Config,
        _ => FailureKind::Internal,
    }
}

/// The status in `unexpected status 503 Service Unavailable: …` and `last status: 429 Too Many Requests`.
fn status(lower: &str) -> Option<u16> {
    ["unexpected status ", "last status: "].iter().find_map(|lead| {
        let (_, rest) = lower.split_once(lead)?;
        rest.get(..3)?.parse().ok().filter(|status| (100..600).contains(status))
    })
}

/// The wait in `try again in 2.5s` and `retry after 3 seconds`, rounded up; `ms` and `m` are understood too.
fn retry_after(lower: &str) -> Option<u64> {
    let (_, rest) = ["try again in ", "retry after "].iter().find_map(|lead| lower.split_once(lead))?;
    let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, unit) = rest.split_at(digits);
    let whole = number.split('.').next()?.parse::<u64>().ok()?;
    let part = number.split('.').nth(1).is_some_and(|part| part.bytes().any(|digit| digit != b'0'));
    let rounded = whole.saturating_add(u64::from(part));
    let unit: String = unit.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
    match unit.as_str() {
        "ms" | "milliseconds" => Some(whole.div_ceil(1000).max(1)),
        "m" | "min" | "minute" | "minutes" => Some(rounded.saturating_mul(60)),
        "h" | "hour" | "hours" => Some(rounded.saturating_mul(3600)),
        "" | "s" | "sec" | "second" | "seconds" => Some(rounded),
        _ => None,
    }
}

/// A 400's text is the body of the answer as it came.
fn is_refusal(lower: &str) -> bool {
    lower.starts_with('{') && lower.contains("\"error\"")
}

#[cfg(test)]
mod tests {
    use FailureKind::*;

    use super::*;

    /// Text, class, status, wait: what codex-cli 0.169.0 was seen to say.
    type Row = (&'static str, FailureKind, Option<u16>, Option<u64>);
    const SEEN: &[Row] = &[
        (
            "unexpected status 401 Unauthorized: Incorrect API key provided: sk-bad***., url: http://127.0.0.1/responses",
            Auth,
            Some(401),
            None,
        ),
        ("unexpected status 403 Forbidden: mock error 403, url: http://127.0.0.1/responses", Auth, Some(403), None),
        (
            "{\"error\": {\"message\": \"mock error 400\", \"type\": \"invalid_request_error\", \"param\": null, \"code\": null}}",
            Config,
            None,
            None,
        ),
        (
            "Codex ran out of room in the model's context window. Start a new thread or clear earlier history before retrying.",
            Context,
            None,
            None,
        ),
        ("The model `x` does not exist or you do not have access to it.", Config, None, None),
        ("The requested model 'x' does not exist.", Config, None, None),
        ("exceeded retry limit, last status: 429 Too Many Requests", RateLimited, Some(429), None),
        ("exceeded retry limit, last status: 502 Bad Gateway", Transport, Some(502), None),
        ("Quota exceeded. Check your plan and billing details.", Auth, None, None),
        ("You’ve hit your usage limit. Try again later.", RateLimited, None, None),
        ("rate limit exceeded: Rate limit reached for x. Please try again in 2.5s.", RateLimited, None, Some(3)),
        ("Rate limit reached for x. Please try again in 350ms.", RateLimited, None, Some(1)),
        ("rate limit exceeded: try again in 20 seconds", RateLimited, None, Some(20)),
        ("We’re currently experiencing high demand, which may cause temporary errors.", Transport, None, None),
        (
            "unexpected status 503 Service Unavailable: busy, url: http://127.0.0.1/responses",
            Transport,
            Some(503),
            None,
        ),
        ("unexpected status 502 Bad Gateway: , url: http://127.0.0.1/responses", Transport, Some(502), None),
        ("Selected model is at capacity. Please try a different model.", RateLimited, None, None),
        ("stream disconnected before completion: mock failure", Transport, None, None),
        ("To use Codex with your ChatGPT plan, upgrade to Plus: https://chatgpt.com/explore/plus", Auth, None, None),
        (
            "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
            MissingResult,
            None,
            None,
        ),
        ("This content was flagged for possible cybersecurity risk.", MissingResult, None, None),
        ("Incomplete response returned, reason: max_output_tokens", MissingResult, None, None),
        (
            "stream disconnected before completion: Incomplete response returned, reason: content_filter",
            MissingResult,
            None,
            None,
        ),
        (
            "stream disconnected before completion: Transport error: network error: error decoding response body",
            Transport,
            None,
            None,
        ),
        ("stream disconnected before completion: error sending request", Transport, None, None),
        ("Connection failed: error sending request", Transport, None, None),
        ("Reconnecting... waiting for network (Connection failed: error sending request)", Transport, None, None),
        ("stream disconnected before completion: idle timeout waiting for SSE", Transport, None, None),
        ("Missing environment variable: `K`.", Config, None, None),
        (
            "Your access token could not be refreshed because your refresh token was revoked. Please log out and sign in again.",
            Auth,
            None,
            None,
        ),
        ("Failed to refresh token: Read-only file system (os error 30)", Auth, None, None),
        ("ChatGPT login is required, but an API key is currently being used. Logging out.", Auth, None, None),
        (
            "Error: turn/start: turn/start failed: Input exceeds the maximum length of 1048576 characters. (code -32602), data: {\"input_error_code\":\"input_too_large\"}",
            Context,
            None,
            None,
        ),
        (
            "Error: thread/resume: thread/resume failed: no rollout found for thread id x (code -32600)",
            StaleSession,
            None,
            None,
        ),
        ("Error: thread/resume: failed to read session metadata from x", StaleSession, None, None),
        (
            "Error: thread/resume: thread/resume failed: thread x already has an active writer (code -32600)",
            Internal,
            None,
            None,
        ),
        ("Error loading configuration: CODEX_HOME points to \"/x\", but that path does not exist", Config, None, None),
        ("Error loading config.toml: `wire_api = \"chat\"` is no longer supported.", Config, None, None),
        (
            "Error loading config.toml: unknown variant `auto`, expected one of `untrusted`, `never`\nin `approval_policy`",
            Config,
            None,
            None,
        ),
        ("Error: approval_policy = \"untrusted\" is no longer supported; remove this setting", Config, None, None),
        ("model_providers contains reserved built-in provider IDs: `openai`.", Config, None, None),
        ("provider name must not be empty", Config, None, None),
        ("Error: Model provider `x` not found", Config, None, None),
        ("/x/config.toml:1:1: unknown configuration field `x`", Config, None, None),
        ("Not inside a trusted directory and --skip-git-repo-check was not specified.", Config, None, None),
        (
            "Error: failed to initialize in-process app-server client: Read-only file system (os error 30)",
            Config,
            None,
            None,
        ),
        (
            "Error: thread/start: required MCP servers failed to initialize: chat: timed out handshaking",
            Config,
            None,
            None,
        ),
        ("error: unexpected argument '--full-auto' found", InvalidOptions, None, None),
        ("No prompt provided via stdin.", InvalidOptions, None, None),
        ("Error: stdin is not a terminal", InvalidOptions, None, None),
        ("something never seen before", Internal, None, None),
        ("", Internal, None, None),
    ];

    #[test]
    fn every_known_text_has_its_class() {
        for (text, kind, status, retry_after_seconds) in SEEN {
            let expected = Verdict { kind: *kind, status: *status, retry_after_seconds: *retry_after_seconds };
            assert_eq!(classify(text), expected, "{text}");
        }
    }
}

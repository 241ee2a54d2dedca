//! What an API's answer says of the credential: pure.

use serde_json::Value;

/// The most of an API's own words that is told, in characters.
const MAX_WORDS: usize = 300;
/// How keys begin; an API may repeat a part of the one that it was shown.
const KEY: &str = "sk-";

/// What an API says of a credential. Its words are cut, and hold no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It answered.
    Valid,
    /// It knows who asks and has something against the question.
    Accepted(String),
    /// It does not accept the credential.
    WrongCredential(String),
    /// It accepts it, and nothing is left to spend.
    NoQuota(String),
    /// It accepts it, and not now.
    Limited(String),
    /// It is not there, or broken.
    Unreachable(String),
    /// Something else.
    Unclear(String),
}

/// Reads an answer: JSON, or events of which one may be a failure.
pub(super) fn verdict(status: u16, body: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(body);
    let error = error_of(&text);
    let code = error.as_ref().map(|error| error.code.clone()).unwrap_or_default();
    let words = error.map_or_else(|| words(&text), |error| words(&error.message));
    let said = if words.is_empty() { format!("status {status}") } else { format!("{words} (status {status})") };
    let lower = format!("{code} {words}").to_lowercase();
    let exhausted = ["insufficient_quota", "credit balance", "usage_limit", "billing", "quota exceeded", "usage limit"];
    match status {
        200 if code.is_empty() => Verdict::Valid,
        // A stream that began well tells its failure as an event.
        200 | 400 | 402 | 403 | 429 if exhausted.iter().any(|text| lower.contains(text)) => Verdict::NoQuota(said),
        402 => Verdict::NoQuota(said),
        401 | 403 => Verdict::WrongCredential(said),
        429 => Verdict::Limited(said),
        200 if lower.contains("rate_limit") => Verdict::Limited(said),
        400 | 404 if lower.contains("model") => Verdict::Accepted(said),
        500.. => Verdict::Unreachable(said),
        _ => Verdict::Unclear(said),
    }
}

struct ApiError {
    code: String,
    message: String,
}

/// The error of a whole answer, or of the first event that is one.
fn error_of(text: &str) -> Option<ApiError> {
    if let Ok(whole) = serde_json::from_str::<Value>(text) {
        return error_in(&whole);
    }
    let events = text.lines().filter_map(|line| line.strip_prefix("data:"));
    events.filter_map(|data| serde_json::from_str::<Value>(data.trim()).ok()).find_map(|event| {
        match event["type"].as_str() {
            Some("response.failed") => error_in(&event["response"]),
            Some("error") => error_in(&event).or_else(|| of(&event)),
            _ => None,
        }
    })
}

fn error_in(value: &Value) -> Option<ApiError> {
    of(&value["error"]).or_else(|| Some(ApiError { code: "error".into(), message: value["detail"].as_str()?.into() }))
}

fn of(error: &Value) -> Option<ApiError> {
    let field = |name: &str| error[name].as_str().map(str::to_owned);
    let code = field("code").or_else(|| field("type"))?;
    Some(ApiError { code, message: field("message").unwrap_or_default() })
}

/// An API's words in one line, not long, and without what could be a key.
fn words(text: &str) -> String {
    let word = |word: &str| if word.contains(KEY) { "…".to_owned() } else { word.to_owned() };
    let line = text.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    line.chars().take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_the_credential_is_worth() {
        use Verdict::{Accepted, Limited, NoQuota, Unclear, Unreachable, Valid, WrongCredential};
        let kind = |verdict: &Verdict| match verdict {
            Valid => "valid",
            Accepted(_) => "accepted",
            WrongCredential(_) => "wrong",
            NoQuota(_) => "no quota",
            Limited(_) => "limited",
            Unreachable(_) => "unreachable",
            Unclear(_) => "unclear",
        };
        for (status, body, expected) in [
            (200, r#"{"type":"message","content":[]}"#, "valid"),
            (200, "event: x\ndata: {\"type\":\"response.completed\"}\n\n", "valid"),
            (
                200,
                "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"insufficient_quota\",\"message\":\"x\"}}}\n",
                "no quota",
            ),
            (
                200,
                "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"x\"}}}\n",
                "limited",
            ),
            (200, "data: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"x\"}\n", "unclear"),
            (401, r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#, "wrong"),
            (401, "", "wrong"),
            (403, r#"{"error":{"type":"permission_error","message":"no"}}"#, "wrong"),
            (403, r#"{"error":{"type":"billing_error","message":"pay"}}"#, "no quota"),
            (
                400,
                r#"{"error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API."}}"#,
                "no quota",
            ),
            (402, "", "no quota"),
            (429, r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"x"}}"#, "no quota"),
            (429, r#"{"error":{"type":"usage_limit_reached","message":"x"}}"#, "no quota"),
            (429, r#"{"error":{"type":"rate_limit_error","message":"slow down"}}"#, "limited"),
            (404, r#"{"error":{"type":"not_found_error","message":"model: claude-haiku-4-5"}}"#, "accepted"),
            (400, r#"{"error":{"code":"model_not_found","message":"no such thing"}}"#, "accepted"),
            (400, r#"{"detail":"Unsupported parameter"}"#, "unclear"),
            (404, "<html>", "unclear"),
            (503, "<html>away</html>", "unreachable"),
            (529, r#"{"error":{"type":"overloaded_error","message":"x"}}"#, "unreachable"),
        ] {
            assert_eq!(kind(&verdict(status, body.as_bytes())), expected, "{status} {body}");
        }
    }

    #[test]
    fn no_words_of_an_api_hold_a_key_or_have_no_end() {
        let body = r#"{"error":{"code":"invalid_api_key","message":"Incorrect API key provided: sk-proj-abc***xyz.\nYou can"}}"#;
        let said = "Incorrect API key provided: … You can (status 401)";
        assert_eq!(verdict(401, body.as_bytes()), Verdict::WrongCredential(said.into()));
        let Verdict::Unclear(said) = verdict(418, "word ".repeat(10_000).as_bytes()) else { panic!("unclear") };
        assert!(said.len() < 400, "{}", said.len());
    }
}

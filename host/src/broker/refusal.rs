//! What the broker itself answers, in the words of the API that was asked: pure.
//!
//! Both CLIs show `error.message` to the person who reads the log, so it says what to do.

use hyper::{Method, StatusCode, Uri};
use serde_json::{Value, json};

use super::login::LoginError;
use super::policy::{self, Api};
use crate::metrics::Denied;
use crate::usage::denial::Denial;

/// Why a request did not go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// None of the few requests that are allowed.
    Forbidden {
        /// What was asked, shortened: `GET /x`.
        asked: String,
    },
    /// Websockets are not offered.
    NoWebsocket,
    /// The operator has set no credential for this API.
    NoCredential {
        /// What to set.
        hint: &'static str,
    },
    /// The ChatGPT login gives no token.
    Login(LoginError),
    /// The group's budget does not allow it.
    Budget(Denial),
    /// The body is over the limit.
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The API could not be reached.
    Unreachable {
        /// Its scheme, host and port.
        origin: String,
        /// Why.
        cause: String,
    },
    /// The API was reached and did not answer as HTTP does.
    Broken {
        /// Its scheme, host and port.
        origin: String,
        /// Why.
        cause: String,
    },
}

impl Refusal {
    /// Of a request that is not allowed.
    #[must_use]
    pub fn forbidden(method: &Method, uri: &Uri) -> Self {
        // The query may hold anything; the path says enough.
        let asked = format!("{method} {}", uri.path());
        Self::Forbidden { asked: asked.chars().take(200).collect() }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self, api: Api) -> StatusCode {
        match self {
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::NoWebsocket => StatusCode::UPGRADE_REQUIRED,
            Self::NoCredential { .. } => StatusCode::UNAUTHORIZED,
            Self::Login(LoginError::Later(_)) => StatusCode::BAD_GATEWAY,
            Self::Login(_) => StatusCode::UNAUTHORIZED,
            // What each CLI takes as final and tells the message of: on a 400 `claude` asks five times more, and on
            // a 403 `codex` goes on for seconds.
            Self::Budget(_) => match api {
                Api::Anthropic => StatusCode::FORBIDDEN,
                Api::OpenAi => StatusCode::BAD_REQUEST,
            },
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unreachable { .. } | Self::Broken { .. } => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whether the same request may go through a moment later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Broken { .. } | Self::Login(LoginError::Later(_)))
    }

    /// As what it is counted.
    #[must_use]
    pub fn counted(&self) -> Denied {
        match self {
            Self::Forbidden { .. } | Self::NoWebsocket => Denied::Forbidden,
            Self::NoCredential { .. } | Self::Login(_) => Denied::Credential,
            Self::Budget(_) => Denied::Budget,
            Self::TooLarge { .. } => Denied::TooLarge,
            Self::Unreachable { .. } | Self::Broken { .. } => Denied::Upstream,
        }
    }

    /// The sentence in the answer.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Forbidden { asked } => {
                format!("`{asked}` is not allowed from this container; allowed are: {}", policy::allowed())
            }
            Self::NoWebsocket => "websockets are not offered here; use plain requests".to_owned(),
            Self::NoCredential { hint } => (*hint).to_owned(),
            Self::Login(error) => error.to_string(),
            Self::Budget(denial) => denial.to_string(),
            Self::TooLarge { limit_bytes } => format!("the request is larger than {limit_bytes} bytes"),
            Self::Unreachable { origin, cause } => format!("cannot reach `{origin}`: {cause}"),
            Self::Broken { origin, cause } => format!("`{origin}` broke off: {cause}"),
        }
    }

    /// The answer's JSON, in the error shape of `api`.
    #[must_use]
    pub fn body(&self, api: Api) -> Value {
        let message = self.message();
        match api {
            // https://docs.anthropic.com/en/api/errors
            Api::Anthropic => {
                let kind = match self {
                    Self::Forbidden { .. } | Self::Budget(_) => "permission_error",
                    Self::NoWebsocket => "invalid_request_error",
                    Self::Login(LoginError::Later(_)) => "api_error",
                    Self::NoCredential { .. } | Self::Login(_) => "authentication_error",
                    Self::TooLarge { .. } => "request_too_large",
                    Self::Unreachable { .. } | Self::Broken { .. } => "api_error",
                };
                json!({"type": "error", "error": {"type": kind, "message": message}})
            }
            // https://platform.openai.com/docs/guides/error-codes
            Api::OpenAi => {
                let (kind, code) = match self {
                    Self::Forbidden { .. } => ("invalid_request_error", "forbidden"),
                    Self::NoWebsocket => ("invalid_request_error", "upgrade_not_offered"),
                    Self::NoCredential { .. } => ("invalid_request_error", "invalid_api_key"),
                    Self::Login(LoginError::Later(_)) => ("server_error", "bad_gateway"),
                    Self::Login(LoginError::Refused(refusal)) => ("invalid_request_error", refusal.code()),
                    Self::Login(_) => ("invalid_request_error", "invalid_api_key"),
                    Self::Budget(_) => ("invalid_request_error", "budget_used_up"),
                    Self::TooLarge { .. } => ("invalid_request_error", "request_too_large"),
                    Self::Unreachable { .. } | Self::Broken { .. } => ("server_error", "bad_gateway"),
                };
                json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::super::login::LoginRefusal;
    use super::*;
    use crate::usage::budget::{Limit, Standing};

    #[test]
    fn every_refusal_is_told_in_both_dialects() {
        let origin = || "https://api.example".to_owned();
        let mut told = String::new();
        for refusal in [
            Refusal::forbidden(&Method::GET, &Uri::from_static("/anthropic/v1/files?secret=1")),
            Refusal::NoWebsocket,
            Refusal::NoCredential { hint: "no credential for claude: set it" },
            Refusal::Login(LoginError::Missing),
            Refusal::Login(LoginError::Unusable { file: "/x/auth.json".to_owned(), cause: "is not JSON".to_owned() }),
            Refusal::Login(LoginError::Refused(LoginRefusal::Expired)),
            Refusal::Login(LoginError::Refused(LoginRefusal::Reused)),
            Refusal::Login(LoginError::Refused(LoginRefusal::Revoked)),
            Refusal::Login(LoginError::Refused(LoginRefusal::Other)),
            Refusal::Login(LoginError::Later("no answer in 30 s".to_owned())),
            Refusal::Budget(Denial::UsedUp {
                standing: Standing { limit: Limit::DailyTokens, used: 1_050, of: 1_000, unpriced: 0 },
                anew: Some("2026-02-02T00:00[UTC]".parse().unwrap()),
            }),
            Refusal::Budget(Denial::UsedUp {
                standing: Standing { limit: Limit::MonthlyUsd, used: 30_000_000_000, of: 30_000_000_000, unpriced: 0 },
                anew: Some("2026-03-01T00:00[UTC]".parse().unwrap()),
            }),
            Refusal::Budget(Denial::NoPrice { limit: Limit::DailyUsd, model: "m".to_owned() }),
            Refusal::TooLarge { limit_bytes: 1024 },
            Refusal::Unreachable { origin: origin(), cause: "connection refused".to_owned() },
            Refusal::Broken { origin: origin(), cause: "connection closed".to_owned() },
        ] {
            for api in [Api::Anthropic, Api::OpenAi] {
                writeln!(told, "{} {}", refusal.status(api), refusal.body(api)).unwrap();
            }
        }
        insta::assert_snapshot!(told);
    }

    #[test]
    fn a_long_path_is_shortened() {
        let uri = format!("/{}", "x".repeat(10_000)).parse().unwrap();
        assert!(Refusal::forbidden(&Method::GET, &uri).message().len() < 600);
    }
}

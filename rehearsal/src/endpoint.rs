//! Pure: which endpoint a request is for, with which credential.

use axum::http::{HeaderMap, HeaderName, Method, header};
use longshore_protocol::ProviderKind;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// OpenAI: a model call.
    Responses,
    /// Anthropic: a model call.
    Messages,
    /// Anthropic: how many tokens a request has.
    CountTokens,
    /// The list of models.
    Models(ProviderKind),
    /// New tokens for a refresh token of a ChatGPT login.
    Token,
    /// Whether the API is there at all.
    Probe,
    /// A websocket, which is refused so that the CLI falls back to plain requests.
    Websocket,
    /// Anything else.
    Unknown,
}

impl Endpoint {
    /// Finds it.
    #[must_use]
    pub fn of(method: &Method, path: &str, headers: &HeaderMap) -> Self {
        let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if upgrade.eq_ignore_ascii_case("websocket") {
            return Self::Websocket;
        }
        match (method.as_str(), path.trim_end_matches('/')) {
            ("POST", "/openai/v1/responses") => Self::Responses,
            ("POST", "/anthropic/v1/messages") => Self::Messages,
            ("POST", "/anthropic/v1/messages/count_tokens") => Self::CountTokens,
            ("GET", "/openai/v1/models") => Self::Models(ProviderKind::Codex),
            ("GET", "/anthropic/v1/models") => Self::Models(ProviderKind::Claude),
            ("POST", "/oauth/token") => Self::Token,
            ("HEAD", path) if vendor(path) == Some(ProviderKind::Claude) => Self::Probe,
            _ => Self::Unknown,
        }
    }

    /// Whether the vendor wants a credential here.
    #[must_use]
    pub fn is_guarded(self) -> bool {
        matches!(self, Self::Responses | Self::Messages | Self::CountTokens | Self::Models(_))
    }
}

/// Whose API a path belongs to.
#[must_use]
pub fn vendor(path: &str) -> Option<ProviderKind> {
    match path.split('/').nth(1) {
        Some("anthropic") => Some(ProviderKind::Claude),
        Some("openai") => Some(ProviderKind::Codex),
        _ => None,
    }
}

/// How a request's credential is received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// Whatever it is, it is good.
    Accepted,
    /// The bearer token or key is the word `expired`.
    Expired,
    /// The bearer token is the word `wrong`.
    WrongToken,
    /// The `x-api-key` is the word `wrong`.
    WrongKey,
}

impl Credential {
    /// Judges it. Of two credentials, the worse one counts.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text(header::AUTHORIZATION)
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let key = text(HeaderName::from_static("x-api-key"));
        match (bearer, key) {
            (Some("expired"), _) | (_, Some("expired")) => Self::Expired,
            (Some("wrong"), _) => Self::WrongToken,
            (_, Some("wrong")) => Self::WrongKey,
            _ => Self::Accepted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_two_apis_is_known() {
        let cases = [
            (Method::POST, "/openai/v1/responses", Endpoint::Responses),
            (Method::POST, "/anthropic/v1/messages", Endpoint::Messages),
            (Method::POST, "/anthropic/v1/messages/", Endpoint::Messages),
            (Method::POST, "/anthropic/v1/messages/count_tokens", Endpoint::CountTokens),
            (Method::GET, "/openai/v1/models", Endpoint::Models(ProviderKind::Codex)),
            (Method::GET, "/anthropic/v1/models", Endpoint::Models(ProviderKind::Claude)),
            (Method::POST, "/oauth/token", Endpoint::Token),
            (Method::HEAD, "/anthropic", Endpoint::Probe),
            (Method::HEAD, "/anthropic/api/hello", Endpoint::Probe),
            (Method::HEAD, "/anthropically", Endpoint::Unknown),
            (Method::GET, "/openai/v1/responses", Endpoint::Unknown),
            (Method::POST, "/v1/messages", Endpoint::Unknown),
        ];
        for (method, path, expected) in cases {
            assert_eq!(Endpoint::of(&method, path, &HeaderMap::new()), expected, "{method} {path}");
        }
        let upgrade = HeaderMap::from_iter([(header::UPGRADE, "WebSocket".parse().unwrap())]);
        assert_eq!(Endpoint::of(&Method::GET, "/openai/v1/responses", &upgrade), Endpoint::Websocket);
    }

    #[test]
    fn only_two_words_are_bad_credentials() {
        let cases = [
            (None, None, Credential::Accepted),
            (Some("Bearer sk-any"), Some("any"), Credential::Accepted),
            (Some("bearer expired"), None, Credential::Expired),
            (None, Some("expired"), Credential::Expired),
            (Some("Bearer wrong"), Some("good"), Credential::WrongToken),
            (Some("Basic wrong"), None, Credential::Accepted),
            (Some("Bearer wrongly"), Some("wrong"), Credential::WrongKey),
        ];
        for (bearer, key, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.extend(bearer.map(|value| (header::AUTHORIZATION, value.parse().unwrap())));
            headers.extend(key.map(|value| (HeaderName::from_static("x-api-key"), value.parse().unwrap())));
            assert_eq!(Credential::of(&headers), expected, "{bearer:?} {key:?}");
        }
    }
}

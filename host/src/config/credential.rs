//! Which of the operator's credentials count.

use super::parse::Settings;
use super::{ConfigProblem, Secret};

pub(super) const ANTHROPIC_API_KEY: &str = "ANTHROPIC_API_KEY";
pub(super) const ANTHROPIC_AUTH_TOKEN: &str = "ANTHROPIC_AUTH_TOKEN";
pub(super) const CLAUDE_CODE_OAUTH_TOKEN: &str = "CLAUDE_CODE_OAUTH_TOKEN";
pub(super) const CODEX_API_KEY: &str = "CODEX_API_KEY";
pub(super) const OPENAI_API_KEY: &str = "OPENAI_API_KEY";

/// What to show to Anthropic's API. The kinds and which wins are those of the `claude` CLI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaudeCredential {
    /// `ANTHROPIC_API_KEY`.
    ApiKey(Secret),
    /// `ANTHROPIC_AUTH_TOKEN`.
    AuthToken(Secret),
    /// Both of them, as some gateways want.
    ApiKeyAndAuthToken {
        /// `ANTHROPIC_API_KEY`.
        api_key: Secret,
        /// `ANTHROPIC_AUTH_TOKEN`.
        auth_token: Secret,
    },
    /// `CLAUDE_CODE_OAUTH_TOKEN`: a subscription. With it the CLI chooses another default model.
    OauthToken(Secret),
}

pub(super) fn claude(settings: &mut Settings<'_>) -> Option<ClaudeCredential> {
    let api_key = secret(settings, ANTHROPIC_API_KEY);
    let auth_token = secret(settings, ANTHROPIC_AUTH_TOKEN);
    let oauth_token = secret(settings, CLAUDE_CODE_OAUTH_TOKEN);
    if oauth_token.is_some() {
        let winner = match (&api_key, &auth_token) {
            (Some(_), _) => Some(ANTHROPIC_API_KEY),
            (None, Some(_)) => Some(ANTHROPIC_AUTH_TOKEN),
            (None, None) => None,
        };
        if let Some(winner) = winner {
            settings.warn(CLAUDE_CODE_OAUTH_TOKEN, format!("is not used, because `{winner}` is set"));
        }
    }
    match (api_key, auth_token) {
        (Some(api_key), Some(auth_token)) => Some(ClaudeCredential::ApiKeyAndAuthToken { api_key, auth_token }),
        (Some(api_key), None) => Some(ClaudeCredential::ApiKey(api_key)),
        (None, Some(auth_token)) => Some(ClaudeCredential::AuthToken(auth_token)),
        (None, None) => oauth_token.map(ClaudeCredential::OauthToken),
    }
}

pub(super) fn codex(settings: &mut Settings<'_>) -> Option<Secret> {
    let codex = secret(settings, CODEX_API_KEY);
    let openai = secret(settings, OPENAI_API_KEY);
    if matches!((&codex, &openai), (Some(codex), Some(openai)) if codex != openai) {
        settings.warn(OPENAI_API_KEY, format!("is not used, because `{CODEX_API_KEY}` is set"));
    }
    codex.or(openai)
}

fn secret(settings: &mut Settings<'_>, key: &'static str) -> Option<Secret> {
    // Not trimmed: blanks around a credential are a copying mistake that quotes have kept.
    let text = settings.untrimmed(key)?;
    match Secret::parse(text) {
        Ok(secret) => Some(secret),
        Err(error) => {
            settings.refuse(ConfigProblem::new(key, error.to_string(), "copy the credential again, in one piece"));
            None
        }
    }
}

//! The login's file, in codex's own format, and what its tokens say: pure.
//!
//! `{"auth_mode":"chatgpt","tokens":{"id_token","access_token","refresh_token","account_id"},"last_refresh"}`;
//! fields that are not ours to know are kept as they are. Tokens are JSON Web Tokens (RFC 7519); their
//! claims are read and their signatures are the vendor's matter.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::config::Secret;

/// Why a file is no login.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum DocumentError {
    #[error("is not JSON")]
    NotJson,
    #[error("holds no ChatGPT login (no `tokens` with access and refresh token)")]
    NoTokens,
    #[error("names no account")]
    NoAccount,
    #[error("holds no new access token")]
    NotRefreshed,
}

/// What may be told about a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The vendor's id of the account or workspace.
    pub account: String,
    /// Whose it is.
    pub email: Option<String>,
    /// When the access token ends. A later one is had by refreshing.
    pub expires_at: Option<Timestamp>,
    /// When it was refreshed last, as the file says.
    pub last_refresh: Option<Timestamp>,
}

/// A ChatGPT login. Its debug text names the account alone.
#[derive(Clone, PartialEq)]
pub(crate) struct Document {
    json: Map<String, Value>,
    access_token: Secret,
    refresh_token: Secret,
    account: String,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("account", &self.account).finish_non_exhaustive()
    }
}

impl Document {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(json)) => Self::of(json),
            _ => Err(DocumentError::NotJson),
        }
    }

    fn of(json: Map<String, Value>) -> Result<Self, DocumentError> {
        let token = |name: &str| {
            let text = json.get("tokens")?.get(name)?.as_str()?;
            Secret::parse(text).ok()
        };
        let (Some(access_token), Some(refresh_token)) = (token("access_token"), token("refresh_token")) else {
            return Err(DocumentError::NoTokens);
        };
        let named = json["tokens"].get("account_id").and_then(Value::as_str).map(str::to_owned);
        let account =
            named.or_else(|| ["id_token", "access_token"].iter().find_map(|name| account_of(token(name)?.expose())));
        // It becomes a header.
        let account = account.filter(|account| !account.is_empty() && account.bytes().all(|b| b.is_ascii_graphic()));
        Ok(Self { access_token, refresh_token, account: account.ok_or(DocumentError::NoAccount)?, json })
    }

    pub(crate) fn access_token(&self) -> &Secret {
        &self.access_token
    }

    pub(crate) fn refresh_token(&self) -> &Secret {
        &self.refresh_token
    }

    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// When the access token ends; `None` if it does not say.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        let seconds = claims(self.access_token.expose())?.get("exp")?.as_i64()?;
        Timestamp::from_second(seconds).ok()
    }

    /// The login with the tokens of a refresh. A token that the answer leaves out stays.
    pub(crate) fn refreshed(&self, answer: &Value, now: Timestamp) -> Result<Self, DocumentError> {
        if !answer["access_token"].is_string() {
            return Err(DocumentError::NotRefreshed);
        }
        let mut json = self.json.clone();
        if let Some(Value::Object(tokens)) = json.get_mut("tokens") {
            for name in ["id_token", "access_token", "refresh_token"] {
                if let Some(token) = answer.get(name).filter(|token| token.is_string()) {
                    tokens.insert(name.to_owned(), token.clone());
                }
            }
        }
        // codex sends no credential at all for a login without it.
        json.insert("last_refresh".to_owned(), Value::from(now.to_string()));
        Self::of(json)
    }

    /// The tokens as the token endpoint gives them.
    pub(crate) fn to_answer(&self) -> Vec<u8> {
        let tokens = self.json.get("tokens");
        let token = |name: &str| tokens.and_then(|tokens| tokens.get(name)).cloned().unwrap_or_default();
        let names = ["id_token", "access_token", "refresh_token"];
        let answer: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), token(name))).collect();
        Value::Object(answer).to_string().into_bytes()
    }

    pub(crate) fn describe(&self) -> Description {
        let id = self.json["tokens"].get("id_token").and_then(Value::as_str).and_then(claims);
        let email = id.as_ref().and_then(|id| id.get("email")).and_then(Value::as_str);
        Description {
            account: self.account.clone(),
            // It is printed to a terminal.
            email: email.filter(|email| email.len() < 255 && !email.chars().any(char::is_control)).map(str::to_owned),
            expires_at: self.expires_at(),
            last_refresh: self.json.get("last_refresh").and_then(Value::as_str).and_then(|text| text.parse().ok()),
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        Value::Object(self.json.clone()).to_string().into_bytes()
    }
}

fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?).ok()
}

fn account_of(id_token: &str) -> Option<String> {
    Some(claims(id_token)?.get("https://api.openai.com/auth")?.get("chatgpt_account_id")?.as_str()?.to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A token that ends at that second of the epoch.
    pub(crate) fn jwt(exp: i64, id: &str) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let claims = json!({"exp": exp, "jti": id, "email": "ada@example.com", "https://api.openai.com/auth": {"chatgpt_account_id": "account-1"}});
        format!("{}.{}.c2ln", part(&json!({"alg": "none"})), part(&claims))
    }

    pub(crate) fn login(exp: i64, refresh: &str) -> String {
        json!({"auth_mode": "chatgpt", "OPENAI_API_KEY": null, "kept": 1, "last_refresh": "2026-01-01T00:00:00Z",
               "tokens": {"id_token": jwt(exp, "id"), "access_token": jwt(exp, "old"), "refresh_token": refresh}})
        .to_string()
    }

    #[test]
    fn a_login_says_when_it_ends_and_for_whom_it_is() {
        let document = Document::parse(login(1_800_000_000, "rt").as_bytes()).unwrap();
        assert_eq!(document.expires_at(), Timestamp::from_second(1_800_000_000).ok());
        assert_eq!(document.account(), "account-1");
        let described = document.describe();
        assert_eq!(described.email.as_deref(), Some("ada@example.com"));
        assert_eq!(described.last_refresh, "2026-01-01T00:00:00Z".parse().ok());
    }

    #[test]
    fn no_token_is_in_a_debug_text() {
        let document = Document::parse(login(1, "rt-secret").as_bytes()).unwrap();
        assert_eq!(format!("{document:?}"), r#"Document { account: "account-1", .. }"#);
        let described = format!("{:?}", document.describe());
        assert!(!described.contains("rt-secret") && !described.contains("c2ln"), "{described}");
    }

    #[test]
    fn what_is_no_login_is_refused_without_a_panic() {
        for (text, expected) in [
            ("", DocumentError::NotJson),
            ("[]", DocumentError::NotJson),
            ("{}", DocumentError::NoTokens),
            (r#"{"OPENAI_API_KEY":"sk"}"#, DocumentError::NoTokens),
            (r#"{"tokens":{"access_token":"a","refresh_token":"b"}}"#, DocumentError::NoAccount),
            (r#"{"tokens":{"access_token":"a","refresh_token":"b","account_id":"x\ny"}}"#, DocumentError::NoAccount),
        ] {
            assert_eq!(Document::parse(text.as_bytes()).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn a_refresh_changes_the_tokens_and_keeps_the_rest() {
        let document = Document::parse(login(1, "rt-old").as_bytes()).unwrap();
        let answer = json!({"access_token": jwt(2, "new"), "refresh_token": "rt-new"});
        let refreshed = document.refreshed(&answer, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(refreshed.refresh_token().expose(), "rt-new");
        let json: Value = serde_json::from_slice(&refreshed.to_bytes()).unwrap();
        assert_eq!((&json["kept"], json["tokens"]["id_token"].as_str()), (&json!(1), Some(jwt(1, "id").as_str())));
        let answer: Value = serde_json::from_slice(&refreshed.to_answer()).unwrap();
        assert_eq!(answer, json!({"id_token": jwt(1, "id"), "access_token": jwt(2, "new"), "refresh_token": "rt-new"}));
    }

    #[test]
    fn an_answer_without_a_new_access_token_is_no_refresh() {
        let document = Document::parse(login(1, "rt").as_bytes()).unwrap();
        for answer in [json!({}), json!(null), json!({"refresh_token": "rt-new"}), json!({"access_token": 1})] {
            assert_eq!(
                document.refreshed(&answer, Timestamp::UNIX_EPOCH),
                Err(DocumentError::NotRefreshed),
                "{answer}"
            );
        }
        let unusable = json!({"access_token": "two words"});
        assert_eq!(document.refreshed(&unusable, Timestamp::UNIX_EPOCH), Err(DocumentError::NoTokens));
    }
}

//! The ChatGPT login of `codex`: one file on the host, refreshed here for all groups at once.
//!
//! Refresh tokens are single-use: two that refresh at the same time break each other. So one lock
//! covers reading, refreshing and storing, and a rotated token is on disk before it is used. The login
//! never enters a container (but for groups with `credentials: "mounted"`).

mod document;
mod file;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::sync::Mutex;

use self::document::Document;
use super::upstream::{Connections, SendError};
use crate::clock::Clock;
use crate::config::{BaseUrl, Secret};

pub(crate) use self::document::DocumentError;

/// codex's own id at the token endpoint (its public client id; a refresh is bound to it).
const CLIENT_ID: &str = "app_EMoamEEZ73f0CkXaXp7hrann";
/// A token is refreshed so long before it ends.
const AHEAD: Duration = Duration::from_secs(5 * 60);
/// How long the token endpoint may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most that its answer may be, in bytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// The login, wherever it stands.
pub struct ChatGptLogin {
    directory: PathBuf,
    token_url: BaseUrl,
    clock: Clock,
    state: Mutex<State>,
}

/// What is remembered between requests.
#[derive(Default)]
struct State {
    /// An access token that the API has refused although it has not ended.
    rejected: Option<Secret>,
    /// A refresh token that the endpoint has refused, and how: it is not asked again.
    refused: Option<(Secret, LoginRefusal)>,
}

/// What a request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// For `Authorization: Bearer`.
    pub token: Secret,
    /// For `chatgpt-account-id`.
    pub account: String,
}

/// Why the endpoint gives no new tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginRefusal {
    /// The login is too old.
    Expired,
    /// Its refresh token was used by somebody else, such as a copy of the file.
    Reused,
    /// Somebody signed out.
    Revoked,
    /// Another reason.
    Other,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LoginError {
    /// Nobody has logged in.
    #[error("no credential for codex: there is no ChatGPT login; run `longshore login codex`")]
    Missing,
    /// The file cannot be used.
    #[error("the ChatGPT login cannot be used: `{file}` {cause}; run `longshore login codex`")]
    Unusable {
        /// The file.
        file: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The endpoint refuses to refresh it.
    #[error("the ChatGPT login {}; run `longshore login codex`", refusal(*.0))]
    Refused(LoginRefusal),
    /// The endpoint could not be asked, or the new token not be stored. It may be possible later.
    #[error("the ChatGPT login could not be refreshed: {0}")]
    Later(String),
}

fn refusal(refusal: LoginRefusal) -> &'static str {
    match refusal {
        LoginRefusal::Expired => "has expired",
        LoginRefusal::Reused => "was already used to refresh by another program",
        LoginRefusal::Revoked => "was revoked",
        LoginRefusal::Other => "is refused",
    }
}

impl ChatGptLogin {
    /// The login in this directory, refreshed at that address.
    #[must_use]
    pub fn new(directory: PathBuf, token_url: BaseUrl, clock: Clock) -> Arc<Self> {
        Arc::new(Self { directory, token_url, clock, state: Mutex::default() })
    }

    /// Where the login's file lies.
    #[must_use]
    pub fn directory(&self) -> &std::path::Path {
        &self.directory
    }

    /// Whether somebody has logged in.
    #[must_use]
    pub fn exists(&self) -> bool {
        file::exists(&self.directory)
    }

    /// Takes over a login that was seeded by hand in a container's folder, if there is none yet: there
    /// the agent could read it, so it does not stay.
    ///
    /// # Errors
    /// What the system says.
    pub fn adopt(&self, seeded: &std::path::Path) -> std::io::Result<bool> {
        file::adopt(&self.directory, seeded)
    }

    /// A token that has not ended, refreshed first if need be.
    pub(super) async fn access(&self, connections: &Connections) -> Result<Access, LoginError> {
        // Held over the refresh: whoever comes meanwhile waits and takes the new token.
        let mut state = self.state.lock().await;
        let document = self.read()?;
        if self.is_fresh(&document, &state) {
            return Ok(access(&document));
        }
        if let Some((token, refusal)) = &state.refused
            && token == document.refresh_token()
        {
            return Err(LoginError::Refused(*refusal));
        }
        match self.refresh(&document, connections).await {
            Ok(refreshed) => {
                // Before its first use: the old refresh token is worth nothing any more.
                file::store(&self.directory, &refreshed.to_bytes())
                    .map_err(|error| LoginError::Later(format!("the new token could not be stored: {error}")))?;
                tracing::info!("the ChatGPT login was refreshed");
                *state = State::default();
                Ok(access(&refreshed))
            }
            Err(error) => {
                if let LoginError::Refused(refusal) = error {
                    state.refused = Some((document.refresh_token().clone(), refusal));
                }
                Err(error)
            }
        }
    }

    /// The API has refused this token: the next request refreshes first.
    pub(super) async fn rejected(&self, token: Secret) {
        self.state.lock().await.rejected = Some(token);
    }

    fn read(&self) -> Result<Document, LoginError> {
        let unusable =
            |cause: String| LoginError::Unusable { file: file::path(&self.directory).display().to_string(), cause };
        let bytes = match file::read(&self.directory) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(LoginError::Missing),
            Err(error) => return Err(unusable(format!("cannot be read: {error}"))),
        };
        Document::parse(&bytes).map_err(|error: DocumentError| unusable(error.to_string()))
    }

    fn is_fresh(&self, document: &Document, state: &State) -> bool {
        let limit = self.clock.now().checked_add(AHEAD).ok();
        // A token that does not say when it ends is used until the API refuses it.
        let ended = document.expires_at().zip(limit).is_some_and(|(ends, limit)| ends <= limit);
        !ended && state.rejected.as_ref() != Some(document.access_token())
    }

    async fn refresh(&self, document: &Document, connections: &Connections) -> Result<Document, LoginError> {
        let later = |cause: String| LoginError::Later(cause);
        let asked = json!({
            "client_id": CLIENT_ID,
            "grant_type": "refresh_token",
            "refresh_token": document.refresh_token().expose(),
        });
        let mut request = Request::new(Either::Right(Full::new(Bytes::from(asked.to_string()))));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.token_url.join("", None).map_err(|error| later(error.to_string()))?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answered = async {
            let response = connections.send(request).await.map_err(|error| match error {
                SendError::Unreachable(cause) | SendError::Broken(cause) => later(cause),
                SendError::TooLarge => later("the request is too large".into()),
            })?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| later(error.to_string()))?.to_bytes();
            Ok((status, serde_json::from_slice::<Value>(&body).unwrap_or_default()))
        };
        let (status, body) =
            tokio::time::timeout(PATIENCE, answered).await.map_err(|_| later("no answer in 30 s".into()))??;
        match status.as_u16() {
            200 => document
                .refreshed(&body, self.clock.now())
                .map_err(|error| later(format!("the token endpoint's answer {error}"))),
            400 | 401 | 403 => Err(LoginError::Refused(refusal_of(&body))),
            status => Err(later(format!("the token endpoint answered with status {status}"))),
        }
    }
}

fn access(document: &Document) -> Access {
    Access { token: document.access_token().clone(), account: document.account().to_owned() }
}

fn refusal_of(body: &Value) -> LoginRefusal {
    let code = body["error"]["code"].as_str().or_else(|| body["error"].as_str()).unwrap_or_default();
    match code {
        "refresh_token_expired" => LoginRefusal::Expired,
        "refresh_token_reused" => LoginRefusal::Reused,
        "refresh_token_invalidated" | "refresh_token_revoked" => LoginRefusal::Revoked,
        _ => LoginRefusal::Other,
    }
}

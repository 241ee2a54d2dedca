//! The ChatGPT login of `codex`: one file on the host, refreshed here for all groups at once.
//!
//! Refresh tokens are single-use: two that refresh at the same time break each other, and a new one that
//! is lost cannot be had again. So one lock covers reading, refreshing and storing; a refresh that has
//! begun ends, whoever still waits for it; and a new token is on disk before it is used. A container that
//! is given the login itself (`credentials: "mounted"`) refreshes it here, too; no other ever sees it.

pub(super) mod document;
mod endpoint;
mod file;
mod verdict;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use thiserror::Error;
use tokio::sync::Mutex;

use self::document::Document;
use self::verdict::{Attempt, Step, decide};
use super::upstream::Connections;
use crate::clock::Clock;
use crate::config::{BaseUrl, Secret};

pub use self::document::Description;
pub(crate) use self::document::DocumentError;

/// The login, wherever it stands.
pub struct ChatGptLogin {
    directory: PathBuf,
    token_url: BaseUrl,
    clock: Clock,
    /// Held over a refresh: whoever comes meanwhile waits and takes what comes of it.
    state: Arc<Mutex<State>>,
    /// An access token that the API has refused although it has not ended.
    rejected: std::sync::Mutex<Option<Secret>>,
}

/// What is remembered between requests.
#[derive(Default)]
struct State {
    last: Option<Attempt>,
    unsaved: Option<Unsaved>,
}

/// New tokens that are not on disk yet.
struct Unsaved {
    /// The refresh token that they were exchanged for: they take the place of that login and no other.
    instead_of: Secret,
    document: Document,
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
    #[error("the ChatGPT login {}; run `longshore login codex`", .0.text())]
    Refused(LoginRefusal),
    /// The endpoint could not be asked, or the new token not be stored. It may be possible later. (Not in
    /// the words of codex for a login that is over, by which a turn would be given up.)
    #[error("no token for ChatGPT at the moment: {0}")]
    Later(String),
}

impl LoginRefusal {
    fn text(self) -> &'static str {
        match self {
            Self::Expired => "has expired",
            Self::Reused => "was already used to refresh by another program",
            Self::Revoked => "was revoked",
            Self::Other => "is refused",
        }
    }

    /// The endpoint's code for it, which `codex` understands.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Expired => "refresh_token_expired",
            Self::Reused => "refresh_token_reused",
            Self::Revoked => "refresh_token_invalidated",
            Self::Other => "invalid_grant",
        }
    }
}

/// What the login in this directory is; its tokens are not told.
///
/// # Errors
/// [`LoginError::Missing`] and [`LoginError::Unusable`].
pub fn describe(directory: &Path) -> Result<Description, LoginError> {
    read(directory).map(|document| document.describe())
}

/// Puts the login that `codex` wrote at `from` in the place of the one in `directory`, in one step.
///
/// # Errors
/// [`LoginError::Missing`] and [`LoginError::Unusable`] when there is none at `from`,
/// [`LoginError::Later`] when it cannot be stored.
pub fn install(from: &Path, directory: &Path) -> Result<Description, LoginError> {
    let document = read(from)?;
    file::store(directory, &document.to_bytes()).map_err(|error| not_stored(&error))?;
    Ok(document.describe())
}

fn read(directory: &Path) -> Result<Document, LoginError> {
    let unusable = |cause: String| LoginError::Unusable { file: file::path(directory).display().to_string(), cause };
    let bytes = match file::read(directory) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(LoginError::Missing),
        Err(error) => return Err(unusable(format!("cannot be read: {error}"))),
    };
    Document::parse(&bytes).map_err(|error: DocumentError| unusable(error.to_string()))
}

fn not_stored(error: &std::io::Error) -> LoginError {
    LoginError::Later(format!("the new token could not be stored: {error}"))
}

impl ChatGptLogin {
    /// The login in this directory, refreshed at that address.
    #[must_use]
    pub fn new(directory: PathBuf, token_url: BaseUrl, clock: Clock) -> Arc<Self> {
        let (state, rejected) = (Arc::default(), std::sync::Mutex::default());
        Arc::new(Self { directory, token_url, clock, state, rejected })
    }

    /// Where the login's file lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
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
    pub fn adopt(&self, seeded: &Path) -> std::io::Result<bool> {
        file::adopt(&self.directory, seeded)
    }

    /// Returns once no refresh runs any more, with its tokens on disk if that is possible at all. For
    /// the host's end: what is lost then is lost for good.
    pub async fn settle(&self) {
        let mut state = self.state.lock().await;
        if let Err(error) = self.keep(&mut state).await {
            tracing::error!(%error, "the refreshed ChatGPT login is lost");
        }
    }

    /// A token that has not ended, refreshed first if need be.
    pub(super) async fn access(self: &Arc<Self>, connections: &Arc<Connections>) -> Result<Access, LoginError> {
        let document = self.usable(connections, None).await?;
        Ok(Access { token: document.access_token().clone(), account: document.account().to_owned() })
    }

    /// The token endpoint's answer for a container that has the login itself and shows its refresh token:
    /// new tokens, or those that somebody else has refreshed meanwhile.
    pub(super) async fn trade(
        self: &Arc<Self>,
        connections: &Arc<Connections>,
        shown: &str,
    ) -> Result<Vec<u8>, LoginError> {
        Ok(self.usable(connections, Some(shown)).await?.to_answer())
    }

    /// The API has refused this token: the next request refreshes first.
    pub(super) fn rejected(&self, token: Secret) {
        *self.rejected.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
    }

    async fn usable(
        self: &Arc<Self>,
        connections: &Arc<Connections>,
        shown: Option<&str>,
    ) -> Result<Document, LoginError> {
        let mut state = Arc::clone(&self.state).lock_owned().await;
        self.keep(&mut state).await?;
        let document = read(&self.directory)?;
        let shown = shown.is_some_and(|shown| shown == document.refresh_token().expose());
        match self.decide(&document, shown, &state) {
            Step::Use => Ok(document),
            Step::Fail(error) => Err(error),
            Step::Refresh => {
                // In a task of its own, because a client that leaves drops this future, and the new
                // tokens would be lost with it.
                let (login, connections) = (Arc::clone(self), Arc::clone(connections));
                let refresh = async move { login.refresh(&mut state, document, shown, &connections).await };
                tokio::spawn(refresh)
                    .await
                    .unwrap_or_else(|error| Err(LoginError::Later(format!("the refresh broke off: {error}"))))
            }
        }
    }

    fn decide(&self, document: &Document, shown: bool, state: &State) -> Step {
        let rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        let doubted = shown || rejected.as_ref() == Some(document.access_token());
        decide(document, doubted, state.last.as_ref(), self.clock.now())
    }

    async fn refresh(
        &self,
        state: &mut State,
        document: Document,
        shown: bool,
        connections: &Connections,
    ) -> Result<Document, LoginError> {
        let answer = endpoint::exchange(connections, &self.token_url, document.refresh_token()).await;
        let now = self.clock.now();
        let refreshed = answer.and_then(|answer| {
            let unreadable = |error| LoginError::Later(format!("the token endpoint's answer {error}"));
            document.refreshed(&answer, now).map_err(unreadable)
        });
        match refreshed {
            Ok(refreshed) => {
                let refresh_token = refreshed.refresh_token().clone();
                state.last = Some(Attempt { refresh_token, at: now, outcome: Ok(()) });
                let instead_of = document.refresh_token().clone();
                state.unsaved = Some(Unsaved { instead_of, document: refreshed });
                // Before its first use: the old refresh token is worth nothing any more.
                self.keep(state).await?;
                tracing::info!("the ChatGPT login was refreshed");
                read(&self.directory)
            }
            Err(error) => {
                let there = read(&self.directory)?;
                if there.refresh_token() != document.refresh_token() {
                    // Somebody has logged in meanwhile; the failure was the old login's.
                    return Ok(there);
                }
                tracing::warn!(%error, "the ChatGPT login was not refreshed");
                let refresh_token = document.refresh_token().clone();
                state.last = Some(Attempt { refresh_token, at: now, outcome: Err(error.clone()) });
                if self.decide(&document, shown, state) == Step::Use { Ok(document) } else { Err(error) }
            }
        }
    }

    /// Stores new tokens, unless the login that they belong to has been replaced or deleted meanwhile.
    async fn keep(&self, state: &mut State) -> Result<(), LoginError> {
        let Some(unsaved) = &state.unsaved else { return Ok(()) };
        match read(&self.directory) {
            Ok(there) if *there.refresh_token() == unsaved.instead_of => {
                let (directory, bytes) = (self.directory.clone(), unsaved.document.to_bytes());
                let stored = tokio::task::spawn_blocking(move || file::store(&directory, &bytes)).await;
                stored.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(|error| not_stored(&error))?;
            }
            Ok(_) | Err(LoginError::Missing) => {}
            Err(error) => return Err(error),
        }
        state.unsaved = None;
        Ok(())
    }
}

//! One small question to a model API with the operator's own credential: does it still work?
//!
//! It goes the way of a group's request: the same address, connection and headers, and the same login. It
//! belongs to no group and is entered in no books.

mod verdict;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either, Full, Limited};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};
use longshore_protocol::{GroupId, ProviderKind};
use serde_json::{Value, json};

pub use self::verdict::Verdict;
use super::access::SignIn;
use super::login::LoginError;
use super::policy::{self, Api};
use super::upstream::{Connections, SendError};
use super::{ChatGpt, Credential, Upstream, Upstreams};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most that is read of an answer, in bytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// The least expensive models of the price list. One that the account has not says as much of the credential.
const CLAUDE_MODEL: &str = "claude-haiku-4-5";
const CODEX_MODEL: &str = "gpt-5-nano";
/// What the operators of the API ask of requests with a subscription's token.
const OAUTH_BETA: HeaderValue = HeaderValue::from_static("oauth-2025-04-20");

/// Asks the APIs.
pub struct Probe {
    upstreams: Upstreams,
    chatgpt: Option<ChatGpt>,
    codex_model: Option<String>,
    connections: Arc<Connections>,
}

impl Probe {
    /// Of these APIs; with a login if it may be refreshed by this process now.
    #[must_use]
    pub fn new(upstreams: Upstreams, chatgpt: Option<ChatGpt>, codex_model: Option<String>) -> Self {
        Self { upstreams, chatgpt, codex_model, connections: Arc::default() }
    }

    /// Asks a provider's API as a group would that signs in like that.
    pub async fn ask(&self, provider: ProviderKind, sign_in: SignIn) -> Verdict {
        let upstream = match self.upstream(provider, sign_in).await {
            Ok(upstream) => upstream,
            Err(error @ (LoginError::Later(_) | LoginError::Missing)) => return Verdict::Unclear(error.to_string()),
            Err(error) => return Verdict::WrongCredential(error.to_string()),
        };
        let request = match self.request(provider, &upstream) {
            Ok(request) => request,
            Err(error) => return Verdict::Unclear(error),
        };
        let asked = async {
            let response = self.connections.send(request).await.map_err(|error| match error {
                SendError::Unreachable(cause) | SendError::Broken(cause) => cause,
                SendError::TooLarge => "the question is too large".to_owned(),
            })?;
            let status = response.status().as_u16();
            // What is cut off, or ends early, says nothing more than its status.
            let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
            Ok::<_, String>((status, body.map(|body| body.to_bytes()).unwrap_or_default()))
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok((status, body))) => verdict::verdict(status, &body),
            Ok(Err(cause)) => Verdict::Unreachable(format!("{}: {cause}", upstream.base.origin())),
            Err(_) => Verdict::Unreachable(format!("{}: no answer in 30 s", upstream.base.origin())),
        }
    }

    async fn upstream(&self, provider: ProviderKind, sign_in: SignIn) -> Result<Upstream, LoginError> {
        match (provider, sign_in, &self.chatgpt) {
            (ProviderKind::Codex, SignIn::ChatGpt | SignIn::MountedLogin, Some(chatgpt)) => {
                let access = chatgpt.login.access(&self.connections).await?;
                Ok(Upstream { base: chatgpt.base.clone(), credential: Credential::ChatGpt(access), names_group: false })
            }
            (ProviderKind::Codex, SignIn::ChatGpt | SignIn::MountedLogin, None) => Err(LoginError::Missing),
            (ProviderKind::Codex, SignIn::Key, _) => Ok(self.upstreams.openai.clone()),
            (ProviderKind::Claude, _, _) => Ok(self.upstreams.anthropic.clone()),
        }
    }

    fn request(
        &self,
        provider: ProviderKind,
        upstream: &Upstream,
    ) -> Result<Request<super::upstream::RequestBody>, String> {
        let (api, path) = match provider {
            ProviderKind::Claude => (Api::Anthropic, "/v1/messages"),
            ProviderKind::Codex => (Api::OpenAi, "/responses"),
        };
        let mut own = HeaderMap::new();
        own.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        own.insert(header::USER_AGENT, HeaderValue::from_static(concat!("longshore/", env!("CARGO_PKG_VERSION"))));
        if api == Api::Anthropic {
            own.insert(HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"));
            if matches!(upstream.credential, Credential::OauthBearer(_)) {
                own.insert(HeaderName::from_static("anthropic-beta"), OAUTH_BETA);
            }
        }
        let nobody: GroupId = "doctor".parse().map_err(|_| "no group".to_owned())?;
        let headers = policy::request_headers(&own, api, upstream, &nobody).map_err(|error| error.to_string())?;
        let body = self.question(provider, upstream).to_string();
        let mut request = Request::new(Either::Right(Full::new(Bytes::from(body))));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = upstream.base.join(path, None).map_err(|error| error.to_string())?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn question(&self, provider: ProviderKind, upstream: &Upstream) -> Value {
        let login = matches!(upstream.credential, Credential::ChatGpt(_));
        match provider {
            ProviderKind::Claude => json!({
                "model": CLAUDE_MODEL, "max_tokens": 1, "messages": [{ "role": "user", "content": "Say OK." }],
            }),
            ProviderKind::Codex => {
                let mut question = json!({
                    "model": self.codex_model.as_deref().unwrap_or(CODEX_MODEL),
                    "instructions": "Answer with one word.",
                    "input": [{ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "Say OK." }] }],
                    "store": false, "stream": true,
                });
                // The API of ChatGPT plans knows no such field.
                if !login {
                    question["max_output_tokens"] = 16.into();
                }
                question
            }
        }
    }
}

//! Where an API lives.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::{Authority, Scheme};
use thiserror::Error;

/// The address that an API's paths are appended to: `http` or `https`, a host, perhaps a port and a path.
///
/// No user, query or fragment. A trailing slash makes no difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    scheme: Scheme,
    authority: Authority,
    /// Empty, or starts with `/` and does not end with one.
    path: String,
}

impl BaseUrl {
    /// Anthropic's own API.
    #[must_use]
    pub fn anthropic() -> Self {
        Self::https("api.anthropic.com", "")
    }

    /// `OpenAI`'s own API.
    #[must_use]
    pub fn openai() -> Self {
        Self::https("api.openai.com", "/v1")
    }

    /// The Responses API of ChatGPT plans, as codex knows it.
    #[must_use]
    pub fn chatgpt() -> Self {
        Self::https("chatgpt.com", "/backend-api/codex")
    }

    /// Where ChatGPT logins are refreshed, as codex knows it.
    #[must_use]
    pub fn chatgpt_token() -> Self {
        Self::https("auth.openai.com", "/oauth/token")
    }

    /// Where npm itself looks.
    #[must_use]
    pub fn npm() -> Self {
        Self::https("registry.npmjs.org", "")
    }

    /// A collector of spans on this machine, at its usual port.
    #[must_use]
    pub fn collector() -> Self {
        Self { scheme: Scheme::HTTP, authority: Authority::from_static("localhost:4318"), path: String::new() }
    }

    fn https(host: &'static str, path: &str) -> Self {
        Self { scheme: Scheme::HTTPS, authority: Authority::from_static(host), path: path.to_owned() }
    }

    /// Scheme, host and port: what may be told about it to an agent.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Host and port, as in a `Host` header.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// The path part, without a slash at its end.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The address of `path`, which starts with `/`, with the query as it is.
    ///
    /// # Errors
    /// Both were checked when they were parsed, so only a combination longer than 64 KiB fails.
    pub fn join(&self, path: &str, query: Option<&str>) -> Result<Uri, hyper::http::Error> {
        let separator = if query.is_some() { "?" } else { "" };
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(format!("{}{path}{separator}{}", self.path, query.unwrap_or_default()))
            .build()
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        if text.contains('@') {
            return Err(BaseUrlError::User);
        }
        if text.contains(['?', '#']) {
            return Err(BaseUrlError::Query);
        }
        let parts = text.parse::<Uri>().map_err(|_| BaseUrlError::NotUrl)?.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(BaseUrlError::NotUrl);
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(BaseUrlError::Scheme);
        }
        // `Uri` takes `host:` and `host:99999`; both would only fail at the first request.
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        let port_is_fine =
            port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok_and(|n| n > 0));
        if authority.host().is_empty() || !port_is_fine {
            return Err(BaseUrlError::Host);
        }
        let path = parts.path_and_query.map_or_else(String::new, |path| path.path().trim_end_matches('/').to_owned());
        Ok(Self { scheme, authority, path })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

/// Why a text is no base URL. Never holds the text, in which there may be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BaseUrlError {
    /// Not a URL with a scheme and a host.
    #[error("is not a URL")]
    NotUrl,
    /// Something like `ftp:`.
    #[error("is neither `http` nor `https`")]
    Scheme,
    /// No host, or a port out of range.
    #[error("has no usable host and port")]
    Host,
    /// `user:password@`.
    #[error("has a user in it")]
    User,
    /// `?…` or `#…`.
    #[error("has a query or a fragment")]
    Query,
}

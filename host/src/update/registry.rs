//! The npm registry, of which only one thing is asked: a package's newest version.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{ACCEPT, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use thiserror::Error;

use crate::config::BaseUrl;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);
/// The largest answer that is read: the description of one version.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// No connection, or it ended.
    #[error("the registry `{registry}` does not answer: {why}")]
    Unreachable {
        /// Its address.
        registry: String,
        /// What happened.
        why: String,
    },
    /// It answered something else.
    #[error("the registry `{registry}` does not tell the version of `{package}`: {why}")]
    Unusable {
        /// Its address.
        registry: String,
        /// The package.
        package: String,
        /// What it answered.
        why: String,
    },
}

/// What is read of a version's description.
#[derive(Deserialize)]
struct Description {
    version: String,
}

/// The version that npm would install of a package.
///
/// # Errors
/// See [`RegistryError`].
pub async fn newest(registry: &BaseUrl, package: &str) -> Result<String, RegistryError> {
    let unreachable = |why: String| RegistryError::Unreachable { registry: registry.origin(), why };
    let bytes = tokio::time::timeout(LIMIT, asked(registry, package));
    let (status, bytes) = bytes
        .await
        .map_err(|_| unreachable(format!("nothing within {} s", LIMIT.as_secs())))?
        .map_err(|error| unreachable(error.to_string()))?;
    let unusable =
        |why: String| RegistryError::Unusable { registry: registry.origin(), package: package.to_owned(), why };
    if status != StatusCode::OK {
        return Err(unusable(format!("status {status}")));
    }
    let described: Description = serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
    Ok(described.version)
}

async fn asked(registry: &BaseUrl, package: &str) -> io::Result<(StatusCode, Bytes)> {
    // A name with a scope is one part of the path.
    let path = format!("/{}/latest", package.replace('/', "%2f"));
    let uri = registry.join(&path, None).map_err(io::Error::other)?;
    let request = Request::get(uri)
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("longshore/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    // Reads and parses some hundred files.
    let connector = tokio::task::spawn_blocking(|| HttpsConnectorBuilder::new().with_native_roots());
    let connector = connector.await.map_err(io::Error::other)??.https_or_http().enable_http1().build();
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let response = client.request(request).await.map_err(|error| {
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        io::Error::other(causes.last().map_or_else(String::new, ToString::to_string))
    })?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_BYTES).collect().await.map_err(io::Error::other)?;
    Ok((status, body.to_bytes()))
}

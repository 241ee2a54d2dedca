//! HTTP to the collector, with the client that asks the models.

use std::fmt;
use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_http::{HttpClient, HttpError};

/// How much of an answer is read.
const ANSWER_BYTES: usize = 64 * 1024;

/// A pool of connections.
pub(super) enum Client {
    Plain(legacy::Client<HttpConnector, Full<Bytes>>),
    Encrypted(Box<legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>>),
}

impl Client {
    /// A client for `https` or for `http`.
    pub(super) fn new(encrypted: bool) -> io::Result<Self> {
        let builder = legacy::Client::builder(TokioExecutor::new());
        if !encrypted {
            return Ok(Self::Plain(builder.build_http()));
        }
        let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_only().enable_http1().build();
        Ok(Self::Encrypted(Box::new(builder.build(connector))))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let request = request.map(Full::new);
        let answer = match self {
            Self::Plain(client) => client.request(request).await?,
            Self::Encrypted(client) => client.request(request).await?,
        };
        let (head, body) = answer.into_parts();
        Ok(Response::from_parts(head, Limited::new(body, ANSWER_BYTES).collect().await?.to_bytes()))
    }
}

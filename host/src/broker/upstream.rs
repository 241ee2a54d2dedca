//! Connections to the model APIs: pooled, over TLS or plain.

use std::error::Error as StdError;
use std::io;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{Either, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tower_service::Service;

use super::counted::Counted;
use super::patience::{OF_AN_API, Patient};

/// A request's body on its way out: the client's, as it comes, up to the limit; or our own.
pub(super) type RequestBody = Either<Limited<Counted<Patient<Incoming>>>, Full<Bytes>>;

type BoxError = Box<dyn StdError + Send + Sync>;
type Pool<C> = Client<Bounded<C>, RequestBody>;

/// Name resolution, connecting and the TLS handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// An agent's tools run for seconds between two requests; a server closes after a minute or more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// Finds out about a dead peer during the long silences of a thinking model.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
const IDLE_CONNECTIONS_PER_HOST: usize = 8;

/// The clients, each made when first needed: the root certificates alone are a megabyte.
#[derive(Default)]
pub(super) struct Connections {
    plain: OnceLock<Pool<HttpConnector>>,
    encrypted: OnceCell<Pool<HttpsConnector<HttpConnector>>>,
}

/// Why there is no response.
#[derive(Debug)]
pub(super) enum SendError {
    /// No connection, or none that can be trusted.
    Unreachable(String),
    /// The client sent more than it may.
    TooLarge,
    /// The connection ended before there was a response, on either side.
    Broken(String),
}

impl Connections {
    /// Sends a request whose URI is absolute and returns when the response's headers are there.
    ///
    /// Dropping the future, or later the response's body, closes the connection.
    pub(super) async fn send(&self, request: Request<RequestBody>) -> Result<Response<Incoming>, SendError> {
        let sending = if request.uri().scheme_str() == Some("https") {
            let pool = self.encrypted.get_or_try_init(encrypted).await;
            pool.map_err(|error| SendError::Unreachable(format!("no root certificates: {error}")))?.request(request)
        } else {
            self.plain.get_or_init(|| pool(tcp())).request(request)
        };
        match timeout(OF_AN_API, sending).await {
            Ok(sent) => sent.map_err(|error| explain(&error)),
            Err(_) => Err(SendError::Broken(format!("no answer within {} s", OF_AN_API.as_secs()))),
        }
    }
}

async fn encrypted() -> io::Result<Pool<HttpsConnector<HttpConnector>>> {
    // Reads and parses some hundred files.
    let builder = tokio::task::spawn_blocking(|| HttpsConnectorBuilder::new().with_native_roots());
    let builder = builder.await.map_err(io::Error::other)??;
    let mut tcp = tcp();
    tcp.enforce_http(false);
    Ok(pool(builder.https_only().enable_http1().wrap_connector(tcp)))
}

fn tcp() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_keepalive(Some(TCP_KEEPALIVE));
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector
}

fn pool<C>(connector: C) -> Pool<C>
where
    C: Clone,
    Bounded<C>: Connect,
{
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
        .build(Bounded(connector))
}

fn explain(error: &ClientError) -> SendError {
    let mut root: &(dyn StdError + 'static) = error;
    while let Some(source) = root.source() {
        root = source;
    }
    if root.is::<LengthLimitError>() {
        SendError::TooLarge
    } else if error.is_connect() {
        SendError::Unreachable(root.to_string())
    } else {
        SendError::Broken(root.to_string())
    }
}

/// A connector that gives up after [`CONNECT_TIMEOUT`]: TCP's own limit covers neither DNS nor TLS.
#[derive(Clone)]
struct Bounded<C>(C);

impl<C> Service<Uri> for Bounded<C>
where
    C: Service<Uri>,
    C::Response: Send,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<C::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move {
            match timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err("no connection within 10 seconds".into()),
            }
        })
    }
}

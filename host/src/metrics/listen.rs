//! `GET /metrics` over HTTP, for a scraper on this machine.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::exposition::CONTENT_TYPE;
use crate::stop::Stop;

/// Connections at once; a scraper has one.
const CONNECTIONS: usize = 8;
/// How long a request's head may take, and an idle connection stay.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between tries at an address that another process has.
const RETRY: Duration = Duration::from_secs(10);

/// Makes the text.
pub type Expose = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// Serves the text on a loopback address until told to stop. An address that another process has is tried again
/// and again: the host does not depend on being watched.
pub async fn serve(address: SocketAddr, expose: Expose, stop: Stop) {
    let serving = async {
        let listener = listener(address).await;
        let (places, mut open) = (Arc::new(Semaphore::new(CONNECTIONS)), JoinSet::new());
        loop {
            // Only a closed semaphore gives none.
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection for metrics could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            while open.try_join_next().is_some() {}
            let expose = expose.clone();
            open.spawn(async move {
                let _place = place;
                let service = service_fn(move |request| answer(expose.clone(), request));
                let mut server = http1::Builder::new();
                server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(16 * 1024);
                // A scraper that leaves is no news.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = serving => {}
    }
}

async fn listener(address: SocketAddr) -> TcpListener {
    let mut told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                tracing::info!(%address, "metrics at /metrics");
                return listener;
            }
            Err(error) if !told => {
                tracing::error!(%address, %error, "`METRICS` cannot be listened on; it is tried again");
                told = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn answer<B>(expose: Expose, request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    let plain = |status, text: &'static str| {
        let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = status;
        response
    };
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(is_this_machine) {
        return Ok(plain(StatusCode::FORBIDDEN, "ask for it by an address of this machine\n"));
    }
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            let mut response = Response::new(Full::new(Bytes::from(expose().await)));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
            response
        }
        (_, "/metrics") => plain(StatusCode::METHOD_NOT_ALLOWED, "GET it\n"),
        _ => plain(StatusCode::NOT_FOUND, "there is only /metrics\n"),
    })
}

/// Whether a `Host` is an address or `localhost`: a page of somebody's site that a browser here opens may have its
/// own name lead to this machine, and would read what is served.
fn is_this_machine(host: &str) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_address = host.parse::<SocketAddr>().is_ok() || bracketed.unwrap_or(host).parse::<IpAddr>().is_ok();
    is_address || host.split(':').next() == Some("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_site_does_not_read_them() {
        for (host, expected) in [
            ("127.0.0.1:9464", true),
            ("127.0.0.1", true),
            ("[::1]:9464", true),
            ("[::1]", true),
            ("localhost:9464", true),
            ("evil.example:9464", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_this_machine(host), expected, "{host}");
        }
    }
}

//! The server: reads requests, asks the pure parts what to answer, and does the sending, sleeping, cutting and hanging.
//!
//! Every answer is made by the connection's own task, so a client that leaves ends whatever it waited for.

mod send;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, header};
use axum::response::Response;
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use longshore_protocol::ProviderKind;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use crate::answer::Answer;
use crate::endpoint::{Credential, Endpoint, vendor};
use crate::record::{RecordedRequest, Records, Tally};
use crate::script::{Conversation, Line, Plan, Speaker, plan};
use crate::{messages, responses, token};

/// The longest body, compressed or not.
pub const MOST_BODY_BYTES: usize = 64 * 1024 * 1024;
/// How many connections are open at once; more wait to be accepted.
const MOST_CONNECTIONS: usize = 1_024;
/// How long a connection may be idle, or send a request's head.
const IDLE: Duration = Duration::from_secs(300);
/// The header in which the caller says which group it asks for.
const GROUP_HEADER: &str = "x-longshore-group";
const GROUP_CHARS: usize = 100;

/// A running stand-in for both model APIs. Dropping it stops it, too.
#[derive(Debug)]
pub struct Rehearsal {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: oneshot::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Rehearsal {
    /// Starts to listen; port 0 takes a free one. Needs a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// If `addr` is not a loopback address, or cannot be bound.
    pub async fn start(addr: SocketAddr) -> Result<Self, io::Error> {
        if !addr.ip().is_loopback() {
            let why = format!("`{addr}` is not a loopback address, and the rehearsal takes any credential");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let listener = TcpListener::bind(addr).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), stopped));
        tracing::info!(%address, "the rehearsal listens");
        Ok(Self { address, shared, stop, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What `ANTHROPIC_BASE_URL` is set to; the CLI appends `/v1/messages`.
    #[must_use]
    pub fn anthropic_base(&self) -> String {
        format!("http://{}/anthropic", self.address)
    }

    /// What a codex provider's `base_url` is set to; the CLI appends `/responses`.
    #[must_use]
    pub fn openai_base(&self) -> String {
        format!("http://{}/openai/v1", self.address)
    }

    /// The newest requests, oldest first, within the bounds of [`crate::record`].
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.shared.records).list()
    }

    /// How many connections are open.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// Closes the port and every connection, in the middle of an answer if need be, and returns when that is done.
    pub async fn stop(self) {
        drop(self.stop);
        if let Err(error) = self.accepting.await {
            tracing::warn!(%error, "the rehearsal did not end by itself");
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    records: Mutex<Records>,
    tally: Mutex<Tally>,
    open: AtomicUsize,
}

/// A poisoned lock still guards good data here: nothing under it can be half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a connection for as long as it lives, however it ends.
struct Open(Arc<Shared>);

impl Open {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let router = Router::new().fallback(handle).with_state(Arc::clone(&shared));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // The sender is dropped, by `stop` or with the whole.
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let open = Open::new(&shared);
                    let router = router.clone();
                    connections.spawn(async move { serve(stream, router, open).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, router: Router, _open: Open) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a socket keeps its delay");
    }
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request| {
        let answered = router.call(request);
        async move {
            let Ok(response) = answered.await;
            // Hyper closes the connection without a byte when its service fails.
            if response.extensions().get::<send::HangUp>().is_some() { Err(send::HangUp) } else { Ok(response) }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let endpoint = Endpoint::of(&parts.method, parts.uri.path(), &parts.headers);
    let id = Uuid::new_v4().simple().to_string();
    let Reply { delay, answer } = match read(&parts.headers, body).await {
        Ok(body) => {
            let request = record(&shared, &parts, &body);
            reply(&shared, endpoint, &parts, request.as_deref(), body.len(), &id)
        }
        Err((status, problem)) => Reply::now(error(&parts, status, "invalid_request_error", &problem, &id)),
    };
    tracing::debug!(method = %parts.method, path = parts.uri.path(), ?endpoint, "asked");
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    send::response(answer, &id)
}

/// A body that cannot be had: the status and the reason.
type Unreadable = (u16, String);

/// The body, decompressed; codex compresses it when it is logged in with ChatGPT.
async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Unreadable> {
    let body =
        to_bytes(body, MOST_BODY_BYTES).await.map_err(|error| (413, format!("the body cannot be read: {error}")))?;
    match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"" | b"identity") => Ok(body),
        Some(b"zstd") => unzstd(&body),
        Some(other) => Err((415, format!("the body is encoded as `{}`, not as `zstd`", other.escape_ascii()))),
    }
}

fn unzstd(body: &[u8]) -> Result<Bytes, Unreadable> {
    let broken = |error: &dyn std::fmt::Display| (400, format!("the body is not zstd: {error}"));
    let decoder = ruzstd::decoding::StreamingDecoder::new(body).map_err(|error| broken(&error))?;
    let mut plain = Vec::new();
    decoder.take(MOST_BODY_BYTES as u64 + 1).read_to_end(&mut plain).map_err(|error| broken(&error))?;
    if plain.len() > MOST_BODY_BYTES {
        return Err((413, format!("the body is longer than {MOST_BODY_BYTES} bytes when decompressed")));
    }
    Ok(plain.into())
}

/// Keeps the request; its JSON if it has any.
fn record(shared: &Shared, parts: &Parts, body: &Bytes) -> Option<Arc<Value>> {
    let parsed = serde_json::from_slice::<Value>(body).ok().map(Arc::new);
    let kept = match &parsed {
        Some(value) => Arc::clone(value),
        None if body.is_empty() => Arc::new(Value::Null),
        None => Arc::new(json!({"not_json_bytes": body.len()})),
    };
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in &parts.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        headers
            .entry(name.as_str().to_owned())
            .and_modify(|before| {
                before.push_str(", ");
                before.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    let path = parts.uri.path_and_query().map_or_else(|| parts.uri.to_string(), ToString::to_string);
    let request = RecordedRequest { method: parts.method.to_string(), path, headers, body: kept };
    lock(&shared.records).push(body.len(), request);
    parsed
}

struct Reply {
    delay: Duration,
    answer: Answer,
}

impl Reply {
    fn now(answer: Answer) -> Self {
        Self { delay: Duration::ZERO, answer }
    }
}

fn reply(shared: &Shared, endpoint: Endpoint, parts: &Parts, request: Option<&Value>, bytes: usize, id: &str) -> Reply {
    if endpoint.is_guarded()
        && let Some(refusal) = refusal(parts, id)
    {
        return Reply::now(refusal);
    }
    Reply::now(match (endpoint, request) {
        (Endpoint::Messages, Some(request)) => {
            let line = decide(shared, &messages::conversation(request), messages::PROVIDER, &parts.headers);
            let (tools, wish) = (messages::Tools::of(request), messages::Wish::of(request));
            return Reply { delay: line.delay, answer: messages::answer(&line.step, &tools, &wish, id) };
        }
        (Endpoint::Responses, Some(request)) => {
            let line = decide(shared, &responses::conversation(request), responses::PROVIDER, &parts.headers);
            let answer = responses::answer(&line.step, &responses::Tools::of(request), id);
            return Reply { delay: line.delay, answer: responses::with_model(answer, request) };
        }
        (Endpoint::Messages | Endpoint::Responses, None) => {
            error(parts, 400, "invalid_request_error", "the body is not JSON", id)
        }
        // Four bytes to a token is what people reckon with.
        (Endpoint::CountTokens, _) => Answer::whole(200, json!({"input_tokens": (bytes / 4).max(1)})),
        (Endpoint::Token, request) => token::answer(request.unwrap_or(&Value::Null), id),
        // `data` is the public API's list, `models` that of codex's own backend.
        (Endpoint::Models(ProviderKind::Codex), _) => {
            Answer::whole(200, json!({"object": "list", "data": [], "models": []}))
        }
        (Endpoint::Models(ProviderKind::Claude), _) => {
            Answer::whole(200, json!({"data": [], "has_more": false, "first_id": null, "last_id": null}))
        }
        (Endpoint::Probe, _) => Answer::whole(200, Value::Null),
        (Endpoint::Websocket, _) => error(parts, 426, "invalid_request_error", "there is no websocket here", id),
        (Endpoint::Unknown, _) => {
            let message = format!(
                "`{} {}` is not known here; there is POST /openai/v1/responses and POST /anthropic/v1/messages",
                parts.method,
                parts.uri.path()
            );
            error(parts, 404, "not_found_error", &message, id)
        }
    })
}

fn refusal(parts: &Parts, id: &str) -> Option<Answer> {
    let anthropic = vendor(parts.uri.path()) == Some(ProviderKind::Claude);
    Some(match Credential::of(&parts.headers) {
        Credential::Accepted => return None,
        Credential::Expired if anthropic => messages::expired(id),
        Credential::WrongKey if anthropic => messages::wrong_credential("invalid x-api-key", id),
        Credential::WrongToken if anthropic => messages::wrong_credential("Invalid bearer token", id),
        Credential::Expired => responses::expired(),
        Credential::WrongKey | Credential::WrongToken => responses::wrong_credential(),
    })
}

/// An error in the shape of the vendor whose path it is.
fn error(parts: &Parts, status: u16, kind: &str, message: &str, id: &str) -> Answer {
    match vendor(parts.uri.path()) {
        Some(ProviderKind::Claude) => messages::error(status, kind, message, id),
        _ => responses::error(status, message, Some(kind), None),
    }
}

/// The line that answers a model call, after the faults that are not over yet.
fn decide(shared: &Shared, conversation: &Conversation, provider: ProviderKind, headers: &HeaderMap) -> Line {
    let group = headers.get(GROUP_HEADER).and_then(|value| value.to_str().ok()).unwrap_or("unknown");
    let group: String = group.chars().take(GROUP_CHARS).collect();
    let Plan { faults, then } = plan(conversation, Speaker { provider, group: &group });
    let mut tally = lock(&shared.tally);
    let struck = faults.into_iter().find(|fault| tally.strikes(fault.key, fault.times));
    struck.map_or(then, |fault| fault.line)
}

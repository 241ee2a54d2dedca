//! An upstream on loopback, a broker before it, and a client that speaks bytes.

use crate::broker::access::SignIn;
use std::convert::Infallible;
use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::broker::egress::rules::Rules;
use crate::broker::{Broker, BrokerLink, Credential, Upstream, Upstreams};
use crate::clock::Clock;
use crate::config::Secret;
use crate::groups::watch::Snapshot;
use crate::groups::{Groups, load};
use crate::metrics::Metrics;
use crate::store::Store;
use crate::usage::Row;
use crate::usage::meter::Meter;
use crate::usage::price_file::PriceFile;

pub(super) type Body = BoxBody<Bytes, Infallible>;

/// Far longer than anything here takes; only keeps a failing test from hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a request looked like when it arrived upstream.
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) headers: HeaderMap,
}

/// Stands for a model API.
pub(super) struct Vendor {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<Mutex<Vec<Seen>>>,
    pub(super) connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Vendor {
    pub(super) async fn start<F, R>(respond: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (record, count) = (Arc::clone(&seen), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let (respond, record) = (respond.clone(), Arc::clone(&record));
                let service = service_fn(move |request: Request<Incoming>| {
                    let line = format!("{} {}", request.method(), request.uri());
                    record.lock().unwrap().push(Seen { line, headers: request.headers().clone() });
                    let response = respond(request);
                    async move { Ok::<_, Infallible>(response.await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, seen, connections, task }
    }

    /// Answers every request with its own body.
    pub(super) async fn echo() -> Self {
        Self::start(|request| async {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Response::new(Full::new(body).boxed())
        })
        .await
    }

    pub(super) fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Both APIs here, below `/base`, with the credential `real-secret`.
    pub(super) fn upstreams(&self) -> Upstreams {
        let upstream = |path: &str| Upstream {
            base: format!("http://{}/base{path}", self.address).parse().unwrap(),
            credential: Credential::ApiKey(Secret::parse("real-secret").unwrap()),
            names_group: false,
        };
        Upstreams { anthropic: upstream(""), openai: upstream("/v1") }
    }
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) fn streamed(pieces: impl Stream<Item = Bytes> + Send + Sync + 'static) -> Body {
    BodyExt::boxed(StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))))
}

/// A broker with one group's socket open.
pub(super) struct Rig {
    pub(super) directory: TempDir,
    pub(super) link: BrokerLink,
    pub(super) broker: Arc<Broker>,
    pub(super) books: Books,
}

/// A meter of its own, with the groups, prices and clock in a test's hands.
pub(super) struct Books {
    /// Where the store lies.
    _root: TempDir,
    pub(super) store: Store,
    pub(super) meter: Arc<Meter>,
    pub(super) groups: watch::Sender<Arc<Snapshot>>,
}

impl Books {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("data")).unwrap();
        let store = Store::open(&root.path().join("data/longshore.db")).unwrap();
        let (groups, receiver) = watch::channel(Arc::default());
        let clock = Clock::manual(Timestamp::from_second(1_800_000_000).unwrap()).0;
        let prices = PriceFile::new(root.path());
        let meter = Meter::empty(store.clone(), receiver, prices, clock, TimeZone::UTC, Metrics::default());
        Self { _root: root, store, meter, groups }
    }

    /// Replaces the groups file.
    pub(super) fn groups(&self, json: &str) {
        let loaded = load(json.as_bytes(), &Groups::default());
        assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
        let snapshot = Snapshot { generation: 1, groups: loaded.groups.into(), problems: Vec::new() };
        self.groups.send_replace(Arc::new(snapshot));
    }

    /// What is entered, once so many requests are.
    pub(super) async fn rows(&self, requests: u64) -> Vec<Row> {
        soon(async {
            loop {
                self.meter.write().await.unwrap();
                let rows = self.store.usage_since("2000-01-01".parse().unwrap()).await.unwrap();
                if rows.iter().map(|row| row.amount.requests).sum::<u64>() >= requests {
                    return rows;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
    }
}

impl Rig {
    pub(super) fn new(upstreams: Upstreams) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let books = Books::new();
        let broker = Broker::new(upstreams, books.meter.clone());
        let link =
            broker.open(&"family".parse().unwrap(), directory.path(), None, SignIn::Key, Rules::default()).unwrap();
        Self { directory, link, broker, books }
    }

    pub(super) async fn connect(&self) -> Client {
        Client::connect(self.directory.path()).await
    }

    /// One request from its first byte to the end of the answer.
    pub(super) async fn exchange(&self, request: &str) -> String {
        let mut client = self.connect().await;
        client.write(request).await;
        client.read_to_end().await
    }
}

/// A process in the container.
pub(super) struct Client(pub(super) UnixStream);

impl Client {
    pub(super) async fn connect(directory: &Path) -> Self {
        // Through the handle, because `sun_path` is short for clients too.
        let handle = File::open(directory).unwrap();
        let path = format!("/proc/self/fd/{}/broker.sock", handle.as_raw_fd());
        Self(UnixStream::connect(path).await.unwrap())
    }

    pub(super) async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    pub(super) async fn read_until(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        let found = async {
            while !String::from_utf8_lossy(&read).contains(end) {
                assert_ne!(self.0.read_buf(&mut read).await.unwrap(), 0, "{}", String::from_utf8_lossy(&read));
            }
        };
        timeout(PATIENCE, found).await.unwrap();
        String::from_utf8(read).unwrap()
    }

    pub(super) async fn read_to_end(&mut self) -> String {
        let mut read = String::new();
        timeout(PATIENCE, self.0.read_to_string(&mut read)).await.unwrap().unwrap();
        read
    }
}

pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap()
}

/// A request with a body.
pub(super) fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: bridge\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The answer's status and JSON body.
pub(super) fn json(answer: &str) -> (&str, serde_json::Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

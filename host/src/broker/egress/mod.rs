//! Egress: the way out for the agents' tools.
//!
//! A group's socket is an HTTP proxy besides: `CONNECT host:port` for everything encrypted, and
//! `GET http://host/…` for the rest. The group's `containerConfig.egress` decides by name and port
//! ([`rules`]); the address that a name leads to is judged for all alike ([`address`]). What is inside of
//! a tunnel is the tool's and nobody else's: nothing is read, and no credential is ever added.
//!
//! Tunnels have places of their own, fewer than a socket has connections, so that the model's requests
//! always find one.

pub mod address;
pub mod known;
mod ledger;
pub mod network;
mod plain;
pub mod refusal;
pub mod rules;
pub mod target;
mod tunnel;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response};
use longshore_protocol::GroupId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};

use self::ledger::Ledger;
use self::network::Network;
use self::refusal::Refusal;
use self::rules::Rules;
use self::target::Target;
use self::tunnel::End;
use super::forward::{AnswerBody, own};
use crate::groups::entry::Egress as Mode;

/// Refusals of one container that the log has at `info`; an agent can ask in a loop.
const MAX_TOLD: u64 = 50;

/// How much a group's tools may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections of one group at once.
    pub tunnels: usize,
    /// Resolving and connecting together.
    pub connect: Duration,
    /// Connecting to one address of several.
    pub try_one: Duration,
    /// Addresses of one name that are looked at.
    pub addresses: usize,
    /// Silence in both directions.
    pub idle: Duration,
    /// Bytes of one connection, both directions together.
    pub tunnel_bytes: u64,
    /// Bytes of all connections of one group within 24 hours.
    pub day_bytes: u64,
}

impl Limits {
    /// Those of every host: generous for a clone or a build, small beside a machine.
    pub const ORDINARY: Self = Self {
        tunnels: 32,
        connect: Duration::from_secs(10),
        try_one: Duration::from_secs(4),
        addresses: 6,
        idle: Duration::from_secs(300),
        tunnel_bytes: 8 << 30,
        day_bytes: 64 << 30,
    };
}

/// What went out of a group's container, since the host's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Connections that were made.
    pub connections: u64,
    /// Requests that were not allowed.
    pub refused: u64,
    /// Bytes carried, both directions together.
    pub bytes: u64,
}

/// The way out, for all groups.
pub(super) struct Egress {
    network: Box<dyn Network>,
    limits: Limits,
    ledgers: Mutex<HashMap<GroupId, Arc<Ledger>>>,
}

/// One group's way out, for as long as its socket is open.
#[derive(Clone)]
pub(super) struct WayOut {
    rules: Arc<Rules>,
    places: Arc<Semaphore>,
    told: Arc<AtomicU64>,
    ledger: Arc<Ledger>,
}

/// What a connection goes on with after, or beside, its answer.
#[derive(Default)]
pub(super) struct Aside(Mutex<Option<Going>>);

enum Going {
    /// Once the answer is out the connection is a tunnel.
    Tunnel(Tunnel),
    /// The other end of an answer that comes from outside; ends with the connection.
    Exchange(#[expect(dead_code, reason = "held for its drop")] AbortOnDropHandle<()>),
}

/// A connection to where a tool wanted to go.
pub(super) struct Tunnel {
    far: TcpStream,
    target: Target,
    limits: Limits,
    ledger: Arc<Ledger>,
    _place: OwnedSemaphorePermit,
}

impl Aside {
    fn put(&self, going: Going) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(going);
    }

    /// The tunnel that the connection is from now on, if it is one.
    pub(super) fn tunnel(&self) -> Option<Tunnel> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Going::Tunnel(tunnel)) => Some(tunnel),
            Some(Going::Exchange(_)) | None => None,
        }
    }
}

impl Tunnel {
    /// Carries bytes until the tunnel's end; `early` was read from `near` already.
    pub(super) async fn carry(self, group: &GroupId, near: impl AsyncRead + AsyncWrite, early: &[u8]) {
        let Self { far, target, limits, ledger, _place } = self;
        match tunnel::carry(near, early, far, &limits, &ledger).await {
            end @ (End::Closed | End::Idle) => debug!(%group, %target, ?end, "a tunnel ended"),
            end @ (End::Full | End::DaySpent) => warn!(%group, %target, ?end, "a tunnel carried more than it may"),
        }
    }
}

impl Egress {
    pub(super) fn new(network: impl Network + 'static, limits: Limits) -> Self {
        Self { network: Box::new(network), limits, ledgers: Mutex::default() }
    }

    /// The way out of a container of the group.
    pub(super) fn way_out(&self, group: &GroupId, rules: Rules) -> WayOut {
        let mut ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        WayOut {
            rules: Arc::new(rules),
            places: Arc::new(Semaphore::new(self.limits.tunnels)),
            told: Arc::default(),
            ledger: Arc::clone(ledgers.entry(group.clone()).or_default()),
        }
    }

    /// What went out of the group's containers.
    pub(super) fn counts(&self, group: &GroupId) -> Counts {
        let ledgers = self.ledgers.lock().unwrap_or_else(PoisonError::into_inner);
        ledgers.get(group).map_or_else(Counts::default, |ledger| ledger.counts())
    }

    /// Answers a request that names a host, as one to a proxy does.
    pub(super) async fn answer(
        &self,
        group: &GroupId,
        way_out: &WayOut,
        aside: &Aside,
        request: Request<Incoming>,
    ) -> Response<AnswerBody> {
        let answered = if request.method() == Method::CONNECT {
            self.connect(way_out, &request).await.map(|tunnel| {
                debug!(%group, target = %tunnel.target, "a tunnel began");
                aside.put(Going::Tunnel(tunnel));
                own(Bytes::new())
            })
        } else {
            self.exchange(way_out, request).await.map(|(answer, exchange)| {
                aside.put(Going::Exchange(exchange));
                answer.map(|body| Either::Right(Either::Left(body)))
            })
        };
        answered.unwrap_or_else(|refusal| {
            let reason = refusal.message();
            if refusal.is_denial() {
                way_out.ledger.refused();
                if way_out.told.fetch_add(1, Ordering::Relaxed) < MAX_TOLD {
                    info!(%group, reason, "egress refused");
                }
            } else {
                debug!(%group, reason, "egress failed");
            }
            told(&refusal)
        })
    }

    async fn connect(&self, way_out: &WayOut, request: &Request<Incoming>) -> Result<Tunnel, Refusal> {
        let authority = request.uri().authority().map_or("", |authority| authority.as_str());
        let target = Target::parse(authority, None).map_err(Refusal::Malformed)?;
        self.open(way_out, target).await
    }

    /// Opens the connection that the group's rules allow.
    async fn open(&self, way_out: &WayOut, target: Target) -> Result<Tunnel, Refusal> {
        let WayOut { rules, places, ledger, .. } = way_out;
        rules.decide(&target).map_err(|denied| Refusal::Denied(target.clone(), denied))?;
        let limits = self.limits;
        if !ledger.has_left(&limits, Instant::now()) {
            return Err(Refusal::DaySpent { limit_bytes: limits.day_bytes });
        }
        // Waiting for a place would take one of the socket's.
        let place = Arc::clone(places).try_acquire_owned().map_err(|_| Refusal::Busy { limit: limits.tunnels })?;
        let far = network::connect(&*self.network, &target, &limits).await?;
        // A handshake's small pieces are waited for.
        let _ = far.set_nodelay(true);
        ledger.connected();
        Ok(Tunnel { far, target, limits, ledger: Arc::clone(ledger), _place: place })
    }
}

fn told(refusal: &Refusal) -> Response<AnswerBody> {
    let mut response = own(format!("{}\n", refusal.message()));
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Ok(status) = HeaderValue::from_str(&refusal.proxy_status()) {
        headers.insert(HeaderName::from_static("proxy-status"), status);
    }
    response
}

/// The proxy as tools find it; [`longshore_protocol::paths::BRIDGE_PORT`] is its port.
const PROXY: &str = "http://127.0.0.1:7411";
/// The CLIs' own requests go to the bridge itself, not through it.
const NO_PROXY: &str = "127.0.0.1,localhost,::1";

/// The variables by which tools find their way out; none for a group that has none.
///
/// They are the container's and not the CLI's alone, and neither CLI takes them from its tools: `codex`
/// keeps back only what has `KEY`, `SECRET` or `TOKEN` in its name.
#[must_use]
pub fn variables(mode: Mode) -> &'static [(&'static str, &'static str)] {
    match mode {
        Mode::None => &[],
        // `curl` reads only the small `http_proxy`, others only the large ones.
        Mode::List | Mode::Open => &[
            ("HTTP_PROXY", PROXY),
            ("HTTPS_PROXY", PROXY),
            ("ALL_PROXY", PROXY),
            ("NO_PROXY", NO_PROXY),
            ("http_proxy", PROXY),
            ("https_proxy", PROXY),
            ("all_proxy", PROXY),
            ("no_proxy", NO_PROXY),
            // Node's own `fetch` reads the others only with it.
            ("NODE_USE_ENV_PROXY", "1"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::MAX_CONNECTIONS;

    #[test]
    fn tools_are_sent_to_the_bridge_and_only_where_there_is_a_way_out() {
        assert_eq!(PROXY, format!("http://127.0.0.1:{}", longshore_protocol::paths::BRIDGE_PORT));
        assert!(variables(Mode::None).is_empty());
        assert_eq!(variables(Mode::List), variables(Mode::Open));
    }

    #[test]
    fn tunnels_leave_places_for_the_models_requests() {
        const { assert!(Limits::ORDINARY.tunnels * 2 <= MAX_CONNECTIONS) };
    }
}

//! Tools on their way out, over real sockets: the names and the far addresses are the tests' own.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Full};
use hyper::Response;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::access::SignIn;
use super::super::egress::network::Network;
use super::super::egress::rules::Rules;
use super::super::egress::{Counts, Egress, Limits};
use super::super::{Broker, BrokerLink};
use super::rig::{Books, Client, Vendor, post, soon};
use crate::groups::entry::Egress as Mode;

/// A small internet: what names lead to, answer by answer, and what is behind the addresses.
#[derive(Clone, Default)]
pub(super) struct World(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    names: HashMap<String, Vec<Vec<IpAddr>>>,
    places: HashMap<SocketAddr, Place>,
    tried: Vec<SocketAddr>,
}

#[derive(Clone, Copy)]
enum Place {
    /// A server of the test's.
    Server(SocketAddr),
    /// It never answers.
    Silent,
}

impl World {
    /// The name leads there; the last answer of several is repeated.
    pub(super) fn name(&self, name: &str, answers: &[&[&str]]) {
        let answer = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        self.0.lock().unwrap().names.insert(name.to_owned(), answers.iter().map(answer).rev().collect());
    }

    pub(super) fn server(&self, address: &str, server: SocketAddr) {
        self.0.lock().unwrap().places.insert(address.parse().unwrap(), Place::Server(server));
    }

    pub(super) fn silent(&self, address: &str) {
        self.0.lock().unwrap().places.insert(address.parse().unwrap(), Place::Silent);
    }

    /// The addresses that connections were tried to.
    pub(super) fn tried(&self) -> Vec<String> {
        self.0.lock().unwrap().tried.iter().map(ToString::to_string).collect()
    }
}

#[async_trait]
impl Network for World {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let mut state = self.0.lock().unwrap();
        let answers = state.names.get_mut(name).ok_or_else(|| io::Error::other("no such name"))?;
        Ok(if answers.len() > 1 { answers.pop().unwrap() } else { answers[0].clone() })
    }

    fn is_own(&self, address: IpAddr) -> bool {
        address == IpAddr::from([9, 9, 9, 1])
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let place = {
            let mut state = self.0.lock().unwrap();
            state.tried.push(address);
            state.places.get(&address).copied()
        };
        match place {
            Some(Place::Server(server)) => TcpStream::connect(server).await,
            Some(Place::Silent) => std::future::pending().await,
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }
}

/// One group's socket, with tools behind it.
pub(super) struct Outing {
    pub(super) world: World,
    pub(super) directory: TempDir,
    pub(super) link: BrokerLink,
    broker: Arc<Broker>,
    /// The model API.
    pub(super) vendor: Vendor,
}

impl Outing {
    pub(super) async fn new(mode: Mode, allow: &[&str], limits: Limits) -> Self {
        let vendor = Vendor::echo().await;
        let (world, directory) = (World::default(), tempfile::tempdir().unwrap());
        let broker =
            Broker::assembled(vendor.upstreams(), None, Egress::new(world.clone(), limits), Books::new().meter);
        let rules = Rules { mode, allow: allow.iter().map(|entry| entry.parse().unwrap()).collect() };
        let link = broker.open(&"family".parse().unwrap(), directory.path(), None, SignIn::Key, rules).unwrap();
        Self { world, directory, link, broker, vendor }
    }

    pub(super) async fn client(&self) -> Client {
        Client::connect(self.directory.path()).await
    }

    /// The whole answer to a request.
    pub(super) async fn ask(&self, request: &str) -> String {
        let mut client = self.client().await;
        client.write(request).await;
        client.read_to_end().await
    }

    pub(super) async fn connect(&self, target: &str) -> String {
        self.ask(&connect(target)).await
    }

    /// A tunnel that is open.
    pub(super) async fn tunnel(&self, target: &str) -> Client {
        let mut client = self.client().await;
        client.write(&connect(target)).await;
        let answer = client.read_until("\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        client
    }

    pub(super) fn counts(&self) -> Counts {
        self.broker.egress_counts(&"family".parse().unwrap())
    }
}

fn connect(target: &str) -> String {
    format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\nproxy-authorization: Basic eDp5\r\n\r\n")
}

/// Says everything back until its client ends, then a goodbye.
pub(super) async fn parrot() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.write_all(b" bye").await;
            });
        }
    });
    address
}

pub(super) const ONE: &str = "9.9.9.9";

#[tokio::test]
async fn a_tunnel_carries_what_it_is_given_and_is_counted() {
    let outing = Outing::new(Mode::List, &["tools.example:9000"], Limits::ORDINARY).await;
    outing.world.name("tools.example", &[&[ONE]]);
    outing.world.server("9.9.9.9:9000", parrot().await);
    // With what an eager client says before it is answered.
    let mut client = outing.client().await;
    client.write(&format!("{}eager", connect("Tools.Example.:9000"))).await;
    let head = client.read_until("eager").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && !head.contains("content-length"), "{head}");
    client.write(" words").await;
    client.read_until("words").await;
    client.0.shutdown().await.unwrap();
    assert_eq!(client.read_to_end().await, " bye");
    assert_eq!(outing.counts(), Counts { connections: 1, refused: 0, bytes: 11 + 15 });
    assert_eq!(outing.world.tried(), ["9.9.9.9:9000"]);
}

#[tokio::test]
async fn a_plain_request_goes_to_its_host_and_takes_nothing_of_ours_along() {
    let outing = Outing::new(Mode::List, &["plain.example:8080"], Limits::ORDINARY).await;
    let server = Vendor::start(|request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut answer = Response::new(Full::new(body).boxed());
        answer.headers_mut().insert("x-kept", "1".parse().unwrap());
        answer.headers_mut().insert("x-dropped", "1".parse().unwrap());
        answer.headers_mut().insert("proxy-authenticate", "Basic".parse().unwrap());
        answer.headers_mut().insert("connection", "x-dropped".parse().unwrap());
        answer
    })
    .await;
    outing.world.name("plain.example", &[&[ONE]]);
    outing.world.server("9.9.9.9:8080", server.address);
    let answer = outing
        .ask(
            "POST http://plain.example:8080/a?b=c HTTP/1.1\r\nhost: elsewhere.example\r\ncontent-length: 5\r\n\
             proxy-authorization: Basic eDp5\r\nproxy-connection: keep-alive\r\nconnection: x-mine\r\nx-mine: 1\r\n\
             keep-alive: 5\r\nte: trailers\r\nupgrade: h2c\r\nauthorization: Bearer tools\r\nx-y: z\r\n\r\nhello",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("hello"), "{answer}");
    assert!(answer.contains("x-kept: 1") && !answer.contains("x-dropped"), "{answer}");
    assert!(!answer.contains("proxy-authenticate"), "{answer}");
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen[0].line, "POST /a?b=c");
    let headers: Vec<String> =
        seen[0].headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    let sent =
        ["content-length: 5", "authorization: Bearer tools", "x-y: z", "host: plain.example:8080", "connection: close"];
    for line in sent {
        assert!(headers.iter().any(|header| header == line), "{line}: {headers:?}");
    }
    assert_eq!(headers.len(), sent.len(), "{headers:?}");
}

#[tokio::test]
async fn the_models_hosts_get_no_credential_from_a_proxied_request() {
    let outing = Outing::new(Mode::Open, &[], Limits::ORDINARY).await;
    let server = Vendor::echo().await;
    for host in ["api.anthropic.com", "api.openai.com"] {
        outing.world.name(host, &[&[ONE]]);
    }
    outing.world.server("9.9.9.9:80", server.address);
    for target in ["api.anthropic.com/v1/messages", "api.openai.com/v1/responses"] {
        let answer = outing.ask(&post(&format!("http://{target}"), "hello")).await;
        assert!(answer.ends_with("hello"), "{answer}");
        let refused = outing.ask(&post(&format!("https://{target}"), "hello")).await;
        assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    }
    let seen = server.seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    for seen in seen.iter() {
        assert!(!seen.headers.contains_key("authorization") && !seen.headers.contains_key("x-api-key"));
    }
    assert_eq!(outing.vendor.requests(), 0);
}

#[tokio::test]
async fn the_way_to_the_models_does_not_lead_through_the_proxy() {
    let outing = Outing::new(Mode::List, &[], Limits::ORDINARY).await;
    for target in ["http://127.0.0.1:7411/anthropic/v1/messages", "http://api.anthropic.com/v1/messages"] {
        assert!(outing.ask(&post(target, "hello")).await.starts_with("HTTP/1.1 403 "), "{target}");
    }
    assert!(outing.connect("api.openai.com:443").await.starts_with("HTTP/1.1 403 "));
    assert_eq!((outing.vendor.requests(), outing.world.tried().len()), (0, 0));
}

#[tokio::test]
async fn what_is_not_allowed_is_told_with_the_setting_counted_and_never_looked_up() {
    let outing = Outing::new(Mode::List, &["example.com"], Limits::ORDINARY).await;
    let answer = outing.connect("evil.example:443").await;
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    insta::assert_snapshot!(answer.split_once("\r\n\r\n").unwrap().1, @"`evil.example:443` is not allowed: it is neither a usual host for code and packages nor in this group's `containerConfig.egressAllow` in data/registered_groups.json, where the operator can add it");
    assert!(outing.ask("GET http://evil.example/x HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 403 "));
    let closed = Outing::new(Mode::None, &[], Limits::ORDINARY).await;
    let answer = closed.connect("github.com:443").await;
    insta::assert_snapshot!(answer.split_once("\r\n\r\n").unwrap().1, @"`github.com:443` is not allowed: this group's `containerConfig.egress` in data/registered_groups.json is `none`, which the operator can change");
    assert_eq!(outing.counts(), Counts { connections: 0, refused: 2, bytes: 0 });
    assert_eq!(closed.counts().refused, 1);
    assert!(outing.world.tried().is_empty() && closed.world.tried().is_empty());
}

#[tokio::test]
async fn an_address_inside_is_refused_however_it_is_named() {
    let outing = Outing::new(Mode::Open, &[], Limits::ORDINARY).await;
    outing.world.name("metadata.example", &[&["169.254.169.254"]]);
    outing.world.name("inside.example", &[&["10.0.0.1", "::1", "fd00:ec2::254"]]);
    outing.world.name("mapped.example", &[&["::ffff:127.0.0.1"]]);
    outing.world.name("own.example", &[&["9.9.9.1"]]);
    for target in [
        "metadata.example:80",
        "inside.example:443",
        "mapped.example:443",
        "own.example:22",
        "127.0.0.1:7411",
        "169.254.169.254:80",
        "[::ffff:10.0.0.1]:443",
        "[fd00:ec2::254]:80",
        "[64:ff9b::7f00:1]:443",
        "0.0.0.0:443",
    ] {
        let answer = outing.connect(target).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("which is never allowed"), "{answer}");
    }
    for host in ["127.1", "0x7f000001", "2130706433"] {
        assert!(outing.connect(&format!("{host}:443")).await.starts_with("HTTP/1.1 400 "), "{host}");
    }
    assert_eq!(outing.world.tried(), [""; 0]);
    assert_eq!(outing.counts().refused, 13);
}

#[tokio::test]
async fn a_name_that_leads_inside_the_second_time_is_refused_the_second_time() {
    let outing = Outing::new(Mode::Open, &[], Limits::ORDINARY).await;
    outing.world.name("rebind.example", &[&[ONE], &["127.0.0.1"]]);
    outing.world.server("9.9.9.9:443", parrot().await);
    let mut tunnel = outing.tunnel("rebind.example:443").await;
    let refused = outing.connect("rebind.example:443").await;
    assert!(refused.starts_with("HTTP/1.1 403 ") && refused.contains("a loopback address"), "{refused}");
    tunnel.write("still here").await;
    tunnel.read_until("still here").await;
    assert_eq!(outing.world.tried(), ["9.9.9.9:443"]);
}

#[tokio::test]
async fn of_several_addresses_only_those_of_the_internet_are_tried() {
    let outing = Outing::new(Mode::Open, &[], Limits::ORDINARY).await;
    outing.world.name("mixed.example", &[&["192.168.1.1", "9.9.9.8", "::1", ONE]]);
    outing.world.server("9.9.9.9:443", parrot().await);
    outing.tunnel("mixed.example:443").await;
    assert_eq!(outing.world.tried(), ["9.9.9.8:443", "9.9.9.9:443"]);
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_and_is_no_refusal() {
    let limits = Limits { connect: Duration::from_millis(300), ..Limits::ORDINARY };
    let outing = Outing::new(Mode::Open, &[], limits).await;
    outing.world.name("down.example", &[&["9.9.9.8"]]);
    outing.world.name("slow.example", &[&["9.9.9.7"]]);
    outing.world.name("nowhere.example", &[&[]]);
    outing.world.silent("9.9.9.7:443");
    for (target, status, text) in [
        ("down.example:443", "502 Bad Gateway", "`down.example:443` cannot be reached: connection refused"),
        ("slow.example:443", "504 Gateway Timeout", "`slow.example:443` did not answer in time"),
        ("unknown.example:443", "502 Bad Gateway", "`unknown.example` cannot be resolved: no such name"),
        ("nowhere.example:443", "502 Bad Gateway", "`nowhere.example` cannot be resolved: it has no address"),
    ] {
        let answer = outing.connect(target).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        assert_eq!(answer.split_once("\r\n\r\n").unwrap().1.trim_end(), text);
    }
    assert_eq!(outing.counts(), Counts::default());
}

#[tokio::test]
async fn a_server_that_speaks_no_http_is_told_of_and_one_that_is_silent_waited_for_a_while_only() {
    let limits = Limits { idle: Duration::from_millis(300), ..Limits::ORDINARY };
    let outing = Outing::new(Mode::Open, &[], limits).await;
    outing.world.name("plain.example", &[&[ONE]]);
    outing.world.server("9.9.9.9:80", parrot().await);
    let answer = outing.ask("GET http://plain.example/ HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("broke off"), "{answer}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    outing.world.server("9.9.9.9:80", listener.local_addr().unwrap());
    let answer = outing.ask("GET http://plain.example/ HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 50"), "{answer}");
    let (mut stream, _) = soon(listener.accept()).await.unwrap();
    let mut request = Vec::new();
    soon(stream.read_to_end(&mut request)).await.unwrap();
    assert!(request.starts_with(b"GET / HTTP/1.1\r\nhost: plain.example\r\n"));
}

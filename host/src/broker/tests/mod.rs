//! A real socket, a real upstream on loopback, and everything between.

mod chatgpt;
mod chatgpt_failures;
mod egress;
mod egress_limits;
mod rig;
mod sockets;
mod usage;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::Response;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Mutex, mpsc, oneshot};

use self::rig::{Rig, Vendor, json, post, soon, streamed};
use super::*;

#[tokio::test]
async fn the_real_credential_takes_the_placeholders_place() {
    let vendor = Vendor::echo().await;
    let rig = Rig::new(vendor.upstreams());
    let request = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:7411\r\nX-Api-Key: longshore-placeholder\r\n\
             Authorization: Bearer longshore-placeholder\r\nanthropic-version: 2023-06-01\r\ncontent-length: 5\r\n\r\nhello"
        )
    };
    let answer = rig.exchange(&request("/anthropic/v1/messages?beta=true")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    let answer = rig.exchange(&request("/openai/v1/responses")).await;
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");

    let seen = vendor.seen.lock().unwrap();
    assert_eq!(seen[0].line, "POST /base/v1/messages?beta=true");
    assert_eq!(seen[0].headers["x-api-key"], "real-secret");
    assert_eq!(seen[0].headers["anthropic-version"], "2023-06-01");
    assert_eq!(seen[0].headers["content-length"], "5");
    assert_eq!(seen[0].headers["host"], vendor.address.to_string());
    assert!(!seen[0].headers.contains_key("authorization"));
    assert_eq!(seen[1].line, "POST /base/v1/responses");
    assert_eq!(seen[1].headers["authorization"], "Bearer real-secret");
    assert!(!seen[1].headers.contains_key("x-api-key"));
    assert!(seen.iter().all(|seen| !format!("{:?}", seen.headers).contains("placeholder")));
    // One group's two requests came over one connection.
    assert_eq!(vendor.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_the_vendor_answers_is_passed_on() {
    let vendor = Vendor::start(|_| async {
        Response::builder()
            .status(429)
            .header("retry-after", "7")
            .header("set-cookie", "session=1")
            .body(Full::from(r#"{"type":"error"}"#).boxed())
            .unwrap()
    })
    .await;
    let rig = Rig::new(vendor.upstreams());
    let answer = rig.exchange(&post("/anthropic/v1/messages", "{}")).await;
    assert!(answer.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{answer}");
    assert!(answer.contains("\r\nretry-after: 7\r\n") && !answer.contains("session"), "{answer}");
    assert!(answer.ends_with(r#"{"type":"error"}"#));

    let answer = rig.exchange("HEAD /anthropic/api/hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 429 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!(vendor.seen.lock().unwrap()[1].line, "HEAD /base/api/hello");
}

#[tokio::test]
async fn an_answer_arrives_piece_by_piece() {
    let (pieces, receiver) = mpsc::unbounded_channel::<Bytes>();
    let receiver = Arc::new(Mutex::new(receiver));
    let vendor = Vendor::start(move |_| {
        let receiver = Arc::clone(&receiver);
        async { Response::new(streamed(stream::unfold(receiver, next_piece))) }
    })
    .await;
    let rig = Rig::new(vendor.upstreams());
    let mut client = rig.connect().await;
    client.write(&post("/openai/v1/responses", "{}")).await;
    // The second piece does not exist yet when the first is read.
    for piece in ["data: one\n\n", "data: two\n\n"] {
        pieces.send(Bytes::from(piece)).unwrap();
        client.read_until(piece).await;
    }
    drop(pieces);
    assert_eq!(client.read_to_end().await.trim_start(), "0\r\n\r\n");
}

async fn next_piece(
    receiver: Arc<Mutex<mpsc::UnboundedReceiver<Bytes>>>,
) -> Option<(Bytes, Arc<Mutex<mpsc::UnboundedReceiver<Bytes>>>)> {
    let piece = receiver.lock().await.recv().await?;
    Some((piece, receiver))
}

#[tokio::test]
async fn a_request_is_sent_on_piece_by_piece() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let vendor = Vendor::start(move |request| {
        let arrived = arrived.clone();
        async move {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                arrived.send(frame.unwrap().into_data().unwrap()).unwrap();
            }
            Response::new(Empty::new().boxed())
        }
    })
    .await;
    let rig = Rig::new(vendor.upstreams());
    let mut client = rig.connect().await;
    client.write("POST /anthropic/v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for (chunk, data) in [("3\r\none\r\n", "one"), ("3\r\ntwo\r\n", "two")] {
        client.write(chunk).await;
        assert_eq!(soon(arrivals.recv()).await.unwrap(), data);
    }
    client.write("0\r\n\r\n").await;
    assert!(client.read_to_end().await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn everything_else_is_refused_and_goes_nowhere() {
    let vendor = Vendor::echo().await;
    let rig = Rig::new(vendor.upstreams());
    for line in [
        "GET /",
        "POST /anthropic/v1/files",
        "GET /anthropic/v1/messages",
        "POST /anthropic/../anthropic/v1/messages",
        "POST /anthropic/%2e%2e/v1/messages",
        "POST /anthropic//v1/messages",
        "POST //anthropic/v1/messages",
        "OPTIONS *",
    ] {
        let answer = rig.exchange(&format!("{line} HTTP/1.1\r\nhost: other\r\ncontent-length: 0\r\n\r\n")).await;
        let (status, body) = json(&answer);
        assert_eq!((status, &body["error"]["type"]), ("403", &Value::from("permission_error")), "{line}");
        assert!(answer.contains("x-should-retry: false"));
    }
    let answer = rig.exchange(&post("/openai/v1/files", "")).await;
    assert_eq!(json(&answer).1["error"]["code"], "forbidden");
    let upgrade = "GET /openai/v1/responses HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    assert_eq!(json(&rig.exchange(upgrade).await).0, "426");
    assert_eq!(vendor.requests(), 0);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let vendor = Vendor::echo().await;
    let rig = Rig::new(vendor.upstreams());
    let limit = forward::MAX_REQUEST_BYTES;
    let announced = format!("POST /openai/v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", limit + 1);
    assert_eq!(json(&rig.exchange(&announced).await).0, "413");
    assert_eq!(vendor.requests(), 0);

    // Of this one only its end tells how long it is.
    let mut client = rig.connect().await;
    client.write("POST /anthropic/v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").await;
    client.write(&format!("{:x}\r\n", limit + 1)).await;
    let piece = vec![b' '; 1024 * 1024];
    for _ in 0..limit / piece.len() {
        soon(client.0.write_all(&piece)).await.unwrap();
    }
    client.write(" \r\n0\r\n\r\n").await;
    assert_eq!(json(&client.read_to_end().await).0, "413");
}

#[tokio::test]
async fn a_client_that_was_refused_early_can_finish_its_request() {
    let rig = Rig::new(Upstreams::from_config(&Config::parse(&[].into()).unwrap()));
    // Far more than a socket holds: somebody has to read it.
    let answer = rig.exchange(&post("/anthropic/v1/messages", &" ".repeat(8 * 1024 * 1024))).await;
    assert_eq!(json(&answer).0, "401");
}

#[tokio::test]
async fn without_a_credential_the_answer_says_what_to_set() {
    let vendor = Vendor::echo().await;
    let mut upstreams = Upstreams::from_config(&Config::parse(&[].into()).unwrap());
    upstreams.anthropic.base = vendor.upstreams().anthropic.base;
    upstreams.openai.base = vendor.upstreams().openai.base;
    let rig = Rig::new(upstreams);
    let answer = rig.exchange(&post("/anthropic/v1/messages", "{}")).await;
    let (status, body) = json(&answer);
    assert_eq!((status, &body["error"]["type"]), ("401", &Value::from("authentication_error")));
    assert_eq!(
        body["error"]["message"],
        "no credential for claude: set ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN or CLAUDE_CODE_OAUTH_TOKEN in .env \
         and start longshore again"
    );
    let answer = rig.exchange(&post("/openai/v1/responses", "{}")).await;
    let (status, body) = json(&answer);
    assert_eq!((status, &body["error"]["code"]), ("401", &Value::from("invalid_api_key")));
    assert!(body["error"]["message"].as_str().unwrap().starts_with("no credential for codex: set CODEX_API_KEY"));
    assert_eq!(vendor.requests(), 0);
}

#[tokio::test]
async fn an_api_that_cannot_be_reached_is_named_without_the_secret() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = unused.local_addr().unwrap();
    drop(unused);
    let upstream = |scheme: &str| Upstream {
        base: format!("{scheme}://{address}/path-with-secret").parse().unwrap(),
        credential: Credential::ApiKey(Secret::parse("real-secret").unwrap()),
        names_group: false,
    };
    let rig = Rig::new(Upstreams { anthropic: upstream("http"), openai: upstream("https") });
    for (path, kind) in [("/anthropic/v1/messages", "api_error"), ("/openai/v1/responses", "server_error")] {
        let answer = rig.exchange(&post(path, "{}")).await;
        let (status, body) = json(&answer);
        assert_eq!((status, &body["error"]["type"]), ("502", &Value::from(kind)), "{answer}");
        assert!(answer.contains(&format!("{address}")) && !answer.contains("secret"), "{answer}");
        assert!(!answer.contains("x-should-retry"), "{answer}");
    }
}

#[tokio::test]
async fn a_vendor_that_hangs_up_is_a_bad_gateway() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base: BaseUrl = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let rig = Rig::new(Upstreams::rehearsal(base.clone(), base));
    let hang_up = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
    };
    let request = post("/anthropic/v1/messages", "{}");
    let (answer, ()) = tokio::join!(rig.exchange(&request), hang_up);
    assert_eq!(json(&answer).0, "502", "{answer}");
}

/// Gone when the vendor has stopped working on a request.
struct Working(#[expect(dead_code, reason = "its drop is what counts")] oneshot::Sender<()>);

/// A vendor that answers with `first`, if anything, and then works for ever; and when it stops.
async fn endless(first: Option<&'static str>) -> (Vendor, mpsc::UnboundedReceiver<oneshot::Receiver<()>>) {
    let (started, starts) = mpsc::unbounded_channel();
    let vendor = Vendor::start(move |_| {
        let (sender, stopped) = oneshot::channel();
        started.send(stopped).unwrap();
        let working = Working(sender);
        async move {
            let Some(first) = first else {
                let _working = working;
                return std::future::pending().await;
            };
            let pieces = stream::unfold((Some(first), working), |(first, working)| async move {
                match first {
                    Some(piece) => Some((Bytes::from(piece), (None, working))),
                    None => std::future::pending().await,
                }
            });
            Response::new(streamed(pieces))
        }
    })
    .await;
    (vendor, starts)
}

#[tokio::test]
async fn a_client_that_leaves_cancels_its_request() {
    let (vendor, mut starts) = endless(None).await;
    let rig = Rig::new(vendor.upstreams());
    let mut client = rig.connect().await;
    client.write(&post("/anthropic/v1/messages", "{}")).await;
    let stopped = soon(starts.recv()).await.unwrap();
    drop(client);
    assert!(soon(stopped).await.is_err());

    let (vendor, mut starts) = endless(Some("data: one\n\n")).await;
    let rig = Rig::new(vendor.upstreams());
    let mut client = rig.connect().await;
    client.write(&post("/anthropic/v1/messages", "{}")).await;
    let stopped = soon(starts.recv()).await.unwrap();
    client.read_until("data: one").await;
    drop(client);
    assert!(soon(stopped).await.is_err());
}

#[tokio::test]
async fn dropping_the_link_ends_its_connections_and_removes_the_socket() {
    let (vendor, mut starts) = endless(Some("data: one\n\n")).await;
    let rig = Rig::new(vendor.upstreams());
    let mut client = rig.connect().await;
    client.write(&post("/anthropic/v1/messages", "{}")).await;
    let stopped = soon(starts.recv()).await.unwrap();
    client.read_until("data: one").await;
    let socket = rig.link.socket().to_owned();
    assert!(socket.exists());
    drop(rig.link);
    assert!(!socket.exists());
    client.read_to_end().await;
    assert!(soon(stopped).await.is_err());
}

#[test]
fn each_cli_gets_the_placeholder_of_its_credentials_kind() {
    let names = |vars: &[(&str, &str)]| {
        let vars = vars.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let placeholders = Upstreams::from_config(&Config::parse(&vars).unwrap()).placeholders();
        assert!(placeholders.iter().all(|(_, value)| *value == "longshore-placeholder"));
        placeholders.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let key = ("ANTHROPIC_API_KEY", "x");
    let token = ("ANTHROPIC_AUTH_TOKEN", "x");
    let oauth = ("CLAUDE_CODE_OAUTH_TOKEN", "x");
    assert_eq!(names(&[]), ["ANTHROPIC_API_KEY", "LONGSHORE_API_KEY"]);
    assert_eq!(names(&[key, oauth]), ["ANTHROPIC_API_KEY", "LONGSHORE_API_KEY"]);
    assert_eq!(names(&[token]), ["ANTHROPIC_AUTH_TOKEN", "LONGSHORE_API_KEY"]);
    assert_eq!(names(&[oauth]), ["CLAUDE_CODE_OAUTH_TOKEN", "LONGSHORE_API_KEY"]);
    assert_eq!(names(&[key, token]), ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "LONGSHORE_API_KEY"]);
}

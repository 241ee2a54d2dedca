//! Conversations with the running server, by a client that writes plain bytes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in the functions that it calls too")]

use std::time::Duration;

use longshore_rehearsal::Rehearsal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

async fn rehearsal() -> Rehearsal {
    Rehearsal::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

struct Reply {
    /// 0 if the connection closed before an answer.
    status: u16,
    head: String,
    body: String,
    ended: Ended,
}

#[derive(Debug, PartialEq)]
enum Ended {
    Properly,
    BrokenOff,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The events of a stream, with the name of each checked against its data.
    fn events(&self) -> Vec<Value> {
        let event = |text: &str| {
            let (name, data) = text.split_once("\ndata: ").unwrap();
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
            data
        };
        self.body.split_terminator("\n\n").map(event).collect()
    }
}

async fn open(rehearsal: &Rehearsal, head: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(rehearsal.address()).await.unwrap();
    let request = format!("{head}\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    stream
}

async fn send(rehearsal: &Rehearsal, head: &str, body: &[u8]) -> Reply {
    let mut stream = open(rehearsal, head, body).await;
    let mut bytes = Vec::new();
    // A reset is one way to break off.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        assert_eq!(text, "");
        return Reply { status: 0, head: String::new(), body: String::new(), ended: Ended::BrokenOff };
    };
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let (body, ended) =
        if head.contains("transfer-encoding: chunked") { unchunk(body) } else { (body.to_owned(), Ended::Properly) };
    Reply { status, head: head.to_owned(), body, ended }
}

fn unchunk(mut rest: &str) -> (String, Ended) {
    let mut body = String::new();
    while let Some((size, next)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (body, Ended::Properly);
        }
        body.push_str(&next[..size]);
        rest = &next[size + 2..];
    }
    (body, Ended::BrokenOff)
}

async fn claude(rehearsal: &Rehearsal, text: &str, stream: bool) -> Reply {
    let body = json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": text}]});
    let head = "POST /anthropic/v1/messages?beta=true HTTP/1.1\r\nx-longshore-group: main\r\nx-api-key: any";
    send(rehearsal, head, body.to_string().as_bytes()).await
}

async fn codex(rehearsal: &Rehearsal, text: &str) -> Reply {
    let body = json!({"model": "m", "stream": true, "input": [{"type": "message", "role": "user", "content": text}]});
    send(rehearsal, "POST /openai/v1/responses HTTP/1.1\r\nauthorization: Bearer any", body.to_string().as_bytes())
        .await
}

#[tokio::test]
async fn claude_hears_an_echo_streamed_or_whole() {
    let rehearsal = rehearsal().await;
    let streamed = claude(&rehearsal, "hello", true).await;
    assert!(streamed.head.contains("content-type: text/event-stream"), "{}", streamed.head);
    assert_eq!((streamed.status, &streamed.ended), (200, &Ended::Properly));
    let events = streamed.events();
    assert_eq!(events[2]["delta"]["text"], "[rehearsal · claude · main] You said: hello");
    assert_eq!(events.last().unwrap()["type"], "message_stop");
    let whole = claude(&rehearsal, "hello", false).await;
    assert!(whole.head.contains("content-type: application/json"), "{}", whole.head);
    assert_eq!(whole.json()["content"][0]["text"], events[2]["delta"]["text"]);
    rehearsal.stop().await;
}

#[tokio::test]
async fn codex_hears_an_echo_and_may_compress_what_it_asks() {
    let rehearsal = rehearsal().await;
    let plain = codex(&rehearsal, "hello").await.events();
    assert_eq!(plain[2]["delta"], "[rehearsal · codex · unknown] You said: hello");
    assert_eq!(plain.last().unwrap()["type"], "response.completed");
    // A zstd frame with one raw block, so that no encoder is needed.
    let text = json!({"input": "zipped"}).to_string();
    let size = u32::try_from(text.len()).unwrap();
    let mut body = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, u8::try_from(size).unwrap()];
    body.extend_from_slice(&(size << 3 | 1).to_le_bytes()[..3]);
    body.extend_from_slice(text.as_bytes());
    let head = "POST /openai/v1/responses HTTP/1.1\r\ncontent-encoding: zstd";
    let zipped = send(&rehearsal, head, &body).await.events();
    assert_eq!(zipped[2]["delta"], "[rehearsal · codex · unknown] You said: zipped");
    assert_eq!(rehearsal.requests()[1].body["input"], "zipped");
    assert_eq!(send(&rehearsal, head, b"no zstd").await.status, 400);
    assert_eq!(send(&rehearsal, "POST /openai/v1/responses HTTP/1.1\r\ncontent-encoding: br", b"x").await.status, 415);
    rehearsal.stop().await;
}

#[tokio::test]
async fn a_slow_answer_arrives_whole() {
    let rehearsal = rehearsal().await;
    let reply = claude(&rehearsal, "#rehearse delay 0.01 slow 0.05 5 abcde", true).await;
    let text: String = reply.events().iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(text, "abcde");
    rehearsal.stop().await;
}

#[tokio::test]
async fn faults_break_off_where_they_say_and_are_over_after_their_times() {
    let rehearsal = rehearsal().await;
    let script = "#rehearse cut times=1\n#rehearse close times=1\n#rehearse status 429 times=1 retry_after=7\n#rehearse say fine";
    let cut = claude(&rehearsal, script, true).await;
    assert_eq!((cut.status, &cut.ended), (200, &Ended::BrokenOff));
    assert_eq!(cut.events().last().unwrap()["delta"]["text"], "partial te");
    assert_eq!(claude(&rehearsal, script, true).await.status, 0);
    let refused = claude(&rehearsal, script, true).await;
    assert_eq!((refused.status, refused.json()["error"]["type"].as_str()), (429, Some("rate_limit_error")));
    assert!(refused.head.contains("retry-after: 7"), "{}", refused.head);
    assert_eq!(claude(&rehearsal, script, false).await.json()["content"][0]["text"], "fine");
    let cut = codex(&rehearsal, "#rehearse cut").await;
    assert_eq!((cut.ended, cut.body.contains("partial te")), (Ended::BrokenOff, true));
    let broken = claude(&rehearsal, "#rehearse cut", false).await;
    assert_eq!((broken.ended, broken.body.as_str()), (Ended::BrokenOff, "{\"type\":\"message\",\"content\":["));
    rehearsal.stop().await;
}

#[tokio::test]
async fn what_is_not_known_is_refused_in_words() {
    let rehearsal = rehearsal().await;
    let cases: &[(&str, &[u8], u16, &str)] = &[
        ("GET /nothing HTTP/1.1", b"", 404, "`GET /nothing` is not known here"),
        ("GET /anthropic/v1/messages HTTP/1.1", b"", 404, "not known here"),
        ("POST /openai/v1/responses HTTP/1.1", b"{", 400, "the body is not JSON"),
        ("POST /anthropic/v1/messages HTTP/1.1", b"", 400, "the body is not JSON"),
        ("GET /openai/v1/responses HTTP/1.1\r\nupgrade: websocket", b"", 426, "no websocket"),
        ("POST /openai/v1/responses HTTP/1.1\r\nauthorization: Bearer wrong", b"{}", 401, "Incorrect API key provided"),
        ("POST /openai/v1/responses HTTP/1.1\r\nauthorization: Bearer expired", b"{}", 401, "token is expired"),
        ("POST /anthropic/v1/messages HTTP/1.1\r\nx-api-key: wrong", b"{}", 401, "invalid x-api-key"),
        ("POST /anthropic/v1/messages HTTP/1.1\r\nauthorization: Bearer wrong", b"{}", 401, "Invalid bearer token"),
        (
            "POST /anthropic/v1/messages/count_tokens HTTP/1.1\r\nx-api-key: expired",
            b"{}",
            401,
            "OAuth token has expired",
        ),
    ];
    for (head, body, status, message) in cases {
        let reply = send(&rehearsal, head, body).await;
        assert_eq!(reply.status, *status, "{head}");
        let said = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(said.contains(message), "{head}: {said}");
    }
    rehearsal.stop().await;
}

#[tokio::test]
async fn the_lesser_endpoints_answer_too() {
    let rehearsal = rehearsal().await;
    let count = send(&rehearsal, "POST /anthropic/v1/messages/count_tokens HTTP/1.1", b"{\"messages\":[]}").await;
    assert_eq!(count.json(), json!({"input_tokens": 3}));
    let probe = send(&rehearsal, "HEAD /anthropic/api/hello HTTP/1.1", b"").await;
    assert_eq!((probe.status, probe.body.as_str()), (200, ""));
    let models = send(&rehearsal, "GET /openai/v1/models?client_version=1 HTTP/1.1", b"").await;
    assert_eq!(models.json(), json!({"object": "list", "data": [], "models": []}));
    let fresh = send(&rehearsal, "POST /oauth/token HTTP/1.1", b"{\"refresh_token\":\"rt\"}").await.json();
    let again = send(&rehearsal, "POST /oauth/token HTTP/1.1", b"{\"refresh_token\":\"rt\"}").await.json();
    assert_ne!(fresh["access_token"], again["access_token"]);
    rehearsal.stop().await;
}

#[tokio::test]
async fn requests_are_kept_for_tests_to_look_at() {
    let rehearsal = rehearsal().await;
    claude(&rehearsal, "look at me", false).await;
    send(&rehearsal, "POST /nowhere?a=b HTTP/1.1\r\nx-twice: 1\r\nX-Twice: 2", b"no json").await;
    let kept = rehearsal.requests();
    assert_eq!((kept[0].method.as_str(), kept[0].path.as_str()), ("POST", "/anthropic/v1/messages?beta=true"));
    assert_eq!(kept[0].headers["x-api-key"], "any");
    assert_eq!(kept[0].body["messages"][0]["content"], "look at me");
    assert_eq!((kept[1].path.as_str(), kept[1].headers["x-twice"].as_str()), ("/nowhere?a=b", "1, 2"));
    assert_eq!(*kept[1].body, json!({"not_json_bytes": 7}));
    rehearsal.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_what_it_waited_for() {
    let rehearsal = rehearsal().await;
    for text in ["#rehearse hang 3600", "#rehearse delay 3600 say late"] {
        let body = json!({"stream": true, "messages": [{"role": "user", "content": text}]}).to_string();
        let before = rehearsal.requests().len();
        let stream = open(&rehearsal, "POST /anthropic/v1/messages HTTP/1.1", body.as_bytes()).await;
        until(|| rehearsal.requests().len() > before).await;
        assert_eq!(rehearsal.open_connections(), 1);
        drop(stream);
        until(|| rehearsal.open_connections() == 0).await;
    }
    rehearsal.stop().await;
}

async fn until(condition: impl Fn() -> bool) {
    timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_stop_ends_answers_in_the_middle_and_frees_the_port() {
    let rehearsal = rehearsal().await;
    let address = rehearsal.address();
    let body = json!({"input": "#rehearse hang 3600"}).to_string();
    let mut stream = open(&rehearsal, "POST /openai/v1/responses HTTP/1.1", body.as_bytes()).await;
    until(|| rehearsal.requests().len() == 1).await;
    timeout(PATIENCE, rehearsal.stop()).await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn only_a_loopback_address_is_listened_on() {
    let error = Rehearsal::start("0.0.0.0:0".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.to_string(), "`0.0.0.0:0` is not a loopback address, and the rehearsal takes any credential");
    let v6 = Rehearsal::start("[::1]:0".parse().unwrap()).await;
    if let Ok(v6) = v6 {
        assert!(v6.openai_base().starts_with("http://[::1]:"), "{}", v6.openai_base());
        assert!(v6.anthropic_base().ends_with("/anthropic"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conversations_at_once_do_not_disturb_each_other() {
    let rehearsal = std::sync::Arc::new(rehearsal().await);
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..60 {
        let rehearsal = std::sync::Arc::clone(&rehearsal);
        asking.spawn(async move {
            let script = format!("#rehearse status 500 times=1\n#rehearse say {n}");
            assert_eq!(claude(&rehearsal, &script, false).await.status, 500);
            assert_eq!(claude(&rehearsal, &script, false).await.json()["content"][0]["text"], n.to_string());
        });
    }
    while let Some(done) = asking.join_next().await {
        done.unwrap();
    }
}

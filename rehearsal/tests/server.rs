//! The stand-in on the wire, as a plain HTTP client sees it.
#![expect(clippy::unwrap_used, reason = "in a test's own helpers a panic is the message")]

use std::net::SocketAddr;

use longshore_rehearsal::Rehearsal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn start() -> Rehearsal {
    Rehearsal::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap()
}

/// The whole answer, head and body, of one request; what was cut off included.
async fn ask(rehearsal: &Rehearsal, method: &str, path: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(rehearsal.address()).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A cut connection is an error to the reader and the point of some tests.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn responses(text: &str) -> String {
    json!({"model": "m", "stream": true, "input": [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    ], "tools": [{"type": "function", "name": "exec_command", "parameters": {}}]})
    .to_string()
}

fn messages(text: &str, stream: bool) -> String {
    json!({"model": "m", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": text}],
           "tools": [{"name": "Bash", "input_schema": {}}]})
    .to_string()
}

/// The kinds of the events of a stream, in order.
fn events(answer: &str) -> Vec<String> {
    answer.lines().filter_map(|line| line.strip_prefix("event: ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn responses_are_streamed_and_end_with_completed() {
    let rehearsal = start().await;
    let answer =
        ask(&rehearsal, "POST", "/openai/v1/responses", "x-longshore-group: coder\r\n", &responses("hello")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("[rehearsal · codex · coder] You said: hello"), "{answer}");
    let events = events(&answer);
    assert_eq!(events.first().map(String::as_str), Some("response.created"));
    assert_eq!(events.last().map(String::as_str), Some("response.completed"));
}

#[tokio::test]
async fn messages_are_streamed_or_whole_as_the_request_wants() {
    let rehearsal = start().await;
    let streamed = ask(&rehearsal, "POST", "/anthropic/v1/messages?beta=true", "", &messages("hello", true)).await;
    let events = events(&streamed);
    assert_eq!(events.first().map(String::as_str), Some("message_start"));
    assert_eq!(events.last().map(String::as_str), Some("message_stop"));
    let whole = ask(&rehearsal, "POST", "/anthropic/v1/messages", "", &messages("hello", false)).await;
    let body: Value = serde_json::from_str(whole.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(body["content"][0]["text"], "[rehearsal · claude · unknown] You said: hello");
}

#[tokio::test]
async fn a_shell_directive_becomes_a_call_of_the_tool_that_is_offered() {
    let rehearsal = start().await;
    let codex = ask(&rehearsal, "POST", "/openai/v1/responses", "", &responses("#rehearse shell date")).await;
    assert!(codex.contains("function_call") && codex.contains("exec_command") && codex.contains("date"), "{codex}");
    let claude = ask(&rehearsal, "POST", "/anthropic/v1/messages", "", &messages("#rehearse shell date", false)).await;
    assert!(claude.contains("tool_use") && claude.contains("\"Bash\"") && claude.contains("date"), "{claude}");
}

#[tokio::test]
async fn a_status_directive_fails_so_often_and_no_more() {
    let rehearsal = start().await;
    for (path, body) in [
        ("/openai/v1/responses", responses("#rehearse status 429 times=2 retry_after=7")),
        ("/anthropic/v1/messages", messages("#rehearse status 429 times=2 retry_after=7 ", true)),
    ] {
        for _ in 0..2 {
            let refused = ask(&rehearsal, "POST", path, "", &body).await;
            assert!(
                refused.starts_with("HTTP/1.1 429") && refused.to_lowercase().contains("retry-after: 7"),
                "{refused}"
            );
        }
        assert!(ask(&rehearsal, "POST", path, "", &body).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_cut_stream_has_a_beginning_and_no_end() {
    let rehearsal = start().await;
    let answer = ask(&rehearsal, "POST", "/openai/v1/responses", "", &responses("#rehearse cut")).await;
    let kinds = events(&answer);
    assert!(kinds.contains(&"response.created".to_owned()) && !kinds.contains(&"response.completed".to_owned()));
    let answer = ask(&rehearsal, "POST", "/anthropic/v1/messages", "", &messages("#rehearse cut", true)).await;
    let kinds = events(&answer);
    assert!(kinds.contains(&"message_start".to_owned()) && !kinds.contains(&"message_stop".to_owned()));
}

#[tokio::test]
async fn an_expired_credential_is_answered_as_the_vendors_do() {
    let rehearsal = start().await;
    let codex =
        ask(&rehearsal, "POST", "/openai/v1/responses", "authorization: Bearer expired\r\n", &responses("x")).await;
    assert!(codex.starts_with("HTTP/1.1 401"), "{codex}");
    let claude = ask(&rehearsal, "POST", "/anthropic/v1/messages", "x-api-key: wrong\r\n", &messages("x", true)).await;
    assert!(claude.starts_with("HTTP/1.1 401") && claude.contains("authentication_error"), "{claude}");
}

#[tokio::test]
async fn an_unknown_directive_says_which_there_are() {
    let rehearsal = start().await;
    let answer = ask(&rehearsal, "POST", "/anthropic/v1/messages", "", &messages("#rehearse shel ls", false)).await;
    assert!(answer.contains("shel") && answer.contains("preamble"), "{answer}");
}

#[tokio::test]
async fn what_was_asked_is_recorded_and_other_paths_are_not_found() {
    let rehearsal = start().await;
    ask(&rehearsal, "POST", "/openai/v1/responses", "authorization: Bearer k\r\n", &responses("hello")).await;
    let request = rehearsal.requests().remove(0);
    assert_eq!((request.method.as_str(), request.headers["authorization"].as_str()), ("POST", "Bearer k"));
    assert_eq!(request.body["input"][0]["content"][0]["text"], "hello");
    assert!(ask(&rehearsal, "GET", "/elsewhere", "", "").await.starts_with("HTTP/1.1 404"));
    assert!(ask(&rehearsal, "POST", "/openai/v1/responses", "", "{not json").await.starts_with("HTTP/1.1 4"));
}

#[tokio::test]
async fn only_loopback_is_listened_on() {
    let refused = Rehearsal::start(SocketAddr::from(([0, 0, 0, 0], 0))).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("loopback")));
}

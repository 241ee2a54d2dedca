//! What answers used is entered as they pass, and a budget that is used up stops requests here.

use super::*;
use crate::usage::{Row, Tokens};

const EVENTS: [&str; 3] = [
    "data: {\"type\":\"message_start\",\"message\":{\"model\":\"m-1\",\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n",
    "data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":7}}\n\n",
    "data: {\"type\":\"message_stop\"}\n\n",
];

/// A vendor that streams so many of the events, and then falls silent if they are not all.
async fn streaming(events: usize) -> Vendor {
    Vendor::start(move |request| async move {
        request.into_body().collect().await.unwrap();
        let pieces = stream::unfold(0, move |at| async move {
            if at == events && at < EVENTS.len() {
                std::future::pending::<()>().await;
            }
            EVENTS.get(at).map(|event| (Bytes::from_static(event.as_bytes()), at + 1))
        });
        let mut response = Response::new(streamed(pieces));
        response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
        response
    })
    .await
}

/// A vendor that answers every request so.
async fn answering(status: u16, headers: &'static [(&'static str, &'static str)], body: &'static str) -> Vendor {
    Vendor::start(move |_| async move {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(Full::new(Bytes::from_static(body.as_bytes())).boxed()).unwrap()
    })
    .await
}

fn entered(rows: &[Row]) -> Vec<(&str, &str, u64, Tokens)> {
    rows.iter()
        .map(|Row { account, amount }| (account.group.as_str(), account.model.as_str(), amount.requests, amount.tokens))
        .collect()
}

const FAMILY: &str = r#"{"console:f": {"name": "F", "folder": "family", "budget": {"dailyTokens": 17}}}"#;

#[tokio::test]
async fn what_an_answer_used_is_entered_when_it_has_passed() {
    let vendor = streaming(EVENTS.len()).await;
    let rig = Rig::new(vendor.upstreams());
    for _ in 0..2 {
        let answer = rig.exchange(&post("/anthropic/v1/messages", "{}")).await;
        assert!(EVENTS.iter().all(|event| answer.contains(event)), "{answer}");
    }
    let tokens = Tokens { input: 20, output: 14, ..Tokens::default() };
    assert_eq!(entered(&rig.books.rows(2).await), [("family", "m-1", 2, tokens)]);
}

#[tokio::test]
async fn an_answer_that_its_client_leaves_is_entered_with_what_was_read() {
    let vendor = streaming(1).await;
    let rig = Rig::new(vendor.upstreams());
    let mut client = rig.connect().await;
    client.write(&post("/anthropic/v1/messages", "{}")).await;
    client.read_until("message_start").await;
    drop(client);
    let tokens = Tokens { input: 10, output: 1, ..Tokens::default() };
    assert_eq!(entered(&rig.books.rows(1).await), [("family", "m-1", 1, tokens)]);
}

#[tokio::test]
async fn whole_answers_errors_and_compressed_ones_are_entered_as_far_as_they_tell() {
    let whole =
        r#"{"model":"m-2","usage":{"input_tokens":9,"input_tokens_details":{"cached_tokens":4},"output_tokens":6}}"#;
    let used = Tokens { input: 5, cached_input: 4, output: 6, ..Tokens::default() };
    let json = &[("content-type", "application/json")];
    for (status, headers, body, model, tokens) in [
        (200, &json[..], whole, "m-2", used),
        (529, &json[..], r#"{"error":{"message":"Overloaded"}}"#, "", Tokens::default()),
        (200, &[("content-encoding", "br")], whole, "", Tokens::default()),
    ] {
        let vendor = answering(status, headers, body).await;
        let rig = Rig::new(vendor.upstreams());
        let answer = rig.exchange(&post("/openai/v1/responses", "{}")).await;
        assert!(answer.ends_with(body), "{answer}");
        assert_eq!(entered(&rig.books.rows(1).await), [("family", model, 1, tokens)]);
        assert_eq!(vendor.seen.lock().unwrap()[0].headers["accept-encoding"], "identity");
    }
}

#[tokio::test]
async fn over_its_budget_a_group_is_refused_for_good_and_the_vendor_hears_nothing() {
    let vendor = streaming(EVENTS.len()).await;
    let rig = Rig::new(vendor.upstreams());
    rig.books.groups(FAMILY);
    let allowed = rig.exchange(&post("/anthropic/v1/messages", "{}")).await;
    assert!(allowed.starts_with("HTTP/1.1 200 "), "{allowed}");
    rig.books.rows(1).await;
    let sentence = "this group has used its budget for today: 17 of 17, `dailyTokens`, anew `at 00:00`";
    for (path, final_status) in
        [("/anthropic/v1/messages", "403"), ("/openai/v1/responses", "400"), ("/openai/v1/responses/compact", "400")]
    {
        let answer = rig.exchange(&post(path, "{}")).await;
        assert!(answer.contains("x-should-retry: false"), "{answer}");
        let (status, body) = json(&answer);
        assert_eq!((status, body["error"]["message"].as_str()), (final_status, Some(sentence)), "{path}");
    }
    assert_eq!(vendor.requests(), 1);
    let free = rig.exchange(&post("/anthropic/v1/messages/count_tokens", "{}")).await;
    assert!(free.starts_with("HTTP/1.1 200 "), "what costs nothing is no part of a budget: {free}");
    let rows = rig.books.rows(1).await;
    assert_eq!(rows[0].amount.requests, 1, "neither the refused nor the free ones are entered");
}

#[tokio::test]
async fn a_request_that_reaches_no_api_is_not_entered() {
    let vendor = streaming(EVENTS.len()).await;
    let upstreams = vendor.upstreams();
    drop(vendor);
    let rig = Rig::new(upstreams);
    soon(async {
        // Until the vendor's port is closed.
        while !rig.exchange(&post("/anthropic/v1/messages", "{}")).await.contains("cannot reach") {}
    })
    .await;
    rig.books.meter.write().await.unwrap();
    let before = rig.books.store.usage_since(jiff::civil::Date::MIN).await.unwrap();
    rig.exchange(&post("/anthropic/v1/messages", "{}")).await;
    rig.books.meter.write().await.unwrap();
    assert_eq!(rig.books.store.usage_since(jiff::civil::Date::MIN).await.unwrap(), before);
}

#[tokio::test]
async fn clients_that_say_nothing_keep_neither_other_groups_nor_the_api_busy() {
    let vendor = streaming(EVENTS.len()).await;
    let rig = Rig::new(vendor.upstreams());
    let elsewhere = tempfile::tempdir().unwrap();
    let _link =
        rig.broker.open(&"other".parse().unwrap(), elsewhere.path(), None, SignIn::Key, Rules::default()).unwrap();
    let mut silent = Vec::new();
    // All places of the one group, each with a request that never ends.
    for _ in 0..MAX_CONNECTIONS {
        let mut client = rig.connect().await;
        client.write("POST /anthropic/v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{").await;
        silent.push(client);
    }
    let mut other = super::rig::Client::connect(elsewhere.path()).await;
    other.write(&post("/anthropic/v1/messages", "{}")).await;
    assert!(other.read_to_end().await.contains("message_stop"));
    let mut late = rig.connect().await;
    late.write(&post("/anthropic/v1/messages", "{}")).await;
    drop(silent);
    assert!(late.read_to_end().await.contains("message_stop"), "a place that is free again is given away");
}

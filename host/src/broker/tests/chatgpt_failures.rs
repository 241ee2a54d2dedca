//! A ChatGPT login that cannot be refreshed, stored or read, and one that is replaced meanwhile.

use std::fs;

use serde_json::json;
use tokio::sync::Semaphore;

use super::super::access::SignIn;
use super::super::login::document::tests::login;
use super::chatgpt::{Desk, FRESH, NOW, bearer};
use super::rig::{json as parsed, soon};

#[tokio::test]
async fn a_refused_login_is_told_in_words_and_the_endpoint_is_asked_once() {
    for (code, words) in [
        ("refresh_token_expired", "the ChatGPT login has expired; run `longshore login codex`"),
        (
            "refresh_token_reused",
            "the ChatGPT login was already used to refresh by another program; run `longshore login codex`",
        ),
        ("refresh_token_invalidated", "the ChatGPT login was revoked; run `longshore login codex`"),
        ("invalid_grant", "the ChatGPT login is refused; run `longshore login codex`"),
    ] {
        let desk = Desk::new(NOW - 1, SignIn::ChatGpt).await;
        *desk.script.lock().unwrap() = Some((401, json!({"error": {"code": code}}).to_string()));
        for _ in 0..3 {
            let answer = desk.ask(0).await;
            let (status, body) = parsed(&answer);
            assert_eq!((status, body["error"]["message"].as_str()), ("401", Some(words)), "{answer}");
            assert_eq!(body["error"]["code"], code);
            assert!(answer.contains("x-should-retry: false"), "{answer}");
        }
        assert_eq!((desk.questions(), desk.bearers().len()), (1, 0), "{code}");

        // Somebody logs in again.
        *desk.script.lock().unwrap() = None;
        desk.write(&login(NOW - 1, "rt-0"));
        desk.later(3600);
        assert_eq!(desk.refused().await.0, "401", "the same login again is the same refusal");
        desk.write(&login(FRESH, "rt-new"));
        assert!(desk.ask(0).await.ends_with("said"), "{code}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_away_is_a_bad_gateway_and_asked_again_in_a_while() {
    let desk = Desk::new(NOW - 1, SignIn::ChatGpt).await;
    for status in [500, 403] {
        *desk.script.lock().unwrap() = Some((status, "<html>".to_owned()));
        let asked = desk.questions();
        for _ in 0..3 {
            let answer = desk.ask(0).await;
            let (found, body) = parsed(&answer);
            assert_eq!((found, &body["error"]["type"]), ("502", &json!("server_error")), "{answer}");
            assert!(!answer.contains("x-should-retry"), "{answer}");
        }
        assert_eq!(desk.questions(), asked + 1);
        desk.later(5);
    }
    *desk.script.lock().unwrap() = None;
    assert!(desk.ask(0).await.ends_with("said"));
    assert_eq!(desk.bearers(), [bearer(1)]);
}

#[tokio::test]
async fn what_is_left_of_a_token_is_used_while_the_endpoint_is_away() {
    let desk = Desk::new(NOW + 60, SignIn::ChatGpt).await;
    *desk.script.lock().unwrap() = Some((503, String::new()));
    assert!(desk.ask(0).await.ends_with("said"));
    assert_eq!(desk.questions(), 1);
    desk.later(60);
    assert_eq!(desk.refused().await.0, "502");
}

#[tokio::test]
async fn new_tokens_that_cannot_be_stored_are_kept_and_not_used_until_they_are() {
    let desk = Desk::new(NOW - 1, SignIn::ChatGpt).await;
    let obstacle = desk.folder.path().join("login/auth.json.new");
    fs::create_dir(&obstacle).unwrap();
    for _ in 0..2 {
        let (status, body) = desk.refused().await;
        assert_eq!(status, "502");
        assert!(body["error"]["message"].as_str().unwrap().contains("could not be stored"), "{body}");
    }
    assert_eq!((desk.bearers().len(), desk.stored()["tokens"]["refresh_token"].as_str()), (0, Some("rt-0")));
    fs::remove_dir(&obstacle).unwrap();
    assert!(desk.ask(0).await.ends_with("said"));
    assert_eq!((desk.bearers(), desk.questions()), (vec![bearer(1)], 1));
    assert_eq!(desk.stored()["tokens"]["refresh_token"], "rt-1");
}

#[tokio::test]
async fn a_host_that_dies_between_refresh_and_use_goes_on_with_the_new_tokens() {
    let desk = Desk::new(NOW - 1, SignIn::ChatGpt).await;
    assert!(desk.ask(0).await.ends_with("said"));
    let file = fs::read_to_string(desk.file()).unwrap();
    // Another host finds what the first one left, which alone the vendor still accepts.
    let next = Desk::new(NOW - 1, SignIn::ChatGpt).await;
    next.write(&file);
    assert!(next.ask(0).await.ends_with("said"));
    assert_eq!((next.bearers(), next.questions()), (vec![bearer(1)], 0));
}

#[tokio::test]
async fn a_login_that_is_replaced_during_a_refresh_is_not_overwritten() {
    let mut desk = Desk::new(NOW - 1, SignIn::ChatGpt).await;
    for refused in [false, true] {
        desk.write(&login(NOW - 1, "rt-0"));
        let refusal = json!({"error": {"code": "refresh_token_reused"}}).to_string();
        *desk.script.lock().unwrap() = refused.then_some((401, refusal));
        desk.permits.forget_permits(Semaphore::MAX_PERMITS);
        let mut client = desk.send(0, "/openai/v1/responses", "{}").await;
        assert_eq!(soon(desk.asked.recv()).await.unwrap(), "rt-0");
        desk.write(&login(FRESH, "rt-operator"));
        desk.permits.add_permits(1);
        assert!(client.read_to_end().await.ends_with("said"));
        assert_eq!(desk.stored()["tokens"]["refresh_token"], "rt-operator");
    }
}

#[tokio::test]
async fn a_login_that_is_deleted_during_a_refresh_stays_deleted() {
    let mut desk = Desk::new(NOW - 1, SignIn::ChatGpt).await;
    desk.permits.forget_permits(Semaphore::MAX_PERMITS);
    let mut client = desk.send(0, "/openai/v1/responses", "{}").await;
    soon(desk.asked.recv()).await.unwrap();
    fs::remove_file(desk.file()).unwrap();
    desk.permits.add_permits(1);
    let answer = client.read_to_end().await;
    assert_eq!(parsed(&answer).0, "401");
    assert!(!desk.file().exists() && !desk.login.exists());
}

#[tokio::test]
async fn a_file_that_is_no_login_is_a_clear_error_without_its_content() {
    let desk = Desk::new(NOW - 1, SignIn::ChatGpt).await;
    for (content, words) in [
        ("sk-canary {", "is not JSON"),
        (r#"{"OPENAI_API_KEY":"sk-canary"}"#, "holds no ChatGPT login"),
        (r#"{"tokens":{"access_token":"sk-canary","refresh_token":"sk-canary"}}"#, "names no account"),
        ("", "is not JSON"),
    ] {
        desk.write(content);
        let (status, body) = desk.refused().await;
        let message = body["error"]["message"].as_str().unwrap();
        assert_eq!(status, "401", "{content}");
        assert!(message.contains(words) && message.contains("longshore login codex"), "{message}");
        assert!(!message.contains("sk-canary"), "{message}");
    }
    fs::write(desk.file(), vec![b' '; 1024 * 1024]).unwrap();
    assert!(desk.refused().await.1.to_string().contains("too large"));
    fs::remove_file(desk.file()).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", desk.file()).unwrap();
    assert!(desk.refused().await.1.to_string().contains("cannot be read"));
    fs::remove_file(desk.file()).unwrap();
    assert!(desk.refused().await.1.to_string().contains("no credential for codex"));
    assert_eq!((desk.questions(), desk.bearers().len()), (0, 0));
}

#[tokio::test]
async fn no_error_holds_a_token() {
    for answer in [
        r#"{"access_token":"two words sk-canary"}"#,
        r#"{"refresh_token":"sk-canary"}"#,
        "sk-canary",
        r#"{"error":{"code":"x","message":"rt-0 sk-canary"}}"#,
    ] {
        for status in [200, 400, 500] {
            let desk = Desk::new(NOW - 1, SignIn::ChatGpt).await;
            *desk.script.lock().unwrap() = Some((status, answer.to_owned()));
            let told = desk.ask(0).await;
            assert!(
                !told.starts_with("HTTP/1.1 200") && !told.contains("sk-canary") && !told.contains("rt-0"),
                "{told}"
            );
        }
    }
}

//! Turns that people stop, that wait for long, or that give no sign of life.

use std::time::Duration;

use longshore::phrases;
use longshore_protocol::{Failure, FailureKind, RunnerEvent, TurnRequest};

use super::says;
use super::stage::Stage;
use super::theatre::Line;

fn limited(seconds: u64) -> impl Fn(&TurnRequest) -> Vec<Line> + Send + Sync {
    move |request| {
        let failure = Failure {
            retry_after_seconds: Some(seconds),
            ..Failure::new("claude", FailureKind::RateLimited, "scripted")
        };
        vec![Line::Event(RunnerEvent::Failed { turn: request.turn.clone(), failure })]
    }
}

const OPEN: &str = "SELECT count(*) FROM turns WHERE state IN ('waiting', 'running')";

#[tokio::test]
async fn a_running_turn_is_stopped_from_the_chat_and_what_was_asked_meanwhile_with_it() {
    let stage = Stage::new(|_: &TurnRequest| vec![Line::UntilStopped]).await;
    stage.hear("count to a million").await;
    stage.until_requests(1).await;
    stage.hear("and then to two").await;
    stage.hear("@Andy /stop").await;
    assert_eq!(stage.reply().await, phrases::STOPPED);
    stage.until_sql(OPEN, 0).await;
    stage.script(1, says("well"));
    stage.hear("how are you?").await;
    assert_eq!(stage.reply().await, "well");
    assert_eq!(stage.requests().len(), 2, "what was asked before the stop is not answered");
    assert_eq!(stage.containers(), 1, "a runner that stops a turn is good for the next");
    assert_eq!(stage.sql("SELECT count(*) FROM messages WHERE turn IS NULL"), 0);
}

#[tokio::test]
async fn a_turn_that_waits_for_another_try_is_stopped_too() {
    let stage = Stage::new(limited(3600)).await;
    stage.hear("hello").await;
    assert!(stage.reply().await.contains("I will answer"));
    stage.hear("/stop").await;
    assert_eq!(stage.reply().await, phrases::STOPPED);
    stage.advance(Duration::from_secs(7200));
    stage.until_sql(OPEN, 0).await;
    assert_eq!(stage.requests().len(), 1);
}

#[tokio::test]
async fn a_stop_with_nothing_to_stop_is_answered() {
    let stage = Stage::new(says("hi")).await;
    stage.hear("/stop").await;
    assert_eq!(stage.reply().await, phrases::NOTHING_TO_STOP);
    stage.hear("hello").await;
    assert_eq!(stage.reply().await, "hi");
    assert!(!stage.requests()[0].prompt.contains("/stop"), "{}", stage.requests()[0].prompt);
}

#[tokio::test]
async fn a_stop_that_the_host_did_not_live_to_see_is_obeyed_by_the_next() {
    let stage = Stage::new(|_: &TurnRequest| vec![Line::Pause(Duration::from_secs(600))]).await;
    stage.hear("hello").await;
    stage.until_requests(1).await;
    stage.hear("/stop").await;
    let stage = stage.crash(says("never")).await;
    assert_eq!(stage.reply().await, phrases::STOPPED);
    stage.until_sql(OPEN, 0).await;
    assert!(stage.requests().is_empty());
}

#[tokio::test]
async fn a_limit_of_hours_is_told_once_with_its_end_and_waited_for() {
    let stage = Stage::new(says("at last")).await;
    stage.script(0, limited(5 * 3600));
    stage.script(1, limited(3600));
    stage.hear("hello").await;
    assert_eq!(stage.reply().await, "The usage limit of Claude is reached; I will answer at 13:00.");
    stage.advance(Duration::from_secs(5 * 3600 + 60));
    stage.until_requests(2).await;
    stage.until_sql("SELECT count(*) FROM turns WHERE state = 'waiting'", 1).await;
    stage.advance(Duration::from_secs(3600 + 60));
    assert_eq!(stage.reply().await, "at last");
    assert_eq!(stage.sql("SELECT count(*) FROM outbox WHERE kind = 'notice'"), 1);
}

#[tokio::test]
async fn a_turn_without_a_sign_of_life_is_given_up_and_its_container_ended() {
    let endless = |_: &TurnRequest| vec![Line::Pause(Duration::from_secs(600))];
    let stage = Stage::impatient(Duration::from_millis(300), endless).await;
    stage.hear("hello").await;
    let sentence = stage.reply().await;
    assert!(sentence.contains("no sign of life"), "{sentence}");
    stage.script(1, says("back"));
    stage.hear("and now?").await;
    assert_eq!(stage.reply().await, "back");
    assert_eq!(stage.containers(), 2);
}

#[tokio::test]
async fn a_turn_that_ends_its_host_each_time_is_given_up_in_the_end() {
    let endless = |_: &TurnRequest| vec![Line::Pause(Duration::from_secs(600))];
    let mut stage = Stage::new(endless).await;
    stage.hear("hello").await;
    for attempt in 1..=5 {
        let sql = format!("SELECT count(*) FROM turns WHERE state = 'running' AND attempt = {attempt}");
        stage.until_sql(&sql, 1).await;
        stage = stage.crash(endless).await;
    }
    assert!(stage.reply().await.starts_with("I could not answer"));
    stage.until_sql(OPEN, 0).await;
}

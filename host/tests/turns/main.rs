//! Turns, with a runtime that plays containers in this process: real store, real queue, real delivery.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test's own helpers a panic is the message")]

mod allowed;
mod budget;
mod changes;
mod crash;
mod delivery;
mod metrics;
mod opening;
mod person;
mod refresh;
mod stage;
mod stop;
mod tasks;
mod theatre;
mod updates;

use std::time::Duration;

use longshore_protocol::{Failure, FailureKind, RunnerEvent, TurnRequest};

use self::stage::Stage;
use self::theatre::Line;

fn says(text: &'static str) -> impl Fn(&TurnRequest) -> Vec<Line> + Send + Sync {
    move |request| {
        let turn = request.turn.clone();
        vec![
            Line::Event(RunnerEvent::Message { turn: turn.clone(), text: text.into() }),
            Line::Event(RunnerEvent::Finished { turn }),
        ]
    }
}

fn fails(request: &TurnRequest, kind: FailureKind) -> Line {
    let failure = Failure::new("claude", kind, "scripted");
    Line::Event(RunnerEvent::Failed { turn: request.turn.clone(), failure })
}

#[tokio::test]
async fn a_message_is_answered_and_its_prompt_holds_what_was_said() {
    let stage = Stage::new(says("hi Ann")).await;
    stage.hear("hello & <goodbye>").await;
    assert_eq!(stage.reply().await, "hi Ann");
    let request = stage.requests().remove(0);
    assert!(request.prompt.contains("hello &amp; &lt;goodbye&gt;"), "{}", request.prompt);
    assert!(request.prelude.contains("Andy"), "{}", request.prelude);
}

#[tokio::test]
async fn the_next_turn_goes_to_the_same_container_and_continues_the_session() {
    let stage = Stage::new(|request: &TurnRequest| {
        let turn = request.turn.clone();
        vec![
            Line::Event(RunnerEvent::Session { turn: turn.clone(), session: "s-1".parse().unwrap() }),
            Line::Event(RunnerEvent::Message { turn: turn.clone(), text: "ok".into() }),
            Line::Event(RunnerEvent::Finished { turn }),
        ]
    })
    .await;
    for _ in 0..3 {
        stage.hear("hello").await;
        assert_eq!(stage.reply().await, "ok");
    }
    assert_eq!(stage.containers(), 1);
    let sessions: Vec<_> = stage.requests().into_iter().map(|request| request.session.map(|s| s.to_string())).collect();
    assert_eq!(sessions, [None, Some("s-1".into()), Some("s-1".into())]);
}

#[tokio::test]
async fn messages_that_come_during_a_turn_are_one_later_turn() {
    let stage = Stage::new(|request: &TurnRequest| {
        let turn = request.turn.clone();
        vec![
            Line::Pause(Duration::from_millis(300)),
            Line::Event(RunnerEvent::Message { turn: turn.clone(), text: "done".into() }),
            Line::Event(RunnerEvent::Finished { turn }),
        ]
    })
    .await;
    stage.hear("one").await;
    stage.until_requests(1).await;
    stage.hear("two").await;
    stage.hear("three").await;
    assert_eq!((stage.reply().await, stage.reply().await), ("done".into(), "done".into()));
    let prompts: Vec<String> = stage.requests().into_iter().map(|request| request.prompt).collect();
    assert_eq!(prompts.len(), 2);
    assert!(prompts[0].contains("one") && !prompts[0].contains("two"));
    assert!(prompts[1].contains("two") && prompts[1].contains("three") && !prompts[1].contains(">one<"));
}

#[tokio::test]
async fn a_turn_that_said_nothing_is_tried_again_after_its_wait() {
    let stage = Stage::new(says("second try")).await;
    stage.script(0, |request| vec![fails(request, FailureKind::Transport)]);
    stage.hear("hello").await;
    stage.until_requests(1).await;
    stage.until_sql("SELECT count(*) FROM turns WHERE state = 'waiting'", 1).await;
    assert_eq!(stage.requests().len(), 1, "not before its time");
    stage.advance(Duration::from_secs(60));
    assert_eq!(stage.reply().await, "second try");
    assert_eq!(stage.sql("SELECT attempt FROM turns"), 2);
}

#[tokio::test]
async fn a_turn_that_spoke_is_never_replayed() {
    let stage = Stage::new(|request: &TurnRequest| {
        let turn = request.turn.clone();
        let said = Line::Event(RunnerEvent::Message { turn, text: "half an answer".into() });
        vec![said, fails(request, FailureKind::Transport)]
    })
    .await;
    stage.hear("hello").await;
    assert_eq!(stage.reply().await, "half an answer");
    assert!(stage.reply().await.starts_with("I could not finish"));
    stage.advance(Duration::from_secs(3600));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(stage.requests().len(), 1);
}

#[tokio::test]
async fn five_failures_end_in_one_sentence_and_the_next_message_is_answered() {
    let stage = Stage::new(|request: &TurnRequest| vec![fails(request, FailureKind::Internal)]).await;
    stage.hear("hello").await;
    for tries in 1..=5 {
        stage.until_requests(tries).await;
        stage.until_sql("SELECT count(*) FROM turns WHERE state = 'running'", 0).await;
        stage.advance(Duration::from_secs(600));
    }
    assert!(stage.reply().await.starts_with("I could not answer"));
    assert_eq!(stage.sql("SELECT count(*) FROM outbox"), 1);
    stage.script(5, says("well again"));
    stage.hear("and now?").await;
    assert_eq!(stage.reply().await, "well again");
}

#[tokio::test]
async fn a_stale_session_is_forgotten_silently() {
    let stage = Stage::new(says("fresh")).await;
    stage.script(0, |request| {
        let turn = request.turn.clone();
        let session = Line::Event(RunnerEvent::Session { turn: turn.clone(), session: "old".parse().unwrap() });
        let said = Line::Event(RunnerEvent::Message { turn: turn.clone(), text: "first".into() });
        vec![session, said, Line::Event(RunnerEvent::Finished { turn })]
    });
    stage.script(1, |request| vec![fails(request, FailureKind::StaleSession)]);
    stage.hear("one").await;
    assert_eq!(stage.reply().await, "first");
    stage.hear("two").await;
    assert_eq!(stage.reply().await, "fresh");
    let sessions: Vec<bool> = stage.requests().iter().map(|request| request.session.is_some()).collect();
    assert_eq!(sessions, [false, true, false]);
    assert_eq!(stage.sql("SELECT max(attempt) FROM turns"), 1, "forgetting is no try");
}

#[tokio::test]
async fn a_container_that_dies_is_replaced() {
    let stage = Stage::new(says("survived")).await;
    stage.script(0, |_| vec![Line::Die { code: 1, out_of_memory: false }]);
    stage.hear("hello").await;
    stage.until_sql("SELECT count(*) FROM turns WHERE state = 'waiting'", 1).await;
    stage.advance(Duration::from_secs(60));
    assert_eq!(stage.reply().await, "survived");
    assert_eq!(stage.containers(), 2);
}

#[tokio::test]
async fn out_of_memory_is_told_as_such() {
    let stage = Stage::new(|_: &TurnRequest| vec![Line::Die { code: 137, out_of_memory: true }]).await;
    stage.hear("hello").await;
    let sentence = stage.reply().await;
    assert!(sentence.contains("memory"), "{sentence}");
}

#[tokio::test]
async fn a_line_that_is_no_event_is_skipped() {
    let stage = Stage::new(|request: &TurnRequest| {
        let mut lines =
            vec![Line::Raw("not json at all".into()), Line::Raw("{\"type\":\"of a later release\"}".into())];
        lines.extend(says("still here")(request));
        lines
    })
    .await;
    stage.hear("hello").await;
    assert_eq!(stage.reply().await, "still here");
}

#[tokio::test]
async fn a_runner_of_another_protocol_is_refused_with_what_to_do() {
    let stage = Stage::speaking(99, says("never")).await;
    stage.hear("hello").await;
    let sentence = stage.reply().await;
    assert!(sentence.contains("longshore image build"), "{sentence}");
}

#[tokio::test]
async fn a_changed_group_gets_a_new_container_with_its_next_turn() {
    let stage = Stage::new(says("ok")).await;
    stage.hear("one").await;
    stage.reply().await;
    stage.register(r#"{"test:1": {"name": "Family", "folder": "family", "trigger": "@Andy", "added_at": "x", "requiresTrigger": false, "provider": "codex"}}"#);
    stage.hear("two").await;
    stage.reply().await;
    assert_eq!(stage.containers(), 2);
    let providers: Vec<_> = stage.requests().iter().map(|request| request.provider.as_str()).collect();
    assert_eq!(providers, ["claude", "codex"]);
}

#[tokio::test]
async fn an_interrupted_turn_that_spoke_is_closed_with_a_sentence_and_one_that_did_not_is_run_again() {
    let stage = Stage::new(|request: &TurnRequest| {
        let turn = request.turn.clone();
        vec![Line::Event(RunnerEvent::Message { turn, text: "half".into() }), Line::Pause(Duration::from_secs(600))]
    })
    .await;
    stage.hear("hello").await;
    assert_eq!(stage.reply().await, "half");
    // A crash before this would repeat the message, with the same id.
    stage.until_sql("SELECT count(*) FROM outbox WHERE state = 'sent'", 1).await;
    let stage = stage.crash(says("not again")).await;
    assert_eq!(stage.reply().await, longshore::phrases::INTERRUPTED);
    assert!(stage.requests().is_empty());

    let silent = Stage::new(|_: &TurnRequest| vec![Line::Pause(Duration::from_secs(600))]).await;
    silent.hear("hello").await;
    silent.until_requests(1).await;
    let silent = silent.crash(says("after the crash")).await;
    assert_eq!(silent.reply().await, "after the crash");
}

#[tokio::test]
async fn a_store_that_cannot_write_in_a_turn_costs_a_delay_and_no_message() {
    let stage = Stage::new(says("after the stall")).await;
    stage.script(0, |request| {
        let mut lines = vec![Line::Pause(Duration::from_millis(300))];
        lines.extend(says("never heard")(request));
        lines
    });
    stage.hear("hello").await;
    stage.until_requests(1).await;
    // The store waits 5 s for a lock, and other requests may wait before the turn's.
    stage.lock_store(Duration::from_secs(16)).await;
    assert_eq!(stage.reply_as_time_passes().await, "after the stall");
    stage.until_sql("SELECT count(*) FROM turns WHERE state = 'settled'", 1).await;
}

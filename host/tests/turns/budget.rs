//! A group that has used its budget.

use std::time::Duration;

use longshore_protocol::{Failure, FailureKind, RunnerEvent, TurnRequest};

use super::says;
use super::stage::Stage;
use super::theatre::Line;

const OVER: &str = r#"{"test:1": {"name": "Family", "folder": "family", "added_at": "x", "requiresTrigger": false,
    "budget": {"dailyTokens": 0}}}"#;
const SENTENCE: &str = "I could not answer: this group has used its budget for today, which starts anew at 00:00; \
    the operator can raise `dailyTokens` in its `budget`.";

#[tokio::test]
async fn a_group_over_its_budget_is_told_once_for_each_message_and_no_container_is_started() {
    let stage = Stage::new(says("hi")).await;
    stage.register(OVER);
    for told in 1..=2 {
        stage.hear("hello").await;
        assert_eq!(stage.reply().await, SENTENCE);
        stage.until_sql("SELECT count(*) FROM turns WHERE state = 'gave_up'", told).await;
        // Whatever would be tried again would be tried now.
        stage.advance(Duration::from_secs(7200));
    }
    assert_eq!(stage.sql("SELECT count(*) FROM outbox"), 2);
    assert_eq!(stage.sql("SELECT max(attempt) FROM turns"), 1);
    assert_eq!((stage.requests().len(), stage.containers()), (0, 0));
    stage.register(super::opening::GROUPS);
    stage.hear("and now?").await;
    assert_eq!(stage.reply().await, "hi");
}

#[tokio::test]
async fn a_turn_that_the_broker_refuses_half_way_ends_in_one_sentence_too() {
    // As codex tells it: the body of the refusal, as an error of no known kind.
    let stage = Stage::new(|request: &TurnRequest| {
        let text = r#"{"error":{"message":"this group has used its budget for this month: $2.00 of $2.00, `monthlyUsd`, anew `on 1 March at 00:00`"}}"#;
        let turn = request.turn.clone();
        let failure = Failure::new("codex", FailureKind::Internal, text);
        vec![
            Line::Event(RunnerEvent::Message { turn: turn.clone(), text: "Let me see.".into() }),
            Line::Event(RunnerEvent::Failed { turn, failure }),
        ]
    })
    .await;
    stage.hear("hello").await;
    assert_eq!(stage.reply().await, "Let me see.");
    assert_eq!(
        stage.reply().await,
        "I could not finish: this group has used its budget for this month, which starts anew on 1 March at 00:00; \
         the operator can raise `monthlyUsd` in its `budget`."
    );
    stage.until_sql("SELECT count(*) FROM turns WHERE state = 'gave_up'", 1).await;
    stage.advance(Duration::from_secs(7200));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(stage.requests().len(), 1);
}

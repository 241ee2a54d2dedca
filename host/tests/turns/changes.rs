//! What people edit and delete, before, during and after the turn that it concerns.

use std::time::Duration;

use longshore::channel::ChannelEvent;
use longshore_protocol::channel::{ChatDeletion, ChatEdit};
use longshore_protocol::{FailureKind, RunnerEvent, TurnRequest};

use super::stage::Stage;
use super::theatre::Line;
use super::{fails, says};

/// A group that wakes on its trigger.
const CALLED: &str = r#"{"test:1": {"name": "Family", "folder": "family", "trigger": "@Andy", "added_at": "x", "requiresTrigger": true}}"#;

async fn edit(stage: &Stage, target: &str, text: &str) {
    let edit = ChatEdit {
        id: format!("edit of {target}"),
        chat: "test:1".into(),
        sender: "ann".into(),
        sender_alt: None,
        target: target.into(),
        text: text.into(),
        timestamp: String::new(),
        mentions_me: None,
        from_me: false,
    };
    assert!(stage.report(|stored| ChannelEvent::Edit { edit: Box::new(edit), stored }).await, "the edit is stored");
}

async fn delete(stage: &Stage, target: &str) {
    let (id, chat, sender) = (format!("deletion of {target}"), "test:1".into(), "admin".into());
    let deletion = Box::new(ChatDeletion { id, chat, sender, target: target.into() });
    assert!(stage.report(|stored| ChannelEvent::Delete { deletion, stored }).await, "the deletion is stored");
}

fn slow(request: &TurnRequest) -> Vec<Line> {
    let mut lines = vec![Line::Pause(Duration::from_millis(300))];
    lines.extend(says("done")(request));
    lines
}

#[tokio::test]
async fn a_call_that_is_edited_in_is_answered_with_the_new_text() {
    let stage = Stage::new(says("here")).await;
    stage.register(CALLED);
    assert!(stage.bring("m1", "Any what is the time").await);
    assert!(stage.bring("m2", "look").await);
    edit(&stage, "m1", "@Andy what is the time").await;
    assert_eq!(stage.reply().await, "here");
    let prompt = stage.requests().remove(0).prompt;
    assert!(prompt.contains("edited=\"true\">@Andy what is the time<") && prompt.contains(">look<"), "{prompt}");
    assert!(!prompt.contains("Any what"), "{prompt}");
}

#[tokio::test]
async fn a_running_turn_keeps_what_it_began_with_and_a_later_try_is_told_the_edit() {
    let stage = Stage::new(slow).await;
    stage.script(0, |request| vec![Line::Pause(Duration::from_millis(300)), fails(request, FailureKind::Transport)]);
    assert!(stage.bring("m1", "on Monday").await);
    stage.until_requests(1).await;
    edit(&stage, "m1", "on Tuesday").await;
    stage.until_sql("SELECT count(*) FROM turns WHERE state = 'waiting'", 1).await;
    stage.advance(Duration::from_secs(60));
    assert_eq!(stage.reply().await, "done");
    let prompts: Vec<String> = stage.requests().into_iter().map(|request| request.prompt).collect();
    assert!(prompts[0].contains(">on Monday<") && prompts[1].contains("edited=\"true\">on Tuesday<"), "{prompts:?}");
    edit(&stage, "m1", "on Wednesday").await;
    assert_eq!(stage.requests().len(), 2, "an answered message is not answered again");
}

#[tokio::test]
async fn a_waiting_turn_whose_message_is_deleted_ends_without_a_word() {
    let stage = Stage::new(says("never")).await;
    stage.script(0, |request| vec![fails(request, FailureKind::Transport)]);
    assert!(stage.bring("m1", "forget it").await);
    stage.until_sql("SELECT count(*) FROM turns WHERE state = 'waiting'", 1).await;
    delete(&stage, "m1").await;
    stage.until_sql("SELECT count(*) FROM turns WHERE state = 'settled'", 1).await;
    assert_eq!(stage.sql("SELECT settled_seq FROM cursors"), 1);
    stage.advance(Duration::from_secs(3600));
    stage.script(1, says("hi"));
    stage.hear("hello").await;
    assert_eq!(stage.reply().await, "hi");
    assert!(!stage.requests()[1].prompt.contains("forget it"));
    assert_eq!(stage.sql("SELECT count(*) FROM outbox"), 1);
}

#[tokio::test]
async fn what_is_deleted_while_another_turn_runs_is_never_told() {
    let stage = Stage::new(slow).await;
    stage.hear("first").await;
    stage.until_requests(1).await;
    assert!(stage.bring("m2", "my password is hunter2").await);
    assert!(stage.bring("m3", "second").await);
    delete(&stage, "m2").await;
    assert_eq!((stage.reply().await, stage.reply().await), ("done".into(), "done".into()));
    let prompt = stage.requests().remove(1).prompt;
    assert!(prompt.contains(">second<") && !prompt.contains("hunter2"), "{prompt}");
    assert_eq!(stage.sql("SELECT count(*) FROM messages WHERE text LIKE '%hunter2%'"), 0);
}

#[tokio::test]
async fn a_change_of_what_was_never_heard_is_acknowledged_and_leaves_nothing() {
    let stage = Stage::new(says("hi")).await;
    edit(&stage, "unknown", "hello?").await;
    delete(&stage, "unknown").await;
    stage.register("{}");
    edit(&stage, "unknown", "hello?").await;
    assert_eq!(stage.sql("SELECT count(*) FROM messages"), 0);
    assert!(stage.requests().is_empty());
}

#[tokio::test]
async fn a_call_that_is_edited_in_while_the_turn_runs_has_the_next_turn() {
    let stage = Stage::new(|request: &TurnRequest| {
        let turn = request.turn.clone();
        let text = if request.prompt.contains("me, too") { "you, too" } else { "done" };
        let said = Line::Event(RunnerEvent::Message { turn: turn.clone(), text: text.into() });
        vec![Line::Pause(Duration::from_millis(300)), said, Line::Event(RunnerEvent::Finished { turn })]
    })
    .await;
    stage.register(CALLED);
    assert!(stage.bring("m1", "and me").await);
    assert!(stage.bring("m2", "@Andy help").await);
    stage.until_requests(1).await;
    edit(&stage, "m1", "@Andy and me, too").await;
    assert_eq!((stage.reply().await, stage.reply().await), ("done".into(), "you, too".into()));
}

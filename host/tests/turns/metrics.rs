//! What the host counts of what it does.

use std::collections::BTreeMap;
use std::time::Duration;

use longshore::metrics::exposition::{Observed, exposition};
use longshore_protocol::{FailureKind, RunnerEvent};

use super::stage::Stage;
use super::theatre::Line;
use super::{fails, says};

/// Every series with its value.
fn series(stage: &Stage) -> BTreeMap<String, f64> {
    let text = exposition(&stage.metrics, &Observed::default());
    let values = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap());
    values.map(|(series, value)| (series.to_owned(), value.parse().unwrap())).collect()
}

#[tokio::test]
async fn after_one_turn_the_numbers_are_right() {
    let stage = Stage::new(says("hi Ann")).await;
    stage.hear("hello").await;
    assert_eq!(stage.reply().await, "hi Ann");
    stage.until_sql("SELECT count(*) FROM turns WHERE state = 'settled'", 1).await;
    stage.until_sql("SELECT count(*) FROM outbox WHERE state = 'sent'", 1).await;
    // The look that finds nothing more to do is over as well.
    stage.until("the queue is empty", || series(&stage)["longshore_queue_running"] == 0.0).await;
    let counted = series(&stage);
    for (name, value) in [
        ("longshore_turns_total{provider=\"claude\",outcome=\"settled\"}", 1.0),
        ("longshore_turn_wait_seconds_count", 1.0),
        ("longshore_turn_duration_seconds_count{provider=\"claude\"}", 1.0),
        ("longshore_turn_duration_seconds_count{provider=\"codex\"}", 0.0),
        ("longshore_turn_first_text_seconds_count{provider=\"claude\"}", 1.0),
        ("longshore_messages_sent_total", 1.0),
        ("longshore_delivery_seconds_count", 1.0),
        ("longshore_queue_waiting", 0.0),
    ] {
        assert_eq!(counted.get(name), Some(&value), "{name}");
    }
    let ended: f64 =
        counted.iter().filter(|(name, _)| name.starts_with("longshore_turns_total")).map(|(_, value)| value).sum();
    assert!((ended - 1.0).abs() < f64::EPSILON, "{counted:?}");
    assert!(!counted.keys().any(|name| name.starts_with("longshore_turn_failures_total")), "{counted:?}");
}

#[tokio::test]
async fn a_turn_that_is_tried_again_waits_once_and_ends_twice() {
    let stage = Stage::new(|request: &longshore_protocol::TurnRequest| {
        let turn = request.turn.clone();
        let said = |text: &str| Line::Event(RunnerEvent::Message { turn: turn.clone(), text: text.into() });
        vec![said("one"), said("two"), Line::Event(RunnerEvent::Finished { turn: turn.clone() })]
    })
    .await;
    stage.script(0, |request| vec![fails(request, FailureKind::Transport)]);
    stage.hear("hello").await;
    stage.until_requests(1).await;
    stage.until_sql("SELECT count(*) FROM turns WHERE state = 'waiting'", 1).await;
    stage.advance(Duration::from_secs(60));
    assert_eq!((stage.reply().await, stage.reply().await), ("one".into(), "two".into()));
    stage.until_sql("SELECT count(*) FROM turns WHERE state = 'settled'", 1).await;
    let counted = series(&stage);
    for (name, value) in [
        ("longshore_turns_total{provider=\"claude\",outcome=\"retried\"}", 1.0),
        ("longshore_turns_total{provider=\"claude\",outcome=\"settled\"}", 1.0),
        ("longshore_turn_failures_total{code=\"CLAUDE_TRANSPORT_ERROR\"}", 1.0),
        ("longshore_turn_wait_seconds_count", 1.0),
        ("longshore_turn_duration_seconds_count{provider=\"claude\"}", 2.0),
        ("longshore_turn_first_text_seconds_count{provider=\"claude\"}", 1.0),
    ] {
        assert_eq!(counted.get(name), Some(&value), "{name}");
    }
}

#[tokio::test]
async fn a_task_that_is_fired_late_is_counted_with_its_lateness() {
    let stage = Stage::new(|request: &longshore_protocol::TurnRequest| {
        if request.prompt.contains("<task ") {
            return says("tock")(request);
        }
        let file =
            r#"{"type":"schedule_task","taskId":"t","prompt":"t","schedule_type":"interval","schedule_value":"60000"}"#;
        let mut lines = vec![Line::Asks("plan".into(), file.into())];
        lines.extend(says("planned")(request));
        lines
    })
    .await;
    stage.hear("every minute").await;
    assert_eq!(stage.reply().await, "planned");
    stage.until_sql("SELECT count(*) FROM tasks WHERE status = 'active'", 1).await;
    stage.advance(Duration::from_secs(62));
    assert_eq!(stage.reply().await, "tock");
    let counted = series(&stage);
    assert_eq!(counted["longshore_task_lateness_seconds_count"], 1.0, "{counted:?}");
    assert_eq!(counted["longshore_task_lateness_seconds_sum"], 2.0);
    assert_eq!(counted["longshore_turn_wait_seconds_count"], 2.0);
}

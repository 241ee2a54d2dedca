//! Tasks: asked for by files, fired by the timer, run as turns.

use std::time::Duration;

use longshore_protocol::{FailureKind, RunnerEvent, TurnRequest};

use super::stage::Stage;
use super::theatre::Line;
use super::{fails, says};

const MINUTE: Duration = Duration::from_secs(60);

/// A file that schedules something every minute.
fn every_minute(more: &str) -> Line {
    let file = format!(
        r#"{{"type":"schedule_task","taskId":"tick","prompt":"tick","schedule_type":"interval","schedule_value":"60000"{more}}}"#
    );
    Line::Asks("plan".into(), file)
}

/// An agent that schedules when it is spoken to, and does `run` when the task's time has come.
fn planner(
    more: &'static str,
    run: impl Fn(&TurnRequest) -> Vec<Line> + Send + Sync + 'static,
) -> impl Fn(&TurnRequest) -> Vec<Line> + Send + Sync + 'static {
    move |request| {
        if request.prompt.contains("<task ") {
            return run(request);
        }
        let mut lines = vec![every_minute(more)];
        lines.extend(says("planned")(request));
        lines
    }
}

async fn planned(more: &'static str, run: impl Fn(&TurnRequest) -> Vec<Line> + Send + Sync + 'static) -> Stage {
    let stage = Stage::new(planner(more, run)).await;
    stage.hear("tick every minute").await;
    assert_eq!(stage.reply().await, "planned");
    stage.until_sql("SELECT count(*) FROM tasks WHERE status = 'active'", 1).await;
    stage.until_sql("SELECT count(*) FROM turns WHERE state = 'settled'", 1).await;
    stage
}

#[tokio::test]
async fn a_task_that_an_agent_asks_for_runs_at_its_time_and_speaks_to_the_chat() {
    let stage = planned("", says("tock")).await;
    for minute in 1..=3 {
        stage.advance(MINUTE);
        assert_eq!(stage.reply().await, "tock");
        stage.until_sql("SELECT count(*) FROM runs WHERE outcome = 'ok' AND result = 'tock'", minute).await;
    }
    let prompt = stage.requests().pop().unwrap().prompt;
    assert!(prompt.contains("[SCHEDULED TASK]") && prompt.contains("tick"), "{prompt}");
}

#[tokio::test]
async fn an_isolated_run_leaves_the_groups_conversation_alone_and_a_run_in_it_continues_it() {
    let with_session = |name: &'static str| {
        move |request: &TurnRequest| {
            let turn = request.turn.clone();
            let mut lines = vec![Line::Event(RunnerEvent::Session { turn, session: name.parse().unwrap() })];
            lines.extend(says("ok")(request));
            lines
        }
    };
    for (context, task_sees, chat_sees) in
        [("isolated", None, Some("s-chat")), ("group", Some("s-chat"), Some("s-task"))]
    {
        let more = format!(r#","context_mode":"{context}""#);
        let agent = planner(more.leak(), with_session("s-task"));
        let stage = Stage::new(move |request: &TurnRequest| {
            let turn = request.turn.clone();
            let mut lines = agent(request);
            if !request.prompt.contains("<task ") {
                lines.insert(0, Line::Event(RunnerEvent::Session { turn, session: "s-chat".parse().unwrap() }));
            }
            lines
        })
        .await;
        stage.hear("plan").await;
        assert_eq!(stage.reply().await, "planned");
        stage.until_sql("SELECT count(*) FROM tasks", 1).await;
        stage.advance(MINUTE);
        assert_eq!(stage.reply().await, "ok");
        stage.until_sql("SELECT count(*) FROM runs WHERE outcome = 'ok'", 1).await;
        stage.hear("and now?").await;
        stage.until_requests(3).await;
        let sessions: Vec<_> =
            stage.requests().into_iter().map(|request| request.session.map(|session| session.to_string())).collect();
        assert_eq!(sessions[1].as_deref(), task_sees, "{context}");
        assert_eq!(sessions[2].as_deref(), chat_sees, "{context}");
    }
}

#[tokio::test]
async fn a_run_that_has_nothing_to_say_is_silent_and_no_failure() {
    let stage = planned("", |request| vec![Line::Event(RunnerEvent::Finished { turn: request.turn.clone() })]).await;
    stage.advance(MINUTE);
    stage.until_sql("SELECT count(*) FROM runs WHERE outcome = 'ok' AND result IS NULL", 1).await;
    assert_eq!(stage.delivered().len(), 1, "only `planned`");
}

#[tokio::test]
async fn a_task_that_fails_again_and_again_is_told_once_and_then_paused() {
    let stage = planned("", |request| vec![fails(request, FailureKind::Config)]).await;
    for minute in 1..=5 {
        stage.advance(MINUTE);
        stage.until_sql("SELECT count(*) FROM runs WHERE outcome = 'failed'", minute).await;
    }
    stage.until_sql("SELECT count(*) FROM tasks WHERE status = 'paused' AND next_run IS NULL", 1).await;
    stage.advance(MINUTE);
    let told = [stage.reply().await, stage.reply().await];
    assert!(told[0].starts_with("The scheduled task `tick` did not work"), "{told:?}");
    assert!(told[1].contains("failed 5 times in a row, so I paused it"), "{told:?}");
    assert_eq!(stage.delivered().len(), 3, "{:?}", stage.delivered());
    assert_eq!(stage.sql("SELECT count(*) FROM runs"), 5);
}

#[tokio::test]
async fn a_task_whose_group_is_gone_is_paused_at_once_and_goes_on_when_the_group_is_back() {
    let stage = planned("", says("tock")).await;
    stage.register("{}");
    stage.until_sql("SELECT count(*) FROM tasks WHERE paused_because = 'its group is not registered'", 1).await;
    stage.advance(10 * MINUTE);
    stage.register(super::opening::GROUPS);
    stage.until_sql("SELECT count(*) FROM tasks WHERE status = 'active'", 1).await;
    stage.advance(MINUTE);
    assert_eq!(stage.reply().await, "tock");
    assert_eq!(stage.sql("SELECT count(*) FROM runs"), 1, "nothing was caught up");
}

#[tokio::test]
async fn what_a_dead_host_missed_is_caught_up_once() {
    let stage = planned("", says("tock")).await;
    let stage = stage.crash_for(10 * MINUTE, planner("", says("tock"))).await;
    assert_eq!(stage.reply().await, "tock");
    stage.until_sql("SELECT count(*) FROM runs WHERE outcome = 'ok'", 1).await;
    let (scheduled, now) = ("SELECT max(scheduled_for) / 1000 FROM runs", 1_800_000_000 + 600);
    assert_eq!(stage.sql(scheduled), now, "the latest of them");
    stage.advance(MINUTE);
    assert_eq!(stage.reply().await, "tock");
}

#[tokio::test]
async fn a_run_whose_time_comes_while_the_last_one_is_not_over_is_left_out() {
    let slow = |request: &TurnRequest| {
        let mut lines = vec![Line::Pause(Duration::from_secs(2))];
        lines.extend(says("slow")(request));
        lines
    };
    let stage = planned("", slow).await;
    stage.advance(MINUTE);
    stage.until_requests(2).await;
    stage.advance(MINUTE);
    stage.until_sql("SELECT count(*) FROM runs WHERE outcome = 'skipped'", 1).await;
    assert_eq!(stage.reply().await, "slow");
    stage.until_sql("SELECT count(*) FROM runs WHERE outcome = 'ok'", 1).await;
    assert_eq!(stage.requests().len(), 2);
}

#[tokio::test]
async fn people_and_tasks_take_turns_in_a_group() {
    let slow = |request: &TurnRequest| {
        let mut lines = vec![Line::Pause(Duration::from_millis(300))];
        lines.extend(says("ok")(request));
        lines
    };
    let stage = planned(r#","misfire":"all""#, slow).await;
    // Three runs wait at once, and a person speaks while the first of them runs.
    stage.advance(3 * MINUTE);
    stage.until_requests(2).await;
    stage.hear("hello").await;
    stage.until_requests(5).await;
    let kinds: Vec<bool> = stage.requests()[1..].iter().map(|request| request.prompt.contains("<task ")).collect();
    assert_eq!(kinds, [true, false, true, true]);
}

#[tokio::test]
async fn a_turn_whose_wish_was_granted_is_not_run_again_when_it_fails() {
    let stage = Stage::new(|request: &TurnRequest| {
        vec![every_minute(""), Line::Pause(Duration::from_millis(100)), fails(request, FailureKind::Transport)]
    })
    .await;
    stage.hear("plan").await;
    assert!(stage.reply().await.starts_with("I could not finish"), "told, and not tried again");
    assert_eq!(stage.requests().len(), 1);
    assert_eq!(stage.sql("SELECT count(*) FROM tasks"), 1);
}

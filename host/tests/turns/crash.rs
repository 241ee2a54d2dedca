//! A host that dies at every commit of a conversation, one after the other: a message, what the agent asks
//! for by files, a task whose time comes twice, and a platform that takes nothing at its first try.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use longshore::store::Fuse;
use longshore_protocol::{RunnerEvent, TurnRequest};

use super::says;
use super::stage::Stage;
use super::theatre::Line;

/// How often an agent has asked.
static ASKED: AtomicU32 = AtomicU32::new(0);

const PATIENCE: Duration = Duration::from_secs(20);

fn agent(request: &TurnRequest) -> Vec<Line> {
    if request.prompt.contains("<task ") {
        return says("tock")(request);
    }
    // Another name each time, as agents choose: one that is run again would schedule a second task.
    let number = ASKED.fetch_add(1, Ordering::Relaxed);
    let (name, note) = (format!("plan-{number}"), format!("note-{number}"));
    let file = r#"{"type":"schedule_task","prompt":"tick","schedule_type":"interval","schedule_value":"60000"}"#;
    let message = r#"{"type":"message","chatJid":"test:1","text":"by file"}"#;
    let mut lines = vec![Line::Asks(note, message.to_owned()), Line::Asks(name, file.to_owned())];
    let turn = request.turn.clone();
    lines.push(Line::Event(RunnerEvent::Message { turn: turn.clone(), text: "planned".into() }));
    lines.push(Line::Event(RunnerEvent::Finished { turn }));
    lines
}

/// Waits for a count in the store; false when the store died first.
async fn reached(stage: &Stage, sql: &str, count: i64) -> bool {
    let begin = Instant::now();
    while stage.sql(sql) < count {
        if stage.is_dead().await {
            return false;
        }
        assert!(begin.elapsed() < PATIENCE, "never: {sql}");
        tokio::time::sleep(Duration::from_millis(2)).await;
        // No further than to the next try: a clock that runs away skips the task's times.
        stage.clock_reaches(stage.sql("SELECT ifnull(min(not_before), 0) FROM outbox WHERE state = 'pending'"));
    }
    true
}

/// The conversation: somebody has a task scheduled, and its time comes twice. False when the store died.
/// Every step can be done again, as a platform and a clock would.
async fn conversation(stage: &Stage) -> bool {
    let over = "SELECT count(*) FROM turns WHERE state IN ('settled', 'gave_up')";
    let runs = "SELECT count(*) FROM runs WHERE outcome IN ('ok', 'failed')";
    if !stage.bring("m1", "tick every minute").await {
        return false;
    }
    if !(reached(stage, "SELECT count(*) FROM tasks", 1).await && reached(stage, over, 1).await) {
        return false;
    }
    for minute in 1..=2 {
        // In one look: a time that comes between two would be taken for the next.
        let due = format!("SELECT iif((SELECT count(*) FROM runs) < {minute}, next_run, 0) FROM tasks");
        stage.clock_reaches(stage.sql(&due));
        if !reached(stage, runs, minute).await {
            return false;
        }
    }
    reached(stage, "SELECT count(*) = 0 FROM outbox WHERE state = 'pending'", 1).await
}

/// What must hold however often the host died.
fn check(stage: &Stage, fuse: Fuse) {
    for (sql, count) in [
        ("SELECT count(*) FROM messages", 1),
        ("SELECT count(*) FROM tasks", 1),
        ("SELECT count(*) FROM turns WHERE state IN ('settled', 'gave_up')", 3),
        ("SELECT count(*) FROM turns", 3),
        ("SELECT count(*) FROM runs WHERE outcome IN ('ok', 'failed')", 2),
        ("SELECT count(DISTINCT scheduled_for) FROM runs", 2),
        ("SELECT count(*) FROM runs", 2),
    ] {
        assert_eq!(stage.sql(sql), count, "{fuse:?}: {sql}");
    }
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for (id, text) in stage.delivered() {
        let first = texts.entry(id).or_insert_with(|| text.clone());
        assert_eq!(*first, text, "{fuse:?}: one id, two texts");
    }
    assert_eq!(stage.sql("SELECT count(*) FROM outbox WHERE state <> 'sent'"), 0, "{fuse:?}: undelivered");
    let count = |wanted: &str| texts.values().filter(|text| *text == wanted).count();
    assert_eq!(count("tock"), 2, "{fuse:?}: each time once: {texts:?}");
    assert_eq!(count("by file"), 1, "{fuse:?}: asked for once: {texts:?}");
    assert!(count("planned") <= 1, "{fuse:?}: {texts:?}");
    assert!(count("planned") + count(longshore::phrases::INTERRUPTED) >= 1, "{fuse:?}: no word: {texts:?}");
}

#[tokio::test]
async fn a_task_runs_once_for_each_of_its_times_at_whichever_commit_the_host_dies() {
    let mut crashes = 0;
    for commit in 1.. {
        let mut outlived = 0;
        for fuse in [Fuse::Before(commit), Fuse::After(commit)] {
            let mut stage = Stage::fused(fuse, agent).await;
            stage.refuse_each_once();
            if conversation(&stage).await {
                outlived += 1;
            } else {
                crashes += 1;
                stage = stage.crash(agent).await;
                stage.refuse_each_once();
                assert!(conversation(&stage).await, "{fuse:?}: a store without a fuse died");
            }
            check(&stage, fuse);
        }
        if outlived == 2 {
            break;
        }
    }
    eprintln!("the host died at {crashes} points");
    assert!(crashes > 30, "the conversation has more commits than {crashes}");
}

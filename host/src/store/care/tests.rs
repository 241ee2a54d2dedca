//! What is forgotten, and above all what is not.

use longshore_protocol::GroupId;
use longshore_protocol::ipc::{ContextMode, Misfire, Overlap, ScheduleType, TaskStatus};
use longshore_protocol::{Failure, FailureKind, ProviderKind};

use super::*;
use crate::store::messages::NewMessage;
use crate::store::tasks::{Firing, Task, TaskChange};
use crate::store::turns::{Begin, BeginTurn, BegunTurn, EndTurn};

const CHAT: &str = "test:1";

fn day(day: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + day * 86_400).unwrap()
}

struct Rig {
    _folder: tempfile::TempDir,
    store: Store,
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("longshore.db")).unwrap();
        Self { _folder: folder, store }
    }

    async fn record(&self, chat: &str, id: &str, wakes: bool, at: Timestamp) {
        let message = NewMessage {
            chat: chat.into(),
            channel: "test".into(),
            sender: "ann".into(),
            sender_name: "Ann".into(),
            platform_id: id.into(),
            text: id.into(),
            reply_to: None,
            is_group: true,
            sent_at: at,
            received_at: at,
            route: String::new(),
            wakes,
            stops: false,
        };
        self.store.record(message).await.unwrap().committed().await.unwrap();
    }

    async fn begin(&self, at: Timestamp) -> BegunTurn {
        let begin = BeginTurn { group: group(), chat: CHAT.into(), provider: ProviderKind::Claude, max_messages: 9 };
        match self.store.begin_turn(begin, at).await.unwrap() {
            Begin::Turn(turn) => *turn,
            other => panic!("no turn: {other:?}"),
        }
    }

    /// A message, its reply and the end of its turn; the reply is not sent.
    async fn conversation(&self, id: &str, at: Timestamp) {
        self.record(CHAT, id, true, at).await;
        let turn = self.begin(at).await;
        self.store.say(turn.id.clone(), CHAT.into(), None, vec![format!("re {id}")], at).await.unwrap();
        self.store.end_turn(turn.id, EndTurn::Settled, at).await.unwrap();
    }

    async fn send_all(&self, at: Timestamp) {
        while let Some(head) = self.store.outbox_heads(self.store.outbox_chats().await.unwrap()).await.unwrap().first()
        {
            self.store.outbox_sent(head.message.outbox_id, at).await.unwrap();
        }
    }

    async fn texts(&self, sql: &'static str) -> Vec<String> {
        self.store.read(move |c| c.prepare(sql)?.query_map([], |row| row.get(0))?.collect()).await.unwrap()
    }

    /// Walks everything as the upkeep does.
    async fn forget(&self, before: Timestamp, served: Option<Served>) {
        let mut after = Some(0);
        while let Some(from) = after {
            after = self.store.forget_messages(from, before, served.clone()).await.unwrap().next;
        }
        self.store.forget_outbox(0, before).await.unwrap();
        self.store.forget_turns(String::new(), before).await.unwrap();
        self.store.forget_runs(String::new(), before).await.unwrap();
    }
}

fn group() -> GroupId {
    "family".parse().unwrap()
}

fn served(chats: &[&str]) -> Option<Served> {
    Some(Arc::new(chats.iter().map(|chat| ((*chat).to_owned(), group().to_string())).collect()))
}

#[tokio::test]
async fn what_has_ended_is_forgotten_when_it_is_old_and_not_before() {
    let rig = Rig::new();
    rig.conversation("old", day(0)).await;
    rig.conversation("young", day(50)).await;
    rig.send_all(day(50)).await;
    rig.forget(day(10), served(&[CHAT])).await;
    assert_eq!(rig.texts("SELECT text FROM messages").await, ["young"]);
    assert_eq!(rig.texts("SELECT text FROM outbox").await, ["re old", "re young"], "sent on the day 50");
    assert_eq!(rig.texts("SELECT state FROM turns").await, ["settled"]);
    rig.forget(day(51), None).await;
    for table in ["SELECT text FROM messages", "SELECT text FROM outbox", "SELECT state FROM turns"] {
        assert!(rig.texts(table).await.is_empty(), "{table}");
    }
    assert_eq!(rig.texts("SELECT chat FROM chats").await, [CHAT]);
    rig.record(CHAT, "next", true, day(52)).await;
    assert_eq!(rig.begin(day(52)).await.attempt, 1, "the cursor is behind a message that comes later");
}

#[tokio::test]
async fn what_is_not_finished_is_kept_however_old_it_is() {
    let rig = Rig::new();
    rig.conversation("unsent reply", day(0)).await;
    rig.record(CHAT, "retried", true, day(0)).await;
    let turn = rig.begin(day(0)).await;
    let failure = Failure::new("claude", FailureKind::Transport, "lost");
    let retry = EndTurn::Retry { failure, at: Some(day(1)), counted: true, forget_session: false };
    rig.store.end_turn(turn.id, retry, day(0)).await.unwrap();
    rig.record(CHAT, "waiting", true, day(0)).await;
    rig.record(CHAT, "context", false, day(0)).await;
    rig.forget(day(100), served(&[CHAT])).await;
    assert_eq!(rig.texts("SELECT text FROM messages").await, ["retried", "waiting", "context"]);
    assert_eq!(rig.texts("SELECT text FROM outbox").await, ["re unsent reply"]);
    assert_eq!(rig.texts("SELECT state FROM turns ORDER BY state").await, ["settled", "waiting"]);
    // The turn that runs again finds its message.
    assert_eq!(rig.begin(day(100)).await.attempt, 2);
    rig.forget(day(200), served(&[CHAT])).await;
    assert_eq!(rig.texts("SELECT text FROM messages").await, ["retried", "waiting", "context"]);
}

#[tokio::test]
async fn of_a_chat_without_a_group_all_goes_but_what_was_never_answered() {
    let rig = Rig::new();
    rig.record("test:gone", "context", false, day(0)).await;
    rig.record("test:gone", "waiting", true, day(0)).await;
    rig.forget(day(100), None).await;
    assert_eq!(rig.texts("SELECT text FROM messages").await.len(), 2, "which groups there are is not known");
    rig.forget(day(100), served(&[CHAT])).await;
    assert_eq!(rig.texts("SELECT text FROM messages").await, ["waiting"]);
}

#[tokio::test]
async fn dead_letters_go_with_time() {
    let rig = Rig::new();
    rig.store.notice(CHAT.into(), vec!["one".into()], day(0)).await.unwrap();
    rig.store.outbox_failed(1, "refused".into(), None, day(20)).await.unwrap();
    rig.forget(day(10), None).await;
    assert_eq!(rig.texts("SELECT text FROM outbox").await, ["one"]);
    rig.forget(day(21), None).await;
    assert!(rig.texts("SELECT text FROM outbox").await.is_empty());
}

#[tokio::test]
async fn a_long_history_goes_in_batches() {
    let rig = Rig::new();
    for number in 0..1_200 {
        rig.store.record(message(number)).await.unwrap();
    }
    let step = rig.store.forget_messages(0, day(10), served(&[])).await.unwrap();
    assert_eq!(step, Step { removed: BATCH as u64, next: Some(BATCH as i64) });
    rig.forget(day(10), served(&[])).await;
    assert!(rig.texts("SELECT text FROM messages").await.is_empty());
}

fn message(number: i64) -> NewMessage {
    NewMessage {
        chat: "test:gone".into(),
        channel: "test".into(),
        sender: "ann".into(),
        sender_name: "Ann".into(),
        platform_id: number.to_string(),
        text: "x".into(),
        reply_to: None,
        is_group: true,
        sent_at: day(0),
        received_at: day(0),
        route: String::new(),
        wakes: false,
        stops: false,
    }
}

async fn schedule(rig: &Rig, id: &str) {
    let task = Task {
        id: id.parse().unwrap(),
        group: group(),
        prompt: "p".into(),
        schedule_type: ScheduleType::Interval,
        schedule_value: "86400000".into(),
        timezone: None,
        zone: "UTC".into(),
        context_mode: ContextMode::Isolated,
        misfire: Misfire::Latest,
        overlap: Overlap::Skip,
        jitter_seconds: 0,
        status: TaskStatus::Active,
        paused_because: None,
        anchor: day(0),
        next_run: Some(day(0)),
        due_at: Some(day(0)),
        failures: 0,
        created_by: "operator".into(),
        created_at: day(0),
    };
    let add = move |_, _| ((), TaskChange::Add(Box::new(task)));
    rig.store.decide_task(id.parse().unwrap(), None, day(0), add).await.unwrap();
}

#[tokio::test]
async fn a_task_keeps_its_newest_run_and_goes_when_it_is_over_and_has_none() {
    let rig = Rig::new();
    schedule(&rig, "task-a").await;
    for number in 0..3 {
        let fire = move |_: &Task, _| Firing::Run {
            chat: CHAT.into(),
            times: vec![day(number)],
            next: Some((day(number + 1), day(number + 1))),
        };
        rig.store.fire(day(number), fire).await.unwrap();
        let turn = rig.begin(day(number)).await;
        rig.store.end_turn(turn.id, EndTurn::Settled, day(number)).await.unwrap();
    }
    rig.forget(day(2), None).await;
    assert_eq!(rig.texts("SELECT outcome FROM runs").await.len(), 1, "the third is not old yet");
    rig.forget(day(100), None).await;
    assert_eq!(rig.texts("SELECT outcome FROM runs").await, ["ok"]);
    let cancel = |task: Option<Task>, _| {
        ((), TaskChange::SetAndCallOff(Box::new(Task { status: TaskStatus::Cancelled, ..task.unwrap() })))
    };
    rig.store.decide_task("task-a".parse().unwrap(), None, day(100), cancel).await.unwrap();
    rig.forget(day(101), None).await;
    assert!(rig.texts("SELECT outcome FROM runs").await.is_empty());
    assert!(rig.texts("SELECT id FROM tasks").await.is_empty());
}

#[tokio::test]
async fn a_run_that_waits_is_kept_with_its_task() {
    let rig = Rig::new();
    schedule(&rig, "task-a").await;
    let fire = |_: &Task, _| Firing::Run { chat: CHAT.into(), times: vec![day(0)], next: None };
    rig.store.fire(day(0), fire).await.unwrap();
    rig.forget(day(100), None).await;
    assert_eq!(rig.texts("SELECT outcome FROM runs").await, ["waiting"]);
    assert_eq!(rig.texts("SELECT status FROM tasks").await, ["completed"]);
    assert!(rig.begin(day(100)).await.task().is_some());
}

#[tokio::test]
async fn no_walk_reads_a_table_from_end_to_end() {
    let rig = Rig::new();
    for sql in [MESSAGES, OUTBOX, TURNS, TASKS, RUNS, TASK, PETITIONS] {
        let plan: Vec<String> = rig
            .store
            .read(move |c| {
                let mut query = c.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let nothing = vec![rusqlite::types::Null; query.parameter_count()];
                query.query_map(rusqlite::params_from_iter(nothing), |row| row.get(3))?.collect()
            })
            .await
            .unwrap();
        assert!(!plan.iter().any(|step| step.starts_with("SCAN")), "{sql}: {plan:#?}");
    }
}

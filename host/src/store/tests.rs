//! The store's promises, on a real file.

use std::time::Duration;

use jiff::Timestamp;
use longshore_protocol::{Failure, FailureKind, GroupId, ProviderKind};

use super::messages::{NewMessage, Outcome};
use super::outbox::OutboxHead;
use super::turns::{Begin, BeginTurn, BegunTurn, CoveredMessage, EndTurn, Subject};
use super::{Store, StoreError};

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub(super) fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("longshore.db")).unwrap();
    (folder, store)
}

pub(super) fn message(id: &str, wakes: bool) -> NewMessage {
    NewMessage {
        chat: "test:1".into(),
        channel: "test".into(),
        sender: "ann".into(),
        sender_name: "Ann".into(),
        platform_id: id.into(),
        text: format!("text of {id}"),
        reply_to: None,
        is_group: true,
        sent_at: at(0),
        received_at: at(0),
        route: if wakes { "wakes: main group".into() } else { "context: no trigger `@Andy`".into() },
        wakes,
        stops: false,
    }
}

pub(super) async fn record(store: &Store, id: &str, wakes: bool) -> i64 {
    store.record(message(id, wakes)).await.unwrap().committed().await.unwrap().seq
}

pub(super) fn begin() -> BeginTurn {
    BeginTurn {
        group: "family".parse().unwrap(),
        chat: "test:1".into(),
        provider: ProviderKind::Claude,
        max_messages: 3,
    }
}

pub(super) async fn begun(store: &Store, now: Timestamp) -> BegunTurn {
    match store.begin_turn(begin(), now).await.unwrap() {
        Begin::Turn(turn) => *turn,
        other => panic!("no turn: {other:?}"),
    }
}

pub(super) fn failure() -> Failure {
    Failure::new("claude", FailureKind::Transport, "lost")
}

pub(super) fn retry(seconds: i64) -> EndTurn {
    EndTurn::Retry { failure: failure(), at: Some(at(seconds)), counted: true, forget_session: false }
}

pub(super) fn messages(turn: &BegunTurn) -> (&[CoveredMessage], u64) {
    match &turn.subject {
        Subject::Messages { messages, omitted } => (messages, *omitted),
        Subject::Task(run) => panic!("a turn of {run:?}"),
    }
}

pub(super) fn texts(turn: &BegunTurn) -> Vec<&str> {
    messages(turn).0.iter().map(|message| message.platform_id.as_str()).collect()
}

/// The heads of every chat that has one.
pub(super) async fn heads(store: &Store) -> Result<Vec<OutboxHead>, StoreError> {
    store.outbox_heads(store.outbox_chats().await?).await
}

#[tokio::test]
async fn a_message_is_stored_once_whatever_the_platform_repeats() {
    let (_folder, store) = open();
    let first = store.record(message("a", true)).await.unwrap().committed().await.unwrap();
    let second = store.record(message("a", true)).await.unwrap().committed().await.unwrap();
    assert!(first.is_new && !second.is_new);
    assert_eq!(first.seq, second.seq);
}

#[tokio::test]
async fn context_alone_makes_no_turn_and_goes_into_the_next_one() {
    let (_folder, store) = open();
    let context = record(&store, "a", false).await;
    assert_eq!(store.begin_turn(begin(), at(1)).await.unwrap(), Begin::Nothing);
    assert!(matches!(store.outcome(context).await.unwrap(), Outcome::Context { .. }));
    record(&store, "b", true).await;
    assert_eq!(texts(&begun(&store, at(2)).await), ["a", "b"]);
}

#[tokio::test]
async fn a_settled_turn_moves_the_cursor_and_later_messages_belong_to_the_next() {
    let (_folder, store) = open();
    record(&store, "a", true).await;
    let turn = begun(&store, at(1)).await;
    record(&store, "b", true).await;
    store.end_turn(turn.id.clone(), EndTurn::Settled, at(2)).await.unwrap();
    let next = begun(&store, at(3)).await;
    assert_eq!(texts(&next), ["b"]);
    assert_ne!(next.id, turn.id);
    store.end_turn(next.id, EndTurn::Settled, at(4)).await.unwrap();
    assert_eq!(store.begin_turn(begin(), at(5)).await.unwrap(), Begin::Nothing);
}

#[tokio::test]
async fn a_second_running_turn_of_a_group_is_refused_by_the_database() {
    let (_folder, store) = open();
    record(&store, "a", true).await;
    begun(&store, at(1)).await;
    record(&store, "b", true).await;
    assert!(matches!(store.begin_turn(begin(), at(2)).await, Err(StoreError::Sqlite(_))));
}

#[tokio::test]
async fn a_retried_turn_waits_for_its_time_and_covers_the_same_messages() {
    let (_folder, store) = open();
    record(&store, "a", true).await;
    let turn = begun(&store, at(1)).await;
    store.end_turn(turn.id.clone(), retry(10), at(2)).await.unwrap();
    record(&store, "b", true).await;
    assert_eq!(store.begin_turn(begin(), at(9)).await.unwrap(), Begin::NotBefore(at(10)));
    let again = begun(&store, at(10)).await;
    assert_eq!((again.id, again.attempt, again.subject), (turn.id, 2, turn.subject));
}

#[tokio::test]
async fn an_attempt_that_never_reached_the_agent_is_not_counted() {
    let (_folder, store) = open();
    record(&store, "a", true).await;
    for _ in 0..20 {
        let turn = begun(&store, at(1)).await;
        assert_eq!(turn.attempt, 1);
        let end = EndTurn::Retry { failure: failure(), at: None, counted: false, forget_session: false };
        store.end_turn(turn.id, end, at(1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_turn_that_gave_up_says_so_and_is_over() {
    let (_folder, store) = open();
    let seq = record(&store, "a", true).await;
    let turn = begun(&store, at(1)).await;
    let end = EndTurn::GaveUp { failure: failure(), notice: vec!["Sorry.".into()], pause_task: false };
    store.end_turn(turn.id, end, at(2)).await.unwrap();
    assert_eq!(store.outcome(seq).await.unwrap(), Outcome::Open { retry_at: None }, "its sentence is not sent yet");
    let heads = heads(&store).await.unwrap();
    assert_eq!(heads[0].message.text, "Sorry.");
    store.outbox_sent(heads[0].message.outbox_id, at(3)).await.unwrap();
    let expected =
        Outcome::Ended { failure: Some("CLAUDE_TRANSPORT_ERROR".into()), outbox: vec![heads[0].message.outbox_id] };
    assert_eq!(store.outcome(seq).await.unwrap(), expected);
    assert_eq!(store.begin_turn(begin(), at(3)).await.unwrap(), Begin::Nothing);
}

#[tokio::test]
async fn a_long_range_is_bounded_and_keeps_the_message_that_woke_the_group() {
    let (_folder, store) = open();
    record(&store, "waking", true).await;
    for number in 0..10 {
        record(&store, &format!("context {number}"), false).await;
    }
    let turn = begun(&store, at(1)).await;
    assert_eq!(texts(&turn), ["waking", "context 7", "context 8", "context 9"]);
    assert_eq!(messages(&turn).1, 7);
}

#[tokio::test]
async fn an_interrupted_turn_is_found_with_whether_it_spoke() {
    let (folder, store) = open();
    record(&store, "a", true).await;
    let turn = begun(&store, at(1)).await;
    store.say(turn.id.clone(), "test:1".into(), None, vec!["half".into()], at(2)).await.unwrap();
    drop(store);
    let store = Store::open(&folder.path().join("longshore.db")).unwrap();
    let interrupted = store.interrupted_turns(None).await.unwrap();
    assert_eq!(interrupted.len(), 1);
    assert!(interrupted[0].said && interrupted[0].id == turn.id);
    let other: GroupId = "other".parse().unwrap();
    assert!(store.interrupted_turns(Some(other)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_session_is_remembered_per_provider_and_forgotten_with_a_stale_turn() {
    let (_folder, store) = open();
    record(&store, "a", true).await;
    let group: GroupId = "family".parse().unwrap();
    for (provider, session) in [(ProviderKind::Claude, "s-claude"), (ProviderKind::Codex, "s-codex")] {
        store.remember_session(group.clone(), provider, session.parse().unwrap(), at(0)).await.unwrap();
    }
    let turn = begun(&store, at(1)).await;
    assert_eq!(turn.session.as_ref().map(|session| session.as_str()), Some("s-claude"));
    let end = EndTurn::Retry { failure: failure(), at: None, counted: false, forget_session: true };
    store.end_turn(turn.id, end, at(1)).await.unwrap();
    assert_eq!(begun(&store, at(1)).await.session, None);
}

#[tokio::test]
async fn a_burst_is_stored_in_order_and_one_bad_request_fails_alone() {
    let (_folder, store) = open();
    let mut answers = Vec::new();
    for number in 0..2000 {
        answers.push(store.record(message(&number.to_string(), true)).await.unwrap());
    }
    // A turn that does not exist cannot be ended: its request fails, the burst around it does not.
    let missing = store.end_turn("missing".parse().unwrap(), EndTurn::Settled, at(0)).await;
    assert!(missing.is_err());
    let mut last = 0;
    for answer in answers {
        let seq = answer.committed().await.unwrap().seq;
        assert!(seq > last);
        last = seq;
    }
}

#[tokio::test]
async fn a_locked_database_is_reported_as_stalled_and_works_again_afterwards() {
    let (folder, store) = open();
    let other = rusqlite::Connection::open(folder.path().join("longshore.db")).unwrap();
    store.run(|c| c.busy_timeout(Duration::from_millis(10))).await.unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = store.record(message("a", true)).await.unwrap().committed().await;
    assert!(matches!(refused, Err(StoreError::Stalled(_))), "{refused:?}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(record(&store, "a", true).await, 1);
}

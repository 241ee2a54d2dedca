//! What is read of one message, on a real file with a store at work.

use longshore_protocol::{Failure, FailureKind, GroupId, ProviderKind};

use super::*;
use crate::store::Store;
use crate::store::messages::NewMessage;
use crate::store::turns::{Begin, BeginTurn, EndTurn};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn message(chat: &str, id: &str, wakes: bool) -> NewMessage {
    NewMessage {
        chat: chat.into(),
        channel: "test".into(),
        sender: "ann".into(),
        sender_name: "Ann".into(),
        platform_id: id.into(),
        text: "a secret".into(),
        reply_to: None,
        is_group: true,
        sent_at: at(0),
        received_at: at(1),
        route: if wakes { "wakes: main group" } else { "context: no text" }.into(),
        wakes,
        stops: false,
    }
}

#[tokio::test]
async fn a_message_is_told_with_its_turn_and_what_that_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("longshore.db");
    let store = Store::open(&file).unwrap();
    for (chat, id, wakes) in [("test:1", "7", false), ("test:1", "b", true), ("test:2", "b", true)] {
        store.record(message(chat, id, wakes)).await.unwrap().committed().await.unwrap();
    }
    let stories = Stories::open(&file).unwrap().unwrap();
    let told = |id: &str| stories.story(&Subject::Message(id.parse().unwrap())).unwrap();
    assert_eq!((told("2").turn, told("2").message.unwrap().seq), (None, 2));

    let group: GroupId = "family".parse().unwrap();
    let begin = BeginTurn { group, chat: "test:1".into(), provider: ProviderKind::Claude, max_messages: 9 };
    let Begin::Turn(turn) = store.begin_turn(begin, at(2)).await.unwrap() else { panic!("no turn") };
    store.record(message("test:1", "later", true)).await.unwrap().committed().await.unwrap();
    assert_eq!(told("4").open.map(|turn| turn.state), Some(TurnState::Running), "what it waits for");
    store.say(turn.id.clone(), "test:1".into(), None, vec!["hällo".into(), "x".into()], at(3)).await.unwrap();
    store.outbox_failed(2, "no such chat".into(), None, at(5)).await.unwrap();
    store.outbox_sent(1, at(6)).await.unwrap();
    let failure = Failure::new("claude", FailureKind::Transport, "lost");
    let end = EndTurn::GaveUp { failure, notice: vec!["Sorry.".into()], pause_task: false };
    store.end_turn(turn.id.clone(), end, at(4)).await.unwrap();

    let story = told("2");
    let row = story.turn.clone().unwrap();
    assert_eq!((row.state, row.attempt, row.said, story.covered), (TurnState::GaveUp, 1, true, 2));
    assert_eq!(row.failure, Some(("CLAUDE_TRANSPORT_ERROR".into(), "lost".into())));
    let rows: Vec<_> = story.outbox.iter().map(|row| (row.state, row.is_notice, row.characters)).collect();
    let expected = [(OutboxState::Sent, false, 5), (OutboxState::Dead, false, 1), (OutboxState::Pending, true, 6)];
    assert_eq!(rows, expected);
    // The same from its other ends.
    let by_turn = stories.story(&Subject::Turn(row.id.clone())).unwrap();
    assert_eq!(by_turn, story);
    let by_outbox = stories.story(&Subject::Outbox(2)).unwrap();
    assert_eq!((by_outbox.outbox.len(), by_outbox.turn, by_outbox.message), (1, story.turn, story.message));
    assert_eq!(stories.story(&Subject::Outbox(99)).unwrap(), Story::default());
}

#[tokio::test]
async fn an_id_that_means_several_rows_gives_them_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("longshore.db");
    let store = Store::open(&file).unwrap();
    for (chat, id) in [("test:1", "2"), ("test:2", "b"), ("test:3", "b")] {
        store.record(message(chat, id, true)).await.unwrap().committed().await.unwrap();
    }
    store.notice("test:1".into(), vec!["one".into(), "two".into()], at(1)).await.unwrap();
    let group: GroupId = "family".parse().unwrap();
    let begin = BeginTurn { group, chat: "test:1".into(), provider: ProviderKind::Claude, max_messages: 9 };
    let Begin::Turn(turn) = store.begin_turn(begin, at(2)).await.unwrap() else { panic!("no turn") };
    let stories = Stories::open(&file).unwrap().unwrap();
    let found = |id: &str| -> Vec<Subject> {
        stories.candidates(id).unwrap().into_iter().map(|candidate| candidate.subject).collect()
    };
    assert_eq!(found("b"), [Subject::Message(3), Subject::Message(2)]);
    assert_eq!(found("2"), [Subject::Message(2), Subject::Message(1), Subject::Outbox(2)]);
    assert_eq!(found(turn.id.as_str()), [Subject::Turn(turn.id.to_string())]);
    assert_eq!(found(&turn.id.as_str()[..8]), [Subject::Turn(turn.id.to_string())]);
    for nothing in ["", "%", "' OR 1", "99", &turn.id.as_str()[..3]] {
        assert_eq!(found(nothing), [], "{nothing}");
    }
}

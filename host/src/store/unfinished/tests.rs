//! What the doctor reads, on a real file with a store at work.

use longshore_protocol::{Failure, FailureKind, GroupId, ProviderKind};

use super::*;
use crate::store::Store;
use crate::store::messages::NewMessage;
use crate::store::turns::{Begin, BeginTurn, EndTurn};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn message(chat: &str, id: &str) -> NewMessage {
    NewMessage {
        chat: chat.into(),
        channel: "test".into(),
        sender: "ann".into(),
        sender_name: "Ann".into(),
        platform_id: id.into(),
        text: id.into(),
        reply_to: None,
        is_group: true,
        sent_at: at(0),
        received_at: at(0),
        route: String::new(),
        wakes: true,
        stops: false,
    }
}

#[tokio::test]
async fn a_message_is_listed_from_its_arrival_to_the_end_of_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("longshore.db");
    let store = Store::open(&file).unwrap();
    let read = || match inspect(&file, at(0)).unwrap() {
        Inspection::Read(unfinished) => *unfinished,
        other => panic!("{other:?}"),
    };
    assert_eq!(read(), Unfinished::default());
    for (chat, id) in [("test:1", "a"), ("test:1", "b"), ("test:2", "c")] {
        store.record(message(chat, id)).await.unwrap().committed().await.unwrap();
    }
    store.record(NewMessage { wakes: false, ..message("test:1", "d") }).await.unwrap().committed().await.unwrap();
    let waits = |chat: &str, first_seq, messages| WithoutTurn { chat: chat.into(), first_seq, messages, since: at(0) };
    assert_eq!(read().without_turn, [waits("test:1", 1, 2), waits("test:2", 3, 1)]);

    let group: GroupId = "family".parse().unwrap();
    let begin = BeginTurn { group, chat: "test:1".into(), provider: ProviderKind::Claude, max_messages: 9 };
    let Begin::Turn(turn) = store.begin_turn(begin.clone(), at(1)).await.unwrap() else { panic!("no turn") };
    let running = OpenTurn {
        group: "family".into(),
        chat: "test:1".into(),
        running_since: Some(at(1)),
        attempt: 1,
        not_before: None,
        failure: None,
        task: None,
        first_seq: Some(1),
        messages: 2,
        since: at(0),
    };
    assert_eq!((read().without_turn, read().open_turns), (vec![waits("test:2", 3, 1)], vec![running.clone()]));
    let failure = Failure::new("claude", FailureKind::Transport, "lost");
    let retry = EndTurn::Retry { failure: failure.clone(), at: Some(at(9)), counted: true, forget_session: false };
    store.end_turn(turn.id.clone(), retry, at(2)).await.unwrap();
    let failed = Some("CLAUDE_TRANSPORT_ERROR: lost".to_owned());
    let waiting = OpenTurn { running_since: None, not_before: Some(at(9)), failure: failed, ..running };
    assert_eq!(read().open_turns, [waiting]);

    let Begin::Turn(turn) = store.begin_turn(begin, at(9)).await.unwrap() else { panic!("no turn") };
    let end = EndTurn::GaveUp { failure, notice: vec!["Sorry.".into(), "More.".into()], pause_task: false };
    store.end_turn(turn.id, end, at(10)).await.unwrap();
    store.outbox_failed(1, "busy".into(), Some(at(20)), at(11)).await.unwrap();
    let unsent = Unsent {
        chat: "test:1".into(),
        rows: 2,
        since: at(10),
        attempts: 1,
        not_before: Some(at(20)),
        error: Some("busy".into()),
    };
    assert_eq!((read().open_turns, read().unsent), (Vec::new(), vec![unsent]));
    store.outbox_failed(1, "refused".into(), None, at(20)).await.unwrap();
    store.outbox_sent(2, at(20)).await.unwrap();
    let dead = DeadLetter { chat: "test:1".into(), id: 1, attempts: 2, error: Some("refused".into()), at: at(20) };
    assert_eq!((read().unsent, read().dead), (Vec::new(), vec![dead]));
    assert!(matches!(inspect(&file, at(21)).unwrap(), Inspection::Read(unfinished) if unfinished.dead.is_empty()));
}

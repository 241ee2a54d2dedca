use super::*;
use crate::store::tests::{at, begin, begun, heads, open, record, retry};
use crate::store::turns::EndTurn;
use crate::store::undelivered::{Undelivered, UndeliveredText};

async fn say(store: &Store, pieces: &[&str]) {
    let turn = begun(store, at(1)).await;
    let pieces = pieces.iter().map(|piece| (*piece).to_owned()).collect();
    store.say(turn.id.clone(), "test:1".into(), None, pieces, at(1)).await.unwrap();
    store.end_turn(turn.id, EndTurn::Settled, at(1)).await.unwrap();
}

async fn give_up(store: &Store, reason: &str, seconds: i64) {
    let head = heads(store).await.unwrap().remove(0);
    store.outbox_failed(head.message.outbox_id, reason.into(), None, at(seconds)).await.unwrap();
}

#[tokio::test]
async fn rows_of_a_chat_leave_in_order_and_a_failed_one_holds_the_others_back() {
    let (_folder, store) = open();
    store.notice("test:1".into(), vec!["one".into()], at(0)).await.unwrap();
    store.notice("test:1".into(), vec!["two".into()], at(0)).await.unwrap();
    store.notice("test:2".into(), vec!["other".into()], at(0)).await.unwrap();
    let first = heads(&store).await.unwrap();
    assert_eq!(first.iter().map(|head| head.message.text.as_str()).collect::<Vec<_>>(), ["one", "other"]);
    let id = first[0].message.outbox_id;
    store.outbox_failed(id, "busy".into(), Some(at(9)), at(1)).await.unwrap();
    let again = heads(&store).await.unwrap();
    assert_eq!(again[0].message, first[0].message, "the same row with the same message id");
    assert_eq!((again[0].attempts, again[0].not_before), (1, Some(at(9))));
    store.outbox_failed(id, "refused".into(), None, at(2)).await.unwrap();
    assert_eq!(heads(&store).await.unwrap()[0].message.text, "two");
    assert_eq!(store.outbox_counts().await.unwrap(), (2, 1));
}

#[tokio::test]
async fn a_text_whose_first_piece_cannot_be_delivered_is_given_up_whole_and_the_next_text_leaves() {
    let (_folder, store) = open();
    record(&store, "a", true).await;
    say(&store, &["one of three", "two of three", "three of three"]).await;
    store.notice("test:1".into(), vec!["another text".into()], at(1)).await.unwrap();
    store.notice("test:2".into(), vec!["another chat".into()], at(1)).await.unwrap();
    give_up(&store, "refused", 2).await;
    let left: Vec<String> = heads(&store).await.unwrap().into_iter().map(|head| head.message.text).collect();
    assert_eq!(left, ["another text", "another chat"]);
    assert_eq!(store.outbox_counts().await.unwrap(), (2, 3));
}

#[tokio::test]
async fn pieces_that_arrived_stay_delivered_when_a_later_one_cannot_be() {
    let (_folder, store) = open();
    store.notice("test:1".into(), vec!["1".into(), "2".into(), "3".into()], at(0)).await.unwrap();
    store.outbox_sent(heads(&store).await.unwrap()[0].message.outbox_id, at(1)).await.unwrap();
    give_up(&store, "refused", 2).await;
    assert_eq!(store.outbox_counts().await.unwrap(), (0, 2));
    assert!(heads(&store).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_next_turn_is_handed_what_was_not_delivered_until_one_settles() {
    let (_folder, store) = open();
    record(&store, "a", true).await;
    let long = "x".repeat(300);
    say(&store, &[&long, "the rest"]).await;
    give_up(&store, "no such chat", 5).await;
    store.notice("test:1".into(), vec!["the host's own words".into()], at(1)).await.unwrap();
    give_up(&store, "no such chat", 6).await;
    record(&store, "b", true).await;
    let expected = Undelivered {
        texts: vec![UndeliveredText {
            given_up_at: at(5),
            beginning: "x".repeat(200),
            characters: 308,
            reason: "no such chat".into(),
        }],
        omitted: 0,
    };
    let turn = begun(&store, at(10)).await;
    assert_eq!(turn.undelivered, expected);
    // It is given up while the turn runs, which was not told of it.
    store.say(turn.id.clone(), "test:1".into(), None, vec!["later".into()], at(11)).await.unwrap();
    give_up(&store, "blocked", 12).await;
    store.end_turn(turn.id, retry(13), at(12)).await.unwrap();
    let again = begun(&store, at(20)).await;
    assert_eq!(again.undelivered.texts.len(), 2, "a turn that did not settle has told nobody");
    store.say(again.id.clone(), "test:1".into(), None, vec!["last".into()], at(21)).await.unwrap();
    give_up(&store, "blocked", 22).await;
    store.end_turn(again.id, EndTurn::Settled, at(23)).await.unwrap();
    record(&store, "c", true).await;
    let next = begun(&store, at(30)).await;
    let beginnings: Vec<_> = next.undelivered.texts.iter().map(|text| text.beginning.as_str()).collect();
    assert_eq!(beginnings, ["last"], "each is told once");
}

#[tokio::test]
async fn only_the_newest_of_many_are_handed_over_and_the_others_counted() {
    let (_folder, store) = open();
    record(&store, "a", true).await;
    let turn = begun(&store, at(1)).await;
    for number in 0..9 {
        store.say(turn.id.clone(), "test:1".into(), None, vec![number.to_string()], at(1)).await.unwrap();
        give_up(&store, "blocked", 2).await;
    }
    store.end_turn(turn.id, EndTurn::Settled, at(3)).await.unwrap();
    record(&store, "b", true).await;
    let handed = begun(&store, at(4)).await.undelivered;
    let beginnings: Vec<_> = handed.texts.iter().map(|text| text.beginning.as_str()).collect();
    assert_eq!((beginnings, handed.omitted), (vec!["4", "5", "6", "7", "8"], 4));
    assert!(matches!(store.begin_turn(begin(), at(5)).await, Err(StoreError::Sqlite(_))), "it runs");
}

#[tokio::test]
async fn what_an_earlier_release_gave_up_is_old_news() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("longshore.db");
    let old = Connection::open(&file).unwrap();
    old.execute_batch(include_str!("../migrations/0001.sql")).unwrap();
    old.execute_batch(include_str!("../migrations/0002.sql")).unwrap();
    old.pragma_update(None, "user_version", 2).unwrap();
    old.execute_batch(
        "INSERT INTO outbox (message_id, chat, kind, text, state, created_at) VALUES ('A', 'test:1', 'reply', 'x', 'dead', 0);
         INSERT INTO outbox (message_id, chat, kind, text, state, created_at) VALUES ('B', 'test:1', 'reply', 'y', 'pending', 0);",
    )
    .unwrap();
    drop(old);
    let store = Store::open(&file).unwrap();
    record(&store, "a", true).await;
    give_up(&store, "blocked", 1).await;
    let handed = begun(&store, at(2)).await.undelivered;
    assert_eq!(handed.texts.len(), 1);
    assert_eq!(handed.texts[0].beginning, "y");
}

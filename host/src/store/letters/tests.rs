use super::*;
use crate::store::tests::{at, heads, open};

async fn texts(store: &Store) -> Vec<String> {
    heads(store).await.unwrap().into_iter().map(|head| head.message.text).collect()
}

async fn give_up(store: &Store, id: i64) {
    store.outbox_failed(id, "refused".into(), None, at(5)).await.unwrap();
}

async fn numbers(store: &Store, dropped: bool) -> Vec<i64> {
    store.letters(None, dropped, 9).await.unwrap().iter().map(|letter| letter.id).collect()
}

#[tokio::test]
async fn a_letter_that_is_sent_again_keeps_its_ids_and_its_place() {
    let (_folder, store) = open();
    let first = store.enqueue("test:1".into(), vec!["one".into(), "two".into()], at(1)).await.unwrap();
    assert_eq!(first.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 2]);
    store.enqueue("test:1".into(), vec!["later".into()], at(2)).await.unwrap();
    give_up(&store, 1).await;
    assert_eq!(texts(&store).await, ["later"]);
    let letters = store.letters(None, false, 9).await.unwrap();
    assert_eq!(letters.len(), 1, "a text is one letter, however many pieces it has");
    let Letter { id, attempts, error, given_up_at, beginning, pieces, .. } = &letters[0];
    assert_eq!((*id, *attempts, error.as_deref(), *given_up_at), (1, 1, Some("refused"), at(5)));
    assert_eq!((beginning.as_str(), *pieces), ("one", 2));

    // Any of its pieces names it, and twice is once.
    let decided = store.decide_letters(Which::These(vec![2, 1]), Fate::Retry).await.unwrap().unwrap();
    assert_eq!(decided.len(), 1);
    assert_eq!(numbers(&store, true).await, [0; 0]);
    let head = heads(&store).await.unwrap().remove(0);
    assert_eq!((head.message.outbox_id, &head.message.message_id), (1, &first[0].1));
    assert_eq!((head.attempts, head.not_before), (0, None));
    for expected in ["one", "two", "later"] {
        let head = heads(&store).await.unwrap().remove(0);
        assert_eq!(head.message.text, expected);
        store.outbox_sent(head.message.outbox_id, at(6)).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_dropped_is_kept_and_no_longer_told() {
    let (_folder, store) = open();
    for chat in ["test:1", "test:2", "test:2"] {
        store.enqueue(chat.into(), vec!["hello".into()], at(1)).await.unwrap();
    }
    for id in 1..=3 {
        give_up(&store, id).await;
    }
    let only = Which::All { chat: Some("test:2".into()) };
    assert_eq!(store.decide_letters(only.clone(), Fate::Drop).await.unwrap().unwrap().len(), 2);
    assert_eq!((numbers(&store, false).await, numbers(&store, true).await), (vec![1], vec![1, 2, 3]));
    assert_eq!(store.outbox_counts().await.unwrap(), (0, 1));
    // All means all that are not dropped; a number means that letter.
    assert_eq!(store.decide_letters(only, Fate::Retry).await.unwrap(), Ok(Vec::new()));
    assert!(store.decide_letters(Which::These(vec![3]), Fate::Retry).await.unwrap().unwrap()[0].dropped);
    assert_eq!(store.outbox_counts().await.unwrap(), (1, 1));
}

#[tokio::test]
async fn a_number_that_is_no_letter_changes_nothing() {
    let (_folder, store) = open();
    store.enqueue("test:1".into(), vec!["hello".into()], at(1)).await.unwrap();
    store.enqueue("test:1".into(), vec!["waits".into()], at(1)).await.unwrap();
    give_up(&store, 1).await;
    let decided = store.decide_letters(Which::These(vec![1, 2, 77]), Fate::Retry).await.unwrap();
    assert_eq!(decided, Err(NoSuchLetters(vec![2, 77])));
    assert_eq!(numbers(&store, false).await, [1]);
}

#[tokio::test]
async fn rows_are_followed_to_their_end() {
    let (_folder, store) = open();
    store.enqueue("test:1".into(), vec!["one".into(), "two".into(), "three".into()], at(1)).await.unwrap();
    store.outbox_sent(1, at(2)).await.unwrap();
    store.outbox_failed(2, "busy".into(), Some(at(9)), at(3)).await.unwrap();
    let states = store.row_states(vec![1, 2, 3, 4]).await.unwrap();
    let told: Vec<_> = states.iter().map(|row| (row.state.as_deref(), row.attempts, row.error.as_deref())).collect();
    assert_eq!(
        told,
        [(Some("sent"), 1, None), (Some("pending"), 1, Some("busy")), (Some("pending"), 0, None), (None, 0, None)]
    );
    assert!(store.enqueue("test:1".into(), Vec::new(), at(1)).await.unwrap().is_empty());
}

use super::*;
use crate::store::tests::{at, begin, begun, messages, open, record, retry};
use crate::store::turns::{Begin, EndTurn};

fn edit(original: i64, text: &str, wakes: bool) -> MessageEdit {
    MessageEdit {
        original,
        group: "family".parse().unwrap(),
        platform_id: format!("edit of {original}"),
        text: text.into(),
        edited_at: at(1),
        route: if wakes { "wakes: main group".into() } else { "context: no trigger `@Andy`".into() },
        wakes,
    }
}

async fn delete(store: &Store, sender: &str, target: &str) -> Option<i64> {
    store.delete("test:1".into(), sender.into(), target.into(), at(2)).await.unwrap()
}

async fn shown(store: &Store) -> Vec<(String, bool)> {
    let turn = begun(store, at(100)).await;
    messages(&turn).0.iter().map(|message| (message.text.clone(), message.edited)).collect()
}

#[tokio::test]
async fn only_its_sender_finds_a_message_to_edit_under_either_id() {
    let (_folder, store) = open();
    let seq = record(&store, "a", true).await;
    let find = async |chat: &str, one: &str, other: &str, target: &str| {
        let found = store.original(chat.into(), [one.into(), other.into()], target.into()).await.unwrap();
        found.map(|original| original.seq)
    };
    assert_eq!(find("test:1", "ann", "ann", "a").await, Some(seq));
    assert_eq!(find("test:1", "ann@lid", "ann", "a").await, Some(seq));
    assert_eq!(find("test:1", "bob", "bob", "a").await, None);
    assert_eq!(find("test:2", "ann", "ann", "a").await, None);
    assert_eq!(find("test:1", "ann", "ann", "b").await, None);
    delete(&store, "ann", "a").await;
    assert_eq!(find("test:1", "ann", "ann", "a").await, None, "what is deleted stays so");
}

#[tokio::test]
async fn an_edit_before_the_turn_is_what_the_turn_is_told() {
    let (_folder, store) = open();
    let context = record(&store, "a", false).await;
    assert_eq!(store.edit(edit(context, "@Andy now", true), at(2)).await.unwrap(), Edited::InPlace);
    assert_eq!(shown(&store).await, [("@Andy now".into(), true)]);
}

#[tokio::test]
async fn a_trigger_that_is_edited_out_or_deleted_wakes_no_longer() {
    let (_folder, store) = open();
    let seq = record(&store, "a", true).await;
    store.edit(edit(seq, "never mind", false), at(2)).await.unwrap();
    assert_eq!(store.begin_turn(begin(), at(3)).await.unwrap(), Begin::Nothing);
    record(&store, "b", true).await;
    assert!(delete(&store, "ann", "b").await.is_some());
    assert_eq!(store.begin_turn(begin(), at(3)).await.unwrap(), Begin::Nothing);
}

#[tokio::test]
async fn what_is_deleted_leaves_no_text_and_is_left_out() {
    let (folder, store) = open();
    let seq = record(&store, "a", false).await;
    record(&store, "b", true).await;
    assert_eq!(delete(&store, "admin", "a").await, Some(seq), "by another person of the chat");
    assert_eq!(delete(&store, "ann", "a").await, None, "once");
    assert_eq!(delete(&store, "ann", "unknown").await, None);
    assert_eq!(shown(&store).await, [("text of b".into(), false)]);
    let again = record(&store, "a", true).await;
    assert_eq!(again, seq, "the platform repeats it: it stays deleted");
    let file = rusqlite::Connection::open(folder.path().join("longshore.db")).unwrap();
    let text: String = file.query_row("SELECT text FROM messages WHERE seq = ?1", [seq], |row| row.get(0)).unwrap();
    assert_eq!(text, "");
}

#[tokio::test]
async fn of_two_messages_with_one_id_the_deleting_persons_own_is_deleted() {
    let (_folder, store) = open();
    let anns = record(&store, "a", true).await;
    let bobs = crate::store::messages::NewMessage { sender: "bob".into(), ..crate::store::tests::message("a", true) };
    let bobs = store.record(bobs).await.unwrap().committed().await.unwrap().seq;
    assert_eq!(delete(&store, "ann", "a").await, Some(anns));
    assert_eq!(delete(&store, "bob", "a").await, Some(bobs));
}

#[tokio::test]
async fn a_turn_that_is_tried_again_is_told_what_was_edited_while_it_ran() {
    let (_folder, store) = open();
    let seq = record(&store, "a", true).await;
    let turn = begun(&store, at(1)).await;
    assert_eq!(store.edit(edit(seq, "@Andy Tuesday", true), at(2)).await.unwrap(), Edited::InPlace);
    store.end_turn(turn.id, retry(10), at(3)).await.unwrap();
    assert_eq!(shown(&store).await, [("@Andy Tuesday".into(), true)]);
}

#[tokio::test]
async fn a_waiting_turn_of_which_nothing_wakes_any_more_ends_quietly() {
    let (_folder, store) = open();
    record(&store, "a", true).await;
    record(&store, "b", false).await;
    let turn = begun(&store, at(1)).await;
    store.end_turn(turn.id, retry(1_000), at(2)).await.unwrap();
    delete(&store, "ann", "a").await;
    assert_eq!(store.begin_turn(begin(), at(3)).await.unwrap(), Begin::Nothing, "before its time has come");
    assert_eq!(store.outbox_counts().await.unwrap(), (0, 0), "without a word");
    record(&store, "c", true).await;
    assert_eq!(shown(&store).await, [("text of c".into(), false)], "the cursor moved");
}

#[tokio::test]
async fn after_its_turn_a_message_is_changed_only_into_one_that_wakes() {
    let (_folder, store) = open();
    let context = record(&store, "a", false).await;
    let waking = record(&store, "b", true).await;
    let turn = begun(&store, at(1)).await;
    assert_eq!(store.edit(edit(context, "still context", false), at(2)).await.unwrap(), Edited::InPlace, "it runs");
    store.end_turn(turn.id, EndTurn::Settled, at(2)).await.unwrap();
    assert_eq!(store.edit(edit(waking, "@Andy other words", true), at(3)).await.unwrap(), Edited::TooLate);
    assert_eq!(store.begin_turn(begin(), at(3)).await.unwrap(), Begin::Nothing);

    let Edited::Anew(seq) = store.edit(edit(context, "@Andy you, too", true), at(4)).await.unwrap() else {
        panic!("somebody calls and is not heard");
    };
    assert!(seq > waking);
    for _ in 0..2 {
        assert_eq!(
            store.edit(edit(context, "@Andy you, too", true), at(5)).await.unwrap(),
            Edited::TooLate,
            "repeated"
        );
    }
    assert_eq!(shown(&store).await, [("@Andy you, too".into(), true)]);
}

#[tokio::test]
async fn a_call_that_is_edited_in_while_the_turn_runs_is_heard_afterwards() {
    let (_folder, store) = open();
    let context = record(&store, "a", false).await;
    record(&store, "b", true).await;
    let turn = begun(&store, at(1)).await;
    assert!(matches!(store.edit(edit(context, "@Andy me, too", true), at(2)).await.unwrap(), Edited::Anew(_)));
    store.end_turn(turn.id, EndTurn::Settled, at(3)).await.unwrap();
    assert_eq!(shown(&store).await, [("@Andy me, too".into(), true)]);
}

#[tokio::test]
async fn an_older_edit_that_comes_later_changes_nothing() {
    let (_folder, store) = open();
    let seq = record(&store, "a", true).await;
    let newer = MessageEdit { edited_at: at(5), ..edit(seq, "newer", true) };
    store.edit(newer.clone(), at(6)).await.unwrap();
    assert_eq!(store.edit(edit(seq, "older", true), at(7)).await.unwrap(), Edited::TooLate);
    assert_eq!(store.edit(newer, at(8)).await.unwrap(), Edited::InPlace, "the same again does no harm");
    assert_eq!(shown(&store).await, [("newer".into(), true)]);
}

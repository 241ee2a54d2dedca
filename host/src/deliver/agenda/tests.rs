use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn looked(chats: &[&str]) -> Agenda {
    let mut agenda = Agenda::default();
    for chat in chats {
        agenda.look((*chat).to_owned());
    }
    agenda
}

#[test]
fn a_chat_is_looked_at_once_however_often_it_is_marked() {
    let mut agenda = looked(&["a", "b", "a", "a"]);
    assert_eq!(agenda.due(at(0)), ["a", "b"]);
    assert!(agenda.due(at(0)).is_empty(), "what had nothing to send is forgotten");
}

#[test]
fn a_chat_that_is_being_sent_to_is_looked_at_again_afterwards_and_not_before() {
    let mut agenda = looked(&["a"]);
    let _ = agenda.due(at(0));
    assert_eq!(agenda.consider("a", "x", None, at(0)), Step::Send);
    agenda.look("a".into());
    assert!(agenda.due(at(0)).is_empty());
    agenda.sent("a", "x", None);
    assert_eq!(agenda.due(at(0)), ["a"]);
}

#[test]
fn a_row_that_is_not_due_waits_for_its_time_or_for_a_new_look() {
    let mut agenda = looked(&["a"]);
    let _ = agenda.due(at(0));
    assert_eq!(agenda.consider("a", "x", Some(at(10)), at(0)), Step::Later);
    assert_eq!(agenda.next(), Some(at(10)));
    assert!(agenda.due(at(9)).is_empty());
    assert_eq!(agenda.due(at(10)), ["a"]);
    assert_eq!(agenda.next(), None);
    assert_eq!(agenda.consider("a", "x", Some(at(10)), at(10)), Step::Send);
    agenda.sent("a", "x", None);
    let _ = agenda.due(at(10));
    let _ = agenda.consider("a", "x", Some(at(20)), at(10));
    agenda.look("a".into());
    assert_eq!((agenda.due(at(11)), agenda.next()), (vec!["a".to_owned()], None), "an operator may have revived a row");
}

#[test]
fn a_parked_chat_waits_for_its_channel_and_for_no_other() {
    let mut agenda = looked(&["a", "b"]);
    let _ = agenda.due(at(0));
    for (chat, channel) in [("a", "x"), ("b", "y")] {
        assert_eq!(agenda.consider(chat, channel, None, at(0)), Step::Send);
        agenda.sent(chat, channel, Some(at(30)));
    }
    agenda.look("a".into());
    assert!(agenda.due(at(1)).is_empty(), "a new row gives the chat no way");
    agenda.came_up("y");
    assert_eq!(agenda.due(at(1)), ["b"]);
    assert_eq!(agenda.due(at(30)), ["a"]);
}

#[test]
fn a_channel_that_is_full_holds_its_own_chats_back_and_no_others() {
    let chats: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let mut agenda = Agenda::default();
    chats.iter().for_each(|chat| agenda.look(chat.clone()));
    let due = agenda.due(at(0));
    let sent = due.iter().filter(|chat| agenda.consider(chat, "x", None, at(0)) == Step::Send).count();
    assert_eq!(sent, ABREAST);
    agenda.look("other".into());
    agenda.look("99".into());
    assert_eq!(agenda.due(at(0)), ["other"]);
    assert_eq!(agenda.consider("other", "y", None, at(0)), Step::Send);
    agenda.sent("0", "x", None);
    assert_eq!(agenda.due(at(0)), ["0", "32"], "one place is free, and both may have it");
}

#[test]
fn a_chat_that_waits_for_a_place_that_is_free_is_found_by_the_next_look() {
    let mut agenda = Agenda::default();
    let chats: Vec<String> = (0..3 * ABREAST).map(|number| number.to_string()).collect();
    chats.iter().for_each(|chat| agenda.look(chat.clone()));
    for chat in agenda.due(at(0)) {
        let _ = agenda.consider(&chat, "x", None, at(0));
    }
    for chat in &chats[..ABREAST] {
        agenda.sent(chat, "x", Some(at(30)));
    }
    // Those that had waited longest are ready, and somebody takes back what they had to send.
    assert_eq!(agenda.due(at(1)), chats[ABREAST..2 * ABREAST]);
    let last = chats[3 * ABREAST - 1].clone();
    agenda.look(last.clone());
    assert_eq!(agenda.due(at(1)), std::slice::from_ref(&last));
    assert_eq!(agenda.consider(&last, "x", None, at(1)), Step::Send);
}

proptest! {
    /// Whatever happens in whatever order: every row is sent once, in the order of its chat.
    #[test]
    fn everything_leaves_in_order_and_only_once(
        rows in proptest::collection::vec(0usize..60, 1..200),
        choices in proptest::collection::vec(any::<u8>(), 50..200),
    ) {
        let mut agenda = Agenda::default();
        let mut pending: BTreeMap<String, VecDeque<usize>> = BTreeMap::new();
        for (row, chat) in rows.iter().enumerate() {
            pending.entry(chat.to_string()).or_default().push_back(row);
        }
        pending.keys().for_each(|chat| agenda.look(chat.clone()));
        let mut under_way: Vec<String> = Vec::new();
        let mut left = rows.len();
        let mut choices = choices.into_iter().cycle();
        let mut parked = 0;
        let mut now = 0;
        while left > 0 {
            for chat in agenda.due(at(now)) {
                if pending[&chat].is_empty() {
                    continue;
                }
                if agenda.consider(&chat, "x", None, at(now)) == Step::Send {
                    prop_assert!(!under_way.contains(&chat), "two sends in one chat");
                    under_way.push(chat);
                }
            }
            prop_assert!(under_way.len() <= ABREAST);
            if under_way.is_empty() {
                let next = agenda.next();
                prop_assert!(next.is_some(), "{left} rows are forgotten");
                now = next.map_or(now, |next| next.as_second());
                continue;
            }
            let choice = choices.next().unwrap_or(0);
            let chat = under_way.swap_remove(usize::from(choice) % under_way.len());
            match choice % 7 {
                0 if parked < 50 => {
                    parked += 1;
                    agenda.sent(&chat, "x", Some(at(now + 30)));
                }
                1 if parked < 50 => {
                    parked += 1;
                    agenda.sent(&chat, "x", Some(at(now + 30)));
                    agenda.came_up("x");
                }
                _ => {
                    pending.get_mut(&chat).map(VecDeque::pop_front);
                    left -= 1;
                    agenda.sent(&chat, "x", None);
                }
            }
        }
    }
}

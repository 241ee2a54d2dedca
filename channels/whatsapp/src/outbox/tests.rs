use super::*;

fn send(outbox_id: i64, chat: &str) -> Send {
    Send { outbox_id, chat: chat.into(), text: "hi".into(), message_id: format!("M{outbox_id}"), reply_to: None }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn later(outbox_id: i64, reason: &str) -> AdapterEvent {
    AdapterEvent::SendLater { outbox_id, reason: reason.into() }
}

fn ids(sends: &[Send]) -> Vec<i64> {
    sends.iter().map(|send| send.outbox_id).collect()
}

fn connected(sends: &[Send]) -> Outbox {
    let mut outbox = Outbox::new(Limits::default());
    outbox.connected();
    for send in sends {
        assert_eq!(outbox.push(send.clone(), at(0)), None);
    }
    outbox
}

#[test]
fn the_next_of_a_chat_waits_until_the_server_has_the_first() {
    let mut outbox = connected(&[send(1, "a"), send(2, "a"), send(3, "b")]);
    assert_eq!(ids(&outbox.take_due(at(0), || 0.0)), [1, 3]);
    assert_eq!(outbox.take_due(at(9), || 0.0), []);
    let (_, answer) = outbox.confirmed("M1", None).unwrap();
    assert_eq!(answer, AdapterEvent::Sent { outbox_id: 1, message_id: "M1".into() });
    assert_eq!(ids(&outbox.take_due(at(9), || 0.0)), [2]);
    assert!(outbox.confirmed("M1", None).is_none());
}

#[test]
fn what_was_not_confirmed_is_written_again_under_its_id() {
    let mut outbox = connected(&[send(1, "a")]);
    outbox.take_due(at(0), || 0.0);
    outbox.disconnected();
    assert_eq!(outbox.take_due(at(5), || 0.0), []);
    outbox.connected();
    assert_eq!(outbox.take_due(at(6), || 0.0), [send(1, "a")]);
}

#[test]
fn a_message_without_a_connection_waits_for_one() {
    let mut outbox = connected(&[send(1, "a")]);
    outbox.take_due(at(0), || 0.0);
    assert_eq!(outbox.unwritten("M1", Unwritten::NotConnected), None);
    assert_eq!(outbox.take_due(at(5), || 0.0), []);
    outbox.connected();
    assert_eq!(ids(&outbox.take_due(at(6), || 0.0)), [1]);
}

#[test]
fn the_host_is_answered_before_it_stops_waiting() {
    let mut outbox = Outbox::new(Limits::default());
    outbox.push(send(1, "a"), at(0));
    assert_eq!(outbox.due(), Some(PATIENCE));
    assert_eq!(outbox.expire(PATIENCE - at(1)), []);
    let answers = outbox.expire(PATIENCE);
    assert_eq!(answers, [later(1, "there is no connection")]);
    outbox.connected();
    assert_eq!(outbox.take_due(at(99), || 0.0), []);
}

#[test]
fn only_what_the_server_had_and_did_not_confirm_counts_as_a_failed_try() {
    let mut outbox = connected(&[send(1, "a"), send(2, "a")]);
    outbox.take_due(at(0), || 0.0);
    let error = "the server did not confirm it within 50 s".to_owned();
    let failed = AdapterEvent::SendFailed { outbox_id: 1, error, permanent: false };
    assert_eq!(outbox.expire(PATIENCE), [failed, later(2, "too many messages were before it")]);
}

#[test]
fn a_message_that_comes_again_goes_before_those_that_came_later_than_it_first_did() {
    let mut outbox = connected(&[send(1, "a"), send(2, "b")]);
    outbox.disconnected();
    assert_eq!(outbox.expire(PATIENCE).len(), 2);
    outbox.push(send(3, "aa"), PATIENCE);
    for again in [send(2, "b"), send(1, "a")] {
        outbox.push(again, PATIENCE + at(30));
    }
    outbox.connected();
    assert_eq!(ids(&outbox.take_due(PATIENCE + at(30), || 0.0)), [1, 2, 3]);
    outbox.push(send(4, "d"), at(1000));
    outbox.expire(at(2000));
    outbox.expire(at(3000));
    assert!(outbox.places.is_empty(), "places are kept for a while only");
}

#[test]
fn however_many_chats_there_are_every_message_gets_its_turn_without_a_failed_try() {
    // The host as it is: it gives one message of a chat, and what it gets back half a minute later again.
    let limits = Limits { per_minute: 10, ..Limits::default() };
    let mut outbox = Outbox::new(limits);
    outbox.connected();
    let mut waiting: Vec<(u64, Send)> = (0..60).map(|id| (0, send(id, &format!("chat{id:02}")))).collect();
    let mut sent = Vec::new();
    for now in 0..2000 {
        for (_, send) in waiting.extract_if(.., |(from, _)| *from <= now) {
            assert_eq!(outbox.push(send, at(now)), None);
        }
        for answer in outbox.expire(at(now)) {
            let AdapterEvent::SendLater { outbox_id, .. } = answer else { panic!("{answer:?}") };
            waiting.push((now + 30, send(outbox_id, &format!("chat{outbox_id:02}"))));
        }
        for due in outbox.take_due(at(now), || 0.5) {
            sent.push(due.outbox_id);
            outbox.confirmed(&due.message_id, None);
        }
    }
    assert_eq!(sent, (0..60).collect::<Vec<_>>());
}

#[test]
fn asking_again_for_what_still_waits_sends_it_once() {
    let mut outbox = connected(&[send(1, "a"), Send { outbox_id: 2, ..send(1, "a") }]);
    assert_eq!(ids(&outbox.take_due(at(0), || 0.0)), [2]);
    assert!(outbox.confirmed("M1", None).is_some());
    assert_eq!(outbox.due(), None);
}

#[test]
fn a_refusal_says_whether_to_try_again() {
    let mut outbox = connected(&[send(1, "a"), send(2, "b"), send(3, "c")]);
    outbox.take_due(at(0), || 0.0);
    let answer = outbox.unwritten("M1", Unwritten::Refused("no such chat".into())).unwrap();
    assert_eq!(answer, AdapterEvent::SendFailed { outbox_id: 1, error: "no such chat".into(), permanent: true });
    let answer = outbox.unwritten("M2", Unwritten::Failed("no keys".into())).unwrap();
    assert_eq!(answer, AdapterEvent::SendFailed { outbox_id: 2, error: "no keys".into(), permanent: false });
    let (_, answer) = outbox.confirmed("M3", Some("479")).unwrap();
    let error = "the server refused it with code 479".to_owned();
    assert_eq!(answer, AdapterEvent::SendFailed { outbox_id: 3, error, permanent: false });
}

#[test]
fn no_chat_starves_and_nothing_grows_without_bound() {
    let sends: Vec<Send> = (0..30).map(|number| send(number, &format!("chat{number:02}"))).collect();
    let mut outbox = connected(&sends);
    let mut order = Vec::new();
    let mut now = at(0);
    while let Some(next) = outbox.due().filter(|next| *next < PATIENCE) {
        now = now.max(next);
        for send in outbox.take_due(now, || 0.5) {
            order.push(send.outbox_id);
            outbox.confirmed(&send.message_id, None);
        }
    }
    assert_eq!(order, (0..order.len() as i64).collect::<Vec<_>>());
    assert!(order.len() >= 15, "{}", order.len());
    for number in 100..100 + 2 * MAX_WAITING as i64 {
        outbox.push(send(number, "a"), now);
    }
    assert!(outbox.push(send(99, "z"), now).is_some());
    assert_eq!(outbox.give_up("stopped").len(), MAX_WAITING);
    assert_eq!(outbox.due(), None);
}

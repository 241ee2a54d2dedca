use proptest::prelude::*;

use super::*;
use SenderStanding::{Dropped, MayNotWake, MayWake};

const LIST: &str = r#"{
  "default": { "allow": ["ann@s.whatsapp.net", "bob@lid"], "mode": "trigger" },
  "chats": {
    "open@g.us": { "allow": "*", "mode": "drop" },
    "quiet@g.us": { "allow": ["ann@s.whatsapp.net"], "mode": "drop" },
    "closed@g.us": { "allow": [], "mode": "trigger" }
  },
  "logDenied": false
}"#;

fn asked(senders: &Senders, chat: &str, ids: &[&str]) -> SenderStanding {
    senders.standing(chat, ids.iter().copied())
}

#[test]
fn a_chats_own_entry_counts_before_the_default_and_either_id_of_a_person_will_do() {
    let senders = Senders::default().read(LIST.as_bytes());
    assert_eq!(senders.problems, Vec::<String>::new());
    for (chat, ids, expected) in [
        ("any@g.us", &["ann@s.whatsapp.net"][..], MayWake),
        ("any@g.us", &["4912@s.whatsapp.net", "bob@lid"], MayWake),
        ("any@g.us", &["eve@lid"], MayNotWake),
        ("any@g.us", &["ANN@s.whatsapp.net"], MayNotWake),
        ("open@g.us", &["eve@lid"], MayWake),
        ("quiet@g.us", &["ann@s.whatsapp.net"], MayWake),
        ("quiet@g.us", &["bob@lid"], Dropped),
        ("closed@g.us", &["ann@s.whatsapp.net"], MayNotWake),
    ] {
        assert_eq!(asked(&senders, chat, ids), expected, "{chat} {ids:?}");
    }
    assert!(!senders.log_denied());
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let file = r#"{
  "default": { "allow": "everyone", "mode": "ignore" },
  "chat": {},
  "chats": { "a": { "allow": [1, ""] }, "a": { "allow": "*", "mode": "drop" } }
}"#;
    insta::assert_snapshot!(Senders::default().read(file.as_bytes()).problems.join("\n"));
}

#[test]
fn a_list_that_is_broken_at_start_lets_nobody_and_one_that_breaks_later_stays_in_force() {
    let start = Senders::default();
    let closed = start.read(b"{");
    assert_eq!(asked(&closed, "c", &["ann@s.whatsapp.net"]), MayNotWake);
    assert!(closed.problems[0].ends_with("(nobody may wake an agent)"), "{:?}", closed.problems);
    let good = closed.read(LIST.as_bytes());
    let broken = good.read(b"{}");
    assert_eq!(asked(&broken, "c", &["ann@s.whatsapp.net"]), MayWake);
    assert_eq!(asked(&broken, "c", &["eve"]), MayNotWake);
    assert!(broken.problems[0].ends_with("(the list applies as it last was)"), "{:?}", broken.problems);
}

#[test]
fn a_first_list_with_a_mistake_lets_nobody_though_everybody_could_before() {
    let broken = Senders::everybody().read(b"[]");
    assert_eq!(asked(&broken, "c", &["eve"]), MayNotWake);
    assert_eq!(broken, Senders::default().read(b"[]"), "and a new host would do the same");
    assert_eq!(asked(&broken.read(LIST.as_bytes()), "c", &["bob@lid"]), MayWake);
}

#[tokio::test]
async fn a_list_is_live_when_it_is_saved_and_gone_when_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let watch = SendersWatch::open(&path).await;
    let mut senders = watch.subscribe();
    assert_eq!(**senders.borrow(), Senders::everybody());
    let stop = crate::stop::Stop::new();
    let task = tokio::spawn(watch.run(stop.clone()));
    let mut until = async |standing| {
        let holds = senders.wait_for(|senders| asked(senders, "quiet@g.us", &["eve"]) == standing);
        tokio::time::timeout(std::time::Duration::from_secs(20), holds).await.expect("the edit never arrived").unwrap();
    };
    std::fs::write(&path, LIST).unwrap();
    until(Dropped).await;
    std::fs::remove_file(&path).unwrap();
    until(MayWake).await;
    std::fs::write(&path, "{").unwrap();
    until(MayNotWake).await;
    stop.cancel();
    task.await.unwrap();
}

/// Set `UPDATE_SCHEMA=1` to write the file anew after a change of the types.
#[test]
fn the_checked_in_schema_is_the_one_of_the_types() {
    let schema = crate::groups::entry::schema_of::<SenderFile>();
    crate::strict::tests::compare("sender-allowlist", &schema);
}

proptest! {
    #[test]
    fn no_bytes_open_what_a_good_list_had_closed(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
        let good = Senders::default().read(LIST.as_bytes());
        for bytes in [&bytes, text.as_bytes()] {
            let after = good.read(bytes);
            prop_assert_eq!(asked(&after, "quiet@g.us", &["eve"]), Dropped);
            prop_assert_eq!(asked(&Senders::default().read(bytes), "c", &["eve"]), MayNotWake);
        }
    }
}

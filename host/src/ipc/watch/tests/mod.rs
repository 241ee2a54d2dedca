//! Mailboxes as agents and turns see them.

mod rig;

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use self::rig::{Rig, patience, until};
use super::*;
use crate::ipc::mailbox::ERRORS;

const LONG: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_petition_is_granted_and_answered_as_soon_as_it_lies_there() {
    let rig = Rig::new(&["team"]);
    rig.petition("team", "messages/before.json");
    let running = rig.run();
    until(|| rig.answer("team", "before.json").is_some()).await;
    rig.petition("team", "tasks/after.json");
    until(|| rig.is_empty("team")).await;
    assert_eq!(rig.granted(), ["team/messages/before.json", "team/tasks/after.json"]);
    assert_eq!(rig.answer("team", "after.json").unwrap().id.as_deref(), Some("team after.json"));
    assert_eq!(rig.mailroom.counts(), Counts { granted: 2, refused: 0, unreadable: 0 });
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_do_not_mix_and_one_that_is_not_served_waits() {
    let rig = Rig::new(&["team", "family", "stranger"]);
    rig.serve(&["team", "family"]);
    let running = rig.run();
    for group in ["stranger", "team", "family"] {
        rig.petition(group, "messages/same.json");
    }
    until(|| rig.is_empty("team") && rig.is_empty("family")).await;
    for group in ["team", "family"] {
        let id = format!("{group} same.json");
        assert_eq!(rig.answer(group, "same.json").unwrap().id, Some(id));
    }
    assert!(!rig.is_empty("stranger"));
    rig.serve(&["stranger", "family"]);
    until(|| rig.is_empty("stranger")).await;
    rig.petition("team", "messages/late.json");
    rig.petition("stranger", "messages/late.json");
    until(|| rig.is_empty("stranger")).await;
    assert!(!rig.is_empty("team"));
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_folders_come_later_is_read_when_they_do() {
    let rig = Rig::new(&[]);
    rig.serve(&["team"]);
    fs::remove_dir(rig.folder()).unwrap();
    let running = rig.run();
    rig.petition("team", "messages/settled.json");
    rig.mailroom.settle(&"team".parse().unwrap(), LONG).await;
    assert!(rig.answer("team", "settled.json").is_some());
    rig.petition("team", "tasks/x.json");
    until(|| rig.is_empty("team")).await;
    rig.remove("team");
    rig.petition("team", "messages/y.json");
    until(|| rig.is_empty("team")).await;
    assert_eq!(rig.granted().len(), 3);
    running.stop().await.unwrap();
}

/// A new folder often has the number of the one before it, and the news of both come mixed.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_made_anew_again_and_again_is_always_heard() {
    let rig = Rig::new(&["team"]);
    let running = rig.run();
    for round in 0..60 {
        for _ in 0..3 {
            rig.remove("team");
            rig.make("team");
        }
        tokio::time::sleep(Duration::from_millis(round % 8)).await;
        rig.petition("team", &format!("messages/{round}.json"));
        until(|| rig.is_empty("team")).await;
    }
    assert_eq!(rig.granted().len(), 60);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_without_renaming_is_granted_once_when_it_is_whole() {
    let rig = Rig::new(&["team"]);
    let running = rig.run();
    let whole = rig::petition();
    rig.write("team", "messages/x.json", "");
    for end in [1, whole.len() / 2, whole.len() - 1, whole.len()] {
        tokio::time::sleep(Duration::from_millis(20)).await;
        rig.write("team", "messages/x.json", &whole[..end]);
    }
    until(|| rig.is_empty("team")).await;
    rig.petition("team", "messages/y.json");
    until(|| rig.is_empty("team")).await;
    assert_eq!(rig.granted(), ["team/messages/x.json", "team/messages/y.json"]);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_never_becomes_whole_ends_in_errors_without_being_touched_again() {
    let (clock, hands) = Clock::manual(Clock::system().now());
    let rig = Rig::with_clock(&["team"], clock);
    rig.write("team", "messages/x.json", "{\"type\":");
    hands.set(Clock::system().now());
    rig.petition("team", "messages/y.json");
    let running = rig.run();
    until(|| rig.answer("team", "y.json").is_some()).await;
    assert!(rig.answer("team", "x.json").is_none());
    hands.advance(Duration::from_secs(60));
    until(|| rig.is_empty("team")).await;
    assert!(!rig.answer("team", "x.json").unwrap().ok);
    assert!(rig.folder().join(ERRORS).join("team-x.json.reason.txt").exists());
    running.stop().await.unwrap();
    assert_eq!(rig.mailroom.counts(), Counts { granted: 1, refused: 0, unreadable: 1 });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_tried_again_in_its_order() {
    let rig = Rig::new(&["team"]);
    rig.grant.failures.store(3, Ordering::SeqCst);
    for number in 0..5 {
        rig.petition("team", &format!("messages/{number}.json"));
    }
    rig.refuse("team 2.json");
    let running = rig.run();
    until(|| rig.is_empty("team")).await;
    let order: Vec<String> = (0..5).map(|number| format!("team/messages/{number}.json")).collect();
    assert_eq!(rig.granted(), order);
    assert_eq!(rig.answer("team", "2.json").unwrap().error.as_deref(), Some("not so"));
    assert_eq!(rig.mailroom.counts(), Counts { granted: 4, refused: 1, unreadable: 0 });
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_group_does_not_delay_another() {
    const FLOOD: usize = 5_000;
    let rig = Rig::new(&["flood", "team"]);
    for number in 0..FLOOD {
        rig.petition("flood", &format!("messages/{number}.json"));
    }
    let running = rig.run();
    let granted_of = |group: &str| rig.granted().iter().filter(|path| path.starts_with(group)).count();
    until(|| granted_of("flood") > 0).await;
    let before = granted_of("flood");
    rig.petition("team", "messages/x.json");
    until(|| granted_of("team") > 0).await;
    let granted = rig.granted();
    let place = granted.iter().position(|path| path.starts_with("team")).unwrap();
    assert!(place - before < FLOOD / 4, "{} of the flood came first", place - before);
    until(|| rig.is_empty("flood")).await;
    assert_eq!(granted_of("flood"), FLOOD);
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_petitions_wait_does_not_hold_up_another() {
    let groups: Vec<String> = (0..8).map(|number| format!("slow-{number}")).collect();
    let mut served: Vec<&str> = groups.iter().map(String::as_str).collect();
    served.push("team");
    let rig = Rig::new(&served);
    rig.hold("slow-");
    for group in &served {
        rig.petition(group, "messages/x.json");
    }
    let running = rig.run();
    until(|| rig.is_empty("team")).await;
    assert_eq!(rig.granted(), ["team/messages/x.json"]);
    rig.release();
    until(|| served.iter().all(|group| rig.is_empty(group))).await;
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn settling_returns_when_everything_has_its_answer() {
    let rig = Rig::new(&["team"]);
    let team = "team".parse().unwrap();
    rig.mailroom.settle(&team, LONG).await;
    for (files, running) in [(1100, None), (200, Some(rig.run()))] {
        for number in 0..files {
            rig.petition("team", &format!("messages/{number}.json"));
        }
        rig.mailroom.settle(&team, LONG).await;
        assert!(rig.is_empty("team"));
        assert!(rig.answer("team", &format!("{}.json", files - 1)).is_some());
        if let Some(running) = running {
            running.stop().await.unwrap();
        }
    }
    assert_eq!(rig.granted().len(), 1300);
}

#[tokio::test(flavor = "multi_thread")]
async fn settling_gives_up_after_its_limit_and_what_was_begun_is_finished() {
    let rig = Rig::new(&["team"]);
    let team = "team".parse().unwrap();
    rig.hold("team");
    rig.petition("team", "messages/x.json");
    // On a busy machine the limit may be over before anything was begun.
    while rig.asked().is_empty() {
        rig.mailroom.settle(&team, Duration::from_millis(50)).await;
    }
    assert!(!rig.is_empty("team"));
    rig.release();
    until(|| rig.is_empty("team")).await;
    assert_eq!(rig.granted(), ["team/messages/x.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_while_granting_grants_the_same_file_again() {
    let rig = Rig::new(&["team"]);
    rig.petition("team", "messages/x.json");
    rig.hold("team");
    let running = rig.run();
    until(|| !rig.asked().is_empty()).await;
    running.kill().await;
    rig.release();
    let again = rig.restarted();
    again.settle(&"team".parse().unwrap(), LONG).await;
    let asked = rig.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0], asked[1]);
    assert!(rig.answer("team", "x.json").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_finishes_what_was_begun() {
    let rig = Rig::new(&["team"]);
    for number in 0..100 {
        rig.petition("team", &format!("messages/{number:03}.json"));
    }
    rig.hold("team");
    let running = rig.run();
    until(|| !rig.asked().is_empty()).await;
    running.stop.cancel();
    rig.release();
    patience(running.task).await.unwrap().unwrap();
    assert_eq!(rig.granted().len(), crate::ipc::mailbox::MAX_BATCH);
    assert!(rig.answer("team", "031.json").is_some() && rig.answer("team", "032.json").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_dies_is_reported() {
    let rig = Rig::new(&["team"]);
    rig.panic_at("team x.json");
    let running = rig.run();
    rig.petition("team", "messages/x.json");
    let error = patience(running.task).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("died"), "{error}");
    assert!(!rig.is_empty("team"));
}

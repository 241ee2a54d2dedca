//! Upkeep, on a real file.

use std::io::{Seek, SeekFrom, Write};

use super::*;
use crate::groups::{Groups, load};

const GROUPS: &[u8] = br#"{"test:1": {"name": "Test", "folder": "test"}}"#;

struct Rig {
    root: tempfile::TempDir,
    store: Store,
    upkeep: Upkeep,
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn rig(retention: Option<Duration>, groups: &[u8]) -> Rig {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("data")).unwrap();
    let store = Store::open(&root.path().join(store::FILE)).unwrap();
    let loaded = load(groups, &Groups::default());
    let snapshot = Snapshot { generation: 1, groups: loaded.groups.into(), problems: loaded.problems };
    let (_, groups) = watch::channel(Arc::new(snapshot));
    let clock = Clock::manual(now()).0;
    let upkeep = Upkeep::new(root.path(), store.clone(), groups, retention, clock);
    Rig { root, store, upkeep }
}

async fn say(store: &Store, number: usize, at: Timestamp) {
    store.notice("test:1".into(), vec!["x".repeat(1000); number], at).await.unwrap();
    while let Some(head) = store.outbox_heads(store.outbox_chats().await.unwrap()).await.unwrap().first() {
        store.outbox_sent(head.message.outbox_id, at).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_older_than_the_retention_is_forgotten_and_without_one_nothing_is() {
    let old = now() - SignedDuration::from_hours(91 * 24);
    for (retention, forgotten) in [(Some(Duration::from_secs(90 * 86_400)), 600), (None, 0)] {
        let Rig { store, upkeep, .. } = rig(retention, GROUPS);
        say(&store, 600, old).await;
        say(&store, 1, now()).await;
        assert_eq!(upkeep.forget().await.unwrap(), Forgotten { outbox: forgotten, ..Forgotten::default() });
        assert_eq!(upkeep.forget().await.unwrap(), Forgotten::default());
    }
}

#[tokio::test]
async fn a_mistake_in_the_groups_file_makes_no_chat_look_forsaken() {
    assert!(rig(None, GROUPS).upkeep.served().is_some_and(|served| served["test:1"] == "test"));
    assert_eq!(rig(None, b"{").upkeep.served(), None);
}

#[tokio::test]
async fn a_sound_file_is_told_as_such_and_its_log_is_emptied_when_nothing_is_written() {
    let Rig { root, store, upkeep } = rig(None, GROUPS);
    let stop = Stop::new();
    assert_eq!(upkeep.health().checked_at(), None);
    say(&store, 50, now()).await;
    upkeep.day(&stop).await;
    assert_eq!((upkeep.health().checked_at(), upkeep.health().damage()), (Some(now()), None));
    let log = log_of(&root.path().join(store::FILE));
    let pages = upkeep.shorten_log(0, &stop).await;
    assert!(pages > 0 && log.metadata().unwrap().len() > 0);
    assert_eq!(upkeep.shorten_log(pages, &stop).await, 0);
    assert_eq!(log.metadata().unwrap().len(), 0);
    say(&store, 1, now()).await;
}

#[tokio::test]
async fn a_damaged_file_is_found() {
    let Rig { root, store, upkeep } = rig(None, GROUPS);
    say(&store, 200, now()).await;
    drop(store);
    let file = root.path().join(store::FILE);
    Beside::open(&file).unwrap().empty_log().unwrap();
    let mut pages = std::fs::File::options().write(true).open(&file).unwrap();
    let length = pages.metadata().unwrap().len();
    pages.seek(SeekFrom::Start(length / 2 / 4096 * 4096)).unwrap();
    pages.write_all(&[0xff; 4096 * 4]).unwrap();
    upkeep.check(&Stop::new()).await;
    assert!(upkeep.health().damage().is_some());
}

#[tokio::test]
async fn a_host_that_stops_does_not_wait_for_upkeep() {
    let Rig { upkeep, .. } = rig(None, GROUPS);
    let stop = Stop::new();
    let health = upkeep.health();
    stop.cancel();
    upkeep.run(stop).await;
    assert_eq!(health.checked_at(), None);
}

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;
use crate::groups::FILE_NAME;
use crate::stop::Stop;

/// Longer than anything takes, so that only a hang fails.
const HANG: Duration = Duration::from_secs(20);

struct Watched {
    directory: TempDir,
    path: PathBuf,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    stop: Stop,
    task: JoinHandle<()>,
}

impl Watched {
    async fn start(content: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let watch = GroupsWatch::open(&path).await;
        let (snapshots, stop) = (watch.subscribe(), Stop::new());
        let task = tokio::spawn(watch.run(stop.clone()));
        Self { directory, path, snapshots, stop, task }
    }

    /// Waits until the groups' names are these.
    async fn names(&mut self, expected: &[&str]) -> Arc<Snapshot> {
        self.until(|snapshot| snapshot.groups.iter().map(|group| group.name.as_str()).eq(expected.iter().copied()))
            .await
    }

    async fn until(&mut self, wanted: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let waiting = timeout(HANG, self.snapshots.wait_for(|snapshot| wanted(snapshot)));
        Arc::clone(&*waiting.await.expect("the edit never arrived").unwrap())
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(HANG, self.task).await.unwrap().unwrap();
    }
}

fn one(name: &str) -> String {
    format!("{{\n  \"a\": {{ \"name\": \"{name}\", \"folder\": \"a\" }}\n}}\n")
}

#[tokio::test]
async fn an_edit_arrives_however_it_is_saved() {
    let mut watched = Watched::start(Some(&one("A"))).await;
    assert_eq!(watched.names(&["A"]).await.generation, 1);
    // Overwritten in place.
    fs::write(&watched.path, one("B")).unwrap();
    assert_eq!(watched.names(&["B"]).await.groups.by_chat("a").unwrap().generation, 2);
    // Replaced.
    let new = watched.directory.path().join("new");
    fs::write(&new, one("C")).unwrap();
    fs::rename(&new, &watched.path).unwrap();
    watched.names(&["C"]).await;
    // `sed -i`.
    assert!(Command::new("sed").args(["-i", "s/\"C\"/\"D\"/"]).arg(&watched.path).status().unwrap().success());
    watched.names(&["D"]).await;
    // By the host.
    let groups = crate::groups::edit::GroupsFile::new(&watched.path);
    let target = crate::groups::edit::Target::Chat("a");
    groups.set(target, &["name"], "E".into()).unwrap();
    assert!(watched.names(&["E"]).await.problems.is_empty());
    watched.stop().await;
}

#[tokio::test]
async fn a_half_written_file_is_never_seen() {
    let mut watched = Watched::start(Some(&one("A"))).await;
    let seen = watched.snapshots.clone();
    for round in 0..10 {
        let text = one(&format!("round {round}"));
        let mut file = fs::File::create(&watched.path).unwrap();
        for piece in text.as_bytes().chunks(20) {
            file.write_all(piece).unwrap();
            sleep(Duration::from_millis(8)).await;
            assert!(seen.borrow().problems.is_empty() && seen.borrow().groups.len() == 1);
        }
        watched.names(&[&format!("round {round}")]).await;
    }
    watched.stop().await;
}

#[tokio::test]
async fn a_mistake_is_reported_and_its_repair_arrives() {
    let mut watched = Watched::start(Some(&one("A"))).await;
    fs::write(&watched.path, "{ \"a\": ").unwrap();
    let broken = watched.until(|snapshot| !snapshot.problems.is_empty()).await;
    assert_eq!(broken.groups.len(), 1);
    // The same content as before the mistake.
    fs::write(&watched.path, one("A")).unwrap();
    let repaired = watched.until(|snapshot| snapshot.problems.is_empty()).await;
    assert_eq!(repaired.groups.by_chat("a").unwrap().generation, 1);
    watched.stop().await;
}

#[tokio::test]
async fn a_deleted_file_leaves_the_groups_and_a_restored_one_applies() {
    let mut watched = Watched::start(Some(&one("A"))).await;
    fs::remove_file(&watched.path).unwrap();
    let missing = watched.until(|snapshot| !snapshot.problems.is_empty()).await;
    assert_eq!(missing.groups.len(), 1);
    assert!(missing.problems[0].to_string().contains("there is no groups file"));
    fs::write(&watched.path, one("B")).unwrap();
    assert!(watched.names(&["B"]).await.problems.is_empty());
    watched.stop().await;
}

#[tokio::test]
async fn a_start_without_a_file_says_so_and_waits_for_one() {
    let mut watched = Watched::start(None).await;
    let empty = watched.until(|snapshot| !snapshot.problems.is_empty()).await;
    assert!(empty.problems[0].to_string().ends_with("(no chat is served)"), "{}", empty.problems[0]);
    fs::write(&watched.path, one("A")).unwrap();
    watched.names(&["A"]).await;
    watched.stop().await;
}

#[tokio::test]
async fn after_a_thousand_edits_the_last_one_holds() {
    let mut watched = Watched::start(Some(&one("A"))).await;
    for n in 0..1000 {
        let text = one(&format!("edit {n}"));
        if n % 2 == 0 {
            fs::write(&watched.path, text).unwrap();
        } else {
            let new = watched.directory.path().join("new");
            fs::write(&new, text).unwrap();
            fs::rename(&new, &watched.path).unwrap();
        }
        if n % 50 == 0 {
            sleep(Duration::from_millis(7)).await;
        }
    }
    let last = watched.names(&["edit 999"]).await;
    assert!(last.problems.is_empty());
    watched.stop().await;
}

#[tokio::test]
async fn the_watch_does_not_wake_itself() {
    let mut watched = Watched::start(Some(&one("A"))).await;
    let before = watched.names(&["A"]).await.generation;
    // Reading and touching are no edits, nor is another file's.
    for _ in 0..20 {
        fs::read(&watched.path).unwrap();
        fs::write(watched.directory.path().join("other.json"), "{}").unwrap();
        fs::File::options().append(true).open(&watched.path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(watched.snapshots.borrow().generation, before);
    watched.stop().await;
}

#[tokio::test]
async fn what_is_no_file_is_a_problem_and_not_a_hang() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join(FILE_NAME);
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let watch = timeout(HANG, GroupsWatch::open(&fifo)).await.expect("opening a FIFO hangs");
    assert!(watch.subscribe().borrow().problems[0].text.contains("it is not a regular file"));
}

//! Copies, and what a crash in the middle of putting one back leaves.

use super::*;
use crate::store::Store;

struct Rig {
    folder: tempfile::TempDir,
}

impl Rig {
    /// A database with notices that say these things.
    async fn new(texts: &[&str]) -> Self {
        let rig = Self { folder: tempfile::tempdir().unwrap() };
        rig.say(texts).await;
        rig
    }

    async fn say(&self, texts: &[&str]) {
        let store = Store::open(&self.database()).unwrap();
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        store.notice("test:1".into(), texts, Timestamp::UNIX_EPOCH).await.unwrap();
        drop(store);
        // Its thread closes the file a moment later.
        while log_of(&self.database()).exists() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn database(&self) -> PathBuf {
        self.path("longshore.db")
    }

    fn texts(file: &Path) -> Vec<String> {
        let connection = Connection::open(file).unwrap();
        let mut query = connection.prepare("SELECT text FROM outbox ORDER BY id").unwrap();
        query.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const ASIDE: &str = "longshore.db.before-restore-19700101T000000Z";

#[tokio::test]
async fn a_backup_of_a_store_at_work_is_whole_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::new(&["one"]).await;
    let store = Store::open(&rig.database()).unwrap();
    store.notice("test:1".into(), vec!["in the log only".into()], NOW).await.unwrap();
    let to = rig.path("copy");
    let copied = back_up(&rig.database(), &to, false).unwrap();
    assert_eq!((copied.messages, copied.schema), (0, migrate::NEWEST));
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(copied.bytes, fs::metadata(&to).unwrap().len());
    store.notice("test:1".into(), vec!["later".into()], NOW).await.unwrap();
    assert_eq!(Rig::texts(&to), ["one", "in the log only"]);
    assert!(!rig.names().contains(&"copy.tmp".to_owned()), "{:?}", rig.names());
}

#[tokio::test]
async fn a_backup_replaces_nothing_unless_told_to_and_never_the_database() {
    let rig = Rig::new(&["one"]).await;
    let to = rig.path("copy");
    fs::write(&to, "mine").unwrap();
    assert!(matches!(back_up(&rig.database(), &to, false), Err(BackupError::Exists(_))));
    assert_eq!(fs::read_to_string(&to).unwrap(), "mine");
    back_up(&rig.database(), &to, true).unwrap();
    assert_eq!(Rig::texts(&to), ["one"]);
    std::os::unix::fs::symlink(rig.database(), rig.path("link")).unwrap();
    for name in ["longshore.db", "longshore.db-wal", "link"] {
        assert!(matches!(back_up(&rig.database(), &rig.path(name), true), Err(BackupError::Own(_))), "{name}");
    }
    assert!(matches!(back_up(&rig.path("none"), &rig.path("x"), false), Err(BackupError::Missing(_))));
    assert!(!rig.path("x").exists() && !rig.path("x.tmp").exists());
}

#[tokio::test]
async fn a_backup_that_did_not_end_is_in_nobodys_way_and_one_that_runs_is_not_disturbed() {
    let rig = Rig::new(&["one"]).await;
    fs::write(rig.path("copy.tmp"), vec![7; 100_000]).unwrap();
    back_up(&rig.database(), &rig.path("copy"), false).unwrap();
    let _held = hold(&rig.path("copy.tmp")).unwrap();
    assert!(matches!(back_up(&rig.database(), &rig.path("copy"), true), Err(BackupError::Busy(_))));
}

#[tokio::test]
async fn a_restored_copy_takes_the_place_and_what_was_there_is_kept() {
    let rig = Rig::new(&["one"]).await;
    back_up(&rig.database(), &rig.path("copy"), false).unwrap();
    rig.say(&["two"]).await;
    let restored = restore(&rig.path("copy"), &rig.database(), NOW).unwrap();
    assert_eq!(restored.previous, Some(rig.path(ASIDE)));
    assert_eq!(Rig::texts(&rig.database()), ["one"]);
    assert_eq!(Rig::texts(&rig.path(ASIDE)), ["one", "two"]);
    rig.say(&["three"]).await;
    assert_eq!(Rig::texts(&rig.database()), ["one", "three"]);
    assert_eq!(Rig::texts(&rig.path(ASIDE)), ["one", "two"], "it is a file of its own");
}

#[tokio::test]
async fn what_a_dead_host_left_in_the_log_is_kept_with_its_database() {
    let rig = Rig::new(&["one"]).await;
    back_up(&rig.database(), &rig.path("copy"), false).unwrap();
    // A host that is killed leaves its log: a copy of the files of one that runs is the same.
    let store = Store::open(&rig.database()).unwrap();
    store.notice("test:1".into(), vec!["two".into()], NOW).await.unwrap();
    let dead = tempfile::tempdir().unwrap();
    for name in ["longshore.db", "longshore.db-wal"] {
        fs::copy(rig.path(name), dead.path().join(name)).unwrap();
    }
    let database = dead.path().join("longshore.db");
    restore(&rig.path("copy"), &database, NOW).unwrap();
    assert_eq!(Rig::texts(&database), ["one"], "the old log is not taken into the new database");
    assert_eq!(Rig::texts(&dead.path().join(ASIDE)), ["one", "two"]);
}

#[tokio::test]
async fn a_lost_or_ruined_database_is_replaced() {
    let rig = Rig::new(&["one"]).await;
    back_up(&rig.database(), &rig.path("copy"), false).unwrap();
    fs::remove_file(rig.database()).unwrap();
    fs::write(rig.path("longshore.db-wal"), "left over").unwrap();
    assert_eq!(restore(&rig.path("copy"), &rig.database(), NOW).unwrap().previous, None);
    assert_eq!(Rig::texts(&rig.database()), ["one"]);
    fs::write(rig.database(), "no database at all").unwrap();
    fs::write(rig.path("longshore.db-wal"), "left over").unwrap();
    let later = Timestamp::from_second(60).unwrap();
    let previous = restore(&rig.path("copy"), &rig.database(), later).unwrap().previous.unwrap();
    assert_eq!(fs::read_to_string(previous).unwrap(), "no database at all");
    assert_eq!(Rig::texts(&rig.database()), ["one"]);
}

#[tokio::test]
async fn what_is_no_sound_database_of_ours_is_refused_and_nothing_changes() {
    let rig = Rig::new(&["one"]).await;
    let refusal = |name: &str| {
        let error = restore(&rig.path(name), &rig.database(), NOW).unwrap_err();
        assert_eq!(Rig::texts(&rig.database()), ["one"], "{name}");
        error
    };
    assert!(matches!(refusal("none"), BackupError::Missing(_)));
    fs::write(rig.path("text"), "a text of some length that is no database, as a person may take by mistake".repeat(9))
        .unwrap();
    assert!(matches!(refusal("text"), BackupError::Damaged { .. }));
    fs::write(rig.path("empty"), "").unwrap();
    assert!(matches!(refusal("empty"), BackupError::NotOurs(_)));
    Connection::open(rig.path("other")).unwrap().execute_batch("CREATE TABLE messages (x)").unwrap();
    assert!(matches!(refusal("other"), BackupError::NotOurs(_)));
    back_up(&rig.database(), &rig.path("newer"), false).unwrap();
    Connection::open(rig.path("newer")).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(refusal("newer"), BackupError::Store(StoreError::Newer { found: 99, .. })));
    back_up(&rig.database(), &rig.path("cut"), false).unwrap();
    let bytes = fs::read(rig.path("cut")).unwrap();
    fs::write(rig.path("cut"), &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(refusal("cut"), BackupError::Damaged { .. }));
    assert!(!rig.names().iter().any(|name| name.contains("before") || name.contains("restoring")), "{:?}", rig.names());
}

#[tokio::test]
async fn a_database_that_another_program_has_open_is_not_replaced() {
    let rig = Rig::new(&["one"]).await;
    back_up(&rig.database(), &rig.path("copy"), false).unwrap();
    let store = Store::open(&rig.database()).unwrap();
    store.notice("test:1".into(), vec!["two".into()], NOW).await.unwrap();
    let reader = Connection::open(rig.database()).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM outbox").unwrap();
    store.notice("test:1".into(), vec!["three".into()], NOW).await.unwrap();
    assert!(matches!(restore(&rig.path("copy"), &rig.database(), NOW), Err(BackupError::InUse(_))));
    assert_eq!(Rig::texts(&rig.database()), ["one", "two", "three"]);
}

#[tokio::test]
async fn a_crash_while_restoring_leaves_the_old_database_or_the_new_one() {
    let rig = Rig::new(&["one"]).await;
    back_up(&rig.database(), &rig.path("copy"), false).unwrap();
    rig.say(&["two"]).await;
    // It dies while it copies: half a file under another name.
    fs::write(rig.path("longshore.db.restoring"), vec![7; 10_000]).unwrap();
    assert_eq!(Rig::texts(&rig.database()), ["one", "two"]);
    // It dies after the old one got its second name.
    put_aside(&rig.database(), NOW).unwrap();
    assert_eq!(Rig::texts(&rig.database()), ["one", "two"]);
    rig.say(&["three"]).await;
    assert_eq!(Rig::texts(&rig.database()), ["one", "two", "three"]);
    // The next try succeeds.
    let later = Timestamp::from_second(60).unwrap();
    let restored = restore(&rig.path("copy"), &rig.database(), later).unwrap();
    assert_eq!(Rig::texts(&rig.database()), ["one"]);
    assert_eq!(Rig::texts(&restored.previous.unwrap()), ["one", "two", "three"]);
    assert!(!rig.path("longshore.db.restoring").exists());
}

#[tokio::test]
async fn a_copy_of_an_older_release_is_put_back_and_brought_up_to_date_at_the_next_start() {
    let rig = Rig::new(&["one"]).await;
    let old = Connection::open(rig.path("old")).unwrap();
    old.execute_batch(include_str!("../migrations/0001.sql")).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    drop(old);
    let restored = restore(&rig.path("old"), &rig.database(), NOW).unwrap();
    assert!(restored.is_older && restored.copied.schema == 1);
    rig.say(&["two"]).await;
    assert_eq!(Rig::texts(&rig.database()), ["two"]);
}

//! An installation of NanoClaw v1, of either era, is taken over; nothing there and nothing here is overwritten.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use longshore_tests::{Host, Installation};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

/// The cases of `fixtures/nanoclaw.py`.
const ERAS: [&[&str]; 3] = [&["json"], &["sqlite"], &["sqlite", "wal"]];

struct NanoClaw(TempDir);

impl NanoClaw {
    fn new(era: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/nanoclaw.py");
        let made = Command::new("python3").arg(script).arg(era[0]).arg(folder.path()).args(&era[1..]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn import(&self, installation: &Installation, flags: &[&str]) -> Output {
        let mut command = installation.command();
        command.args(["import", "nanoclaw"]).arg(self.0.path()).arg("--lists").arg(self.path("lists"));
        command.args(flags).output().unwrap()
    }

    /// The report and the exit status.
    fn report(&self, installation: &Installation, flags: &[&str]) -> (Value, i32) {
        let output = self.import(installation, &[flags, &["--json"]].concat());
        let report = serde_json::from_slice(&output.stdout);
        (report.unwrap_or_else(|_| panic!("{}", told(&output))), output.status.code().unwrap())
    }

    /// What its database has, read in a copy.
    fn rows(&self, query: &str) -> Vec<(String, Option<i64>)> {
        let copy = tempfile::tempdir().unwrap();
        for name in ["messages.db", "messages.db-wal"] {
            if self.path("store").join(name).exists() {
                fs::copy(self.path("store").join(name), copy.path().join(name)).unwrap();
            }
        }
        rows(&Connection::open(copy.path().join("messages.db")).unwrap(), query)
    }
}

fn rows(connection: &Connection, query: &str) -> Vec<(String, Option<i64>)> {
    let mut query = connection.prepare(query).unwrap();
    query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Everything in a folder: bytes, mode and time.
type Contents = BTreeMap<PathBuf, (Vec<u8>, u32, i64, i64)>;

/// What is in one only, or other than in the other.
fn differences(one: &Contents, other: &Contents) -> Vec<PathBuf> {
    let paths = one.keys().chain(other.keys().filter(|path| !one.contains_key(*path)));
    paths.filter(|path| one.get(*path) != other.get(*path)).cloned().collect()
}

fn everything(root: &Path) -> Contents {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let about = fs::symlink_metadata(&path).unwrap();
            let content = if about.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            if about.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path, (content, about.mode(), about.mtime(), about.mtime_nsec()));
        }
    }
    found
}

/// The items of a report as lines `kind name state`.
fn items(report: &Value) -> Vec<String> {
    let items = report["items"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    items.map(|item| [&item["kind"], &item["name"], &item["state"]].map(text).join(" ")).collect()
}

fn detail<'a>(report: &'a Value, kind: &str, state: &str) -> &'a str {
    let found = report["items"].as_array().unwrap().iter().find(|item| item["kind"] == kind && item["state"] == state);
    found.unwrap_or_else(|| panic!("no {kind} is {state}: {report:#}"))["detail"].as_str().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", told(output)))
}

#[test]
fn an_installation_of_either_era_is_taken_over_and_the_host_serves_it() {
    for era in ERAS {
        let (there, here) = (NanoClaw::new(era), Installation::bare());
        let original = everything(there.0.path());
        let untouched = everything(here.root());
        let (report, status) = there.report(&here, &["--history"]);
        assert_eq!((status, report["applied"].as_bool(), report["era"].as_str()), (0, Some(false), Some(era[0])));
        assert!(everything(here.root()) == untouched, "a dry run changes nothing");

        let (report, status) = there.report(&here, &["--history", "--apply"]);
        let states = items(&report);
        assert!(
            status == 0 && states.iter().all(|item| item.ends_with("added") || item.ends_with("note")),
            "{states:#?}"
        );
        assert_eq!(states.iter().filter(|item| item.ends_with(" added")).count(), 19, "{states:#?}");
        let store = Connection::open(here.path("data/longshore.db")).unwrap();
        let millis = "CAST(round((julianday(next_run) - 2440587.5) * 86400000) AS INTEGER)";
        // A paused task has no next run here.
        let wanted = format!(
            "SELECT id || ' ' || status, CASE status WHEN 'active' THEN {millis} END FROM scheduled_tasks ORDER BY id"
        );
        let wanted = there.rows(&wanted);
        assert_eq!(
            (wanted.len(), rows(&store, "SELECT id || ' ' || status, next_run FROM tasks ORDER BY id")),
            (6, wanted)
        );
        let said = "SELECT id || sender || content, NULL FROM messages ORDER BY id";
        assert_eq!(
            rows(&store, "SELECT platform_id || sender || text, NULL FROM messages ORDER BY platform_id"),
            there.rows(said)
        );
        let sessions =
            rows(&store, "SELECT group_id || ' ' || provider || ' ' || session, NULL FROM sessions ORDER BY 1");
        assert_eq!(sessions.len(), 2);
        for (session, _) in sessions {
            let (group, id) = (session.split(' ').next().unwrap(), session.split(' ').nth(2).unwrap());
            let transcript = format!("data/sessions/{group}/.claude/projects/-workspace-group/{id}.jsonl");
            assert_eq!(fs::read(here.path(&transcript)).unwrap(), fs::read(there.path(&transcript)).unwrap());
        }
        for file in ["groups/family-chat/lists/shopping.md", "groups/main/CLAUDE.md", "groups/global/CLAUDE.md"] {
            assert_eq!(fs::read(here.path(file)).unwrap(), fs::read(there.path(file)).unwrap(), "{file}");
        }
        assert!(!here.path("groups/main/logs").exists(), "logs of containers stay");
        drop(store);

        let before = everything(here.root());
        let (report, status) = there.report(&here, &["--history", "--apply"]);
        let states = items(&report);
        assert!(
            status == 0 && states.iter().all(|item| item.ends_with(" same") || item.ends_with(" note")),
            "{states:#?}"
        );
        // The database's own files come and go when it is opened.
        let mut changed = differences(&before, &everything(here.root()));
        changed.retain(|path| *path != here.path("data") && !path.to_string_lossy().contains("longshore.db"));
        assert!(changed.is_empty(), "a second import changes nothing: {changed:?}");
        assert_eq!(
            differences(&everything(there.0.path()), &original),
            Vec::<PathBuf>::new(),
            "the source is only read"
        );

        let host = Host::start(&here);
        let groups = json(&here.longshore(&["groups", "--json"]));
        assert_eq!(
            (groups["live"].as_bool(), groups["groups"].as_array().unwrap().len()),
            (Some(true), 3),
            "{groups:#}"
        );
        let tasks = json(&here.longshore(&["tasks", "--json"]));
        assert_eq!(tasks.as_array().unwrap().len(), 5, "those that are not over: {tasks:#}");
        let output = there.import(&here, &["--apply"]);
        assert!(!output.status.success() && told(&output).contains("stop it first"), "{}", told(&output));
        assert_eq!(host.stop(), Some(0));
    }
}

#[test]
fn what_is_here_stays_as_it_is_and_is_told() {
    let (there, here) = (NanoClaw::new(&["sqlite"]), Installation::new());
    fs::create_dir_all(here.path(".config/longshore")).unwrap();
    let list = r#"{"default": {"allow": "*", "mode": "trigger"}}"#;
    fs::write(here.path(".config/longshore/sender-allowlist.json"), list).unwrap();
    let kept = ["groups/global/CLAUDE.md", "groups/main/CLAUDE.md", ".config/longshore/sender-allowlist.json", ".env"];
    let before = kept.map(|file| fs::read(here.path(file)).unwrap());
    let (report, status) = there.report(&here, &["--apply"]);
    let states = items(&report);
    for expected in [
        "group main conflict",
        "memory global conflict",
        "allowlist sender-allowlist.json conflict",
        "allowlist mount-allowlist.json added",
        "group family-chat added",
        "task task-1770000000003-cccccc added",
    ] {
        assert!(states.iter().any(|item| item == expected), "{expected}: {states:#?}");
    }
    assert_eq!(status, 1, "something is left to the operator");
    assert!(detail(&report, "group", "conflict").contains("`console:main` has this folder"), "{report:#}");
    assert_eq!(kept.map(|file| fs::read(here.path(file)).unwrap()), before);
    // An edit of an imported group stays, too.
    assert!(here.longshore(&["groups", "set", "work", "name=Office"]).status.success());
    let (report, _) = there.report(&here, &["--apply"]);
    assert!(items(&report).iter().any(|item| item == "group work conflict"));
    assert!(fs::read_to_string(here.path("data/registered_groups.json")).unwrap().contains("Office"));
}

#[test]
fn a_source_that_is_broken_or_hostile_is_told_of_and_the_rest_is_taken() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("CLAUDE.md"), "secret").unwrap();
    let there = NanoClaw::new(&["json"]);
    fs::write(there.path("data/sessions.json"), "{\"main\": ").unwrap();
    let mut groups: Value =
        serde_json::from_slice(&fs::read(there.path("data/registered_groups.json")).unwrap()).unwrap();
    groups["a@g.us"] = serde_json::json!({ "name": "Out", "folder": "../x", "trigger": "@Andy", "added_at": "" });
    groups["z@g.us"] = serde_json::json!({ "name": "Twice", "folder": "Work", "trigger": "@Andy", "added_at": "" });
    groups["c@g.us"] = serde_json::json!("none");
    fs::write(there.path("data/registered_groups.json"), groups.to_string()).unwrap();
    fs::remove_dir_all(there.path("groups/family-chat")).unwrap();
    symlink(outside.path(), there.path("groups/family-chat")).unwrap();
    symlink(outside.path().join("CLAUDE.md"), there.path("groups/work/notes.md")).unwrap();
    fs::write(there.path("lists/sender-allowlist.json"), "{\"default\": {\"allow\": 3}}").unwrap();
    let database = Connection::open(there.path("store/messages.db")).unwrap();
    let add = "INSERT INTO scheduled_tasks (id, group_folder, chat_jid, prompt, schedule_type, schedule_value, next_run, created_at) VALUES";
    for task in [
        "('../../up', 'main', 'x', 'p', 'cron', '* * * * *', NULL, '')",
        "('t-cron', 'main', 'x', 'p', 'cron', '* * *', '2027-01-01T00:00:00.000Z', '')",
        "('t-gone', 'nobody', 'x', 'p', 'once', '2027-01-01T00:00:00Z', '2027-01-01T00:00:00.000Z', '')",
    ] {
        database.execute(&format!("{add} {task}"), []).unwrap();
    }
    drop(database);
    let here = Installation::bare();
    let (report, status) = there.report(&here, &["--apply"]);
    let states = items(&report);
    for expected in [
        "group ../x cannot",
        "group work added",
        "memory family-chat cannot",
        "memory work added",
        "memory work cannot",
        "task ../../up cannot",
        "task t-cron cannot",
        "task t-gone cannot",
        "task task-1770000000001-aaaaaa added",
        "allowlist sender-allowlist.json cannot",
        "source data/sessions.json cannot",
        "source data/registered_groups.json cannot",
    ] {
        assert!(states.iter().any(|item| item == expected), "{expected}: {states:#?}");
    }
    assert_eq!(status, 1);
    assert!(states.iter().any(|item| item == "group Work conflict"), "{states:#?}");
    assert!(!here.path("groups/family-chat").exists() && !here.path("groups/work/notes.md").exists());
    assert!(!here.path("x").exists() && !here.path("groups/x").exists());

    // A table without a column that is needed, and one that is no database.
    let there = NanoClaw::new(&["sqlite"]);
    let database = Connection::open(there.path("store/messages.db")).unwrap();
    database
        .execute_batch("ALTER TABLE scheduled_tasks RENAME COLUMN schedule_value TO v; DROP TABLE sessions")
        .unwrap();
    drop(database);
    let (report, status) = there.report(&Installation::bare(), &[]);
    assert_eq!((status, detail(&report, "source", "cannot")), (1, "has no column `schedule_value`"));
    fs::write(
        there.path("store/messages.db"),
        "no database at all, but long enough to be read as a header ".repeat(80),
    )
    .unwrap();
    let output = there.import(&here, &[]);
    assert!(output.status.code() == Some(1) && told(&output).contains("is damaged"), "{}", told(&output));
    fs::remove_file(there.path("store/messages.db")).unwrap();
    symlink(outside.path().join("CLAUDE.md"), there.path("store/messages.db")).unwrap();
    let output = there.import(&here, &[]);
    assert!(output.status.code() == Some(1) && told(&output).contains("symbolic link"), "{}", told(&output));
    fs::remove_file(there.path("store/messages.db")).unwrap();
    let output = there.import(&here, &[]);
    assert!(
        output.status.code() == Some(1) && told(&output).contains("is no installation of NanoClaw v1"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_source_that_is_being_written_is_read_as_it_was_at_one_moment() {
    let (there, here) = (NanoClaw::new(&["sqlite"]), Installation::bare());
    // Each transaction adds a task and its note: a copy has both or neither.
    let writer = r#"
import sqlite3, sys, time
database = sqlite3.connect(sys.argv[1])
for number in range(100000):
    with database:
        database.execute("INSERT INTO scheduled_tasks (id, group_folder, chat_jid, prompt, schedule_type, schedule_value, next_run, created_at)"
            " VALUES (?, 'main', 'x', ?, 'cron', '0 9 * * *', '2027-01-01T09:00:00.000Z', '')", (f"w{number}", "p" * 9000))
        database.execute("INSERT OR REPLACE INTO sessions VALUES ('work', ?)", (f"s{number}",))
    time.sleep(0.08)
"#;
    let mut writer = Command::new("python3").args(["-c", writer]).arg(there.path("store/messages.db")).spawn().unwrap();
    let mut seen = 0;
    for _ in 0..10 {
        let output = there.import(&here, &["--json"]);
        if told(&output).contains("does not stop changing") {
            continue;
        }
        let report = json(&output);
        let tasks = items(&report).iter().filter(|item| item.starts_with("task w")).count();
        assert!(tasks >= seen, "{tasks} after {seen}");
        seen = tasks;
    }
    writer.kill().unwrap();
    writer.wait().unwrap();
    assert!(seen > 0, "nothing of what was written meanwhile was ever seen");
}

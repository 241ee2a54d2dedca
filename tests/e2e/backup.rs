//! SPEC "The store": a copy is made while the host works, and put back when the database is lost.

use std::fs;

use longshore_tests::{Host, Installation};
use rusqlite::Connection;

use crate::chat::store;

/// An adapter that says `m1`, `m2`, … as often as its file says, at each start from the first on.
const REPEATER: &str = r#"
import json, sys, threading, time
def tell(**line): print(json.dumps(line), flush=True)
tell(type="ready", protocol=1, channel="test", self=["me"])
def talk():
    said = 0
    while True:
        wanted = int(open(sys.argv[1]).read() or 0)
        while said < wanted:
            said += 1
            tell(type="message", id=f"m{said}", chat="test:1", sender="ann", text=f"number {said}", timestamp="2026-01-31T12:00:00Z")
        time.sleep(0.05)
threading.Thread(target=talk, daemon=True).start()
for line in sys.stdin:
    line = json.loads(line)
    if line["type"] == "send":
        open(sys.argv[2], "a").write(line["text"] + "\n")
        tell(type="sent", outbox_id=line["outbox_id"], message_id=line["message_id"])
"#;

struct Drill {
    installation: Installation,
}

impl Drill {
    fn new() -> Self {
        let installation = Installation::new();
        installation.groups(
            r#"{"console:main": {"name": "Main", "folder": "main"},
                "test:1": {"name": "Test", "folder": "test", "requiresTrigger": false}}"#,
        );
        let path = |name: &str| installation.path(name).display().to_string();
        fs::write(installation.path("adapter.py"), REPEATER).unwrap();
        fs::write(installation.path("wanted"), "0").unwrap();
        installation.env(&format!(
            "CHANNELS=console,test\nCHANNEL_TEST=\"python3 {} {} {}\"",
            path("adapter.py"),
            path("wanted"),
            path("heard")
        ));
        Self { installation }
    }

    fn want(&self, messages: usize) {
        let part = self.installation.path("wanted.tmp");
        fs::write(&part, messages.to_string()).unwrap();
        fs::rename(part, self.installation.path("wanted")).unwrap();
    }

    /// How often the people in the chat heard of a message.
    fn heard(&self, message: usize) -> usize {
        let heard = fs::read_to_string(self.installation.path("heard")).unwrap_or_default();
        heard.matches(&format!("number {message}\n")).count() + heard.matches(&format!("number {message} ")).count()
    }

    fn run(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.installation.longshore(arguments);
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }
}

#[test]
fn a_lost_database_is_restored_from_a_backup_that_was_made_during_traffic() {
    let drill = Drill::new();
    let copy = drill.installation.path("copies.db").display().to_string();
    let (done, shown) = drill.run(&["backup", &copy]);
    assert!(!done && shown.contains("there is no"), "{shown}");
    let mut host = Host::start(&drill.installation);
    let add = ["tasks", "add", "--group", "main", "--type", "cron", "--at", "0 9 * * *", "#rehearse say good morning"];
    assert!(drill.run(&add).0);
    drill.want(1);
    host.wait_until("the first message is answered", |_| drill.heard(1) == 1);
    // Traffic while the copy is made.
    let (done, shown) = std::thread::scope(|scope| {
        let talk = scope.spawn(|| {
            for number in 0..10 {
                assert_eq!(host.chat("main", &format!("hello {number}")).status, 0);
            }
        });
        let made = (0..5).map(|_| drill.run(&["backup", "--force", &copy])).collect::<Vec<_>>();
        talk.join().unwrap();
        made.into_iter().find(|made| !made.0).unwrap_or((true, String::new()))
    });
    assert!(done, "{shown}");
    let (done, shown) = drill.run(&["backup", &copy]);
    assert!(!done && shown.contains("is there already"), "{shown}");
    let (done, shown) = drill.run(&["restore", &copy]);
    assert!(!done && shown.contains("serves") && shown.contains("stop it first"), "{shown}");
    let (done, shown) = drill.run(&["backup", "--force", &copy]);
    assert!(done && shown.contains("11 messages") && shown.contains(".env"), "{shown}");
    assert_eq!(host.stop(), Some(0));

    fs::remove_file(drill.installation.path("data/longshore.db")).unwrap();
    let (done, shown) = drill.run(&["restore", &copy]);
    assert!(done && shown.contains("restored 11 messages"), "{shown}");
    drill.want(2);
    let mut host = Host::start(&drill.installation);
    host.wait_until("the new message is answered", |_| drill.heard(2) == 1);
    assert_eq!(drill.heard(1), 1, "the message that is brought again is known");
    assert_eq!(host.chat("main", "hello again").status, 0);
    assert!(drill.run(&["tasks"]).1.contains("0 9 * * *"));
    assert_eq!(store(&drill.installation, "SELECT count(*) FROM messages"), 13);
}

#[test]
fn a_database_of_a_newer_release_is_refused_by_every_command_and_left_alone() {
    let drill = Drill::new();
    let database = drill.installation.path("data/longshore.db");
    assert_eq!(Host::start(&drill.installation).stop(), Some(0));
    let copy = drill.installation.path("copy.db").display().to_string();
    assert!(drill.run(&["backup", &copy]).0);
    for file in [database.as_path(), copy.as_ref()] {
        Connection::open(file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    }
    let other = drill.installation.path("other.db").display().to_string();
    for command in [&["run", "--rehearsal"][..], &["backup", &other], &["restore", &copy], &["doctor"], &["tasks"]] {
        let (done, shown) = drill.run(command);
        assert!(!done && shown.contains("was written by a newer release (schema 99"), "{command:?}: {shown}");
    }
    assert_eq!(store(&drill.installation, "PRAGMA user_version"), 99);
    assert!(!drill.installation.path("other.db").exists());
}

//! SPEC "Every accepted message ends": what has not is listed by `longshore doctor`.

use std::fs;

use longshore_tests::{Host, Installation, Talk};
use serde_json::Value;

const GROUPS: &str = r#"{"test:1": {"name": "Test", "folder": "test", "requiresTrigger": false}}"#;

fn doctor(installation: &Installation, arguments: &[&str]) -> (Option<i32>, String) {
    let output = installation.longshore(&[&["doctor"], arguments].concat());
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn a_healthy_installation_is_reassured_in_one_line() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    assert_eq!(host.chat("main", "hello").status, 0);
    let (status, shown) = doctor(&installation, &[]);
    assert_eq!(status, Some(0), "{shown}");
    assert!(shown.starts_with("nothing found: up ") && shown.lines().count() == 1, "{shown}");
    let (status, json) = doctor(&installation, &["--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, json["findings"].as_array().map(Vec::len)), (Some(0), Some(0)));
}

#[test]
fn an_unanswered_message_of_a_stopped_host_is_listed_until_it_is_answered() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    let mut talk = Talk::attach(&installation, "coder").unwrap();
    talk.say("#rehearse delay 5 say at last").unwrap();
    host.kill();
    let (status, shown) = doctor(&installation, &[]);
    assert_eq!(status, Some(1));
    assert!(shown.contains("no host runs. Start it with `longshore run`"), "{shown}");
    assert!(shown.contains("1 message in `console:coder` of group `coder` waits for"), "{shown}");
    // The group is gone from the file.
    let groups = fs::read_to_string(installation.path("data/registered_groups.json")).unwrap();
    installation.groups("{}");
    let (status, shown) = doctor(&installation, &[]);
    assert!(status == Some(1) && shown.contains("`console:coder`"), "{shown}");
    installation.groups(&groups);
    let mut host = Host::start(&installation);
    let mut talk = Talk::attach(&installation, "coder").unwrap();
    assert_eq!(talk.hear().unwrap(), "at last");
    host.wait_until("nothing is open any more", |host| {
        let (status, shown) = doctor(host.installation, &["--all"]);
        status == Some(0) && !shown.contains("console:coder")
    });
}

#[test]
fn a_dead_letter_and_a_channel_that_is_down_are_listed() {
    let installation = Installation::new();
    installation.groups(GROUPS);
    fs::write(
        installation.path("adapter.py"),
        r#"
import json, sys
def tell(**line): print(json.dumps(line), flush=True)
tell(type="ready", protocol=1, channel="test", self=["me"])
tell(type="message", id="m1", chat="test:1", sender="ann", text="hello", timestamp="2026-01-31T12:00:00Z")
for line in sys.stdin:
    line = json.loads(line)
    if line["type"] == "send":
        tell(type="send_failed", outbox_id=line["outbox_id"], error="blocked by the user", permanent=True)
        tell(type="status", state="logged_out", detail="removed from the phone")
"#,
    )
    .unwrap();
    installation.env(&format!("CHANNELS=test\nCHANNEL_TEST=\"python3 {}\"", installation.path("adapter.py").display()));
    let mut host = Host::start(&installation);
    host.wait_until("the message is given up", |host| {
        crate::chat::store(host.installation, "SELECT count(*) FROM outbox WHERE state = 'dead'") >= 1
    });
    let mut shown = (None, String::new());
    host.wait_until("the channel is down", |host| {
        shown = doctor(host.installation, &[]);
        shown.1.contains("channel `test` is logged_out: removed from the phone. Pair it again")
    });
    assert_eq!(shown.0, Some(1));
    assert!(
        shown.1.contains("a message to `test:1` was given up at ") && shown.1.contains("blocked by the user"),
        "{shown:?}"
    );
}

//! SPEC "Outbox", what operators do with it: `longshore send` and `longshore dead`.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use longshore_tests::{Host, Installation};
use serde_json::Value;

/// Writes down what it is to send, and refuses for good while a file `refuse` is there.
const ADAPTER: &str = r#"
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
def tell(**line): print(json.dumps(line), flush=True)
tell(type="ready", protocol=1, channel="test", self=["me"])
tell(type="chat", chat="test:1", name="Family")
tell(type="chat", chat="test:2", name="Neighbours", is_group=True)
tell(type="status", state="up")
for line in sys.stdin:
    line = json.loads(line)
    if line["type"] == "send":
        refuse = os.path.exists(os.path.join(here, "refuse"))
        with open(os.path.join(here, "sent"), "a") as out:
            out.write(json.dumps([line["message_id"], line["text"], refuse]) + "\n")
        if refuse:
            tell(type="send_failed", outbox_id=line["outbox_id"], error="blocked by the user", permanent=True)
        else:
            tell(type="sent", outbox_id=line["outbox_id"], message_id=line["message_id"])
"#;

fn installation() -> Installation {
    let installation = Installation::new();
    installation.groups(r#"{"test:1": {"name": "Family", "folder": "family", "requiresTrigger": false}}"#);
    fs::write(installation.path("adapter.py"), ADAPTER).unwrap();
    installation.env(&format!("CHANNELS=test\nCHANNEL_TEST=\"python3 {}\"", installation.path("adapter.py").display()));
    installation
}

/// Exit status, stdout and stderr.
fn run(installation: &Installation, arguments: &[&str]) -> (i32, String, String) {
    let output = installation.longshore(arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// What the platform was given: message id, text, whether it refused.
fn sent(installation: &Installation) -> Vec<(String, String, bool)> {
    let text = fs::read_to_string(installation.path("sent")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn refuse(installation: &Installation, whether: bool) {
    let file = installation.path("refuse");
    if whether { fs::write(file, "").unwrap() } else { fs::remove_file(file).unwrap() }
}

#[test]
fn a_message_of_the_operator_is_sent_and_its_end_is_told() {
    let installation = installation();
    let (status, _, why) = run(&installation, &["send", "family", "hello"]);
    assert!(status == 1 && why.contains("no host runs") && why.contains("--no-wait"), "{why}");
    let (status, told, _) = run(&installation, &["send", "family", "kept for the next host", "--no-wait"]);
    assert!(status == 0 && told.starts_with("kept for `test:1` (outbox row 1)"), "{told}");

    let mut host = Host::start(&installation);
    host.wait_until("the kept message is sent", |host| sent(host.installation).len() == 1);
    host.wait_until("the channel has told its chats", |host| {
        run(host.installation, &["send", "test:2", "to the neighbours"]).0 == 0
    });
    assert_eq!(run(&installation, &["send", "Family", "hello"]), (0, "sent to `test:1`".into(), String::new()));
    let mut child =
        installation.command().args(["send", "family"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all("from stdin\n".as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let texts: Vec<String> = sent(&installation).into_iter().map(|(_, text, _)| text).collect();
    assert_eq!(texts, ["kept for the next host", "to the neighbours", "hello", "from stdin"]);

    let (status, _, why) = run(&installation, &["send", "famly", "hello"]);
    assert_eq!(status, 1);
    assert_eq!(why, "longshore: there is no chat `famly`; there are `family`, `test:2` (Neighbours)");
    let (status, _, why) = run(&installation, &["send", "family", " "]);
    assert_eq!((status, why.as_str()), (1, "longshore: there is nothing in the text"));
    assert_eq!(run(&installation, &["send"]).0, 2);

    refuse(&installation, true);
    let (status, _, why) = run(&installation, &["send", "family", "no way"]);
    assert!(status == 1 && why.contains("was given up: blocked by the user (outbox row 5)"), "{why}");
    let (status, json, _) = run(&installation, &["send", "family", "no way", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, json["state"].as_str()), (1, Some("dead")), "{json}");
    assert_eq!(json["message_id"].as_str(), sent(&installation).last().map(|sent| sent.0.as_str()));
}

#[test]
fn a_dead_letter_is_sent_again_under_its_id_or_left_at_that() {
    let installation = installation();
    let (status, told, _) = run(&installation, &["dead"]);
    assert!(status == 0 && told.starts_with("no dead letters"), "{told}");
    refuse(&installation, true);
    let host = Host::start(&installation);
    for text in ["first", "second", "third"] {
        assert_eq!(run(&installation, &["send", "family", text]).0, 1);
    }
    let (_, listed, _) = run(&installation, &["dead"]);
    assert!(listed.contains("blocked by the user") && listed.contains("second"), "{listed}");
    let (_, json, _) = run(&installation, &["dead", "--json"]);
    let letters: Value = serde_json::from_str(&json).unwrap();
    let ids: Vec<i64> = letters.as_array().unwrap().iter().map(|letter| letter["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3]);
    let (_, told, _) = run(&installation, &["doctor"]);
    assert!(told.contains("`longshore dead retry 3` sends it again"), "{told}");

    let (status, told, _) = run(&installation, &["dead", "drop", "1"]);
    assert_eq!((status, told.as_str()), (0, "1 message dropped"));
    assert!(!run(&installation, &["doctor"]).1.contains("dead retry 1"));
    assert!(run(&installation, &["dead", "list", "--dropped"]).1.contains("dropped"));
    let (status, _, why) = run(&installation, &["dead", "retry", "2", "9"]);
    assert!(status == 1 && why.contains("nothing was changed: there is no dead letter 9"), "{why}");
    assert_eq!(run(&installation, &["dead", "retry"]).0, 2, "which ones?");

    refuse(&installation, false);
    let (status, told, _) = run(&installation, &["dead", "retry", "3"]);
    assert!(status == 0 && told.starts_with("1 message to be sent again"), "{told}");
    let mut host = host;
    host.wait_until("it is sent", |host| sent(host.installation).len() == 4);
    let all = sent(&installation);
    assert_eq!((&all[3].0, all[3].1.as_str()), (&all[2].0, "third"), "the same message id");
    assert_eq!(host.stop(), Some(0));

    // Without a host it is done in the store, and the next host sends it.
    let (status, told, _) = run(&installation, &["dead", "retry", "--all"]);
    assert_eq!((status, told.as_str()), (0, "1 message to be sent again by the next `longshore run`"));
    let mut host = Host::start(&installation);
    host.wait_until("it is sent", |host| sent(host.installation).len() == 5);
    assert_eq!(sent(&installation)[4].0, all[1].0);
    assert!(run(&installation, &["dead"]).1.starts_with("no dead letters"));
}

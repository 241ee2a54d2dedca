//! SPEC "Routing": who is answered, and what the agent is told of the rest.

use std::path::PathBuf;

use longshore_tests::{Host, Installation};

use crate::chat::store;

/// Says what its file holds, one message a line as `chat|sender|text`, and writes down what it is sent.
const ADAPTER: &str = r#"
import json, sys, os
def tell(**line): print(json.dumps(line), flush=True)
tell(type="ready", protocol=1, channel=os.environ["LONGSHORE_CHANNEL"], self=["bot@test"])
for number, line in enumerate(open(sys.argv[1])):
    chat, sender, text = line.rstrip("\n").split("|", 2)
    tell(type="message", id=str(number), chat=chat, sender=sender, sender_name=sender.title(), text=text, is_group=True,
         timestamp="2026-01-31T12:00:%02dZ" % number, mentions_me="<mention>" in text)
for line in sys.stdin:
    line = json.loads(line)
    if line["type"] == "send":
        open(sys.argv[2], "a").write(line["chat"] + "|" + line["text"].replace("\n", " ") + "\n")
        tell(type="sent", outbox_id=line["outbox_id"], message_id=line["message_id"])
"#;

const GROUPS: &str = r#"{
  "test:family": {"name": "Family", "folder": "family", "trigger": "@Andy", "added_at": "x"},
  "test:chinese": {"name": "家", "folder": "chinese", "trigger": "@小明", "added_at": "x", "provider": "codex"},
  "console:main": {"name": "Main", "folder": "main", "isMain": true, "added_at": "x"}
}"#;

pub(crate) fn said(lines: &[&str]) -> (Installation, PathBuf) {
    let installation = Installation::new();
    installation.groups(GROUPS);
    let (script, spoken, received) =
        (installation.path("adapter.py"), installation.path("spoken.txt"), installation.path("received.txt"));
    std::fs::write(&script, ADAPTER).unwrap();
    std::fs::write(&spoken, lines.join("\n") + "\n").unwrap();
    std::fs::write(&received, "").unwrap();
    let paths = [&script, &spoken, &received].map(|path| path.display().to_string()).join(" ");
    installation.env(&format!("CHANNELS=test\nCHANNEL_TEST=\"python3 {paths}\""));
    (installation, received)
}

#[test]
fn messages_without_a_trigger_are_context_for_the_one_that_has_it() {
    let (installation, received) = said(&[
        "test:family|ann|Who brings the cake?",
        "test:family|bob|I can, but which one?",
        "test:family|ann|@Andy what was that about?",
        "test:family|bob|@andys is somebody else",
    ]);
    let mut host = Host::start(&installation);
    host.wait_until("the reply arrived", |_| !std::fs::read_to_string(&received).unwrap().is_empty());
    let reply = std::fs::read_to_string(&received).unwrap();
    for text in ["Who brings the cake?", "I can, but which one?", "@Andy what was that about?"] {
        assert!(reply.contains(text), "{text}: {reply}");
    }
    host.wait_until("every message has its row", |_| store(&installation, "SELECT count(*) FROM messages") == 4);
    assert_eq!(store(&installation, "SELECT count(*) FROM turns"), 1);
    assert_eq!(store(&installation, "SELECT count(*) FROM messages WHERE wakes = 1"), 1);
}

#[test]
fn a_trigger_in_another_script_and_a_mention_wake_the_group() {
    let (installation, received) =
        said(&["test:chinese|li|@小明 你好", "test:chinese|li|nobody in particular", "test:family|ann|<mention> hi"]);
    let mut host = Host::start(&installation);
    host.wait_until("both replies arrived", |_| std::fs::read_to_string(&received).unwrap().lines().count() >= 2);
    let replies = std::fs::read_to_string(&received).unwrap();
    assert!(
        replies.contains("test:chinese|[rehearsal · codex · chinese]") && replies.contains("@小明 你好"),
        "{replies}"
    );
    assert!(replies.contains("test:family|[rehearsal · claude · family]"), "{replies}");
}

#[test]
fn of_a_chat_that_is_not_registered_only_its_name_and_activity_are_kept() {
    let (installation, received) =
        said(&["test:stranger|eve|@Andy a secret nobody asked for", "test:family|ann|@Andy hi"]);
    let mut host = Host::start(&installation);
    host.wait_until("the registered chat is answered", |_| {
        std::fs::read_to_string(&received).unwrap().contains("test:family|")
    });
    assert_eq!(store(&installation, "SELECT count(*) FROM chats WHERE chat = 'test:stranger'"), 1);
    assert_eq!(store(&installation, "SELECT count(*) FROM messages WHERE chat = 'test:stranger'"), 0);
    assert!(!host.log().contains("nobody asked for"), "what people say is in the log");
}

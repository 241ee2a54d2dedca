//! SPEC "Channels": adapters are programs in any language.

use std::path::{Path, PathBuf};

use longshore_tests::{Host, HostOptions, Installation};

const GROUPS: &str = r#"{
  "test:1": { "name": "Test", "folder": "test", "trigger": "@Andy", "added_at": "2026-01-01T00:00:00Z",
              "requiresTrigger": false, "provider": "claude" }
}"#;

fn adapter() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/adapter.py")
}

/// An installation whose only channel is the example adapter, which says `text` once.
fn with_adapter(text: &str) -> (Installation, PathBuf) {
    let installation = Installation::new();
    installation.groups(GROUPS);
    let received = installation.path("received.txt");
    let quoted = text.replace('\'', "'\\''");
    installation.env(&format!(
        "CHANNELS=test\nCHANNEL_TEST=\"python3 {} --chat test:1 --say '{quoted}' --out {}\"",
        adapter().display(),
        received.display()
    ));
    (installation, received)
}

#[test]
fn an_adapter_of_thirty_lines_sends_a_message_and_receives_the_reply() {
    let (installation, received) = with_adapter("hello from python");
    let mut host = Host::start_with(&installation, &HostOptions::default());
    let mut text = String::new();
    host.wait_until("the adapter received the reply", |_| {
        text = std::fs::read_to_string(&received).unwrap_or_default();
        text.ends_with('\n')
    });
    assert_eq!(text.trim_end(), "[rehearsal · claude · test] You said: hello from python");
    let lines = std::fs::read_to_string(adapter()).unwrap().lines().count();
    assert!(lines <= 40, "the example has grown to {lines} lines");
}

#[test]
fn a_reply_beyond_the_channels_limit_arrives_whole_in_several_messages() {
    let (installation, received) = with_adapter("#rehearse big 10000");
    let mut host = Host::start(&installation);
    host.wait_until("every piece arrived", |_| {
        std::fs::read_to_string(&received).unwrap_or_default().matches('x').count() >= 10_000
    });
    let pieces = crate::chat::store(&installation, "SELECT count(*) FROM outbox WHERE chat = 'test:1'");
    assert_eq!(pieces, 3);
    let longest = crate::chat::store(&installation, "SELECT max(length(text)) FROM outbox");
    assert!(longest <= 4096, "{longest}");
}

#[test]
fn a_message_delivered_twice_by_the_platform_has_one_row_and_one_reply() {
    let installation = Installation::new();
    installation.groups(GROUPS);
    let script = installation.path("twice.py");
    std::fs::write(
        &script,
        r#"
import json, sys
def tell(**line): print(json.dumps(line), flush=True)
tell(type="ready", protocol=1, channel="test", self=["me"])
for _ in range(5):
    tell(type="message", id="same", chat="test:1", sender="ann", sender_name="Ann", text="hello", timestamp="2026-01-31T12:00:00Z")
print("this is not a line of the protocol", flush=True)
for line in sys.stdin:
    line = json.loads(line)
    if line["type"] == "ack": open(sys.argv[1] + ".acks", "a").write(line["id"] + "\n")
    if line["type"] == "send":
        open(sys.argv[1], "a").write(line["text"] + "\n")
        tell(type="sent", outbox_id=line["outbox_id"], message_id=line["message_id"])
"#,
    )
    .unwrap();
    let received = installation.path("received.txt");
    installation.env(&format!("CHANNELS=test\nCHANNEL_TEST=\"python3 {} {}\"", script.display(), received.display()));
    let mut host = Host::start(&installation);
    host.wait_until("the reply arrived", |_| received.exists());
    host.wait_until("every copy was acknowledged", |_| {
        std::fs::read_to_string(received.with_extension("txt.acks")).unwrap_or_default().lines().count() == 5
    });
    assert_eq!(crate::chat::store(&installation, "SELECT count(*) FROM messages"), 1);
    assert_eq!(host.stop(), Some(0));
    assert_eq!(std::fs::read_to_string(&received).unwrap().lines().count(), 1);
}

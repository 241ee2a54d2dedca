mod words;

use std::path::Path;
use std::sync::Arc;

use longshore_protocol::channel::ChatMessage;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::*;
use crate::channel::Stored;

/// Comes before each test's own lines: a Python adapter in three functions.
const PYTHON: &str = r#"
import json, os, signal, sys, time
def tell(**event): print(json.dumps(event), flush=True)
def ready(**more): tell(**{"type": "ready", "protocol": 1, "channel": "test", **more})
def say(id, **more): tell(**{"type": "message", "id": id, "chat": "c", "sender": "s", "text": "hi", "timestamp": "2026-01-31T12:00:00Z", **more})
def hear(): return json.loads(sys.stdin.readline())
def note(text): open(os.environ["LONGSHORE_DATA"] + "/notes", "a").write(text + "\n")
"#;

/// Long for a test that hangs, short for a person who waits for it.
const A_WHILE: Duration = Duration::from_secs(20);

/// A running channel and what it reports.
struct Running {
    adapter: Arc<Adapter>,
    events: mpsc::Receiver<ChannelEvent>,
    stop: Stop,
    listening: JoinHandle<anyhow::Result<()>>,
    data: TempDir,
}

impl Running {
    fn start(script: &str) -> Self {
        Self::start_with(script, Patience { restart: Duration::from_millis(1), ..Patience::default() })
    }

    fn start_with(script: &str, patience: Patience) -> Self {
        let command = ["python3", "-c", &format!("{PYTHON}{script}")].map(str::to_owned).to_vec();
        Self::run(command, patience)
    }

    fn run(command: Vec<String>, patience: Patience) -> Self {
        let data = TempDir::new().unwrap();
        let adapter = Adapter::new("test".into(), command, data.path().join("test")).with_patience(patience);
        let adapter = Arc::new(adapter);
        let (inbox, events) = mpsc::channel(4);
        let stop = Stop::new();
        let listening = tokio::spawn({
            let (adapter, stop) = (adapter.clone(), stop.clone());
            async move { adapter.listen(inbox, stop).await }
        });
        Self { adapter, events, stop, listening, data }
    }

    async fn event(&mut self) -> ChannelEvent {
        timeout(A_WHILE, self.events.recv()).await.expect("no event").expect("the channel ended")
    }

    async fn status(&mut self) -> (LinkState, String) {
        match self.event().await {
            ChannelEvent::Status { state, detail } => (state, detail.unwrap_or_default()),
            other => panic!("no status: {other:?}"),
        }
    }

    async fn up(&mut self) {
        assert_eq!(self.status().await.0, LinkState::Up);
    }

    async fn down(&mut self) -> String {
        let (state, detail) = self.status().await;
        assert_eq!(state, LinkState::Down);
        detail
    }

    async fn message(&mut self) -> (Box<ChatMessage>, oneshot::Sender<Stored>) {
        match self.event().await {
            ChannelEvent::Message { message, stored } => (message, stored),
            other => panic!("no message: {other:?}"),
        }
    }

    /// Waits until the adapter has noted so many lines.
    async fn notes(&self, count: usize) -> Vec<String> {
        let path = self.data.path().join("test/notes");
        let noted = async {
            loop {
                let notes: Vec<_> = read(&path).lines().map(str::to_owned).collect();
                if notes.len() >= count {
                    return notes;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(A_WHILE, noted).await.expect("too few notes")
    }

    async fn send(&self, outbox_id: i64) -> Result<(), SendError> {
        let message = OutboundMessage {
            outbox_id,
            chat: "c".into(),
            text: format!("text {outbox_id}"),
            message_id: format!("id{outbox_id}"),
            reply_to: None,
        };
        timeout(A_WHILE, self.adapter.send(&message)).await.expect("no answer")
    }

    async fn stop(mut self) {
        self.stop.cancel();
        self.events.close();
        timeout(A_WHILE, self.listening).await.expect("it does not stop").unwrap().unwrap();
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn unavailable(result: Result<(), SendError>) -> String {
    match result {
        Err(SendError::Unavailable(why)) => why,
        other => panic!("not unavailable: {other:?}"),
    }
}

#[tokio::test]
async fn the_example_says_something_takes_an_answer_and_stops() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/adapter.py");
    let out = tempfile::NamedTempFile::new().unwrap();
    let out_path = out.path().to_str().unwrap();
    let words = ["python3", script, "--chat", "test:1", "--say", "good \"morning\"", "--out", out_path];
    let mut channel = Running::run(words.map(str::to_owned).to_vec(), Patience::default());
    channel.up().await;
    let (message, stored) = channel.message().await;
    assert_eq!((message.chat.as_str(), message.text.as_str()), ("test:1", "good \"morning\""));
    stored.send(Stored { seq: Some(1) }).unwrap();
    channel.adapter.typing("test:1", true).await;
    assert_eq!(channel.send(1).await, Ok(()));
    assert_eq!(read(out.path()), "text 1\n");
    channel.stop().await;
}

#[tokio::test]
async fn messages_are_acknowledged_in_order_once_they_are_stored_and_others_never() {
    let mut channel = Running::start("ready()\nfor i in range(4): say(str(i))\nwhile True: note(hear()['id'])");
    channel.up().await;
    let mut waiting = Vec::new();
    for number in 0..4 {
        let (message, stored) = channel.message().await;
        assert_eq!(message.id, number.to_string(), "the reader waits for no row");
        waiting.push(stored);
    }
    drop(waiting.remove(1));
    for stored in waiting.into_iter().rev() {
        stored.send(Stored { seq: Some(1) }).unwrap();
    }
    assert_eq!(channel.notes(3).await, ["0", "2", "3"]);
    channel.stop().await;
}

#[tokio::test]
async fn the_assistants_own_words_are_known_by_any_of_its_ids() {
    let script = "ready(self=['me', 'lid'])\nsay('1', sender='me')\nsay('2', sender_alt='lid')\nsay('3')\nhear()";
    let mut channel = Running::start(script);
    channel.up().await;
    for from_me in [true, true, false] {
        assert_eq!(channel.message().await.0.from_me, from_me);
    }
    channel.stop().await;
}

#[tokio::test]
async fn lines_that_cannot_be_read_are_skipped() {
    let mut channel = Running::start(
        r#"
say("too early")
ready()
print("no json")
print('{"type":"message","id":7}')
print('{"type":"later"}')
sys.stdout.buffer.write(b"\xff\xfe\n")
print('{"type":"message","id":"' + "x" * (9 * 1024 * 1024) + '"}')
print('{"type":"chat","chat":"c","name":"Chat","later":true}')
say("1")
hear()"#,
    );
    channel.up().await;
    let ChannelEvent::Chat { name, is_group: false, .. } = channel.event().await else { panic!("no chat") };
    assert_eq!(name, "Chat");
    assert_eq!(channel.message().await.0.id, "1");
    channel.stop().await;
}

#[tokio::test]
async fn an_adapter_that_dies_is_reported_and_started_again() {
    let mut channel = Running::start("ready()\nsay('last words')\nsys.exit(3)");
    for _ in 0..3 {
        channel.up().await;
        assert_eq!(channel.message().await.0.id, "last words");
        assert_eq!(channel.down().await, "exit status: 3");
    }
    channel.stop().await;
}

#[tokio::test]
async fn an_adapter_that_is_of_no_use_is_reported_and_ended() {
    let command = vec!["/nowhere/longshore-nothing".to_owned()];
    let mut missing = Running::run(command, Patience::default());
    assert!(missing.down().await.starts_with("it can't be started: "));
    missing.stop().await;

    for (script, why) in [
        ("ready(protocol=99)\nhear()", "it speaks protocol 99 and this host speaks 1"),
        ("ready(channel='other')\nhear()", "it is the adapter of `other`, not of `test`"),
        ("hear()", "it did not say `ready` in time"),
        ("ready()\nos.close(1)\ntime.sleep(600)", "it closed its output"),
    ] {
        let short = Duration::from_millis(300);
        let patience = Patience {
            ready: if why.contains("in time") { short } else { A_WHILE },
            grace: short,
            ..Patience::default()
        };
        let mut channel = Running::start_with(script, patience);
        if why.contains("output") {
            channel.up().await;
        }
        assert_eq!(channel.down().await, why);
        channel.stop().await;
    }
}

#[tokio::test]
async fn a_message_is_sent_when_the_adapter_says_so() {
    let mut channel = Running::start(
        r#"
ready()
first, second, third = hear(), hear(), hear()
for line in (third, second, first):
    id = line["outbox_id"]
    assert line["text"] == f"text {id}" and line["message_id"] == f"id{id}", line
tell(type="send_failed", outbox_id=3, error="no such chat", permanent=True)
tell(type="send_failed", outbox_id=2, error="slow down")
tell(type="sent", outbox_id=99, message_id="x")
tell(type="sent", outbox_id=1, message_id="x")
hear()"#,
    );
    channel.up().await;
    let (one, two, three, again) = tokio::join!(channel.send(1), channel.send(2), channel.send(3), channel.send(1));
    assert_eq!(one, Ok(()));
    assert_eq!(two, Err(SendError::Temporary("slow down".into())));
    assert_eq!(three, Err(SendError::Permanent("no such chat".into())));
    assert_eq!(again, Err(SendError::Temporary("the message is being sent already".into())));
    channel.stop().await;
}

#[tokio::test]
async fn edits_and_deletions_are_acknowledged_in_their_order_once_they_are_stored() {
    let mut channel = Running::start(
        r#"
ready()
say("m1")
tell(type="edit", id="e1", chat="c", sender="s", target="m1", text="ho")
tell(type="delete", id="d1", chat="c", sender="admin", target="m1")
while True: note(" ".join(v for v in hear().values()))"#,
    );
    channel.up().await;
    let (_, first) = channel.message().await;
    let ChannelEvent::Edit { edit, stored: second } = channel.event().await else { panic!("no edit") };
    assert_eq!((edit.target.as_str(), edit.text.as_str()), ("m1", "ho"));
    let ChannelEvent::Delete { deletion, stored: third } = channel.event().await else { panic!("no deletion") };
    assert_eq!(deletion.target, "m1");
    third.send(Stored { seq: None }).unwrap();
    second.send(Stored { seq: Some(1) }).unwrap();
    sleep(Duration::from_millis(50)).await;
    assert_eq!(read(&channel.data.path().join("test/notes")), "", "acknowledged before the message's commit");
    first.send(Stored { seq: Some(1) }).unwrap();
    assert_eq!(channel.notes(3).await, ["ack c s m1", "ack c s e1", "ack c admin d1"]);
    channel.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_without_a_way_to_the_platform() {
    let mut channel = Running::start(
        r#"
hear_later = ready()
tell(type="status", state="need_qr")
tell(type="status", state="down", detail="no network")
hear()
sys.exit(1)"#,
    );
    unavailable(channel.send(1).await);
    channel.up().await;
    assert_eq!(channel.status().await.0, LinkState::NeedQr);
    assert_eq!(channel.status().await.1, "no network");
    assert_eq!(unavailable(channel.send(1).await), "no network");
    channel.stop().await;
}

#[tokio::test]
async fn a_message_whose_adapter_dies_waits_and_one_without_an_answer_is_tried_again() {
    let mut dying = Running::start("ready()\nhear()\nsys.exit(1)");
    dying.up().await;
    unavailable(dying.send(1).await);
    dying.stop().await;

    let patience = Patience { answer: Duration::from_millis(50), ..Patience::default() };
    let mut silent = Running::start_with("ready()\nwhile hear()['type'] != 'stop': pass", patience);
    silent.up().await;
    for _ in 0..2 {
        assert_eq!(silent.send(1).await, Err(SendError::Temporary("the adapter did not answer in time".into())));
    }
    silent.stop().await;
}

#[tokio::test]
async fn an_adapter_that_floods_waits_and_loses_nothing() {
    let mut channel = Running::start(
        r#"
import threading
def flood():
    for i in range(3000): say(str(i), text="x" * 500)
ready()
threading.Thread(target=flood).start()
for i in range(3000): assert hear()["id"] == str(i)
note("all")
hear()"#,
    );
    channel.up().await;
    for number in 0..3000 {
        let (message, stored) = channel.message().await;
        assert_eq!(message.id, number.to_string());
        stored.send(Stored { seq: Some(number) }).unwrap();
    }
    assert_eq!(channel.notes(1).await, ["all"]);
    channel.stop().await;
}

#[tokio::test]
async fn an_adapter_that_never_reads_is_ended() {
    let patience = Patience { read: Duration::from_millis(200), answer: Duration::from_secs(1), ..Patience::default() };
    let mut channel = Running::start_with("ready()\ntime.sleep(600)", patience);
    channel.up().await;
    let text = "x".repeat(1024 * 1024);
    let message = OutboundMessage { outbox_id: 1, chat: "c".into(), text, message_id: "m".into(), reply_to: None };
    unavailable(channel.adapter.send(&message).await);
    assert_eq!(channel.down().await, "it does not read its input");
    channel.stop().await;
}

#[tokio::test]
async fn an_adapter_is_told_to_stop_and_one_that_does_not_is_killed_with_all_that_it_started() {
    let mut polite = Running::start("ready()\nwhile hear()['type'] != 'stop': pass\nnote('bye')");
    polite.up().await;
    polite.stop.cancel();
    assert_eq!(polite.notes(1).await, ["bye"]);
    polite.stop().await;

    let patience = Patience { grace: Duration::from_millis(200), ..Patience::default() };
    let script = "note(str(os.fork()))\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nif os.getpid() == os.getpgrp(): ready()\ntime.sleep(600)";
    let mut stubborn = Running::start_with(script, patience);
    stubborn.up().await;
    let grandchild = stubborn.notes(2).await.into_iter().find(|note| note != "0").unwrap();
    stubborn.stop().await;
    let gone = async {
        // Until its new parent has taken note, a killed process is a zombie.
        while !read(&Path::new("/proc").join(&grandchild).join("stat"))
            .split(')')
            .nth(1)
            .is_none_or(|s| s.starts_with(" Z"))
        {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(A_WHILE, gone).await.expect("a process was left behind");
}

#[tokio::test]
async fn an_adapter_inherits_no_secret() {
    let script =
        r#"tr '\0' '\n' < /proc/$$/environ > "$LONGSHORE_DATA/notes"; echo end >> "$LONGSHORE_DATA/notes"; cat"#;
    let channel = Running::run(["sh", "-c", script].map(str::to_owned).to_vec(), Patience::default());
    let notes = channel.notes(4).await;
    let names: Vec<_> = notes.iter().map(|line| line.split('=').next().unwrap()).collect();
    let allowed = ["HOME", "LANG", "LONGSHORE_CHANNEL", "LONGSHORE_DATA", "PATH", "TZ", "end"];
    assert!(names.iter().all(|name| allowed.contains(name)), "{notes:?}");
    assert!(notes.contains(&"LONGSHORE_CHANNEL=test".to_owned()), "{notes:?}");
    channel.stop().await;
}

#[tokio::test]
async fn an_empty_command_is_an_error_at_once() {
    let channel = Running::run(Vec::new(), Patience::default());
    assert!(channel.listening.await.unwrap().is_err());
}

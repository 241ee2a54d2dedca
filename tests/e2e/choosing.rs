//! SPEC "Groups file": a chat is registered by choosing it among those of a channel.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use longshore_tests::installation::binary;
use longshore_tests::{Host, Installation};

use crate::chat::store;

/// A channel with three chats, one of which is served.
fn with_chats() -> Installation {
    let installation = Installation::new();
    installation.groups(
        r#"{ "test:1": { "name": "Family", "folder": "family", "trigger": "@Andy", "added_at": "2026-01-01T00:00:00Z" } }"#,
    );
    let script = installation.path("chats.py");
    std::fs::write(
        &script,
        r#"
import json, sys
def tell(**line): print(json.dumps(line), flush=True)
tell(type="ready", protocol=1, channel="test", self=["me"])
for number, name in ((1, "Family"), (2, "Family \u001b[31mtoo"), (3, "Rowing Club")):
    tell(type="chat", chat=f"test:{number}", name=name, is_group=True)
sys.stdin.read()
"#,
    )
    .unwrap();
    installation.env(&format!("CHANNELS=console,test\nCHANNEL_TEST=\"python3 {}\"", script.display()));
    installation
}

fn run(host: &mut Host<'_>) {
    let installation = host.installation;
    host.wait_until("the chats are known", |_| {
        store(installation, "SELECT count(*) FROM chats WHERE channel = 'test'") == 3
    });
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn file(installation: &Installation) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(installation.path("data/registered_groups.json")).unwrap()).unwrap()
}

#[test]
fn a_chat_of_a_channel_is_registered_by_its_name_or_id_and_served_at_once() {
    let installation = with_chats();
    let none = installation.longshore(&["groups", "add", "--from", "test"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none).contains("`test` has introduced no chats"), "{none:?}");
    let mut host = Host::start(&installation);
    run(&mut host);

    // Without a terminal there is nothing to choose with, and what to say instead is said.
    let unsaid = installation.longshore(&["groups", "add", "--from", "test"]);
    let shown = text(&unsaid);
    assert_eq!(unsaid.status.code(), Some(1), "{shown}");
    assert!(
        shown.contains("--from test --chat CHAT") && shown.contains("Rowing Club") && shown.contains("test:3"),
        "{shown}"
    );
    assert!(!shown.contains("test:1") && !shown.contains('\u{1b}'), "{shown}");
    let unknown = installation.longshore(&["groups", "add", "--from", "test", "--chat", "nobody"]);
    assert!(text(&unknown).contains("none of `test`'s chats"), "{unknown:?}");
    assert_eq!(file(&installation).as_object().unwrap().len(), 1, "nothing was added");

    let named =
        installation.longshore(&["groups", "add", "--from", "test", "--chat", "rowing club", "--provider", "codex"]);
    assert!(text(&named).contains("added `rowing-club`; live in the running host"), "{named:?}");
    let entry = &file(&installation)["test:3"];
    assert_eq!((&entry["name"], &entry["folder"]), (&"Rowing Club".into(), &"rowing-club".into()));
    assert_eq!(entry["provider"], "codex");
    let again = installation.longshore(&["groups", "add", "--from", "test", "--chat", "test:3", "--folder", "other"]);
    assert!(text(&again).contains("registered already"), "{again:?}");
}

#[test]
fn at_a_terminal_the_chat_and_its_folder_are_asked_for() {
    let installation = with_chats();
    let mut host = Host::start(&installation);
    run(&mut host);
    let terminal = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/terminal.py");
    let at_a_terminal = |answers: &[&str]| {
        let longshore = installation.command();
        let output = Command::new("python3")
            .arg(&terminal)
            .arg(serde_json::to_string(answers).unwrap())
            .arg(longshore.get_program())
            .args(longshore.get_args())
            .args(["groups", "add", "--from", "test", "--no-trigger"])
            .env("TERM", "xterm")
            .output()
            .unwrap();
        text(&output)
    };
    let shown = at_a_terminal(&[""]);
    assert!(shown.contains("nothing was added"), "{shown}");
    let shown = at_a_terminal(&["7", "test:2", "../x", "friends"]);
    assert!(shown.contains("That is none of them.") && shown.contains("`../x` may not contain"), "{shown}");
    assert!(shown.contains("added `friends`; live in the running host"), "{shown}");
    assert_eq!(file(&installation)["test:2"]["folder"], "friends");
    let shown = at_a_terminal(&["1", ""]);
    assert!(shown.contains("added `rowing-club`"), "{shown}");
}

#[test]
fn before_any_host_has_run_whatsapps_groups_come_from_its_adapter() {
    let installation = Installation::new();
    let programs = installation.path("programs");
    std::fs::create_dir(&programs).unwrap();
    std::fs::copy(binary(), programs.join("longshore")).unwrap();
    let adapter = programs.join("longshore-whatsapp");
    let script = r#"#!/bin/sh
[ "$3 $4" = "groups --json" ] || exit 1
echo '[{"chat": "1203630@g.us", "name": "Rowing Club", "participants": 3}]'
"#;
    std::fs::write(&adapter, script).unwrap();
    std::fs::set_permissions(&adapter, Permissions::from_mode(0o755)).unwrap();
    let add = |arguments: &[&str]| {
        let usual = installation.command();
        let mut command = Command::new(programs.join("longshore"));
        command.args(usual.get_args()).args(["groups", "add", "--from", "whatsapp"]).args(arguments);
        text(&command.output().unwrap())
    };
    let shown = add(&["--chat", "Rowing Club"]);
    assert!(shown.contains("added `rowing-club`; no host runs here"), "{shown}");
    assert_eq!(file(&installation)["1203630@g.us"]["name"], "Rowing Club");
    let shown = add(&[]);
    assert!(shown.contains("every chat of `whatsapp` that is known is served already"), "{shown}");
    std::fs::write(&adapter, "#!/bin/sh\necho 'nothing is linked' >&2\nexit 1\n").unwrap();
    let shown = add(&[]);
    assert!(shown.contains("nothing is linked"), "{shown}");
}

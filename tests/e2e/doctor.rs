//! SPEC "Every accepted message ends": what has not is listed by `longshore doctor`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use longshore_tests::host::containers_of;
use longshore_tests::{Api, Host, Installation, Talk};
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

fn mode(installation: &Installation, name: &str) -> u32 {
    fs::metadata(installation.path(name)).unwrap().permissions().mode() & 0o777
}

fn set_mode(installation: &Installation, name: &str, mode: u32) {
    fs::set_permissions(installation.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_broken_installation_is_told_and_what_is_safe_is_fixed() {
    let installation = Installation::new();
    assert_eq!((mode(&installation, ".env"), mode(&installation, "data")), (0o600, 0o700));
    installation
        .env("ANTHROPIC_API_KEY=sk-canary\nASISTANT_NAME=Bo\nCHANNELS=console,gone\nCHANNEL_GONE=no-such-adapter");
    set_mode(&installation, ".env", 0o644);
    set_mode(&installation, "data", 0o755);
    fs::remove_dir_all(installation.path("groups/global")).unwrap();
    let (status, shown) = doctor(&installation, &[]);
    assert_eq!(status, Some(1), "{shown}");
    for told in [
        "error   host      no host runs. Start it with `longshore run`",
        "error   files     `.env` can be read by others (mode 644). Run `chmod 600 .env`",
        "warning files     everybody on this machine can look into `data/` (mode 755)",
        "warning files     the folder `groups/global` is missing",
        "warning settings  `ASISTANT_NAME` in `.env` is not a setting; did you mean `ASSISTANT_NAME`?",
        "error   channel   channel `gone` cannot start: there is no program `no-such-adapter`",
        "warning access    no credential for codex (groups on it: `coder`). `longshore setup --provider codex` asks for it",
        "`longshore doctor --fix` mends some of it",
    ] {
        assert!(shown.contains(told), "{told}\n{shown}");
    }
    let (status, shown) = doctor(&installation, &["--fix"]);
    assert_eq!(status, Some(1), "{shown}");
    for told in
        ["fixed: `.env` has mode 600 now", "fixed: `data` has mode 750 now", "fixed: made the folder `groups/global`"]
    {
        assert!(shown.contains(told), "{told}\n{shown}");
    }
    assert_eq!((mode(&installation, ".env"), mode(&installation, "data")), (0o600, 0o750));
    let (_, again) = doctor(&installation, &["--fix", "--all"]);
    assert!(!again.contains("fixed") && !again.contains("mode 6"), "{again}");
    assert!(
        again.contains("note    engine    ") && again.contains("claude signs in with `ANTHROPIC_API_KEY`"),
        "{again}"
    );
    let (_, json) = doctor(&installation, &["--json", "--all"]);
    assert!(!json.contains("canary") && !shown.contains("canary") && !again.contains("canary"), "{json}");
    let json: Value = serde_json::from_str(&json).unwrap();
    let host = &json["findings"][0];
    assert_eq!((host["severity"].as_str(), host["command"].as_str()), (Some("error"), Some("longshore run")), "{host}");
}

#[test]
fn containers_that_no_host_has_are_told_and_removed() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    assert_eq!(host.chat("main", "hello").status, 0);
    let (_, shown) = doctor(&installation, &["--fix"]);
    assert!(shown.starts_with("nothing found"), "{shown}");
    assert_eq!(host.containers().len(), 1, "a running host's containers are its own matter");
    host.kill();
    let (_, shown) = doctor(&installation, &[]);
    assert!(shown.contains("warning container 1 container of this installation left without a host"), "{shown}");
    let (_, shown) = doctor(&installation, &["--fix"]);
    assert!(shown.contains("fixed: removed a container that no host had"), "{shown}");
    assert_eq!(containers_of(&installation.root_hash()), Vec::<String>::new());
}

#[test]
fn online_asks_each_provider_once_and_says_what_its_credential_is_worth() {
    let api = Api::start();
    let base = |settings: &str| {
        let installation = Installation::new();
        let server = api.server();
        installation.env(&format!(
            "ANTHROPIC_BASE_URL={}\nOPENAI_BASE_URL={}\n{settings}",
            server.anthropic_base(),
            server.openai_base()
        ));
        installation
    };
    let (_, shown) = doctor(&base(""), &["--online"]);
    assert!(shown.contains("nobody was asked: there is no credential"), "{shown}");
    assert_eq!(api.requests().len(), 0);

    let installation = base("ANTHROPIC_API_KEY=good-canary\nCODEX_API_KEY=wrong");
    let (status, shown) = doctor(&installation, &["--online"]);
    assert_eq!(status, Some(1), "{shown}");
    assert!(shown.contains("note    online    claude accepts ANTHROPIC_API_KEY and answers"), "{shown}");
    assert!(shown.contains("error   online    codex does not accept CODEX_API_KEY: "), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
    let asked: Vec<String> = api.requests().iter().map(|request| request.path.clone()).collect();
    assert_eq!(asked, ["/anthropic/v1/messages", "/openai/v1/responses"]);

    let away = Installation::new();
    away.env("ANTHROPIC_BASE_URL=http://127.0.0.1:1\nCLAUDE_CODE_OAUTH_TOKEN=token");
    let (_, shown) = doctor(&away, &["--online"]);
    assert!(shown.contains("claude cannot be reached: http://127.0.0.1:1: "), "{shown}");
}

//! SPEC "The record": for a message that got no answer, `longshore trace` says why and what to do.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use longshore_tests::{Api, Host, HostOptions, Installation};
use serde_json::Value;

use crate::allowlists::list;
use crate::chat::store;
use crate::routing::said;

fn trace(installation: &Installation, id: &str) -> (Option<i32>, String) {
    let output = installation.longshore(&["trace", id]);
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// The verdict's word and sentence, which is also the first line that a person sees.
fn verdict(installation: &Installation, id: &str) -> (String, String) {
    let output = installation.longshore(&["trace", id, "--json"]);
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |name: &str| report["verdict"][name].as_str().unwrap().to_owned();
    assert_eq!(trace(installation, id).1.lines().next(), Some(of("text").as_str()));
    (of("outcome"), of("text"))
}

fn steps(installation: &Installation, id: &str) -> Vec<String> {
    let output = installation.longshore(&["trace", id, "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn assert_said(verdict: &(String, String), outcome: &str, parts: &[&str]) {
    assert_eq!(verdict.0, outcome, "{}", verdict.1);
    for part in parts {
        assert!(verdict.1.contains(part), "`{part}` is not in: {}", verdict.1);
    }
}

#[test]
fn an_answered_message_shows_every_step_by_each_of_its_ids_with_a_host_and_without() {
    let installation = Installation::new();
    let mut host = Host::start(&installation);
    assert_eq!(host.chat("main", "#rehearse shell true").status, 0);
    let settled = |host: &mut Host<'_>| {
        host.wait_until("the turn settled and its lines are written", |host| {
            steps(host.installation, "message:1").contains(&"end".to_owned())
        });
    };
    settled(&mut host);
    assert_said(
        &verdict(&installation, "message:1"),
        "answered",
        &["Message 1 (`", "in `console:main` was answered: "],
    );
    let steps = steps(&installation, "message:1");
    let mut rest = steps.iter();
    for step in
        ["received", "routed", "stored", "turn", "slot", "container", "runner", "session", "text", "agent", "end"]
    {
        assert!(rest.any(|found| found == step), "{step} is missing, or too early, in {steps:?}");
    }
    for step in ["usage", "outbox", "sent"] {
        assert!(steps.iter().any(|found| found == step), "{step} is missing in {steps:?}");
    }
    let text = trace(&installation, "message:1").1;
    assert!(text.contains("start=cold") && text.contains("tools=1"), "{text}");
    assert_eq!(host.stop(), Some(0));
    let report: Value =
        serde_json::from_slice(&installation.longshore(&["trace", "outbox:1", "--json"]).stdout).unwrap();
    assert_eq!(report["verdict"]["outcome"], "answered", "{report}");
    // The number 1 is a message and a row of the outbox.
    let (status, several) = trace(&installation, "1");
    assert!(status == Some(1) && several.contains("message:1") && several.contains("outbox:1"), "{several}");
    let begun = text.lines().find(|line| line.contains("of `main` for 1 message")).unwrap();
    let turn = begun.split_whitespace().find(|word| word.len() == 32).unwrap();
    assert_said(&verdict(&installation, &turn[..20]), "answered", &[&format!("Turn `{turn}` was answered")]);
    let (status, nothing) = trace(&installation, "no-such-id");
    assert!(status == Some(1) && nothing.contains("nothing is known of `no-such-id`"), "{nothing}");
}

#[test]
fn a_message_that_woke_nobody_says_why() {
    let (installation, received) = said(&[
        "test:stranger|eve|@Andy a secret nobody asked for",
        "test:family|bob|nobody in particular",
        "test:family|eve|@Andy let me in",
        "test:family|ann|@Andy hello",
    ]);
    list(&installation, "sender-allowlist.json", r#"{"default": {"allow": ["ann", "bob"], "mode": "trigger"}}"#);
    let mut host = Host::start(&installation);
    host.wait_until("the reply arrived", |_| !fs::read_to_string(&received).unwrap().is_empty());
    host.wait_until("the lines are written", |host| trace(host.installation, "0").0 == Some(0));
    let stranger = verdict(&installation, "0");
    let advice = "the chat is not registered; register it with `longshore groups add test:stranger --folder NAME`.";
    assert_said(&stranger, "not_kept", &["Message `0` in `test:stranger` got no answer: ", advice]);
    let (no_trigger, not_allowed) = (verdict(&installation, "message:1"), verdict(&installation, "message:2"));
    let advice = "`longshore groups set family requiresTrigger=false`";
    assert_said(&no_trigger, "context", &["got no answer", "does not start with `@Andy`", advice]);
    assert_said(
        &not_allowed,
        "context",
        &["got no answer", "its sender may not wake the agent", "sender-allowlist.json`"],
    );
    assert_said(&verdict(&installation, "message:3"), "answered", &[]);
    // What is advised works.
    assert!(installation.longshore(&["groups", "set", "family", "requiresTrigger=false"]).status.success());
    assert!(installation.longshore(&["groups", "add", "test:stranger", "--folder", "stranger"]).status.success());
    assert_said(&verdict(&installation, "0"), "not_kept", &["it is now, so have it said again"]);
    let record = fs::read_to_string(installation.path("data/logs/longshore.jsonl")).unwrap();
    let line = record.lines().find(|line| line.contains("\"a message is not kept\"")).unwrap();
    assert!(!line.contains("\"eve\"") && !line.contains("secret"), "{line}");
}

#[test]
fn a_message_of_a_sender_whose_messages_are_dropped_says_so() {
    let (installation, received) = said(&["test:family|eve|@Andy let me in", "test:family|ann|@Andy hello"]);
    list(&installation, "sender-allowlist.json", r#"{"default": {"allow": ["ann"], "mode": "drop"}}"#);
    let mut host = Host::start(&installation);
    host.wait_until("the reply arrived", |_| !fs::read_to_string(&received).unwrap().is_empty());
    host.wait_until("the lines are written", |host| trace(host.installation, "0").0 == Some(0));
    assert_said(
        &verdict(&installation, "0"),
        "not_kept",
        &["sender is not on the sender allowlist", "add them to `allow`"],
    );
}

/// Says hello to a group that cannot answer, and gives the verdict.
fn unanswered(host: &Host<'_>, group: &str) -> (String, String) {
    let answer = host.chat(group, "hello");
    assert_eq!(answer.status, 1, "{answer:?}");
    let newest = store(host.installation, "SELECT max(seq) FROM messages");
    verdict(host.installation, &format!("message:{newest}"))
}

#[test]
fn bad_credentials_and_none_say_which_to_set() {
    let api = Api::start();
    let (anthropic, openai) = (api.server().anthropic_base(), api.server().openai_base());
    for (credentials, main, coder) in [
        ("ANTHROPIC_API_KEY=wrong\nCODEX_API_KEY=wrong", "did not accept the credential", "renew `CODEX_API_KEY`"),
        ("", "there is no credential for claude", "set `CODEX_API_KEY`"),
    ] {
        let installation = Installation::new();
        installation.env(&format!("ANTHROPIC_BASE_URL={anthropic}\nOPENAI_BASE_URL={openai}\n{credentials}"));
        let host = Host::start_with(&installation, &HostOptions { without_rehearsal: true, ..HostOptions::default() });
        let claude = unanswered(&host, "main");
        assert_said(
            &claude,
            "failed",
            &["got no answer after 1 try", main, "`ANTHROPIC_API_KEY`", "CLAUDE_AUTH_ERROR"],
        );
        assert_said(&unanswered(&host, "coder"), "failed", &["got no answer after 1 try", coder, "CODEX_AUTH_ERROR"]);
    }
}

#[test]
fn a_missing_image_says_the_command_that_makes_it() {
    let installation = Installation::new();
    installation.env("CONTAINER_IMAGE=longshore-no-such-image:latest");
    let host = Host::start(&installation);
    let parts = ["got no answer after 1 try", "the agent image is missing", "run `longshore image build`."];
    assert_said(&unanswered(&host, "main"), "failed", &parts);
}

#[test]
fn an_agent_that_outgrew_its_memory_says_how_to_give_it_more() {
    let installation = Installation::new();
    installation.groups(
        r#"{"console:main": {"name": "Main", "folder": "main", "isMain": true, "added_at": "x", "memoryLimit": "64m"}}"#,
    );
    let host = Host::start(&installation);
    let parts = ["the container ran out of memory", "`64 MiB`", "`longshore groups set main memoryLimit=4g`."];
    assert_said(&unanswered(&host, "main"), "failed", &parts);
    // What is advised works.
    assert!(installation.longshore(&["groups", "set", "main", "memoryLimit=4g"]).status.success());
    assert_eq!(host.chat("main", "hello").status, 0);
}

#[test]
fn a_group_over_its_budget_says_which_limit() {
    let installation = Installation::new();
    installation.groups(
        r#"{"console:g": {"folder": "g", "added_at": "x", "name": "G", "requiresTrigger": false,
            "budget": {"dailyTokens": 15}}}"#,
    );
    let mut host = Host::start(&installation);
    assert_eq!(host.chat("g", "hello").status, 0);
    host.wait_until("it is in the books", |host| store(host.installation, "SELECT count(*) FROM usage") == 1);
    let parts = ["has used its budget for today", "anew at 00:00", "`longshore groups set g budget.dailyTokens=…`"];
    assert_said(&unanswered(&host, "g"), "failed", &parts);
}

#[test]
fn an_answer_that_the_channel_refused_says_the_channel_s_reason() {
    let installation = Installation::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/fault_adapter.py");
    installation.env(&format!(
        "CHANNELS=test\nCHANNEL_TEST=\"python3 {} permanent --chat test:1 --say hello --platform {}\"",
        script.display(),
        installation.path("platform").display()
    ));
    installation.groups(r#"{"test:1": {"name": "Test", "folder": "test", "requiresTrigger": false, "added_at": "x"}}"#);
    let mut host = Host::start(&installation);
    host.wait_until("the answer was refused", |host| {
        store(host.installation, "SELECT count(*) FROM outbox WHERE state = 'dead'") == 1
    });
    host.wait_until("the turn settled", |host| {
        store(host.installation, "SELECT count(*) FROM turns WHERE state = 'settled'") == 1
    });
    let parts = ["Message 1 (`m0`) in `test:1` was answered, and the answer was not delivered", "(no such chat)"];
    assert_said(&verdict(&installation, "m0"), "undelivered", &parts);
    assert_said(&verdict(&installation, "outbox:1"), "undelivered", &["Outbox row 1 to `test:1` was not delivered"]);
}

#[test]
fn logs_are_followed_through_the_end_of_a_turn_and_have_no_word_of_what_people_say() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    let mut command = installation.command();
    command.args(["logs", "main", "--follow", "--json", "--level", "debug"]).stdout(Stdio::piped());
    let mut follower = command.spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert_eq!(host.chat("main", "#rehearse say a pineapple for you").stdout, "a pineapple for you");
    let settled = lines.find_map(|line| {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        (line["message"] == "turn settled").then_some(line)
    });
    follower.kill().unwrap();
    follower.wait().unwrap();
    let settled = settled.unwrap();
    assert_eq!((&settled["level"], &settled["spans"][0]["name"]), (&"info".into(), &"turn".into()));
    let turn = settled["spans"][0]["fields"]["turn"].as_str().unwrap();
    let shown = |arguments: &[&str]| {
        let output = installation.longshore(&[&["logs"], arguments].concat());
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let of_turn = shown(&["--turn", &turn[..20]]);
    assert!(of_turn.contains("a turn begins") && of_turn.lines().all(|line| line.contains(turn)), "{of_turn}");
    assert!(shown(&["coder"]).is_empty() && shown(&["--since", "0s", "main"]).is_empty());
    assert_eq!(shown(&["-n", "3", "--level", "debug"]).lines().count(), 3);
    assert!(!shown(&["--level", "debug"]).contains('\u{1b}'));
    assert_eq!(host.stop(), Some(0));
    let record = fs::read_to_string(installation.path("data/logs/longshore.jsonl")).unwrap();
    assert!(!record.contains("pineapple"), "what people say is in the record");
    assert!(record.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

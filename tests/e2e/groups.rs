//! SPEC "Groups file": the operator edits it while the host runs.

use std::fs;
use std::path::Path;
use std::process::Command;

use longshore_tests::{Host, Installation};

use crate::chat::store;

fn entry(folder: &str, fields: &str) -> String {
    format!(
        r#"{{"name": "{folder}", "folder": "{folder}", "trigger": "@Andy", "added_at": "2026-01-01T00:00:00Z"{fields}}}"#
    )
}

fn file(groups: &[(&str, &str)]) -> String {
    let entries: Vec<String> =
        groups.iter().map(|(folder, fields)| format!("  \"console:{folder}\": {}", entry(folder, fields))).collect();
    format!("{{\n{}\n}}\n", entries.join(",\n"))
}

/// The number of the generation that the host has applied, from its log.
fn generation(host: &Host<'_>) -> u64 {
    generations(host).last().copied().unwrap_or_default()
}

fn generations(host: &Host<'_>) -> Vec<u64> {
    host.log()
        .lines()
        .filter(|line| line.contains("groups file read"))
        .filter_map(|line| line.split("generation=").nth(1)?.split('}').next()?.parse().ok())
        .collect()
}

fn apply(host: &mut Host<'_>, json: &str) {
    let before = generation(host);
    host.installation.groups(json);
    host.wait_until("the edit is applied", |host| generation(host) > before);
}

#[test]
fn a_group_switches_to_codex_and_back_while_another_stays_on_claude() {
    let installation = Installation::new();
    installation.groups(&file(&[("main", r#", "isMain": true"#), ("family", r#", "requiresTrigger": false"#)]));
    let mut host = Host::start(&installation);
    let ask = |host: &Host<'_>, group: &str| host.chat(group, "hello").stdout;
    assert_eq!(ask(&host, "family"), "[rehearsal · claude · family] You said: hello");
    assert_eq!(ask(&host, "main"), "[rehearsal · claude · main] You said: hello");
    let codex = r#", "requiresTrigger": false, "provider": "codex""#;
    let before = host.containers().len();
    apply(&mut host, &file(&[("main", r#", "isMain": true"#), ("family", codex)]));
    host.wait_until("the changed group's container is retired", |host| host.containers().len() == before - 1);
    assert_eq!(ask(&host, "family"), "[rehearsal · codex · family] You said: hello");
    assert_eq!(ask(&host, "main"), "[rehearsal · claude · main] You said: hello");
    apply(&mut host, &file(&[("main", r#", "isMain": true"#), ("family", r#", "requiresTrigger": false"#)]));
    assert_eq!(ask(&host, "family"), "[rehearsal · claude · family] You said: hello");
    assert_eq!(store(&installation, "SELECT count(*) FROM sessions WHERE provider = 'claude'"), 2);
}

#[test]
fn a_bad_entry_keeps_its_last_good_version_and_the_others_apply() {
    let installation = Installation::new();
    installation.groups(&file(&[("main", r#", "isMain": true"#), ("family", r#", "requiresTrigger": false"#)]));
    let mut host = Host::start(&installation);
    let broken = r#", "requiresTrigger": false, "providr": "codex""#;
    apply(&mut host, &file(&[("main", r#", "isMain": true, "provider": "codex""#), ("family", broken)]));
    assert_eq!(host.chat("family", "hello").stdout, "[rehearsal · claude · family] You said: hello");
    assert_eq!(host.chat("main", "hello").stdout, "[rehearsal · codex · main] You said: hello");
    let status = String::from_utf8(installation.longshore(&["status"]).stdout).unwrap();
    assert!(status.contains("providr") && status.contains("provider"), "{status}");
}

#[test]
fn what_an_agent_may_write_follows_its_approval_policy() {
    let installation = Installation::new();
    let mut host = Host::start(&installation);
    let look = "#rehearse shell for d in group global extra ipc; do touch /workspace/$d/probe 2>/dev/null && echo $d yes || echo $d no; done";
    for provider in ["claude", "codex"] {
        for (policy, group_writable) in [("auto", "yes"), ("readonly", "no"), ("full", "yes")] {
            let fields = format!(
                r#", "requiresTrigger": false, "provider": "{provider}", "providerConfig": {{"{provider}": {{"approvalPolicy": "{policy}"}}}}"#
            );
            apply(&mut host, &file(&[("probe", &fields)]));
            let answer = host.chat("probe", look);
            assert_eq!(answer.status, 0, "{answer:?}");
            for expected in [&format!("group {group_writable}"), "global no", "extra no", "ipc no"] {
                assert!(answer.stdout.contains(expected), "{provider} {policy}: {expected} is missing in {answer:?}");
            }
        }
    }
}

#[test]
fn an_edit_of_memory_is_seen_by_the_next_turn_of_either_provider() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    for group in ["main", "coder"] {
        for colour in ["crimson", "turquoise"] {
            fs::write(installation.path(&format!("groups/{group}/CLAUDE.md")), format!("The colour is {colour}."))
                .unwrap();
            fs::write(installation.path("groups/CLAUDE.md"), format!("Everybody's colour is {colour}.")).unwrap();
            let told = host.chat(group, "#rehearse tell").stdout;
            assert!(told.contains(&format!("The colour is {colour}.")), "{group}: {told}");
            assert!(told.contains(&format!("Everybody's colour is {colour}.")), "{group}: {told}");
            assert_eq!(told.matches(&format!("The colour is {colour}.")).count(), 1, "told twice: {told}");
        }
    }
}

#[test]
fn codex_gets_a_minimal_config_once_and_never_again() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    assert_eq!(host.chat("coder", "hello").status, 0);
    let config = installation.path("data/codex/coder/.codex/config.toml");
    assert!(fs::read_to_string(&config).unwrap().starts_with("# Settings of codex"));
    fs::write(&config, "# mine\n").unwrap();
    assert_eq!(host.chat("coder", "hello again").status, 0);
    assert_eq!(fs::read_to_string(&config).unwrap(), "# mine\n");
}

fn vim_is_there() -> bool {
    static THERE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *THERE.get_or_init(|| Command::new("vim").arg("--version").output().is_ok_and(|output| output.status.success()))
}

/// As editors and scripts save: in place, beside and renamed, by `sed -i`, in two halves.
fn save(path: &Path, round: usize, json: &str) {
    let beside = path.with_extension("json~");
    match round % 4 {
        0 => fs::write(path, json).unwrap(),
        1 if round.is_multiple_of(5) && vim_is_there() => {
            fs::write(path, json.replace(&format!("round {round}"), "round X")).unwrap();
            let done = Command::new("vim")
                .args([
                    "-es",
                    "-u",
                    "NONE",
                    "-i",
                    "NONE",
                    "-n",
                    "-c",
                    &format!("%s/round X/round {round}/"),
                    "-c",
                    "wq",
                ])
                .arg(path)
                .status()
                .unwrap();
            assert!(done.success(), "vim: {done}");
        }
        1 => {
            // vim's way with its default settings: the old file becomes the backup, a new one is written.
            fs::rename(path, &beside).unwrap();
            fs::write(path, json).unwrap();
            fs::remove_file(&beside).unwrap();
        }
        2 => {
            fs::write(path, json.replace(&format!("round {round}"), "round X")).unwrap();
            let expression = format!("s/round X/round {round}/");
            let done = Command::new("sed").arg("-i").arg(expression).arg(path).status().unwrap();
            assert!(done.success());
        }
        _ => {
            let (first, second) = json.split_at(json.len() / 2);
            fs::write(path, first).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(2));
            fs::write(path, format!("{first}{second}")).unwrap();
        }
    }
}

#[test]
fn a_thousand_edits_while_messages_flow_lose_no_message_and_no_generation() {
    const EDITS: usize = 1000;
    let installation = Installation::new();
    let mut host = Host::start(&installation);
    assert_eq!(host.chat("main", "warm up").status, 0);
    let path = installation.path("data/registered_groups.json");
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut said = 1;
    std::thread::scope(|scope| {
        let editor = scope.spawn(|| {
            for round in 0..EDITS {
                let changing =
                    format!(r#", "requiresTrigger": false, "containerConfig": {{"timeout": {}}}"#, 60_000 + round);
                let json = file(&[("main", r#", "isMain": true"#), ("other", &changing)])
                    .replace("\"name\": \"other\"", &format!("\"name\": \"round {round}\""));
                save(&path, round, &json);
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            let answer = host.chat("main", &format!("message {said}"));
            assert_eq!(answer.stdout, format!("[rehearsal · claude · main] You said: message {said}"), "{answer:?}");
            said += 1;
        }
        editor.join().unwrap();
    });
    let last = format!("round {}", EDITS - 1);
    host.wait_until("the last edit is applied", |host| {
        String::from_utf8_lossy(&host.installation.longshore(&["status", "--json"]).stdout).contains(&last)
    });
    let seen = generations(&host);
    let expected: Vec<u64> = (1..=seen.len() as u64).collect();
    assert_eq!(seen, expected, "a generation is missing");
    assert!(seen.len() > 20, "only {} generations for {EDITS} edits", seen.len());
    assert_eq!(store(&installation, "SELECT count(*) FROM messages"), said);
    // On a slow machine a half-written file may last long enough to be told to the main group: a notice.
    assert_eq!(store(&installation, "SELECT count(*) FROM outbox WHERE state = 'sent' AND kind = 'reply'"), said);
}

#[test]
fn the_main_group_is_told_once_of_an_entry_that_cannot_be_used() {
    let installation = Installation::new();
    let mut host = Host::start(&installation);
    let broken = file(&[("main", r#", "isMain": true"#), ("family", r#", "providr": "codex""#)]);
    apply(&mut host, &broken);
    let answer = host.chat("main", "hello");
    assert_eq!(answer.stderr.matches("something that I cannot use").count(), 1, "{answer:?}");
    // A line more above it moves the mistake and makes no other of it.
    apply(&mut host, &broken.replacen('{', "{\n", 1).replace("\"name\": \"main\"", "\"name\": \"The main\""));
    assert_eq!(host.chat("main", "hello").stderr, "", "told again");
}

#[test]
fn the_command_line_edits_the_file_and_the_running_host_follows() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    let run = |arguments: &[&str]| {
        let output = installation.longshore(arguments);
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let added = run(&["groups", "add", "console:team", "--folder", "team", "--no-trigger", "--provider", "codex"]);
    assert_eq!(added, (Some(0), "added `team`; live in the running host\n".into()));
    assert_eq!(host.chat("team", "hello").stdout, "[rehearsal · codex · team] You said: hello");
    let changed = run(&["groups", "set", "team", "provider=claude"]);
    assert_eq!(changed, (Some(0), "changed `team`; live in the running host\n".into()));
    assert_eq!(host.chat("team", "hello").stdout, "[rehearsal · claude · team] You said: hello");
    let refused = run(&["groups", "set", "team", "folder=../team"]);
    assert!(refused.0 == Some(1) && refused.1.contains("nothing was changed"), "{refused:?}");
    assert_eq!(run(&["groups", "remove", "team"]).0, Some(0));
    assert!(host.chat("team", "hello").stderr.contains("there is no group `team`"));
    let listed = run(&["groups"]);
    assert!(listed.1.contains("main (main)") && listed.1.contains("coder") && !listed.1.contains("team"), "{listed:?}");
}

#[test]
fn a_turn_that_takes_too_long_is_ended_and_said_and_the_next_one_works() {
    let installation = Installation::new();
    let mut host = Host::start(&installation);
    for provider in ["claude", "codex"] {
        let fields =
            format!(r#", "requiresTrigger": false, "provider": "{provider}", "containerConfig": {{"timeout": 3000}}"#);
        apply(&mut host, &file(&[("slow", &fields)]));
        let answer = host.chat("slow", "#rehearse hang 60");
        assert_eq!((answer.status, answer.stdout.as_str()), (1, ""), "{answer:?}");
        assert!(answer.stderr.contains("longer than I may work"), "{answer:?}");
        assert_eq!(host.chat("slow", "quick").status, 0);
    }
}

#[test]
fn codex_starts_afresh_each_turn_unless_the_group_says_resume() {
    let installation = Installation::new();
    let mut host = Host::start(&installation);
    for (resume, threads) in [("false", 2), ("true", 1)] {
        let fields = format!(
            r#", "requiresTrigger": false, "provider": "codex", "providerConfig": {{"codex": {{"resume": {resume}}}}}"#
        );
        let folder = format!("resume-{resume}");
        apply(&mut host, &file(&[(&folder, &fields)]));
        for text in ["one", "two"] {
            let answer = host.chat(&folder, text);
            assert_eq!(answer.status, 0, "{answer:?}");
        }
        let sessions = installation.path(&format!("data/codex/{folder}/.codex/sessions"));
        let found = Command::new("find").arg(sessions).args(["-name", "rollout-*"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout).lines().count(), threads, "resume: {resume}");
    }
}

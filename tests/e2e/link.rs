//! SPEC "Links": containers that reach the broker through the engine, whatever link the other tests use.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use longshore_tests::{Api, Host, HostOptions, Installation};

use crate::chat::store;

/// An installation whose containers have no socket. Beside the process environment nothing is set in it.
fn options(environment: &[(&str, &str)]) -> HostOptions {
    let environment = environment.iter().chain(&[("BROKER_LINK", "exec")]);
    let environment = environment.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    HostOptions { environment, ..HostOptions::default() }
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker can be started");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The link's processes in a container, by their ids on this machine.
fn links(container: &str) -> Vec<String> {
    let table = docker(&["top", container, "-eo", "pid,args"]);
    let ours = |line: &&str| line.contains("longshore-agent link");
    table.lines().filter(ours).filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

#[test]
fn both_agents_answer_through_the_engine_and_no_socket_is_mounted() {
    let installation = Installation::new();
    let host = Host::start_with(&installation, &options(&[]));
    for (group, provider) in [("main", "claude"), ("coder", "codex")] {
        let answer = host.chat(group, "hello");
        assert_eq!(answer.status, 0, "{answer:?}\n{}", host.log());
        assert_eq!(answer.stdout, format!("[rehearsal · {provider} · {group}] You said: hello"));
        let answer =
            host.chat(group, "#rehearse shell ls -A /run/longshore; id -u > uid.txt; pgrep -u 0 . ; echo seen");
        assert!(answer.status == 0 && !answer.stdout.contains("broker.sock"), "{answer:?}");
    }
    for container in host.containers() {
        let mounts = docker(&["inspect", "--format", "{{json .Mounts}}", &container]);
        assert!(!mounts.contains("data/broker"), "{mounts}");
        assert_eq!(links(&container).len(), 1);
        // As the agent's user, with no more rights than it.
        let link = links(&container).remove(0);
        let status = std::fs::read_to_string(format!("/proc/{link}/status")).expect("the link's process");
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_whitespace().nth(1).unwrap_or_default().to_owned()
        };
        assert_ne!(field("Uid:"), "0");
        assert_eq!((field("CapEff:").as_str(), field("NoNewPrivs:").as_str()), ("0000000000000000", "1"), "{status}");
    }
}

#[test]
fn a_wrong_key_is_told_and_no_key_is_inside() {
    let api = Api::start();
    let installation = Installation::new();
    let (anthropic, openai) = (api.server().anthropic_base(), api.server().openai_base());
    installation.env(&format!(
        "ANTHROPIC_BASE_URL={anthropic}\nOPENAI_BASE_URL={openai}\nANTHROPIC_API_KEY=wrong\nCODEX_API_KEY=sk-canary"
    ));
    let host = Host::start_with(&installation, &HostOptions { without_rehearsal: true, ..options(&[]) });
    let answer = host.chat("main", "hello");
    assert!(answer.status == 1 && answer.stderr.contains("ANTHROPIC_API_KEY"), "{answer:?}");
    let look = "#rehearse shell cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' > found.txt; echo looked";
    let answer = host.chat("coder", look);
    assert!(answer.stdout.contains("looked"), "{answer:?}");
    let found = std::fs::read_to_string(installation.path("groups/coder/found.txt")).unwrap();
    assert!(found.contains("longshore-placeholder") && found.contains("longshore-agent\nlink"), "{found}");
    assert!(!found.contains("sk-canary"), "a real key is in a process");
}

#[test]
fn a_container_that_is_taken_over_gets_the_next_host_s_link_in_place_of_the_last_one_s() {
    let installation = Installation::new();
    let keep = options(&[("KEEP_WARM_SECONDS", "60")]);
    let host = Host::start_with(&installation, &keep);
    assert_eq!(host.chat("main", "hello").status, 0);
    let warm = host.containers();
    assert_eq!(host.stop(), Some(0));
    let begin = Instant::now();
    while !links(&warm[0]).is_empty() {
        assert!(begin.elapsed() < Duration::from_secs(30), "the link outlives its host");
        std::thread::sleep(Duration::from_millis(50));
    }
    let host = Host::start_with(&installation, &keep);
    assert_eq!(host.chat("main", "and now?").status, 0, "{}", host.log());
    assert_eq!(host.containers(), warm, "another container: {}", host.log());
    // One that is killed says goodbye to nobody.
    host.kill();
    let host = Host::start_with(&installation, &options(&[]));
    assert_eq!(host.chat("main", "and now?").status, 0, "{}", host.log());
    assert_eq!(host.containers(), warm, "another container: {}", host.log());
    assert_eq!(links(&warm[0]).len(), 1);
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn a_link_that_is_killed_in_a_turn_is_made_again_and_the_turn_goes_on() {
    let installation = Installation::new();
    let mut host = Host::start_with(&installation, &options(&[]));
    for group in ["main", "coder"] {
        assert_eq!(host.chat(group, "hello").status, 0, "{}", host.log());
        let container = docker(&[
            "ps",
            "-q",
            "--filter",
            &format!("label=longshore.root={}", installation.root_hash()),
            "--filter",
            &format!("label=longshore.group={group}"),
        ]);
        let container = container.trim();
        let before = links(container);
        let mut asking = installation.command();
        asking.args(["chat", group, "--once", "#rehearse delay 3 say after all"]);
        let asking = asking.stdout(Stdio::piped()).spawn().unwrap();
        host.wait_until("the turn runs", |_| {
            store(&installation, "SELECT count(*) FROM turns WHERE state = 'running'") == 1
        });
        std::thread::sleep(Duration::from_secs(1));
        // From inside, as an agent could.
        docker(&[
            "exec",
            container,
            "sh",
            "-c",
            "pkill -9 -f 'longshore-agent link$' || kill -9 $(grep -lz '^link$' /proc/[0-9]*/cmdline | cut -d/ -f3)",
        ]);
        let output = asking.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim(), "after all", "{group}: {}", host.log());
        let after = links(container);
        assert!(after.len() == 1 && after != before, "{before:?} {after:?}");
        assert_eq!(
            store(&installation, "SELECT max(attempt) FROM turns"),
            1,
            "{group}: the CLI's own retry was enough"
        );
    }
}

#[test]
fn tools_reach_what_they_may_and_no_more_through_the_engine() {
    let installation = Installation::new();
    let host = Host::start_with(&installation, &options(&[]));
    let answer = host.chat("coder", "#rehearse shell curl -sS -m 20 -o /dev/null -w '%{http_code}' http://10.0.0.1/ ; echo; curl -sS -m 20 https://example.invalid/ 2>&1 | tail -1");
    assert!(answer.stdout.contains("403"), "{answer:?}");
}

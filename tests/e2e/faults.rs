//! SPEC "Faults": what goes wrong is said, and nothing is lost.

use std::time::Duration;

use longshore_tests::{Host, HostOptions, Installation};

use crate::chat::store;

#[test]
fn an_unknown_group_is_answered_with_the_known_ones() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    let answer = host.chat("famliy", "hello");
    assert_eq!(answer.status, 1);
    assert!(answer.stderr.contains("`main`") && answer.stderr.contains("`coder`"), "{answer:?}");
    installation
        .groups(r#"{"console:main": {"name": "Main", "folder": "main"}, "console:coder": {"folder": "coder"}}"#);
    let restarted = Host::start_again(host);
    let answer = restarted.chat("coder", "hello");
    assert!(answer.stderr.contains("1 problem(s)") && answer.stderr.contains("longshore groups"), "{answer:?}");
}

#[test]
fn without_a_host_the_command_line_says_how_to_start_one() {
    let installation = Installation::new();
    for (arguments, status) in [(&["chat", "main", "--once", "hello"][..], 1), (&["status"], 3)] {
        let output = installation.longshore(arguments);
        assert_eq!(output.status.code(), Some(status));
        let said = [output.stdout, output.stderr].concat();
        assert!(String::from_utf8_lossy(&said).contains("`longshore run`"), "{}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn a_folder_that_is_no_installation_is_refused_with_the_command_that_makes_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(longshore_tests::installation::binary())
        .args(["--root", &folder.path().display().to_string(), "run"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("longshore init"), "{output:?}");
}

#[test]
fn a_second_host_on_one_installation_is_refused() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    let output = installation.longshore(&["run", "--rehearsal"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another `longshore run`"), "{output:?}");
    assert_eq!(host.chat("main", "still there?").status, 0);
}

#[test]
fn a_wrong_setting_is_refused_at_start_with_its_name_and_never_with_a_secret() {
    let installation = Installation::new();
    installation.env(
        "MAX_CONCURRENT_CONTAINERS=lots\nOPENAI_BASE_URL=ftp://example\nANTHROPIC_API_KEY=\"sk-secret with space\"",
    );
    let output = installation.longshore(&["run"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    for name in ["MAX_CONCURRENT_CONTAINERS", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY"] {
        assert!(text.contains(name), "{name} is missing in: {text}");
    }
    assert!(!text.contains("sk-secret"), "{text}");
}

#[test]
fn a_missing_image_is_answered_with_the_command_that_makes_it() {
    let installation = Installation::new();
    installation.env("CONTAINER_IMAGE=longshore-no-such-image:latest");
    let host = Host::start(&installation);
    let answer = host.chat("main", "hello");
    assert_eq!(answer.status, 1);
    assert!(answer.stderr.contains("longshore image build"), "{answer:?}");
}

#[test]
fn an_image_of_another_protocol_version_is_refused_the_same_way() {
    let make = format!(
        "printf 'FROM {}\\nLABEL longshore.protocol=99\\n' | DOCKER_BUILDKIT=0 docker build -q -t longshore-test-protocol:99 -",
        longshore_tests::installation::image()
    );
    let made = std::process::Command::new("sh").args(["-c", &make]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let installation = Installation::new();
    installation.env("CONTAINER_IMAGE=longshore-test-protocol:99");
    let host = Host::start(&installation);
    let answer = host.chat("main", "hello");
    assert_eq!(answer.status, 1);
    assert!(answer.stderr.contains("longshore image build"), "{answer:?}");
}

#[test]
fn while_the_engine_is_away_messages_are_stored_and_they_are_answered_when_it_is_back() {
    let installation = Installation::new();
    let engine = installation.path("engine.sock");
    let options = HostOptions {
        environment: vec![("DOCKER_HOST".into(), format!("unix://{}", engine.display()))],
        ..HostOptions::default()
    };
    let mut host = Host::start_with(&installation, &options);
    let asking = {
        let mut command = installation.command();
        command.args(["chat", "main", "--once", "are you there?"]).stdout(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    host.wait_until("the turn waits for the engine", |_| {
        store(&installation, "SELECT count(*) FROM turns WHERE state = 'waiting'") == 1
    });
    assert!(host.log().contains("no container engine"), "{}", host.log());
    let socket = std::env::var("DOCKER_HOST").unwrap_or_default();
    let socket = socket.strip_prefix("unix://").unwrap_or("/var/run/docker.sock");
    std::os::unix::fs::symlink(socket, &engine).unwrap();
    let output = asking.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}\n{}", host.log());
    assert_eq!(store(&installation, "SELECT attempt FROM turns"), 1, "waiting for the engine counts as no try");
}

#[test]
fn a_turn_that_was_running_when_the_host_was_killed_is_answered_by_the_next_host() {
    let installation = Installation::new();
    let mut host = Host::start(&installation);
    let mut asking = installation.command();
    asking.args(["chat", "main", "--once", "#rehearse delay 3 say after the crash"]);
    let mut asking = asking.stderr(std::process::Stdio::null()).spawn().unwrap();
    host.wait_until("the turn runs in its container", |host| {
        store(&installation, "SELECT count(*) FROM turns WHERE state = 'running'") == 1 && !host.containers().is_empty()
    });
    host.kill();
    asking.wait().unwrap();
    let mut host = Host::start(&installation);
    host.wait_until("the turn settled", |_| {
        store(&installation, "SELECT count(*) FROM turns WHERE state = 'settled'") == 1
    });
    assert_eq!(store(&installation, "SELECT count(*) FROM outbox"), 1);
    let answer = host.chat("main", "and now?");
    assert!(answer.stderr.contains("(earlier) after the crash"), "the reply waited for a terminal: {answer:?}");
    assert_eq!(host.containers().len(), 1, "the dead host's container is gone");
}

#[test]
fn a_conversation_whose_file_is_gone_is_begun_anew_silently() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    assert_eq!(host.chat("main", "hello").status, 0);
    assert_eq!(host.stop(), Some(0));
    let projects = installation.path("data/sessions/main/.claude/projects");
    std::fs::remove_dir_all(&projects).unwrap();
    let host = Host::start(&installation);
    let answer = host.chat("main", "do you remember?");
    assert_eq!((answer.status, answer.stderr.as_str()), (0, ""), "{answer:?}");
    assert!(host.log().contains("STALE_SESSION"), "the session was not stale: {}", host.log());
}

/// The most memory that the host has had, in MiB.
fn most_memory(host: &Host<'_>) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn a_container_that_floods_its_stdout_costs_bounded_memory_and_its_turn() {
    let installation = Installation::new();
    let mut host = Host::start(&installation);
    for (floods, flood) in [(1, "yes"), (2, "cat /dev/zero")] {
        let mut asking = installation.command();
        asking.args(["chat", "main", "--once", &format!("#rehearse shell {flood} | head -c 10G > /proc/1/fd/1")]);
        let mut asking = asking.stderr(std::process::Stdio::null()).spawn().unwrap();
        host.wait_until(&format!("`{flood}` is not heard any more"), |host| {
            host.log().matches("it is not heard any more").count() >= floods
        });
        host.wait_until("the turn is stopped", |_| installation.longshore(&["stop", "main"]).status.success());
        asking.wait().unwrap();
    }
    assert!(most_memory(&host) < 150, "{} MiB", most_memory(&host));
    assert!(host.log().len() < 1024 * 1024, "the log has {} bytes", host.log().len());
    assert_eq!(host.chat("coder", "still there?").status, 0);
}

#[test]
fn a_host_that_is_told_to_stop_leaves_no_container_behind() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    assert_eq!(host.chat("main", "hello").status, 0);
    assert_eq!(host.stop(), Some(0));
    assert!(longshore_tests::host::containers_of(&installation.root_hash()).is_empty());
}

#[test]
fn a_transient_fault_of_the_api_is_retried_and_answered() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    for group in ["main", "coder"] {
        let answer = host.chat(group, "#rehearse cut times=1");
        assert_eq!(answer.status, 0, "{answer:?}");
    }
}

#[test]
fn a_container_that_dies_in_a_turn_is_replaced_and_the_turn_is_tried_again() {
    let installation = Installation::new();
    let mut host = Host::start(&installation);
    let mut asking = installation.command();
    asking.args(["chat", "main", "--once", "#rehearse delay 2 say survived"]).stdout(std::process::Stdio::piped());
    let asking = asking.spawn().unwrap();
    host.wait_until("a container runs", |host| host.containers().len() == 1);
    // The runner itself must be up: killing the container before its first event is a failed start.
    std::thread::sleep(Duration::from_millis(500));
    let id = host.containers().remove(0);
    let killed = std::process::Command::new("docker").args(["kill", &id]).output().unwrap();
    assert!(killed.status.success(), "{killed:?}");
    let output = asking.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "survived", "{output:?}\n{}", host.log());
}

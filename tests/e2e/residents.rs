//! SPEC "Residents": containers that stay warm, over a restart as well.

use longshore_tests::{Host, HostOptions, Installation};

use crate::chat::store;

/// A host whose containers wait for the next one for so long.
fn keeping<'a>(installation: &'a Installation, seconds: &str) -> Host<'a> {
    let environment = vec![("KEEP_WARM_SECONDS".to_owned(), seconds.to_owned())];
    Host::start_with(installation, &HostOptions { environment, ..HostOptions::default() })
}

/// Whether the engine says that the container runs.
fn runs(container: &str) -> bool {
    let output = std::process::Command::new("docker")
        .args(["inspect", "--format", "{{.State.Running}}", container])
        .output()
        .expect("docker can be started");
    String::from_utf8_lossy(&output.stdout).trim() == "true"
}

/// The groups file with further fields of the main group.
fn groups(fields: &str) -> String {
    format!(
        r#"{{"console:main": {{"name": "Main", "folder": "main", "trigger": "@Andy", "added_at": "2026-01-01T00:00:00Z",
            "isMain": true{fields}}},
            "console:coder": {{"name": "Coder", "folder": "coder", "trigger": "@Andy", "added_at": "2026-01-01T00:00:00Z",
            "requiresTrigger": false, "provider": "codex"}}}}"#
    )
}

#[test]
fn a_restart_costs_no_cold_start() {
    let installation = Installation::new();
    let host = keeping(&installation, "60");
    assert_eq!(host.chat("main", "hello").status, 0);
    let warm = host.containers();
    assert_eq!(warm.len(), 1);
    assert_eq!(host.stop(), Some(0));
    let host = Host::start(&installation);
    assert_eq!(host.chat("main", "and now?").status, 0);
    assert_eq!(host.containers(), warm, "another container: {}", host.log());
}

#[test]
fn a_killed_host_s_idle_container_serves_the_next_host() {
    let installation = Installation::new();
    let host = Host::start(&installation);
    assert_eq!(host.chat("main", "hello").status, 0);
    let warm = host.containers();
    host.kill();
    let host = Host::start(&installation);
    assert_eq!(host.chat("main", "and now?").status, 0);
    assert_eq!(host.containers(), warm, "another container: {}", host.log());
    assert_eq!(host.stop(), Some(0));
    assert!(longshore_tests::host::containers_of(&installation.root_hash()).is_empty());
}

#[test]
fn a_container_that_the_next_host_would_not_start_like_this_is_replaced() {
    let installation = Installation::new();
    installation.groups(&groups(""));
    let host = keeping(&installation, "60");
    assert_eq!(host.chat("main", "hello").status, 0);
    let before = host.containers();
    assert_eq!(host.stop(), Some(0));
    installation.groups(&groups(r#", "memoryLimit": "1g""#));
    let host = Host::start(&installation);
    assert_eq!(host.chat("main", "and now?").status, 0);
    let now = host.containers();
    assert!(now.len() == 1 && now != before, "{before:?} {now:?}");
}

#[test]
fn a_container_that_no_host_comes_back_for_ends_by_itself() {
    let installation = Installation::new();
    let host = keeping(&installation, "1");
    assert_eq!(host.chat("main", "hello").status, 0);
    let left = host.containers().remove(0);
    assert_eq!(host.stop(), Some(0));
    let begin = std::time::Instant::now();
    while runs(&left) {
        assert!(begin.elapsed().as_secs() < 30, "it still runs");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let mut host = Host::start(&installation);
    host.wait_until("what ended is removed", |host| host.containers().is_empty());
}

#[test]
fn ctrl_c_leaves_no_container_behind() {
    let installation = Installation::new();
    let host = keeping(&installation, "60");
    assert_eq!(host.chat("main", "hello").status, 0);
    assert_eq!(host.interrupt(), Some(0));
    assert!(longshore_tests::host::containers_of(&installation.root_hash()).is_empty());
}

#[test]
fn a_prewarmed_group_has_its_container_before_the_first_message_and_after_a_change() {
    let installation = Installation::new();
    installation.groups(&groups(r#", "containerConfig": {"prewarm": true}"#));
    let mut host = Host::start(&installation);
    host.wait_until("a container is there", |host| host.containers().len() == 1);
    let first = host.containers();
    assert_eq!(host.chat("main", "hello").status, 0);
    assert_eq!(host.containers(), first);
    installation.groups(&groups(r#", "containerConfig": {"prewarm": true}, "memoryLimit": "1g""#));
    host.wait_until("another one is there", |host| host.containers().len() == 1 && host.containers() != first);
}

#[test]
fn of_idle_containers_the_one_idle_for_longest_makes_room() {
    let installation = Installation::new();
    installation.env("MAX_WARM_CONTAINERS=1");
    let mut host = Host::start(&installation);
    assert_eq!(host.chat("main", "hello").status, 0);
    let first = host.containers();
    assert_eq!(host.chat("coder", "hello").status, 0);
    host.wait_until("one is left", |host| host.containers().len() == 1);
    assert_ne!(host.containers(), first);
}

#[test]
fn containers_give_way_when_together_they_take_more_memory_than_they_may() {
    let installation = Installation::new();
    installation.env("RESIDENT_MEMORY_MB=64");
    let mut host = Host::start(&installation);
    assert_eq!(host.chat("main", "hello").status, 0);
    host.wait_until("it gave way", |host| host.containers().is_empty());
    assert!(host.log().contains("there are too many"), "{}", host.log());
    assert_eq!(host.chat("main", "and now?").status, 0, "a group that has something to say is never kept out");
}

#[test]
fn an_agent_that_outgrows_its_memory_is_told_with_its_limit() {
    let installation = Installation::new();
    installation.groups(&groups(r#", "memoryLimit": "64m""#));
    let host = Host::start(&installation);
    let answer = host.chat("main", "hello");
    assert!(answer.stderr.contains("64 MiB") || answer.stdout.contains("64 MiB"), "{answer:?}\n{}", host.log());
    assert_eq!(store(&installation, "SELECT count(*) FROM turns WHERE state = 'gave_up'"), 1);
}

//! SPEC "Stopping": turns that people end, and hosts.

use std::process::{Child, Stdio};

use longshore_tests::{Host, HostOptions, Installation};
use rustix::process::Signal;

use crate::chat::store;

const RUNNING: &str = "SELECT count(*) FROM turns WHERE state = 'running'";

/// Says something and leaves the answer to later.
fn ask(installation: &Installation, group: &str, text: &str) -> Child {
    let mut command = installation.command();
    command.args(["chat", group, "--once", text]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("longshore can be started")
}

/// A host in which the group's agent is at work: its model has been asked and has not answered.
fn at_work<'a>(installation: &'a Installation, options: &HostOptions, group: &str, text: &str) -> (Host<'a>, Child) {
    let mut host = Host::start_with(installation, options);
    let asking = ask(installation, group, text);
    host.wait_until("the agent is at work", |host| host.log().contains("turn begins"));
    std::thread::sleep(std::time::Duration::from_millis(1500));
    (host, asking)
}

#[test]
fn a_word_in_the_chat_stops_the_running_turn_of_either_provider() {
    let installation = Installation::new();
    for group in ["main", "coder"] {
        let (host, asking) = at_work(&installation, &HostOptions::default(), group, "#rehearse delay 50 say never");
        let stop = ask(&installation, group, "/stop");
        let answer = asking.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&answer.stderr).trim(), "Stopped.", "{answer:?}\n{}", host.log());
        drop(stop.wait_with_output());
        assert_eq!(host.chat(group, "and now?").status, 0);
        assert_eq!(host.containers().len(), 1, "the runner is good for the next turn");
        assert_eq!(host.stop(), Some(0));
        std::fs::write(installation.path("host.log"), "").unwrap();
    }
}

#[test]
fn the_operator_stops_what_runs_or_waits() {
    let installation = Installation::new();
    let (mut host, asking) = at_work(&installation, &HostOptions::default(), "main", "#rehearse delay 50 say never");
    let stopped = installation.longshore(&["stop", "main"]);
    assert!(String::from_utf8_lossy(&stopped.stdout).contains("is stopping"), "{stopped:?}");
    assert_eq!(String::from_utf8_lossy(&asking.wait_with_output().unwrap().stderr).trim(), "Stopped.");
    host.wait_until("nothing runs", |host| store(host.installation, RUNNING) == 0);
    let nothing = installation.longshore(&["stop", "main"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nothing.stdout).contains("Nothing runs"), "{nothing:?}");
    let unknown = installation.longshore(&["stop", "mian"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("longshore groups"), "{unknown:?}");
}

#[test]
fn the_first_signal_lets_running_turns_end() {
    let installation = Installation::new();
    let (host, asking) = at_work(&installation, &HostOptions::default(), "main", "#rehearse delay 4 say to the end");
    assert_eq!(host.stop(), Some(0));
    let answer = asking.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "to the end", "{answer:?}");
    assert_eq!(store(&installation, "SELECT count(*) FROM turns WHERE state = 'settled'"), 1);
}

#[test]
fn a_turn_that_outlasts_the_drain_is_run_again_by_the_next_host() {
    let installation = Installation::new();
    let environment = vec![("DRAIN_SECONDS".to_owned(), "1".to_owned())];
    let options = HostOptions { environment, ..HostOptions::default() };
    let (host, mut asking) = at_work(&installation, &options, "main", "#rehearse delay 8 say the second time");
    assert_eq!(host.stop(), Some(0));
    asking.wait().unwrap();
    let open = "SELECT count(*) FROM turns WHERE state IN ('running', 'waiting')";
    assert_eq!(store(&installation, open), 1);
    assert!(longshore_tests::host::containers_of(&installation.root_hash()).is_empty());
    let mut host = Host::start(&installation);
    host.wait_until("the turn settled", |host| {
        store(host.installation, "SELECT count(*) FROM turns WHERE state = 'settled'") == 1
    });
    assert_eq!(store(&installation, "SELECT count(*) FROM outbox"), 1);
}

#[test]
fn the_second_signal_ends_the_host_at_once() {
    let installation = Installation::new();
    let (host, mut asking) = at_work(&installation, &HostOptions::default(), "main", "#rehearse delay 50 say never");
    host.signal(Signal::TERM);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(host.stop(), Some(130));
    asking.wait().unwrap();
    assert_eq!(store(&installation, RUNNING), 1, "the next host finds it");
    let mut host = Host::start(&installation);
    let _ = installation.longshore(&["stop", "main"]);
    host.wait_until("nothing runs", |host| store(host.installation, RUNNING) == 0);
}

#[test]
fn a_container_that_stands_still_is_given_up_before_the_turn_s_time_is_over() {
    let installation = Installation::new();
    let environment = vec![("CONTAINER_STALL_TIMEOUT".to_owned(), "5000".to_owned())];
    let options = HostOptions { environment, ..HostOptions::default() };
    let (host, asking) = at_work(&installation, &options, "main", "#rehearse delay 50 say never");
    let id = host.containers().remove(0);
    let paused = std::process::Command::new("docker").args(["pause", &id]).output().unwrap();
    assert!(paused.status.success(), "{paused:?}");
    let answer = asking.wait_with_output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&answer.stdout), String::from_utf8_lossy(&answer.stderr));
    assert!(text.contains("no sign of life"), "{text}\n{}", host.log());
    assert_eq!(host.chat("main", "and now?").status, 0);
}

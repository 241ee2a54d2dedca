//! Watching: `longshore status` and `longshore metrics`, with a host and without one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use longshore_tests::{Installation, StubHost};
use serde_json::Value;

/// An installation whose stub host may ask a model.
fn installation() -> Installation {
    let installation = Installation::new();
    installation.env("ANTHROPIC_API_KEY=stub\nCODEX_API_KEY=stub");
    installation
}

/// Exit status and stdout of a command.
fn run(installation: &Installation, arguments: &[&str]) -> (Option<i32>, String) {
    let output = installation.longshore(arguments);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn status(installation: &Installation) -> Value {
    serde_json::from_str(&run(installation, &["status", "--json"]).1).unwrap()
}

fn group<'a>(status: &'a Value, id: &str) -> &'a Value {
    status["groups"].as_array().unwrap().iter().find(|group| group["id"] == id).unwrap()
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn status_says_how_each_group_is_while_the_host_runs_and_when_it_does_not() {
    let installation = installation();
    let (code, text) = run(&installation, &["status"]);
    assert_eq!(code, Some(3), "{text}");
    let first = text.lines().next().unwrap();
    assert!(first.contains("no host runs in") && first.contains("`longshore run`"), "{text}");
    assert!(text.contains("there is no database yet"), "{text}");

    let host = StubHost::start(&installation, false).unwrap();
    assert!(installation.longshore(&["chat", "main", "--once", "hello"]).status.success());
    let (code, text) = run(&installation, &["status"]);
    assert_eq!(code, Some(0), "{text}");
    let row = text.lines().find(|line| line.starts_with("main (main)")).unwrap();
    assert!(row.contains("idle") && row.contains("ok in 0 s") && row.contains("1 MiB, warm"), "{text}");

    let add = ["tasks", "add", "--group", "coder", "--type", "cron", "--at", "0 9 * * *", "good morning"];
    assert!(installation.longshore(&add).status.success());
    let next = group(&status(&installation), "coder")["next_task"].clone();
    assert!(next["at"].as_str().is_some_and(|at| at.ends_with(":00:00Z")), "{next}");

    // A turn at work is seen at work.
    let mut slow = installation.command().args(["chat", "main", "--once", "#slow 3000"]).spawn().unwrap();
    until("it runs", || group(&status(&installation), "main")["activity"]["state"] == "running");
    let busy = status(&installation);
    assert_eq!(busy["queue"], serde_json::json!({"running": 1, "waiting": 0, "slots": 5}), "{busy}");
    assert_eq!(group(&busy, "main")["resident"]["state"], "busy");
    assert!(slow.wait().unwrap().success());
    assert!(host.stop().unwrap().success());

    let down = status(&installation);
    assert_eq!((&down["state"], &down["uptime_seconds"]), (&"down".into(), &0.into()));
    assert_eq!(group(&down, "main")["activity"]["state"], "idle");
    assert_eq!(group(&down, "main")["last_turn"]["outcome"], "settled");
    assert_eq!(group(&down, "coder")["next_task"], next);
    assert_eq!((&down["tasks_active"], &down["outbox_pending"]), (&1.into(), &0.into()));
    assert!(down.get("notes").is_none(), "{down}");
    let (code, text) = run(&installation, &["status"]);
    assert_eq!(code, Some(3));
    assert!(text.lines().any(|line| line.starts_with("main (main)") && line.contains("ok in 3 s")), "{text}");
}

#[test]
fn a_host_that_was_killed_leaves_an_interrupted_turn_to_see() {
    let installation = installation();
    let host = StubHost::start(&installation, false).unwrap();
    let mut chat = installation.command().args(["chat", "main", "--once", "#slow 60000"]).spawn().unwrap();
    until("it runs", || group(&status(&installation), "main")["activity"]["state"] == "running");
    assert!(std::process::Command::new("kill").args(["-KILL", &host.pid().to_string()]).status().unwrap().success());
    let _ = chat.wait();
    drop(host);
    let (code, text) = run(&installation, &["status"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.lines().any(|line| line.starts_with("main (main)") && line.contains("interrupted")), "{text}");
}

/// What `GET path` is answered with.
fn get(address: &str, path: &str, host: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn metrics_are_served_on_this_machine_if_wanted_and_told_over_the_socket_in_any_case() {
    let installation = installation();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let host = StubHost::start(&installation, false).unwrap();
    assert!(get(&address, "/metrics", &address).is_err(), "nobody asked for it");
    assert!(run(&installation, &["metrics"]).1.contains("\nlongshore_queue_slots 5\n"));
    host.stop().unwrap();

    installation.env(&format!("METRICS={address}"));
    let host = StubHost::start(&installation, false).unwrap();
    assert!(installation.longshore(&["chat", "main", "--once", "hello"]).status.success());
    assert!(!installation.longshore(&["chat", "coder", "--once", "hello #fail"]).status.success());
    until("it listens", || get(&address, "/metrics", &address).is_ok());
    let answer = get(&address, "/metrics", &address).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("content-type: text/plain; version=0.0.4"));
    for line in [
        "longshore_turns_total{provider=\"claude\",outcome=\"settled\"} 1",
        "longshore_turns_total{provider=\"codex\",outcome=\"gave_up\"} 1",
        "longshore_turn_failures_total{code=\"OTHER\"} 1",
        "longshore_turn_wait_seconds_count 2",
        "longshore_messages_sent_total 2",
        "longshore_outbox_pending 0",
        "longshore_residents{state=\"warm\"} 2",
        "longshore_resident_memory_bytes{group=\"main\"} 1048576",
        "longshore_channel_up{channel=\"console\"} 1",
    ] {
        assert!(answer.lines().any(|told| told == line), "{line} is not in:\n{answer}");
    }
    assert!(get(&address, "/", &address).unwrap().starts_with("HTTP/1.1 404"));
    assert!(get(&address, "/metrics", "evil.example").unwrap().starts_with("HTTP/1.1 403"));
    assert!(host.stop().unwrap().success());
}

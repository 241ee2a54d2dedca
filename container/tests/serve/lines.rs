//! What goes in and out of the runner itself.

use serde_json::json;

use super::harness::{Agent, end, said};

#[test]
fn turns_that_come_together_run_one_after_another_and_end_once() {
    let mut agent = Agent::start();
    for turn in ["a", "b", "c"] {
        agent.send(turn, json!({"prompt": "hello"}));
    }
    for turn in ["a", "b", "c"] {
        assert_eq!(end(&agent.until_end(turn)), "finished");
    }
    let (status, rest, _) = agent.leave();
    assert_eq!((status, rest), (0, vec![]));
}

#[test]
fn a_runner_leaves_by_itself_when_no_host_comes_in_time() {
    let mut agent = Agent::start();
    assert_eq!(end(&agent.turn("a", json!({"prompt": "hello"}))), "finished");
    agent.write(r#"{"type":"linger","seconds":1}"#);
    let (status, rest, _) = agent.left();
    assert_eq!((status, rest), (0, vec![]));
}

#[test]
fn a_runner_stays_for_the_host_that_says_hello() {
    let mut agent = Agent::start();
    agent.write(r#"{"type":"linger","seconds":1}"#);
    agent.write(r#"{"type":"hello"}"#);
    let ready = agent.next().unwrap();
    assert_eq!((&ready["type"], &ready["protocol"]), (&json!("ready"), &json!(1)));
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(end(&agent.turn("a", json!({"prompt": "hello"}))), "finished");
}

#[test]
fn a_waiting_turn_can_be_stopped() {
    let mut agent = Agent::start();
    agent.send("a", json!({"prompt": "hang"}));
    agent.send("b", json!({"prompt": "hello"}));
    agent.stop("b");
    let event = loop {
        let event = agent.next().unwrap();
        if event["turn"] == "b" {
            break event;
        }
    };
    assert_eq!(event["failure"]["kind"], "stopped");
    agent.stop("a");
    assert_eq!(end(&agent.until_end("a")), "stopped");
}

#[test]
fn a_line_that_is_no_command_is_answered_where_it_names_a_turn_and_skipped_where_not() {
    let mut agent = Agent::start();
    agent.write("nonsense");
    agent.write("");
    agent.write("{\"type\":\"turn\",\"turn\":\"../etc\"}");
    agent.write(&"x".repeat(9_000_000));
    agent.write("{\"type\":\"turn\",\"turn\":\"a\",\"provider\":\"gpt\",\"prompt\":\"x\",\"time_limit_seconds\":1}");
    let answer = agent.until_end("a");
    assert_eq!(answer.len(), 1);
    assert_eq!(answer[0]["failure"]["code"], "CONTAINER_INVALID_OPTIONS");
    assert_eq!(end(&agent.turn("b", json!({"prompt": "hello"}))), "finished");
}

#[test]
fn a_prompt_near_the_limit_of_a_line_is_delivered() {
    let mut agent = Agent::start();
    let events = agent.turn("a", json!({"prompt": format!("long {}", "y".repeat(7_000_000))}));
    assert_eq!(end(&events), "finished");
}

#[test]
fn lines_that_mean_nothing_are_progress() {
    let mut agent = Agent::start();
    let events = agent.turn("a", json!({"prompt": "noise"}));
    let notes: Vec<&str> = events.iter().filter_map(|event| event["note"].as_str()).collect();
    assert_eq!(notes, ["unreadable line", "line never_seen", "unreadable line"]);
    assert_eq!(said(&events), ["ok"]);
}

#[test]
fn the_end_of_stdin_stops_the_running_turn_and_every_process() {
    let mut agent = Agent::start();
    agent.send("a", json!({"prompt": "deaf"}));
    agent.send("b", json!({"prompt": "hello"}));
    let pids = agent.noted_pids(4);
    let (status, rest, root) = agent.leave();
    assert_eq!(status, 0);
    let ends: Vec<_> = rest.iter().filter(|event| event["type"] == "failed").collect();
    assert_eq!(ends.len(), 2, "{rest:?}");
    assert!(ends.iter().all(|event| event["failure"]["kind"] == "stopped"), "{ends:?}");
    assert_eq!(pids.iter().filter(|pid| super::harness::lives(**pid)).count(), 0);
    assert_eq!(std::fs::read_dir(root.path().join("tmp")).unwrap().count(), 0, "scratch files are left");
}

#[test]
fn a_signal_ends_it_as_the_end_of_stdin_does() {
    let mut agent = Agent::start();
    agent.send("a", json!({"prompt": "hang"}));
    assert_eq!(agent.next().unwrap()["type"], "session");
    let pid = rustix::process::Pid::from_child(&agent.process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(end(&agent.until_end("a")), "stopped");
    assert_eq!(agent.next(), None);
    assert_eq!(agent.process.wait().unwrap().code(), Some(0));
}

#[test]
fn a_taken_port_is_an_error_before_ready() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_longshore-agent"))
        .args(["serve", "--bridge-port", &port])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot listen on loopback port"));
}

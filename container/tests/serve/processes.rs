//! What becomes of processes and of what they write.

use std::fs;

use serde_json::json;

use super::harness::{Agent, end, eventually, lives, said, session};

/// The most memory that the agent has had resident, in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_flood_of_output_is_read_to_its_end_in_bounded_memory() {
    let mut agent = Agent::start();
    let events = agent.turn("a", json!({"prompt": "flood"}));
    assert_eq!(said(&events), ["done"]);
    assert!(events.iter().any(|event| event["note"] == "line of 100000000 bytes skipped"), "{events:?}");
    let peak = peak_kib(agent.process.id());
    assert!(peak < 64 * 1024, "{peak} KiB");
}

#[test]
fn a_stopped_turn_leaves_no_process_whatever_group_or_session_it_is_in() {
    let mut agent = Agent::start();
    agent.send("a", json!({"prompt": "deaf"}));
    let pids = agent.noted_pids(4);
    assert!(pids.iter().all(|pid| lives(*pid)));
    agent.stop("a");
    assert_eq!(end(&agent.until_end("a")), "stopped");
    assert_eq!(pids.iter().filter(|pid| lives(**pid)).count(), 0);
}

#[test]
fn a_stopped_codex_that_does_not_listen_is_killed_with_all_below_it() {
    let mut agent = Agent::start();
    let script = "trap '' INT; setsid bash -c 'echo $$ >> $HOME/pids; sleep 1000; true' & echo $$ >> $HOME/pids; sleep 1000; true";
    agent.send("a", json!({"provider": "codex", "prompt": script}));
    let pids = agent.noted_pids(2);
    agent.stop("a");
    let events = agent.until_end("a");
    assert_eq!((end(&events), &events.last().unwrap()["failure"]["code"]), ("stopped", &json!("CODEX_STOPPED")));
    assert_eq!(pids.iter().filter(|pid| lives(**pid)).count(), 0);
}

#[test]
fn what_codex_leaves_in_its_group_dies_with_the_turn() {
    let mut agent = Agent::start();
    let script = "sleep 1000 & echo $! >> $HOME/pids; say hi; over 1";
    let events = agent.turn("a", json!({"provider": "codex", "prompt": script}));
    assert_eq!(said(&events), ["hi"]);
    let pids = agent.noted_pids(1);
    eventually(|| !lives(pids[0]));
}

#[test]
fn a_process_that_holds_the_pipe_open_does_not_hold_up_the_turn() {
    let mut agent = Agent::start();
    let script = "setsid bash -c 'echo $$ >> $HOME/pids; sleep 1000; true' & until [ -s $HOME/pids ]; do sleep 0.01; done; say hi; over 1";
    let events = agent.turn("a", json!({"provider": "codex", "prompt": script}));
    assert_eq!(end(&events), "finished");
    let pids = agent.noted_pids(1);
    assert_eq!(agent.leave().0, 0);
    assert!(!lives(pids[0]));
}

#[test]
fn orphans_that_die_are_reaped() {
    let mut agent = Agent::start();
    let script = "(setsid bash -c 'echo $$ >> $HOME/pids; sleep 0.1' &); until [ -s $HOME/pids ]; do sleep 0.01; done; say hi; over 1";
    assert_eq!(end(&agent.turn("a", json!({"provider": "codex", "prompt": script}))), "finished");
    let pids = agent.noted_pids(1);
    eventually(|| !fs::exists(format!("/proc/{}", pids[0])).unwrap());
}

#[test]
fn a_turn_beyond_its_time_fails_and_the_next_one_resumes() {
    for prompt in ["hang", "deaf"] {
        let mut agent = Agent::start();
        let events = agent.turn("a", json!({"prompt": prompt, "time_limit_seconds": 1}));
        assert_eq!(end(&events), "timeout");
        let named = session(&events);
        let events = agent.turn("b", json!({"prompt": "hello", "session": named}));
        assert_eq!((end(&events), session(&events)), ("finished", named.clone()));
        let launches = agent.launches();
        // One that let itself be interrupted is as good as new.
        assert_eq!(launches.len(), if prompt == "hang" { 1 } else { 2 });
        let word = if prompt == "hang" { "--session-id=" } else { "--resume=" };
        assert!(launches.last().unwrap().contains(&format!("{word}{}", named.as_str().unwrap())), "{launches:?}");
    }
}

#[test]
fn a_time_limit_beyond_any_clock_is_no_limit() {
    let mut agent = Agent::start();
    let events = agent.turn("a", json!({"prompt": "hello", "time_limit_seconds": u64::MAX}));
    assert_eq!(end(&events), "finished");
}

//! When the `claude` process is kept and when it is replaced.

use std::fs;

use serde_json::{Value, json};

use super::harness::{Agent, end, eventually, lives, said, session};

/// The process id that the stand-in tells as its answer.
fn pid(events: &[Value]) -> i32 {
    said(events)[0].strip_prefix("pid ").unwrap().parse().unwrap()
}

#[test]
fn turns_of_one_conversation_share_a_process() {
    let mut agent = Agent::start();
    let first = agent.turn("a", json!({"prompt": "hello"}));
    let second = agent.turn("b", json!({"prompt": "hello", "session": session(&first)}));
    assert_eq!(pid(&first), pid(&second));
    assert_eq!(session(&first), session(&second));
    assert_eq!(second.iter().find(|event| event["type"] == "usage").unwrap()["usage"]["output_tokens"], 2);
}

#[test]
fn whatever_a_process_cannot_take_up_starts_another_that_resumes() {
    let mut agent = Agent::start();
    let events = agent.turn("a", json!({"prompt": "hello"}));
    let (named, mut before) = (session(&events), pid(&events));
    let mut request = json!({"prompt": "hello", "session": named});
    for change in ["prelude", "model", "tools", "memory"] {
        match change {
            "prelude" => request["prelude"] = json!("You are Andy."),
            "model" => request["settings"] = json!({"model": "opus"}),
            "tools" => request["tools"] = json!("mcp"),
            _ => fs::write(agent.path("group/CLAUDE.md"), "Remember.").unwrap(),
        }
        let events = agent.turn(change, request.clone());
        assert_eq!(session(&events), named);
        assert_ne!(pid(&events), before, "{change}");
        eventually(|| !lives(before));
        before = pid(&events);
        let again = format!("{change}-again");
        assert_eq!(pid(&agent.turn(&again, request.clone())), before, "{change}");
    }
    let last = agent.launches().pop().unwrap();
    assert!(last.contains("--model=opus") && last.contains("--resume="), "{last}");
    assert_eq!(fs::read_to_string(agent.home().join("prelude")).unwrap(), "You are Andy.");
}

#[test]
fn no_session_is_a_new_conversation_and_another_session_another_process() {
    let mut agent = Agent::start();
    let first = agent.turn("a", json!({"prompt": "hello"}));
    let second = agent.turn("b", json!({"prompt": "hello"}));
    assert_ne!(session(&first), session(&second));
    let third = agent.turn("c", json!({"prompt": "hello", "session": session(&first)}));
    assert_eq!(session(&third), session(&first));
    assert_eq!(agent.launches().len(), 3);
}

#[test]
fn one_that_died_between_turns_is_resumed() {
    let mut agent = Agent::start();
    let first = agent.turn("a", json!({"prompt": "hello"}));
    let killed = rustix::process::Pid::from_raw(pid(&first)).unwrap();
    rustix::process::kill_process(killed, rustix::process::Signal::KILL).unwrap();
    let second = agent.turn("b", json!({"prompt": "hello", "session": session(&first)}));
    assert_eq!((end(&second), session(&second)), ("finished", session(&first)));
    assert!(agent.launches()[1].contains("--resume="), "{:?}", agent.launches());
}

#[test]
fn one_that_leaves_after_its_answer_is_resumed() {
    let mut agent = Agent::start();
    let first = agent.turn("a", json!({"prompt": "leave"}));
    assert_eq!(said(&first), ["bye"]);
    let second = agent.turn("b", json!({"prompt": "hello", "session": session(&first)}));
    assert_eq!((end(&second), session(&second)), ("finished", session(&first)));
}

#[test]
fn one_that_works_between_turns_is_not_used_again() {
    let mut agent = Agent::start();
    let first = agent.turn("a", json!({"prompt": "mutter"}));
    let second = agent.turn("b", json!({"prompt": "hello", "session": session(&first)}));
    assert_eq!(end(&second), "finished");
    assert_eq!(agent.launches().len(), 2);
}

#[test]
fn one_that_dies_in_a_turn_fails_it_by_its_own_words() {
    let mut agent = Agent::start();
    let events = agent.turn("a", json!({"prompt": "die"}));
    assert_eq!(events.last().unwrap()["failure"]["message"], "Error: Settings file not found: x");
    assert_eq!(end(&events), "config");
}

#[test]
fn an_unknown_session_is_told_before_anything_is_said() {
    let mut agent = Agent::start();
    let events = agent.turn("a", json!({"prompt": "hello", "session": "unknown"}));
    assert_eq!((end(&events), events.len()), ("stale_session", 1));
}

#[test]
fn a_missing_program_and_a_missing_folder_are_named() {
    let mut agent = Agent::start();
    fs::remove_file(agent.path("bin/claude")).unwrap();
    let events = agent.turn("a", json!({"prompt": "hello"}));
    assert_eq!(events[0]["failure"]["message"], "`claude` is not installed");
    fs::remove_dir(agent.path("group")).unwrap();
    let events = agent.turn("b", json!({"prompt": "hello"}));
    assert_eq!(end(&events), "config");
    assert!(events[0]["failure"]["message"].as_str().unwrap().ends_with("is no directory"), "{events:?}");
}

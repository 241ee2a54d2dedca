//! `codex`, one process a turn.

use serde_json::{Value, json};

use super::harness::{Agent, end, said, session};

const THREAD: &str = "01a1fc6d-17f0-70d1-bc9a-1f565c9513ed";

fn input_tokens(events: &[Value]) -> Option<u64> {
    events.iter().find(|event| event["type"] == "usage")?["usage"]["input_tokens"].as_u64()
}

fn turn(prompt: &str) -> Value {
    json!({"provider": "codex", "prompt": prompt, "settings": {"resume": true}})
}

#[test]
fn the_share_of_a_resumed_thread_is_known_to_the_next_container_too() {
    let mut agent = Agent::start();
    let first = agent.turn("a", turn("say one; over 100"));
    assert_eq!((said(&first), input_tokens(&first)), (vec!["one"], Some(100)));
    assert_eq!(session(&first), THREAD);
    let (_, _, root) = agent.leave();
    let mut agent = Agent::start_in(root);
    let mut request = turn("say two; over 130");
    request["session"] = json!(THREAD);
    let second = agent.turn("b", request);
    assert_eq!((said(&second), input_tokens(&second)), (vec!["two"], Some(30)));
    assert!(agent.launches()[1].ends_with(&format!("resume {THREAD} -")), "{:?}", agent.launches());
}

#[test]
fn a_thread_without_a_record_tells_no_share() {
    let mut agent = Agent::start();
    let mut request = turn("say hi; over 130");
    request["session"] = json!(THREAD);
    let events = agent.turn("a", request);
    assert_eq!((end(&events), input_tokens(&events)), ("finished", None));
}

#[test]
fn another_thread_than_the_one_asked_for_is_stopped_before_it_acts() {
    let mut agent = Agent::start();
    let mut request = turn("sleep 1000; say hi; over 1");
    request["session"] = json!("another-thread");
    let events = agent.turn("a", request);
    assert_eq!((end(&events), said(&events)), ("stale_session", vec![]));
}

#[test]
fn what_comes_after_the_end_of_the_turn_fails_it() {
    let mut agent = Agent::start();
    let events = agent.turn("a", turn("say hi; over 1; say again; sleep 1000"));
    assert_eq!((end(&events), said(&events)), ("invalid_event", vec![]));
}

#[test]
fn a_bad_exit_fails_a_turn_that_looked_complete() {
    let mut agent = Agent::start();
    let events = agent.turn("a", turn("say hi; over 1; echo 'Error: Model provider `x` not found' >&2; exit 1"));
    assert_eq!((end(&events), said(&events)), ("config", vec![]));
    let events = agent.turn("b", turn("say hi; kill -9 $$"));
    assert_eq!(end(&events), "internal");
    let events = agent.turn("c", turn("say hi; exit 0"));
    assert_eq!(end(&events), "missing_result");
}

#[test]
fn a_setting_that_no_argument_can_hold_is_an_invalid_option() {
    let mut agent = Agent::start();
    let mut request = turn("say hi; over 1");
    request["settings"] = json!({"config_overrides": {"x": "y".repeat(200_000)}});
    assert_eq!(end(&agent.turn("a", request)), "invalid_options");
    let mut request = turn("say hi; over 1");
    request["settings"] = json!({"model": "a\u{0}b"});
    assert_eq!(end(&agent.turn("b", request)), "invalid_options");
}

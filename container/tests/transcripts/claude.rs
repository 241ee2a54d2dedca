use longshore_agent::provider::claude::{Claude, speaks_out_of_turn};
use longshore_agent::provider::{Exit, Provider};
use proptest::prelude::*;

use super::{ends, read, told, transcript};

/// The time at which a turn of these tests begins.
const NOW: u64 = 1_795_230_142;

fn turn(message: &str) -> Claude {
    Claude::new(message.to_owned(), "00000000-0000-4000-8000-000000000000".to_owned(), NOW)
}

/// The UUIDs of the user messages in a transcript, in order.
fn messages(lines: &[String]) -> Vec<String> {
    let mut seen = Vec::new();
    for line in lines {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(uuid) = value["command_uuid"].as_str().filter(|uuid| !seen.iter().any(|old| old == uuid)) {
            seen.push(uuid.to_owned());
        }
    }
    seen
}

fn only_turn(name: &str) -> Vec<String> {
    let lines = transcript(name);
    let message = messages(&lines).first().cloned().unwrap_or_default();
    read(&mut turn(&message), &lines)
}

#[test]
fn two_turns_of_one_process_are_told_apart() {
    let lines = transcript("claude/two_turns.jsonl");
    let ids = messages(&lines);
    let end = lines.iter().position(|line| line.contains(r#""type":"result""#)).unwrap();
    assert_eq!(
        read(&mut turn(&ids[0]), &lines[..=end]),
        [
            r#"{"type":"session","session":"e608cf7f-af03-4205-a661-54f50d466201"}"#,
            r#"{"type":"progress","note":"text of 12 characters"}"#,
            r#"{"type":"progress","note":"tool Bash"}"#,
            r#"{"type":"progress","note":"tool result"}"#,
            r#"{"type":"progress","note":"system thinking_tokens"}"#,
            r#"{"type":"progress","note":"thinking"}"#,
            r#"{"type":"progress","note":"text of 11 characters"}"#,
            r#"{"type":"message","text":"It says hi."}"#,
            r#"{"type":"usage","usage":{"input_tokens":137,"cached_input_tokens":100,"output_tokens":10}}"#,
            r#"{"type":"finished"}"#,
        ]
    );
    // The end of the first turn's bookkeeping comes after its result and is nothing to the second turn.
    assert_eq!(
        read(&mut turn(&ids[1]), &lines[end + 1..]),
        [
            r#"{"type":"session","session":"e608cf7f-af03-4205-a661-54f50d466201"}"#,
            r#"{"type":"progress","note":"text of 4 characters"}"#,
            r#"{"type":"message","text":"PONG"}"#,
            r#"{"type":"usage","usage":{"input_tokens":10,"cached_input_tokens":0,"output_tokens":5}}"#,
            r#"{"type":"finished"}"#,
        ]
    );
}

#[test]
fn a_result_for_another_message_is_an_invalid_event() {
    let lines = transcript("claude/two_turns.jsonl");
    let ids = messages(&lines);
    let told = read(&mut turn(&ids[1]), &lines);
    assert_eq!(
        told.last().unwrap(),
        r#"{"type":"failed","failure":{"kind":"invalid_event","code":"CLAUDE_INVALID_EVENT","message":"the result belongs to another message"}}"#
    );
}

#[test]
fn a_message_that_was_folded_into_the_turn_ends_with_it() {
    let told = only_turn("claude/folded_message.jsonl");
    assert_eq!(told.last().unwrap(), r#"{"type":"finished"}"#);
    assert!(told.contains(&r#"{"type":"message","text":"done"}"#.to_owned()), "{told:?}");
}

#[test]
fn an_empty_answer_is_a_missing_result() {
    assert_eq!(
        only_turn("claude/empty.jsonl"),
        [
            r#"{"type":"session","session":"c6452f49-3804-4120-ade7-7319d8ea0124"}"#,
            r#"{"type":"progress","note":"tool result"}"#,
            r#"{"type":"usage","usage":{"input_tokens":20,"cached_input_tokens":0,"output_tokens":10}}"#,
            r#"{"type":"failed","failure":{"kind":"missing_result","code":"CLAUDE_MISSING_RESULT","message":"the result is empty"}}"#,
        ]
    );
}

#[test]
fn an_interrupted_turn_ends_in_order() {
    assert_eq!(
        only_turn("claude/interrupted.jsonl"),
        [
            r#"{"type":"session","session":"3b992305-65d5-439d-b8c7-efd86d8716b4"}"#,
            r#"{"type":"progress","note":"tool Bash"}"#,
            r#"{"type":"progress","note":"tool result"}"#,
            r#"{"type":"progress","note":"tool result"}"#,
            r#"{"type":"usage","usage":{"input_tokens":10,"cached_input_tokens":0,"output_tokens":5}}"#,
            r#"{"type":"failed","failure":{"kind":"internal","code":"CLAUDE_INTERNAL_ERROR","message":"[ede_diagnostic] result_type=user last_content_type=n/a stop_reason=tool_use"}}"#,
        ]
    );
}

#[test]
fn a_refused_key_is_an_auth_failure_with_its_status() {
    assert_eq!(
        only_turn("claude/unauthorized.jsonl"),
        [
            r#"{"type":"session","session":"1ebc2a5f-8391-4432-8c4a-d0752e236b5f"}"#,
            r#"{"type":"progress","note":"api error authentication_failed"}"#,
            r#"{"type":"failed","failure":{"kind":"auth","code":"CLAUDE_AUTH_ERROR","message":"Failed to authenticate. API Error: 401 mock authentication_error","status":401}}"#,
        ]
    );
}

#[test]
fn retries_are_progress_and_the_last_refusal_fails() {
    assert_eq!(
        only_turn("claude/rate_limited.jsonl"),
        [
            r#"{"type":"session","session":"7be756a6-d7ac-4357-bb78-db0d889539f2"}"#,
            r#"{"type":"progress","note":"retry 1/2: rate_limit (429)"}"#,
            r#"{"type":"progress","note":"retry 2/2: rate_limit (429)"}"#,
            r#"{"type":"progress","note":"api error rate_limit"}"#,
            r#"{"type":"failed","failure":{"kind":"rate_limited","code":"CLAUDE_RATE_LIMITED","message":"API Error: Request rejected (429) · mock rate_limit_error","status":429}}"#,
        ]
    );
}

#[test]
fn a_used_up_subscription_tells_when_to_come_back() {
    assert_eq!(
        only_turn("claude/subscription_limit.jsonl"),
        [
            r#"{"type":"session","session":"b6cfa7e5-3380-466a-844c-b3260c235cdc"}"#,
            r#"{"type":"progress","note":"rate limit rejected"}"#,
            r#"{"type":"progress","note":"api error rate_limit"}"#,
            r#"{"type":"failed","failure":{"kind":"rate_limited","code":"CLAUDE_RATE_LIMITED","message":"You've hit your 5-hour limit · resets 4:02am (UTC)","status":429,"retry_after_seconds":3600}}"#,
        ]
    );
}

#[test]
fn an_unknown_session_is_a_stale_one() {
    assert_eq!(
        only_turn("claude/resume_missing.jsonl"),
        [
            r#"{"type":"failed","failure":{"kind":"stale_session","code":"CLAUDE_STALE_SESSION","message":"No conversation found with session ID: 11111111-2222-3333-4444-555555555555"}}"#
        ]
    );
}

#[test]
fn denied_tools_do_not_fail_a_turn() {
    let told = only_turn("claude/denied_tools.jsonl");
    assert_eq!(told.iter().filter(|line| line.contains("system permission_denied")).count(), 3);
    assert!(told.contains(&r#"{"type":"message","text":"FINAL"}"#.to_owned()), "{told:?}");
    assert_eq!(told.last().unwrap(), r#"{"type":"finished"}"#);
}

#[test]
fn a_process_that_ends_in_the_middle_says_why() {
    let ended = |exit, stderr: &str| told(turn("m").finish(exit, stderr)).pop().unwrap();
    let failed = |kind: &str, code: &str, message: &str| {
        format!(r#"{{"type":"failed","failure":{{"kind":"{kind}","code":"CLAUDE_{code}","message":"{message}"}}}}"#)
    };
    assert_eq!(
        ended(Exit::Code(1), "warning\nError: Append system prompt file not found: /nope\n"),
        failed("config", "CONFIG_ERROR", "Error: Append system prompt file not found: /nope")
    );
    assert_eq!(ended(Exit::Code(0), ""), failed("missing_result", "MISSING_RESULT", "claude left without a result"));
    assert_eq!(
        ended(Exit::Code(1), ""),
        failed("internal", "INTERNAL_ERROR", "claude left with status 1 and no result")
    );
    assert_eq!(ended(Exit::Signal(9), ""), failed("internal", "INTERNAL_ERROR", "claude was killed by signal 9"));
    assert_eq!(
        ended(Exit::OutOfMemory, ""),
        failed("out_of_memory", "OUT_OF_MEMORY", "claude was killed for want of memory")
    );
}

#[test]
fn a_result_in_a_line_too_long_to_read_is_missed_at_once() {
    let mut fold = turn("m");
    assert_eq!(told(fold.lost_line(9_000_000)), [r#"{"type":"progress","note":"line of 9000000 bytes skipped"}"#]);
    let over = r#"{"type":"command_lifecycle","command_uuid":"m","state":"completed"}"#;
    assert_eq!(
        read(&mut fold, &[over.to_owned()]),
        [
            r#"{"type":"failed","failure":{"kind":"invalid_event","code":"CLAUDE_INVALID_EVENT","message":"a line that was too long to read took the result with it"}}"#
        ]
    );
}

#[test]
fn a_process_that_works_between_turns_is_noticed() {
    for line in [r#"{"type":"system","subtype":"init"}"#, r#"{"x":1,"type":"result"}"#, r#"{"type":"assistant"}"#] {
        assert!(speaks_out_of_turn(line.as_bytes()), "{line}");
    }
    for line in [r#"{"type":"command_lifecycle"}"#, r#"{"type":"system","subtype":"status"}"#, "noise", ""] {
        assert!(!speaks_out_of_turn(line.as_bytes()), "{line}");
    }
}

proptest! {
    #[test]
    fn however_lines_are_lost_doubled_or_damaged_the_turn_ends_once(
        picks in proptest::collection::vec((0usize..200, 0usize..2000, any::<bool>()), 0..60),
        code in 0i32..3,
    ) {
        let lines: Vec<String> = ["two_turns", "rate_limited", "interrupted", "folded_message"]
            .iter()
            .flat_map(|name| transcript(&format!("claude/{name}.jsonl")))
            .collect();
        let mut fold = turn(&messages(&lines)[0]);
        let mut steps = Vec::new();
        for (pick, cut, whole) in picks {
            let line = lines[pick % lines.len()].as_bytes();
            steps.extend(fold.read_line(if whole { line } else { &line[..cut.min(line.len())] }));
        }
        steps.extend(fold.finish(Exit::Code(code), "noise"));
        prop_assert_eq!(ends(&steps), 1);
        prop_assert!(matches!(steps.last(), Some(longshore_agent::provider::Step::Ended(_))));
    }
}

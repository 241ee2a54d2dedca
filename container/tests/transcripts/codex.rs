use longshore_agent::provider::codex::{Before, Codex};
use longshore_agent::provider::{Exit, Provider};
use longshore_protocol::Usage;
use proptest::prelude::*;

use super::{ends, read, told, transcript};

const THREAD: &str = "01a1fc6d-17f0-70d1-bc9a-1f565c9513ed";

fn fresh() -> Codex {
    Codex::new(None, Before::Known(Usage::default()))
}

/// The whole turn: its lines and a good exit, or the one that comes with `turn.failed`.
fn turn(mut fold: Codex, name: &str) -> Vec<String> {
    let lines = transcript(name);
    let mut all = read(&mut fold, &lines);
    let exit = Exit::Code(i32::from(lines.iter().any(|line| line.contains("turn.failed"))));
    all.extend(told(fold.finish(exit, "")));
    all
}

#[test]
fn only_the_last_message_is_the_answer() {
    let told = turn(fresh(), "codex/fresh.jsonl");
    let answer = told[5].clone();
    assert!(answer.starts_with(r#"{"type":"message","text":"done: "#), "{answer}");
    assert_eq!(
        told,
        [
            &format!(r#"{{"type":"session","session":"{THREAD}"}}"#),
            r#"{"type":"progress","note":"turn started"}"#,
            r#"{"type":"progress","note":"tool shell"}"#,
            r#"{"type":"progress","note":"command_execution"}"#,
            r#"{"type":"progress","note":"text of 12 characters"}"#,
            &answer,
            r#"{"type":"usage","usage":{"input_tokens":2000,"cached_input_tokens":1200,"output_tokens":100}}"#,
            r#"{"type":"finished"}"#,
        ]
    );
}

#[test]
fn a_resumed_thread_reports_the_turns_share() {
    let before = Before::Known(Usage { input_tokens: 2000, cached_input_tokens: 1200, output_tokens: 100 });
    let resumed = |before| Codex::new(Some(THREAD.parse().unwrap()), before);
    let mut expected = vec![
        format!(r#"{{"type":"session","session":"{THREAD}"}}"#),
        r#"{"type":"progress","note":"turn started"}"#.to_owned(),
        r#"{"type":"message","text":"echo: hello"}"#.to_owned(),
        r#"{"type":"usage","usage":{"input_tokens":1000,"cached_input_tokens":600,"output_tokens":50}}"#.to_owned(),
        r#"{"type":"finished"}"#.to_owned(),
    ];
    assert_eq!(turn(resumed(before), "codex/resumed.jsonl"), expected);
    // Rather none than a wrong one.
    expected.remove(3);
    assert_eq!(turn(resumed(Before::Unknown), "codex/resumed.jsonl"), expected);
}

#[test]
fn another_thread_than_the_one_asked_for_is_a_stale_session() {
    let mut fold = Codex::new(Some("nonsense".parse().unwrap()), Before::Unknown);
    assert_eq!(
        read(&mut fold, &transcript("codex/resumed.jsonl")),
        [format!(
            r#"{{"type":"failed","failure":{{"kind":"stale_session","code":"CODEX_STALE_SESSION","message":"thread `nonsense` was asked for and `{THREAD}` was started"}}}}"#
        )]
    );
    assert_eq!(told(fold.finish(Exit::Code(0), "")), Vec::<String>::new());
}

#[test]
fn retries_are_progress_and_turn_failed_fails() {
    let url = "unexpected status 401 Unauthorized: mock error 401, url: http://127.0.0.1:41215/openai/v1/responses";
    assert_eq!(
        turn(fresh(), "codex/unauthorized.jsonl"),
        [
            r#"{"type":"session","session":"01a1fc6d-099c-7ca0-89c1-e450117873b5"}"#.to_owned(),
            r#"{"type":"progress","note":"turn started"}"#.to_owned(),
            format!(r#"{{"type":"progress","note":"trouble: Reconnecting... 1/2 ({url})"}}"#),
            format!(r#"{{"type":"progress","note":"trouble: Reconnecting... 2/2 ({url})"}}"#),
            format!(r#"{{"type":"progress","note":"trouble: {url}"}}"#),
            format!(
                r#"{{"type":"failed","failure":{{"kind":"auth","code":"CODEX_AUTH_ERROR","message":"{url}","status":401}}}}"#
            ),
        ]
    );
    let limited = "rate limit exceeded: Rate limit reached. Please try again in 1.2s.";
    assert_eq!(
        turn(fresh(), "codex/rate_limited.jsonl").pop().unwrap(),
        format!(
            r#"{{"type":"failed","failure":{{"kind":"rate_limited","code":"CODEX_RATE_LIMITED","message":"{limited}","retry_after_seconds":2}}}}"#
        )
    );
}

#[test]
fn a_turn_without_a_word_is_a_missing_result() {
    assert_eq!(
        turn(fresh(), "codex/empty.jsonl"),
        [
            r#"{"type":"session","session":"01a1fc6d-16aa-7681-9d24-e3a13f599111"}"#,
            r#"{"type":"progress","note":"turn started"}"#,
            r#"{"type":"usage","usage":{"input_tokens":1000,"cached_input_tokens":600,"output_tokens":50}}"#,
            r#"{"type":"failed","failure":{"kind":"missing_result","code":"CODEX_MISSING_RESULT","message":"codex said nothing"}}"#,
        ]
    );
}

#[test]
fn a_warning_is_no_failure() {
    let told = turn(fresh(), "codex/ignored_setting.jsonl");
    assert!(told[1].starts_with(r#"{"type":"progress","note":"warning: Codex is ignoring 1"#), "{}", told[1]);
    assert_eq!(told[4], r#"{"type":"message","text":"echo: hello"}"#);
    assert_eq!(told.last().unwrap(), r#"{"type":"finished"}"#);
}

#[test]
fn every_recorded_kind_of_item_leads_to_an_answer() {
    let lines = transcript("codex/all_events.jsonl");
    let starts: Vec<usize> =
        (0..lines.len()).filter(|n| lines[*n].contains("thread.started")).chain([lines.len()]).collect();
    assert!(starts.len() > 20);
    for window in starts.windows(2) {
        let mut fold = fresh();
        let mut steps = read(&mut fold, &lines[window[0]..window[1]]);
        steps.extend(told(fold.finish(Exit::Code(0), "")));
        assert_eq!(steps.last().unwrap(), r#"{"type":"finished"}"#);
        assert_eq!(steps.iter().filter(|step| step.starts_with(r#"{"type":"message""#)).count(), 1);
        assert!(steps.iter().all(|step| !step.contains("unreadable")), "{steps:?}");
    }
    // A second thread in one process is not this turn.
    let mut fold = fresh();
    let told = read(&mut fold, &lines);
    assert_eq!(
        told.last().unwrap(),
        r#"{"type":"failed","failure":{"kind":"invalid_event","code":"CODEX_INVALID_EVENT","message":"`thread.started` came after the turn's end"}}"#
    );
}

#[test]
fn a_process_that_ends_without_turn_failed_says_why() {
    let ended = |exit, stderr: &str| told(fresh().finish(exit, stderr)).pop().unwrap();
    let failed = |kind: &str, code: &str, message: &str| {
        format!(r#"{{"type":"failed","failure":{{"kind":"{kind}","code":"CODEX_{code}","message":"{message}"}}}}"#)
    };
    assert_eq!(
        ended(Exit::Code(1), "WARNING: x\nError: Model provider `x` not found\n"),
        failed("config", "CONFIG_ERROR", "Error: Model provider `x` not found")
    );
    assert_eq!(ended(Exit::Code(2), ""), failed("invalid_options", "INVALID_OPTIONS", "codex refused its arguments"));
    assert_eq!(ended(Exit::Code(101), ""), failed("internal", "INTERNAL_ERROR", "codex left with status 101"));
    assert_eq!(ended(Exit::Signal(11), ""), failed("internal", "INTERNAL_ERROR", "codex was killed by signal 11"));
    assert_eq!(
        ended(Exit::OutOfMemory, ""),
        failed("out_of_memory", "OUT_OF_MEMORY", "codex was killed for want of memory")
    );
    assert_eq!(
        ended(Exit::Code(0), ""),
        failed("missing_result", "MISSING_RESULT", "codex left in the middle of the turn")
    );
}

proptest! {
    #[test]
    fn however_lines_are_lost_doubled_or_damaged_the_turn_ends_once(
        picks in proptest::collection::vec((0usize..200, 0usize..300, any::<bool>()), 0..40),
        code in 0i32..3,
    ) {
        let lines: Vec<String> = ["fresh", "unauthorized", "ignored_setting", "empty"]
            .iter()
            .flat_map(|name| transcript(&format!("codex/{name}.jsonl")))
            .collect();
        let mut fold = fresh();
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

#[test]
fn a_call_of_the_hosts_tools_is_progress_and_tells_whether_it_failed() {
    let call = |kind: &str, tool: &str, status: &str, text: &str| {
        format!(
            r#"{{"type":"{kind}","item":{{"id":"item_0","type":"mcp_tool_call","server":"longshore","tool":"{tool}","arguments":{{"text":"hi"}},"result":{{"content":[{{"type":"text","text":"{text}"}}],"structured_content":null}},"error":null,"status":"{status}"}}}}"#
        )
    };
    let lines = [
        call("item.started", "send_message", "in_progress", ""),
        call("item.completed", "send_message", "completed", "The host has taken the message `m-1` and sends it."),
        call("item.started", "cancel_task", "in_progress", ""),
        call("item.completed", "cancel_task", "failed", "Not done: there is no task `task-1-a`."),
    ];
    assert_eq!(
        read(&mut fresh(), &lines),
        [
            r#"{"type":"progress","note":"tool longshore.send_message"}"#,
            r#"{"type":"progress","note":"tool longshore.send_message done"}"#,
            r#"{"type":"progress","note":"tool longshore.cancel_task"}"#,
            r#"{"type":"progress","note":"tool longshore.cancel_task failed"}"#,
        ]
    );
}

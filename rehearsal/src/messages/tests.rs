use std::fmt::Write;

use super::*;

fn wish(delivery: Delivery) -> Wish {
    Wish { model: "claude-opus-5-5".to_owned(), delivery }
}

fn tools() -> Tools {
    Tools::of(&json!({"tools": [{"name": "Bash"}, {"name": "mcp__chat__whoami"}]}))
}

fn told(answer: &Answer) -> String {
    let mut text = String::new();
    match answer {
        Answer::Stream { kind, frames } => {
            writeln!(text, "{kind:?}").unwrap();
            for frame in frames {
                match frame {
                    Frame::Event(event) => writeln!(text, "{event}").unwrap(),
                    other => writeln!(text, "{other:?}").unwrap(),
                }
            }
        }
        Answer::Whole { status, retry_after, body } => writeln!(text, "{status} {retry_after:?} {body}").unwrap(),
        Answer::HangUp => text.push_str("hang up\n"),
    }
    text
}

#[test]
fn a_conversation_is_read_past_the_reminders_that_claude_adds() {
    let found = conversation(&json!({
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=1"},
            {"type": "text", "text": "be Andy"},
        ],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "<system-reminder>\nthe cat is Tom\n</system-reminder>\n"},
                {"type": "text", "text": "old"},
            ]},
            {"role": "assistant", "content": [{"type": "text", "text": "fine"}]},
            {"role": "user", "content": [
                {"type": "tool_result", "content": "of old"},
                {"type": "text", "text": "<system-reminder>one</system-reminder>\n<system-reminder>two</system-reminder>\nnew"},
            ]},
            {"role": "system", "content": "# Environment"},
            {"role": "assistant", "content": [{"type": "tool_use", "name": "Bash"}]},
            {"role": "user", "content": [
                {"type": "tool_result", "content": "first"},
                {"type": "tool_result", "content": [{"type": "text", "text": "out\n\n<system-reminder>\n9 tokens left\n</system-reminder>"}]},
                {"type": "text", "text": "[Request interrupted by user for tool use]"},
            ]},
        ],
    }));
    assert_eq!((found.said.as_str(), found.results, found.last_result.as_str()), ("new", 2, "out"));
    assert_eq!(
        found.told,
        [
            "be Andy",
            "<system-reminder>\nthe cat is Tom\n</system-reminder>",
            "<system-reminder>one</system-reminder>",
            "<system-reminder>two</system-reminder>",
            "# Environment",
            "<system-reminder>\n9 tokens left\n</system-reminder>",
        ]
    );
}

#[test]
fn what_the_cli_says_by_itself_is_no_new_message() {
    let own = [
        "[Your previous response had no visible output. Please continue and produce a user-visible response.]",
        "Output token limit hit. Resume directly — no apology, no recap of what you were doing.",
        "<system-reminder>never closed",
    ];
    for text in own {
        let found = conversation(&json!({"messages": [
            {"role": "user", "content": "#rehearse empty"},
            {"role": "user", "content": text},
        ]}));
        assert_eq!(found.said, "#rehearse empty", "{text}");
    }
}

#[test]
fn odd_requests_are_read_as_far_as_they_make_sense() {
    let cases = [
        (json!(null), ""),
        (json!({"system": "s", "messages": [{"role": "user", "content": "plain"}]}), "plain"),
        (json!({"messages": [{"role": "user"}, 7, {"role": "user", "content": [{"type": "image"}, {}]}]}), ""),
    ];
    for (request, said) in cases {
        assert_eq!(conversation(&request).said, said, "{request}");
    }
}

#[test]
fn every_step_is_answered_in_the_vendors_events_and_whole() {
    let status = Status {
        code: 529,
        retry_after: Some("3".to_owned()),
        kind: None,
        error_code: Some("c".to_owned()),
        message: None,
    };
    let steps = [
        Step::Say("hi".to_owned()),
        Step::Think("hi".to_owned()),
        Step::Slow { duration: Duration::from_secs(1), pieces: 2, text: "abcd".to_owned() },
        Step::Shell { command: "ls".to_owned(), preamble: Some("wait".to_owned()) },
        Step::Tool { name: "chat/whoami".to_owned(), arguments: json!({"a": 1}) },
        Step::Tool { name: "Bash".to_owned(), arguments: json!("text") },
        Step::Status(status),
        Step::Expired,
        Step::Cut,
        Step::Close,
        Step::Hang(Duration::from_secs(9)),
        Step::Empty,
        Step::Incomplete { reason: "max_output_tokens".to_owned() },
        Step::Failed { code: "overloaded_error".to_owned(), message: "broke".to_owned() },
        Step::Malformed,
    ];
    let mut text = String::new();
    for step in &steps {
        let streamed = told(&answer(step, &tools(), &wish(Delivery::Streamed), "7"));
        let whole = told(&answer(step, &tools(), &wish(Delivery::Whole), "7"));
        write!(
            text,
            "# {step:?}\n{streamed}{}\n",
            if whole == streamed { String::new() } else { format!("-- whole\n{whole}") }
        )
        .unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn without_a_shell_it_says_what_there_is() {
    let step = Step::Shell { command: "ls".to_owned(), preamble: None };
    let said = told(&answer(&step, &Tools::default(), &wish(Delivery::Whole), "7"));
    assert!(said.contains("I have no shell tool, only: none"), "{said}");
}

#[test]
fn a_request_says_how_it_wants_its_answer() {
    let streamed = Wish::of(&json!({"model": "m", "stream": true}));
    assert_eq!(streamed, Wish { model: "m".to_owned(), delivery: Delivery::Streamed });
    assert_eq!(Wish::of(&json!({})).delivery, Delivery::Whole);
}

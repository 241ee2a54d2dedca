use std::fmt::Write;
use std::time::Duration;

use super::*;

fn code_mode() -> Value {
    json!({
        "instructions": "base",
        "input": [
            {"type": "additional_tools", "role": "developer", "tools": [
                {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}, {"type": "function", "name": "wait"}]},
                {"type": "namespace", "name": "clock", "tools": [{"type": "function", "name": "sleep"}]},
            ]},
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "be Andy"}, {"type": "input_text", "text": "<skills_instructions>"}]},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "# AGENTS.md instructions for /x\n\nthe cat is Tom"},
                {"type": "input_text", "text": "<environment_context>\n</environment_context>"},
            ]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "old"}]},
            {"type": "custom_tool_call_output", "output": "of old"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "fine"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "new"}]},
            {"type": "custom_tool_call", "name": "exec", "input": "x"},
            {"type": "custom_tool_call_output", "output": [
                {"type": "input_text", "text": "Script completed\nWall time 0.1 seconds\nOutput:\n"},
                {"type": "input_text", "text": "hi"},
            ]},
        ],
    })
}

fn classic() -> Value {
    json!({"tools": [
        {"type": "function", "name": "exec_command"}, {"type": "custom", "name": "apply_patch"}, {"type": "web_search"},
        {"type": "namespace", "name": "mcp__chat", "tools": [{"type": "function", "name": "whoami"}, {"type": "namespace", "name": "x", "tools": [{"name": "deep"}]}]},
    ]})
}

/// One line a frame; `None` where there are none.
fn told(answer: &Answer) -> String {
    let mut text = String::new();
    match answer {
        Answer::Stream { frames, .. } => {
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
fn a_conversation_is_read_past_the_context_that_codex_adds() {
    let found = conversation(&code_mode());
    assert_eq!((found.said.as_str(), found.results, found.last_result.as_str()), ("new", 1, "hi"));
    assert_eq!(
        found.told,
        [
            "base",
            "be Andy",
            "<skills_instructions>",
            "# AGENTS.md instructions for /x\n\nthe cat is Tom",
            "<environment_context>\n</environment_context>"
        ]
    );
}

#[test]
fn odd_requests_are_read_as_far_as_they_make_sense() {
    let failed = "Script failed\nWall time 0.0 seconds\nOutput:\nno";
    let cases = [
        (json!(null), "", 0, ""),
        (json!({"input": "plain"}), "plain", 0, ""),
        (json!({"input": [{"role": "user", "content": "typeless"}]}), "typeless", 0, ""),
        (json!({"input": [{"type": "function_call_output", "output": "text"}]}), "", 1, "text"),
        (json!({"input": [{"type": "function_call_output", "output": failed}]}), "", 1, failed),
        (json!({"input": [{"type": "function_call_output", "output": {"content": "c"}}]}), "", 1, "c"),
        (json!({"input": [{"type": "function_call_output"}, 7, [], {"type": 5}]}), "", 1, ""),
    ];
    for (request, said, results, last) in cases {
        let found = conversation(&request);
        assert_eq!(
            (found.said.as_str(), found.results, found.last_result.as_str()),
            (said, results, last),
            "{request}"
        );
    }
}

#[test]
fn a_command_goes_through_whichever_shell_is_offered() {
    let offered = |name: &str| Tools::of(&json!({"tools": [{"type": "function", "name": name}]}));
    let cases = [
        ("exec_command", r#"{"cmd":"ls","yield_time_ms":30000}"#),
        ("shell_command", r#"{"command":"ls"}"#),
        ("shell", r#"{"command":["bash","-lc","ls"]}"#),
    ];
    for (name, expected) in cases {
        let Some(Call::Function { name: called, arguments, namespace: None }) = offered(name).shell("ls") else {
            panic!("{name}")
        };
        assert_eq!((called.as_str(), arguments.as_str()), (name, expected));
    }
    let Some(Call::Custom { name, input }) = Tools::of(&code_mode()).shell("echo \"a\"\n") else {
        panic!("no code mode")
    };
    assert_eq!(name, "exec");
    insta::assert_snapshot!(input, @r#"
    // @exec: {"yield_time_ms": 3600000}
    let r = await tools.exec_command({cmd: "echo \"a\"\n", yield_time_ms: 30000});
    let out = r.output;
    while (r.session_id !== undefined && r.session_id !== null) {
      r = await tools.write_stdin({session_id: r.session_id, chars: "", yield_time_ms: 30000});
      out += r.output;
    }
    text(out);
    if (r.exit_code) text("exit code " + r.exit_code);
    "#);
    assert_eq!(offered("update_plan").shell("ls"), None);
}

#[test]
fn a_tool_is_called_as_the_request_offers_it() {
    let function = |namespace: Option<&str>, name: &str| Call::Function {
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
        arguments: "{}".to_owned(),
    };
    let cases = [
        ("chat/whoami", function(Some("mcp__chat"), "whoami")),
        ("mcp__chat__whoami", function(Some("mcp__chat"), "whoami")),
        ("mcp__chat/hidden", function(Some("mcp__chat"), "hidden")),
        ("whoami", function(Some("mcp__chat"), "whoami")),
        ("deep", function(None, "deep")),
        ("apply_patch", Call::Custom { name: "apply_patch".to_owned(), input: "{}".to_owned() }),
    ];
    for (name, expected) in cases {
        assert_eq!(Tools::of(&classic()).call(name, &json!({})), expected, "{name}");
    }
    let patch = Tools::of(&classic()).call("apply_patch", &json!("*** Begin"));
    assert_eq!(patch, Call::Custom { name: "apply_patch".to_owned(), input: "*** Begin".to_owned() });
    let code = Tools::of(&code_mode());
    assert_eq!(code.call("clock/sleep", &json!({})), function(Some("clock"), "sleep"));
    assert_eq!(code.call("sleep", &json!({})), function(Some("clock"), "sleep"));
    assert_eq!(code.call("my-chat/send", &json!({})), function_in_code_mode("mcp__my_chat__send"));
    assert_eq!(code.call("wait", &json!({})), function(None, "wait"));
}

fn function_in_code_mode(name: &str) -> Call {
    let input = format!(
        "const r = await tools.{name}({{}});\ntext(typeof r === \"string\" ? r : r && r.content ? r.content.map(c => c.text ?? JSON.stringify(c)).join(\"\\n\") : JSON.stringify(r));\n"
    );
    Call::Custom { name: "exec".to_owned(), input }
}

#[test]
fn every_step_is_answered_in_the_vendors_events() {
    let status = Status {
        code: 429,
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
        Step::Status(status),
        Step::Expired,
        Step::Cut,
        Step::Close,
        Step::Hang(Duration::from_secs(9)),
        Step::Empty,
        Step::Incomplete { reason: "max_output_tokens".to_owned() },
        Step::Failed { code: "server_error".to_owned(), message: "broke".to_owned() },
        Step::Malformed,
    ];
    let tools = Tools::of(&classic());
    let text: String = steps.iter().map(|step| format!("# {step:?}\n{}\n", told(&answer(step, &tools, "7")))).collect();
    insta::assert_snapshot!(text);
}

#[test]
fn without_a_shell_it_says_what_there_is() {
    let step = Step::Shell { command: "ls".to_owned(), preamble: None };
    let said = told(&answer(&step, &Tools::default(), "7"));
    assert!(said.contains("I have no shell tool, only: none"), "{said}");
    let tools = Tools::of(&json!({"tools": [{"type": "web_search"}, {"type": "function", "name": "view_image"}]}));
    assert!(told(&answer(&step, &tools, "7")).contains("only: web_search, view_image"));
}

//! Lines of `sessions/YYYY/MM/DD/rollout-….jsonl`, as Codex 0.169 writes them: pure.

use jiff::Timestamp;
use longshore_protocol::ProviderKind::Codex;
use serde_json::Value;

use super::{Entry, Kind, texts, tool};

/// The tools in `{"type":"response_item","payload":{…}}`: `function_call` with `arguments`, `custom_tool_call` with
/// `input`, `local_shell_call` with an `action`, and their outputs. The `event_msg` lines tell the same again.
pub(super) fn tools(at: Timestamp, line: &Value) -> Vec<Entry> {
    if line.get("type").and_then(Value::as_str) != Some("response_item") {
        return Vec::new();
    }
    line.get("payload").and_then(|payload| of_item(at, payload)).into_iter().collect()
}

fn of_item(at: Timestamp, item: &Value) -> Option<Entry> {
    let text = |key: &str| item.get(key).and_then(Value::as_str);
    let call = |name, key: &str| {
        let arguments = item.get(key).map(texts).unwrap_or_default();
        Some(tool(at, Kind::ToolCall, Codex, name, text("call_id"), &arguments))
    };
    match text("type")? {
        "function_call" => call(text("name"), "arguments"),
        "custom_tool_call" => call(text("name"), "input"),
        "local_shell_call" => call(Some("shell"), "action"),
        "function_call_output" | "custom_tool_call_output" => {
            let output = texts(item.get("output").unwrap_or(&Value::Null));
            Some(tool(at, Kind::ToolResult, Codex, None, text("call_id"), &output))
        }
        _ => None,
    }
}

//! Lines of `projects/<directory>/<session>.jsonl`, as Claude Code 2.1 writes them: pure.

use jiff::Timestamp;
use longshore_protocol::ProviderKind::Claude;
use serde_json::Value;

use super::{Entry, Kind, State, texts, tool};

/// The tools in `{"type":"assistant","message":{"content":[{"type":"tool_use","id","name","input"}]}}` and in
/// `{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id","content","is_error"?}]}}`. The latter
/// has no `type` of its own in lines that the CLI writes for itself, so the blocks alone decide.
pub(super) fn tools(at: Timestamp, line: &Value) -> Vec<Entry> {
    let Some(Value::Array(blocks)) = line.get("message").and_then(|message| message.get("content")) else {
        return Vec::new();
    };
    blocks.iter().filter_map(|block| of_block(at, block)).collect()
}

fn of_block(at: Timestamp, block: &Value) -> Option<Entry> {
    let text = |key: &str| block.get(key).and_then(Value::as_str);
    match text("type")? {
        "tool_use" => {
            let input = block.get("input").map(Value::to_string).unwrap_or_default();
            Some(tool(at, Kind::ToolCall, Claude, text("name"), text("id"), &input))
        }
        "tool_result" => {
            let content = texts(block.get("content").unwrap_or(&Value::Null));
            let failed = block.get("is_error").and_then(Value::as_bool) == Some(true);
            let result = tool(at, Kind::ToolResult, Claude, None, text("tool_use_id"), &content);
            Some(Entry { state: failed.then_some(State::Failed), ..result })
        }
        _ => None,
    }
}

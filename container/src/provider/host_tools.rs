//! How each CLI is told of `longshore-agent mcp`; pure.

use longshore_protocol::{HostTools, paths};
use serde_json::json;

use crate::mcp::SERVER;

/// What `codex` is told about the tools. It does not show them to the model by itself: there is only
/// the name of the server, and a search. So each is named here with its arguments.
const CODEX_SECTION: &str = "\
# The host's tools

The MCP server `longshore` has tools with which you ask the host for something. They are there although you do not see them listed: call them as `mcp__longshore__<tool>` (where you run JavaScript: `await tools.mcp__longshore__send_message({text: \"…\"})`), or search for `longshore`. Each tells what the host did; say that something is done only when its tool has said so.

- `send_message {text, sender?, chat_jid?}`: to the chat at once, while you go on working. Your final answer is sent anyway.
- `schedule_task {prompt, schedule_type, schedule_value, context_mode?, timezone?, misfire?, overlap?, jitter_seconds?, target_group_jid?}`: `schedule_type` is `cron` (five fields, in the group's time zone), `interval` (milliseconds) or `once` (a local time such as `2026-02-01T15:30:00`).
- `list_tasks {}`, `pause_task {task_id}`, `resume_task {task_id}`, `cancel_task {task_id}`
- `update_task {task_id, …}`: what is to be different, as in `schedule_task`.
";
const CODEX_MAIN: &str = "\
- `register_group {jid, name, folder, trigger?, requires_trigger?, provider?, timezone?}`: answer in another chat too; the chats are in `/workspace/ipc/available_groups.json`.
";

fn arguments(tools: HostTools) -> Option<&'static [&'static str]> {
    match tools {
        HostTools::Files => None,
        HostTools::Mcp => Some(&["mcp"]),
        HostTools::MainMcp => Some(&["mcp", "--main"]),
    }
}

/// The value of `claude`'s `--mcp-config`.
#[must_use]
pub fn claude_config(tools: HostTools) -> Option<String> {
    let args = arguments(tools)?;
    // Without `alwaysLoad` the tools wait behind a search, which costs a round trip.
    let server = json!({"command": paths::AGENT, "args": args, "alwaysLoad": true});
    Some(json!({"mcpServers": {SERVER: server}}).to_string())
}

/// Settings of `codex`; each value is TOML.
#[must_use]
pub fn codex_settings(tools: HostTools) -> Vec<(String, String)> {
    let Some(args) = arguments(tools) else { return Vec::new() };
    // JSON's texts and lists of texts are TOML's.
    let settings = [
        ("command", json!(paths::AGENT).to_string()),
        ("args", json!(args).to_string()),
        // Otherwise a first turn may begin without it, and nobody is told.
        ("required", "true".to_owned()),
        ("startup_timeout_sec", "20".to_owned()),
        // Longer than a tool waits for the host, so that it is the tool that says what happened.
        ("tool_timeout_sec", "40".to_owned()),
        // Nobody is there who could approve.
        ("default_tools_approval_mode", "\"approve\"".to_owned()),
    ];
    settings.map(|(key, value)| (format!("mcp_servers.{SERVER}.{key}"), value)).to_vec()
}

/// What `codex` is told: the prelude and the tools.
#[must_use]
pub fn codex_instructions(prelude: &str, tools: HostTools) -> String {
    let section = match tools {
        HostTools::Files => return prelude.to_owned(),
        HostTools::Mcp => CODEX_SECTION.to_owned(),
        HostTools::MainMcp => format!("{CODEX_SECTION}{CODEX_MAIN}"),
    };
    if prelude.is_empty() { section } else { format!("{}\n\n{section}", prelude.trim_end()) }
}

//! Pure: what a Responses request says, and which tools it offers.

use serde_json::{Value, json};

use super::Call;
use crate::script::Conversation;

/// Texts that codex puts into the user's role by itself.
const CONTEXT: &[&str] = &[
    "<environment_context>",
    "<user_instructions>",
    "<turn_aborted>",
    "# AGENTS.md instructions",
    "<INSTRUCTIONS>",
    "<permissions",
    "<skill",
];

/// Reads the conversation out of a request.
#[must_use]
pub fn conversation(request: &Value) -> Conversation {
    let mut found = Conversation::default();
    if let Some(text) = request["instructions"].as_str() {
        found.told.push(text.to_owned());
    }
    match &request["input"] {
        Value::String(text) => found.say(text),
        Value::Array(items) => items.iter().for_each(|item| read(item, &mut found)),
        _ => {}
    }
    found
}

fn read(item: &Value, found: &mut Conversation) {
    // A message may come without its type.
    let kind = item["type"].as_str().unwrap_or("message");
    if kind.ends_with("_call_output") {
        found.result(result(&item["output"]));
    }
    if kind != "message" {
        return;
    }
    let parts = texts(&item["content"]);
    match item["role"].as_str() {
        Some("user") => {
            let (context, said): (Vec<&str>, Vec<&str>) =
                parts.into_iter().partition(|part| CONTEXT.iter().any(|mark| part.trim_start().starts_with(mark)));
            found.told.extend(context.into_iter().map(str::to_owned));
            let said = said.join("\n");
            if !said.trim().is_empty() {
                found.say(&said);
            }
        }
        Some("developer" | "system") => found.told.extend(parts.into_iter().map(str::to_owned)),
        _ => {}
    }
}

fn texts(content: &Value) -> Vec<&str> {
    match content {
        Value::String(text) => vec![text],
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => Vec::new(),
    }
}

/// The output of a tool as text. Code mode puts a header of its own before what the script said; of a script that
/// completed, the header says nothing.
fn result(output: &Value) -> String {
    let text = match output {
        Value::Object(_) => output["content"].as_str().map_or_else(|| output.to_string(), str::to_owned),
        _ => texts(output).concat(),
    };
    match text.split_once("Output:\n") {
        Some((header, said)) if header.starts_with("Script completed") => said.to_owned(),
        _ => text,
    }
}

/// The tools that a request offers, in namespaces and as `additional_tools` too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tools(Vec<Offer>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Offer {
    namespace: Option<String>,
    name: String,
    kind: OfferKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OfferKind {
    Function,
    Custom,
}

/// The namespace of the CLI's own tools; a call of one does not name it.
const OWN: &str = "functions";
/// How long a command may run before the shell tool gives an intermediate result, in milliseconds: its own maximum.
const YIELD_MS: u32 = 30_000;

impl Tools {
    /// Reads them out of a request.
    #[must_use]
    pub fn of(request: &Value) -> Self {
        let mut found = Self::default();
        found.read(&request["tools"], None);
        for item in request["input"].as_array().into_iter().flatten() {
            if item["type"] == "additional_tools" {
                found.read(&item["tools"], None);
            }
        }
        found
    }

    fn read(&mut self, tools: &Value, namespace: Option<&str>) {
        for tool in tools.as_array().into_iter().flatten() {
            let kind = tool["type"].as_str().unwrap_or("function");
            if kind == "namespace" {
                // Namespaces do not nest; reading one level keeps a hostile request from nesting us.
                if namespace.is_none() {
                    self.read(&tool["tools"], tool["name"].as_str().or(Some("")));
                }
                continue;
            }
            self.0.push(Offer {
                namespace: namespace.filter(|name| !name.is_empty() && *name != OWN).map(str::to_owned),
                name: tool["name"].as_str().unwrap_or(kind).to_owned(),
                kind: if kind == "custom" { OfferKind::Custom } else { OfferKind::Function },
            });
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|offer| offer.namespace.is_none() && offer.name == name)
    }

    /// What is said when a tool is wanted that none of these is.
    #[must_use]
    pub fn lack(&self, what: &str) -> String {
        let names: Vec<&str> = self.0.iter().map(|offer| offer.name.as_str()).collect();
        format!("I have no {what} tool, only: {}", if names.is_empty() { "none".to_owned() } else { names.join(", ") })
    }

    /// The call that runs `command` by whichever shell tool there is.
    #[must_use]
    pub fn shell(&self, command: &str) -> Option<Call> {
        let arguments = if self.has("exec_command") {
            ("exec_command", json!({"cmd": command, "yield_time_ms": YIELD_MS}))
        } else if self.has("shell_command") {
            ("shell_command", json!({"command": command}))
        } else if self.has("shell") {
            ("shell", json!({"command": ["bash", "-lc", command]}))
        } else if self.has("exec") {
            return Some(Call::Custom { name: "exec".to_owned(), input: shell_script(command) });
        } else {
            return None;
        };
        let (name, arguments) = arguments;
        Some(Call::Function { namespace: None, name: name.to_owned(), arguments: arguments.to_string() })
    }

    /// The call of the tool of that name. One that is not offered is called all the same: what the CLI says to that is
    /// worth a rehearsal too.
    #[must_use]
    pub fn call(&self, name: &str, arguments: &Value) -> Call {
        let (server, tool) = match name.split_once('/') {
            Some((server, tool)) => (Some(server), tool),
            None => match name.strip_prefix("mcp__").and_then(|rest| rest.split_once("__")) {
                Some((server, tool)) => (Some(server), tool),
                None => (None, name),
            },
        };
        let space = server.map(namespace);
        let offer = self.0.iter().find(|offer| {
            let in_space = offer.namespace == space || offer.namespace.as_deref() == server;
            offer.name == name || (offer.name == tool && server.is_some() && in_space)
        });
        let json = arguments.to_string();
        if let Some(Offer { namespace, name, kind }) = offer {
            return match (kind, arguments) {
                (OfferKind::Custom, Value::String(input)) => Call::Custom { name: name.clone(), input: input.clone() },
                (OfferKind::Custom, _) => Call::Custom { name: name.clone(), input: json },
                (OfferKind::Function, _) => {
                    Call::Function { namespace: namespace.clone(), name: name.clone(), arguments: json }
                }
            };
        }
        if self.has("exec") {
            let name = match space {
                Some(space) => format!("{space}__{tool}"),
                None => tool.to_owned(),
            };
            return Call::Custom { name: "exec".to_owned(), input: tool_script(&name, &json) };
        }
        Call::Function { namespace: space, name: tool.to_owned(), arguments: json }
    }
}

/// The namespace that codex gives an MCP server's tools.
fn namespace(server: &str) -> String {
    if server.starts_with("mcp__") { server.to_owned() } else { format!("mcp__{server}") }
}

/// Code mode: JavaScript that runs a command to its end, however long it takes.
fn shell_script(command: &str) -> String {
    let command = Value::from(command);
    format!(
        "// @exec: {{\"yield_time_ms\": 3600000}}\n\
         let r = await tools.exec_command({{cmd: {command}, yield_time_ms: {YIELD_MS}}});\n\
         let out = r.output;\n\
         while (r.session_id !== undefined && r.session_id !== null) {{\n\
         \x20 r = await tools.write_stdin({{session_id: r.session_id, chars: \"\", yield_time_ms: {YIELD_MS}}});\n\
         \x20 out += r.output;\n\
         }}\n\
         text(out);\n\
         if (r.exit_code) text(\"exit code \" + r.exit_code);\n"
    )
}

/// Code mode: JavaScript that calls a nested tool, whose name it knows as an identifier.
fn tool_script(name: &str, arguments: &str) -> String {
    let name: String = name.chars().map(|found| if found.is_ascii_alphanumeric() { found } else { '_' }).collect();
    format!(
        "const r = await tools.{name}({arguments});\n\
         text(typeof r === \"string\" ? r : r && r.content ? r.content.map(c => c.text ?? JSON.stringify(c)).join(\"\\n\") : JSON.stringify(r));\n"
    )
}

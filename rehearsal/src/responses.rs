//! Pure: OpenAI's Responses API as `codex` 0.169.0 speaks it.

mod request;

use longshore_protocol::ProviderKind;
use serde_json::{Value, json};

use crate::answer::{Answer, Frame, cut_into};
use crate::script::{Status, Step};
pub use request::{Tools, conversation};

/// Which provider's answers these are.
pub const PROVIDER: ProviderKind = ProviderKind::Codex;

/// The answer to a request whose conversation and tools are known. `id` is part of every id in it.
#[must_use]
pub fn answer(step: &Step, tools: &Tools, id: &str) -> Answer {
    let mut script = Script::new(id);
    match step {
        Step::Say(text) => script.message(&cut_into(text, 1), None, FINAL),
        Step::Think(text) => {
            script.reasoning();
            script.message(&cut_into(text, 1), None, FINAL);
        }
        Step::Slow { duration, pieces, text } => {
            let deltas = cut_into(text, *pieces);
            let pause = *duration / u32::try_from(deltas.len().max(1)).unwrap_or(u32::MAX);
            script.message(&deltas, Some(pause), FINAL);
        }
        Step::Shell { command, preamble } => match tools.shell(command) {
            Some(call) => {
                if let Some(text) = preamble {
                    script.message(&cut_into(text, 1), None, COMMENTARY);
                }
                script.call(&call);
            }
            None => script.message(&[&tools.lack("shell")], None, FINAL),
        },
        Step::Tool { name, arguments } => script.call(&tools.call(name, arguments)),
        // A plan turns it into words; should it come here, it has none.
        Step::Tell { .. } | Step::Empty => {}
        Step::Status(status) => return refusal(status),
        Step::Expired => return expired(),
        Step::Close => return Answer::HangUp,
        Step::Cut => {
            script.begin_message("partial te");
            return script.broken_off();
        }
        Step::Hang(silence) => {
            script.frames.push(Frame::Pause(*silence));
            return script.broken_off();
        }
        Step::Malformed => {
            script.frames.push(Frame::Raw("event: response.output_text.delta\ndata: {not json at all\n\n".to_owned()));
            script.frames.push(Frame::Raw("<html>502 bad gateway</html>\n\n".to_owned()));
            return script.broken_off();
        }
        Step::Incomplete { reason } => {
            let details = json!({"incomplete_details": {"reason": reason}, "usage": usage()});
            return script.end("incomplete", &details);
        }
        Step::Failed { code, message } => {
            return script.end("failed", &json!({"error": {"code": code, "message": message}}));
        }
    }
    script.end("completed", &json!({"usage": usage()}))
}

/// The same answer with the name of the model, which every `response` in it has: the one that was asked for.
#[must_use]
pub fn with_model(mut answer: Answer, request: &Value) -> Answer {
    if let (Answer::Stream { frames, .. }, Some(model)) = (&mut answer, request["model"].as_str()) {
        for frame in frames {
            if let Frame::Event(event) = frame
                && let Some(response) = event.get_mut("response").and_then(Value::as_object_mut)
            {
                response.insert("model".to_owned(), model.into());
            }
        }
    }
    answer
}

/// What an API key or token that nobody knows is answered with. The key comes back masked, as the vendor does it.
#[must_use]
pub fn wrong_credential() -> Answer {
    let message = "Incorrect API key provided: wr***ng. You can find your API key at https://platform.openai.com/account/api-keys.";
    error(401, message, Some("invalid_request_error"), Some("invalid_api_key"))
}

/// What a token that has expired is answered with.
#[must_use]
pub fn expired() -> Answer {
    let message = "Provided authentication token is expired. Please try signing in again.";
    error(401, message, None, Some("token_expired"))
}

/// An error in the vendor's shape.
#[must_use]
pub fn error(status: u16, message: &str, kind: Option<&str>, code: Option<&str>) -> Answer {
    Answer::whole(status, json!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
}

fn refusal(status: &Status) -> Answer {
    let usual = match status.code {
        400 | 401 | 403 | 404 => "invalid_request_error",
        429 => "rate_limit_error",
        _ => "server_error",
    };
    let message = status.message.clone().unwrap_or_else(|| format!("rehearsed error {}", status.code));
    let kind = status.kind.as_deref().unwrap_or(usual);
    let body = json!({"error": {"message": message, "type": kind, "param": null, "code": status.error_code}});
    Answer::Whole { status: status.code, retry_after: status.retry_after.clone(), body }
}

/// A call as it stands among the output items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// A function with JSON arguments, in a namespace or in none.
    Function {
        /// e.g. `mcp__chat`.
        namespace: Option<String>,
        /// The function.
        name: String,
        /// JSON text.
        arguments: String,
    },
    /// A tool that takes free text.
    Custom {
        /// The tool.
        name: String,
        /// The text.
        input: String,
    },
}

const FINAL: &str = "final_answer";
/// The phase of what is said before a tool call.
const COMMENTARY: &str = "commentary";

fn usage() -> Value {
    json!({
        "input_tokens": 1000, "input_tokens_details": {"cached_tokens": 600},
        "output_tokens": 50, "output_tokens_details": {"reasoning_tokens": 7},
        "total_tokens": 1050,
    })
}

struct Script<'a> {
    id: &'a str,
    frames: Vec<Frame>,
    index: usize,
}

impl<'a> Script<'a> {
    fn new(id: &'a str) -> Self {
        let mut script = Self { id, frames: Vec::new(), index: 0 };
        let response = script.response("in_progress", &json!({}));
        script.event(json!({"type": "response.created", "response": response}));
        script
    }

    fn event(&mut self, event: Value) {
        self.frames.push(Frame::Event(event));
    }

    fn response(&self, status: &str, more: &Value) -> Value {
        let mut response =
            json!({"id": format!("resp_{}", self.id), "object": "response", "status": status, "output": []});
        for (name, value) in more.as_object().into_iter().flatten() {
            response[name] = value.clone();
        }
        response
    }

    fn end(mut self, status: &str, more: &Value) -> Answer {
        let response = self.response(status, more);
        self.event(json!({"type": format!("response.{status}"), "response": response}));
        Answer::events(self.frames)
    }

    fn broken_off(mut self) -> Answer {
        self.frames.push(Frame::Cut);
        Answer::events(self.frames)
    }

    fn item(&mut self, when: &str, item: &Value) {
        self.event(json!({"type": format!("response.output_item.{when}"), "output_index": self.index, "item": item}));
    }

    fn message_id(&self) -> String {
        format!("msg_{}_{}", self.id, self.index)
    }

    fn delta(&mut self, text: &str) {
        self.event(json!({
            "type": "response.output_text.delta", "item_id": self.message_id(), "output_index": self.index,
            "content_index": 0, "delta": text,
        }));
    }

    fn begin_message(&mut self, text: &str) {
        let id = self.message_id();
        self.item(
            "added",
            &json!({"type": "message", "role": "assistant", "id": id, "content": [], "status": "in_progress"}),
        );
        self.delta(text);
    }

    fn message(&mut self, deltas: &[&str], pause: Option<std::time::Duration>, phase: &str) {
        let mut item = json!({
            "type": "message", "role": "assistant", "id": self.message_id(), "content": [],
            "status": "in_progress", "phase": phase,
        });
        self.item("added", &item);
        for text in deltas {
            self.frames.extend(pause.map(Frame::Pause));
            self.delta(text);
        }
        item["status"] = "completed".into();
        item["content"] = json!([{"type": "output_text", "text": deltas.concat(), "annotations": []}]);
        self.item("done", &item);
        self.index += 1;
    }

    fn reasoning(&mut self) {
        const THOUGHT: &str = "**Thinking** about it";
        let id = format!("rs_{}_{}", self.id, self.index);
        let mut item = json!({"type": "reasoning", "id": id, "summary": [], "encrypted_content": "b3BhcXVl"});
        self.item("added", &item);
        let place = json!({"item_id": id, "output_index": self.index, "summary_index": 0});
        let with = |kind: &str, delta: Option<&str>| {
            let mut event = json!({"type": format!("response.reasoning_summary_{kind}")});
            for (name, value) in place.as_object().into_iter().flatten() {
                event[name] = value.clone();
            }
            if let Some(delta) = delta {
                event["delta"] = delta.into();
            }
            event
        };
        self.event(with("part.added", None));
        self.event(with("text.delta", Some(THOUGHT)));
        item["summary"] = json!([{"type": "summary_text", "text": THOUGHT}]);
        self.item("done", &item);
        self.index += 1;
    }

    fn call(&mut self, call: &Call) {
        let id = format!("fc_{}_{}", self.id, self.index);
        let call_id = format!("call_{}_{}", self.id, self.index);
        let mut item = match call {
            Call::Function { name, arguments, .. } => {
                json!({"type": "function_call", "name": name, "arguments": arguments})
            }
            Call::Custom { name, input } => json!({"type": "custom_tool_call", "name": name, "input": input}),
        };
        if let Call::Function { namespace: Some(namespace), .. } = call {
            item["namespace"] = namespace.as_str().into();
        }
        item["id"] = id.into();
        item["call_id"] = call_id.into();
        item["status"] = "completed".into();
        self.item("added", &item);
        self.item("done", &item);
        self.index += 1;
    }
}

#[cfg(test)]
mod tests;

//! Pure: Anthropic's Messages API as `claude` 2.1.329 speaks it, streamed and whole.

mod request;

use std::time::Duration;

use longshore_protocol::ProviderKind;
use serde_json::{Value, json};

use crate::answer::{Answer, Frame, cut_into};
use crate::script::{Status, Step};
pub use request::{Tools, conversation};

/// Which provider's answers these are.
pub const PROVIDER: ProviderKind = ProviderKind::Claude;

/// What a request wants besides its conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The model's name, echoed.
    pub model: String,
    /// Whether the answer comes as events; the CLI asks for a whole one after a stream broke.
    pub delivery: Delivery,
}

/// How an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// As server-sent events.
    Streamed,
    /// As one JSON document.
    Whole,
}

impl Wish {
    /// Reads it out of a request.
    #[must_use]
    pub fn of(request: &Value) -> Self {
        let streamed = request["stream"].as_bool().unwrap_or(false);
        Self {
            model: request["model"].as_str().unwrap_or("unknown").to_owned(),
            delivery: if streamed { Delivery::Streamed } else { Delivery::Whole },
        }
    }
}

/// The answer to a request whose conversation and tools are known. `id` is part of every id in it.
#[must_use]
pub fn answer(step: &Step, tools: &Tools, wish: &Wish, id: &str) -> Answer {
    let mut stop = "end_turn";
    let blocks = match step {
        Step::Say(text) => vec![Block::text(text)],
        Step::Think(text) => vec![Block::Thinking, Block::text(text)],
        Step::Slow { duration, pieces, text } => {
            vec![Block::Text { text: text.clone(), pieces: *pieces, duration: *duration }]
        }
        Step::Shell { command, preamble } if tools.has_shell() => {
            stop = "tool_use";
            let input = json!({"command": command, "description": "Rehearse a command"});
            let call = Block::Call { name: Tools::SHELL.to_owned(), input };
            preamble.iter().map(|text| Block::text(text)).chain([call]).collect()
        }
        Step::Shell { .. } => vec![Block::text(&tools.lack("shell"))],
        Step::Tool { name, arguments } if arguments.is_object() => {
            stop = "tool_use";
            vec![Block::Call { name: tools.resolve(name), input: arguments.clone() }]
        }
        Step::Tool { name, .. } => vec![Block::text(&format!("`{name}` takes a JSON object here"))],
        // A plan turns it into words; should it come here, it has none.
        Step::Tell { .. } | Step::Empty => Vec::new(),
        Step::Status(status) => return refusal(status, id),
        Step::Expired => return expired(id),
        Step::Close => return Answer::HangUp,
        Step::Incomplete { reason } => {
            stop = if reason == "max_output_tokens" { "max_tokens" } else { reason };
            vec![Block::text("This is only the beginn")]
        }
        Step::Failed { .. } | Step::Cut | Step::Hang(_) | Step::Malformed => return broken(step, wish, id),
    };
    match wish.delivery {
        Delivery::Streamed => Answer::events(events(&blocks, stop, wish, id)),
        Delivery::Whole => whole(&blocks, stop, wish, id),
    }
}

/// What a credential that nobody knows is answered with.
#[must_use]
pub fn wrong_credential(message: &str, id: &str) -> Answer {
    error(401, "authentication_error", message, id)
}

/// What a token that has expired is answered with.
#[must_use]
pub fn expired(id: &str) -> Answer {
    let message = "OAuth token has expired. Please obtain a new token or refresh your existing token.";
    error(401, "authentication_error", message, id)
}

/// An error in the vendor's shape.
#[must_use]
pub fn error(status: u16, kind: &str, message: &str, id: &str) -> Answer {
    Answer::whole(status, failure(kind, message, id))
}

fn failure(kind: &str, message: &str, id: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": format!("req_{id}")})
}

fn refusal(status: &Status, id: &str) -> Answer {
    let usual = match status.code {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        _ => "api_error",
    };
    let message = status.message.clone().unwrap_or_else(|| format!("rehearsed error {}", status.code));
    let body = failure(status.kind.as_deref().unwrap_or(usual), &message, id);
    Answer::Whole { status: status.code, retry_after: status.retry_after.clone(), body }
}

/// Answers that begin and do not end.
fn broken(step: &Step, wish: &Wish, id: &str) -> Answer {
    if wish.delivery == Delivery::Whole {
        let half = || Frame::Raw("{\"type\":\"message\",\"content\":[".to_owned());
        return match step {
            Step::Failed { code, message } => error(500, code, message, id),
            Step::Hang(silence) => Answer::broken_json(vec![Frame::Pause(*silence), Frame::Cut]),
            Step::Malformed => Answer::broken_json(vec![half()]),
            _ => Answer::broken_json(vec![half(), Frame::Cut]),
        };
    }
    let start = Frame::Event(start(wish, id));
    Answer::events(match step {
        Step::Failed { code, message } => vec![start, Frame::Event(failure(code, message, id))],
        Step::Hang(silence) => vec![start, Frame::Pause(*silence), Frame::Cut],
        Step::Malformed => vec![Frame::Raw("event: message_start\ndata: {not json\n\n".to_owned())],
        _ => {
            let mut frames = vec![start];
            let text = Block::text("partial te");
            frames.extend(text.events(0, id).into_iter().take(2));
            frames.push(Frame::Cut);
            frames
        }
    })
}

enum Block {
    Thinking,
    Text { text: String, pieces: usize, duration: Duration },
    Call { name: String, input: Value },
}

const THOUGHT: &str = "Thinking about it";

impl Block {
    fn text(text: &str) -> Self {
        Self::Text { text: text.to_owned(), pieces: 1, duration: Duration::ZERO }
    }

    /// The block as it stands in a whole message.
    fn value(&self, index: usize, id: &str) -> Value {
        match self {
            Self::Thinking => json!({"type": "thinking", "thinking": THOUGHT, "signature": "c2ln"}),
            Self::Text { text, .. } => json!({"type": "text", "text": text}),
            Self::Call { name, input } => {
                json!({"type": "tool_use", "id": format!("toolu_{id}_{index}"), "name": name, "input": input})
            }
        }
    }

    fn events(&self, index: usize, id: &str) -> Vec<Frame> {
        let delta = |kind: &str, name: &str, text: &str| {
            Frame::Event(json!({"type": "content_block_delta", "index": index, "delta": {"type": kind, name: text}}))
        };
        let mut block = self.value(index, id);
        let mut deltas = Vec::new();
        match self {
            Self::Thinking => {
                block["thinking"] = "".into();
                block["signature"] = "".into();
                deltas.push(delta("thinking_delta", "thinking", THOUGHT));
                deltas.push(delta("signature_delta", "signature", "c2ln"));
            }
            Self::Text { text, pieces, duration } => {
                block["text"] = "".into();
                let pieces = cut_into(text, *pieces);
                let pause = *duration / u32::try_from(pieces.len().max(1)).unwrap_or(u32::MAX);
                for piece in pieces {
                    deltas.extend((!pause.is_zero()).then_some(Frame::Pause(pause)));
                    deltas.push(delta("text_delta", "text", piece));
                }
            }
            Self::Call { input, .. } => {
                block["input"] = json!({});
                let input = input.to_string();
                deltas.extend(
                    cut_into(&input, 2).into_iter().map(|half| delta("input_json_delta", "partial_json", half)),
                );
            }
        }
        let mut frames =
            vec![Frame::Event(json!({"type": "content_block_start", "index": index, "content_block": block}))];
        frames.extend(deltas);
        frames.push(Frame::Event(json!({"type": "content_block_stop", "index": index})));
        frames
    }
}

fn usage(output_tokens: u32) -> Value {
    json!({
        "input_tokens": 10, "output_tokens": output_tokens,
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
    })
}

const OUTPUT_TOKENS: u32 = 5;

fn message(wish: &Wish, id: &str) -> Value {
    json!({
        "id": format!("msg_{id}"), "type": "message", "role": "assistant", "model": wish.model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage(1),
    })
}

fn start(wish: &Wish, id: &str) -> Value {
    json!({"type": "message_start", "message": message(wish, id)})
}

fn events(blocks: &[Block], stop: &str, wish: &Wish, id: &str) -> Vec<Frame> {
    let mut frames = vec![Frame::Event(start(wish, id))];
    frames.extend(blocks.iter().enumerate().flat_map(|(index, block)| block.events(index, id)));
    let delta = json!({"stop_reason": stop, "stop_sequence": null});
    frames.push(Frame::Event(json!({"type": "message_delta", "delta": delta, "usage": usage(OUTPUT_TOKENS)})));
    frames.push(Frame::Event(json!({"type": "message_stop"})));
    frames
}

fn whole(blocks: &[Block], stop: &str, wish: &Wish, id: &str) -> Answer {
    let mut body = message(wish, id);
    body["content"] = blocks.iter().enumerate().map(|(index, block)| block.value(index, id)).collect();
    body["stop_reason"] = stop.into();
    body["usage"] = usage(OUTPUT_TOKENS);
    Answer::whole(200, body)
}

#[cfg(test)]
mod tests;

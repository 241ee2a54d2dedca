//! Pure: an answer as the server sends it, in order and with its pauses.

use std::time::Duration;

use serde_json::Value;

/// The answer to one request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Nothing: the connection closes.
    HangUp,
    /// A JSON document.
    Whole {
        /// The HTTP status.
        status: u16,
        /// The `retry-after` header.
        retry_after: Option<String>,
        /// The document.
        body: Value,
    },
    /// A body that comes in pieces, with status 200.
    Stream {
        /// What the pieces make up.
        kind: StreamKind,
        /// The pieces.
        frames: Vec<Frame>,
    },
}

impl Answer {
    /// A JSON document without further headers.
    #[must_use]
    pub fn whole(status: u16, body: Value) -> Self {
        Self::Whole { status, retry_after: None, body }
    }

    /// Server-sent events.
    #[must_use]
    pub fn events(frames: Vec<Frame>) -> Self {
        Self::Stream { kind: StreamKind::Events, frames }
    }

    /// One text that claims to be JSON, and whether the connection breaks after it.
    #[must_use]
    pub fn broken_json(frames: Vec<Frame>) -> Self {
        Self::Stream { kind: StreamKind::Json, frames }
    }
}

/// The content type of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// `text/event-stream`.
    Events,
    /// `application/json`.
    Json,
}

/// A piece of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A server-sent event named by its `type`.
    Event(Value),
    /// Bytes as they are.
    Raw(String),
    /// Nothing for that long.
    Pause(Duration),
    /// The connection breaks; nothing comes after it.
    Cut,
}

impl Frame {
    /// The bytes of an event.
    #[must_use]
    pub fn event_text(event: &Value) -> String {
        let name = event.get("type").and_then(Value::as_str).unwrap_or("message");
        format!("event: {name}\ndata: {event}\n\n")
    }
}

/// The longest text in one delta: models never send more at once, and a client may bound its lines.
pub const DELTA_CHARS: usize = 16 * 1024;

/// Cuts `text` into `pieces` of nearly the same number of characters, fewer if it has fewer characters.
#[must_use]
pub fn cut_into(text: &str, pieces: usize) -> Vec<&str> {
    let chars = text.chars().count();
    let size = chars.div_ceil(pieces.max(1)).clamp(1, DELTA_CHARS);
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.char_indices().nth(size).map_or(rest.len(), |(at, _)| at);
        let (piece, next) = rest.split_at(end);
        found.push(piece);
        rest = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_make_up_the_text(text in "\\PC{0,80}", pieces in 0_usize..20) {
            let found = cut_into(&text, pieces);
            prop_assert_eq!(found.concat(), text.as_str());
            prop_assert!(found.len() <= pieces.max(1));
        }
    }

    #[test]
    fn a_delta_is_bounded_whatever_the_text() {
        assert_eq!(cut_into(&"x".repeat(DELTA_CHARS * 2 + 1), 1).len(), 3);
    }
}

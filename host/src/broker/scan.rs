//! Reads what an answer used out of its bytes, as they pass by: pure.
//!
//! Nothing is held back and next to nothing is kept: the JSON is followed as it comes, and only the few values
//! that are wanted are remembered. So an event may be as large as it likes, and it makes no difference where
//! the pieces of an answer begin and end.

mod json;

use self::json::{Found, Json};
use super::policy::Api;
use crate::usage::{MAX_TOKENS, Reading, Tokens};

/// How an answer's body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events, each with JSON.
    Events,
    /// One JSON document.
    Document,
    /// Not at all: it is compressed.
    Opaque,
}

impl Framing {
    /// By the answer's `content-type` and `content-encoding`.
    #[must_use]
    pub fn of(content_type: Option<&str>, content_encoding: Option<&str>) -> Self {
        let essence = |value: &str| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match content_encoding.map(essence).as_deref() {
            None | Some("" | "identity") => {}
            Some(_) => return Self::Opaque,
        }
        match content_type.map(essence).as_deref() {
            Some("text/event-stream") => Self::Events,
            _ => Self::Document,
        }
    }
}

/// Reads one answer.
#[derive(Debug, Clone)]
pub struct Scanner {
    api: Api,
    framing: Framing,
    line: Line,
    after_return: bool,
    json: Json,
    seen: Found,
}

/// Where in a line of an event stream the next byte is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// After so many bytes, all of them those of `data:`.
    Start(usize),
    /// In what a `data` line holds.
    Data,
    /// In any other line.
    Other,
}

const DATA: &[u8] = b"data:";

impl Scanner {
    /// Of an answer that has not begun.
    #[must_use]
    pub fn new(api: Api, framing: Framing) -> Self {
        Self { api, framing, line: Line::Start(0), after_return: false, json: Json::default(), seen: Found::default() }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        match self.framing {
            Framing::Opaque => {}
            Framing::Document => self.json.push(bytes),
            Framing::Events => self.event_bytes(bytes),
        }
    }

    fn event_bytes(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            let run = match self.line {
                Line::Start(_) => 0,
                Line::Data | Line::Other => memchr::memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len()),
            };
            if run == 0 {
                self.event_byte(*first);
                bytes = rest;
                continue;
            }
            let (line, rest) = bytes.split_at(run);
            if self.line == Line::Data {
                self.json.push(line);
            }
            self.after_return = false;
            bytes = rest;
        }
    }

    /// A line ends with CR, LF or both; an event with an empty line
    /// (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
    fn event_byte(&mut self, byte: u8) {
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        match (byte, self.line) {
            (b'\n', _) if after_return => {}
            (b'\n' | b'\r', Line::Start(0)) => self.end_event(),
            (b'\n' | b'\r', line) => {
                if line == Line::Data {
                    self.json.push(b"\n");
                }
                self.line = Line::Start(0);
            }
            (_, Line::Start(at)) if DATA.get(at) == Some(&byte) => {
                self.line = if at + 1 == DATA.len() { Line::Data } else { Line::Start(at + 1) };
            }
            (_, Line::Start(_)) => self.line = Line::Other,
            (_, Line::Data) => self.json.push(&[byte]),
            (_, Line::Other) => {}
        }
    }

    fn end_event(&mut self) {
        if let Some(found) = std::mem::take(&mut self.json).end() {
            self.seen.merge(found);
        }
    }

    /// What was read until now; also of an answer that broke off.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let mut seen = self.seen.clone();
        if let Some(found) = self.json.clone().end() {
            seen.merge(found);
        }
        let count = |value: Option<u64>| value.unwrap_or(0).min(MAX_TOKENS);
        let (input, cached) = (count(seen.input), count(seen.cached_input));
        let tokens = Tokens {
            // OpenAI counts what came from the cache as input, too.
            input: if self.api == Api::OpenAi { input.saturating_sub(cached) } else { input },
            cache_write: count(seen.cache_write),
            cached_input: cached,
            output: count(seen.output),
        };
        Reading { model: seen.model.unwrap_or_default(), tokens }
    }
}

#[cfg(test)]
mod tests;

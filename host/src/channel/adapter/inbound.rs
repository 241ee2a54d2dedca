//! What an adapter writes: its lines, read with care.

use longshore_protocol::PROTOCOL_VERSION;
use longshore_protocol::channel::{AdapterEvent, ChatMessage};
use longshore_protocol::line::{Line, LineBuffer};
use serde_json::error::Category;
use tokio::io::{AsyncRead, AsyncReadExt};
use tracing::{info, trace, warn};

/// The longest line of an adapter's log, in bytes.
const LOG_LINE_BYTES: usize = 8 * 1024;
/// How much of a line that can't be read is shown.
const SHOWN_BYTES: usize = 200;
/// How much is read at once.
const READ_BYTES: usize = 16 * 1024;

/// Reads a stream's lines; each read gives those that it completed.
pub(super) struct Lines<R> {
    stream: R,
    buffer: LineBuffer,
    bytes: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(stream: R, buffer: LineBuffer) -> Self {
        Self { stream, buffer, bytes: vec![0; READ_BYTES] }
    }

    /// The next lines, none if the stream has not completed one; `None` once it has ended.
    ///
    /// An unfinished last line is dropped: who was cut off may have been cut off anywhere.
    pub(super) async fn next(&mut self) -> Option<Vec<Line>> {
        match self.stream.read(&mut self.bytes).await {
            Ok(0) | Err(_) => None,
            Ok(count) => Some(self.buffer.push(&self.bytes[..count])),
        }
    }
}

/// Turns lines into events and counts those that are none.
#[derive(Debug, Default)]
pub(super) struct Reading {
    skipped: u64,
}

impl Reading {
    pub(super) fn event(&mut self, line: Line) -> Option<AdapterEvent> {
        let line = match line {
            Line::Complete(line) => line,
            Line::TooLong { bytes } => {
                self.skip("it is too long", bytes);
                return None;
            }
        };
        match serde_json::from_slice(&line) {
            Ok(event) => Some(event),
            Err(error) => {
                let reason = match error.classify() {
                    Category::Io | Category::Syntax | Category::Eof => "it is not JSON",
                    Category::Data => "it has not the shape of an adapter's line",
                };
                self.skip(reason, line.len());
                // Both may hold what people wrote.
                let start = &line[..line.len().min(SHOWN_BYTES)];
                let error: String = error.to_string().chars().take(SHOWN_BYTES).collect();
                trace!(error, line = %String::from_utf8_lossy(start), "the line that was skipped");
                None
            }
        }
    }

    /// Says that a line was skipped; ever more seldom, since an adapter may write nothing else.
    pub(super) fn skip(&mut self, reason: &str, bytes: usize) {
        self.skipped += 1;
        if self.skipped.is_power_of_two() {
            warn!(reason, bytes, skipped = self.skipped, "a line of the adapter was skipped; `trace` shows it");
        }
    }
}

/// Why a `ready` line isn't the one that was waited for, if so.
pub(super) fn unfit(name: &str, protocol: u32, channel: &str) -> Option<String> {
    if protocol != PROTOCOL_VERSION {
        return Some(format!("it speaks protocol {protocol} and this host speaks {PROTOCOL_VERSION}"));
    }
    if channel != name {
        let channel: String = channel.chars().filter(|c| !c.is_control()).take(64).collect();
        return Some(format!("it is the adapter of `{channel}`, not of `{name}`"));
    }
    None
}

/// Marks what the assistant's own account said, under whichever of its ids.
pub(super) fn recognise(message: &mut ChatMessage, own_ids: &[String]) {
    let own = |id: &String| own_ids.contains(id);
    message.from_me |= own(&message.sender) || message.sender_alt.as_ref().is_some_and(own);
}

/// Passes the adapter's log on, line by line, until it ends.
pub(super) async fn log(stream: impl AsyncRead + Unpin) {
    let mut lines = Lines::new(stream, LineBuffer::new(LOG_LINE_BYTES));
    while let Some(lines) = lines.next().await {
        for line in lines {
            match line {
                Line::Complete(line) => {
                    info!(target: "adapter", "{}", String::from_utf8_lossy(&line).replace(char::is_control, " "));
                }
                Line::TooLong { bytes } => info!(target: "adapter", bytes, "a log line was too long"),
            }
        }
    }
}

//! What a container writes: protocol lines become events, everything else goes to the log.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use longshore_protocol::line::{Line, LineBuffer};
use longshore_protocol::{GroupId, RunnerEvent};
use serde_json::error::Category;
use tokio::sync::mpsc;

use super::{Output, RuntimeError};

/// How much of what a container wrote to stderr is kept for the log.
const STDERR_TAIL: usize = 4096;
/// How much a container may write to its stdout that is no event, in bytes. The runner writes nothing else there;
/// whatever does is hostile or broken, and is not read for ever.
const MOST_RUBBISH: usize = 16 * 1024 * 1024;

/// Reads a container's output all the time, in a turn or not, so that it never blocks on a full pipe.
pub(super) async fn pump(
    mut output: BoxStream<'static, Result<Output, RuntimeError>>,
    events: mpsc::Sender<RunnerEvent>,
    group: GroupId,
) {
    let mut lines = LineBuffer::default();
    let mut stderr = Vec::new();
    let mut rubbish = Rubbish::default();
    while let Some(piece) = output.next().await {
        match piece {
            Ok(Output::Stdout(bytes)) => {
                rubbish.unread += bytes.len();
                for line in lines.push(&bytes) {
                    match read(&line) {
                        Ok(event) => {
                            rubbish.unread = 0;
                            if events.send(event).await.is_err() {
                                return;
                            }
                        }
                        Err(why) => rubbish.skip(&line, why, &group),
                    }
                }
                if rubbish.bytes + rubbish.unread > MOST_RUBBISH {
                    tracing::error!(%group, "a container writes what is no event and does not stop; it is not heard any more");
                    break;
                }
            }
            Ok(Output::Stderr(bytes)) => {
                stderr.extend_from_slice(&bytes[bytes.len().saturating_sub(STDERR_TAIL)..]);
                stderr.drain(..stderr.len().saturating_sub(STDERR_TAIL));
                tracing::trace!(%group, stderr = %String::from_utf8_lossy(&bytes).trim_end(), "container");
            }
            Err(error) => {
                tracing::warn!(%group, %error, "a container's output broke off");
                break;
            }
        }
    }
    if !stderr.is_empty() {
        tracing::info!(%group, stderr = %String::from_utf8_lossy(&stderr).trim_end(), "a container ended; its last words");
    }
}

/// What was skipped of a container's output.
#[derive(Default)]
struct Rubbish {
    lines: u64,
    bytes: usize,
    /// Since the last event; what of it is in no line yet is counted here alone.
    unread: usize,
}

impl Rubbish {
    /// Says so ever more seldom, since a container may write nothing else.
    fn skip(&mut self, line: &Line, why: &str, group: &GroupId) {
        let bytes = match line {
            Line::Complete(line) => line.len() + 1,
            Line::TooLong { bytes } => *bytes,
        };
        self.lines += 1;
        self.bytes += bytes;
        self.unread = self.unread.saturating_sub(bytes);
        if self.lines.is_power_of_two() {
            tracing::warn!(%group, why, bytes, skipped = self.lines, "a runner wrote a line that is no event");
        }
    }
}

fn read(line: &Line) -> Result<RunnerEvent, &'static str> {
    match line {
        Line::Complete(bytes) => serde_json::from_slice(bytes).map_err(|error| match error.classify() {
            Category::Io | Category::Syntax | Category::Eof => "it is not JSON",
            Category::Data => "it has not the shape of an event",
        }),
        Line::TooLong { .. } => Err("it is too long"),
    }
}

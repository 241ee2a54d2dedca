//! What a container writes: protocol lines become events, everything else goes to the log.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use longshore_protocol::line::{Line, LineBuffer};
use longshore_protocol::{GroupId, RunnerEvent};
use tokio::sync::mpsc;

use super::{Output, RuntimeError};

/// How much of what a container wrote to stderr is kept for the log.
const STDERR_TAIL: usize = 4096;

/// Reads a container's output all the time, in a turn or not, so that it never blocks on a full pipe.
pub(super) async fn pump(
    mut output: BoxStream<'static, Result<Output, RuntimeError>>,
    events: mpsc::Sender<RunnerEvent>,
    group: GroupId,
) {
    let mut lines = LineBuffer::default();
    let mut stderr = Vec::new();
    while let Some(piece) = output.next().await {
        match piece {
            Ok(Output::Stdout(bytes)) => {
                for line in lines.push(&bytes) {
                    if let Some(event) = read(&line, &group)
                        && events.send(event).await.is_err()
                    {
                        return;
                    }
                }
            }
            Ok(Output::Stderr(bytes)) => {
                stderr.extend_from_slice(&bytes[bytes.len().saturating_sub(STDERR_TAIL)..]);
                stderr.drain(..stderr.len().saturating_sub(STDERR_TAIL));
                tracing::debug!(%group, stderr = %String::from_utf8_lossy(&bytes).trim_end(), "container");
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

fn read(line: &Line, group: &GroupId) -> Option<RunnerEvent> {
    match line {
        Line::Complete(bytes) => match serde_json::from_slice(bytes) {
            Ok(event) => Some(event),
            Err(error) => {
                tracing::warn!(%group, %error, "a runner wrote a line that is no event; skipped");
                None
            }
        },
        Line::TooLong { bytes } => {
            tracing::warn!(%group, bytes, "a runner wrote a line that is too long; skipped");
            None
        }
    }
}

//! A container's way to the broker, for as long as it is kept.
//!
//! Where the container cannot see the host's socket, a process that the host starts in it carries its
//! connections by its own stdin and stdout. Whoever is in the container may kill that process or write
//! into it; then the link ends, and another is made after a pause.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use longshore_link::LinkError;
use longshore_protocol::{GroupId, paths};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::task::AbortOnDropHandle;

use super::super::{ContainerId, ContainerRuntime, Output, Piped, Process, RuntimeError};
use crate::broker::{BrokerLink, Door};

/// The pause after a link that broke; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// A link that held for so long broke by chance: the pauses begin anew.
const STEADY: Duration = Duration::from_secs(30);
/// How much of what the link's process wrote to stderr is kept for the log.
const STDERR_TAIL: usize = 1024;

/// A way that is open on the host's side and waits for its container.
pub(super) enum Way {
    /// By a socket.
    Socket(BrokerLink),
    /// By a process in the container.
    Exec {
        /// Where its connections go.
        door: Door,
        /// What is started.
        process: Process,
    },
}

/// A way that leads to a container.
pub(super) enum Link {
    Socket(BrokerLink),
    Exec { _kept: AbortOnDropHandle<()> },
}

/// The link's process in a container of this user.
pub(super) fn process(uid: u32, gid: u32) -> Process {
    Process { command: vec![paths::AGENT.to_owned(), "link".to_owned()], uid, gid }
}

impl Way {
    /// Leads it to the container, and keeps it there until the link is dropped.
    pub(super) fn lead(self, runtime: &Arc<dyn ContainerRuntime>, id: &ContainerId, group: &GroupId) -> Link {
        match self {
            Self::Socket(link) => Link::Socket(link),
            Self::Exec { door, process } => {
                let (runtime, id, group) = (runtime.clone(), id.clone(), group.clone());
                let kept = tokio::spawn(async move { keep(&*runtime, &id, &group, &door, &process).await });
                Link::Exec { _kept: AbortOnDropHandle::new(kept) }
            }
        }
    }
}

impl Link {
    /// Lets go of what an engine that removes the container would wait for; a socket is left.
    pub(super) fn hang_up(self) -> Option<BrokerLink> {
        match self {
            Self::Socket(link) => Some(link),
            Self::Exec { .. } => None,
        }
    }
}

/// Makes the link, and makes it again whenever it has ended.
async fn keep(runtime: &dyn ContainerRuntime, id: &ContainerId, group: &GroupId, door: &Door, process: &Process) -> ! {
    let mut pause = FIRST_PAUSE;
    loop {
        let begin = Instant::now();
        match runtime.exec(id, process).await {
            Ok(Piped { stdin, output }) => {
                tracing::debug!(%group, container = %id, "a link to the broker is made");
                let mut said = Said::new(output);
                let end = door.carry(&mut said, stdin).await;
                let stderr = said.last_words().await;
                if matches!(end, LinkError::HungUp) && stderr.is_empty() {
                    tracing::debug!(%group, container = %id, "a link to the broker has ended");
                } else {
                    tracing::warn!(%group, container = %id, %end, stderr, "a link to the broker broke");
                }
            }
            // It may have ended a moment ago, and then the link ends soon, too.
            Err(error) => tracing::debug!(%group, container = %id, %error, "a link to the broker cannot be made"),
        }
        if begin.elapsed() >= STEADY {
            pause = FIRST_PAUSE;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What a process writes to its stdout, as bytes to read; the last of its stderr is kept.
struct Said {
    output: BoxStream<'static, Result<Output, RuntimeError>>,
    piece: Bytes,
    stderr: Vec<u8>,
}

impl Said {
    fn new(output: BoxStream<'static, Result<Output, RuntimeError>>) -> Self {
        // It is asked once more after its end, for its last words.
        Self { output: output.fuse().boxed(), piece: Bytes::new(), stderr: Vec::new() }
    }

    fn complains(&mut self, bytes: &[u8]) {
        self.stderr.extend_from_slice(&bytes[bytes.len().saturating_sub(STDERR_TAIL)..]);
        self.stderr.drain(..self.stderr.len().saturating_sub(STDERR_TAIL));
    }

    /// The end of its stderr. What a process complains of comes about when its stdout ends.
    async fn last_words(&mut self) -> String {
        let rest = async {
            while let Some(Ok(piece)) = self.output.next().await {
                if let Output::Stderr(bytes) = piece {
                    self.complains(&bytes);
                }
            }
        };
        // A process that goes on is ended by the caller.
        let _ = tokio::time::timeout(FIRST_PAUSE, rest).await;
        String::from_utf8_lossy(&self.stderr).trim().to_owned()
    }
}

impl AsyncRead for Said {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.piece.is_empty() {
            match ready!(self.output.poll_next_unpin(cx)) {
                Some(Ok(Output::Stdout(bytes))) => self.piece = bytes,
                Some(Ok(Output::Stderr(bytes))) => self.complains(&bytes),
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.piece.len().min(buffer.remaining());
        buffer.put_slice(&self.piece[..count]);
        self.piece.advance(count);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
